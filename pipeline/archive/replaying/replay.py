"""Serve WARC files as the web that they recorded: by Host header, on loopback, over HTTP and HTTPS.

A crawler that is told to connect to this server for all hosts (`connect_to`) gets the recorded
status lines, headers and bodies, robots.txt included, and 404 for an unrecorded URL. Certificates
are made for any name that a client asks for, signed by a test authority of this server process.
"""

import asyncio
import json
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import trustme

from webtext.pipeline.archive import payload
from webtext.pipeline.archive.replaying.recorded import Archive
from webtext.pipeline.core.errors import UserError

LOOPBACK = "127.0.0.1"
CERTIFICATES = 4096  # cached at a time

# Fields that describe the transferred bytes, which are our own: bodies are served unencoded.
FRAMING = {b"connection", b"content-encoding", b"content-length", b"keep-alive", b"te",
           b"trailer", b"transfer-encoding", b"upgrade"}  # fmt: skip
BODILESS = {204, 304}  # Source: RFC 9110, section 6.4.1


def served_head(head: bytes, status: int, size: int, last: bool) -> bytes:
    r"""Return a recorded head as it is sent: the framing fields are new, all others unchanged.

    >>> served_head(b"HTTP/2 200\r\nContent-Encoding: gzip\r\nX: y\r\n\r\n", 200, 5, last=False)
    b'HTTP/1.1 200 \r\nX: y\r\nContent-Length: 5\r\n\r\n'
    """
    first, *lines = head.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    words = first.split(None, 2)
    reason = words[2] if len(words) > 2 else b""
    kept = [b"HTTP/1.1 %d %s" % (status, reason)]
    keeping = True
    for line in lines:
        if line[:1] not in b" \t":  # a folded line is kept or dropped with the line before it
            keeping = line.partition(b":")[0].strip().lower() not in FRAMING and b":" in line
        if keeping:
            kept.append(line)
    if status not in BODILESS:
        kept.append(b"Content-Length: %d" % size)
    if last:
        kept.append(b"Connection: close")
    return b"\r\n".join(kept) + b"\r\n\r\n"


