"""Sha1 of every shingle, many at once: the loop that takes most of the time of signing.

Shingles are slices of the folded text. Each takes a lane of vector registers; those that sha1 pads
to one block, which most are, never wait for longer ones.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import binding as host
from llvmlite import ir
from numba import types

from webtext.pipeline.dedup.signatures.signing_kernels import compiled, intrinsic

# Shingles hashed at once: a vector register of 32-bit words. AVX2 has too few for more than 8.
LANES = 16 if host.get_host_cpu_features().get("avx512f") else 8
STATE = 5  # words of a sha1 state
BLOCK = 16  # words of a sha1 block
ONE_BLOCK = 55  # most bytes of a message that sha1 pads to one block
READ_AHEAD = 72  # bytes: a whole block is read, and the last one may begin 8 after the message

# Source: FIPS 180-4, sections 5.3.1 and 4.2.1
SHA1_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
SHA1_ROUND = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)


@intrinsic
def _sha1_block(_context: Any, state: Any, blocks: Any) -> Any:
    """Update the sha1 state of each lane with one block, all lanes in vector registers.

    `state` is [word, lane] and `blocks` [lane, word]. Written as vector instructions, because the
    compiler turns plain loops over lanes into scalar code, which is ten times slower.
    """
    vector = ir.VectorType(ir.IntType(32), LANES)

    def codegen(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        places = []
        for kind, given in zip(signature.args, arguments, strict=True):
            array = context.make_array(kind)(context, build, given)
            places.append(build.bitcast(array.data, vector.as_pointer()))

        def load(place: Any, index: int) -> Any:
            value = build.load(build.gep(place, [ir.Constant(ir.IntType(32), index)]))
            value.align = 4
            return value

        start = [load(places[0], index) for index in range(STATE)]
        kind = ir.FunctionType(vector, [vector])
        swap = build.module.declare_intrinsic(f"llvm.bswap.v{LANES}i32", (), kind)
        words: list[Any] = []
        step = BLOCK // LANES
        for piece in range(step):
            rows = [load(places[1], lane * step + piece) for lane in range(LANES)]
            words += _transposed(build, [build.call(swap, [row]) for row in rows])
        for index, value in enumerate(_sha1_rounds(build, vector, start, words)):
            place = build.gep(places[0], [ir.Constant(ir.IntType(32), index)])
            build.store(value, place).align = 4
        return context.get_dummy_value()

    return types.void(state, blocks), codegen


def _transposed(build: Any, rows: list[Any]) -> list[Any]:
    """Emit the transposition of a square of words, by halves, quarters and so on."""
    far = LANES // 2
    while far:
        low = [j if not j & far else LANES + j - far for j in range(LANES)]
        high = [j + far if not j & far else LANES + j for j in range(LANES)]
        picks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), pick) for pick in (low, high)]
        for i in range(LANES):
            if not i & far:
                one, other = rows[i], rows[i + far]
                rows[i] = build.shuffle_vector(one, other, picks[0])
                rows[i + far] = build.shuffle_vector(one, other, picks[1])
        far //= 2
    return rows


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
def _lay(
    _context: Any,
    blocks: Any,
    lane: Any,  # noqa: ARG001 -- a signature
    data: Any,
    at: Any,  # noqa: ARG001
    kept: Any,
    added: Any,
    row: Any,  # noqa: ARG001
) -> Any:
    """Write 64 bytes from `at`, ANDed with `kept[row]`, ORed with `added[row]`, to `blocks[lane]`.

    Without a branch: the processor mispredicts the length of the next shingle every time, and the
    mispredictions took longer than sha1.
    """
    block = ir.VectorType(ir.IntType(32), BLOCK)

    def codegen(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        def place(which: int) -> Any:
            array = context.make_array(signature.args[which])(context, build, arguments[which])
            return array.data

        def load(pointer: Any, align: int) -> Any:
            value = build.load(build.bitcast(pointer, block.as_pointer()))
            value.align = align
            return value

        def block_of(which: int, number: Any) -> Any:
            return build.gep(build.bitcast(place(which), block.as_pointer()), [number])

        text = load(build.gep(place(2), [arguments[3]]), 1)
        text = build.and_(text, load(block_of(4, arguments[6]), 4))
        text = build.or_(text, load(block_of(5, arguments[6]), 4))
        build.store(text, block_of(0, arguments[1])).align = 4
        return context.get_dummy_value()

    int64 = types.int64
    return types.void(blocks, int64, data, int64, kept, added, int64), codegen


def _padding() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the masks `kept` and `added` of `_lay`: row n, 0 to 65, is for n - 1 bytes left.

    Row 0 is for -1 or less. Source: FIPS 180-4, section 5.1.1: a bit after the message. Rows from
    66 also have the length that ends a message of one block; longer ones get it in `_hash_lanes`.
    """
    kept = np.zeros((66 + ONE_BLOCK + 1, 64), np.uint8)
    added = np.zeros_like(kept)
    for left in range(65):
        kept[left + 1, :left] = 255
        added[left + 1, left : left + 1] = 0x80
    whole = slice(66, None)
    kept[whole], added[whole] = kept[1 : ONE_BLOCK + 2], added[1 : ONE_BLOCK + 2]
    bits = (8 * np.arange(ONE_BLOCK + 1)).astype(">u2")
    added[whole, 62:] = bits[:, None].view(np.uint8)
    return kept.view(np.uint32), added.view(np.uint32)


