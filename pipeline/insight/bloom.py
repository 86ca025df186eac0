"""A Bloom filter of 64-bit numbers: says "maybe" to all that were added, and seldom to others."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.words.ngrams import Hashes

STEP = np.uint64(0xD1B54A32D192ED03)  # odd, so that a second hash is not a multiple of the first


@dataclass
class Bloom:
    """Room for `capacity` numbers, of others at most `rate` pass for one of them.

    m = -n ln(p) / ln(2)^2 bits and k = -log2(p) looks. Source: Bloom (1970); the k places are two
    hashes combined, Kirsch and Mitzenmacher (2006), Less Hashing, Same Performance.
    """

    capacity: int
    rate: float = 1e-8
    bits: NDArray[np.uint64] = field(init=False, repr=False)
    looks: int = field(init=False)

    def __post_init__(self) -> None:
        """Make room.

        Raises:
            UserError: there is not that much memory.
        """
        self.looks = math.ceil(-math.log2(self.rate))
        count = math.ceil(-max(self.capacity, 1) * math.log(self.rate) / math.log(2) ** 2)
        try:
            self.bits = np.zeros(-(-count // 64), np.uint64)
        except MemoryError:
            raise UserError(
                f"a filter of {self.capacity:,} n-grams takes {count / 8e9:.0f} GB; use a part of "
                "the corpus, or a larger rate of false positives"
            ) from None

    def add(self, numbers: Hashes) -> None:
        """Add numbers."""
        _add(self.bits, numbers, self.looks)

    def holds(self, numbers: Hashes) -> NDArray[np.bool_]:
        """Return for each number whether it was, or may have been, added."""
        found: NDArray[np.bool_] = _holds(self.bits, numbers, self.looks)
        return found

    @property
    def filled(self) -> float:
        """The share of bits that are set; at half, the rate is what was asked for."""
        return float(np.bitwise_count(self.bits).sum()) / (64 * len(self.bits))


@njit
def _second(number):  # type: ignore[no-untyped-def]
    number = (number ^ (number >> np.uint64(33))) * STEP
    return (number ^ (number >> np.uint64(29))) | np.uint64(1)


@njit
def _add(bits, numbers, looks):  # type: ignore[no-untyped-def]
    size = np.uint64(64 * len(bits))
    for at in range(len(numbers)):
        place, step = numbers[at], _second(numbers[at])
        for _ in range(looks):
            bit = place % size
            bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
            place += step


@njit
def _holds(bits, numbers, looks):  # type: ignore[no-untyped-def]
    size = np.uint64(64 * len(bits))
    found = np.ones(len(numbers), np.bool_)
    for at in range(len(numbers)):
        place, step = numbers[at], _second(numbers[at])
        for _ in range(looks):
            bit = place % size
            if not (bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
                found[at] = False
                break
            place += step
    return found
