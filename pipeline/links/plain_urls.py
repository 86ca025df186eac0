"""URLs that a parser would hardly change, read as arrays of bytes: all that a harvest asks of them.

`urls.forms` costs a microsecond or two a URL, hashing its key another, and its site some more: for
the lines of old dumps that is more than reading them. Here whole columns go through compiled code,
and what is not plain, about one URL in 300, is left to `urls`. Tests hold the two together.
"""

import hashlib
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.links import sha256
from webtext.pipeline.links.vectors import BLOCK, byte_at, copy, put_byte
from webtext.pipeline.urls import domains as sites
from webtext.pipeline.urls import urls

HOST, PATH, QUERY, LETTER, UPPER, HEX = 1, 2, 4, 8, 16, 32  # what a byte may stand in, or is
LONGEST = 2000  # bytes of a URL that is looked at here; so long are one in a thousand
PARTS = 16  # parameters of a query that are put in order here
EXTENSION = 8  # bytes of an ending that fit the number it is packed into
NOT_PLAIN = -1

Array = np.ndarray[Any, Any]


class Plain(NamedTuple):
    """What is known of each URL of a column; of those that are not plain, only that."""

    plain: Array  # bool
    ids: Array  # uint64, the first 8 bytes of the key's sha256
    urls: pa.Array  # strings, the form to fetch; "" where not plain, as the next
    domains: pa.Array
    extensions: Array  # uint64, as `packed`
    excluded: Array  # bool, whether the host is


def read(column: pa.Array, wanted: Array, names: sites.Names) -> Plain:
    """Read those URLs of a column that are wanted; `names` are of `sites.names`."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets or bytes(4), np.int32)[column.offset :][: len(column) + 1]
    size = int(starts[-1] - starts[0])
    # Zeros behind the text, for it is read a block at a time, and a slash more a URL.
    text = np.zeros(size + BLOCK, np.uint8)
    text[:size] = np.frombuffer(data or b"", np.uint8)[starts[0] : starts[-1]]
    room = size + 8 * len(column) + 2 * BLOCK
    made = [np.empty(room, np.uint8) for _ in range(3)]  # keys, URLs and domains
    ends = np.zeros((3, len(column) + 1), np.int32)
    plain, excluded = np.zeros((2, len(column)), bool)
    extensions = np.zeros(len(column), np.uint64)
    bases = np.array([part.ctypes.data for part in made])
    found = (plain, excluded, extensions)
    _read(text.ctypes.data, starts - starts[0], wanted, names, _tracking(), bases, ends, found)
    ids = sha256.leading(made[0], ends[0])
    fetched, domains = [
        pa.StringArray.from_buffers(
            len(column), pa.py_buffer(places), pa.py_buffer(part[: places[-1]])
        )
        for part, places in zip(made[1:], ends[1:], strict=True)
    ]
    return Plain(plain, ids, fetched, domains, extensions, excluded)


def packed(extension: str) -> int:
    """Return an ending as a number; 0 for one that is empty or too long.

    >>> packed("a") == ord("a"), packed("toolongforit")
    (True, 0)
    """
    name = extension.encode()
    return int.from_bytes(name, "big") if len(name) <= EXTENSION else 0


def number(key: str) -> int:
    """Return the first 8 bytes of a key's sha256, which `urls.key_id` writes as 16 digits."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def digits(ids: Array, known: Array) -> pa.Array:
    """Return numbers as strings of 16 hexadecimal digits, null where not known.

    >>> digits(np.array([255, 1], np.uint64), np.array([True, False])).to_pylist()
    ['00000000000000ff', None]
    """
    octets = ids.astype(">u8").view(np.uint8)
    text = _HEXADECIMAL[octets].tobytes()
    offsets = np.arange(0, 16 * len(ids) + 1, 16, dtype=np.int32)
    nulls = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(text), nulls)


_HEXADECIMAL = np.frombuffer(b"".join(b"%02x" % n for n in range(256)), np.uint16)


def _classes() -> Array:
    """Return what each byte may stand in, percent signs apart."""
    lower, upper, figures = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
    classes = np.zeros(256, np.uint8)
    for kind, characters in (
        (HOST, lower + figures + ".-"),
        (PATH, lower + upper + figures + "_~!$&'()*+,;=:@/.-"),
        (QUERY, lower + upper + figures + "_~!$&()*+,;=:@/?.-"),
        (LETTER, lower),
        (UPPER, upper),
        (HEX, figures + "abcdefABCDEF"),
    ):
        classes[list(characters.encode())] |= kind
    return classes


_CLASSES = _classes()
_UNRESERVED = np.zeros(256, np.bool_)
_UNRESERVED[[ord(character) for character in urls.UNRESERVED]] = True


@cache
def _tracking() -> tuple[Array, Array, int]:
    """Return the names of tracking parameters end to end, where they end, how many are whole."""
    whole, beginnings = urls.tracking_parameters()
    names = [name.encode() for name in (*sorted(whole), *beginnings)]
    text = np.frombuffer(b"".join(names), np.uint8)
    return text, np.cumsum([0, *map(len, names)]), len(whole)


