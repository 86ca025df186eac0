"""A connection for one request: addresses that were vetted, TLS, and aiohttp's reading of HTTP.

aiohttp's session keeps connections, cookies, redirects and proxies, none of which a crawl uses, and
takes half of a request's time for them. Beneath it lies `ResponseHandler`, which parses a response
within bounds; this module gives it a connection.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohappyeyeballs
import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage

from pipeline.crawl.addresses import Resolver

MAX_FIELD: Final = 32_768  # bytes of one header; real content security policies reach half of it
MAX_FIELDS: Final = 128  # headers of one response
NEXT_ADDRESS: Final = 0.25  # s until another is tried beside it. Source: RFC 8305, section 8


class Broken(aiohttp.ClientPayloadError):
    """The connection was given up in the middle of a body that could not be read on."""


class UnconnectedError(OSError):
    """There was no connection to be had; `cause` is what the socket or TLS said."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.errno, str(cause))
        self.cause = cause


class Answer(NamedTuple):
    """A response whose headers are in."""

    message: RawResponseMessage
    content: aiohttp.StreamReader
    peer: str  # the address that it came from


@asynccontextmanager
async def connected(
    resolver: Resolver, host: str, port: int, tls: ssl.SSLContext | None, seconds: float
) -> AsyncIterator[ResponseHandler]:
    """Connect to `host` and close it in the end; `seconds` bounds the connecting, TLS included.

    Raises:
        UnconnectedError: nobody was there, or no TLS.
        aiohttp.ConnectionTimeoutError: it took too long.
    """
    loop = asyncio.get_running_loop()
    name = host.strip("[]").rstrip(".") if tls else None
    patience = asyncio.timeout(None)
    opened = None
    try:
        addresses = await resolver.resolve(host, port)  # which has a patience of its own
        async with patience:
            patience.reschedule(loop.time() + seconds)
            opened = await _opened(resolver, addresses)
            transport, protocol = await loop.create_connection(
                lambda: ResponseHandler(loop), sock=opened, ssl=tls, server_hostname=name
            )
    except BaseException as error:
        if opened is not None:
            opened.close()
        if isinstance(error, TimeoutError) and patience.expired():
            raise aiohttp.ConnectionTimeoutError(f"{host}: no connection") from error
        if isinstance(error, OSError):
            raise UnconnectedError(error) from error
        raise
    try:
        yield protocol
    finally:
        transport.abort()
        protocol.close()


async def _opened(resolver: Resolver, addresses: list[ResolveResult]) -> socket.socket:
    """Return a socket that is connected to one of the addresses."""
    infos = [
        (each["family"], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each["host"], each["port"]))
        for each in addresses
    ]
    if len(infos) > 1:
        return await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=NEXT_ADDRESS, socket_factory=resolver.socket
        )
    made = resolver.socket(infos[0])
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, infos[0][4])
    except BaseException:
        made.close()
        raise
    return made


async def asked(protocol: ResponseHandler, request: bytes, seconds: float) -> Answer:
    """Send a request and return its response; `seconds` bounds every wait for bytes.

    Raises:
        aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError: there was none.
    """
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        read_timeout=seconds,
        max_line_size=MAX_FIELD,
        max_field_size=MAX_FIELD,
        max_headers=MAX_FIELDS,
    )
    transport = protocol.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    peer = (transport.get_extra_info("peername") or ("",))[0]
    closed = protocol.closed
    transport.write(request)
    protocol.start_timeout()
    while True:
        message, content = await protocol.read()
        if not 100 <= message.code <= 199 or message.code == 101:
            break
    if closed is not None:
        closed.add_done_callback(lambda closed: _lost(closed, content))
    return Answer(message, content, peer)


def _lost(closed: asyncio.Future[None], content: aiohttp.StreamReader) -> None:
    """Wake whoever reads a body whose connection is gone.

    Where a body turns into nonsense half-way, aiohttp closes the connection but leaves whoever
    reads waiting for the time limit.
    """
    if not closed.cancelled():
        closed.exception()  # read, or the loop complains that nobody did
    if not content.is_eof() and content.exception() is None:
        content.set_exception(Broken("the connection was closed within the body"))
