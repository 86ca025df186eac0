"""Exact copies: documents whose folded texts are equal, found cheaply by their hash."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from webtext.pipeline.dedup.clusters.banding import repeated
from webtext.pipeline.dedup.signatures.signature_files import EXACT_BYTES, Signatures


@dataclass(frozen=True)
class Copies:
    """Which documents repeat another one exactly, by row number."""

    first: npt.NDArray[np.uint32]  # a document with the same folded text: the first such row
    alive: npt.NDArray[np.bool_]  # has words and is the first of its copies: enters the bands
    tie: npt.NDArray[np.uint64]  # orders the living documents by content, independent of their rows


def exact_copies(signatures: Signatures, ignored: npt.NDArray[np.bool_]) -> Copies:
    """Find exact copies. Documents without words, or ignored, have none and are not alive."""
    chunks = [
        np.frombuffer(chunk.fill_null(bytes(EXACT_BYTES)).buffers()[1], np.uint64)
        for chunk in signatures.read("exact").chunks
    ]
    hashes = np.concatenate([np.empty(0, np.uint64), *chunks]).reshape(-1, EXACT_BYTES // 8)
    alive = (signatures.read("shingles").to_numpy() > 0) & ~ignored
    high, low = np.ascontiguousarray(hashes[:, 0]), np.ascontiguousarray(hashes[:, 1])
    chosen = repeated(high, alive)
    chosen = chosen[np.lexsort((chosen, low[chosen], high[chosen]))]
    first = np.arange(len(high), dtype=np.uint32)
    if len(chosen):
        parted = (high[chosen][1:] != high[chosen][:-1]) | (low[chosen][1:] != low[chosen][:-1])
        starts = np.concatenate(([True], parted))
        first[chosen] = chosen[starts][np.cumsum(starts) - 1]
        alive[chosen[~starts]] = False
    return Copies(first, alive, high)
