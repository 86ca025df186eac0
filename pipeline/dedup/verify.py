"""How alike candidate pairs are: in how many permutations their signatures agree.

The columns are read once, a few at a time, for all the pairs together, so that no signature is
ever fetched by row: the time is that of reading the files, the memory that of a few columns.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt

from pipeline.dedup.banding import Pairs, unpack
from pipeline.dedup.kernels import compiled
from pipeline.dedup.signatures import Signatures

COLUMNS = 4  # read at once by each thread: 16 bytes a document


@compiled
def _count_equal(
    left: npt.NDArray[np.uint32],
    right: npt.NDArray[np.uint32],
    values: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.uint16],
) -> None:
    for i in range(len(left)):
        counts[i] += values[left[i]] == values[right[i]]


def similarity(signatures: Signatures, pairs: Pairs, threads: int) -> npt.NDArray[np.float32]:
    """Return each pair's estimated Jaccard similarity, as datasketch's `MinHash.jaccard` does."""
    if not len(pairs):
        return np.empty(0, np.float32)
    left, right = unpack(pairs)
    firsts = range(0, signatures.permutations, COLUMNS)
    shares = [firsts[n :: max(threads, 1)] for n in range(max(threads, 1))]
    work = partial(_share, signatures, left, right)
    with ThreadPoolExecutor(len(shares)) as pool:
        counts = sum(pool.map(work, shares), np.zeros(len(pairs), np.uint16))
    return np.asarray(counts / np.float32(signatures.permutations), np.float32)


def _share(
    signatures: Signatures,
    left: npt.NDArray[np.uint32],
    right: npt.NDArray[np.uint32],
    firsts: Sequence[int],
) -> npt.NDArray[np.uint16]:
    """Count agreement over the permutations of one thread."""
    counts = np.zeros(len(left), np.uint16)
    for first in firsts:
        columns = signatures.minima(first, min(COLUMNS, signatures.permutations - first))
        for values in columns:
            _count_equal(left, right, values, counts)
    return counts
