"""A small hostile web on loopback, in raw sockets, since no HTTP library would say such things.

A `Site` answers the requests for one host. A site's answer is either bytes, sent as they are before
the connection is closed, or a coroutine that may do anything to the connection.
"""

import asyncio
import atexit
import contextlib
import shutil
import socket
import ssl
import struct
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import trustme

from tests.web.names import NameServer, Said, answering

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
CERTIFICATES = Path(__file__).with_name("certificates")

# What whoever gets inside finds there.
SECRET = b"the keys of the house"
INSIDE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"


class Peer:
    """One request, and the connection that it came over."""

    def __init__(self, request: bytes, writer: asyncio.StreamWriter, trap: int = 0) -> None:
        self.request = request
        self.writer = writer
        self.trap = trap  # the port that nobody is to be led to
        first, *lines = request.decode("latin-1").split("\r\n")
        self.path = first.split(" ")[1]
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.host = self.headers.get("host", "").partition(":")[0].rstrip(".")

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


# Certificates whose server has settings of its own, which are fixed before a name is asked for.
UNUSUAL = frozenset({"old-cipher", "old-protocol", "sha1"})

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
    names: tuple[Said, ...] = ()  # what the name server says of it, in turn, where that matters

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
        if kind == "sha1":  # no longer to be had from any library, so it was made beforehand
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.load_cert_chain(CERTIFICATES / "sha1.pem")
            return context
        if kind == "expired":
            past = datetime(2020, 1, 1, tzinfo=UTC)
            certificate = self.good.issue_cert(host, not_before=past, not_after=past.replace(day=2))
        elif kind == "not-yet":
            future = datetime(2099, 1, 1, tzinfo=UTC)
            certificate = self.good.issue_cert(
                host, not_before=future, not_after=future.replace(day=2)
            )
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
        elif kind == "old-protocol":
            with warnings.catch_warnings():  # that it is old is the point
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context


@dataclass
class Web:
    """Sites by host name, served on loopback; use it as an async context manager."""

    sites: Mapping[str, Site]
    ca: Authority | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)  # host, path, in order of arrival
    times: list[float] = field(default_factory=list)  # s, monotonic: when each request was in
    heard: list[bytes] = field(default_factory=list)  # the same as bytes
    port: int = 0
    tls_port: int = 0
    trap: int = 0  # port on loopback that stands for the crawler's own network
    dns_port: int = 0
    trapped: list[str] = field(default_factory=list)  # who came there
    on_trapped: Callable[[str], None] = lambda _: None

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._raw: dict[str, int] = {}
        self.port = await self._listen(self.port)
        if self.ca:
            self.tls_port = await self._listen(self.tls_port, self._tls(self.ca))
        self.trap = await self._listen(self.trap, serve=self._trap)
        with contextlib.suppress(OSError):  # a machine without IPv6
            await self._listen(self.trap, serve=self._trap, host="::1")
        self.names: NameServer = await answering(self._said, self.dns_port)
        self.dns_port = self.names.transport.get_extra_info("sockname")[1]
        for host, site in self.sites.items():
            if site.raw_tls:
                self._raw[host] = await self._listen(0, serve=site.raw_tls)
            elif site.certificate in UNUSUAL and self.ca:
                self._raw[host] = await self._listen(0, self.ca.context(site.certificate, host))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.names.transport.close()
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.001)  # aborted connections are closed in the loop's next turns

    def connect_to(self, hosts: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return the rules, as curl's --connect-to has them, by which the hosts are found here.

        None for those whose matter is what the name server says of them.
        """
        rules = []
        for host in self.sites if hosts is None else hosts:
            if self.sites[host].names:
                continue
            tls = self._raw.get(host, self.tls_port)
            rules += [f"{host}:80:127.0.0.1:{self.port}", f"{host}:443:127.0.0.1:{tls}"]
        return tuple(rules)

    def _said(self, host: str) -> tuple[Said, ...]:
        site = self.site(host)
        return (site.names or (("127.0.0.1",),)) if site else ()

    def site(self, host: str) -> Site | None:
        """Return the site of a host: its own, or that of all names in its domain."""
        return self.sites.get(host) or self.sites.get("*." + host.partition(".")[2])

    async def _listen(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        serve: Serve | None = None,
        host: str = "127.0.0.1",
    ) -> int:
        server = await asyncio.start_server(self._held(serve or self._serve), host, port, ssl=tls)
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
        peer = Peer(await reader.readuntil(b"\r\n\r\n"), writer, self.trap)
        self.times.append(time.monotonic())
        self.requests.append((peer.host, peer.path))
        self.heard.append(peer.request)
        site = self.site(peer.host)
        answer = site.answer(peer.path) if site else NOT_FOUND
        if isinstance(answer, bytes):
            await peer.send(answer)
        else:
            await answer(peer)

    async def _trap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note who got inside, and let them have what they came for."""
        who = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        self.trapped.append(who)
        self.on_trapped(who)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(INSIDE % (len(SECRET), SECRET))
        await writer.drain()


def ca_file(ca: Authority) -> str:
    """Write the certificates of the authorities to be trusted where a crawler can be told of them.

    Two: the good one, and one whose key is good but which signs by SHA-1.
    """
    path = Path(tempfile.mkdtemp(prefix="hostile-web-")) / "ca.pem"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    path.write_bytes(ca.good.cert_pem.bytes() + (CERTIFICATES / "sha1-ca.pem").read_bytes())
    return str(path)
