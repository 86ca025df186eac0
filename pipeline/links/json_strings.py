"""Strings of JSON in compiled code: where they end, whether they are text, what they say.

As strict as `msgspec`, whose place this takes: control characters, escapes that JSON does not know
and halves of characters are no part of a string.
"""

from typing import Any

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.links.vectors import (
    BLOCK,
    FIVE,
    FOUR,
    beyond_ascii,
    byte_at,
    copy,
    equal_bytes,
    first_bit,
    put_byte,
    string_stops,
    word_at,
    word_of,
)

ESCAPES, WIDE = 1, 2  # what a string has: backslashes, bytes beyond ASCII

QUOTE, SLASH, HEX = 34, 92, 117  # ", \\, u

_MEANINGS = np.zeros(256, np.uint8)  # of the letter behind a backslash; 0 where it means nothing
_MEANINGS[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')


_AMP, _LT, _GT = word_of(b"&amp;"), word_of(b"&lt;"), word_of(b"&gt;")


@njit
def string_end(at: Any) -> Any:
    """Return where the quote is that closes the string begun at `at`, and what it has.

    That is -1 where none closes it as it should.
    """
    traits = 0
    while True:
        stops = string_stops(at)
        wide = beyond_ascii(at)
        if not stops:
            traits |= WIDE if wide else 0
            at += BLOCK
            continue
        place = first_bit(stops)
        if wide & ((np.uint64(1) << np.uint64(place)) - np.uint64(1)):
            traits |= WIDE
        at += place
        if byte_at(at) == QUOTE:
            return at, traits
        traits |= ESCAPES
        at = _escape_end(at + 1) if byte_at(at) == SLASH else -1
        if at < 0:
            return -1, 0


@njit
def _escape_end(at: Any) -> Any:
    """Return what is behind an escape, -1 if it is none or half of a character."""
    if byte_at(at) != HEX:
        return at + 1 if _MEANINGS[byte_at(at)] else -1
    code = _hexadecimal(at + 1)
    if code < 0 or 0xDC00 <= code < 0xE000:
        return -1
    if code < 0xD800 or code >= 0xE000:
        return at + 5
    if byte_at(at + 5) != SLASH or byte_at(at + 6) != HEX:
        return -1
    low = _hexadecimal(at + 7)
    return at + 11 if 0xDC00 <= low < 0xE000 else -1


@njit
def _hexadecimal(at: Any) -> Any:
    """Return the number that four digits of base 16 make, -1 if one of them is none."""
    value = 0
    for step in range(4):
        digit = byte_at(at + step)
        lowered = digit | 32
        if 48 <= digit <= 57:
            value = value * 16 + digit - 48
        elif 97 <= lowered <= 102:
            value = value * 16 + lowered - 87
        else:
            return -1
    return value


@njit
def is_utf8(at: Any, end: Any) -> Any:
    """Whether bytes are UTF-8: no character spelt too long, no half of one, none beyond the last.

    Source: The Unicode Standard, table 3-7
    """
    while at < end:
        lead = byte_at(at)
        at += 1
        if lead < 0x80:
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        for _ in range(more):
            if at == end or not low <= byte_at(at) <= high:
                return False
            low, high = 0x80, 0xBF
            at += 1
    return True


@njit
def write(at: Any, end: Any, traits: Any, to: Any) -> Any:
    """Write to `to` what the string from `at` to `end` says; return where that ends.

    `string_end` has found it, and there is room for it and a block more.
    """
    if not traits & ESCAPES:
        copy(to, at, end - at)
        return to + end - at
    while at < end:
        found = equal_bytes(at, SLASH)
        place = min(first_bit(found), end - at) if found else min(BLOCK, end - at)
        copy(to, at, place)
        at, to = at + place, to + place
        if at < end and byte_at(at) == SLASH:
            if byte_at(at + 1) == HEX:
                at, to = _character(at + 2, to)
            else:
                put_byte(to, _MEANINGS[byte_at(at + 1)])
                at, to = at + 2, to + 1
    return to


@njit
def _character(at: Any, to: Any) -> Any:
    """Write the character of an escape by number in UTF-8; return what is behind both."""
    code = _hexadecimal(at)
    at += 4
    if 0xD800 <= code < 0xDC00:
        code = 0x10000 + ((code - 0xD800) << 10) + _hexadecimal(at + 2) - 0xDC00
        at += 6
    if code < 0x80:
        put_byte(to, code)
        return at, to + 1
    more = 1 + (code >= 0x800) + (code >= 0x10000)
    put_byte(to, (0xFF00 >> (more + 1) & 0xFF) | code >> 6 * more)
    for step in range(1, more + 1):
        put_byte(to + step, 0x80 | (code >> 6 * (more - step) & 0x3F))
    return at, to + more + 1


@njit
def unmarked(to: Any, last: Any) -> Any:
    """Undo the three escapes of markup where they are, as `submissions.unescaped`; return the end.

    What lies behind the end does not matter.
    """
    while to < last:
        found = equal_bytes(to, 38)  # &
        to += first_bit(found) if found else BLOCK
        if found and to < last:
            break
    if to >= last:
        return last
    at = to
    while at < last:
        byte, size = byte_at(at), 1
        if byte == 38:
            word = word_at(at)
            if word & FIVE == _AMP and at + 5 <= last:
                size = 5
            elif word & FOUR == _LT and at + 4 <= last:
                byte, size = 60, 4
            elif word & FOUR == _GT and at + 4 <= last:
                byte, size = 62, 4
        put_byte(to, byte)
        at, to = at + size, to + 1
    return to
