"""The three loops of signing, compiled: fold text, hash shingles, take minima.

They run over Arrow's own buffers. A shingle is never a Python object, nor even copied: words lie in
the folded text with one space between them, so an n-gram of words is a slice of it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import extending, types

F = TypeVar("F", bound=Callable[..., Any])

LANES = 8  # shingles hashed at once: one AVX2 register of 32-bit words; 16 spilled and was slower
NO_ROOM = -1  # what `fold_batch` returns where its buffers are too small

# Rows of the hash buffer: 5 of state, 16 of message, LANES wide.
STATE_ROWS = 5
BUFFER_ROWS = 21

# Source: FIPS 180-4, sections 5.3.1 and 4.2.1
SHA1_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
SHA1_ROUND = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)


# What numba says of the types of these differs between its versions.
_jit: Any = numba.njit
_intrinsic: Any = extending.intrinsic


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make of a function that emits instructions one that kernels call."""
    made: Callable[..., Any] = _intrinsic(function)
    return made


def compiled(function: F) -> F:
    """Compile a kernel, keeping the machine code for the next process where a place can be found.

    Numba looks beside the source and then in the user's cache (or in NUMBA_CACHE_DIR). A system
    install run without a home has neither: then each process compiles anew.
    """
    try:
        kernel: F = _jit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        kernel = _jit(nogil=True, error_model="numpy")(function)
    return kernel


@intrinsic
def _sha1_block(_context: Any, buffer: Any) -> Any:
    """Take one block of each lane into its sha1 state, all lanes in vector registers.

    Written as the vector instructions themselves: of plain loops over lanes the compiler makes
    scalar code, ten times slower. On a machine with narrower registers it splits the vectors.
    """
    vector = ir.VectorType(ir.IntType(32), LANES)

    def codegen(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, build, arguments[0])
        base = build.bitcast(array.data, vector.as_pointer())

        def row(index: int) -> Any:
            return build.gep(base, [ir.Constant(ir.IntType(32), index)])

        def load(index: int) -> Any:
            value = build.load(row(index))
            value.align = 4
            return value

        start = [load(index) for index in range(STATE_ROWS)]
        kind = ir.FunctionType(vector, [vector])
        swap = build.module.declare_intrinsic(f"llvm.bswap.v{LANES}i32", (), kind)
        words = [build.call(swap, [load(index)]) for index in range(STATE_ROWS, BUFFER_ROWS)]
        for index, value in enumerate(_sha1_rounds(build, vector, start, words)):
            build.store(value, row(index)).align = 4
        return context.get_dummy_value()

    return types.void(buffer), codegen


