"""What a crawl may do, how politely, and within which limits."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.parts import Part

Gate = Callable[[str], Awaitable[None]]
"""Awaited with a URL directly before every request for it: robots.txt, the page, each redirect.

It returns when politeness lets that host and its address be asked. It may take minutes, so no
timeout of the fetch may run meanwhile. A task that asks again thereby gives back its last turn.
"""

MOST_REFRESHES = 1000  # a crawl a day for three years; each is a step, and all are planned at once

MOST_PARTS = 256  # of a crawl; each is a file that is open while links are dealt out
MOST_PORT = 65_535
SLOT = 1.25  # of `delay_per_ip`, that an address is one part's; it asks in the beginning of it
SLACK = 1.2  # of `delay`, that a round of all parts' slots takes; a host's answer takes some of it

MACHINE: dict[str, Any] = {"machine": True}  # how it runs, not its result: not in the digest


@dataclass(frozen=True)
class Crawl:
    """Fetch every link once, at a pace that harms no host, and archive the answer.

    How fast and from where (delays, back-off, addresses) is not part of a crawl's result, so a
    stopped crawl can be resumed with a longer delay.

    Source: 5 s a host, 5 failures in a row and 3 attempts are Apache Nutch's defaults, 2 s an
    address is BUbiNG's; ARCHITECTURE.md gives the reasons for the others.

    Raises:
        UserError: a value with which no crawl can work.
    """

    contact: str = field(default="", metadata=MACHINE)  # URL or mail address of the crawl's owner
    user_agent: str = "webtext/0.1 (+{contact})"  # its first word is the name in robots.txt

    delay: float = field(default=5.0, metadata=MACHINE)  # s between requests to a host
    delay_per_ip: float = field(default=2.0, metadata=MACHINE)  # s between requests to an address
    max_delay: float = field(default=60.0, metadata=MACHINE)  # s; Crawl-delay is clamped to it
    latency_factor: float = field(default=2.0, metadata=MACHINE)  # pause / response time of a host
    backoff: float = field(default=60.0, metadata=MACHINE)  # s after a host's first failure
    max_backoff: float = field(default=86_400.0, metadata=MACHINE)  # s; also limits Retry-After
    # K/N of a crawl that several machines do: only hosts of this part are asked; "": all
    part: str = field(default="", metadata=MACHINE)
    # of a crawl by the workers of a runner, each the task of one; 0: as many as there are workers
    parts: int = field(default=0, metadata=MACHINE)
    hosts_in_flight: int = field(default=300, metadata=MACHINE)  # connections at a time

    connect_timeout: float = 10.0  # s
    first_byte_timeout: float = 20.0  # s from the request to the first byte of its response
    timeout: float = 60.0  # s for one request and its response as a whole
    max_body: int = 10_000_000  # bytes, decoded
    max_redirects: int = 5  # of one URL. Source: RFC 9309, section 2.3.1.2
    attempts: int = 3  # attempts at one URL, if a later one may succeed
    host_errors: int = 5  # failures in a row after which a host is given up

    refreshes: int = field(default=0, metadata=MACHINE)  # how often all links are requested again
    # days after which a host is asked again for a page that an earlier crawl has; None: never
    refresh_after: float | None = field(default=None, metadata=MACHINE)

    respect_robots: bool = True  # obey robots.txt
    enforce_opt_out: bool = True  # drop pages that refuse training or archiving
    opt_out_files: bool = False  # request tdmrep.json and ai.txt too: two more requests per host
    # other pages are dropped
    content_types: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    ports: tuple[int, ...] = (80, 443)  # URLs with another port are not fetched
    allow_private: bool = False  # fetch from private addresses too, for a web on this machine
    # sites of one's own, HOST or HOST:PORT, fetched on any port and address; no redirect from
    # another site leads there
    allow: tuple[str, ...] = field(default=(), metadata={"later": True})
    connect_to: tuple[str, ...] = field(default=(), metadata=MACHINE)  # HOST:PORT:ADDRESS:PORT
    ca_file: str = field(default="", metadata=MACHINE)  # additional authority for TLS, as PEM

    name: ClassVar[str] = "crawl"
    version: ClassVar[int] = 3

    def __post_init__(self) -> None:
        for key in ("delay", "delay_per_ip", "max_delay", "latency_factor", "backoff"):
            self.at_least(key, 0)
        for key in ("connect_timeout", "first_byte_timeout", "timeout"):
            self.at_least(key, 0.001)
        for key in ("hosts_in_flight", "max_body", "attempts", "host_errors"):
            self.at_least(key, 1)
        self.at_least("max_redirects", 0)
        self.at_least("refreshes", 0)
        if self.refresh_after is not None:
            self.at_least("refresh_after", 0)
        if self.refreshes > MOST_REFRESHES:
            raise UserError(
                f"crawl.refreshes: found {self.refreshes}, wanted {MOST_REFRESHES} at most"
            )
        self.at_least("parts", 0)
        if self.parts > MOST_PARTS:
            raise UserError(f"crawl.parts: found {self.parts}, wanted {MOST_PARTS} at most")
        self.at_least("max_backoff", self.backoff)
        self.at_least("max_delay", self.delay)
        self._check_texts()
        for site in self.allow:
            _own(site)
        if self.part:
            Part.parsed(self.part, "crawl.part = ")
        if not re.match(r"[A-Za-z_-]+", self.user_agent):
            raise UserError(
                f'crawl.user_agent: found "{self.user_agent}", wanted it to begin with the name '
                'that robots.txt may use, in letters, "_" and "-"'
            )

    def _check_texts(self) -> None:
        """Check what goes into connections and into the head of every request."""
        for rule in self.connect_to:
            if not re.fullmatch(r"[^:\s]+:(\d+|\*):(\[[0-9a-fA-F:]+\]|[^:\s\[\]]+):\d+", rule):
                raise UserError(
                    f'crawl.connect_to: found "{rule}", wanted HOST:PORT:ADDRESS:PORT, '
                    'such as "*:80:127.0.0.1:8080"'
                )
            if int(rule.rpartition(":")[2]) > MOST_PORT:
                raise UserError(
                    f'crawl.connect_to: found "{rule}", wanted a port up to {MOST_PORT}'
                )
        for key in ("contact", "user_agent"):
            if not getattr(self, key).isprintable():  # it goes into the head of every request
                raise UserError(f"crawl.{key}: found {getattr(self, key)!r}, wanted a single line")

    def at_least(self, key: str, least: float) -> None:
        """Check one number.

        Raises:
            UserError: it is smaller than `least`, or not a number.
        """
        found = getattr(self, key)
        if not found >= least:  # also true of nan
            raise UserError(f"crawl.{key}: found {found}, wanted {least:g} or more")

    def allows(self, host: str, port: int) -> bool:
        """Whether `allow` names a host, in the form of a URL, with this port."""
        return bool(self.allow) and (host, port) in self._allowed

    @cached_property
    def _allowed(self) -> frozenset[tuple[str, int]]:
        return frozenset(chain.from_iterable(map(_own, self.allow)))

    @property
    def portion(self) -> Part:
        """Which of the hosts are asked."""
        return Part.parsed(self.part or "1/1")

    @property
    def pace_per_ip(self) -> float:
        """Seconds between two requests of this part to one address.

        Of N parts each has every Nth slot of an address's time (`frontier.address_slots`).
        """
        of = self.portion.of
        return of * self.slot if of > 1 else self.delay_per_ip

    @property
    def slot(self) -> float:
        """Seconds for which an address is one part's.

        A round of all parts is longer than the delay of a host, which would else miss every second
        one.
        """
        return max(self.delay_per_ip * SLOT, self.delay * SLACK / self.portion.of)

    @property
    def agent(self) -> str:
        """The User-Agent header as sent."""
        if self.contact:
            return self.user_agent.replace("{contact}", self.contact)
        return re.sub(r"\s*\([^)]*\{contact\}[^)]*\)|\{contact\}", "", self.user_agent)

    @property
    def product(self) -> str:
        """Our name in the groups of robots.txt (RFC 9309, 2.2.1)."""
        found = re.match(r"[A-Za-z_-]+", self.user_agent)
        assert found, "checked when it was made"
        return found[0]

    @property
    def stays_home(self) -> bool:
        """Whether every connection goes to an address that the recipe itself names."""
        anywhere = {rule.split(":")[1] for rule in self.connect_to if rule.startswith("*:")}
        return "*" in anywhere or {str(port) for port in self.ports} <= anywhere

    def check_contact(self) -> None:
        """Refuse to crawl other people's hosts without a contact.

        Raises:
            UserError: the crawl may leave this machine and names no contact.
        """
        if not self.contact and not self.allow_private and not self.stays_home:
            raise UserError(
                "crawl.contact: empty, but this crawl reaches hosts of others; name a URL or a "
                'mail address where they can complain, as in contact = "https://example.org/bot"'
            )


def _own(site: str) -> list[tuple[str, int]]:
    """Return a site of `allow` as hosts and ports; without a port, those of http and https.

    >>> _own("Wiki.intern:8080"), _own("[::1]")
    ([('wiki.intern', 8080)], [('[::1]', 80), ('[::1]', 443)])

    Raises:
        UserError: it is no host.
    """
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@*\[\]\\]+)(?::(\d{1,5}))?", site)
    try:
        if found is None:
            raise ValueError
        host = urls.normalise(f"http://{found[1]}/")[len("http://") : -1]
        port = int(found[2] or 0)
        if port >= 1 << 16:
            raise ValueError
    except ValueError:
        raise UserError(
            f'crawl.allow: found "{site}", wanted a host by its name, without http:// and *, and '
            'perhaps a port, such as "wiki.intern" or "localhost:8000"'
        ) from None
    return [(host, number) for number in ((port,) if port else (80, 443))]
