"""A connection by a bare socket, and the watch that tells many sockets when they are ready.

asyncio makes four system calls for each socket, with a handle and a context each time. Here all
sockets of a crawl share one epoll within the loop's own, which reports each change once.
"""

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from webtext.pipeline.crawl.http.wire import PIECE, Patience, Wire

AVAILABLE: Final = hasattr(select, "epoll")  # Linux
UNDER_WAY: Final = frozenset((0, errno.EINPROGRESS, errno.EINTR))


class Watch:
    """Watches sockets, within a running loop; each change is reported once.

    A socket is forgotten before it is closed, and closing it removes it from the epoll.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._told: dict[int, Callable[[int], None]] = {}
        self._loop.add_reader(self._poll.fileno(), self._tell)

    def add(self, number: int, told: Callable[[int], None]) -> None:
        """Call `told` with the events of socket `number`."""
        self._told[number] = told
        self._poll.register(
            number, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
        )

    def forget(self, number: int) -> None:
        """Stop watching a socket."""
        self._told.pop(number, None)

    def close(self) -> None:
        """Stop watching all sockets."""
        self._loop.remove_reader(self._poll.fileno())
        self._poll.close()

    def _tell(self) -> None:
        for number, events in self._poll.poll(0):
            if (told := self._told.get(number)) is not None:
                told(events)


class Plain(Wire):
    """A connection by a bare socket."""

    def __init__(
        self, watch: Watch, made: socket.socket, request: bytes, patience: Patience
    ) -> None:
        super().__init__(request, patience)
        self._watch = watch
        self._socket = made
        self._number = made.fileno()

    def dial(self, address: tuple[str, int]) -> None:
        """Connect, then send the request."""
        try:
            code = reach(self._socket, address)
        except OSError as error:
            self._end(error)
            return
        if code in UNDER_WAY:
            self.begin()
        else:
            self._end(OSError(code, os.strerror(code)))

    def begin(self) -> None:
        """Watch the socket until it is connected."""
        self._watch.add(self._number, self._happens)

    def close(self) -> None:
        super().close()
        self._watch.forget(self._number)
        self._socket.close()

    def _pause(self, stop: bool) -> None:
        if not stop:
            self._read(to_the_end=True)  # bytes that arrived meanwhile are not reported again

    def _happens(self, events: int) -> None:
        gone = events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP)
        if self._connecting and events & (select.EPOLLOUT | gone) and not self._reached():
            return
        if self._request and events & select.EPOLLOUT:
            self._send()
        if events & select.EPOLLIN or gone:
            self._read(to_the_end=bool(gone))

    def _reached(self) -> bool:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(OSError(code, os.strerror(code)))
            return False
        with suppress(OSError):  # it may be closed again
            self.peer = str((self._socket.getpeername() or ("",))[0])
        self._connected()
        return True

    def _send(self) -> None:
        """Send as much of the request as the socket accepts."""
        try:
            while self._request:
                self._request = self._request[self._socket.send(self._request) :]
        except (BlockingIOError, InterruptedError):  # rare
            return
        except OSError as error:
            self._end(error)

    def _read(self, to_the_end: bool) -> None:
        """Read the available bytes; a short piece is the last one, if the host is not `gone`."""
        while not (self._paused or self._ended):
            try:
                piece = self._socket.recv(PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._end(error)
                return
            if not piece:
                self._end()
                return
            self._feed(piece)
            if len(piece) < PIECE and not to_the_end:
                return


def reach(made: socket.socket, address: tuple[str, int]) -> int:
    """Start to connect a socket; return the error number, "in progress" if there is no error."""
    return made.connect_ex(address)
