"""What is counted of texts as arrays, compiled.

N-grams are told apart by hashes of their characters, of 64 bits: that two of a document's differ
and meet has a chance of one in 10^12 for a document of a thousand words.
"""

from typing import Any

import numba
import numpy as np

BASE = 0x9E3779B97F4A7C15  # of the hash of a token's characters, modulo 2 ** 64; odd
MASK = (1 << 64) - 1
SPREAD = 0xBF58476D1CE4E5B9  # odd, and bits of no pattern: spreads hashes over a table
SPACE = 0x9E3779B0  # what a space between two tokens adds to a hash; even, so that + 1 is odd
NOTHING = 0

LETTER, PUNCTUATION, NO_WORD, ENDS = 1, 2, 4, 8  # what a code point is
WORD, MARK, TERMINAL = 0, 1, 2  # kinds of tokens; a mark that ends sentences is TERMINAL


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


@numba.njit(cache=True)
def look(codes: Any, lengths: Any, sizes: Any, traits: Any, stop_hashes: Any) -> Any:
    """Return what there is to know of chunks of `sizes` tokens of `lengths` characters each.

    That is for each chunk its counts (as `vocabulary.Counts`) and its stop words as bits, and for
    each token the hash of its characters, the factor that a hash before it needs, and its kind.
    """
    counts = np.zeros((len(sizes), 5), np.int64)
    stops = np.zeros(len(sizes), np.uint8)
    hashes = np.zeros(len(lengths), np.uint64)
    powers = np.ones(len(lengths), np.uint64)
    kinds = np.zeros(len(lengths), np.uint8)
    at = token = 0
    for chunk in range(len(sizes)):
        for _ in range(sizes[chunk]):
            either, every = 0, 0xFF
            value, power = np.uint64(0), np.uint64(1)
            for code in codes[at : at + lengths[token]]:
                either |= traits[code]
                every &= traits[code]
                value = value * np.uint64(BASE) + np.uint64(code) + np.uint64(1)
                power *= np.uint64(BASE)
            hashes[token], powers[token] = value, power
            if lengths[token] == 1 and every & ENDS:
                kinds[token] = TERMINAL
            elif every & PUNCTUATION:
                kinds[token] = MARK
            word = not every & NO_WORD
            letter = either & LETTER
            counts[chunk, 0] += 1
            counts[chunk, 1] += word
            counts[chunk, 2] += lengths[token] if word else 0
            counts[chunk, 3] += letter
            counts[chunk, 4] += letter and word
            for stop in range(len(stop_hashes)):
                if value == stop_hashes[stop]:
                    stops[chunk] |= np.uint8(1 << stop)
            at += lengths[token]
            token += 1
    return counts, stops, hashes, powers, kinds


@numba.njit(cache=True)
def lay_out(numbers: Any, starts: Any, hashes: Any, powers: Any, lengths: Any, kinds: Any) -> Any:
    """Return the hashes, powers, lengths and kinds of a document's tokens, given its chunks."""
    count = 0
    for number in numbers:
        count += starts[number + 1] - starts[number]
    found_hashes = np.empty(count, np.uint64)
    found_powers = np.empty(count, np.uint64)
    found_lengths = np.empty(count, np.int64)
    found_kinds = np.empty(count, np.uint8)
    at = 0
    for number in numbers:
        for token in range(starts[number], starts[number + 1]):
            found_hashes[at] = hashes[token]
            found_powers[at] = powers[token]
            found_lengths[at] = lengths[token]
            found_kinds[at] = kinds[token]
            at += 1
    return found_hashes, found_powers, found_lengths, found_kinds


@numba.njit(cache=True)
def count_sentences(kinds: Any, sizes: Any, chunk_sizes: Any) -> int:
    """Return how many sentences lines have, of `sizes` chunks each, of so many tokens each.

    A sentence begins with a line, and with the first token that is no punctuation after one that
    ends sentences.
    """
    count = token = chunk = 0
    for size in sizes:
        count += size > 0
        ended = False
        for _ in range(size):
            for _ in range(chunk_sizes[chunk]):
                if kinds[token] == TERMINAL:
                    ended = True
                elif ended and kinds[token] == WORD:
                    count += 1
                    ended = False
                token += 1
            chunk += 1
    return count


@numba.njit(cache=True)
def table_size(count: int) -> int:
    """Return a power of two at least twice `count`."""
    size = 8
    while size < 2 * count:
        size *= 2
    return size


@numba.njit(cache=True)
def gram(hashes: Any, powers: Any, start: int, n: int, space: Any) -> Any:
    """Return the hash of n tokens joined, never 0; `space` is what is added between them."""
    value = np.uint64(0)
    for at in range(start, start + n):
        value = value * powers[at] + hashes[at]
        value = value * (space + np.uint64(1)) + space
    return value | np.uint64(1) << np.uint64(63)


@numba.njit(cache=True)
def slot(value: Any, keys: Any) -> Any:
    """Return where a hash is in an open-addressed table, or where it belongs."""
    last = np.uint64(len(keys) - 1)
    at = (value * np.uint64(SPREAD) >> np.uint64(32)) & last
    while keys[at] and keys[at] != value:
        at = (at + np.uint64(1)) & last
    return at


@numba.njit(cache=True)
def top(hashes: Any, powers: Any, lengths: Any, n: int) -> Any:
    """Return how many characters the most frequent n-gram has, spaces included, times its count.

    Of n-grams equally frequent the first counts; fewer than n words have none.
    """
    grams = len(hashes) - n + 1
    if grams < 1:
        return 0
    keys = np.zeros(table_size(grams), np.uint64)
    counts = np.zeros(len(keys), np.int64)
    firsts = np.zeros(len(keys), np.int64)
    for start in range(grams):
        value = gram(hashes, powers, start, n, np.uint64(SPACE))
        at = slot(value, keys)
        if not keys[at]:
            keys[at] = value
            firsts[at] = start
        counts[at] += 1
    most = counts.max()
    first = grams
    for at in range(len(keys)):
        if counts[at] == most:
            first = min(first, firsts[at])
    return most * (lengths[first : first + n].sum() + n - 1)


@numba.njit(cache=True)
def repeated(hashes: Any, powers: Any, lengths: Any, n: int) -> int:
    """Return how many characters lie in n-grams that came before, spaces left out.

    The scan goes on after a repeated n-gram, so that no word is counted twice. N-grams are the
    same if their characters are, wherever a space lay.
    """
    grams = len(hashes) - n + 1
    if grams < 1:
        return 0
    keys = np.zeros(table_size(grams), np.uint64)
    characters = start = 0
    while start < grams:
        value = gram(hashes, powers, start, n, np.uint64(NOTHING))
        at = slot(value, keys)
        if keys[at]:
            characters += lengths[start : start + n].sum()
            start += n
        else:
            keys[at] = value
            start += 1
    return characters
