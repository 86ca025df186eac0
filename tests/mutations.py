"""Spoil real pages and texts in thousands of ways: each must come out as a document or a fate.

    python -m tests.mutations [--count 10000] [--seed 0] [--seconds 540] [--workers 2]

Half the inputs are pages, which go through charset, extraction in its sandbox, cleaning, language
and every rule; half are texts, which go through all but the first two. What raises, and what kills
an extractor's process, is a crash: it is printed with the seed of its batch, and the exit code is
1. A batch depends on its own seed alone, so `--seed` with `--count 100` gives it again, and what
is found depends not on the number of workers.
"""

import argparse
import json
import math
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache

import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from tests.samples.where import AT_HAND, SAMPLES
from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.stage import Stage, pass_batch
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.filters.gopher import GopherRepetition
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.extraction.extract import REASONS, Extract
from webtext.pipeline.text.language import Language

BATCH = 100
LONGEST = 6_000  # bytes of a page before it is spoiled: small ones are many
RULES = Rules(
    gopher_repetition=GopherRepetition(enabled=True),
    c4=C4(enabled=True, terminal=False),
    fineweb=FineWeb(enabled=True),
)
AFTER: tuple[Stage, ...] = (Clean(), Language(keep=(), min_probability=0.0), RULES)
WHOLE: tuple[Stage, ...] = (Extract(deadline=2.0, memory_mb=400), *AFTER)
CHARSETS = ("utf-8", "utf-16", "utf-16-le", "utf-7", "windows-1251", "shift_jis", "iso-2022-jp",
            "gb18030", "big5", "euc-kr", "nonsense-8", "x-user-defined", "ascii", "")  # fmt: skip
CODECS = ("utf-16-le", "utf-16-be", "utf-8-sig", "cp1252", "cp1251", "shift_jis", "gb18030")
TAGS = (b"<div>", b"<table><tr><td>", b"<b>", b"<a href='", b"<!--", b"<![CDATA[", b"<svg>",
        b"<script>", b"</body>", b"<p", b"<title>", b"<li>", b"<select><option>", b"<math>",
        b"<template>", b"<noscript>", b"<frameset>", b"<?php", b"<html>", b"</div>")  # fmt: skip
ODDITIES = ("\0", "\ufeff", "\u202e", "\u0301" * 50, "\U0001f468\u200d" * 9, "\u2028", "\x85",
            "&#0;", "&#xD800;", "&#1114112;", "&amp" * 30, "...", "…", "\r", "\x1b$B", "ß", "İ",
            "\ufffe", "\U0010ffff", "{", "#" * 99, "-\n" * 40, "٣", "\u3000",
            "http://")  # fmt: skip


@cache
def originals() -> tuple[list[bytes], list[str]]:
    """Return real pages and texts, of the samples where there is no shared data."""
    name = "sites" if AT_HAND == SAMPLES else "news"
    with zstandard.open(AT_HAND / "miniweb" / f"{name}.warc.zst") as file:
        records = ArchiveIterator(file, WarcRecordType.response, parse_http=True)
        pages = [record.reader.read() for record in records]
    with zstandard.open(AT_HAND / "dedup" / "miniweb_texts.jsonl.zst") as file:
        texts = [json.loads(line)["text"][:4000] for line in file.read().splitlines()]
    with zstandard.open(AT_HAND / "langid" / "udhr.jsonl.zst") as file:
        texts += [json.loads(line)["text"][:4000] for line in file.read().splitlines()]
    return pages, texts


