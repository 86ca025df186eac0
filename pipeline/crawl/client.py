"""One request and its response over a vetted connection, within bounds, as the bytes that went.

What a host can do wrong here is a `Failed` with its fate; nothing else leaves this module.
"""

import asyncio
import errno
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Self

import ada_url
import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from pipeline import urls
from pipeline.crawl import decode, fates, messages
from pipeline.crawl.addresses import BlockedError, NoAddressError, Resolver
from pipeline.crawl.connection import Answer, Broken, UnconnectedError, asked, connected
from pipeline.crawl.settings import Crawl
from pipeline.errors import PipelineError, UserError

MAX_VALIDATOR: Final = 1000  # characters of an ETag that are worth keeping; most have 40
MAX_URL: Final = 8_000  # bytes. Source: RFC 9110, section 4.1 asks for support of as many
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Failed(Exception):  # noqa: N818 - a fate, not an error of ours
    """A request that ended badly, and whether a later one may end better."""

    def __init__(
        self,
        fate: str,
        value: float | None = None,
        again: bool = False,
        retry_after: float | None = None,
        connected: bool = True,
    ) -> None:
        super().__init__(fate)
        self.fate = fate
        self.value = value
        self.again = again
        self.retry_after = retry_after
        self.connected = connected  # whether the host was there to be spoken to at all


@dataclass(frozen=True)
class Body:
    """The decoded body of a response, as far as it came."""

    data: bytes
    truncated: str | None  # WARC-Truncated: None, "length", "disconnect"