def _sha1_rounds(build: Any, vector: Any, start: list[Any], words: list[Any]) -> list[Any]:
    """Emit the 80 rounds; return the new state. Source: FIPS 180-4, section 6.1.2."""

    def constant(value: int) -> Any:
        return ir.Constant(vector, [value] * LANES)

    def rotate(value: Any, by: int) -> Any:
        left, right = build.shl(value, constant(by)), build.lshr(value, constant(32 - by))
        return build.or_(left, right)

    a, b, c, d, e = start
    for t in range(80):
        if t >= 16:
            mixed = build.xor(build.xor(words[t - 3], words[t - 8]), words[t - 14])
            words.append(rotate(build.xor(mixed, words[t - 16]), 1))
        if t < 20:
            chosen = build.xor(d, build.and_(b, build.xor(c, d)))
        elif 40 <= t < 60:
            chosen = build.or_(build.and_(b, c), build.and_(d, build.or_(b, c)))
        else:
            chosen = build.xor(b, build.xor(c, d))
        added = build.add(build.add(e, words[t]), constant(SHA1_ROUND[t // 20]))
        a, b, c, d, e = build.add(build.add(rotate(a, 5), chosen), added), a, rotate(b, 30), c, d
    return [build.add(old, new) for old, new in zip(start, (a, b, c, d, e), strict=True)]


@intrinsic
def _four_bytes(_context: Any, data: Any, at: Any) -> Any:  # noqa: ARG001 -- a signature
    """Load the four bytes at `at`, aligned or not."""

    def codegen(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, build, arguments[0])
        byte = build.gep(array.data, [arguments[1]])
        word = build.load(build.bitcast(byte, ir.IntType(32).as_pointer()))
        word.align = 1
        return word

    return types.uint32(data, types.int64), codegen


@compiled
def _decode(text: npt.NDArray[np.uint8], at: int, table_size: int) -> tuple[Any, int]:
    """Return the code point that begins at `at`, above ASCII, and where the next one begins.

    A space stands for what is not UTF-8 or lies above the table, a soft hyphen for a tag.
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

    Nothing branches on whether a word starts, which is a coin toss to the processor: every byte
    is written, and the next one over it where it is one space or digit too many.
    """
    begin = at
    previous = np.uint8(32)
    i = 0
    while i < len(text):
        if at > room:
            return -1, count
        if text[i] < 0x80:  # one byte becomes one byte: the same as below without the loop
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

    Document d lies in `out[doc_end[d - 1] : doc_end[d]]`, and its words begin at
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
def _swapped(value: np.uint32) -> np.uint32:
    """Return the four bytes in the other order."""
    ends = (value >> np.uint32(24)) | (value << np.uint32(24))
    middle = ((value >> np.uint32(8)) & np.uint32(0xFF00)) | ((value << np.uint32(8)) & 0xFF0000)
    return np.uint32(ends | middle)


@compiled
def _fill_lane(
    buffer: npt.NDArray[np.uint32],
    lane: int,
    data: npt.NDArray[np.uint8],
    start: int,
    left: int,
    bits: int,
) -> None:
    """Lay the next block of a message with `left` bytes to go into its lane, as sha1 pads it.

    Reads up to 3 bytes beyond the message, which must be there. The words are turned round to
    sha1's order of bytes when all lanes are full.
    """
    whole = min(max(left, 0) >> 2, 16)
    for t in range(whole):
        buffer[5 + t, lane] = _four_bytes(data, start + 4 * t)
    for t in range(whole, 16):
        buffer[5 + t, lane] = 0
    if 0 <= left < 64:
        end = np.uint64(1) << np.uint64(8 * (left & 3))  # the bit after the message
        tail = np.uint64(_four_bytes(data, start + 4 * whole)) & (end - np.uint64(1))
        buffer[5 + whole, lane] = np.uint32(tail | (end << np.uint64(7)))
    if left < 56:
        buffer[20, lane] = _swapped(np.uint32(bits))


@compiled
def _hash_lanes(
    buffer: npt.NDArray[np.uint32],
    data: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint32],
    at: int,
    used: int,
) -> None:
    """Hash `used` messages at once into `out[at : at + used]`, as datasketch.sha1_hash32 does."""
    blocks = 0
    for lane in range(used):
        blocks = max(blocks, (length[lane] + 8) // 64 + 1)
    for row in range(5):
        for lane in range(LANES):
            buffer[row, lane] = SHA1_START[row]
    for block in range(blocks):
        done = 64 * block
        for lane in range(used):
            left = length[lane] - done
            _fill_lane(buffer, lane, data, start[lane] + done, left, 8 * length[lane])
        _sha1_block(buffer)
        for lane in range(used):
            if block == (length[lane] + 8) // 64:
                out[at + lane] = _swapped(buffer[0, lane])


@compiled
def hash_batch(
    folded: npt.NDArray[np.uint8],
    words: npt.NDArray[np.int64],
    doc_end: npt.NDArray[np.int64],
    doc_words: npt.NDArray[np.int64],
    ngram: int,
    doc_shingles: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint32],
) -> None:
    """Hash every document's shingles; those of document d are `out[doc_shingles[d] : [d + 1]]`.

    `folded` must go on for 3 bytes after the last document.
    """
    buffer = np.zeros((BUFFER_ROWS, LANES), np.uint32)
    start = np.zeros(LANES, np.int64)
    length = np.zeros(LANES, np.int64)
    used = 0
    done = 0
    doc_shingles[0] = 0
    for d in range(len(doc_end)):
        first = doc_words[d]
        last = doc_words[d + 1]
        here = max(last - first - ngram + 1, min(last - first, 1))
        for w in range(first, first + here):
            start[used] = words[w]
            end = words[w + ngram] - 1 if w + ngram < last else doc_end[d]
            length[used] = end - words[w]
            used += 1
            if used == LANES:
                _hash_lanes(buffer, folded, start, length, out, done, used)
                done += used
                used = 0
        doc_shingles[d + 1] = doc_shingles[d] + here
    _hash_lanes(buffer, folded, start, length, out, done, used)


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
        mine = hashes[doc_shingles[d] : doc_shingles[d + 1]]  # a slice, or it is not vectorised
        for k in range(len(multipliers)):
            a = multipliers[k]
            b = addends[k]
            least = np.uint32(0xFFFFFFFF)
            for i in range(len(mine)):
                least = min(least, np.uint32(a * mine[i] + b))
            out[k, d] = least
