"""An archived HTTP response taken apart: head, and body with its encodings undone.

Archives store what was on the wire, or what their crawler made of it, and do not say which: the
head may announce a chunked or compressed body that was long ago unpacked. So each encoding is
undone where the bytes bear it out and passed over where they plainly do not.
"""

import re
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final, NamedTuple

import zstandard
from fastwarc.stream_io import BrotliReader

from webtext.pipeline.archive.gunzip import MAGIC, gunzip

MAX_CODINGS = 3  # of one body, one inside the other; more is an attack, not a server
MAX_WINDOW = 8 * 1024 * 1024  # bytes of a zstd body's window. Source: RFC 9659

LARGE: Final = "too_large"
BROKEN: Final = "bad_encoding"

_blank_line = re.compile(rb"\r?\n\r?\n")
_chunk_size = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_markup = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<[!?A-Za-z]")


@dataclass(frozen=True, slots=True)
class Body:
    """A body as far as it could be unpacked."""

    data: bytes
    problem: str | None = None  # LARGE (data is cut) or BROKEN (data is what came before)
    whole: bool = True  # whether the encodings came to their end


def split(block: bytes) -> tuple[bytes, bytes] | None:
    r"""Return head (its blank line included) and body of an HTTP response; None where it is none.

    >>> split(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello")
    (b'HTTP/1.1 200 OK\r\nA: b\r\n\r\n', b'hello')
    """
    if not block.startswith(b"HTTP/"):
        return None
    end = _blank_line.search(block)
    if end is None:
        return None
    return block[: end.end()], block[end.end() :]


def status(head: bytes) -> int | None:
    r"""Return the status of a response's head, None where its first line has none.

    >>> status(b"HTTP/2 404\r\n\r\n")
    404
    """
    words = head.split(b"\n", 1)[0].split(None, 2)
    if len(words) < 2 or not words[1].isdigit() or len(words[1]) != 3:
        return None
    return int(words[1])


