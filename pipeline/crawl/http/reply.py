"""A response as it comes over a connection: its head, then its body, within bounds.

Most responses are of one kind: a head of plain lines in one piece, then a body of a known length
or up to the end. A pattern tells those for certain. All others, chunked bodies among them, go
to aiohttp's parser, which is llhttp, and which decides what is HTTP and what is not.
"""

import asyncio
from typing import Final, NamedTuple

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import (
    ContentLengthError,
    HttpProcessingError,
    TransferEncodingError,
)
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage

from webtext.pipeline.crawl.http import messages
from webtext.pipeline.crawl.http.wire import Wire

MAX_FIELD: Final = 32_768  # bytes of one header; real content security policies reach half of it
MAX_FIELDS: Final = 128  # headers of one response
NO_BODY: Final = frozenset((204, 304))  # Source: RFC 9112, section 6.3
UNCERTAIN: Final = -1  # of a length: for the parser to say
NEVER_FULL: Final = 1 << 30  # bytes that the parser may hold; it is emptied after every piece


class Raw(NamedTuple):
    """A body as it came over the wire, chunks put together."""

    data: bytes  # more than was asked for where there was more
    whole: bool  # it came to the end that was announced


async def received(wire: Wire) -> "Counted | Parsed":
    """Return the response that comes over a connection, once its head is in.

    Raises:
        aiohttp.ClientError, HttpProcessingError, OSError: there is none.
    """
    data = await wire.more()
    found = messages.simple(data)
    if found is not None:
        head, end = found
        length = framed(head)
        if length is None or len(data) - end <= length:
            return Counted(wire, head, data[end:], length)
    parsed = Parsed(wire)
    await parsed.begin(data)
    return parsed


def framed(head: messages.Head) -> int | None:
    """Return the length of a body, None where it goes on to the end of the connection.

    >>> framed(messages.Head.of(200, [("Content-Length", "7")]))
    7
    >>> framed(messages.Head.of(200, [("Transfer-Encoding", "chunked")]))
    -1
    """
    if head.status in NO_BODY or any(map(head.every, ("Transfer-Encoding", "Upgrade"))):
        return UNCERTAIN
    lengths = head.every("Content-Length")
    if not lengths:
        return None
    length = lengths[0]
    certain = len(lengths) == 1 and length.isascii() and length.isdigit() and len(length) < 16
    return int(length) if certain else UNCERTAIN


class Counted:
    """A response whose body has a length, or none but the end of the connection."""

    def __init__(self, wire: Wire, head: messages.Head, first: bytes, length: int | None) -> None:
        self.head = head
        self._wire = wire
        self._first = first
        self._length = length

    async def read(self, most: int) -> Raw:
        """Return the body, or so much of it that it is over `most` bytes.

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


class Parsed:
    """A response that aiohttp's parser reads; it has a head once it has begun."""

    head: messages.Head

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(
            BaseProtocol(loop),  # it would be told to pause, if the parser were ever full
            loop,
            NEVER_FULL,
            payload_exception=aiohttp.ClientPayloadError,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
        )

    async def begin(self, data: bytes) -> None:
        """Read up to the end of the head; `data` is what has come already.

        Raises:
            aiohttp.ClientError, HttpProcessingError, OSError: there is none.
        """
        while data:
            for message, content in self._feed(data):
                if message.code == 101 or not 100 <= message.code <= 199:
                    self.head, self._content = head_of(message), content
                    return
            data = await self._wire.more()
        raise aiohttp.ServerDisconnectedError

    async def read(self, most: int) -> Raw:
        """Return the body, or so much of it that it is over `most` bytes.

        Raises:
            HttpProcessingError, TimeoutError: it is not HTTP, or too slow.
        """
        data, whole = bytearray(self._content.read_nowait()), True
        while len(data) <= most and not self._content.is_eof():
            piece = await ending(self._wire)
            if piece:
                self._go_on(piece)
            elif not self._ended():
                whole = False
                break
            data += self._content.read_nowait()
        return Raw(bytes(data), whole)

    def _feed(self, data: bytes) -> list[tuple[RawResponseMessage, aiohttp.StreamReader]]:
        try:
            messages, _, _ = self._parser.feed_data(data)
        except HttpProcessingError:
            raise
        except Exception as error:
            raise HttpProcessingError from error
        return list(messages)

    def _go_on(self, data: bytes) -> None:
        """Parse more of the body; what comes behind it is nobody's concern."""
        try:
            self._feed(data)
        except HttpProcessingError:
            if not self._content.is_eof():
                raise

    def _ended(self) -> bool:
        """Tell the parser that the connection has ended; return whether the body then is whole.

        Raises:
            HttpProcessingError: what came is no body.
        """
        try:
            self._parser.feed_eof()
        except (ContentLengthError, TransferEncodingError):
            return False
        return True


async def ending(wire: Wire) -> bytes:
    """Return what came next; a reset within a body ends it as an end does."""
    try:
        return await wire.more()
    except aiohttp.ClientOSError:
        return b""


def head_of(message: RawResponseMessage) -> messages.Head:
    """Return a head as aiohttp parsed it, byte for byte."""
    return messages.Head(
        b"HTTP/%d.%d" % (message.version.major, message.version.minor),
        message.code,
        (message.reason or "").encode("utf-8", "surrogateescape"),
        tuple((bytes(name), bytes(value)) for name, value in message.raw_headers),
    )
