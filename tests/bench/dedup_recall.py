"""What becomes of edited copies of real documents, by true similarity, beside the S-curve.

    python -m tests.bench.dedup_recall [--data DIR] [--copies 3]

The protocol of the studies on CORE, on texts that can be had: every document is copied with typos,
boilerplate, a truncation, or its paragraphs in another order, to degrees from none to most of it;
pairs are sorted by the true Jaccard similarity of their shingles. A pair counts as found where a
band agrees, and as verified where seven permutations in ten do too: by itself, without what other
documents may connect.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tests.bench.dedup import texts_of
from tests.bench.peers import ROOT
from webtext.pipeline.dedup.clusters.banding import pack
from webtext.pipeline.dedup.clusters.cluster import Cluster
from webtext.pipeline.dedup.clusters.curve import recall, verified_recall
from webtext.pipeline.dedup.clusters.verify import jaccard
from webtext.pipeline.dedup.signatures.sign import Sign, signatures

LETTERS = "abcdefghijklmnopqrstuvwxyz"
KINDS = ("typos", "boilerplate", "truncation", "paragraphs")
BOUNDS = np.arange(3, 11) / 10  # of the bins of similarity
STANDARD_ERRORS = 4  # further off the curve than this, by luck, 1 bin in 16,000 is


def copied(text: str, kind: str, degree: float, rng: random.Random) -> str:
    """Return the text, edited: `degree` 0 not at all, 1 past recognition."""
    words = text.split(" ")
    if kind == "typos":
        damaged = (
            word + rng.choice("aeiou") if rng.random() < degree / 4 else word for word in words
        )
        return " ".join(damaged)
    if kind == "boilerplate":
        menu = " ".join(
            "".join(rng.choices(LETTERS, k=6)) for _ in range(int(2 * len(words) * degree))
        )
        return f"{menu}\n{text}"
    if kind == "truncation":
        return " ".join(words[: max(5, int(len(words) * (1 - 0.7 * degree)))])
    length = max(10, int(10 / max(degree, 0.05)))  # words
    parts = [words[at : at + length] for at in range(0, len(words), length)]
    rng.shuffle(parts)
    return "\n\n".join(" ".join(part) for part in parts)


@dataclass(frozen=True)
class Found:
    """Pairs of a document and its copy, in three arrays of one length."""

    similarity: npt.NDArray[np.float64]  # true
    met: npt.NDArray[np.bool_]  # in a band
    verified: npt.NDArray[np.bool_]  # met, and their signatures are alike


def pairs(texts: list[str], kind: str, copies: int, seed: int = 1) -> Found:
    """Copy each text to random degrees and see which pairs the default settings find."""
    rng = random.Random(f"{kind} {seed}")
    cluster = Cluster()
    given = pa.array([text for text in texts for _ in range(copies)])
    made = pa.array([copied(str(text), kind, rng.random(), rng) for text in given])
    one, other = (signatures(Sign(), side)[0] for side in (given, made))
    same = (one == other)[: cluster.permutations]
    met = same.reshape(cluster.bands, cluster.rows, -1).all(axis=1).any(axis=0)
    numbers = np.arange(len(given))
    true = jaccard(pa.concat_arrays([given, made]), pack(numbers, numbers + len(given)))
    return Found(true, met, met & (same.mean(axis=0) >= cluster.verify_at))


def bins(found: Found) -> Iterator[tuple[float, int, list[tuple[int, float, float]]]]:
    """Yield each bin's lower bound and pairs, and for met and verified (hits, expected, error)."""
    settings = Cluster()
    for low in BOUNDS[:-1]:
        chosen = (found.similarity >= low) & (found.similarity < low + 0.1)
        true = found.similarity[chosen]
        rows = []
        for hits, curve in (
            (found.met, [recall(s, settings.bands, settings.rows) for s in true]),
            (found.verified, verified_at(true)),
        ):
            chance = np.array(curve)
            error = float(np.sqrt((chance * (1 - chance)).sum()))
            rows.append((int(hits[chosen].sum()), float(chance.sum()), error))
        yield float(low), len(true), rows


def verified_at(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the exact curve with verification, looked up at a thousandth."""
    settings = Cluster()
    known: dict[float, float] = {}
    for s in np.round(similarity, 3).tolist():
        if s not in known:
            known[s] = verified_recall(s, settings.bands, settings.rows, settings.verify_at)
    return np.array([known[s] for s in np.round(similarity, 3).tolist()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--copies", type=int, default=3, help="of each document and kind")
    options = parser.parse_args()
    texts = texts_of(options.data)
    for kind in KINDS:
        print(f"{kind}: {len(texts) * options.copies} copies")
        print("  Jaccard  pairs   met  curve  verified  curve")
        for low, count, ((met, likely, _), (sure, likely_sure, _)) in bins(
            pairs(texts, kind, options.copies)
        ):
            shares = [part / max(1, count) for part in (met, likely, sure, likely_sure)]
            print("  {:.1f}-{:.1f} {:7} {:6.3f} {:6.3f}    {:6.3f} {:6.3f}".format(
                low, low + 0.1, count, *shares
            ))  # fmt: skip


if __name__ == "__main__":
    main()
