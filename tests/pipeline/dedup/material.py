"""Documents for the tests of deduplication: random words, and copies edited to a wanted degree."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from pipeline.dedup.sign import Sign, sign
from pipeline.records import DOCUMENT
from pipeline.shards import Directory, write_parquet

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "st", "lt", "")]


def prose(seed: int, words: int = 200) -> str:
    """Return text that shares no shingle with that of another seed."""
    rng = random.Random(seed)
    return " ".join(f"{rng.choice(WORDS)}{rng.choice(WORDS)}" for _ in range(words))


def edited(text: str, edits: int, seed: int) -> str:
    """Return the text with as many words replaced; each breaks five shingles."""
    rng = random.Random(f"edit {seed}")
    words = text.split()
    for at in rng.sample(range(len(words)), edits):
        words[at] = f"edit{rng.choice(WORDS)}{rng.choice(WORDS)}"
    return " ".join(words)


def jaccard(one: str, other: str, ngram: int = 5) -> float:
    """Return the true similarity of two texts of plain words."""
    first, second = (
        {tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1)}
        for words in (one.split(), other.split())
    )
    return len(first & second) / len(first | second)


def documents(path: Path, rows: Sequence[dict[str, Any]], shards: int = 1) -> Directory:
    """Write rows with id and text, and whatever else of DOCUMENT, dealt to as many shards."""
    out = Directory(path)
    for number in range(shards):
        batch = pa.RecordBatch.from_pylist(list(rows[number::shards]), schema=DOCUMENT)
        write_parquet(out.shard(number), [batch], DOCUMENT)
    return out


def signed(path: Path, found: Directory, settings: Sign | None = None) -> Directory:
    out = Directory(path)
    out.path.mkdir(parents=True, exist_ok=True)
    sign(settings or Sign(), found, out, 0)
    return out


def rows(texts: Iterable[str]) -> list[dict[str, Any]]:
    return [{"id": f"{number:016x}", "text": text} for number, text in enumerate(texts)]


def json_lines(path: Path) -> list[dict[str, Any]]:
    with zstandard.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
