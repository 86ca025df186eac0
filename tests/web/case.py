"""One thing that a web may do to a crawler, and what it is said with.

`fate` is the crawl's word for what should come of it (pipeline/crawl/fates.py), None for a page
that is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.web.server import NOT_FOUND, Answer, Peer, Site

TEXT = "<p>" + "A page with some words, none of them hostile by themselves. " * 20 + "</p>"
HTML = f"<!doctype html><html><head><title>t</title></head><body>{TEXT}</body></html>".encode()
ALLOW = b"User-agent: *\nAllow: /\n"
SLOW = ("robots-silent", "robots-slow", "name-silent")
MAX_BODY = 100_000  # bytes: the bound that the table is made for


@dataclass(frozen=True)
class Case:
    """One thing that a host does, and what should come of it."""

    number: int
    name: str  # of the host, before ".test"
    says: str
    site: Site
    fate: str | None
    path: str = "/"
    scheme: str = "http"
    link: str = ""  # instead of scheme, host and path; "{trap}" is the port of the trap
    hosts: Mapping[str, Site] = field(default_factory=dict)  # that it needs besides its own
    same: tuple[str, ...] = ()  # links to the same page, spelt otherwise
    alone: bool = False  # whether nothing but this page and robots.txt may be asked for
    body: bytes | None = None  # of the page that is kept, where that is part of the matter
    truncated: str | None = None
    value: float | None = None
    again: bool | None = None
    robots: str | None = None  # what the record of the decision should contain
    final: str | None = None  # URL where the trip should end
    never: str | None = None  # a path of this host that must not be asked for
    retry_after: float | None = None
    crawl_delay: float | None = None  # s, as clamped
    then: str | None = None  # the fate that the page meets when its text is extracted
    text: str | None = None  # what its main text should have in it
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slow(self) -> bool:
        """Whether the matter is one of waiting, so that the crawler's patience should be short."""
        return self.fate in ("crawl.timeout", "crawl.too_slow") or self.name in SLOW

    @property
    def host(self) -> str:
        return f"{self.name}.test"

    @property
    def outcome(self) -> str:
        """What should come of it in a word, or two where its text is to be read as well."""
        words = [self.fate or "kept", self.then or ""]
        return " then ".join(word.removeprefix("crawl.") for word in words if word)

    def url(self, trap: int) -> str:
        """Return the link to be fetched, where the trap is on this port."""
        link = self.link or f"{self.scheme}://{self.host}{self.path}"
        return link.replace("{trap}", str(trap))

    @property
    def sites(self) -> dict[str, Site]:
        return {self.host: self.site, **self.hosts}


def head(*fields: str, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    lines = [f"{version} {status}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def page(
    body: bytes = HTML, *fields: str, kind: str = "text/html", status: str = "200 OK"
) -> bytes:
    kinds = [f"Content-Type: {kind}"] if kind else []
    return head(*kinds, f"Content-Length: {len(body)}", *fields, status=status) + body


def plain(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    return page(body, *fields, kind="text/plain", status=status)


def to(location: str, status: str = "302 Found") -> bytes:
    return head(f"Location: {location}", "Content-Length: 0", status=status)


def chunked(*chunks: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head("Content-Type: text/html", "Transfer-Encoding: chunked") + framed + last


def kept(number: int, name: str, says: str, page: Answer, **more: Any) -> Case:
    robots = more.pop("rules", NOT_FOUND)
    return Case(number, name, says, Site(page, robots), None, **more)


def lost(number: int, name: str, says: str, page: Answer, reason: str, **more: Any) -> Case:
    robots = more.pop("rules", NOT_FOUND)
    if reason == "too_large":
        more = {"truncated": "length", "value": MAX_BODY, **more}
    return Case(number, name, says, Site(page, robots), f"crawl.{reason}", **more)


def ruled(number: int, name: str, says: str, file: Answer, reason: str | None, **more: Any) -> Case:
    fate = f"crawl.{reason}" if reason else None
    return Case(number, name, says, Site(page(), file, more.pop("paths", {})), fate, **more)


# ---- what a coroutine is needed for


def sending(*parts: bytes, pause: float = 0.02) -> Answer:
    async def answer(peer: Peer) -> None:
        await peer.send(*parts, pause=pause)

    return answer


def dripping(first: bytes, drop: bytes, pause: float = 0.1) -> Answer:
    async def answer(peer: Peer) -> None:
        await peer.send(first)
        while True:
            await peer.send(drop, pause=pause)

    return answer


def flooding(first: bytes, piece: bytes) -> Answer:
    return dripping(first, piece, pause=0)


def resetting(*parts: bytes) -> Answer:
    async def answer(peer: Peer) -> None:
        await peer.send(*parts)
        await peer.reset()

    return answer


async def silence(peer: Peer) -> None:
    await dripping(b"", b"", pause=3600)(peer)  # type: ignore[operator]


async def closing(peer: Peer) -> None:
    """Close without a word."""


def inward(host: str, path: str = "/x", user: str = "") -> Answer:
    """Redirect to the trap, called by this name or address."""

    async def answer(peer: Peer) -> None:
        await peer.send(to(f"http://{user}{host}:{peer.trap}{path}"))

    return answer


def linked(number: int, name: str, says: str, link: str, reason: str | None, **more: Any) -> Case:
    """Return a case of a link that is spelt like this."""
    fate = f"crawl.{reason}" if reason else None
    site = Site(page(), names=more.pop("names", ()))
    return Case(number, name, says, site, fate, link=link, **more)


def turned(
    number: int, name: str, says: str, location: str, reason: str | None, **more: Any
) -> Case:
    site = Site(page(), paths={"/": to(location), **more.pop("paths", {})})
    return Case(number, name, says, site, f"crawl.{reason}" if reason else None, **more)