class Replay:
    """The server; an asynchronous context manager that listens while it is entered.

    Raises:
        UserError: a WARC file cannot be read, or a port is not available.
    """

    def __init__(
        self,
        sources: Sequence[Path],
        port: int = 0,
        tls_port: int = 0,
        ca_file: Path | None = None,
        access_log: Path | None = None,
        delay: float = 0.0,
    ) -> None:
        self.sources = sources
        self.port = port  # 0 until entered means any free port
        self.tls_port = tls_port
        self.delay = delay  # s before each response
        self._wanted_ca_file = ca_file
        self._access_log = access_log
        self._log: IO[str] | None = None
        self._authority = trustme.CA()
        self._context = lru_cache(CERTIFICATES)(self._new_context)
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._stack = ExitStack()
        self.archive: Archive
        self.ca_file: Path

    @property
    def connect_to(self) -> tuple[str, ...]:
        """Rules that make a crawl connect to this server for every host."""
        return (f"*:80:{LOOPBACK}:{self.port}", f"*:443:{LOOPBACK}:{self.tls_port}")

    async def __aenter__(self) -> Self:
        try:
            self.archive = await asyncio.to_thread(Archive, self.sources)
            self._stack.callback(self.archive.close)
            if self._access_log is not None:
                log = self._access_log.open("a", encoding="utf-8", buffering=1)
                self._log = self._stack.enter_context(log)
            self.ca_file = self._wanted_ca_file or self._own_ca_file()
            self._authority.cert_pem.write_to_path(str(self.ca_file))
            self.port = await self._listen("http", self.port, None)
            self.tls_port = await self._listen("https", self.tls_port, self._tls())
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._stack.close()

    def _own_ca_file(self) -> Path:
        """Return a path for the authority's certificate, which is removed with the server."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="webtext-replay-"))
        return Path(folder) / "ca.pem"

    async def _listen(self, scheme: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen on loopback; return the port."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._converse(scheme, reader, writer)
            except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
                pass  # the client has left, or the server stops: there is nobody to answer
            finally:
                self._connections.discard(task)
                writer.close()

        try:
            server = await asyncio.start_server(connected, LOOPBACK, port, ssl=tls, backlog=1024)
        except OSError as error:
            raise UserError(
                f"port {port} on {LOOPBACK}: {error.strerror}; choose another one"
            ) from None
        self._servers.append(server)
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def _converse(
        self, scheme: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of one connection, until either side ends it."""
        last = False
        while not last:
            try:
                request = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                return
            if self.delay:
                await asyncio.sleep(self.delay)
            answer, last = self.answer(scheme, request)
            writer.write(answer)
            await writer.drain()

    def answer(self, scheme: str, request: bytes) -> tuple[bytes, bool]:
        """Return the bytes that answer a request's head, and whether the connection ends there."""
        asked = time.monotonic()
        words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return plain(400, "wanted: METHOD TARGET HTTP/1.1", last=True), True
        method, target, version = words
        fields = payload.headers(request)
        connection = (payload.header(fields, "connection") or "").lower()
        last = "close" in connection or (version == "HTTP/1.0" and "keep-alive" not in connection)
        host = payload.header(fields, "host") or ""
        if "://" in target:  # the form of a request to a proxy
            scheme, _, rest = target.partition("://")
            host, _, target = rest.partition("/")
            target = f"/{target}"
        host = self._plain_host(host)
        if method not in {"GET", "HEAD"}:
            status, last = 405, True
            answer = plain(status, "only GET and HEAD were recorded", last)
        elif (found := self.archive.find(scheme, host, target.partition("#")[0])) is None:
            status = 404
            answer = plain(status, "not in the archive", last, method == "GET")
        else:
            head, body, status = found
            bodiless = method == "HEAD" or status in BODILESS
            answer = served_head(head, status, len(body), last) + (b"" if bodiless else body)
        if self._log is not None:
            hit = {"time": asked, "scheme": scheme, "host": host, "path": target, "status": status}
            self._log.write(json.dumps(hit) + "\n")
        return answer, last

    def _plain_host(self, host: str) -> str:
        """Return a Host header's name without the default ports and the server's own."""
        name, _, port = host.lower().partition(":") if not host.startswith("[") else (host, "", "")
        return name if port in {"80", "443", str(self.port), str(self.tls_port)} else host.lower()

    def _tls(self) -> ssl.SSLContext:
        """Return the context of the HTTPS port: it chooses a certificate by the requested name."""
        context = self._new_context("localhost")

        def pick(
            connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
        ) -> int | None:
            if name is None:
                return None
            try:
                connection.context = self._context(name)
            except ValueError:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            return None

        context.sni_callback = pick
        return context

    def _new_context(self, name: str) -> ssl.SSLContext:
        """Return a context with a certificate for one host."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        names = (name, LOOPBACK) if name == "localhost" else (name,)
        self._authority.issue_cert(*names).configure_cert(context)
        return context


def plain(status: int, text: str, last: bool, body: bool = True) -> bytes:
    """Return an answer of this server, which is not from an archive."""
    reasons = {400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed"}
    said = f"webtext replay: {text}\n".encode()
    head = b"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n\r\n" % (status, reasons[status])
    return served_head(head, status, len(said), last) + (said if body else b"")


@contextmanager
def replaying(
    sources: Sequence[Path],
    port: int = 0,
    tls_port: int = 0,
    ca_file: Path | None = None,
    access_log: Path | None = None,
    delay: float = 0.0,
) -> Iterator[Replay]:
    """Serve from a thread while the block runs, for callers that are not asynchronous.

    Raises:
        UserError: as `Replay`.
    """
    replay = Replay(sources, port, tls_port, ca_file, access_log, delay)
    stop = asyncio.Event()
    ready: Future[asyncio.AbstractEventLoop] = Future()

    async def serve() -> None:
        try:
            async with replay:
                ready.set_result(asyncio.get_running_loop())
                await stop.wait()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="replay", daemon=True)
    thread.start()
    try:
        ready.result()
        yield replay
    finally:
        ready.add_done_callback(partial(_end, stop))  # at once, or when the archive has been read
        thread.join()


def _end(stop: asyncio.Event, ready: Future[asyncio.AbstractEventLoop]) -> None:
    """Let a server end, unless it did not begin or has ended."""
    if ready.exception() is None:
        with suppress(RuntimeError):
            ready.result().call_soon_threadsafe(stop.set)


async def serve_forever(
    sources: Sequence[Path],
    port: int,
    tls_port: int,
    ca_file: Path | None = None,
    access_log: Path | None = None,
    delay: float = 0.0,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until the process is told to stop (SIGINT or SIGTERM); print the address first.

    Raises:
        UserError: as `Replay`.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Replay(sources, port, tls_port, ca_file, access_log, delay) as replay:
        archive = replay.archive
        skipped = f", {archive.skipped} records skipped" if archive.skipped else ""
        announce(
            f"serving {archive.pages} URLs of {len(archive.hosts)} hosts{skipped}: "
            f"http on {LOOPBACK}:{replay.port}, https on {LOOPBACK}:{replay.tls_port}, "
            f"authority in {replay.ca_file}"
        )
        await stop.wait()