KEPT, ADDED = _padding()


@compiled
def _swapped(value: np.uint32) -> np.uint32:
    """Return the four bytes in reverse order."""
    ends = (value >> np.uint32(24)) | (value << np.uint32(24))
    middle = ((value >> np.uint32(8)) & np.uint32(0xFF00)) | ((value << np.uint32(8)) & 0xFF0000)
    return np.uint32(ends | middle)


@compiled
def _hash_lanes(
    state: npt.NDArray[np.uint32],
    blocks: npt.NDArray[np.uint32],
    data: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint32],
    used: int,
) -> None:
    """Hash `used` messages at once to `out[place]`, as datasketch.sha1_hash32 does."""
    most = 0
    for lane in range(used):
        most = max(most, (length[lane] + 8) // 64 + 1)
    for row in range(STATE):
        for lane in range(LANES):
            state[row, lane] = SHA1_START[row]
    for block in range(most):
        for lane in range(used):
            left = length[lane] - 64 * block
            if most == 1:
                _lay(blocks, lane, data, start[lane], KEPT, ADDED, 66 + left)
            elif left > -9:
                row = min(max(left, -1), 64) + 1
                _lay(blocks, lane, data, start[lane] + 64 * block, KEPT, ADDED, row)
                if left <= ONE_BLOCK:
                    blocks[lane, 15] = _swapped(np.uint32(8 * length[lane]))
        _sha1_block(state, blocks)
        for lane in range(used):
            if block == (length[lane] + 8) // 64:
                out[place[lane]] = _swapped(state[0, lane])


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

    `folded` must have READ_AHEAD bytes after the last document. Shingles of one block and longer
    ones are collected separately, so that lanes are not idle.
    """
    state = np.zeros((STATE, LANES), np.uint32)
    blocks = np.zeros((LANES, BLOCK), np.uint32)
    start = np.zeros((2, LANES), np.int64)
    length = np.zeros((2, LANES), np.int64)
    place = np.zeros((2, LANES), np.int64)
    used = np.zeros(2, np.int64)
    done = 0
    doc_shingles[0] = 0
    for d in range(len(doc_end)):
        first = doc_words[d]
        last = doc_words[d + 1]
        here = max(last - first - ngram + 1, min(last - first, 1))
        for w in range(first, first + here):
            end = words[w + ngram] - 1 if w + ngram < last else doc_end[d]
            queue = np.int64(end - words[w] > ONE_BLOCK)
            lane = used[queue]
            start[queue, lane] = words[w]
            length[queue, lane] = end - words[w]
            place[queue, lane] = done
            used[queue] += 1
            done += 1
            if lane == LANES - 1:
                _hash_lanes(
                    state, blocks, folded, start[queue], length[queue], place[queue], out, LANES
                )
                used[queue] = 0
        doc_shingles[d + 1] = done
    for rest in range(2):
        _hash_lanes(state, blocks, folded, start[rest], length[rest], place[rest], out, used[rest])
