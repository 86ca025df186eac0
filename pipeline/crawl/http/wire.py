"""A connection for one request, and its timeouts; `plain.py` and TLS implement it.

One timer limits the connecting, every wait for bytes, and the whole request. It is moved only when
it is due, which is rare.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, Self

import aiohttp

PIECE: Final = 256 << 10  # bytes read at a time
UNREAD: Final = 512 << 10  # unread bytes in the buffer at which no more are received


class UnconnectedError(OSError):
    """No connection could be made; `cause` is the error of the socket or TLS."""

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
    """A connection for one request, and the bytes that are received.

    Its maker closes it. Errors are raised by `more`.
    """

    peer = ""  # the address at the other end

    def __init__(self, request: bytes, patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._patience = patience
        self._pieces: deque[bytes] = deque()
        self._unread = 0  # bytes of them
        self._paused = False
        self._ended = False  # no more bytes will be received
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._connecting = True
        now = self._loop.time()
        self._until = now + patience.connect  # when to give up, if nothing happens earlier
        self._whole = now + patience.whole
        self._timer = self._loop.call_at(min(self._until, self._whole), self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def more(self) -> bytes:
        """Return the next bytes, b"" when the host has ended the connection.

        Raises:
            UnconnectedError: the host could not be reached, or TLS failed.
            aiohttp.ConnectionTimeoutError: it took too long to connect.
            aiohttp.SocketTimeoutError: the host was silent for too long.
            TimeoutError: the whole request took too long.
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
        """Close the connection, whatever is still under way."""
        self._timer.cancel()

    def _pause(self, stop: bool) -> None:
        """Pause reading from the host, or resume it."""
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
        """Give up if the time is over, else set the timer again."""
        due = min(self._until, self._whole)
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._ended = True
        self._error = self.late()
        self._pieces.clear()
        self._wake()

    def late(self) -> TimeoutError:
        """Return the error for the timeout that occurred."""
        if self._whole <= self._until:
            return TimeoutError("the whole took too long")
        if self._connecting:
            return aiohttp.ConnectionTimeoutError("no connection")
        return aiohttp.SocketTimeoutError("not a byte")
