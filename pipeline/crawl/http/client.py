"""One request and its response over a checked connection, within limits, as the bytes transferred.

Every error of a host is raised as `Failed` with its fate; this module raises nothing else for it.
"""

import asyncio
import errno
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Self

import ada_url
import aiohttp

from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.http import decode, messages
from webtext.pipeline.crawl.http.address_guard import BlockedError, NoAddressError, Resolver
from webtext.pipeline.crawl.http.connection import asked, reachable
from webtext.pipeline.crawl.http.plain import AVAILABLE, Watch
from webtext.pipeline.crawl.http.reply import Chunked, Counted, received
from webtext.pipeline.crawl.http.wire import Patience, UnconnectedError, Wire
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls import urls

MAX_VALIDATOR: Final = 1000  # maximum characters of an ETag that is kept; most have 40
MAX_URL: Final = 8_000  # bytes. Source: RFC 9110, section 4.1 asks for support of this many
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Failed(Exception):  # noqa: N818 - a fate, not an error of ours
    """A failed request, and whether a later one may succeed."""

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
        self.connected = connected  # whether the host could be reached at all


@dataclass(frozen=True)
class Body:
    """The decoded body of a response, as far as it was received."""

    data: bytes
    truncated: str | None  # WARC-Truncated: None, "length", "disconnect"


class Arrived:
    """A response whose headers were received and whose body may be read; the caller closes it."""

    def __init__(self, sent: "Sent", wire: Wire, reply: Counted | Chunked) -> None:
        self.url = sent.url
        self.request = sent.request
        self.started = sent.started
        self.ip = wire.peer
        self.head = reply.head
        self.first_byte = sent.elapsed  # s until the headers were received
        self.wire_bytes = 0  # of the body, as received
        self._sent = sent
        self._wire = wire
        self._reply = reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._wire.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the request began."""
        return self._sent.elapsed

    def validator(self, name: str) -> str | None:
        """Return a header that a later request may send back, None if it is absent or unusable."""
        value = self.head.first(name)
        if not value or len(value) > MAX_VALIDATOR or not (value.isascii() and value.isprintable()):
            return None
        return value

    async def read(self, most: int) -> Body:
        """Return at most `most` bytes of the decoded body.

        Raises:
            Failed: it cannot be received or decoded.
        """
        try:
            raw = await self._reply.read(most)
        except ERRORS as error:
            raise failure(error, True, self.elapsed, self._sent.secure) from error
        self.wire_bytes = len(raw.data)
        truncated = None if raw.whole else "disconnect"
        if len(raw.data) > most:
            truncated = "length"
        every = self.head.every
        encoding = ",".join([*every("Content-Encoding"), *every("Transfer-Encoding")])
        try:
            data, was_cut, whole = decode.decoded(raw.data, encoding, most)
        except decode.EncodingError as error:
            raise Failed(fates.BAD_ENCODING) from error
        if was_cut:
            truncated = "length"
        elif whole is False and truncated is None:
            truncated = "disconnect"
        elif whole and truncated == "disconnect":
            truncated = None  # its length was that of the decoded body, as some servers count
        return Body(data, truncated)


@dataclass(slots=True)
class Sent:
    """A request that is under way."""

    url: str
    secure: bool  # over TLS
    request: bytes
    started: float  # Unix time
    clock: float  # the same moment, monotonic

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.clock


class Client:
    """Sends requests; owns the connections. Use it as an async context manager.

    No connection is reused: a crawl asks one host every few seconds, so a connection would mostly
    be idle, and a malicious host could make it expensive.
    """

    def __init__(
        self, settings: Crawl, resolver: Resolver, headers: Mapping[str, str] | None = None
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._tls = tls_context(settings.ca_file)
        self._watch: Watch | None = None
        self._portion = settings.portion
        self._patience = Patience(
            settings.connect_timeout, settings.first_byte_timeout, settings.timeout
        )
        self._fields = messages.lines(
            {
                "User-Agent": settings.agent,
                "Accept": ",".join([*settings.content_types, "*/*;q=0.1"]),
                "Accept-Encoding": ", ".join(decode.DECODERS),
                "Connection": "close",
                **(headers or {}),  # of who asks for no pages
            }
        )

    async def __aenter__(self) -> Self:
        if AVAILABLE:
            self._watch = Watch()
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.sleep(0)  # so that the loop frees the transports that were closed last
        if self._watch is not None:
            self._watch.close()

    def own(self, url: str) -> bool:
        """Whether a URL is of a site of the user's own, which `crawl.allow` names."""
        return self._settings.allows(*host_and_port(url))

    async def vet(self, url: str, home: bool = True) -> tuple[str, ...]:
        """Return the addresses that may be used for a request for `url`.

        `home`: no other site has led there, so it may be one of the user's own.

        Raises:
            Failed: its port is not allowed, its host has no allowed address or is another part's.
        """
        host, port = host_and_port(url)
        own = home and self.own(url)
        if port not in self._settings.ports and not own:
            raise Failed(fates.BAD_URL, port)
        if not self._portion.asks(url):
            raise Failed(fates.OTHER_PART)
        try:
            return await self._resolver.vetted(host, port, own)
        except (BlockedError, NoAddressError) as error:
            raise refusal(error) from error

    async def reachable(self, url: str) -> bool:
        """Tell whether the host of `url` accepts connections; nothing is sent to it."""
        host, port = host_and_port(url)
        try:
            addresses = await self._resolver.resolve(host, port, self.own(url))
        except (BlockedError, NoAddressError):
            return False
        return await reachable(self._resolver, addresses, self._settings.connect_timeout)

    async def get(
        self, url: str, conditions: Mapping[str, str] | None = None, home: bool = True
    ) -> Arrived:
        """Request `url`, which is in WHATWG form; the caller follows redirects.

        `conditions` are the headers of a conditional request; `home` is as for `vet`.

        Raises:
            Failed: any error of the host.
        """
        host, port = host_and_port(url)
        own = home and self.own(url)
        if port not in self._settings.ports and not own:
            raise Failed(fates.BAD_URL, port)
        if not self._portion.asks(url):
            raise Failed(fates.OTHER_PART)
        secure = url.startswith("https:")
        here = authority(url)
        path = url[url.index("://") + 3 + len(here) :]
        request = messages.request(path, here, self._fields, conditions)
        tls = (self._tls, host.strip("[]").rstrip(".")) if secure else None
        sent = Sent(url, secure, request, time.time(), time.monotonic())
        try:
            addresses = await self._resolver.resolve(host, port, own)
            wire = await asked(self._resolver, addresses, request, tls, self._patience, self._watch)
            try:
                reply = await received(wire)
            except BaseException:
                wire.close()
                raise
        except (BlockedError, NoAddressError) as error:
            raise refusal(error) from error
        except ERRORS as error:
            raise failure(error, False, sent.elapsed, secure) from error
        return Arrived(sent, wire, reply)


