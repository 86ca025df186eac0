"""URLs in normal form, read as arrays of bytes: which they are, their ids, hosts and extensions.

`urls.forms` costs a microsecond or two a URL, and hashing its key another: for the lines of old
dumps that is more than reading them. Here whole columns go through compiled code, and what is not
plain, about one URL in twenty, is left to `urls`. Tests hold the two together, byte by byte.
"""

import hashlib
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa

from pipeline import urls

HOST, PATH, QUERY, LETTER, UPPER = 1, 2, 4, 8, 16  # what a byte may stand in, or is
LONGEST = 2000  # bytes of a URL that is looked at here; so long are one in a thousand
PARTS = 16  # parameters of a query that are put in order here
EXTENSION = 8  # bytes of an ending that fit the number it is packed into

# The first 64 primes' cube roots and the first 8 primes' square roots.
# Source: FIPS 180-4, sections 4.2.2 and 5.3.3
_PRIMES = [n for n in range(2, 312) if all(n % factor for factor in range(2, n))]


def _root_bits(number: int, degree: int) -> int:
    """Return the first 32 bits of the fraction of a root, by search on whole numbers."""
    low, high = 0, number << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= number << 32 * degree else (low, middle - 1)
    return low & 0xFFFFFFFF


ROUNDS = np.array([_root_bits(prime, 3) for prime in _PRIMES], np.uint32)
START = np.array([_root_bits(prime, 2) for prime in _PRIMES[:8]], np.uint32)


class Plain(NamedTuple):
    """What is known of each URL of a column; of those that are not plain, only that."""

    plain: np.ndarray[Any, Any]  # bool
    ids: np.ndarray[Any, Any]  # uint64, the first 8 bytes of the key's sha256
    hosts: pa.Array  # strings, "" where not plain
    extensions: np.ndarray[Any, Any]  # uint64, as `packed`


def read(column: pa.Array) -> Plain:
    """Read a column of URLs, without nulls."""
    _, offsets, data = column.buffers()
    text = np.frombuffer(data or b"", np.uint8)
    starts = np.frombuffer(offsets or bytes(4), np.int32)[column.offset :][: len(column) + 1]
    plain, ids, extensions, bounds, hosts = _read(text, starts, _classes(), *_tracking(), *_SHA)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(hosts[: bounds[-1]])]
    named = pa.StringArray.from_buffers(len(column), buffers[1], buffers[2])
    return Plain(plain, ids, named, extensions)


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


