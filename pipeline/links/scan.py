"""JSON lines of usual Reddit submissions scanned straight into columns, compiled.

A decoder makes an object of every value and a string of every name, of which a harvest wants ten.
Here a line is walked once, a block of bytes at a time; what is not wanted is only checked, and
what is wanted is copied to where Arrow reads it.

A line is usual if it is one object with the fields of a Reddit submission in the types that nearly
all have, no name twice, none escaped, no parent of a crosspost, numbers of common sizes. Anything
else is odd, and its caller's to read; so this may say odd of what is not, but never take a line for
another than it is. Tests hold the two together on real lines, spoilt lines and made ones.

Text is followed by zeros, which stand in no line, so that nothing here asks where it ends.
"""

from typing import Any

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.links.json_strings import WIDE, is_utf8, string_end, unmarked, write
from webtext.pipeline.links.json_values import (
    FALSE,
    NULL,
    TRUE,
    UNREAD,
    blanks,
    digits,
    literal,
    plain_string,
    short_end,
    skipped,
    value_begin,
)
from webtext.pipeline.links.submissions import YEAR_10000
from webtext.pipeline.links.vectors import (
    BLOCK,
    byte_at,
    equal_bytes,
    first_bit,
    put_byte,
    put_word,
    string_stops,
    word_at,
)

PADDING = 2 * BLOCK  # zeros behind a text

# What is read of a line. The first five are texts; the first four of them have a column each, with
# the fifth in the place of the first where it is not empty.
URL, ID, SUBREDDIT, TITLE, OTHER_URL = range(5)
IS_SELF, OVER_18, REMOVED, META, PARENTS, SCORE, CREATED = range(5, 12)
TEXTS, FIELDS, NO_FIELD = 4, 12, 12
NOTES = FIELDS + 3 * (TEXTS + 1)  # numbers that are noted of a line

NAMES = {
    "id": ID,
    "url": URL,
    "_meta": META,
    "score": SCORE,
    "title": TITLE,
    "is_self": IS_SELF,
    "over_18": OVER_18,
    "subreddit": SUBREDDIT,
    "created_utc": CREATED,
    "removed_by_category": REMOVED,
    "crosspost_parent_list": PARENTS,
    "url_overridden_by_dest": OTHER_URL,
}
_META_NAMES = {"removal_type": 0, "was_deleted_later": 1}  # what is read within `_meta`

# A row's facts; the first four bits stand for a text that is there.
SELF_POST, ADULT, DELETED, SCORED, TIMED, ODD = 16, 32, 64, 128, 256, 512

NO_NUMBER = -(2**63)  # in the place of a score that is not known


