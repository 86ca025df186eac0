"""Fetch one URL: address guard, robots.txt, redirects, limits, and one fate at the end.

    async with Fetcher(settings) as fetcher:
        fetched = await fetcher.fetch("https://example.com/")

Every redirect target passes all checks again: its scheme and port, its host's addresses, its
robots.txt, its turn. The string that was checked is the string that is sent.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from webtext.pipeline.archive import payload, sniff
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.frontier.earlier import Earlier
from webtext.pipeline.crawl.http import messages
from webtext.pipeline.crawl.http.address_guard import Lookup, Resolver
from webtext.pipeline.crawl.http.client import (
    REDIRECTS,
    Arrived,
    Body,
    Client,
    Failed,
    checked,
    host_and_port,
    origin,
    redirected,
)
from webtext.pipeline.crawl.policy import markup, metarefresh, optout, robots, wellknown
from webtext.pipeline.crawl.policy.permissions import Permissions
from webtext.pipeline.crawl.settings import Crawl, Gate
from webtext.pipeline.urls.forgotten import NOTHING, Forgotten

NOT_MODIFIED = 304


@dataclass(frozen=True)
class Exchange:
    """One HTTP request and its response, as the WARC file keeps them."""

    url: str
    ip: str
    request: bytes  # request line and headers as sent, ending in CRLFCRLF
    head: bytes  # status line and headers as received, ending in CRLFCRLF
    body: bytes  # transfer and content encoding removed
    truncated: str | None  # WARC-Truncated: None, "length", "time", "disconnect"
    started: float  # Unix time, seconds
    elapsed: float  # seconds
    earlier: Earlier | None = None  # the page of this URL as an earlier crawl stored it
    not_modified: bool = False  # whether the host says it is unchanged; `body` is then that page's


@dataclass(frozen=True)
class Fetched:
    """The result of fetching one URL."""

    fate: str | None  # None: a page to keep; else "crawl.<reason>" from the closed list
    value: float | None  # the value that decided it (status, bytes, seconds)
    exchange: Exchange | None  # the last response, if it is worth archiving
    final_url: str
    redirects: tuple[str, ...]  # every URL that redirected, by a header or in its page
    status: int | None
    content_type: str | None
    robots: str  # the rule or state that decided
    retry_after: float | None  # seconds that the host asked for, clamped
    again: bool  # whether a later attempt may succeed
    signals: tuple[str, ...] = ()  # what the page says about its use, enforced or not
    ip: str | None = None  # of the last response, like all below, also where nothing is archived
    robots_time: float | None = None  # Unix time at which that robots.txt was requested
    started: float | None = None  # Unix time of its request
    first_byte: float | None = None  # s from the request to the headers
    elapsed: float | None = None  # s from the request to the end of the bytes that were read
    wire_bytes: int | None = None  # of the body, as received
    body_bytes: int | None = None  # of the body, decoded; None if it was not read
    etag: str | None = None  # validators that a later conditional request may send back
    last_modified: str | None = None


@dataclass
class Trip:
    """One URL's redirects and last response so far."""

    url: str
    earlier: Earlier | None = None  # what is known of the URL it led to
    redirects: list[str] = field(default_factory=list)
    robots: str = robots.NOT_ASKED
    robots_time: float | None = None
    arrived: Arrived | None = None  # the last response
    elapsed: float | None = None  # seconds that it took
    body_bytes: int | None = None  # of its body
    status: int | None = None
    content_type: str | None = None
    signals: tuple[optout.Signal, ...] = ()
    refreshed: bool = False  # whether a page's markup has redirected it
    home: bool = True  # whether no other site has led to the present URL than the user's own

    @property
    def known(self) -> Earlier | None:
        """The page of the trip's present URL, as an earlier crawl stored it."""
        return self.earlier if self.earlier and self.earlier.url == self.url else None

    def validator(self, name: str) -> str | None:
        """Return a validator for a later conditional request; a 304 need not repeat it."""
        sent = self.arrived.validator(name) if self.arrived else None
        if sent or self.status != NOT_MODIFIED or self.known is None:
            return sent
        return self.known.etag if name == "ETag" else self.known.last_modified

    def arrive(self, arrived: Arrived) -> None:
        """Note the facts about a response."""
        self.arrived, self.elapsed, self.body_bytes = arrived, None, None
        self.status = arrived.head.status
        self.content_type = ", ".join(arrived.head.every("Content-Type")) or None

    def end(self, failed: Failed | None = None, exchange: Exchange | None = None) -> Fetched:
        """Summarise the trip."""
        last = self.arrived
        return Fetched(
            fate=failed.fate if failed else None,
            value=failed.value if failed else None,
            exchange=exchange,
            final_url=self.url,
            redirects=tuple(self.redirects),
            status=self.status,
            content_type=self.content_type,
            robots=self.robots,
            retry_after=failed.retry_after if failed else None,
            again=failed.again if failed else False,
            signals=tuple(signal.text for signal in self.signals),
            ip=last.ip if last else None,
            robots_time=self.robots_time,
            started=last.started if last else None,
            first_byte=last.first_byte if last else None,
            elapsed=self.elapsed,
            wire_bytes=last.wire_bytes if last else None,
            body_bytes=self.body_bytes,
            etag=self.validator("ETag"),
            last_modified=self.validator("Last-Modified"),
        )