def failure(error: Exception, answered: bool, seconds: float, secure: bool) -> Failed:
    """Return the fate for an error of the connection.

    `answered`: the headers were received. `secure`: TLS was to be used.

    Raises:
        PipelineError: this machine is at its limit, which is not the host's fault.
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


# A server without a common cipher often ends the handshake like this: it was reachable.
HANG_UPS = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
ERRORS = (aiohttp.ClientError, OSError, messages.BadHeadError)
BAD = (messages.BadHeadError,)


def refusal(error: OSError) -> Failed:
    """Return the fate of a host to which no connection could be made."""
    if isinstance(error, BlockedError):
        return Failed(fates.BLOCKED_ADDRESS, connected=False)
    if isinstance(error, NoAddressError):
        return Failed(fates.DNS, again=error.temporary, connected=False)
    return Failed(fates.CONNECT, again=True, connected=False)


@cache  # reading the system's certificate authorities takes 20 ms
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Return the TLS context: it trusts the system's authorities and those in `ca_file`.

    Raises:
        UserError: the file does not exist or holds no certificate.
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


@lru_cache(1024)  # called at every step of a visit
def host_and_port(url: str) -> tuple[str, int]:
    """Return the host (an IPv6 address in brackets) and the port of a URL in WHATWG form."""
    scheme, _, _ = url.partition("://")
    netloc = authority(url)
    host, colon, port = netloc.rpartition(":")
    if colon and port.isdigit():
        return host, int(port)
    return netloc, DEFAULT_PORTS[scheme]


@lru_cache(1024)
def authority(url: str) -> str:
    """Return host and port in the form of the Host header."""
    return url.partition("://")[2].partition("/")[0]


@lru_cache(1024)
def origin(url: str) -> str:
    """Return scheme, host and port: the scope of one robots.txt.

    >>> origin("https://example.com/a?b")
    'https://example.com'
    """
    return f"{url.partition('://')[0]}://{authority(url)}"


# A URL that is certainly in the form that is fetched, as most are; the parser takes ten times as
# long. A host of labels, the last in letters; a port that is not a default port; a path of plain
# characters in which no part begins with a dot.
_normal = re.compile(
    r"https?://(?:[a-z0-9][a-z0-9-]{0,60}\.){1,3}[a-z]{2,20}(?::(?:[1-9][0-9]{3}|[1-5][0-9]{4}))?"
    r"(?:/(?!\.)[A-Za-z0-9_~!$&'()*+,;=:@.-]*)+(?:\?[A-Za-z0-9_~!$&()*+,;=:@/?.%-]*)?"
)


def checked(url: str, fate: str) -> str:
    """Return `url` in the form that is fetched: WHATWG, no credentials, no fragment.

    Raises:
        Failed: it is not an http or https URL, or it is too long; with `fate`.
    """
    if _normal.fullmatch(url) and len(url) <= MAX_URL and "xn--" not in url:
        return url
    try:
        found = urls.normalise(url)
    except ValueError as error:
        raise Failed(fate) from error
    if len(found) > MAX_URL:
        raise Failed(fate)
    return found


def redirected(url: str, head: messages.Head) -> str:
    """Return the target of a redirect, as a URL that can be checked.

    Raises:
        Failed: there is no target, or it is not a URL that is fetched.
    """
    location = head.address("Location")
    if not location:
        raise Failed(fates.BAD_REDIRECT)
    try:
        target = ada_url.join_url(url, location)
    except ValueError as error:
        raise Failed(fates.BAD_REDIRECT) from error
    return checked(target, fates.BAD_REDIRECT)
