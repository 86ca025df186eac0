"""Which site a host belongs to, and whether it is excluded, in compiled code.

The public suffix list and the excluded names become one table of names, found by a hash of their
bytes from last to first: so a host is gone through once, and looked up at each dot. Tests hold it
to tldextract, which `urls.registrable` asks.

Source: https://publicsuffix.org/list, as tldextract carries it: the part of the registries
"""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.links.vectors import byte_at
from webtext.pipeline.urls import urls

# What a name in the table is: a suffix; one under which any name is a suffix; one that is not,
# though it would be for that; an excluded one; one that is only on the way to others.
SUFFIX, WILD, EXCEPTION, EXCLUDED, NODE = 1, 2, 4, 8, 16

FACTOR = 0x100000001B3  # Source: RFC 9923, section 5 (FNV, 64 bits)
BASIS = 0xCBF29CE484222325  # Source: as FACTOR

Array = np.ndarray[Any, Any]


class Names(NamedTuple):
    """An open-addressed table of names: of each slot its hash, 0 for none, its name and kinds."""

    hashes: Array  # uint64
    begins: Array  # int64, into `text`
    ends: Array
    kinds: Array  # uint8
    text: Array  # uint8


@lru_cache(8)
def names(excluded: frozenset[str]) -> Names:
    """Return the table of the suffixes and of these names."""
    kinds = dict(_suffixes())
    for name in excluded:
        kinds[name] = kinds.get(name, 0) | EXCLUDED
    octets = {name.encode(): kind for name, kind in kinds.items()}
    size = 1 << (2 * len(octets)).bit_length()
    table = Names(
        np.zeros(size, np.uint64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.uint8),
        np.frombuffer(b"".join(octets), np.uint8),
    )
    ends = np.cumsum([0, *map(len, octets)])
    _fill(table, ends, np.fromiter(octets.values(), np.uint8))
    return table


@cache
def _suffixes() -> dict[str, int]:
    """Return what the names of the public suffix list are, those on the way to them included.

    Those beyond ASCII are left out, for no URL that is read here has them; the same suffixes in
    Punycode are never read here either.
    """
    kinds: dict[str, int] = {}
    for rule in urls.public_suffixes():
        if not rule.isascii():
            continue
        name, kind = rule, SUFFIX
        if rule.startswith("*."):
            name, kind = rule[2:], WILD
        elif rule.startswith("!"):
            name, kind = rule[1:], EXCEPTION
        kinds[name] = kinds.get(name, 0) | kind | (NODE if kind != EXCEPTION else 0)
        while "." in name:
            name = name.partition(".")[2]
            kinds[name] = kinds.get(name, 0) | NODE
    return kinds


@njit
def _fill(table: Any, ends: Any, kinds: Any) -> None:
    """Put names into an empty table."""
    for name in range(len(kinds)):
        begin, end = ends[name], ends[name + 1]
        value = np.uint64(BASIS)
        for at in range(end - 1, begin - 1, -1):
            value = (value ^ np.uint64(table.text[at])) * np.uint64(FACTOR)
        slot = value & np.uint64(len(table.hashes) - 1)
        while table.hashes[slot]:
            slot = (slot + np.uint64(1)) & np.uint64(len(table.hashes) - 1)
        table.hashes[slot], table.kinds[slot] = value, kinds[name]
        table.begins[slot], table.ends[slot] = begin, end


@njit
def _kinds(table: Any, value: Any, begin: Any, end: Any) -> Any:
    """Return what a name with this hash is, 0 if it is not in the table."""
    slot = value & np.uint64(len(table.hashes) - 1)
    while table.hashes[slot]:
        first = table.begins[slot]
        if table.hashes[slot] == value and table.ends[slot] - first == end - begin:
            same = True
            for step in range(end - begin):
                same = same and byte_at(begin + step) == table.text[first + step]
            if same:
                return table.kinds[slot]
        slot = (slot + np.uint64(1)) & np.uint64(len(table.hashes) - 1)
    return 0


@njit
def site(table: Any, begin: Any, end: Any) -> Any:
    """Return where the registrable domain of a host begins, and whether the host is excluded.

    A host that is a suffix itself, or has none, is its own domain.
    """
    value = np.uint64(BASIS)
    excluded, listed, wild = False, True, False  # `listed` while the list knows longer suffixes
    suffix, label, at = end + 1, end + 1, end  # where a suffix begins, and a label
    while at > begin:
        at -= 1
        value = (value ^ np.uint64(byte_at(at))) * np.uint64(FACTOR)
        if at > begin and byte_at(at - 1) != 46:
            continue
        kinds = _kinds(table, value, at, end)
        excluded = excluded or kinds & EXCLUDED != 0
        if listed and kinds & NODE:
            suffix = at if kinds & SUFFIX else suffix
            wild = kinds & WILD != 0
        elif listed:
            if wild:
                suffix = label if kinds & EXCEPTION else at
            listed = False
        label = at
    if suffix >= end or suffix == begin:
        return begin, excluded
    at = suffix - 1
    while at > begin and byte_at(at - 1) != 46:
        at -= 1
    return at, excluded
