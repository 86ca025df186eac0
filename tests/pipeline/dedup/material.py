"""Documents for the tests of deduplication: random words, and copies edited to a wanted degree."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.shards import Directory, read_shard, write_parquet
from webtext.pipeline.dedup.clusters.cluster import Cluster, cluster
from webtext.pipeline.dedup.signatures.sign import Sign, sign

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


def clustered(path, found, settings=None, workers=0, sign=None):
    """Sign and cluster documents; return the output directory and the passage."""
    made = signed(path / "signatures", found, sign)
    out = Directory(path / "duplicates")
    out.path.mkdir(parents=True, exist_ok=True)
    (passage,) = cluster(settings or Cluster(), made, found, out, workers)
    return out, passage


def found_in(out):
    return read_shard(out.shard(0)).to_pylist()


def sets(out):
    """Return the clusters as sets of ids."""
    by_name: dict[str, set[str]] = {}
    for row in found_in(out):
        by_name.setdefault(row["cluster"], set()).add(row["id"])
    return sorted(map(sorted, by_name.values()))


def planted(pairs=40, others=40, words=200):
    """Return documents, some with a copy of which a few words were changed, far from each other."""
    texts = [prose(seed, words) for seed in range(pairs + others)]
    copies = [edited(texts[n], 1 + n % 3, n) for n in range(pairs)]
    return rows(texts + copies), pairs, pairs + others
