"""What code by hand saves: CPU milliseconds a page of ours, and of the library's or plain way.

    python -m tests.bench.byhand [--pages 160]

Over pages of the mini-web and their main texts, each way once, one after the other, in one process.
The table in ARCHITECTURE.md comes from here.
"""

import argparse
import os
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import islice
from typing import Any

import langdetect
import pyarrow as pa
import trafilatura
import zstandard
from datasketch import MinHash, MinHashLSH
from fastwarc.warc import ArchiveIterator, WarcRecordType
from isal import isal_zlib

from tests.bench import peers
from tests.pipeline import plain_words
from webtext.pipeline.dedup.signatures.folded_text import shingles
from webtext.pipeline.dedup.signatures.sign import Sign, signatures
from webtext.pipeline.filters.gopher import GopherRepetition
from webtext.pipeline.text import langid
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.extraction import maintext
from webtext.pipeline.text.extraction.byline import byline
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.tokens import bpe
from webtext.pipeline.words import words
from webtext.pipeline.words.document import Document

WARC = peers.ROOT.parent / "shared" / "data" / "miniweb" / "sites.warc.zst"
EVERY = 12  # pages of the file of which one is taken, so that no site prevails
SLOW = 60  # pages or texts for ways that take long
READING = maintext.Reading()


def pages(count: int) -> Iterator[maintext.Page]:
    """Yield pages of HTML, from all over the file."""
    window = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    with WARC.open("rb") as file, window.stream_reader(file, read_across_frames=True) as stream:
        found = (
            maintext.Page(record.reader.read(), "text/html", record.headers["WARC-Target-URI"])
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response)
            if record.http_content_type == "text/html" and record.http_headers.status_code == 200
        )
        yield from islice(found, 0, count * EVERY, EVERY)


def spent(work: Callable[[Any], Any], items: Iterable[Any]) -> float:
    """Return the CPU milliseconds an item; a page that a library fails on counts as well."""
    items = list(items)
    start = time.process_time()
    for item in items:
        try:
            work(item)
        except Exception:  # noqa: BLE001 -- of a library, about a page
            continue
    return (time.process_time() - start) / len(items) * 1e3


def show(part: str, ours: float, plain: float, instead: str) -> None:
    print(f"{part:<22} {ours:8.3f} {plain:8.3f} {plain - ours:8.3f}   {instead}", flush=True)


def trees_of(htmls: Sequence[str]) -> list[Any]:
    return [tree for html in htmls if (tree := parse(html)) is not None]


def reading(found: Sequence[maintext.Page]) -> list[str]:
    """Compare the parts of reading a page; return the main texts."""
    htmls = [decode(page.body, page.content_type).text for page in found]
    show("tree", spent(parse, htmls), spent(trafilatura.load_html, htmls), "trafilatura.load_html")

    def said() -> list[tuple[Any, str, str | None]]:
        return [
            (tree, html, page.url)
            for page, html in zip(found, htmls, strict=True)
            if (tree := parse(html)) is not None
        ]

    ours = spent(lambda page: byline(page[0], page[2], page[1]), said())
    plain = spent(lambda page: trafilatura.extract_metadata(page[0], default_url=page[2]), said())
    show("byline and dates", ours, plain, "trafilatura.extract_metadata")
    ours = spent(partial(maintext.of_blocks, READING), trees_of(htmls))
    plain = spent(partial(maintext.fine, READING), trees_of(htmls))
    show("main text", ours, plain, "trafilatura")
    read = (maintext.read(READING, page) for page in found)
    return [article.text for article in read if isinstance(article, maintext.Article)]


def repeated(text: str) -> None:
    """Count n-grams as the rules of repetition do, with the standard library."""
    found = text.split()
    for n in (2, 3, 4):
        Counter(zip(*(found[at:] for at in range(n)), strict=False)).most_common(1)
    for n in range(5, 11):
        set(zip(*(found[at:] for at in range(n)), strict=False))


def judging(texts: Sequence[str]) -> None:
    """Compare what is asked of a text."""
    some = texts[:SLOW]
    show(
        "language", spent(langid.detect, texts), spent(langdetect.detect_langs, some), "langdetect"
    )
    show("words", spent(words.read, texts), spent(plain_words.split, some), "regular expressions")
    repetition = GopherRepetition(enabled=True)
    rules = [getattr(repetition, field.name) for field in fields(repetition)]
    rules = [rule for rule in rules if hasattr(rule, "n")]
    documents = [Document(text) for text in texts]
    for document in documents:
        _ = document.rows
    ours = spent(lambda document: [rule(document) for rule in rules], documents)
    show("n-grams", ours, spent(repeated, some), "Counter and set")


def sketch(text: str) -> MinHash:
    made = MinHash(112)
    made.update_batch([shingle.encode() for shingle in shingles(text, 5)])
    return made


def later(texts: Sequence[str], body: bytes) -> None:
    """Compare what is done with texts and archives."""
    some = texts[:SLOW]
    ours = spent(lambda text: signatures(Sign(), pa.array([text])), texts)
    show("signatures", ours, spent(sketch, some), "datasketch's MinHash")
    index = MinHashLSH(params=(14, 8), num_perm=112)
    sketches = list(enumerate(map(sketch, some)))
    plain = spent(lambda each: (index.insert(*each), index.query(each[1])), sketches)
    print(
        f"{'clusters':<22} {'':8} {plain:8.3f} {'':8}   datasketch's; ours: tests.bench.dedup_scale"
    )
    encoding = bpe.encoding()
    plain = spent(encoding.encode_ordinary, texts)  # first, for it fills what the two share
    show("tokens", spent(bpe.encode, texts), plain, "tiktoken")
    packers = [partial(isal_zlib.compress, level=1), partial(zlib.compress, level=6)]
    ours, plain = (spent(pack, [body] * SLOW) for pack in packers)
    show("gzip of a record", ours, plain, "zlib; not by hand, but ISA-L's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=160)
    chosen = parser.parse_args()
    if not WARC.exists():
        sys.exit(f"{WARC} is not there: this bench is about real pages")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = list(pages(chosen.pages))
    maintext.read(READING, found[0])  # what is compiled or loaded once
    langid.detect("some words"), words.read("some words"), langdetect.detect("some words")
    signatures(Sign(), pa.array(["some words"]))
    print(f"{'ms a page':<22} {'ours':>8} {'plain':>8} {'saved':>8}")
    texts = reading(found)
    judging(texts)
    later(texts, max((page.body for page in found), key=len)[:58_000])


if __name__ == "__main__":
    main()