class Fetcher:
    """Fetches URLs; owns the connections, the resolver and the robots.txt cache.

    `gate` is awaited before every request, so that the caller controls the pace.
    `lookup` replaces the name servers. What is `forgotten` is asked for in no way.
    """

    def __init__(
        self,
        settings: Crawl,
        gate: Gate | None = None,
        lookup: Lookup | None = None,
        forgotten: Forgotten = NOTHING,
    ) -> None:
        self._settings = settings
        self._forgotten = forgotten
        self._product = settings.product
        self._resolver = Resolver(settings, lookup)
        self._client = Client(settings, self._resolver)
        self._permissions = Permissions(settings, self._client, gate, forgotten=forgotten)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._resolver.close)
        await self._stack.enter_async_context(self._client)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def fetch(self, url: str, earlier: Earlier | None = None) -> Fetched:
        """Fetch `url`, following its redirects; errors of a page or a host do not raise.

        `earlier` is the page that it led to before: that host is asked whether it has changed. If
        not, the earlier page is judged as if it had been received again.

        Raises:
            UserError: the archive that holds the earlier page is gone.
        """
        trip = Trip(url, earlier)
        try:
            trip.url = checked(url, fates.BAD_URL)
            while True:
                fetched = await self._visit(trip)
                if fetched is not None:
                    return fetched
        except Failed as failed:
            return trip.end(failed)

    async def addresses(self, url: str) -> tuple[str, ...]:
        """Return the checked addresses of the host of `url`, for pacing by address.

        () if there are none, or if `connect_to` sends the host somewhere else: many hosts
        on one test server are paced as if each had its own address.
        """
        try:
            where = checked(url, fates.BAD_URL)
            if self._resolver.pretended(*host_and_port(where)):
                return ()
            return await self._client.vet(where)
        except Failed:
            return ()

    async def reachable(self, url: str) -> bool:
        """Tell whether the host of a fetched URL accepts connections; sends nothing."""
        try:
            return await self._client.reachable(checked(url, fates.BAD_URL))
        except Failed:
            return False

    def forget_failures(self) -> None:
        """Forget the failures of a network outage, so that they are retried."""
        self._resolver.forget_failures()
        self._permissions.forget_failures()

    def crawl_delay(self, url: str) -> float | None:
        """Return the Crawl-delay of the host of `url` in seconds, at most `max_delay`.

        None if its robots.txt asks for none, or was not read yet.
        """
        rules = self._permissions.known(origin(url))
        if rules is None or not rules.delay:
            return None
        return min(rules.delay, self._settings.max_delay)

    async def _visit(self, trip: Trip) -> Fetched | None:
        """Make one request; None if it was redirected and `trip` is now at the next URL."""
        if self._forgotten(trip.url):
            if trip.redirects:  # nothing is written of where it would have led
                trip.url = trip.redirects[-1]
            raise Failed(fates.FORGOTTEN)
        await self._client.vet(trip.url, trip.home)
        await self._permitted(trip)
        conditions = trip.known.conditions() if trip.known else {}
        with await self._client.get(trip.url, conditions, trip.home) as arrived:
            trip.arrive(arrived)
            try:
                if arrived.head.status in REDIRECTS:
                    self._turn(trip, arrived.head)
                    return None
                if trip.known and conditions and arrived.head.status == NOT_MODIFIED:
                    body = await self._unchanged(trip, trip.known, arrived.head)
                else:
                    self._check_status(arrived.head)
                    self._check_head(trip, optout.in_headers(arrived.head, self._product))
                    body = await arrived.read(self._settings.max_body)
                trip.body_bytes = len(body.data)
            finally:
                trip.elapsed = arrived.elapsed
            return self._page(trip, arrived, body)

    def _turn(self, trip: Trip, head: messages.Head) -> None:
        """Move the trip to the target of a redirect."""
        target = redirected(trip.url, head)
        trip.redirects.append(trip.url)
        came = len(trip.redirects)
        if came > self._settings.max_redirects or target in trip.redirects:
            raise Failed(fates.REDIRECT_LIMIT, came)
        if not self._leads(trip, target):
            raise Failed(fates.BAD_REDIRECT, host_and_port(target)[1])
        trip.url = target

    def _leads(self, trip: Trip, target: str) -> bool:
        """Whether a redirect to `target` is on an allowed port; note which site it comes from."""
        trip.home = trip.home and self._client.own(trip.url)
        allowed = host_and_port(target)[1] in self._settings.ports
        return allowed or (trip.home and self._client.own(target))

    def _check_status(self, head: messages.Head) -> None:
        status = head.status
        if status in payload.PAGES:
            return
        fate = fates.HTTP_OTHER
        if status == 429:
            fate = fates.HTTP_429
        elif 400 <= status < 500:
            fate = fates.HTTP_4XX
        elif 500 <= status < 600:
            fate = fates.HTTP_5XX
        again = status in fates.PASSING
        raise Failed(
            fate, status, again, head.retry_after(self._settings.max_backoff) if again else None
        )

    async def _unchanged(self, trip: Trip, known: Earlier, head: messages.Head) -> Body:
        """Return the body that an earlier crawl archived, since the host says it is unchanged.

        The earlier headers stay valid too, unless the new ones say otherwise.

        Source: RFC 9111, section 3.2.
        """
        stored = await asyncio.to_thread(known.response)
        trip.content_type = known.content_type
        then = messages.Head.of(200, stored.headers())
        said = optout.in_headers(head, self._product)
        self._check_head(trip, said or optout.in_headers(then, self._product))
        if len(stored.body) > self._settings.max_body:
            raise Failed(fates.TOO_LARGE, self._settings.max_body)
        return Body(stored.body, None)

    def _check_head(self, trip: Trip, said: tuple[optout.Signal, ...]) -> None:
        """Stop before the body where the headers, or their words about its use, decide already."""
        trip.signals += said
        self._check_signals(trip)
        if sniff.hopeless(trip.content_type, self._settings.content_types):
            raise Failed(fates.WRONG_TYPE)

    def _check_signals(self, trip: Trip) -> None:
        if self._settings.enforce_opt_out and any(signal.reserves for signal in trip.signals):
            raise Failed(fates.OPTED_OUT)

    def _refresh(self, trip: Trip, head: messages.Head, body: Body, metas: list[bytes]) -> bool:
        """Follow, once, a page's immediate refresh; tell whether it did.

        A Refresh header has priority over the page's own.
        If a refresh has no valid target, the page is judged by its content.
        """
        if trip.refreshed or len(trip.redirects) >= self._settings.max_redirects:
            return False
        found = metarefresh.stated(head.address("Refresh") or "", trip.url)
        if not found and not body.truncated:
            found = metarefresh.target(body.data, trip.url, metas)
        if not found:
            return False
        try:
            target = checked(found, fates.BAD_REDIRECT)
        except Failed:
            return False
        if target in (trip.url, *trip.redirects):
            return False
        home = trip.home
        if not self._leads(trip, target):
            trip.home = home
            return False
        trip.redirects.append(trip.url)
        trip.url, trip.refreshed = target, True
        return True

    def _page(self, trip: Trip, arrived: Arrived, body: Body) -> Fetched | None:
        """Judge a body that was received, and archive it if it may be kept.

        None if the page is an immediate refresh, and `trip` is now at its target.
        """
        metas = markup.metas(body.data)
        trip.signals += optout.in_markup(body.data, self._product, metas)
        self._check_signals(trip)
        if not body.data:
            if self._refresh(trip, arrived.head, body, metas):
                return None
            if body.truncated:
                raise Failed(fates.CONNECT, again=True)
            raise Failed(fates.EMPTY)
        if not sniff.fits(trip.content_type, body.data, self._settings.content_types):
            raise Failed(fates.WRONG_TYPE)
        if self._refresh(trip, arrived.head, body, metas):
            return None
        exchange = Exchange(
            url=trip.url,
            ip=arrived.ip,
            request=arrived.request,
            head=arrived.head.raw,
            body=body.data,
            truncated=body.truncated,
            started=arrived.started,
            elapsed=trip.elapsed or 0.0,
            earlier=trip.known,
            not_modified=trip.status == NOT_MODIFIED,
        )
        if body.truncated == "length":
            return trip.end(Failed(fates.TOO_LARGE, len(body.data)), exchange)
        return trip.end(exchange=exchange)

    async def _permitted(self, trip: Trip) -> None:
        """Wait for this URL's turn, after a check of its host's robots.txt."""
        if not self._settings.respect_robots:
            trip.robots, trip.robots_time = "not respected", None
            await self._permissions.wait(trip.url)
            return
        rules, turn = await self._permissions.rules(origin(trip.url))
        verdict = robots.judge(rules, trip.url)
        trip.robots, trip.robots_time = verdict.why, rules.asked
        if rules.state == "unreachable":
            raise Failed(rules.fate, again=rules.again, retry_after=rules.retry_after)
        if not verdict.allowed:
            raise Failed(fates.ROBOTS_DENIED)
        trip.signals = robots.usage_signals(rules, trip.url)
        if rules.reserved is not None:
            trip.signals += wellknown.signals(rules.reserved, trip.url)
        self._check_signals(trip)
        if not turn:
            await self._permissions.wait(trip.url)
