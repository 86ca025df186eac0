"""Main texts of sixty pages of kinds that the public sets lack: ours beside four other readers.

    python -m tests.bench.own_pages [--every 1]

Manuals, references, code, academic texts, books and blogs of twenty sites of the mini-web, three
of each. For each site a person has marked which elements of its pages are the text, and read where
those begin and end; no reader was trained on them. `own_pages.tsv` refers to the pages, and holds
of the text nothing but checksums: CRC-32 of runs of four words, of which one in eight is kept. A
page's score is the F1 of the two sets of checksums. The mini-web has no forums, shops or poems.
"""

import argparse
import io
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import zstandard
from fastwarc.warc import ArchiveIterator
from trafilatura.readability_lxml import Document

from tests.bench.blocks_truth import DATA, words
from tests.bench.wcxb import READERS
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, read
from webtext.pipeline.text.extraction.parse import parse

FILE = DATA / "miniweb/sites.warc.zst"
TRUTH = Path(__file__).parent / "own_pages.tsv"
RUN = 4  # words
KEPT = 8  # one run in so many
WINDOW = 1 << 31  # bytes that the file's frame may look back over


class Own(NamedTuple):
    """A page, its kind, and the checksums of its text."""

    html: bytes
    kind: str
    wanted: frozenset[int]


def sampled(text: str) -> frozenset[int]:
    """Return the checksums of a text's runs of words, those that are kept."""
    its = words(text)
    runs = (" ".join(its[at : at + RUN]) for at in range(len(its) - RUN + 1))
    sums = (zlib.crc32(run.encode()) for run in runs)
    return frozenset(one for one in sums if one % KEPT == 0)


def f1(found: frozenset[int], wanted: frozenset[int]) -> float:
    """Return the F1 of two sets.

    >>> f1(frozenset({1, 2}), frozenset({2}))
    0.6666666666666666
    """
    if not found or not wanted:
        return float(found == wanted)
    return 2 * len(found & wanted) / (len(found) + len(wanted))


def told() -> dict[str, tuple[str, frozenset[int]]]:
    """Return the kind and the checksums of each page, by its address."""
    found = {}
    for line in TRUTH.read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            url, kind, sums = line.split("\t")
            several = (int(sums[at : at + 8], 16) for at in range(0, len(sums), 8))
            found[url] = kind, frozenset(several)
    return found


def pages(every: int) -> Iterator[Own]:
    """Yield the pages, or every so many-th of them."""
    known = told()
    wanted = set(list(known)[::every])
    packed = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    with FILE.open("rb") as file:
        stream = io.BufferedReader(packed.stream_reader(file))
        for record in ArchiveIterator(stream):
            url = record.headers.get("WARC-Target-URI")
            if url in wanted and record.headers["WARC-Type"] == "response":
                wanted.remove(url)
                yield Own(record.reader.read(), *known[url])


def by(reading: Reading) -> Callable[[bytes], str]:
    """Return a reader with some settings."""

    def text(html: bytes) -> str:
        found = read(reading, Page(html, "text/html", None))
        return found.text if isinstance(found, Article) else ""

    return text


def readability(html: bytes) -> str:
    """Return the main text by readability, as trafilatura has it built in."""
    summary = Document(parse(decode(html, "text/html").text)).summary()
    tree = parse(f"<html><body>{summary}</body></html>")
    return "\n".join(tree.itertext()) if tree is not None else ""


SEVERAL: dict[str, Callable[[bytes], str]] = {
    "webtext": by(READERS["webtext"]),
    "trafilatura": by(READERS["trafilatura"]),
    "fast": by(Reading(metadata=False, engine="trafilatura", fast=True)),
    "resiliparse": by(READERS["resiliparse"]),
    "readability": readability,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    chosen = parser.parse_args()
    if not FILE.is_file():
        sys.exit(f"needs the mini-web in {FILE}, which is not part of the project")
    several = list(pages(chosen.every))
    kinds = sorted({page.kind for page in several})
    print(f"{'reader':12} {'all':>6} " + " ".join(f"{kind:>9}" for kind in kinds) + "  ms a page")
    for name, reader in SEVERAL.items():
        scores: dict[str, list[float]] = defaultdict(list)
        begun = time.process_time()
        for page in several:
            scores[page.kind].append(f1(sampled(reader(page.html)), page.wanted))
        spent = 1e3 * (time.process_time() - begun) / len(several)
        whole = mean(score for its in scores.values() for score in its)
        told_kinds = " ".join(f"{mean(scores[kind]):9.3f}" for kind in kinds)
        print(f"{name:12} {whole:6.3f} {told_kinds} {spent:8.1f}", flush=True)


if __name__ == "__main__":
    main()
