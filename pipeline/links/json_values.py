"""Values of JSON in compiled code: what is behind them, where nobody wants to know what they say.

As strict as `msgspec`, whose place this takes, and stricter: nothing may be nested beyond counting.
Addresses are as in `vectors.py`; the text is followed by zeros, which stand in no line of JSON, so
that nothing here asks where it ends.
"""

from typing import Any

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.links.json_strings import WIDE, string_end
from webtext.pipeline.links.vectors import (
    FIVE,
    FOUR,
    byte_at,
    first_bit,
    string_stops,
    word_at,
    word_of,
)

DEEPEST = 60  # arrays and objects within each other, which have a bit of a number each
FALSE, TRUE, NULL = 0, 1, 2
UNREAD = -1  # none of these; also in the place of an address


_TRUE, _FALSE, _NULL = word_of(b"true"), word_of(b"false"), word_of(b"null")


@njit
def blanks(at: Any) -> Any:
    """Return where the next byte is that is no blank."""
    byte = byte_at(at)
    while byte <= 32 and (byte == 32 or byte == 9 or byte == 13):
        at += 1
        byte = byte_at(at)
    return at


@njit
def value_begin(at: Any) -> Any:
    """Return where the value begins behind a name's closing quote, -1 if it is no such."""
    if byte_at(at) != 34:
        return -1
    at = blanks(at + 1)
    if byte_at(at) != 58:  # :
        return -1
    return blanks(at + 1)


@njit
def literal(at: Any) -> Any:
    """Return where true, false or null ends, and which it is."""
    word = word_at(at)
    if word & FOUR == _NULL:
        return at + 4, NULL
    if word & FOUR == _TRUE:
        return at + 4, TRUE
    if word & FIVE == _FALSE:
        return at + 5, FALSE
    return -1, UNREAD


@njit
def digits(at: Any) -> Any:
    """Return the number that digits make, as far as it fits, and where they end."""
    value = 0
    while 48 <= byte_at(at) <= 57:
        value = value * 10 + byte_at(at) - 48 if value < 10**15 else value
        at += 1
    return value, at


@njit
def plain_string(at: Any) -> Any:
    """Return what is behind a string of ASCII, -1 for any other value."""
    if byte_at(at) != 34:
        return -1
    end, traits = string_end(at + 1)
    return -1 if traits & WIDE or end < 0 else end + 1


@njit
def short_end(at: Any) -> Any:
    """Return what is behind a literal or a plain string of less than a block, -1 for any other."""
    if byte_at(at) != 34:
        end, _ = literal(at)
        return end
    stops = string_stops(at + 1)
    if not stops:
        return UNREAD
    end = at + 1 + first_bit(stops)
    return end + 1 if byte_at(end) == 34 else UNREAD


@njit
def skipped(at: Any) -> Any:
    """Return what is behind any value, -1 if it is odd."""
    depth, objects = 0, np.uint64(0)
    while True:
        byte = byte_at(at)
        if byte == 123 or byte == 91:  # {, [
            if depth == DEEPEST:
                return -1
            end = blanks(at + 1)
            if byte_at(end) == byte + 2:  # the bracket that closes it
                at = end + 1
            else:
                depth += 1
                objects = objects << np.uint64(1) | np.uint64(byte == 123)
                at = _name_end(end) if byte == 123 else end
                if at < 0:
                    return -1
                continue
        else:
            at = _scalar_end(at)
            if at < 0:
                return -1
        while depth:
            at = blanks(at)
            if byte_at(at) == 44:  # ,
                break
            if byte_at(at) != (125 if objects & np.uint64(1) else 93):  # }, ]
                return -1
            depth -= 1
            objects >>= np.uint64(1)
            at += 1
        if not depth:
            return at
        at = blanks(at + 1)
        at = _name_end(at) if objects & np.uint64(1) else at
        if at < 0:
            return -1


@njit
def _name_end(at: Any) -> Any:
    """Return where the value of a name begins, -1 if there is no name."""
    if byte_at(at) != 34:
        return -1
    end, _ = string_end(at + 1)
    return -1 if end < 0 else value_begin(end)


@njit
def _scalar_end(at: Any) -> Any:
    """Return what is behind a string, number or literal, or -1."""
    if byte_at(at) == 34:
        end, _ = string_end(at + 1)
        return -1 if end < 0 else end + 1
    end, kind = literal(at)
    if kind != UNREAD:
        return end
    at += 1 if byte_at(at) == 45 else 0  # -
    _, end = digits(at)
    if end == at or (byte_at(at) == 48 and end > at + 1):
        return -1
    if byte_at(end) == 46:  # .
        at = end + 1
        _, end = digits(at)
        if end == at:
            return -1
    if byte_at(end) == 101 or byte_at(end) == 69:  # e, E
        at = end + 1
        at += 1 if byte_at(at) == 43 or byte_at(at) == 45 else 0  # +, -
        _, end = digits(at)
        if end == at:
            return -1
    return end
