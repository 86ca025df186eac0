"""The similarity of candidate pairs: by their signatures, or by the shingles of the texts.

By signatures: in how many permutations they agree. The columns are read once, a few at a time, for
all the pairs together, so that no signature is ever fetched by row: the time is that of reading
the files, the memory that of a few columns.

By shingles: the size of the intersection over that of the union, of the sets that were signed. What
MinHash estimates to within 1/sqrt(permutations) is exact here, but the texts must be read.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from webtext.pipeline.dedup.clusters.banding import Pairs, unpack
from webtext.pipeline.dedup.signatures.sign import fold_documents
from webtext.pipeline.dedup.signatures.signature_files import Signatures
from webtext.pipeline.dedup.signatures.signing_kernels import compiled

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


def jaccard(texts: pa.StringArray, pairs: Pairs, ngram: int = 5) -> npt.NDArray[np.float64]:
    """Return the true Jaccard similarity of each pair of texts, by their numbers in `texts`.

    That of the sets of word n-grams that signatures are made of, `text.shingles`. Two texts
    without words are not alike. Texts are folded once, whatever the number of their pairs.
    """
    ends, hashes = shingle_sets(texts, ngram)
    left, right = unpack(pairs)
    out = np.empty(len(pairs), np.float64)
    _compare_sets(left, right, ends, hashes, out)
    return out


def shingle_sets(
    texts: pa.StringArray, ngram: int = 5
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return each text's set of shingles as sorted 64-bit hashes: `hashes[ends[i] : ends[i + 1]]`.

    Among a billion shingles, two different ones have the same hash with a probability of 3 %; then
    two texts of the collection share one shingle more than they should.
    """
    folded, words, doc_end, doc_words = fold_documents(texts)
    hashes = np.empty(int(doc_words[-1]), np.uint64)
    ends = np.empty(len(texts) + 1, np.int64)
    _hash_sets(folded, words, doc_end, doc_words, ngram, ends, hashes)
    return ends, hashes[: ends[-1]].copy()


@compiled
def _hash_sets(
    folded: npt.NDArray[np.uint8],
    words: npt.NDArray[np.int64],
    doc_end: npt.NDArray[np.int64],
    doc_words: npt.NDArray[np.int64],
    ngram: int,
    ends: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
) -> None:
    """Hash the words, then the n-grams of their hashes, in place; sort, and leave each once."""
    ends[0] = 0
    for d in range(len(doc_end)):
        first, count = doc_words[d], doc_words[d + 1] - doc_words[d]
        mine = np.empty(count, np.uint64)
        for w in range(count):
            last = words[first + w + 1] - 1 if w + 1 < count else doc_end[d]
            h = np.uint64(0)
            for byte in folded[words[first + w] : last]:
                h = (h ^ np.uint64(byte)) * np.uint64(0x9E3779B97F4A7C15)
                h ^= h >> np.uint64(32)
            mine[w] = h
        shingles = max(count - ngram + 1, min(count, 1))
        for w in range(shingles):
            h = np.uint64(0)
            for word in mine[w : w + ngram]:
                h = (h ^ word) * np.uint64(0xBF58476D1CE4E5B9)
                h ^= h >> np.uint64(29)
            mine[w] = h
        mine = np.sort(mine[:shingles])
        at = ends[d]
        for w in range(shingles):
            if w == 0 or mine[w] != mine[w - 1]:
                hashes[at] = mine[w]
                at += 1
        ends[d + 1] = at


@compiled
def _compare_sets(
    left: npt.NDArray[np.uint32],
    right: npt.NDArray[np.uint32],
    ends: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    out: npt.NDArray[np.float64],
) -> None:
    for i in range(len(left)):
        one = hashes[ends[left[i]] : ends[np.int64(left[i]) + 1]]
        other = hashes[ends[right[i]] : ends[np.int64(right[i]) + 1]]
        a = b = common = 0
        while a < len(one) and b < len(other):  # without unpredictable branches
            x, y = one[a], other[b]
            common += x == y
            a += x <= y
            b += y <= x
        out[i] = common / max(1, len(one) + len(other) - common)
