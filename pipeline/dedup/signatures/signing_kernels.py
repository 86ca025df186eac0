"""Two of the three loops of signing, compiled: fold text, take minima; hashing is `sha1`'s.

They run over Arrow's own buffers. A shingle is never a Python object and never copied: words are in
the folded text with one space between them, so an n-gram of words is a slice of it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import extending

from webtext.pipeline.core.compiled import njit

F = TypeVar("F", bound=Callable[..., Any])

NO_ROOM = -1  # the return value of `fold_batch` if its buffers are too small

# numba's type annotations of these differ between its versions.
_intrinsic: Any = extending.intrinsic


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a function that emits instructions into one that kernels can call."""
    made: Callable[..., Any] = _intrinsic(function)
    return made


def compiled(function: F) -> F:
    """Compile a kernel, and cache the machine code for the next process."""
    kernel: F = njit(nogil=True, error_model="numpy")(function)
    return kernel


@compiled
def _decode(text: npt.NDArray[np.uint8], at: int, table_size: int) -> tuple[Any, int]:
    """Return the code point that begins at `at`, above ASCII, and where the next one begins.

    Invalid UTF-8 and code points above the table become a space, tags a soft hyphen.
    """
    first = np.int64(text[at])
    extra = 3 if first >= 0xF0 else 2 if first >= 0xE0 else 1
    if first < 0xC0 or first >= 0xF8 or at + extra >= len(text):
        return 0x20, at + 1
    code: Any = first & (0x3F >> extra)
    for i in range(extra):
        code = (code << 6) | np.int64(text[at + 1 + i] & 0x3F)
    if code >= table_size:
        code = 0xAD if code >> 12 == 0xE0 else 0x20
    return code, at + 1 + extra


@compiled
def _fold(
    text: npt.NDArray[np.uint8],
    table_start: npt.NDArray[np.int32],
    table: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    words: npt.NDArray[np.int64],
    at: int,
    count: int,
    room: int,
) -> tuple[int, int]:
    """Fold one document to `out[at:]` and `words[count:]`; return the ends, or NO_ROOM.

    There is no branch on whether a word starts, which the processor cannot predict: every byte is
    written, and overwritten by the next one if it is one space or digit too many.
    """
    begin = at
    previous = np.uint8(32)
    i = 0
    while i < len(text):
        if at > room:
            return -1, count
        if text[i] < 0x80:  # one byte becomes one byte: as below, without the loop
            byte = table[table_start[text[i]]]
            i += 1
            out[at] = byte
            words[count] = at
            count += (previous == 32) & (byte != 32)
            at += not ((byte == previous) & (byte <= 48))  # only " " and "0" are so low
            previous = byte
            continue
        code, i = _decode(text, i, len(table_start) - 1)
        for byte in table[table_start[code] : table_start[code + 1]]:
            out[at] = byte
            words[count] = at
            count += (previous == 32) & (byte != 32)
            at += not ((byte == previous) & (byte <= 48))
            previous = byte
    if at > begin and previous == 32:
        at -= 1
    return at, count


@compiled
def fold_batch(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    table_start: npt.NDArray[np.int32],
    table: npt.NDArray[np.uint8],
    longest: int,
    out: npt.NDArray[np.uint8],
    words: npt.NDArray[np.int64],
    doc_end: npt.NDArray[np.int64],
    doc_words: npt.NDArray[np.int64],
) -> int:
    """Fold every document, as `text.fold` does; return the bytes written, or NO_ROOM.

    Document d is in `out[doc_end[d - 1] : doc_end[d]]`, and its words begin at
    `words[doc_words[d] : doc_words[d + 1]]`. `words` must be half as long as `out`, and
    `longest` longer.
    """
    at = 0
    count = 0
    doc_words[0] = 0
    room = len(out) - longest
    for d in range(len(offsets) - 1):
        text = data[offsets[d] : offsets[d + 1]]
        at, count = _fold(text, table_start, table, out, words, at, count, room)
        if at < 0:
            return -1
        doc_end[d] = at
        doc_words[d + 1] = count
    return at


@compiled
def minima(
    hashes: npt.NDArray[np.uint32],
    doc_shingles: npt.NDArray[np.int64],
    multipliers: npt.NDArray[np.uint32],
    addends: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint32],
) -> None:
    """Write signatures to `out[permutation, document]`, as datasketch's scheme affine32 does.

    `hashes` are mixed in place first.
    """
    for i in range(len(hashes)):  # MurmurHash3's finalizer, as datasketch mixes any hash
        h = np.uint32(hashes[i])
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        hashes[i] = h ^ (h >> np.uint32(16))
    for d in range(len(doc_shingles) - 1):
        mine = hashes[doc_shingles[d] : doc_shingles[d + 1]]  # a slice, else it is not vectorised
        for k in range(len(multipliers)):
            a = multipliers[k]
            b = addends[k]
            least = np.uint32(0xFFFFFFFF)
            for i in range(len(mine)):
                least = min(least, np.uint32(a * mine[i] + b))
            out[k, d] = least
