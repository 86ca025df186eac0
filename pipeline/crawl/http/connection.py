"""Connect to a checked address of a host, and send a request on the connection.

asyncio's transports and aiohttp's session are made for long connections: one request on each, as
a crawl needs, takes a third of their time. So a plain request to a host with one address uses a
bare socket; all others, mainly TLS, are left to asyncio.
"""

import asyncio
import socket
import ssl
from typing import Final

import aiohappyeyeballs
import aiohttp
from aiohttp.abc import ResolveResult

from webtext.pipeline.crawl.http import plain
from webtext.pipeline.crawl.http.address_guard import Resolver
from webtext.pipeline.crawl.http.wire import Patience, UnconnectedError, Wire

NEXT_ADDRESS: Final = 0.25  # s until the next address is tried too. Source: RFC 8305, section 8


class Carried(Wire, asyncio.Protocol):
    """A connection by an asyncio transport, with TLS or without."""

    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request: the TLS handshake, if any, is over."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._connected()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""
        self._feed(bytes(data))

    def eof_received(self) -> None:
        """Note the end of the host's data."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection."""
        self._end(exc)

    def close(self) -> None:
        super().close()
        if self._transport is not None:
            self._transport.abort()

    def _pause(self, stop: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if stop:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


async def asked(
    resolver: Resolver,
    addresses: list[ResolveResult],
    request: bytes,
    tls: tuple[ssl.SSLContext, str] | None,
    patience: Patience,
    watch: plain.Watch | None,
) -> Wire:
    """Connect to one of the addresses of a host, and send it a request.

    `tls` says whom to trust, and which name the host has to prove. `watch` watches bare
    sockets, on systems that have epoll.

    Raises:
        UnconnectedError, aiohttp.ConnectionTimeoutError, TimeoutError: as `Wire.more`.
    """
    try:
        if watch is not None and tls is None and len(addresses) == 1:
            made, where = _made(resolver, addresses[0])
            wire = plain.Plain(watch, made, request, patience)
            wire.dial(where)
            return wire
        return await _slowly(resolver, addresses, request, tls, patience)
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise UnconnectedError(error) from error


async def reachable(resolver: Resolver, addresses: list[ResolveResult], seconds: float) -> bool:
    """Tell whether one of the addresses accepts a connection in so many seconds; send nothing."""
    try:
        async with asyncio.timeout(seconds):
            (await _raced(resolver, addresses)).close()
    except (OSError, TimeoutError):
        return False
    return True


async def _slowly(
    resolver: Resolver,
    addresses: list[ResolveResult],
    request: bytes,
    tls: tuple[ssl.SSLContext, str] | None,
    patience: Patience,
) -> Wire:
    """Connect in several steps: addresses in parallel, a TLS handshake."""
    opened = None
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(min(patience.connect, patience.whole))
    try:
        async with limit:
            opened = await _raced(resolver, addresses)
            context, name = tls or (None, None)
            _, carried = await loop.create_connection(
                lambda: Carried(request, patience), sock=opened, ssl=context, server_hostname=name
            )
            return carried
    except BaseException as error:
        if opened is not None:
            opened.close()
        if isinstance(error, TimeoutError) and limit.expired():
            if patience.whole <= patience.connect:
                raise
            raise aiohttp.ConnectionTimeoutError("no connection") from error
        raise


async def _raced(resolver: Resolver, addresses: list[ResolveResult]) -> socket.socket:
    """Return a socket that is connected to one of the addresses."""
    if len(addresses) > 1:
        infos = [_info(each) for each in addresses]
        return await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=NEXT_ADDRESS, socket_factory=resolver.socket
        )
    made, where = _made(resolver, addresses[0])
    try:
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made


def _made(resolver: Resolver, address: ResolveResult) -> tuple[socket.socket, tuple[str, int]]:
    info = _info(address)
    made = resolver.socket(info)
    made.setblocking(False)
    return made, info[4]


def _info(
    address: ResolveResult,
) -> tuple[int, socket.SocketKind, int, str, tuple[str, int]]:
    """Return an address in the form of getaddrinfo."""
    where = (address["host"], address["port"])
    return address["family"], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where
