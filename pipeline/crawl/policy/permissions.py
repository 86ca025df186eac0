"""What the hosts of a crawl permit: robots.txt and similar files, requested once and cached."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.http.client import REDIRECTS, Arrived, Client, Failed, redirected
from webtext.pipeline.crawl.policy import robots, wellknown
from webtext.pipeline.crawl.settings import Crawl, Gate
from webtext.pipeline.urls.forgotten import NOTHING, Forgotten


class Permissions:
    """The rules of every origin (scheme, host, port), fetched through `client` as they are needed.

    `gate` is awaited before every request, so that the caller controls the pace.
    """

    def __init__(
        self,
        settings: Crawl,
        client: Client,
        gate: Gate | None,
        product: str | None = None,
        forgotten: Forgotten = NOTHING,
    ) -> None:
        """Prepare; `product` is the name to look for, by default the one of the settings.

        What is `forgotten` is asked for in no way, not by a redirect either.
        """
        self._forgotten = forgotten
        self._settings = settings
        self._product = product or settings.product
        self._client = client
        self._gate = gate
        # Half the time after which the crawl comes back, so that it then asks again.
        self._cache = robots.Cache(failure_seconds=settings.backoff / 2)
        self._asking: dict[str, asyncio.Lock] = {}

    async def wait(self, url: str) -> None:
        """Wait until `url` may be requested."""
        if self._gate is not None:
            await self._gate(url)

    def known(self, here: str) -> robots.Rules | None:
        """Return the cached rules of an origin, if they are still valid."""
        return self._cache.get(here, time.monotonic())

    def forget_failures(self) -> None:
        """Forget which origins could not be reached: the network was down when they were asked."""
        self._cache.forget_failures()

    async def rules(self, here: str) -> tuple[robots.Rules, bool]:
        """Return the rules of an origin, and whether the caller holds a turn for one more request.

        A turn is needed before robots.txt is requested, and during the wait another caller may
        have requested it. Then the turn is still unused and can be used for the page.
        """
        if (rules := self.known(here)) is not None:
            return rules, False
        await self.wait(f"{here}/robots.txt")
        if (rules := self.known(here)) is not None:
            return rules, True
        async with self._alone(here):
            if (rules := self.known(here)) is None:
                rules = await self._learn(here)
        return rules, False

    @asynccontextmanager
    async def _alone(self, here: str) -> AsyncIterator[None]:
        """Let one caller at a time ask an origin. With a gate, the turns ensure that.

        A lock that is held while its owner waits at a gate could cause a deadlock.
        """
        if self._gate is not None:
            yield
            return
        lock = self._asking.setdefault(here, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._asking.pop(here, None)

    async def _learn(self, here: str) -> robots.Rules:
        asked = time.time()
        rules = replace(await self._ask(here), asked=asked)
        if self._settings.opt_out_files and rules.state != "unreachable":
            rules = await self._with_reservations(here, rules)
        self._cache.put(here, rules, time.monotonic())
        return rules

    async def _ask(self, here: str) -> robots.Rules:
        """Return what an origin's robots.txt says, following its redirects to other hosts too."""
        url, seen, home = f"{here}/robots.txt", 0, True
        try:
            while True:
                with await self._client.get(url, home=home) as arrived:
                    if arrived.head.status not in REDIRECTS:
                        return await self._read(arrived)
                    home = home and self._client.own(url)
                    url, seen = redirected(url, arrived.head), seen + 1
                if seen > robots.MAX_REDIRECTS:
                    return robots.allows_all("too many redirects")
                if self._forgotten(url):
                    raise Failed(fates.FORGOTTEN)
                await self.wait(url)
        except Failed as failed:
            if (seen == 0 and not failed.connected) or failed.fate == fates.OTHER_PART:
                # The host cannot be reached at all, which says more than a missing robots.txt; or
                # its robots.txt is at a host of another part.
                return robots.unreachable(failed.fate, fate=failed.fate, again=failed.again)
            return robots.unreachable(failed.fate)

    async def _read(self, arrived: Arrived) -> robots.Rules:
        asked = arrived.head.retry_after(self._settings.max_backoff)
        known = robots.of_status(arrived.head.status, asked)
        if known is not None:
            return known
        body = await arrived.read(robots.MAX_BYTES + 1)
        if body.truncated == "disconnect":
            return robots.unreachable("disconnected")
        return robots.parse(body.data, self._product)

    async def _with_reservations(self, here: str, rules: robots.Rules) -> robots.Rules:
        """Return `rules` with the reservations of the origin's other files, if available."""
        bodies: dict[str, bytes] = {}
        for path in wellknown.FILES:
            await self.wait(here + path)
            try:
                with await self._client.get(here + path) as arrived:
                    if arrived.head.status == 200:
                        bodies[path] = (await arrived.read(wellknown.MAX_BYTES)).data
            except Failed:
                continue  # reserves nothing
        found = wellknown.read(bodies, self._product)
        size = rules.size + sum(map(len, bodies.values()))
        return replace(rules, reserved=found, size=size)
