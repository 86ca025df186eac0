"""Main texts of seven kinds of pages, by word F1: ours beside trafilatura's and resiliparse's.

    python -m tests.bench.wcxb [--every 1] [--only webtext ...]

The pages are WCXB's development set: 1,476 articles, threads, manuals, services, shops and lists.
A page's score is the F1 of two bags of words, `\\w+` in lower case; a row gives the mean over all
pages and over those of each kind. With `--every 2` and `--first 1` only every second page from the
second on is read, so that one half can be tuned on and the other be asked.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import zstandard

from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, read

FILE = Path(__file__).parents[3] / "shared/data/extraction/wcxb_dev.jsonl.zst"
KINDS = ("article", "documentation", "forum", "service", "product", "collection", "listing")
WINDOW = 1 << 31  # bytes that the file's frame may look back over
READERS = {
    "webtext": Reading(metadata=False),
    "trafilatura": Reading(metadata=False, engine="trafilatura", favor_precision=False),
    "precision": Reading(metadata=False, engine="trafilatura", favor_precision=True),
    "recall": Reading(
        metadata=False, engine="trafilatura", favor_precision=False, favor_recall=True
    ),
    "resiliparse": Reading(metadata=False, engine="resiliparse"),
}


class Sample(NamedTuple):
    """A page and the text that people say is its main text."""

    url: str
    kind: str
    html: bytes
    text: str


def samples(every: int = 1, first: int = 0) -> Iterator[Sample]:
    """Yield the pages of the development set, or every so many-th of them."""
    with zstandard.open(
        FILE, "rt", dctx=zstandard.ZstdDecompressor(max_window_size=WINDOW), encoding="utf-8"
    ) as lines:
        for number, line in enumerate(lines):
            if number % every == first % every:
                row = json.loads(line)
                html = row["html"].encode("utf-8", "surrogateescape")
                yield Sample(row["url"], row["type"], html, row["text"])


def words(text: str) -> Counter[str]:
    """Return the bag of a text's words."""
    return Counter(re.findall(r"\w+", text.lower()))


def word_f1(found: str, wanted: str) -> float:
    """Return the F1 of two texts' bags of words.

    >>> round(word_f1("A cat sat", "a cat sat down"), 3)
    0.857
    """
    ours, theirs = words(found), words(wanted)
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def measure(reading: Reading, every: int, first: int) -> tuple[dict[str, list[float]], float]:
    """Return the scores by kind, and the CPU milliseconds a page."""
    scores: dict[str, list[float]] = defaultdict(list)
    spent = 0.0
    for sample in samples(every, first):
        begun = time.process_time()
        found = read(reading, Page(sample.html, "text/html", sample.url or None))
        spent += time.process_time() - begun
        text = found.text if isinstance(found, Article) else ""
        scores[sample.kind].append(word_f1(text, sample.text))
    return scores, 1e3 * spent / sum(map(len, scores.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS))
    chosen = parser.parse_args()
    if not FILE.is_file():
        sys.exit(f"needs WCXB's development set in {FILE}, which is not part of the project")
    print("reader        all   " + " ".join(f"{kind[:8]:>8}" for kind in KINDS) + "  ms a page")
    for name in chosen.only:
        scores, cost = measure(READERS[name], chosen.every, chosen.first)
        every_page = mean(score for several in scores.values() for score in several)
        by_kind = " ".join(f"{mean(scores[kind]):8.3f}" for kind in KINDS if scores[kind])
        print(f"{name:12} {every_page:.4f} {by_kind} {cost:8.1f}", flush=True)


if __name__ == "__main__":
    main()
