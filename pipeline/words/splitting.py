"""The compiled splitter of words: from the code points of a text to the ends of its tokens.

`words.py` explains the rules and has the lists, which come here as tables: the classes of code
points (`characters.py`), special forms, and units. A chunk is the text between two spaces.
"""

from typing import Any

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.words.addresses import is_address
from webtext.pipeline.words.characters import (
    ALNUM,
    ALPHA,
    BACK,
    BEFORE_DOT,
    DIGIT,
    FRONT,
    INSIDE,
    LETTER,
    LOWER,
    MONEY,
    QUOTE,
    SPACE,
    UPPER,
)

LONGEST = 1000  # characters of a chunk that is split; no word of any language is longer
LONGEST_FORM = 16  # characters of a special form
FORM_TOKENS = 5  # at most, of one special form
LONGEST_UNIT = 4  # characters
FILTER = 1 << 14  # slots of a table that rejects most strings that are not special forms

BASE = 0x9E3779B97F4A7C15  # of the hash of a form's characters, modulo 2 ** 64; odd

DOT, PLUS, HYPHEN, DOLLAR, COMMA, COLON, SLASH = 0x2E, 0x2B, 0x2D, 0x24, 0x2C, 0x3A, 0x2F
ELLIPSIS, EN_DASH, EM_DASH, TILDE, APOSTROPHE, CURLY = 0x2026, 0x2013, 0x2014, 0x7E, 0x27, 0x2019
STAR, CARET, LESS, GREATER, EQUALS = 0x2A, 0x5E, 0x3C, 0x3E, 0x3D
CAPITAL_A, CAPITAL_C, CAPITAL_S, CAPITAL_U, SMALL_S = 0x41, 0x43, 0x53, 0x55, 0x73


@njit
def likely(first: Any, last: Any, length: Any) -> Any:
    """Return the place in the filter of strings with these ends and this length."""
    return (int(first) * 31 + int(last) * 1009 + int(length) * 7) & (FILTER - 1)


@njit
def hashed(codes: Any, low: int, high: int) -> Any:
    """Return the hash of some characters."""
    value = np.uint64(0)
    for at in range(low, high):
        value = value * np.uint64(BASE) + np.uint64(codes[at]) + np.uint64(1)
    return value


@njit
def form(codes: Any, low: int, high: int, sieve: Any, forms: Any) -> Any:
    """Return where the tokens of a special form end, a bit a character; 0 if it is not one.

    `forms` is an open-addressed table of hashes with these bits beside them.
    """
    length = high - low
    if not 0 < length <= LONGEST_FORM or not sieve[likely(codes[low], codes[high - 1], length)]:
        return np.uint64(0)
    value = hashed(codes, low, high)
    last = np.uint64(len(forms) - 1)
    at = value >> np.uint64(32) & last
    while forms[at, 0] != value and forms[at, 0]:
        at = (at + np.uint64(1)) & last
    return forms[at, 1]


@njit
def put(cuts: Any, low: int, ends: Any, count: int) -> int:
    """Write where the tokens of a form end that begins at `low`; return how many ends there are."""
    while cuts:
        low += 1
        if cuts & np.uint64(1):
            ends[count] = low
            count += 1
        cuts >>= np.uint64(1)
    return count


@njit
def dots_from(codes: Any, low: int, high: int) -> int:
    """Return how many full stops there are in a row."""
    at = low
    while at < high and codes[at] == DOT:
        at += 1
    return at - low


@njit
def front(codes: Any, low: int, high: int, classes: Any) -> int:
    """Return how many characters at the beginning are tokens of their own."""
    char = codes[low]
    left = high - low
    if left > 1 and char == ELLIPSIS and codes[low + 1] == ELLIPSIS:
        return 2
    if char == DOT:
        dots = dots_from(codes, low, high)
        return dots if dots > 1 else 0
    if classes[char] & FRONT:
        return 1
    if char == PLUS:
        return 0 if left > 1 and classes[codes[low + 1]] & DIGIT else 1
    if left > 2 and char == CAPITAL_U and codes[low + 1] == CAPITAL_S and codes[low + 2] == DOLLAR:
        return 3
    if left > 1 and (char in (CAPITAL_C, CAPITAL_A)) and codes[low + 1] == DOLLAR:
        return 2
    return 0


@njit
def unit(codes: Any, low: int, high: int, classes: Any, units: Any) -> int:
    """Return the length of a unit or currency at the end, after a digit."""
    packed = np.uint32(0)
    found = 0
    for length in range(1, min(LONGEST_UNIT, high - low - 1) + 1):
        char = codes[high - length]
        after_digit = classes[codes[high - length - 1]] & DIGIT != 0
        if length == 1 and after_digit and classes[char] & MONEY:
            found = 1
        if char > 0xFF:
            break
        packed |= np.uint32(char) << np.uint32(8 * (length - 1))
        if after_digit:
            for known in units:
                if known == packed:
                    found = length
    return found


@njit
def back(codes: Any, low: int, high: int, classes: Any, units: Any) -> Any:
    """Return how many characters at the end are tokens of their own, at most."""
    last = codes[high - 1]
    before = codes[high - 2] if high - low > 1 else np.uint32(0)
    if last == DOT:
        at = high - 1
        while at > low and codes[at - 1] == DOT:
            at -= 1
        if high - at > 1:
            return high - at
        if classes[before] & BEFORE_DOT and high - low > 1:
            return 1
        upper = high - low > 2 and classes[before] & classes[codes[high - 3]] & UPPER
        return 1 if upper else 0
    if last == ELLIPSIS and before == ELLIPSIS:
        return 2
    if (last in (SMALL_S, CAPITAL_S)) and (before in (APOSTROPHE, CURLY)):
        return 2
    found = unit(codes, low, high, classes, units)
    return max(found, 1 if classes[last] & BACK else 0)


