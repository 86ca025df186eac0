"""Politeness by structure: only the holder of a turn can send a host a request, and only one.

A heap of addresses, each with a heap of its hosts, each with a queue of URLs, ordered by the time
of the next permitted request. Taking a turn removes the host from its address's heap and the
address from the heap of addresses; giving it back inserts both again, at a later time. So no check
can be forgotten: a host or address that must wait, or has a request under way, cannot be taken.
The idea is BUbiNG's (Boldi, Marino, Santini, Vigna: "BUbiNG: Massive Crawling for the Masses",
ACM TWEB 12(2), 2018).

A *turn* is the right to one request. A *visit* is all requests for one URL: the first one, one for
each redirect, and one for a robots.txt that is not known yet. The first turn of a visit comes
from `take`, each further one from `ask`, and waits in the same heaps as all others. A visit holds
one turn at a time, so visits that redirect to each other's hosts cannot block each other for
longer than `patience`, after which a turn that was not given back is withdrawn.

Where a crawl has parts, an address can be taken in this part's slots only (`address_slots`).

Nothing here waits, reads a clock or uses sockets, so a simulation can run it through days.
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from webtext.pipeline.crawl.frontier.address_slots import USED, Slots
from webtext.pipeline.crawl.frontier.rows import Item
from webtext.pipeline.crawl.settings import Crawl

GRACE = 5.0  # s that a turn may last beyond the longest request, before it is withdrawn


@dataclass(eq=False, slots=True)
class Address:
    """An IP address, or a substitute for a host without a known address."""

    key: str | None
    next: float = 0.0  # not before this time
    busy: bool = False
    hosts: list[tuple[float, int, "Host"]] = field(default_factory=list)  # heap
    queued: float | None = None  # the time by which the heap of addresses orders it
    members: int = 0  # hosts that refer to it
    crowd: int = 0  # those with URLs in the frontier
    line: float = 0.0  # when the host that was turned away last may come back


@dataclass(eq=False, slots=True)
class Host:
    """A host, its URLs, and its delays."""

    name: str
    address: Address
    next: float = 0.0  # not before this time
    turn: "Turn | None" = None  # the turn that is in use
    visited: bool = False  # a visit to one of its URLs is under way
    queued: bool = False  # in its address's heap
    urls: list[Item] = field(default_factory=list)  # few, and an empty deque takes 600 bytes
    waiting: list[Any] = field(default_factory=list)  # tokens of requests for a turn, in order
    latency: float = 0.0  # s, smoothed
    crawl_delay: float = 0.0  # s, as its robots.txt asks
    errors: int = 0  # failures in a row
    row: int = -1  # its number in the frontier; -1 if only redirects lead to it
    cursor: int = -1  # its URL that was leased last
    more: bool = False  # whether the frontier may have more of its URLs
    asked: bool = False  # whether they are being leased

    @property
    def wants(self) -> bool:
        """Whether it needs a turn."""
        return bool(self.waiting) or (bool(self.urls) and not self.visited)


@dataclass(eq=False, slots=True)
class Turn:
    """The right to send `host` one request."""

    host: Host
    granted: float
    item: Item | None = None  # the URL whose visit begins with it
    token: Any = None  # otherwise the token of whoever asked for it
    used: bool = False
    live: bool = True


class Workbench:
    """The active hosts. All times are seconds on one clock that never goes back."""

    def __init__(self, settings: Crawl) -> None:
        self.settings = settings
        self.patience = settings.timeout + settings.connect_timeout + GRACE
        self.hosts: dict[str, Host] = {}
        self.addresses: dict[str, Address] = {}
        self.in_flight = 0  # turns in use
        self.ahead = 0.0  # s to add to the clock for Unix time, which the parts of a crawl share
        self._slots = Slots.of_crawl(settings)
        self._heap: list[tuple[float, int, Address]] = []
        self._granted: deque[Turn] = deque()  # in order of time
        self._order = count()  # breaks ties, the first entry first

    def host(self, name: str, key: str | None, now: float) -> Host:
        """Return the host of this name; make it at this address if it is unknown."""
        host = self.hosts.get(name)
        if host is None:
            address = Address(None) if key is None else self.addresses.get(key)
            if address is None:
                address = self.addresses[str(key)] = Address(key)
            address.members += 1
            host = self.hosts[name] = Host(name, address, next=now)
        return host

    def crowd(self, key: str | None) -> int:
        """Return how many hosts with URLs share this address here."""
        address = self.addresses.get(key) if key is not None else None
        return address.crowd if address else 0

    def turned_away(self, key: str | None, now: float) -> float:
        """Return in how many seconds a host should come back if its address is crowded.

        Each comes back later than the one before, at the pace at which the address can serve
        them, so that a million hosts of one address do not try again and again without success.
        """
        address = self.addresses[str(key)]
        pace = self.settings.pace_per_ip
        address.line = max(address.line, now + address.crowd * pace) + pace
        return address.line - now

    def admit(self, name: str, key: str | None, row: int, errors: int, now: float) -> Host:
        """Return the host of this name, ready for the URLs of host `row` of the frontier."""
        host = self.host(name, key, now)
        host.row, host.errors = row, errors
        host.address.crowd += 1
        return host

    def add(self, host: Host, items: list[Item]) -> None:
        """Add URLs to a host."""
        host.urls.extend(items)
        self._queue(host)

    def take(self, now: float) -> Turn | None:
        """Take the turn that has been due for the longest time, None if none is due."""
        self._take_back(now)
        while self._heap and self._heap[0][0] <= now:
            due, _, address = heappop(self._heap)
            if address.queued != due:
                continue  # it was queued again with an earlier time
            address.queued = None
            if self._slot(address, now):  # it came too late for this one
                address.next = now
                self._queue_address(address)
                continue
            host = heappop(address.hosts)[2]
            host.queued = False
            if not host.wants or host.next > now:  # withdrawn, or failed meanwhile
                self._queue(host)
                self._queue_address(address)
                continue
            address.busy = True
            turn = Turn(host, now)
            if host.waiting:
                turn.token = host.waiting.pop(0)
            else:
                turn.item = host.urls.pop(0)
                host.visited = True
            return self._grant(turn)
        return None

    def ask(self, host: Host, token: Any, now: float) -> Turn | None:
        """Ask for a turn during a visit; it is taken later, with this token, if not given at once.

        It is given at once if a visit to the same host has an unused turn: that visit may be
        waiting for the same robots.txt that this turn is needed for.
        """
        idle = host.turn
        if idle and idle.item and not idle.used and self.may_use(idle, now):
            idle.live = False
            self.in_flight -= 1
            return self._grant(Turn(host, now, token=token))
        host.waiting.append(token)
        self._queue(host)
        return None

    def may_use(self, turn: Turn, now: float) -> bool:
        """Whether a turn that was taken may be used, so that it is still this part's slot."""
        return not self._slot(turn.host.address, now, USED)

    def give_back(self, turn: Turn, now: float) -> None:
        """End a turn; if it was used, its host and address become available after their delay."""
        if not turn.live:
            return
        turn.live = False
        self.in_flight -= 1
        host, address = turn.host, turn.host.address
        host.turn = None
        address.busy = False
        if turn.used:
            took = now - turn.granted
            host.latency = (host.latency + took) / 2 if host.latency else took
            host.next = max(host.next, now + self.pause(host))
            if address.key is not None:
                address.next = max(address.next, now + self.settings.delay_per_ip)
        self._queue(host)
        self._queue_address(address)

    def leave(self, host: Host) -> None:
        """End the visit to a host: its next URL may get a turn."""
        host.visited = False
        self._queue(host)

    def withdraw(self, host: Host) -> list[Item]:
        """Take a host's URLs off the workbench; redirects to it still get their turns."""
        items, host.urls = host.urls, []
        host.visited = False
        host.row = -1
        host.address.crowd -= 1
        return items

    def pause(self, host: Host) -> float:
        """Return how long to wait after a request to a host, in seconds."""
        wanted = max(
            self.settings.delay, host.crawl_delay, self.settings.latency_factor * host.latency
        )
        return min(wanted, self.settings.max_delay)

    def back_off(self, host: Host, now: float, retry_after: float | None) -> float:
        """Leave a host alone after failures; return for how many seconds.

        The wait doubles with each failure in a row, and is never shorter than the host itself
        asked for.
        """
        wait = self.settings.backoff * 2.0 ** min(max(host.errors - 1, 0), 32)
        wait = min(max(wait, retry_after or 0.0), self.settings.max_backoff)
        self.rest(host, now + wait)
        return wait

    def rest(self, host: Host, until: float) -> None:
        """Make no request to a host until this time."""
        host.next = max(host.next, until)

    def next_time(self) -> float | None:
        """Return when to call `take` next, None if there is nothing to take before another call."""
        while self._heap and self._heap[0][2].queued != self._heap[0][0]:
            heappop(self._heap)
        times = [self._heap[0][0]] if self._heap else []
        if self._granted:
            times.append(self._granted[0].granted + self.patience)
        return min(times, default=None)

    def prune(self, now: float) -> None:
        """Forget the hosts and addresses that have no work and no delay left."""
        for host in list(self.hosts.values()):
            idle = not (host.turn or host.visited or host.waiting or host.urls or host.queued)
            if idle and host.row < 0 and host.next <= now and host.address.next <= now:
                del self.hosts[host.name]
                host.address.members -= 1
                if not host.address.members and host.address.key is not None:
                    del self.addresses[host.address.key]

    def _grant(self, turn: Turn) -> Turn:
        turn.host.turn = turn
        self.in_flight += 1
        self._granted.append(turn)
        return turn

    def _take_back(self, now: float) -> None:
        """End the turns that were in use for longer than any request can take."""
        while self._granted:
            turn = self._granted[0]
            if turn.live and turn.granted + self.patience > now:
                return
            self._granted.popleft()
            self.give_back(turn, now)

    def _slot(self, address: Address, when: float, *share: float) -> float:
        """Return in how many seconds after `when` an address may be asked by this part."""
        if self._slots is None or address.key is None:
            return 0.0
        return self._slots.wait(address.key, when + self.ahead, *share)

    def _queue(self, host: Host) -> None:
        """Put a host into its address's heap if it belongs there and is not there yet."""
        if host.wants and not host.queued and host.turn is None:
            host.queued = True
            heappush(host.address.hosts, (host.next, next(self._order), host))
            self._queue_address(host.address)

    def _queue_address(self, address: Address) -> None:
        """Put an address into the heap, ordered by the time when its first host is available."""
        if address.busy or not address.hosts:
            return
        due = max(address.next, address.hosts[0][0])
        due += self._slot(address, due)
        if address.queued is None or due < address.queued:
            address.queued = due
            heappush(self._heap, (due, next(self._order), address))
