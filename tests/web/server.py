"""A small hostile web on loopback, in raw sockets, since no HTTP library would say such things.

A `Site` answers the requests for one host. A site's answer is either bytes, sent as they are before
the connection is closed, or a coroutine that may do anything to the connection.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import trustme

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Peer:
    """One request, and the connection that it came over."""

    def __init__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.writer = writer
        first, *lines = request.decode("latin-1").split("\r\n")
        self.path = first.split(" ")[1]
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.host = self.headers.get("host", "").partition(":")[0]

    async def send(self, *parts: bytes, pause: float = 0) -> None:
        """Send `parts`, each in a packet of its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def reset(self) -> None:
        """Break the connection off with a TCP reset instead of an end."""
        await asyncio.sleep(0.05)  # what was sent before should arrive before
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Answer = bytes | Callable[[Peer], Awaitable[None]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Site:
    """One host of the web."""

    page: Answer  # for every path but those below
    robots: Answer = NOT_FOUND
    paths: Mapping[str, Answer] = field(default_factory=dict)
    certificate: str = "good"  # which of `Authority.contexts` it shows over TLS
    raw_tls: Serve | None = None  # what listens where TLS should, if not TLS

    def answer(self, path: str) -> Answer:
        return self.robots if path == "/robots.txt" else self.paths.get(path, self.page)


class Authority:
    """A certificate authority of our own, and servers that honour it to various degrees."""

    def __init__(self) -> None:
        self.good = trustme.CA()
        self.strange = trustme.CA()

    def context(self, kind: str, host: str) -> ssl.SSLContext:
        """Return what a server with a certificate of this kind uses for `host`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "expired":
            past = datetime(2020, 1, 1, tzinfo=UTC)
            certificate = self.good.issue_cert(host, not_before=past, not_after=past.replace(day=2))
        elif kind == "wrong-host":
            certificate = self.good.issue_cert("another.test")
        elif kind == "self-signed":
            certificate = self.strange.issue_cert(host)
        else:
            certificate = self.good.issue_cert(host)
        certificate.configure_cert(context)
        if kind == "old-cipher":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("AES128-SHA:@SECLEVEL=0")  # no longer offered by clients
        return context


@dataclass
class Web:
    """Sites by host name, served on loopback; use it as an async context manager."""

    sites: Mapping[str, Site]
    ca: Authority | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)  # host, path, in order of arrival
    heard: list[bytes] = field(default_factory=list)  # the same as bytes
    port: int = 0
    tls_port: int = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._raw: dict[str, int] = {}
        self.port = await self._listen(self.port)
        if self.ca:
            self.tls_port = await self._listen(self.tls_port, self._tls(self.ca))
        for host, site in self.sites.items():
            if site.raw_tls:
                self._raw[host] = await self._listen(0, serve=site.raw_tls)
            elif site.certificate == "old-cipher" and self.ca:
                self._raw[host] = await self._listen(0, self.ca.context(site.certificate, host))
        return self

    async def __aexit__(self, *error: object) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.001)  # aborted connections are closed in the loop's next turns

    def connect_to(self, hosts: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return the rules, as curl's --connect-to has them, by which the hosts are found here."""
        rules = []
        for host in self.sites if hosts is None else hosts:
            tls = self._raw.get(host, self.tls_port)
            rules += [f"{host}:80:127.0.0.1:{self.port}", f"{host}:443:127.0.0.1:{tls}"]
        return tuple(rules)

    async def _listen(
        self, port: int, tls: ssl.SSLContext | None = None, serve: Serve | None = None
    ) -> int:
        server = await asyncio.start_server(
            self._held(serve or self._serve), "127.0.0.1", port, ssl=tls
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _tls(self, ca: Authority) -> ssl.SSLContext:
        """Return a context that shows each host the certificate that its site asks for."""
        contexts: dict[str, ssl.SSLContext] = {}

        def choose(connection: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
            site = self.sites.get(host or "")
            if host and site:
                if host not in contexts:
                    contexts[host] = ca.context(site.certificate, host)
                connection.context = contexts[host]

        first = ca.context("good", "nobody.test")
        first.sni_callback = choose  # type: ignore[assignment]
        return first

    def _held(self, serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """Return `serve` as a callback whose task ends with the web, whatever the client does."""

        async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                    await serve(reader, writer)
                    writer.close()
                    await writer.wait_closed()
            finally:
                writer.transport.abort()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(whole(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return connected

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(await reader.readuntil(b"\r\n\r\n"), writer)
        self.requests.append((peer.host, peer.path))
        self.heard.append(peer.request)
        site = self.sites.get(peer.host)
        answer = site.answer(peer.path) if site else NOT_FOUND
        if isinstance(answer, bytes):
            await peer.send(answer)
        else:
            await answer(peer)


def ca_file(ca: Authority) -> str:
    """Write the good authority's certificate where a crawler can be told of it."""
    path = Path(tempfile.mkdtemp(prefix="hostile-web-")) / "ca.pem"
    ca.good.cert_pem.write_to_path(path)
    return str(path)