@njit
def inside(codes: Any, at: int, low: int, high: int, classes: Any) -> Any:
    """Return how many characters at a place inside a word are a token of their own."""
    char = codes[at]
    kind = classes[char]
    if kind & ALNUM and not kind & INSIDE:
        return 0
    if char == DOT:
        dots = dots_from(codes, at, high)
        if dots > 1:
            return dots
    if kind & INSIDE:
        return 1
    if at == low or at + 1 == high:
        return 0
    before, after = classes[codes[at - 1]], classes[codes[at + 1]]
    signed = after & DIGIT or codes[at + 1] == HYPHEN
    if char in (PLUS, HYPHEN, STAR, CARET) and before & DIGIT and signed:
        return 1
    if char == DOT:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if char == COMMA:
        return 1 if before & after & LETTER else 0
    if not before & ALNUM:
        return 0
    if char in (COLON, LESS, GREATER, EQUALS, SLASH):
        return 1 if after & LETTER else 0
    return dashes(codes, at, high, classes)


@njit
def dashes(codes: Any, at: int, high: int, classes: Any) -> int:
    """Return how many dashes there are before a letter: no more than make one dash."""
    char = codes[at]
    longest = 3 if char == HYPHEN else 2 if char == EM_DASH else 0
    if char in (EN_DASH, TILDE):
        longest = 1
    same = 1
    while same < longest and at + same < high and codes[at + same] == char:
        same += 1
    if longest and at + same < high and classes[codes[at + same]] & LETTER:
        return same
    return 0


@njit
def middle(codes: Any, low: int, high: int, classes: Any, ends: Any, count: int) -> int:
    """Split what is left when no mark is at either end."""
    plain = True
    dot = False
    for at in range(low, high):
        plain &= classes[codes[at]] & ALNUM != 0
        dot |= codes[at] == DOT
    start = low
    if not plain and not (dot and is_address(codes, low, high, classes)):
        at = low
        while at < high:
            length = inside(codes, at, low, high, classes)
            if length and at > start:
                ends[count], ends[count + 1] = at, at + length
                count += 2
                start = at + length
            at += max(1, length)
    if start < high:
        ends[count] = high
        count += 1
    return count


@njit
def peel(codes: Any, low: int, high: int, classes: Any, known: Any, ends: Any, tails: Any) -> int:
    """Take marks off both ends of a chunk, and split the rest; return how many tokens there are.

    `tails` is room for where the tokens of the tail begin, the last of them first.
    """
    sieve, forms, units = known
    count = tail = 0
    end = high
    cuts = form(codes, low, end, sieve, forms)
    while low < end and not cuts:
        skip = classes[codes[low]] & ALNUM != 0
        for at in range(low, end) if skip else range(0):
            skip &= codes[at] != DOLLAR
        ahead = 0 if skip else front(codes, low, end, classes)
        if ahead:
            low += ahead
            ends[count] = low
            count += 1
            cuts = form(codes, low, end, sieve, forms)
            if low == end or cuts:
                break
        behind = back(codes, low, end, classes, units)
        if behind:
            end -= behind
            tails[tail] = end
            tail += 1
            cuts = form(codes, low, end, sieve, forms)
        if not ahead and not behind:
            break
    if cuts:
        count = put(cuts, low, ends, count)
    elif low < end:
        count = middle(codes, low, end, classes, ends, count)
    for at in range(tail - 1, -1, -1):
        ends[count] = tails[at - 1] if at else high
        count += 1
    return count


@njit
def join(codes: Any, low: int, pieces: Any, sieve: Any, forms: Any, ends: Any, count: int) -> int:
    """Join tokens again that form a special form, such as an emoticon before a bracket."""
    start = 0
    while start < len(pieces):
        cuts = np.uint64(0)
        for end in range(min(len(pieces), start + FORM_TOKENS), start + 1, -1):
            cuts = form(codes, low, pieces[end - 1], sieve, forms)
            if cuts:
                count = put(cuts, low, ends, count)
                start = end
                break
        if not cuts:
            ends[count] = pieces[start]
            count += 1
            start += 1
        low = pieces[start - 1]
    return count


@njit
def cut(codes: Any, classes: Any, sieve: Any, forms: Any, units: Any) -> Any:
    """Return where the tokens of a text end, in code points."""
    ends = np.empty(len(codes), np.int32)
    pieces = np.empty(LONGEST, np.int32)
    tails = np.empty(LONGEST, np.int32)
    count = low = 0
    while low < len(codes):
        if classes[codes[low]] & SPACE:
            low += 1
            continue
        high = low
        every = ALPHA
        while high < len(codes) and not classes[codes[high]] & SPACE:
            every &= classes[codes[high]]
            high += 1
        if high - low > LONGEST or (every and not form(codes, low, high, sieve, forms)):
            ends[count] = high
            count += 1
        else:
            known = (sieve, forms, units)
            found = peel(codes, low, high, classes, known, pieces, tails)
            count = join(codes, low, pieces[:found], sieve, forms, ends, count)
        low = high
    return ends[:count].copy()