def cut(page: bytes, rng: random.Random) -> bytes:
    """Return a page's beginning and a piece of its inside, or the whole of a small one."""
    if len(page) <= LONGEST:
        return page
    at = rng.randrange(LONGEST // 6, len(page))
    return page[: LONGEST // 6] + page[at : at + LONGEST]


def spoilt(page: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return a page with one thing about it changed."""
    at, end = sorted(rng.randrange(len(page) + 1) for _ in range(2))
    kind = rng.randrange(11)
    if kind == 0:  # flipped bytes
        changed = bytearray(page)
        for _ in range(rng.randint(1, 60) if page else 0):
            changed[rng.randrange(len(page))] = rng.randrange(256)
        return bytes(changed)
    if kind == 1:  # cut off, before or after
        return page[:at] if rng.random() < 0.7 else page[at:]
    if kind == 2:  # a piece several times
        piece = page[at : min(end, at + 300)]
        return page[:at] + piece * rng.choice((2, 3, 30)) + page[at:]
    if kind == 3:  # nesting
        return page[:at] + rng.choice(TAGS) * rng.choice((1, 5, 50, 500)) + page[at:]
    if kind == 4:  # tags doubled
        parts = page.split(b">")
        return b">".join(part for part in parts for _ in range(1 + (rng.random() < 0.2)))
    if kind == 5:  # tags lost
        return b">".join(part for part in page.split(b">") if rng.random() > 0.1)
    if kind == 6:  # a charset that is none, or not this one
        return b"<meta charset='%s'>" % rng.choice(CHARSETS).encode() + page
    if kind == 7:  # another charset
        codec = rng.choice(CODECS)
        return page.decode("utf-8", "replace").encode(codec, "xmlcharrefreplace")
    if kind == 8:  # oddities
        odd = rng.choice(ODDITIES).encode("utf-8", "surrogatepass")
        return page[:at] + odd * rng.choice((1, 1, 20)) + page[at:]
    if kind == 9:  # two pages in one
        return page[:at] + other[rng.randrange(len(other) + 1) :]
    return page[end:] + page[:at] + page[at:end]  # pieces in another order


def pages(originals: list[bytes], rng: random.Random) -> pa.RecordBatch:
    """Return a batch of spoilt pages."""
    rows = []
    for number in range(BATCH):
        body = cut(rng.choice(originals), rng)
        for _ in range(rng.choice((1, 1, 2, 5))):
            body = spoilt(body, cut(rng.choice(originals), rng), rng)
        kind = f"text/html; charset={rng.choice(CHARSETS)}" if rng.random() < 0.5 else "text/html"
        rows.append({"id": f"{number:016x}", "url": f"http://a.test/{number}", "body": body,
                     "content_type": kind})  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, PAGE)


def texts(originals: list[str], rng: random.Random) -> pa.RecordBatch:
    """Return a batch of spoilt texts."""
    rows = []
    for number in range(BATCH):
        body, other = (rng.choice(originals).encode() for _ in range(2))
        for _ in range(rng.choice((1, 1, 2, 5))):
            body = spoilt(body, other, rng)
        rows.append({"id": f"{number:016x}", "text": body.decode("utf-8", "replace")})
    return pa.RecordBatch.from_pylist(rows, DOCUMENT)


def fates(chain: tuple[Stage, ...], batch: pa.RecordBatch) -> Iterator[str]:
    """Yield what becomes of each row, and hold the kept and the dropped to what they promise."""
    kept, gone = pass_batch(chain, batch, DOCUMENT)
    for row in kept.to_pylist():
        assert row["text"], "a kept document has no text"
        assert not {"\0", "\x7f"} & set(row["text"]), "a kept document holds control characters"
        measures = [asked.measure for asked in RULES.measures(row["text"])]
        assert all(map(math.isfinite, measures)), f"a rule measured no number: {measures}"
        yield "kept"
    for part in gone:
        yield from part["dropped_by"].to_pylist()


def tried(seed: int) -> tuple[str, Counter[str], list[str]]:
    """Return which half a batch is of, the fates of its inputs, and what is to be told of it."""
    rng = random.Random(seed)
    known_pages, known_texts = originals()
    what = "texts" if seed % 2 else "pages"
    batch = texts(known_texts, rng) if seed % 2 else pages(known_pages, rng)
    try:
        found = Counter(fates(AFTER if seed % 2 else WHOLE, batch))
        assert found.total() == BATCH, f"{BATCH} inputs, {found.total()} fates"
        strange = [f for f in found if f.startswith("extract.") and f not in REASONS]
        assert not strange, strange
    except Exception as error:  # noqa: BLE001 -- that nothing raises is what is held here
        return what, Counter(), [f"crash: seed {seed}: {type(error).__name__}: {error}"]
    died = [f"crash: seed {seed}: an extractor's process died"] * found["extract.crashed"]
    return what, found, died


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args(arguments)
    seeds = range(chosen.seed, chosen.seed + math.ceil(chosen.count / BATCH))
    began = time.monotonic()
    counts = {"pages": Counter[str](), "texts": Counter[str]()}
    crashes = batches = 0
    with ExitStack() as stack:
        outcomes: Iterator[tuple[str, Counter[str], list[str]]] = map(tried, seeds)
        if chosen.workers > 1:
            spawned = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(chosen.workers, mp_context=spawned)
            stack.callback(pool.shutdown, cancel_futures=True)
            outcomes = pool.map(tried, seeds)
        for what, found, told in outcomes:
            batches += 1
            for line in told:
                print(line, flush=True)
            crashes += len(told)
            counts[what] += found
            if time.monotonic() - began > chosen.seconds:
                break
    for what, found in counts.items():
        names = ", ".join(f"{count} {fate}" for fate, count in found.most_common())
        print(f"{found.total()} {what}: {names}")
    print(f"{sum(c.total() for c in counts.values())} inputs, seeds {seeds[0]} to "
          f"{seeds[batches - 1]}, "
          f"{crashes} crashes, {time.monotonic() - began:.0f} s")  # fmt: skip
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
