"""Split an archived HTTP response into its head, and its body with the encodings undone.

Archives store the bytes as transferred, or as decoded by their crawler, and do not say which: the
head may announce a chunked or compressed body that is already decoded. So each encoding is undone
if the bytes match it, and ignored if they clearly do not.
"""

import re
from dataclasses import dataclass
from typing import Final

import zstandard

from webtext.pipeline.archive import codings

MAX_CODINGS = 3  # of one body, one inside the other; more is an attack, not an honest server

PAGES: Final = frozenset({200, 203})  # statuses of pages; 203: the same, modified by a proxy
LARGE: Final = "too_large"
BROKEN: Final = "bad_encoding"

_beyond_ascii = re.compile(rb"[\x80-\xff]")
_blank_line = re.compile(rb"\r?\n\r?\n")
_http = re.compile(rb"[\r\n]*HTTP(?=[/ ])", re.IGNORECASE)
_status = re.compile(rb"\S+[ \t]+(\d{3})(?!\d)")
_chunk_size = re.compile(rb"\s*0*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_cut_size = re.compile(rb"[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\n]{0,4096})?\r?")
_markup = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<[!?A-Za-z]")


@dataclass(frozen=True, slots=True)
class Body:
    """A body, as far as it could be decoded."""

    data: bytes
    problem: str | None = None  # LARGE (data is cut) or BROKEN (data ends before the error)
    whole: bool = True  # whether the encodings reached their end


def split(block: bytes) -> tuple[bytes, bytes] | None:
    r"""Return head (its blank line included) and body; None if it is not an HTTP response.

    An interim response, such as 103, is passed over if another follows.

    >>> split(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nhello")
    (b'HTTP/1.1 200 OK\r\nA: b\r\n\r\n', b'hello')
    """
    found = None
    at = 0
    while (begun := _http.match(block, at)) and (end := _blank_line.search(block, begun.end())):
        at = end.end()
        found = block[begun.end() - len(b"HTTP") : at], at
        if not 100 <= (status(found[0]) or 0) < 200:
            break
    return None if found is None else (found[0], block[found[1] :])


def status(head: bytes) -> int | None:
    r"""Return the status of a response's head, None if its first line has none.

    >>> status(b"HTTP/2 404\r\n\r\n")
    404
    """
    found = _status.match(head)
    return int(found[1]) if found else None


def headers(head: bytes) -> list[tuple[str, str]]:
    r"""Return the fields of a head in order, a folded line joined to the line before it.

    >>> headers(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nno colon\r\n\r\n")
    [('A', 'b c')]
    """
    found: list[tuple[str, list[str]]] = []  # pieces, joined once: a line may be folded for long
    for line in head.decode("latin-1").split("\n")[1:]:
        if line[:1] in (" ", "\t") and found and line.strip():
            found[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(":")
        if colon:
            found.append((name.strip(), [value.strip()]))
    return [(name, " ".join(pieces).strip()) for name, pieces in found]


def header(fields: list[tuple[str, str]], name: str) -> str | None:
    """Return the value of the first field of this name, in lower case, None if there is none.

    >>> header([("Content-Type", "text/html")], "content-type")
    'text/html'
    """
    return next((value for found, value in fields if found.lower() == name), None)


def address(head: bytes, name: str) -> str | None:
    r"""Return the value of the first field of this name that holds a URL, None if there is none.

    Bytes beyond ASCII are percent-encoded, in whatever charset they are, as browsers and our crawl
    send them back.

    >>> address(b"HTTP/1.1 302 Found\r\nLocation: /caf\xc3\xa9\r\n\r\n", "location")
    '/caf%C3%A9'
    """
    return header(headers(_beyond_ascii.sub(lambda found: b"%%%02X" % found[0][0], head)), name)


def content_type(fields: list[tuple[str, str]]) -> str | None:
    """Return the content type of a head, several in a list; None if there is none.

    >>> content_type([("Content-Type", "text/plain"), ("Content-type", "text/html")])
    'text/plain, text/html'
    """
    return ", ".join(_every(fields, "content-type")) or None


def unpack(fields: list[tuple[str, str]], body: bytes, limit: int) -> Body:
    """Undo the transfer and content encodings that `fields` announce, to `limit` bytes.

    A damaged body counts up to its damage.
    """
    whole = True
    transfer = ",".join(_every(fields, "transfer-encoding"))
    if "chunked" in codings.listed(transfer):
        unchunked = dechunk(body)
        body, whole = unchunked.data, unchunked.whole
    listed = ",".join([*_every(fields, "content-encoding"), transfer])
    names = [name for name in codings.names(listed) if name in codings.DECODERS]
    if len(names) > MAX_CODINGS:
        return Body(body, BROKEN)
    for name in reversed(names):
        if not _coded(name, body):
            continue
        found = codings.undone(body, name, limit + 1)
        if len(found.data) > limit:
            return Body(found.data[:limit], LARGE, whole=False)
        if (found.broken or not found.ended) and not found.data:
            if name == "deflate" and _markup.match(body):
                continue  # it is already decoded
            return Body(b"", BROKEN, whole=False)
        body, whole = found.data, whole and found.ended
    if len(body) > limit:
        return Body(body[:limit], LARGE)
    return Body(body, None, whole)


def _coded(name: str, body: bytes) -> bool:
    """Whether a body may still be coded: archives keep the head of a body that they decoded."""
    if name == "br":  # which has no magic number
        return not _markup.match(body)
    return body.startswith(_MAGIC.get(name, b"")) and bool(body)


def _every(fields: list[tuple[str, str]], name: str) -> list[str]:
    """Return the value of each field of this name."""
    return [value for found, value in fields if found.lower() == name]


def dechunk(body: bytes) -> Body:
    r"""Join the chunks of a body; one that does not begin with a chunk is already joined.

    If it is cut, or continues with an invalid chunk, the bytes before that count.

    >>> dechunk(b"5\r\nhello\r\n0\r\n\r\n").data, dechunk(b"<p>").data
    (b'hello', b'<p>')
    """
    parts: list[bytes] = []
    at = 0
    while True:
        size_line = _chunk_size.match(body, at)
        if size_line is None:
            if parts or (body and _cut_size.fullmatch(body)):
                return Body(b"".join(parts), whole=False)
            return Body(body)
        size = int(size_line[1], 16)
        if size == 0:
            return Body(b"".join(parts))
        start = size_line.end()
        parts.append(body[start : start + size])
        at = start + size
        if at > len(body):
            return Body(b"".join(parts), whole=False)


_MAGIC = {"gzip": b"\x1f\x8b", "zstd": zstandard.FRAME_HEADER}
