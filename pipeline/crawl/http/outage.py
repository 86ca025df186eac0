"""Are the hosts down, or our own network? The crawl finds out before a failure counts.

A visit that ends without a connection, or whose connection broke, is held. It counts against its
host once any later request is answered, or once a host that answered before accepts a connection.
If none of those does, the network is down: no turn is taken, the crawl checks from time to time
whether it is back, and then repeats the held visits, as if they had not been made.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.fetch import Fetched
from webtext.pipeline.crawl.frontier.targets import host_of

SUSPECTS = 20  # held hosts at which to check the network, while other requests are under way
FEW = 5  # hosts that may all be dead by chance: if no host ever answered, fewer prove nothing
GOOD = 8  # hosts that answered last, to be tried
TRIED = 3  # of them at a time; as many must have answered once before the wait is unlimited
FIRST, LONGEST = 5.0, 60.0  # s between two checks of a network that is down; doubled up to the last
BLIND = 3600.0  # s to wait if too few hosts ever answered to be sure

# Fates that a lost network can cause: also broken connections, and answers that stop.
SUSPICIOUS = frozenset(
    {fates.DNS, fates.CONNECT, fates.TIMEOUT, fates.TOO_SLOW, fates.TLS, fates.ROBOTS_UNREACHABLE}
)
FINAL = frozenset({fates.DNS, fates.TLS})  # fates after which the fetcher does not try again

log = logging.getLogger(__name__)


def suspicious(fetched: Fetched) -> bool:
    """Whether a lost network may be the reason why a visit failed."""
    return fetched.fate in SUSPICIOUS and (fetched.again or fetched.fate not in FINAL)


@dataclass(eq=False, slots=True)
class Held:
    """A visit whose failure does not count yet."""

    url: str
    at: float  # when it failed
    lost: "asyncio.Future[bool]"  # whether the network was the cause


class Network:
    """The state of our own network. `clock` and `sleep` are the event loop's."""

    def __init__(
        self,
        reachable: Callable[[str], Awaitable[bool]],
        busy: Callable[[], bool],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"] = asyncio.create_task,
    ) -> None:
        """`reachable`: whether a URL's host accepts connections; `busy`: whether requests run."""
        self.spawn = spawn
        self.reachable = reachable
        self.busy = busy
        self.clock = clock
        self.sleep = sleep
        self.good: OrderedDict[str, str] = OrderedDict()  # host: a URL of it, the latest last
        self.held: list[Held] = []
        self.since: float | None = None  # when it was found to be down
        self._looking: asyncio.Task[None] | None = None

    @property
    def gone(self) -> bool:
        """Whether no requests may be made."""
        return self.since is not None

    @property
    def note(self) -> str:
        """The message for people, "" if the network is up."""
        if self.since is None:
            return ""
        return f"the network has been gone for {self.clock() - self.since:,.0f} s"

    async def lost(self, url: str, began: float, fetched: Fetched) -> bool:
        """Return whether a visit that began at a time must be repeated; wait until it is known.

        Raises:
            asyncio.CancelledError: the crawl is stopping; the visit does not count.
        """
        if not suspicious(fetched):
            if fetched.status is not None:
                self._answered(fetched.final_url, began)
            self.look()
            return False
        held = Held(url, self.clock(), asyncio.get_running_loop().create_future())
        self.held.append(held)
        self.look()
        try:
            return await held.lost
        finally:
            self.held.remove(held)

    def look(self) -> None:
        """Start to check the network, if there is reason to."""
        hosts = {host_of(held.url) for held in self.held}
        if hosts and self._looking is None and (not self.busy() or len(hosts) >= SUSPECTS):
            self._looking = self.spawn(self._look())

    def _answered(self, url: str, began: float) -> None:
        """Note that a host answered a request made after `began`."""
        host = host_of(url)
        self.good[host] = url
        self.good.move_to_end(host)
        if len(self.good) > GOOD:
            self.good.popitem(last=False)
        self._settle(False, before=began)

    def _settle(self, lost: bool, before: float | None = None) -> None:
        """Tell the held visits, or those that failed before a time, why they failed."""
        for held in self.held:
            if not held.lost.done() and (before is None or held.at < before):
                held.lost.set_result(lost)

    async def _look(self) -> None:
        try:
            lost = await self._gone()
        finally:
            self._looking = self.since = None
        self._settle(lost)

    async def _gone(self) -> bool:
        """Return whether the network was down, once it is back."""
        if await self._there():
            return False
        if not self.good and len({host_of(held.url) for held in self.held}) < FEW:
            return False
        began = self.since = self.clock()
        log.warning(
            "the network is gone: none of %d hosts can be reached, nor any that answered before; "
            "the crawl waits until it is back",
            len({host_of(held.url) for held in self.held}),
        )
        pause = FIRST
        while True:
            await self.sleep(pause)
            pause = min(2 * pause, LONGEST)
            passed = self.clock() - began
            if await self._there():
                log.warning("the network is back after %.0f s; the crawl goes on", passed)
                return True
            if len(self.good) < TRIED and passed > BLIND:
                log.warning("no host has answered for %.0f s; they count as failed now", passed)
                return False

    async def _there(self) -> bool:
        """Whether a host accepts connections, one of those that answered last if there are any."""
        urls: Sequence[str] = list(self.good.values()) or [held.url for held in self.held]
        return any(await asyncio.gather(*map(self.reachable, urls[-TRIED:])))
