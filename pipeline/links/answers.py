"""Split recorded API answers, in which one object has many records.

`{"data": [...]}` is an answer of Pushshift's API, `{"data": {"children": [...]}}` of Reddit's,
`{"hits": [...]}` of Hacker News's search. Such a file has one answer per line, or one answer
over all its lines.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, Final

import msgspec

from webtext.pipeline.core.compressed import CUT_SHORT, ArchiveError, chunks, cut

WRAPPERS: Final = re.compile(rb'\s*\{\s*"(?:data|kind|hits|metadata|error|took|exhaustive)"\s*:')
LARGEST: Final = 1 << 28  # bytes of one answer over several lines
FILLING: Final = 1 << 20  # bytes

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
    """Yield the records of answers; what is no answer as it is, what is broken as one line.

    An answer over several lines ends where its brackets are closed. A line that can only be the
    beginning of another one ends it too, so a broken answer costs no other.

    Raises:
        ArchiveError: the stream ends early.
    """
    held: list[bytes] = []  # the lines of an answer
    size = depth = 0  # bytes of them; brackets that are open
    for chunk in chunks(stream, LARGEST):
        if isinstance(chunk, int):
            yield from _broken(held, cut_short=chunk == CUT_SHORT)
            held, size, depth = [], 0, 0
            if chunk == CUT_SHORT:
                raise ArchiveError("ends early")
            yield from _filled(chunk)
            continue
        for line in cut(chunk):
            if not line.strip():
                continue
            if held and _begins(line) and not held[-1].rstrip().endswith((b",", b"[", b":")):
                yield from _broken(held)
                held, size, depth = [], 0, 0
            if not held and (found := _whole(line)) is not None:
                yield from found
                continue
            opened = _opened(line)
            held.append(line)
            size, depth = size + len(line) + 1, depth + (opened or 0)
            if opened is not None and depth > 0 and size <= LARGEST:
                continue
            found = _whole(b"\n".join(held)) if opened is not None else None
            yield from _broken(held) if found is None else found
            held, size, depth = [], 0, 0
    yield from _broken(held)


def _begins(line: bytes) -> bool:
    """Whether an answer or a record may begin with a line."""
    return line.startswith(b"{") or WRAPPERS.match(line) is not None


def _opened(line: bytes) -> int | None:
    """Return how many more brackets a line opens than it closes; None if a string has no end."""
    parts = line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    if len(parts) % 2 == 0:  # JSON has no line end within a string
        return None
    outside = b"".join(parts[::2])
    return sum(map(outside.count, (b"{", b"["))) - sum(map(outside.count, (b"}", b"]")))


def _whole(text: bytes) -> list[bytes] | None:
    """Return the records of one answer, each as a line; None if it is no JSON object."""
    if not text.rstrip().endswith(b"}"):
        return None
    try:
        return list(_records(_decode(text), text))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _broken(held: list[bytes], cut_short: bool = False) -> Iterator[bytes]:
    """Yield the whole records that stand in a broken answer, and the rest between as lines.

    What is `cut_short` has no line of its own at its end.
    """
    starts = [at for at, line in enumerate(held) if _begins(line) or not at]
    for start, end in pairwise([*starts, len(held)]):
        part = held[start:end]
        found = _whole(b"\n".join(part).rstrip().removesuffix(b","))
        if found is not None:
            yield from found
        elif not cut_short or end < len(held):
            yield b" ".join(part) + b"\n"


def _filled(length: int) -> Iterator[bytes]:
    """Yield a line of so many bytes in pieces, which whoever reads it counts and does not keep."""
    for start in range(0, length, FILLING):
        yield b" " * min(FILLING, length - start)
    yield b"\n"


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