class Arrived:
    """A response whose headers are in and whose body may be read."""

    def __init__(
        self, url: str, request: bytes, answer: Answer, started: float, clock: float
    ) -> None:
        self.url = url
        self.request = request
        self.ip = answer.peer
        self.started = started
        self.first_byte = time.monotonic() - clock  # s until the headers were in
        self.wire_bytes = 0  # of the body, as it came
        self._clock = clock
        self._content = answer.content
        message = answer.message
        self.head = messages.Head(
            b"HTTP/%d.%d" % (message.version.major, message.version.minor),
            message.code,
            (message.reason or "").encode("utf-8", "surrogateescape"),
            tuple((bytes(name), bytes(value)) for name, value in message.raw_headers),
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self._clock

    def validator(self, name: str) -> str | None:
        """Return a header that a later request may send back, None where none could."""
        value = self.head.first(name)
        if not value or len(value) > MAX_VALIDATOR or not (value.isascii() and value.isprintable()):
            return None
        return value

    async def read(self, most: int) -> Body:
        """Return at most `most` bytes of the decoded body.

        Raises:
            Failed: it cannot be decoded.
        """
        raw: bytes | bytearray = b""  # nearly always one piece, which is then not copied
        truncated = None
        try:
            async for chunk in self._content.iter_any():
                if not raw:
                    raw = chunk
                else:
                    raw = bytearray(raw) if isinstance(raw, bytes) else raw
                    raw += chunk
                self.wire_bytes = len(raw)
                if len(raw) > most:
                    truncated = "length"
                    break
        except aiohttp.ClientPayloadError as error:
            if isinstance(error, Broken) or not incomplete(error):
                raise
            truncated = "disconnect"
        encoding = ",".join(self.head.every("Content-Encoding"))
        try:
            data, was_cut, whole = decode.decoded(bytes(raw), encoding, most)
        except decode.EncodingError as error:
            raise Failed(fates.BAD_ENCODING) from error
        if was_cut:
            truncated = "length"
        elif not whole and truncated is None:
            truncated = "disconnect"
        return Body(data, truncated)


def incomplete(error: aiohttp.ClientPayloadError) -> bool:
    """Tell a body that ended too early from one that is not HTTP."""
    return "Not enough data" in str(error.__cause__)


class Client:
    """Sends requests; owns the connections. Use it as an async context manager.

    No connection is kept: a crawl asks one host every few seconds, so a kept one would mostly be
    an open file, and a host that means ill could make it dear.
    """

    def __init__(self, settings: Crawl, resolver: Resolver) -> None:
        self._settings = settings
        self._resolver = resolver
        self._tls = tls_context(settings.ca_file)
        self._fields = {
            "User-Agent": settings.agent,
            "Accept": ",".join([*settings.content_types, "*/*;q=0.1"]),
            "Accept-Encoding": ", ".join(decode.DECODERS),
            "Connection": "close",
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.sleep(0)  # so that the loop lets go of what was closed last

    async def vet(self, url: str) -> tuple[str, ...]:
        """Return the addresses that a request for `url` may go to.

        Raises:
            Failed: its port is not allowed, or its host has no address that is.
        """
        host, port = host_and_port(url)
        if port not in self._settings.ports:
            raise Failed(fates.BAD_URL)
        try:
            return await self._resolver.vetted(host, port)
        except (BlockedError, NoAddressError) as error:
            raise refusal(error) from error

    @asynccontextmanager
    async def get(
        self, url: str, conditions: Mapping[str, str] | None = None
    ) -> AsyncIterator[Arrived]:
        """Ask for `url`, which is in WHATWG form; redirects are the caller's to follow.

        `conditions` are headers that say under which the answer is wanted.

        Raises:
            Failed: whatever the host did wrong, in the body of the `with` too.
        """
        await self.vet(url)
        host, port = host_and_port(url)
        secure = url.startswith("https:")
        path = url[url.index("://") + 3 + len(authority(url)) :]
        fields = {"Host": authority(url), **self._fields, **(conditions or {})}
        request = messages.request(path, fields.items())
        limits = self._settings
        tls = self._tls if secure else None
        started, clock = time.time(), time.monotonic()
        arrived: Arrived | None = None
        try:
            async with (
                asyncio.timeout(limits.timeout),
                connected(self._resolver, host, port, tls, limits.connect_timeout) as connection,
            ):
                answer = await asked(connection, request, limits.first_byte_timeout)
                arrived = Arrived(url, request, answer, started, clock)
                yield arrived
        except (aiohttp.ClientError, OSError, HttpProcessingError) as error:
            seconds = time.monotonic() - clock
            raise failure(error, arrived is not None, seconds, secure) from error


def failure(error: Exception, answered: bool, seconds: float, secure: bool) -> Failed:
    """Return the fate that an error of the connection means.

    `answered`: the headers were in. `secure`: TLS was to be spoken.

    Raises:
        PipelineError: the machine is at its limit, which is no host's fault.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise PipelineError(
            f"{error}: too many connections; lower crawl.hosts_in_flight or raise `ulimit -n`"
        ) from error
    if isinstance(error, TimeoutError):  # aiohttp's and the loop's
        if isinstance(error, aiohttp.ServerTimeoutError) and not answered:
            connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
            return Failed(fates.TIMEOUT, seconds, again=True, connected=connected)
        return Failed(fates.TOO_SLOW, seconds)
    if isinstance(error, UnconnectedError):
        if isinstance(error.cause, ssl.SSLError):
            return Failed(fates.TLS, connected=False)
        if isinstance(error.cause, HANG_UPS) and secure:
            return Failed(fates.TLS, again=True, connected=False)
        return refusal(error.cause)
    if isinstance(error, BAD):
        return Failed(fates.BAD_HTTP)
    return Failed(fates.CONNECT, again=True)


# How a server without a cipher in common often says so: it was there, and left the handshake.
HANG_UPS = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
BAD = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, HttpProcessingError)


def refusal(error: OSError) -> Failed:
    """Return the fate of a host that there is no connection to."""
    if isinstance(error, BlockedError):
        return Failed(fates.BLOCKED_ADDRESS, connected=False)
    if isinstance(error, NoAddressError):
        return Failed(fates.DNS, again=error.temporary, connected=False)
    return Failed(fates.CONNECT, again=True, connected=False)


@cache  # reading the system's authorities takes 20 ms
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Return what decides whom to trust: the system's authorities, and those in `ca_file`.

    Raises:
        UserError: the file is not there or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"crawl.ca_file: {ca_file}: {error}; wanted a file of certificates in PEM form"
            ) from error
    return context


@lru_cache(1024)  # asked at every step of a visit
def host_and_port(url: str) -> tuple[str, int]:
    """Return the host (an IPv6 address in brackets) and the port of a URL in WHATWG form."""
    scheme, _, _ = url.partition("://")
    netloc = authority(url)
    host, colon, port = netloc.rpartition(":")
    if colon and port.isdigit():
        return host, int(port)
    return netloc, DEFAULT_PORTS[scheme]


def authority(url: str) -> str:
    """Return host and port as the Host header has them."""
    return url.partition("://")[2].partition("/")[0]


def origin(url: str) -> str:
    """Return scheme, host and port, which is what one robots.txt is for.

    >>> origin("https://example.com/a?b")
    'https://example.com'
    """
    return f"{url.partition('://')[0]}://{authority(url)}"


def checked(url: str, fate: str) -> str:
    """Return `url` in the form that is fetched: WHATWG, no credentials, no fragment.

    Raises:
        Failed: it is not an http or https URL, or too long; with `fate`.
    """
    try:
        found = urls.normalise(url)
    except ValueError as error:
        raise Failed(fate) from error
    if len(found) > MAX_URL:
        raise Failed(fate)
    return found


def redirected(url: str, head: messages.Head) -> str:
    """Return where a redirect points, as a URL that may be vetted.

    Raises:
        Failed: to nowhere, or to something that is not fetched.
    """
    location = head.first("Location")
    if not location:
        raise Failed(fates.BAD_REDIRECT)
    try:
        target = ada_url.join_url(url, location)
    except ValueError as error:
        raise Failed(fates.BAD_REDIRECT) from error
    return checked(target, fates.BAD_REDIRECT)
