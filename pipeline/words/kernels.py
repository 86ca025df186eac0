"""Counts over the words of a text, in compiled code.

N-grams are compared by 64-bit hashes of their characters. In a document of a thousand words, two
different n-grams have the same hash with a probability of one in 10^12.
"""

from typing import Any

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.words.characters import ALPHA, ENDS, LINE_END, NO_WORD, PUNCTUATION, SPACE

BASE = 0x9E3779B97F4A7C15  # of the hash of a token's characters, modulo 2 ** 64; odd
MASK = (1 << 64) - 1
SPREAD = 0xBF58476D1CE4E5B9  # odd, with bits in no pattern: spreads hashes over a table
SPACE_HASH = 0x9E3779B0  # what a space between two tokens adds to a hash; even, so that + 1 is odd
NOTHING = 0
NEVER_ZERO = 1 << 63  # set in every key of a table, because 0 means an empty slot


def hashed(token: str) -> int:
    """Return the hash of a token's characters, as `look` computes it.

    >>> power = BASE % 2**64
    >>> (hashed("a") * power + hashed("b")) % 2**64 == hashed("ab")
    True
    """
    value = 0
    for char in token:
        value = (value * BASE + ord(char) + 1) & MASK
    return value


@njit
def look(codes: Any, ends: Any, classes: Any, stop_hashes: Any) -> Any:
    """Return all that is known of a text whose tokens end at the given places.

    That is its counts (as `words.Counts`), how many sentences its lines have, its stop words as
    bits, and for each token the hash of its characters, the factor that a hash before it needs,
    and how many they are. A sentence begins with a line, and with the first token that is no
    punctuation mark after one that ends a sentence.
    """
    counts = np.zeros(5, np.int64)
    stops = np.uint8(0)
    hashes = np.empty(len(ends), np.uint64)
    powers = np.empty(len(ends), np.uint64)
    lengths = np.empty(len(ends), np.int32)
    sentences = at = 0
    line, ended = True, False
    for token in range(len(ends)):
        while classes[codes[at]] & SPACE:
            line |= classes[codes[at]] & LINE_END != 0
            at += 1
        either, every = 0, 0xFFFFFFFF
        value, power = np.uint64(0), np.uint64(1)
        length = ends[token] - at
        for code in codes[at : ends[token]]:
            either |= classes[code]
            every &= classes[code]
            value = value * np.uint64(BASE) + np.uint64(code) + np.uint64(1)
            power *= np.uint64(BASE)
        at = ends[token]
        hashes[token], powers[token], lengths[token] = value, power, length
        word = not every & NO_WORD
        letter = either & ALPHA != 0
        counts[0] += 1
        counts[1] += word
        counts[2] += length if word else 0
        counts[3] += letter
        counts[4] += letter and word
        for stop in range(len(stop_hashes)):
            if value == stop_hashes[stop]:
                stops |= np.uint8(1 << stop)
        if line:
            sentences += 1
            line = ended = False
        if length == 1 and every & ENDS:
            ended = True
        elif ended and not every & PUNCTUATION:
            sentences += 1
            ended = False
    return counts, sentences, stops, hashes, powers, lengths


@njit
def table_size(count: int) -> int:
    """Return a power of two at least twice `count`."""
    size = 8
    while size < 2 * count:
        size *= 2
    return size


@njit
def lengthened(grams: Any, hashes: Any, powers: Any, held: int, n: int, between: Any) -> Any:
    """Return the hashes of a text's n-grams, given those of its `held`-grams.

    `between` is what is added between two tokens: NOTHING or SPACE_HASH.
    """
    count = max(0, len(hashes) - n + 1)
    found = grams[:count].copy()
    for size in range(held, n):
        for start in range(count):
            value = found[start] * powers[start + size] + hashes[start + size]
            found[start] = value * (between + np.uint64(1)) + between
    return found


@njit
def slot(value: Any, keys: Any) -> Any:
    """Return the slot of a hash in an open-addressed table, or the free slot where it belongs."""
    last = np.uint64(len(keys) - 1)
    at = (value * np.uint64(SPREAD) >> np.uint64(32)) & last
    while keys[at] and keys[at] != value:
        at = (at + np.uint64(1)) & last
    return at


@njit
def top(grams: Any, lengths: Any, n: int) -> Any:
    """Return how many characters the most frequent n-gram has, spaces included, times its count.

    Of n-grams equally frequent the first counts; fewer than n words have none.
    """
    if not len(grams):
        return 0
    keys = np.zeros(table_size(len(grams)), np.uint64)
    counts = np.empty(len(keys), np.int32)
    firsts = np.empty(len(keys), np.int32)
    most = first = 0
    for start in range(len(grams)):
        value = grams[start] | np.uint64(NEVER_ZERO)
        at = slot(value, keys)
        if not keys[at]:
            keys[at] = value
            firsts[at] = start
            counts[at] = 0
        counts[at] += 1
        if counts[at] > most or (counts[at] == most and firsts[at] < first):
            most, first = counts[at], firsts[at]
    return most * (lengths[first : first + n].sum() + n - 1)


@njit
def repeated(grams: Any, lengths: Any, n: int) -> int:
    """Return how many characters are in n-grams that occurred earlier, without spaces.

    The scan continues after a repeated n-gram, so that no word is counted twice. N-grams are the
    same if their characters are, wherever a space lay.
    """
    if not len(grams):
        return 0
    keys = np.zeros(table_size(len(grams)), np.uint64)
    characters = start = 0
    while start < len(grams):
        value = grams[start] | np.uint64(NEVER_ZERO)
        at = slot(value, keys)
        if keys[at]:
            characters += lengths[start : start + n].sum()
            start += n
        else:
            keys[at] = value
            start += 1
    return characters
