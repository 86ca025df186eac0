"""How well main texts are found, and the floors that it must not fall under.

    python -m tests.floors [--lower]

Measures every set with every engine, prints F1 beside its floor in `floors.toml`, and raises the
floors to what was measured. A floor that would fall stays, and the exit code is 1, but with
`--lower`, which is for a change that is worth it and says so in LOG.md.
"""

import argparse
import io
import json
import math
import re
import sys
import tarfile
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import zstandard
from fastwarc.warc import ArchiveIterator

from tests.samples.where import SAMPLES, WHOLE
from webtext.flows.demo.pages import render
from webtext.pipeline.text.extraction.maintext import ENGINES, Article, Page, Reading, read

FILE = Path(__file__).with_name("floors.toml")
HEAD = """# F1 of the main texts found, times 1,000; kept by `python -m tests.floors`.
# A change that makes one fall needs its --lower, and a reason in LOG.md.
"""


def floors() -> dict[str, dict[str, int]]:
    """Return the floors, by set and engine."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def grams(text: str) -> Counter[tuple[str, ...]]:
    """Return the bag of a text's word 4-grams."""
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)) if words)


def share(part: Counter[tuple[str, ...]], whole: Counter[tuple[str, ...]]) -> float:
    """Return how much of a bag another one is; all of an empty one."""
    return part.total() / whole.total() if whole else 1.0


def article(body: bytes, url: str | None, engine: str) -> str:
    """Return the main text of a page, empty where there is none."""
    found = read(Reading(engine=engine, metadata=False), Page(body, "text/html", url))
    return found.text if isinstance(found, Article) else ""


def of_means(pairs: list[tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]]) -> float:
    """Return F1 of the means of precision and recall, of bags wanted and found."""
    precision = mean(share(wanted & found, found) for wanted, found in pairs)
    recall = mean(share(wanted & found, wanted) for wanted, found in pairs)
    return 2 * precision * recall / (precision + recall)


def scrapinghub(data: Path, engine: str, every: int = 1) -> float:
    """Return F1 by the public benchmark's own method: of the means of precision and recall."""
    with (
        zstandard.open(data / "extraction/scrapinghub.tar.zst") as packed,
        tarfile.open(fileobj=packed, mode="r|") as tar,
    ):
        files = {m.name: file.read() for m in tar if (file := tar.extractfile(m))}
    (truth,) = (json.loads(file) for name, file in files.items() if name.endswith("truth.json"))
    pairs = []
    for page in sorted(truth)[::every]:
        (body,) = (file for name, file in files.items() if name.endswith(f"{page}.html"))
        pairs.append((grams(truth[page]["articleBody"]), grams(article(body, None, engine))))
    return of_means(pairs)


def segments(data: Path, engine: str, every: int = 1) -> float:
    """Return F1 by trafilatura's own method: strings that must be there, and that must not."""
    with zstandard.open(data / "extraction/trafilatura_segments.jsonl.zst", "rt") as file:
        records = [json.loads(line) for line in file][::every]
    with zstandard.open(data / "miniweb/news.warc.zst") as file:
        bodies = {
            record.headers["WARC-Target-URI"]: record.reader.read()
            for record in ArchiveIterator(io.BytesIO(file.read()))
            if record.headers["WARC-Type"] == "response"
        }
    found = wrong = 0
    for record in records:
        text = plain(article(bodies[record["url"]], record["url"], engine))
        right = sum(plain(segment) in text for segment in record["with"])
        found += right
        wrong += len(record["with"]) - right
        wrong += sum(plain(segment) in text for segment in record["without"])
    return 2 * found / (2 * found + wrong)


def plain(text: str) -> str:
    """Return a text without soft hyphens, which nobody sees."""
    return text.replace("\xad", "")


def rendered(data: Path, engine: str, every: int = 1) -> float:
    """Return F1 on the samples' texts, made pages as the demo does; everybody has these."""
    with zstandard.open(SAMPLES / "dedup/miniweb_texts.jsonl.zst", "rt") as file:
        texts = [json.loads(line)["text"] for line in file][::every]
    links = [(f"/{number}.html", f"Page {number} of many") for number in range(11)]
    pages = [render("floors.test", text[:40], text, links).encode() for text in texts]
    found = [grams(article(page, None, engine)) for page in pages]
    pairs = [(grams(text), read) for text, read in zip(texts, found, strict=True)]
    return of_means(pairs)


SETS: dict[str, Callable[[Path, str, int], float]] = {
    "scrapinghub": scrapinghub,
    "segments": segments,
    "rendered": rendered,
}


def settled(
    old: dict[str, dict[str, int]], measured: dict[str, dict[str, float]], lower: bool
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return the floors as they shall be, and the names of those that were not reached.

    >>> settled({"a": {"x": 900, "y": 900}}, {"a": {"x": 0.8912, "y": 0.9123}}, lower=False)
    ({'a': {'x': 900, 'y': 912}}, ['a.x'])
    """
    missed = []
    new: dict[str, dict[str, int]] = {}
    for name, engines in measured.items():
        for engine, value in engines.items():
            floor, reached = old.get(name, {}).get(engine, 0), math.floor(value * 1000)
            new.setdefault(name, {})[engine] = reached if lower else max(floor, reached)
            if reached < floor:
                missed.append(f"{name}.{engine}")
    return new, missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lower", action="store_true", help="let floors fall")
    lower = parser.parse_args().lower
    old = floors()
    measured = {
        name: {engine: measure(WHOLE, engine, 1) for engine in ENGINES}
        for name, measure in SETS.items()
    }
    new, missed = settled(old, measured, lower)
    for name, engines in measured.items():
        for engine, value in engines.items():
            print(f"{name} {engine}: F1 {value:.4f}, floor {old[name][engine] / 1000:.3f}")
    tables = (
        f"\n[{name}]\n" + "".join(f"{engine} = {floor}\n" for engine, floor in engines.items())
        for name, engines in new.items()
    )
    FILE.write_text(HEAD + "".join(tables), encoding="utf-8")
    if missed and not lower:
        print(f"under the floor: {', '.join(missed)}; --lower lets it fall", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
