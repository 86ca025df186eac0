"""Read a response from a connection: its head, then its body, within limits.

Most responses are of one kind: a head of plain lines in one piece, then a body of a known length
or up to the end. A pattern recognises those with certainty. Others are read as browsers and curl
read them: a server should send better, and a strict parser accepts less.

Source: RFC 9112, sections 6 and 7
"""

import re
from typing import Final, NamedTuple

import aiohttp

from webtext.pipeline.archive import codings
from webtext.pipeline.crawl.http import messages
from webtext.pipeline.crawl.http.messages import BadHeadError, Head
from webtext.pipeline.crawl.http.wire import Wire

NO_BODY: Final = frozenset((204, 304))  # Source: RFC 9112, section 6.3
SWITCHING: Final = 101
SIZE_LINE: Final = 8192  # bytes of the line that gives a chunk's size, its extensions included
CHUNKED: Final = -1  # in place of a length: the chunks give it

_size_line = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


class Raw(NamedTuple):
    """A body as received, with its chunks joined."""

    data: bytes  # longer than `most` if the body is
    whole: bool  # it was received up to the announced end


async def received(wire: Wire) -> "Counted | Chunked":
    """Return the response on a connection, once its head is received.

    Raises:
        BadHeadError: the received bytes are not a head.
        aiohttp.ClientError, OSError: nothing was received.
    """
    data = await wire.more()
    found = messages.simple(data)
    if found is None:
        head, rest = await slowly(wire, data)
    else:
        head, rest = found[0], data[found[1] :]
    length = framed(head)
    if length == CHUNKED:
        return Chunked(wire, head, rest)
    return Counted(wire, head, rest, length)


async def slowly(wire: Wire, first: bytes) -> tuple[Head, bytes]:
    """Return the first head that is not interim, and the bytes received after it.

    Raises:
        BadHeadError: the received bytes are not a head.
        aiohttp.ClientError, OSError: it was not received completely.
    """
    data = bytearray(first)
    looked = 0
    while True:
        if not first:
            raise aiohttp.ServerDisconnectedError
        del data[: len(data) - len(data.lstrip(b"\r\n"))]  # as after the body of an earlier answer
        if not b"HTTP".startswith(bytes(data[:4]).upper()):
            raise BadHeadError(f"a response that begins with {bytes(data[:40])!r}")
        while end := messages.head_end(data, looked):
            head = messages.tolerant(bytes(data[:end]))
            del data[:end]
            looked = 0
            if head.status == SWITCHING or not 100 <= head.status <= 199:
                return head, bytes(data)
        looked = len(data)
        first = await wire.more()
        data += first


def framed(head: Head) -> int | None:
    """Return the length of a body, CHUNKED, or None if it continues to the end of the connection.

    Chunks have priority over a length, and equal lengths count as one; one that is not a number
    counts as none.

    Source: Fetch standard, "extract a length"

    Raises:
        BadHeadError: lengths that differ.

    >>> framed(Head.of(200, [("Content-Length", "7"), ("content-length", "7")]))
    7
    >>> framed(Head.of(200, [("Transfer-Encoding", "chunked"), ("Content-Length", "7")]))
    -1
    """
    if head.status in NO_BODY:
        return 0
    if "chunked" in codings.listed(",".join(head.every("Transfer-Encoding"))):
        return CHUNKED
    lengths = {part.strip() for value in head.every("Content-Length") for part in value.split(",")}
    lengths.discard("")
    if not lengths:
        return None
    length = lengths.pop()
    if lengths:
        raise BadHeadError("lengths that differ")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None


class Counted:
    """A response whose body has a length, or ends with the connection."""

    def __init__(self, wire: Wire, head: Head, first: bytes, length: int | None) -> None:
        self.head = head
        self._wire = wire
        self._first = first
        self._length = length

    async def read(self, most: int) -> Raw:
        """Return the body, or so much of it that it is over `most` bytes.

        Bytes after the length are ignored.

        Raises:
            TimeoutError: it is too slow.
        """
        pieces, size = [self._first], len(self._first)
        while size <= most and (self._length is None or size < self._length):
            piece = await ending(self._wire)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._length is None:
            return Raw(data, whole=True)
        return Raw(data[: self._length], whole=size >= self._length)


class Chunked:
    """A response whose body is sent in chunks."""

    def __init__(self, wire: Wire, head: Head, first: bytes) -> None:
        self.head = head
        self._wire = wire
        self._held = bytearray(first)

    async def read(self, most: int) -> Raw:
        """Return the body, or so much of it that it is over `most` bytes.

        Trailers, and all else after the last chunk, are ignored. Chunks before one without a size
        count, as those before a broken connection do.

        Raises:
            BadHeadError: the first chunk has no size.
            TimeoutError: it is too slow.
        """
        data = bytearray()
        left, later = 0, False  # bytes left of the present chunk, whether it is not the first
        while len(data) <= most:
            if left and self._held:
                taken = self._held[:left]
                del self._held[: len(taken)]
                data += taken
                left -= len(taken)
            elif not left and (size := self._next_size(later)) is not None:
                if size <= 0:
                    return Raw(bytes(data), whole=not size)
                left, later = size, True
            elif piece := await ending(self._wire):
                self._held += piece
            else:
                return Raw(bytes(data), whole=False)
        return Raw(bytes(data), whole=True)

    def _next_size(self, later: bool) -> int | None:
        """Take a chunk's size line from the buffer; None if it was not received yet, -1 if wrong.

        Raises:
            BadHeadError: the first one gives no size.
        """
        start = 0
        if later:  # the end of the previous chunk
            start = 2 if self._held.startswith(b"\r\n") else int(self._held.startswith(b"\n"))
        end = self._held.find(b"\n", start) + 1
        if not end and len(self._held) <= SIZE_LINE:
            return None
        found = _size_line.fullmatch(self._held, start, end) if end else None
        if found is None:
            if later:
                return -1
            raise BadHeadError("a chunk without a size")
        size = int(found[1], 16)
        del self._held[:end]
        return size


async def ending(wire: Wire) -> bytes:
    """Return the next bytes; a reset within a body counts as its end."""
    try:
        return await wire.more()
    except aiohttp.ClientOSError:
        return b""
