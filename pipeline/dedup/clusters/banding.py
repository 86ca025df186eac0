"""Candidate pairs: documents that agree in all rows of a band, one band at a time.

It takes about 30 bytes of memory a document, however many bands there are. Bands are independent,
so they can be done anywhere and in any order.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from webtext.pipeline.dedup.signatures.signature_files import Signatures, column
from webtext.pipeline.dedup.signatures.signing_kernels import compiled

Pairs = npt.NDArray[np.uint64]  # smaller row number << 32 | larger one; sorted, each once

# In groups of up to this many documents that share a band, all pairs are compared. In a larger
# group (many copies, or many pages of one template) each is compared only with its neighbours,
# sorted by the next band: copies share more than one band, pages of a template do not, so copies
# are side by side.
ALL_PAIRS = 8
NEIGHBOURS = 4


@compiled
def _mix(hashes: npt.NDArray[np.uint64], values: npt.NDArray[np.uint32]) -> None:
    """Add one more row of the band to its hash."""
    for i in range(len(hashes)):
        h = (hashes[i] ^ np.uint64(values[i])) * np.uint64(0x9E3779B97F4A7C15)
        hashes[i] = h ^ (h >> np.uint64(32))


@compiled
def _repeated(
    hashes: npt.NDArray[np.uint64],
    alive: npt.NDArray[np.bool_],
    shift: int,
    bits: npt.NDArray[np.uint64],
) -> npt.NDArray[np.bool_]:
    """Mark documents whose hash may occur twice: it may mark a few too many, but misses none.

    `bits` is two bitmaps, of hashes seen once and seen again, of 2**(64 - shift) bits each. Most
    documents have no copy, and this shows it without sorting.
    """
    again = len(bits) // 2
    for i in range(len(hashes)):
        if alive[i]:
            slot = hashes[i] >> np.uint64(shift)
            word = np.int64(slot >> np.uint64(6))
            bit = np.uint64(1) << (slot & np.uint64(63))
            if bits[word] & bit:
                bits[again + word] |= bit
            else:
                bits[word] |= bit
    found = np.zeros(len(hashes), np.bool_)
    for i in range(len(hashes)):
        if alive[i]:
            slot = hashes[i] >> np.uint64(shift)
            bit = np.uint64(1) << (slot & np.uint64(63))
            found[i] = (bits[again + np.int64(slot >> np.uint64(6))] & bit) != 0
    return found


def repeated(hashes: npt.NDArray[np.uint64], alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the numbers of the living documents that share their hash with another, by hash."""
    width = max(10, int(16 * max(len(hashes), 1) - 1).bit_length())  # 16 bits a document: 6 % err
    bits = np.zeros(2 * (1 << (width - 6)), np.uint64)
    chosen = np.flatnonzero(_repeated(hashes, alive, 64 - width, bits))
    return chosen[np.argsort(hashes[chosen], kind="stable")]


def groups(
    hashes: npt.NDArray[np.uint64], ordered: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (start, size) of the runs of two or more equal hashes among `ordered` documents."""
    if not len(ordered):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    values = hashes[ordered]
    start = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    size = np.diff(np.append(start, len(values)))
    return start[size > 1], size[size > 1]


def band_hash(signatures: Signatures, band: int, rows: int) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of a band of every document."""
    names = [column(band * rows + row) for row in range(rows)]
    hashes = np.zeros(signatures.rows, np.uint64)
    for start, table in signatures.tables(names):
        mine = hashes[start : start + table.num_rows]
        for name in names:
            _mix(mine, table[name].to_numpy())
    return hashes


def candidates(
    signatures: Signatures,
    alive: npt.NDArray[np.bool_],
    tie: npt.NDArray[np.uint64],
    band: int,
    bands: int,
    rows: int,
) -> Pairs:
    """Return the pairs of living documents that share band `band`.

    `tie` orders documents by their content, so that the order of the rows does not matter.
    """
    hashes = band_hash(signatures, band, rows)
    ordered = repeated(hashes, alive)
    start, size = groups(hashes, ordered)
    small = size <= ALL_PAIRS
    found = [_all_pairs(ordered, start[small], size[small])]
    if not small.all():
        start, size = start[~small], size[~small]
        member = np.repeat(start, size) + _count_up(size)
        crowd = ordered[member]
        following = band_hash(signatures, (band + 1) % bands, rows)[crowd]
        group = np.repeat(np.arange(len(size)), size)
        order = np.lexsort((tie[crowd], following, group))
        found.append(_neighbours(crowd[order], group[order]))
    return distinct(found)


def distinct(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return all distinct values of some arrays, sorted.

    numpy's own `unique` uses hashing, which takes ten times as long for millions of numbers.
    """
    values = np.sort(np.concatenate(parts))
    fresh = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values[fresh]


def _count_up(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return 0, 1, ... for each size, starting again at 0.

    >>> _count_up(np.array([2, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)


def pack(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Pairs:
    """Return pairs of row numbers, the smaller one first."""
    low: Pairs = np.minimum(left, right).astype(np.uint64)
    high: Pairs = np.maximum(left, right).astype(np.uint64)
    return (low << np.uint64(32)) | high


def unpack(pairs: Pairs) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the two row numbers of each pair."""
    return (pairs >> np.uint64(32)).astype(np.uint32), pairs.astype(np.uint32)


def _all_pairs(
    ordered: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
) -> Pairs:
    """Return every pair within each group."""
    found: list[Pairs] = []
    for n in range(2, ALL_PAIRS + 1):  # groups of one size at a time, as a table
        table = ordered[start[size == n][:, None] + np.arange(n)]
        found.extend(pack(table[:, i], table[:, j]) for i, j in combinations(range(n), 2))
    return np.concatenate(found)


def _neighbours(ordered: npt.NDArray[np.int64], group: npt.NDArray[np.int64]) -> Pairs:
    """Return each document with the next few of its group."""
    found = []
    for step in range(1, NEIGHBOURS + 1):
        same = group[:-step] == group[step:]
        found.append(pack(ordered[:-step][same], ordered[step:][same]))
    return np.concatenate(found)