def digits(ids: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> pa.Array:
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
_SHA = (ROUNDS, START)


@cache
def _classes() -> np.ndarray[Any, Any]:
    """Return what each byte may stand in: `urls` says the same by a pattern."""
    lower, upper, figures = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
    classes = np.zeros(256, np.uint8)
    for kind, characters in (
        (HOST, lower + figures + ".-"),
        (PATH, lower + upper + figures + "_~!$&'()*+,=:@/.-"),
        (QUERY, lower + upper + figures + "_~!$&()*+,=:@/?.-"),
        (LETTER, lower),
        (UPPER, upper),
    ):
        classes[list(characters.encode())] |= kind
    return classes


@cache
def _tracking() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """Return the names of tracking parameters end to end, where they end, how many are whole."""
    whole, beginnings = urls.tracking_parameters()
    names = [name.encode() for name in (*sorted(whole), *beginnings)]
    text = np.frombuffer(b"".join(names), np.uint8)
    return text, np.cumsum([0, *map(len, names)]), len(whole)


@numba.njit(cache=True, inline="always")
def _turned(word: Any, bits: Any) -> Any:
    return np.uint32((word >> np.uint32(bits)) | np.uint32(word << np.uint32(32 - bits)))


@numba.njit(cache=True)
def _hashed(text: Any, size: Any, words: Any, rounds: Any, start: Any) -> Any:
    """Return the first 8 bytes of the sha256 of `text[:size]`, which must have room for padding.

    Source: FIPS 180-4, sections 5.1.1 and 6.2.2
    """
    blocks = (size + 8) // 64 + 1
    text[size] = 0x80
    text[size + 1 : blocks * 64] = 0
    for at in range(4):
        text[blocks * 64 - 1 - at] = (size * 8 >> 8 * at) & 0xFF
    state = start.copy()
    for block in range(blocks):
        for at in range(16):
            first = block * 64 + at * 4
            words[at] = (
                np.uint32(text[first]) << 24
                | np.uint32(text[first + 1]) << 16
                | np.uint32(text[first + 2]) << 8
                | np.uint32(text[first + 3])
            )
        for at in range(16, 64):
            one, other = words[at - 15], words[at - 2]
            small = _turned(one, 7) ^ _turned(one, 18) ^ (one >> np.uint32(3))
            large = _turned(other, 17) ^ _turned(other, 19) ^ (other >> np.uint32(10))
            words[at] = np.uint32(words[at - 16] + small + words[at - 7] + large)
        _mixed(state, words, rounds)
    return np.uint64(state[0]) << np.uint64(32) | np.uint64(state[1])


@numba.njit(cache=True)
def _mixed(state: Any, words: Any, rounds: Any) -> None:
    """Mix one block into the state."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for at in range(64):
        turned = _turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)
        one = np.uint32(h + turned + ((e & f) ^ (~e & g)) + rounds[at] + words[at])
        turned = _turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)
        other = np.uint32(turned + ((a & b) ^ (a & c) ^ (b & c)))
        h, g, f, e = g, f, e, np.uint32(d + one)
        d, c, b, a = c, b, a, np.uint32(one + other)
    state[0], state[1] = np.uint32(state[0] + a), np.uint32(state[1] + b)
    state[2], state[3] = np.uint32(state[2] + c), np.uint32(state[3] + d)
    state[4], state[5] = np.uint32(state[4] + e), np.uint32(state[5] + f)
    state[6], state[7] = np.uint32(state[6] + g), np.uint32(state[7] + h)


@numba.njit(cache=True)
def _read(
    text: Any,
    starts: Any,
    classes: Any,
    names: Any,
    name_ends: Any,
    whole: Any,
    rounds: Any,
    start: Any,
) -> Any:
    """Return which URLs are plain, their ids, extensions, and hosts end to end with their ends."""
    count = len(starts) - 1
    plain = np.zeros(count, np.bool_)
    ids = np.zeros(count, np.uint64)
    extensions = np.zeros(count, np.uint64)
    bounds = np.zeros(count + 1, np.int32)
    hosts = np.empty(max(starts[count] - starts[0], 1), np.uint8)
    key, words = np.zeros(LONGEST + 128, np.uint8), np.zeros(64, np.uint32)
    parts = np.zeros((PARTS, 3), np.int64)
    filled = 0
    for row in range(count):
        begin, end = starts[row], starts[row + 1]
        bounds[row + 1] = filled
        host = _scheme_end(text, begin, end)
        if host < 0:
            continue
        path, name = _host_end(text, host, end, classes)
        if path < 0:
            continue
        query = _path_end(text, path, end, classes)
        if query < 0:
            continue
        size = _key_before_query(text, name, path, query, key)
        size = _key_query(text, query + 1, end, key, size, parts, names, name_ends, whole)
        if size < 0:
            continue
        plain[row] = True
        ids[row] = _hashed(key, size, words, rounds, start)
        extensions[row] = _extension(text, query, classes)
        hosts[filled : filled + path - host] = text[host:path]
        filled += path - host
        bounds[row + 1] = filled
    return plain, ids, extensions, bounds, hosts


@numba.njit(cache=True)
def _scheme_end(text: Any, begin: Any, end: Any) -> Any:
    """Return where the host begins after `http://` or `https://`, or -1."""
    if end - begin < 8 or end - begin > LONGEST:
        return -1
    if text[begin] != 104 or text[begin + 1] != 116 or text[begin + 2] != 116:  # h, t
        return -1
    at = begin + 3
    if text[at] != 112:  # p
        return -1
    at += 2 if text[at + 1] == 115 else 1  # s
    if end - at < 4 or text[at] != 58 or text[at + 1] != 47 or text[at + 2] != 47:  # :, /
        return -1
    return at + 3


@numba.njit(cache=True)
def _host_end(text: Any, host: Any, end: Any, classes: Any) -> Any:
    """Return where the path begins and where the host does without `www.`, or -1 twice."""
    at, dots, dot = host, 0, host
    while at < end and classes[text[at]] & HOST:
        if text[at] == 46:
            if at == host or text[at - 1] == 46:
                return -1, -1
            dots += 1
            dot = at
        elif text[at] == 45 and at - host > 2 and text[at - 1] == 45 and text[at - 2] == 110:
            return -1, -1  # n--, of xn--
        at += 1
    if at == end or text[at] != 47 or not dots or at - dot < 3 or at - host > urls.MAX_LABEL:
        return -1, -1
    for letter in text[dot + 1 : at]:
        if not classes[letter] & LETTER:
            return -1, -1
    if dots > 1 and _www(text, host):
        return (-1, -1) if _www(text, host + 4) else (at, host + 4)
    return at, host


@numba.njit(cache=True)
def _www(text: Any, at: Any) -> Any:
    return text[at] == 119 and text[at + 1] == 119 and text[at + 2] == 119 and text[at + 3] == 46


@numba.njit(cache=True)
def _path_end(text: Any, path: Any, end: Any, classes: Any) -> Any:
    """Return where the question mark is, or the end; -1 where path or query is not plain."""
    query, kind = end, PATH
    for at in range(path, end):
        letter = text[at]
        if query == end and letter == 63:
            query, kind = at, QUERY
            continue
        if not classes[letter] & kind:
            return -1
        if letter == 46 and (text[at - 1] == 47 or text[at - 1] == 46):  # "/." or ".."
            return -1
        if letter == 45 and text[at - 1] == 45 and text[at - 2] == 110:  # n--, of xn--
            return -1
    return query


@numba.njit(cache=True)
def _key_before_query(text: Any, name: Any, path: Any, query: Any, key: Any) -> Any:
    """Write `http://`, the host and the path, without slashes at its end; return the size."""
    last = query
    while last > path and text[last - 1] == 47:
        last -= 1
    key[0], key[1], key[2], key[3] = 104, 116, 116, 112
    key[4], key[5], key[6] = 58, 47, 47
    key[7 : 7 + last - name] = text[name:last]
    return 7 + last - name


@numba.njit(cache=True)
def _key_query(
    text: Any,
    at: Any,
    end: Any,
    key: Any,
    size: Any,
    parts: Any,
    names: Any,
    name_ends: Any,
    whole: Any,
) -> Any:
    """Write the parameters that are no tracking, by name; return the size, -1 for too many."""
    count = 0
    while at < end:
        last, name = at, -1
        while last < end and text[last] != 38:  # &
            if name < 0 and text[last] == 61:  # =
                name = last
            last += 1
        name = last if name < 0 else name
        if last > at and not _tracks(text, at, name, names, name_ends, whole):
            if count == PARTS:
                return -1
            place = count
            while place > 0 and _before(text, at, name, parts[place - 1]):
                parts[place] = parts[place - 1]
                place -= 1
            parts[place, 0], parts[place, 1], parts[place, 2] = at, name, last
            count += 1
        at = last + 1
    for place in range(count):
        key[size] = 38 if place else 63
        begin, last = parts[place, 0], parts[place, 2]
        key[size + 1 : size + 1 + last - begin] = text[begin:last]
        size += 1 + last - begin
    return size


@numba.njit(cache=True)
def _before(text: Any, at: Any, end: Any, part: Any) -> Any:
    """Whether a name comes before that of a part; not if they are the same."""
    size = min(end - at, part[1] - part[0])
    for step in range(size):
        if text[at + step] != text[part[0] + step]:
            return text[at + step] < text[part[0] + step]
    return end - at < part[1] - part[0]


@numba.njit(cache=True)
def _tracks(text: Any, at: Any, end: Any, names: Any, name_ends: Any, whole: Any) -> Any:
    """Whether a name, in any case, is on the list."""
    for entry in range(len(name_ends) - 1):
        size = name_ends[entry + 1] - name_ends[entry]
        if end - at == size or (end - at > size and entry >= whole):
            same = True
            for step in range(size):
                letter = text[at + step]
                if 65 <= letter <= 90:
                    letter += 32
                if letter != names[name_ends[entry] + step]:
                    same = False
                    break
            if same:
                return True
    return False


@numba.njit(cache=True)
def _extension(text: Any, query: Any, classes: Any) -> Any:
    """Return the packed ending of a path; 0 for none."""
    dot, at = -1, query - 1
    while text[at] != 47:
        if text[at] == 58:  # :
            return np.uint64(0)
        if text[at] == 46 and dot < 0:
            dot = at
        at -= 1
    if dot < 0 or query - dot - 1 > EXTENSION:
        return np.uint64(0)
    value = np.uint64(0)
    for letter in text[dot + 1 : query]:
        lowered = letter + 32 if classes[letter] & UPPER else letter
        value = value << np.uint64(8) | np.uint64(lowered)
    return value
