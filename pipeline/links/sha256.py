"""SHA-256 of many short texts at once, sixteen side by side, compiled.

One after another they cost 0.25 us for each 64 bytes, and a call of hashlib several times that.
All steps are the same for each text, so the vectors of any processor take several of them in one.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.links.vectors import byte_at, intrinsic, word_at

LANES = 16  # texts side by side
CHUNK = 64  # bytes that are mixed in at a time

# The first 64 primes' cube roots and the first 8 primes' square roots.
# Source: FIPS 180-4, sections 4.2.2 and 5.3.3
_PRIMES = [n for n in range(2, 312) if all(n % factor for factor in range(2, n))]

Array = np.ndarray[Any, Any]


def _root_bits(number: int, degree: int) -> int:
    """Return the first 32 bits of the fraction of a root, by search on whole numbers."""
    low, high = 0, number << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= number << 32 * degree else (low, middle - 1)
    return low & 0xFFFFFFFF


ROUNDS = [_root_bits(prime, 3) for prime in _PRIMES]
START = np.array([_root_bits(prime, 2) for prime in _PRIMES[:8]], np.uint32)


def leading(data: Any, ends: Array) -> Array:
    """Return the first 8 bytes of the SHA-256 of each text, as a number, the first the highest.

    `data` are the bytes of the texts in a row, `ends` where the first begins and each ends.
    """
    blocks = (np.diff(ends) + 8) // CHUNK + 1
    # Those side by side had better be of a size; numpy sorts small numbers by counting.
    order = np.argsort(np.minimum(blocks, 0xFFFF).astype(np.uint16), kind="stable")
    found = np.empty(len(order), np.uint64)
    text = np.frombuffer(data, np.uint8)
    _leading(text.ctypes.data, ends.astype(np.int64), order, blocks[order].astype(np.int64), found)
    return found


@njit
def _leading(data: Any, ends: Any, order: Any, blocks: Any, found: Any) -> None:
    words = np.zeros((16, LANES), np.uint32)
    state = np.empty((8, LANES), np.uint32)
    tail = np.empty(CHUNK, np.uint8)
    for first in range(0, len(order), LANES):
        count = min(LANES, len(order) - first)
        for place in range(8):
            for lane in range(LANES):
                state[place, lane] = START[place]
        for block in range(blocks[first : first + count].max()):
            for lane in range(count):
                begin, end = ends[order[first + lane]], ends[order[first + lane] + 1]
                at = data + begin + block * CHUNK
                if at + CHUNK > data + end:
                    _padded(at, end - begin, block * CHUNK, tail)
                    at = tail.ctypes.data
                _laid(at, words, lane)
            _mix(state.ctypes.data, words.ctypes.data)
            for lane in range(count):
                if block == blocks[first + lane] - 1:
                    high = np.uint64(state[0, lane]) << np.uint64(32)
                    found[order[first + lane]] = high | np.uint64(state[1, lane])


@njit
def _padded(at: Any, size: Any, done: Any, tail: Any) -> None:
    """Write the chunk of a text that begins at `at`, behind `done` bytes, padded as it must be.

    Source: FIPS 180-4, section 5.1.1
    """
    for step in range(CHUNK):
        tail[step] = byte_at(at + step) if done + step < size else 0
    if size >= done:
        tail[size - done] = 0x80
    if size + 8 < done + CHUNK:
        for step in range(8):
            tail[CHUNK - 1 - step] = (size * 8 >> 8 * step) & 0xFF


@njit
def _laid(at: Any, words: Any, lane: Any) -> None:
    """Lay a chunk into a lane, as sixteen numbers, of which the first byte is the highest."""
    for pair in range(8):
        both = word_at(at + 8 * pair)
        for half in range(2):
            word = np.uint32(both >> 32 * half & 0xFFFFFFFF)
            swapped = (word & np.uint32(0xFF00FF)) << np.uint32(8)
            swapped |= word >> np.uint32(8) & np.uint32(0xFF00FF)
            turned = np.uint32(swapped << np.uint32(16)) | np.uint32(swapped >> np.uint32(16))
            words[2 * pair + half, lane] = turned


_WORD = ir.IntType(32)
_SIDE_BY_SIDE = ir.VectorType(_WORD, LANES)


def _every(value: int) -> Any:
    return ir.Constant(_SIDE_BY_SIDE, [ir.Constant(_WORD, value)] * LANES)


def _turned(build: Any, value: Any, bits: int) -> Any:
    low = build.lshr(value, _every(bits))
    return build.or_(low, build.shl(value, _every(32 - bits)))


def _folded(build: Any, value: Any, turns: tuple[int, int, int], shifted: bool = False) -> Any:
    """Return a value turned three ways, or twice and shifted once, folded into one."""
    last = build.lshr(value, _every(turns[2])) if shifted else _turned(build, value, turns[2])
    return build.xor(
        build.xor(_turned(build, value, turns[0]), _turned(build, value, turns[1])), last
    )


def _sum(build: Any, *values: Any) -> Any:
    total = values[0]
    for value in values[1:]:
        total = build.add(total, value)
    return total


def _round(build: Any, state: list[Any], word: Any, constant: int) -> list[Any]:
    """Return the state after one round.

    Source: FIPS 180-4, section 6.2.2
    """
    a, b, c, d, e, f, g, h = state
    choice = build.xor(g, build.and_(e, build.xor(f, g)))
    one = _sum(build, h, _folded(build, e, (6, 11, 25)), choice, _every(constant), word)
    majority = build.or_(build.and_(a, b), build.and_(c, build.or_(a, b)))
    other = build.add(_folded(build, a, (2, 13, 22)), majority)
    return [build.add(one, other), a, b, c, build.add(d, one), e, f, g]


@intrinsic
def _mix(_: Any, _state: Any, _words: Any) -> Any:
    """Mix a chunk of each text into its state; both are addresses of rows of LANES words."""

    def build(context: Any, builder: Any, _: Any, args: Any) -> Any:
        places = [
            [
                builder.gep(
                    builder.inttoptr(at, _SIDE_BY_SIDE.as_pointer()), [ir.Constant(_WORD, n)]
                )
                for n in range(rows)
            ]
            for at, rows in zip(args, (8, 16), strict=True)
        ]
        first, words = ([builder.load(place, align=4) for place in side] for side in places)
        state = first
        for number, constant in enumerate(ROUNDS):
            if number >= 16:
                small = _folded(builder, words[number - 15], (7, 18, 3), shifted=True)
                large = _folded(builder, words[number - 2], (17, 19, 10), shifted=True)
                words.append(_sum(builder, words[number - 16], small, words[number - 7], large))
            state = _round(builder, state, words[number], constant)
        for place, old, new in zip(places[0], first, state, strict=True):
            builder.store(builder.add(old, new), place, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build
