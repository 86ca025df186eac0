"""The facts that a harvest needs about plain URLs, which a parser hardly changes, by column.

`urls.forms` takes a microsecond or two per URL, and several if it calls the parser. Here Arrow's
functions do the same for whole columns; each host is checked once, and URLs that are not plain,
about one in 40, are left to `urls`. Tests ensure that both agree.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.urls import urls

Array = np.ndarray[Any, Any]


@dataclass
class Read:
    """The facts about the URLs of a column; none about those that are not known."""

    known: Array  # bool
    ids: Array  # uint64, the first 8 bytes of the key's sha256; 0 if not known, as False below
    urls: pa.Array  # strings, the form to fetch; null if not known, as the next
    domains: pa.Array
    excluded: Array  # bool, whether the host is excluded
    files: Array  # bool, whether the path has an ending that text pages do not have


def read(
    column: pa.Array, wanted: Array, site: Callable[[str], tuple[str, bool]], endings: str
) -> Read:
    """Read the wanted URLs of a column, which must not be null, if they are plain.

    `site` returns a host's registrable domain and whether it is excluded; `endings` is the result
    of `ending`.
    """
    parts = pc.extract_regex(column.filter(pa.array(wanted)), _PLAIN)
    forms, hosts, paths, queries = (pc.struct_field(parts, at) for at in range(4))
    hosts = hosts.dictionary_encode()
    told = hosts.dictionary.to_pylist()
    names = pa.array([urls.plain_name(host) for host in told], pa.string()).take(hosts.indices)
    odd = pc.match_substring_regex(paths, _ODD)
    plain = pc.fill_null(pc.and_(names.is_valid(), pc.invert(odd)), False)
    rows = np.flatnonzero(wanted)[_flags(plain)]
    forms, names, paths, queries, places = (
        part.filter(plain) for part in (forms, names, paths, queries, hosts.indices)
    )
    sites = [site(host) for host in told]
    domains = pa.array([domain for domain, _ in sites], pa.string()).take(places)
    found = Read(
        known=np.zeros(len(column), bool),
        ids=np.zeros(len(column), np.uint64),
        urls=_scattered(_fetched(forms, paths), rows, len(column)),
        domains=_scattered(domains, rows, len(column)),
        excluded=np.zeros(len(column), bool),
        files=np.zeros(len(column), bool),
    )
    found.known[rows] = True
    found.ids[rows] = _numbers(_keys(names, paths, queries))
    found.excluded[rows] = np.array([banned for _, banned in sites], bool)[places.to_numpy()]
    found.files[rows] = _flags(pc.match_substring_regex(paths, endings))
    return found


_PLAIN = rf"\A(?P<url>{urls.PLAIN}){urls.FRAGMENT}\z"
_ODD = r"/\.|\.\.|;"  # as `urls.forms`; `urls.plain_name` decides about hosts


def ending(extensions: frozenset[str]) -> str:
    r"""Return a pattern of the paths that end in one of some extensions, as `exclusions.extension`.

    >>> print(ending(frozenset({"pdf", "jpg"})))
    (?i)/[^/:]*\.(?:jpg|pdf)\z
    """
    if not extensions:
        return r"\z."  # matches nothing
    return rf"(?i)/[^/:]*\.(?:{'|'.join(map(re.escape, sorted(extensions)))})\z"


def _keys(names: pa.Array, paths: pa.Array, queries: pa.Array) -> pa.Array:
    """Return keys, as in `urls.forms`."""
    asked = pc.greater(pc.binary_length(queries), 0)
    folded = [urls.key_query(query[1:]) for query in queries.filter(asked).to_pylist()]
    texts = pa.array([query and f"?{query}" for query in folded], pa.string())
    queries = pc.replace_with_mask(queries, asked, texts)
    return pc.binary_join_element_wise("http://", names, pc.ascii_rtrim(paths, "/"), queries, "")


def _fetched(column: pa.Array, paths: pa.Array) -> pa.Array:
    """Return the form to fetch: the URL without its fragment, and a slash for an empty path."""
    bare = pc.equal(pc.binary_length(paths), 0)
    whole = pc.replace_substring_regex(column.filter(bare), r"\A([^?]*)", r"\1/")
    return pc.replace_with_mask(column, bare, whole)


def _scattered(column: pa.Array, rows: Array, count: int) -> pa.Array:
    """Return a column of `count` rows with these values in some rows, and null in the others."""
    places = np.full(count, -1)
    places[rows] = np.arange(len(rows))
    return column.take(pa.array(places, mask=places < 0))


def _flags(column: pa.Array) -> Array:
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow has none


def _numbers(keys: pa.Array) -> Array:
    sha256 = hashlib.sha256
    heads = [sha256(key).digest()[:8] for key in keys.cast(pa.binary()).to_pylist()]
    return np.frombuffer(b"".join(heads), ">u8").astype(np.uint64)


def number(key: str) -> int:
    """Return the first 8 bytes of a key's sha256, which `urls.key_id` writes as 16 digits."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def digits(ids: Array, known: Array) -> pa.Array:
    """Return numbers as strings of 16 hexadecimal digits, null if not known.

    >>> digits(np.array([255, 1], np.uint64), np.array([True, False])).to_pylist()
    ['00000000000000ff', None]
    """
    octets = ids.astype(">u8").view(np.uint8)
    text = _HEXADECIMAL[octets].tobytes()
    offsets = np.arange(0, 16 * len(ids) + 1, 16, dtype=np.int32)
    nulls = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(text), nulls)


_HEXADECIMAL = np.frombuffer(b"".join(b"%02x" % n for n in range(256)), np.uint16)
