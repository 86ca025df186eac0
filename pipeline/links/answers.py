"""Split recorded API answers, in which one object has many records.

`{"data": [...]}` is an answer of Pushshift's API, `{"data": {"children": [...]}}` of Reddit's,
`{"hits": [...]}` of Hacker News's search. Such a file has one answer per line, or one answer
over all its lines.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from webtext.pipeline.core.compressed import LINE_BOUND, chunks, cut

WRAPPERS: Final = re.compile(rb'\s*\{\s*"(?:data|kind|hits|metadata|error|took|exhaustive)"\s*:')
LARGEST: Final = 1 << 28  # bytes of one answer over several lines

_decode = msgspec.json.Decoder().decode


def unwrapped(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on a stream; if it begins like an answer, as one line for each of its records."""
    blocks = iter(stream)
    first = next(blocks, b"")
    if not WRAPPERS.match(first):
        yield first
        first = b""  # it can be large
        yield from blocks
        return
    yield from _lines(chain([first], blocks))


def _lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    held = b""  # of an answer over several lines
    for chunk in chunks(stream, LARGEST):
        if isinstance(chunk, int):
            continue
        for line in cut(chunk):
            held = held + b"\n" + line if held else line
            if held.rstrip().endswith(b"}") or len(held) > LARGEST:
                try:
                    value = _decode(held)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    if len(held) <= LINE_BOUND or not held.startswith(b"{"):
                        continue
                    yield held + b"\n"
                else:
                    yield from _records(value, held)
                held = b""
    if held.strip():
        yield held + b"\n"


def _records(value: Any, line: bytes) -> Iterator[bytes]:
    """Yield the records of an answer, one per line; other lines unchanged."""
    found = _within(value)
    if found is None:
        yield line.replace(b"\n", b" ") + b"\n"
        return
    for record in found:
        yield msgspec.json.encode(record) + b"\n"


def _within(value: Any) -> list[Any] | None:
    """Return the records in an answer, None if it is not an answer."""
    if not isinstance(value, dict) or "url" in value or "permalink" in value:
        return None
    for name in ("data", "hits"):
        inner = value.get(name)
        if isinstance(inner, list):
            return inner
        if isinstance(inner, dict) and isinstance(inner.get("children"), list):
            return [
                child.get("data", child) if isinstance(child, dict) else child
                for child in inner["children"]
            ]
        if isinstance(inner, dict) and "kind" in value:
            return [inner]  # one thing of Reddit's, as {"kind": "t3", "data": {...}}
    return None