@njit
def _read(
    text: Any,
    starts: Any,
    wanted: Any,
    names: Any,
    tracking: Any,
    bases: Any,
    ends: Any,
    found: Any,
) -> None:
    """Read each URL; write keys, URLs and domains to `bases`, and where they end."""
    plain, excluded, extensions = found
    spelt = np.empty(LONGEST + BLOCK, np.uint8)  # a query, its percent signs spelt alike
    parts = np.empty((PARTS, 3), np.int64)
    for row in range(len(wanted)):
        key, url, domain = bases[0] + ends[0, row], bases[1] + ends[1, row], bases[2] + ends[2, row]
        sizes = 0, 0, 0
        if wanted[row]:
            begin, end = text + starts[row], text + starts[row + 1]
            host = _scheme_end(begin, end)
            path, name = _host_end(host, end)
            query, stop = _path_and_query_end(path, end)
            if query >= 0:
                size = _key_before_query(name, path, query, key)
                at = spelt.ctypes.data
                last = _respelt(query + 1, stop, at)
                size = _key_query(at, last, key, size, parts, tracking)
                if size >= 0:
                    plain[row] = True
                    extensions[row] = _extension(path, query)
                    first, banned = sites.site(names, host, path)
                    excluded[row] = banned
                    copy(domain, first, path - first)
                    sizes = size, _fetched(begin, path, stop, url), path - first
        for column in range(3):
            ends[column, row + 1] = ends[column, row] + sizes[column]


@njit
def _fetched(begin: Any, path: Any, stop: Any, to: Any) -> Any:
    """Write the URL without its fragment, with a slash for an empty path; return its size."""
    copy(to, begin, path - begin)
    to += path - begin
    slash = path == stop or byte_at(path) != 47
    if slash:
        put_byte(to, 47)
        to += 1
    copy(to, path, stop - path)
    return stop - begin + slash


@njit
def _scheme_end(begin: Any, end: Any) -> Any:
    """Return where the host begins after `http://` or `https://`, or -1."""
    if end - begin < 8 or end - begin > LONGEST:
        return NOT_PLAIN
    if byte_at(begin) != 104 or byte_at(begin + 1) != 116 or byte_at(begin + 2) != 116:  # h, t
        return NOT_PLAIN
    at = begin + 3
    if byte_at(at) != 112:  # p
        return NOT_PLAIN
    at += 2 if byte_at(at + 1) == 115 else 1  # s
    if byte_at(at) != 58 or byte_at(at + 1) != 47 or byte_at(at + 2) != 47:  # :, /
        return NOT_PLAIN
    return at + 3


@njit
def _host_end(host: Any, end: Any) -> Any:
    """Return where the path begins and where the host does without `www.`, or -1 twice."""
    if host < 0:
        return NOT_PLAIN, NOT_PLAIN
    at, dots, dot = host, 0, host
    while at < end and _CLASSES[byte_at(at)] & HOST:
        if byte_at(at) == 46:
            if at == host or byte_at(at - 1) == 46:
                return NOT_PLAIN, NOT_PLAIN
            dots += 1
            dot = at
        elif byte_at(at) == 45 and byte_at(at - 1) == 45 and byte_at(at - 2) == 110:
            return NOT_PLAIN, NOT_PLAIN  # n--, of xn--
        at += 1
    if not dots or at - dot < 3 or at - host > urls.MAX_LABEL or not _ends_host(at, end):
        return NOT_PLAIN, NOT_PLAIN
    for letter in range(dot + 1, at):
        if not _CLASSES[byte_at(letter)] & LETTER:
            return NOT_PLAIN, NOT_PLAIN
    if dots > 1 and _www(host):
        return (NOT_PLAIN, NOT_PLAIN) if _www(host + 4) else (at, host + 4)
    return at, host


@njit
def _ends_host(at: Any, end: Any) -> Any:
    """Whether the URL ends, or a slash, question mark or number sign follows."""
    return at == end or byte_at(at) == 47 or byte_at(at) == 63 or byte_at(at) == 35


@njit
def _www(at: Any) -> Any:
    www = byte_at(at) == 119 and byte_at(at + 1) == 119 and byte_at(at + 2) == 119
    return www and byte_at(at + 3) == 46


@njit
def _path_and_query_end(path: Any, end: Any) -> Any:
    """Return where the path ends and where the query does, -1 twice where one is not plain."""
    if path < 0:
        return NOT_PLAIN, NOT_PLAIN
    query, percents = _part_end(path, end, PATH)
    for at in range(path, query):
        letter, after = byte_at(at), byte_at(at + 1)
        if letter == 46 and (byte_at(at - 1) == 47 or byte_at(at - 1) == 46):  # "/." or ".."
            return NOT_PLAIN, NOT_PLAIN
        if letter == 37 and after == 50 and byte_at(at + 2) | 32 == 101:  # %2e is a dot as well
            return NOT_PLAIN, NOT_PLAIN
        if letter == 59 and (percents or after | 32 == 106):  # ;j, of ;jsessionid=
            return NOT_PLAIN, NOT_PLAIN
    stop = query
    if 0 <= query < end and byte_at(query) == 63:
        stop, _ = _part_end(query + 1, end, QUERY)
    if query < 0 or stop < 0 or (stop < end and byte_at(stop) != 35):
        return NOT_PLAIN, NOT_PLAIN
    for at in range(stop, end):
        if byte_at(at) <= 32 or byte_at(at) >= 127:  # of a fragment, which goes
            return NOT_PLAIN, NOT_PLAIN
    return query, stop