def headers(head: bytes) -> list[tuple[str, str]]:
    r"""Return the fields of a head in order, a folded line joined to the one that it goes on.

    >>> headers(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nno colon\r\n\r\n")
    [('A', 'b c')]
    """
    found: list[tuple[str, list[str]]] = []
    for line in head.decode("latin-1").split("\n")[1:]:
        if line[:1] in (" ", "\t") and found and line.strip():
            found[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(":")
        if colon:
            found.append((name.strip(), [value.strip()]))
    return [(name, " ".join(lines).strip()) for name, lines in found]


def header(fields: list[tuple[str, str]], name: str) -> str | None:
    """Return the value of the first field of this name, in lower case, None where there is none.

    >>> header([("Content-Type", "text/html")], "content-type")
    'text/html'
    """
    return next((value for found, value in fields if found.lower() == name), None)


def unpack(fields: list[tuple[str, str]], body: bytes, limit: int) -> Body:
    """Undo the transfer and content encodings that `fields` announce, to `limit` bytes."""
    whole = True
    if "chunked" in _listed(fields, "transfer-encoding"):
        unchunked = dechunk(body)
        body, whole = unchunked.data, unchunked.whole
        if unchunked.problem:
            return unchunked
    codings = [coding for coding in _listed(fields, "content-encoding") if coding in _DECODERS]
    if len(codings) > MAX_CODINGS:
        return Body(body, BROKEN)
    for coding in reversed(codings):
        decoded = _DECODERS[coding](body, limit)
        if decoded.problem:
            return decoded
        body, whole = decoded.data, whole and decoded.whole
    if len(body) > limit:
        return Body(body[:limit], LARGE)
    return Body(body, None, whole)


def _listed(fields: list[tuple[str, str]], name: str) -> list[str]:
    """Return the members of all fields of this name, in lower case."""
    values = ",".join(value for found, value in fields if found.lower() == name)
    return [member.strip().lower() for member in values.split(",") if member.strip()]


def dechunk(body: bytes) -> Body:
    r"""Join the chunks of a body; one that does not begin as a chunk was joined before.

    >>> dechunk(b"5\r\nhello\r\n0\r\n\r\n").data, dechunk(b"<p>").data
    (b'hello', b'<p>')
    """
    parts: list[bytes] = []
    at = 0
    while True:
        size_line = _chunk_size.match(body, at)
        if size_line is None:
            if not parts:
                return Body(body)
            return Body(b"".join(parts), BROKEN if body[at:].strip() else None, whole=False)
        size = int(size_line[1], 16)
        if size == 0:
            return Body(b"".join(parts))
        start = size_line.end()
        parts.append(body[start : start + size])
        at = start + size
        if at > len(body):
            return Body(b"".join(parts), whole=False)


def _gunzip(body: bytes, limit: int) -> Body:
    """Undo gzip, which may come in several members."""
    if not body.startswith(MAGIC):
        return Body(body)
    found = gunzip(body, limit + 1)
    if found.problem:
        rest = _before_the_damage(body[found.at :], limit - len(found.data), zlib.MAX_WBITS | 16)
        return Body(found.data + rest, BROKEN, whole=False)
    return _bounded(found.data, limit, found.whole)


def _undeflate(body: bytes, limit: int) -> Body:
    """Undo deflate: zlib's format as the standard has it, or bare as some servers send it."""
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        inflated = _inflate(body, limit, bits)
        if inflated.data or not inflated.problem:
            return Body(inflated.data, inflated.problem, inflated.whole)
    return _as_it_is(body)


class _Inflated(NamedTuple):
    data: bytes
    problem: str | None
    whole: bool


def _inflate(body: bytes, limit: int, bits: int) -> _Inflated:
    """Inflate one member, to one byte over the limit at most."""
    inflater = zlib.decompressobj(bits)
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error:
        return _Inflated(_before_the_damage(body, limit, bits), BROKEN, False)
    if len(data) > limit:
        return _Inflated(data[:limit], LARGE, False)
    return _Inflated(data, None, inflater.eof)


def _before_the_damage(body: bytes, limit: int, bits: int) -> bytes:
    """Return what comes out before an error: zlib gives nothing of the call that meets it."""
    inflater = zlib.decompressobj(bits)
    data = bytearray()
    try:
        for start in range(0, len(body), 512):
            data += inflater.decompress(body[start : start + 512], limit - len(data) + 1)
            if len(data) > limit:
                break
    except zlib.error:
        pass  # expected: the rest cannot be had
    return bytes(data[:limit])


def _unbrotli(body: bytes, limit: int) -> Body:
    """Undo brotli, which has no magic number to be told by."""
    if _markup.match(body):
        return Body(body)
    data = bytearray()
    try:
        reader = BrotliReader(BytesIO(body))
        while len(data) <= limit and (piece := reader.read(min(limit + 1 - len(data), 1 << 16))):
            data += piece
    except (OSError, EOFError, ValueError):
        return Body(bytes(data), BROKEN, whole=False)
    return _bounded(bytes(data), limit, whole=True)


def _unzstd(body: bytes, limit: int) -> Body:
    """Undo Zstandard."""
    if not body.startswith(zstandard.FRAME_HEADER):
        return Body(body)
    data = bytearray()
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            while len(data) <= limit and (piece := reader.read(1 << 16)):
                data += piece
    except zstandard.ZstdError:
        return Body(bytes(data), BROKEN, whole=False)
    if not data:  # a torn frame gives nothing and no error
        return Body(b"", BROKEN, whole=False)
    return _bounded(bytes(data), limit, whole=True)


def _bounded(data: bytes, limit: int, whole: bool) -> Body:
    if len(data) > limit:
        return Body(data[:limit], LARGE, whole=False)
    return Body(data, None, whole)


def _as_it_is(body: bytes) -> Body:
    """Take a body that cannot be undone as undone already where it looks like a page."""
    return Body(body) if _markup.match(body) else Body(b"", BROKEN, whole=False)


# Other names are passed over, as browsers do: servers send "utf-8", "none" and the like.
_DECODERS = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
