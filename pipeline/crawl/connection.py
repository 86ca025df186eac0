"""A connection for one request: addresses that were vetted, TLS, bytes out and bytes in.

asyncio's transports and aiohttp's session are made for connections that live: what a crawl needs,
one request each, takes a third of their time. So a plain connection is a bare socket here, which
sends as soon as it is connected and is read until the caller has enough; TLS is left to asyncio.
One timer bounds the connecting, every wait for bytes, and the whole.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

import aiohappyeyeballs
import aiohttp
from aiohttp.abc import ResolveResult

from pipeline.crawl.addresses import Resolver

NEXT_ADDRESS: Final = 0.25  # s until another is tried beside it. Source: RFC 8305, section 8
PIECE: Final = 256 << 10  # bytes read at a time
UNREAD: Final = 512 << 10  # bytes that wait for the caller, above which no more is read
UNDER_WAY: Final = frozenset((0, errno.EINPROGRESS, errno.EINTR))


class UnconnectedError(OSError):
    """There was no connection to be had; `cause` is what the socket or TLS said."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.errno, str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float  # TLS included
    silence: float  # of the host, at any time
    whole: float


class Wire:
    """A connection on which one request is sent, and the bytes that come back.

    Whoever makes one closes it. What goes wrong is raised by `more`.
    """

    peer = ""  # the address at the other end

    def __init__(self, request: bytes, patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._patience = patience
        self._pieces: deque[bytes] = deque()
        self._unread = 0  # bytes of them
        self._paused = False
        self._ended = False  # no more will come
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._connecting = True
        now = self._loop.time()
        self._until = now + patience.connect  # when to give up, if nothing happens before
        self._whole = now + patience.whole
        self._timer = self._loop.call_at(min(self._until, self._whole), self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def more(self) -> bytes:
        """Return what came next, b"" when the host has ended the connection.

        Raises:
            UnconnectedError: nobody was there, or no TLS.
            aiohttp.ConnectionTimeoutError: it took too long to connect.
            aiohttp.SocketTimeoutError: the host was silent for too long.
            TimeoutError: all of it took too long.
            aiohttp.ClientOSError: the connection broke.
        """
        if not self._pieces and not self._ended and self._error is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._pieces:
            piece = self._pieces.popleft()
            self._unread -= len(piece)
            if self._paused and self._unread <= UNREAD:
                self._paused = False
                self._until = self._loop.time() + self._patience.silence
                self._pause(False)
            return piece
        if self._error is not None:
            raise self._error
        return b""

    def close(self) -> None:
        """Let go of the connection, whatever is still under way."""
        self._timer.cancel()

    def _pause(self, stop: bool) -> None:
        """Stop reading from the host, or go on."""
        raise NotImplementedError

    def _connected(self) -> None:
        self._connecting = False
        self._until = self._loop.time() + self._patience.silence
        if self._until < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(self._until, self._look)

    def _feed(self, piece: bytes) -> None:
        if self._ended:
            return
        self._until = self._loop.time() + self._patience.silence
        self._pieces.append(piece)
        self._unread += len(piece)
        if self._unread > UNREAD:
            self._paused = True
            self._pause(True)
        self._wake()

    def _end(self, error: Exception | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        if error is not None and self._connecting and isinstance(error, OSError):
            error = UnconnectedError(error)
        elif type(error) is not TimeoutError and isinstance(error, OSError):
            error = aiohttp.ClientOSError(*error.args)
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        """Give up if it is time to, else look again when it may be."""
        due = min(self._until, self._whole)
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._ended = True
        self._error = self.late()
        self._pieces.clear()
        self._wake()

    def late(self) -> TimeoutError:
        """Return what it means that time is up."""
        if self._whole <= self._until:
            return TimeoutError("the whole took too long")
        if self._connecting:
            return aiohttp.ConnectionTimeoutError("no connection")
        return aiohttp.SocketTimeoutError("not a byte")


class Plain(Wire):
    """A bare socket, already connected or to be dialled."""

    def __init__(self, made: socket.socket, request: bytes, patience: Patience) -> None:
        super().__init__(request, patience)
        self._socket = made
        self._reading = self._writing = False  # whether the loop looks out for it

    def dial(self, address: tuple[str, int]) -> None:
        """Connect, then ask."""
        try:
            code = reach(self._socket, address)
        except OSError as error:
            self._end(error)
            return
        if code not in UNDER_WAY:
            self._end(OSError(code, os.strerror(code)))
            return
        self._loop.add_writer(self._socket, self._reached)
        self._writing = True

    def ask(self) -> None:
        """Send the request, as far as the socket takes it at once."""
        try:
            sent = self._socket.send(self._request)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._end(error)
            return
        if sent < len(self._request):  # hardly ever
            self._request = self._request[sent:]
            self._loop.add_writer(self._socket, self.ask)
            self._writing = True
        elif self._writing:
            self._loop.remove_writer(self._socket)
            self._writing = False

    def close(self) -> None:
        super().close()
        if self._reading:
            self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        self._reading = self._writing = False
        self._socket.close()

    def listen(self) -> None:
        """Begin to read: the connection is there."""
        with suppress(OSError):  # gone again
            self.peer = str((self._socket.getpeername() or ("",))[0])
        self._connected()
        self._pause(False)

    def _pause(self, stop: bool) -> None:
        self._reading = not stop
        if stop:
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def _reached(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._loop.remove_writer(self._socket)
            self._writing = False
            self._end(OSError(code, os.strerror(code)))
            return
        self.listen()
        self.ask()

    def _readable(self) -> None:
        try:
            piece = self._socket.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._stop(error)
            return
        if piece:
            self._feed(piece)
        else:
            self._stop()

    def _stop(self, error: OSError | None = None) -> None:
        self._pause(True)
        self._end(error)


class Secure(Wire, asyncio.Protocol):
    """TLS, which asyncio speaks."""

    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request: the handshake is over."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._connected()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._feed(bytes(data))

    def eof_received(self) -> None:
        """Note the end of what comes."""
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


def reach(made: socket.socket, address: tuple[str, int]) -> int:
    """Begin to connect a socket; return the number of the error, which is "in progress" if none."""
    return made.connect_ex(address)


async def asked(
    resolver: Resolver,
    addresses: list[ResolveResult],
    request: bytes,
    tls: tuple[ssl.SSLContext, str] | None,
    patience: Patience,
) -> Wire:
    """Connect to one of the addresses of a host, and send it a request.

    `tls` says whom to trust, and which name the host has to prove.

    Raises:
        UnconnectedError, aiohttp.ConnectionTimeoutError, TimeoutError: as `Wire.more`.
    """
    try:
        if tls is None and len(addresses) == 1:
            made, where = _made(resolver, addresses[0])
            wire = Plain(made, request, patience)
            wire.dial(where)
            return wire
        return await _slowly(resolver, addresses, request, tls, patience)
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise UnconnectedError(error) from error


async def _slowly(
    resolver: Resolver,
    addresses: list[ResolveResult],
    request: bytes,
    tls: tuple[ssl.SSLContext, str] | None,
    patience: Patience,
) -> Wire:
    """Connect where that takes several steps: addresses beside each other, a handshake."""
    opened = None
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(min(patience.connect, patience.whole))
    try:
        async with limit:
            opened = await _raced(resolver, addresses)
            if tls is None:
                wire = Plain(opened, request, patience)
                wire.listen()
                wire.ask()
                return wire
            context, name = tls
            _, secure = await loop.create_connection(
                lambda: Secure(request, patience), sock=opened, ssl=context, server_hostname=name
            )
            return secure
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
    """Return an address as getaddrinfo gives it."""
    where = (address["host"], address["port"])
    return address["family"], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where