@njit
def _part_end(at: Any, end: Any, kind: Any) -> Any:
    """Return where a path or query ends, -1 if a percent sign has not two digits; and if it has."""
    percents = False
    while at < end:
        letter = byte_at(at)
        if letter == 37:
            digits = _CLASSES[byte_at(at + 1)] & _CLASSES[byte_at(at + 2)] & HEX
            if at + 2 >= end or not digits:
                return NOT_PLAIN, True
            percents = True
        elif not _CLASSES[letter] & kind:
            break
        at += 1
    return at, percents


@njit
def _respelt(at: Any, end: Any, to: Any) -> Any:
    """Write what percent signs spell as `urls` does; return the end."""
    while at < end:
        letter = byte_at(at)
        put_byte(to, letter)
        if letter == 37:
            high, low = _digit(byte_at(at + 1)), _digit(byte_at(at + 2))
            if _UNRESERVED[high * 16 + low]:
                put_byte(to, high * 16 + low)
            else:
                put_byte(to + 1, _upper(byte_at(at + 1)))
                put_byte(to + 2, _upper(byte_at(at + 2)))
                to += 2
            at += 2
        at += 1
        to += 1
    return to


@njit
def _digit(letter: Any) -> Any:
    """Return the value of a hexadecimal digit."""
    return letter - 48 if letter < 58 else (letter | 32) - 87


@njit
def _upper(letter: Any) -> Any:
    return letter - 32 if letter >= 97 else letter


@njit
def _key_before_query(name: Any, path: Any, query: Any, key: Any) -> Any:
    """Write `http://`, the host and the path, without slashes at its end; return the size."""
    last = query
    while last > path and byte_at(last - 1) == 47:
        last -= 1
    for at in range(7):
        put_byte(key + at, _HTTP[at])
    copy(key + 7, name, path - name)
    return _respelt(path, last, key + 7 + path - name) - key


_HTTP = np.frombuffer(b"http://", np.uint8)


@njit
def _key_query(at: Any, end: Any, key: Any, size: Any, parts: Any, tracking: Any) -> Any:
    """Write the parameters that are no tracking, by name; return the size, -1 for too many."""
    count = 0
    while at < end:
        last, name = at, -1
        while last < end and byte_at(last) != 38:  # &
            if name < 0 and byte_at(last) == 61:  # =
                name = last
            last += 1
        name = last if name < 0 else name
        if last > at and not _tracks(at, name, tracking):
            if count == PARTS:
                return NOT_PLAIN
            place = count
            while place > 0 and _before(at, name, parts[place - 1, 0], parts[place - 1, 1]):
                for field in range(3):
                    parts[place, field] = parts[place - 1, field]
                place -= 1
            parts[place, 0], parts[place, 1], parts[place, 2] = at, name, last
            count += 1
        at = last + 1
    for place in range(count):
        put_byte(key + size, 38 if place else 63)
        begin, last = parts[place, 0], parts[place, 2]
        copy(key + size + 1, begin, last - begin)
        size += 1 + last - begin
    return size


@njit
def _before(at: Any, end: Any, other: Any, other_end: Any) -> Any:
    """Whether a name comes before another; not if they are the same."""
    for step in range(min(end - at, other_end - other)):
        if byte_at(at + step) != byte_at(other + step):
            return byte_at(at + step) < byte_at(other + step)
    return end - at < other_end - other


@njit
def _tracks(at: Any, end: Any, tracking: Any) -> Any:
    """Whether a name, in any case, is on the list."""
    names, ends, whole = tracking
    for entry in range(len(ends) - 1):
        size = ends[entry + 1] - ends[entry]
        if end - at == size or (end - at > size and entry >= whole):
            same = True
            for step in range(size):
                letter = byte_at(at + step)
                if 65 <= letter <= 90:
                    letter += 32
                if letter != names[ends[entry] + step]:
                    same = False
                    break
            if same:
                return True
    return False


@njit
def _extension(path: Any, query: Any) -> Any:
    """Return the packed ending of a path; 0 for none."""
    dot, at = -1, query - 1
    while at > path and byte_at(at) != 47:
        if byte_at(at) == 58:  # :
            return np.uint64(0)
        if byte_at(at) == 46 and dot < 0:
            dot = at
        at -= 1
    if dot < 0 or query - dot - 1 > EXTENSION:
        return np.uint64(0)
    value = np.uint64(0)
    for place in range(dot + 1, query):
        letter = byte_at(place)
        lowered = letter + 32 if _CLASSES[letter] & UPPER else letter
        value = value << np.uint64(8) | np.uint64(lowered)
    return value