def _named(names: dict[str, int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return names as three words that overlap and what they stand for, by length; and where.

    The names of n bytes are rows `begins[n]` to `begins[n + 1]`.
    """
    by_size = sorted(names, key=len)
    rows = []
    for name in by_size:
        octets = name.encode()
        parts = octets[:8], octets[8:16], octets[-8:]
        if len(octets) <= 8:
            parts = octets, b"", b""
        elif len(octets) <= 16:
            parts = octets[:8], b"", octets[-8:]
        rows.append([int.from_bytes(part, "little") for part in parts] + [names[name]])
    begins = [sum(len(name) < size for name in names) for size in range(BLOCK + 2)]
    return np.array(rows, np.int64), np.array(begins)


_WORDS, _BEGINS = _named(NAMES)
_NOTE_WORDS, _NOTE_BEGINS = _named(_META_NAMES)
_HOME = np.frombuffer(b"https://www.reddit.com", np.uint8)


@njit
def scan(
    at: Any, stop: Any, row: Any, bases: Any, ends: Any, facts: Any, odd: Any, notes: Any
) -> Any:
    """Read the lines from address `at` to `stop` into rows from `row` on, as long as there is room.

    `bases` has the address of each column of texts, `ends` where each row ends in it, one behind;
    `facts` the scores, times and flags. Odd lines get a row of no facts; `odd` says of each
    row where its line begins, if it is such, and ends. `notes` is room for NOTES numbers. Returned
    are the new values of `at` and `row`.
    """
    values, spans = notes, notes + 8 * FIELDS
    scores, times, flags = facts
    while at < stop and row < len(flags):
        end = _line(at, spans, values)
        if end == stop or (end >= 0 and byte_at(end) == 10):
            flags[row] = _judged(values)
            for column in range(TEXTS):
                base = bases[column] + ends[column, row]
                size = _written(spans, column, base)
                flags[row] |= (size >= 0) << column
                ends[column, row + 1] = ends[column, row] + max(size, 0)
            scores[row] = word_at(values + 8 * SCORE) if flags[row] & SCORED else 0
            times[row] = word_at(values + 8 * CREATED) if flags[row] & TIMED else 0
        else:
            end = _line_end(at, stop)
            odd[row, 0], odd[row, 1] = at, end
            flags[row] = ODD
            scores[row] = times[row] = 0
            ends[:, row + 1] = ends[:, row]
        at = end + 1
        row += 1
    return min(at, stop), row


@njit
def _line_end(at: Any, stop: Any) -> Any:
    """Return where the end of a line is, or `stop`."""
    found = equal_bytes(at, 10)
    while not found and at < stop:
        at += BLOCK
        found = equal_bytes(at, 10)
    return min(stop, at + first_bit(found)) if found else stop


@njit
def _written(spans: Any, column: Any, to: Any) -> Any:
    """Write a text where a row's begins in a column; return its size, -1 if there is none."""
    span = spans + 24 * column
    if column == URL and word_at(spans + 24 * OTHER_URL + 8) > word_at(spans + 24 * OTHER_URL):
        span = spans + 24 * OTHER_URL
    begin, end, traits = word_at(span), word_at(span + 8), word_at(span + 16)
    if begin == UNREAD:
        return -1
    if column != URL and column != TITLE:
        return write(begin, end, traits, to) - to
    last = write(begin, end, traits, to)
    if (
        column == URL and begin < end and byte_at(to) == 47
    ):  # of Reddit itself, and not unescaped: as `submissions.target`
        for step in range(len(_HOME)):
            put_byte(to + step, _HOME[step])
        return write(begin, end, traits, to + len(_HOME)) - to
    return unmarked(to, last) - to


@njit
def _judged(values: Any) -> Any:
    """Return the bits of a row that are not of its texts."""
    flags = SELF_POST if word_at(values + 8 * IS_SELF) == TRUE else 0
    flags |= ADULT if word_at(values + 8 * OVER_18) == TRUE else 0
    flags |= (
        DELETED
        if word_at(values + 8 * REMOVED) == TRUE or word_at(values + 8 * META) == TRUE
        else 0
    )
    flags |= SCORED if word_at(values + 8 * SCORE) != NO_NUMBER else 0
    flags |= TIMED if 0 <= word_at(values + 8 * CREATED) < YEAR_10000 else 0
    return flags


@njit
def _line(at: Any, spans: Any, values: Any) -> Any:
    """Read one object; return where it and the blanks behind it end, -1 if it is odd."""
    if byte_at(at) != 123:  # {
        return -1
    for field in range(FIELDS):
        put_word(values + 8 * field, UNREAD)
    put_word(values + 8 * SCORE, NO_NUMBER)
    for field in range(TEXTS + 1):
        put_word(spans + 24 * field, UNREAD)
        put_word(spans + 24 * field + 8, UNREAD)
    seen = 0
    while True:
        begin = blanks(at + 1) + 1
        stops = string_stops(begin)
        if byte_at(begin - 1) != 34 or not stops:
            return -1
        size = first_bit(stops)
        at = value_begin(begin + size)
        if at < 0:
            return -1
        field = _field(begin, size, _WORDS, _BEGINS)
        if field == NO_FIELD:
            end = short_end(at)
            at = end if end != UNREAD else skipped(at)
        elif seen >> field & 1:
            return -1
        else:
            seen |= 1 << field
            at = _value(at, field, spans, values)
        if at < 0:
            return -1
        at = blanks(at)
        if byte_at(at) != 44:  # ,
            break
    needed = 1 << CREATED | 1 << IS_SELF
    if byte_at(at) != 125 or seen & needed != needed:  # }
        return -1
    return blanks(at + 1)


@njit
def _field(at: Any, size: Any, words: Any, begins: Any) -> Any:
    """Return what a name stands for."""
    for row in range(begins[size], begins[size + 1]):
        first = word_at(at)
        if size < 8:
            first &= (1 << 8 * size) - 1
        last = word_at(at + size - 8) if size > 8 else 0
        middle = word_at(at + 8) if size > 16 else 0
        if first == words[row, 0] and middle == words[row, 1] and last == words[row, 2]:
            return words[row, 3]
    return NO_FIELD


@njit
def _value(at: Any, field: Any, spans: Any, values: Any) -> Any:
    """Note a value that is wanted; return what is behind it, -1 if it is odd."""
    if field <= OTHER_URL:
        return _text(at, spans + 24 * field)
    return _fact(at, values + 8 * field, field)


@njit
def _text(at: Any, span: Any) -> Any:
    """Note where a string begins and ends, and what it has; return what is behind it, or -1."""
    if byte_at(at) != 34:
        end, kind = literal(at)
        return end if kind == NULL else -1
    end, traits = string_end(at + 1)
    if end < 0 or (traits & WIDE and not is_utf8(at + 1, end)):
        return -1
    put_word(span, at + 1)
    put_word(span + 8, end)
    put_word(span + 16, traits)
    return end + 1


@njit
def _fact(at: Any, place: Any, field: Any) -> Any:
    """Note a value that is no text; return what is behind it, -1 if it is odd."""
    if field == SCORE:
        value, end = _score(at)
        put_word(place, value)
        return end
    if field == CREATED:
        value, end = _time(at)
        put_word(place, value)
        return end
    end, kind = literal(at)
    put_word(place, kind)
    if kind == NULL:
        return -1 if field == IS_SELF else end
    if kind != UNREAD:
        return end if field <= OVER_18 else -1
    if field == REMOVED:
        put_word(place, TRUE)
        return plain_string(at)
    if field == META:
        value, end = _notes(at)
        put_word(place, value)
        return end
    if field == PARENTS and byte_at(at) == 91:  # [
        end = blanks(at + 1)
        return end + 1 if byte_at(end) == 93 else -1
    return -1


@njit
def _notes(at: Any) -> Any:
    """Read `_meta`: return whether it tells of a removal, and what is behind it, or -1."""
    if byte_at(at) != 123:  # {
        return FALSE, -1
    removed, seen = FALSE, 0
    end = blanks(at + 1)
    if byte_at(end) == 125:  # }
        return removed, end + 1
    while True:
        begin = blanks(at + 1) + 1
        stops = string_stops(begin)
        if byte_at(begin - 1) != 34 or not stops:
            return removed, -1
        size = first_bit(stops)
        at = value_begin(begin + size)
        if at < 0:
            return removed, -1
        note = _field(begin, size, _NOTE_WORDS, _NOTE_BEGINS)
        if note == NO_FIELD:
            at = skipped(at)
        else:
            end, kind = literal(at)
            if kind == UNREAD and note == 0:
                end = plain_string(at)
                kind = TRUE if end > at + 2 else FALSE
            if seen >> note & 1 or (note == 0 and kind == TRUE and byte_at(at) != 34):
                return removed, -1
            seen |= 1 << note
            removed = TRUE if kind == TRUE else removed
            at = end
        if at < 0:
            return removed, -1
        at = blanks(at)
        if byte_at(at) != 44:  # ,
            return removed, at + 1 if byte_at(at) == 125 else -1


@njit
def _score(at: Any) -> Any:
    """Return a whole number of nine digits at most, or none for null, and what is behind it."""
    end, kind = literal(at)
    if kind == NULL:
        return NO_NUMBER, end
    sign = 1
    if byte_at(at) == 45:  # -
        sign = -1
        at += 1
    value, end = digits(at)
    if end == at or end - at > 9 or (byte_at(at) == 48 and end > at + 1):
        return NO_NUMBER, -1
    return sign * value, -1 if _goes_on(byte_at(end)) else end


@njit
def _goes_on(byte: Any) -> Any:
    """Whether a number goes on with a fraction or an exponent."""
    return byte == 46 or byte == 101 or byte == 69


@njit
def _time(at: Any) -> Any:
    """Return whole seconds, of a number or of digits as a string, and what is behind them.

    Few digits: with more of them a double, which the decoder makes, could round up.
    """
    quoted = byte_at(at) == 34
    at += 1 if quoted else 0
    value, end = digits(at)
    if end == at or end - at > 12 or (byte_at(at) == 48 and end > at + 1):
        return UNREAD, -1
    if quoted:
        return value, end + 1 if byte_at(end) == 34 else -1
    if byte_at(end) == 46:  # .
        behind = end + 1
        _, end = digits(behind)
        if end == behind or end > behind + 3:
            return UNREAD, -1
    return value, -1 if _goes_on(byte_at(end)) else end
