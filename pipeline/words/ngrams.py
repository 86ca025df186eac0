"""Word n-grams as 64-bit numbers, normalised as GPT-2's paper normalised them.

Strings become "lower-cased alphanumeric words with a single space as a delimiter". Two different
n-grams have the same number with a probability of 2^-64. Source: Radford et al. (2019), section 4.
"""

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

WORD = re.compile(r"[^\W_]+")
REMEMBERED = 1 << 20  # words whose numbers are cached, about 100 MB at most
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd

_numbers: dict[str, int] = {}


def words(text: str) -> list[str]:
    """Return the normalised words of a text.

    >>> words("It's 1999: the_year – of Überfluss!")
    ['it', 's', '1999', 'the', 'year', 'of', 'überfluss']
    """
    return WORD.findall(text.lower())


def numbered(found: Iterable[str]) -> Hashes:
    """Return a number for each word, the same in every process and on every machine."""
    if len(_numbers) > REMEMBERED:
        _numbers.clear()
    return np.fromiter((_numbers.get(word) or _number(word) for word in found), np.uint64)


def _number(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    _numbers[word] = found = int.from_bytes(digest, "little") or 1
    return found


def ngrams(text: str, n: int) -> Hashes:
    """Return the number of each of a text's word n-grams, in order; none of a shorter text.

    >>> one, other = ngrams("The cat sat, twice.", 3), ngrams("the CAT sat twice", 3)
    >>> len(one), bool((one == other).all()), len(ngrams("too short", 3))
    (2, True, 0)
    """
    return of_words(numbered(words(text)), n)


def of_words(numbers: Hashes, n: int) -> Hashes:
    """Return the n-grams of a text whose words have these numbers."""
    count = len(numbers) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    hashed = np.zeros(count, np.uint64)
    for place in range(n):  # a polynomial of the words, its arithmetic that of 64 bits
        hashed *= MULTIPLIER
        hashed += numbers[place : place + count]
    return mixed(hashed)


def mixed(hashed: Hashes) -> Hashes:
    """Spread every bit over all 64. Source: Steele et al. (2014), SplitMix64's last step."""
    hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashed ^ (hashed >> np.uint64(31))
