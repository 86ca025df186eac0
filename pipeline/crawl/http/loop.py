"""Crawl: take turns from the workbench, fetch, archive, acknowledge, until every URL is done.

    frontier ──lease──> workbench ──turn──> visit ──result──> writer ──commit──> frontier
    (on disk)           (in memory)         (fetcher)         (WARC, fsync)      (on disk)

One event loop waits for the hosts; one thread writes to the disk. A result is acknowledged after
its WARC records are on disk, so a kill loses some fetches, and a requested stop loses none.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.crawl.fetches import MakeFetcher
from webtext.pipeline.crawl.frontier.earlier import Earlier
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.recovery import note
from webtext.pipeline.crawl.frontier.rows import PARKED, SHARD, Changes, HostChange, HostRow, Item
from webtext.pipeline.crawl.frontier.targets import host_of
from webtext.pipeline.crawl.frontier.workbench import Host, Turn, Workbench
from webtext.pipeline.crawl.http.outage import Network
from webtext.pipeline.crawl.http.results import Result, judged
from webtext.pipeline.crawl.meter import Meter
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink

EACH = 16  # URLs leased to a host at a time
ROOM = 16  # hosts on the workbench for each connection, so that delays leave no connection idle
FRESH = 512  # hosts put on the workbench at once
LOOKUPS = 64  # addresses looked up at a time
CROWD = 64  # hosts of one address on the workbench; others wait in the frontier meanwhile
GATHER = 0.2  # s for which results are collected before they are written
UNWRITTEN = 256_000_000  # bytes of unwritten bodies at which no more turns are taken


@dataclass(eq=False, slots=True)
class Visit:
    """All requests for one URL, and the turn that it holds."""

    turn: Turn
    url: str  # the turn that was used last


VISIT: ContextVar[Visit] = ContextVar("visit")


class Loop:
    """One running crawl. Everything except `commit` happens in the event loop's thread."""

    def __init__(
        self, settings: Crawl, frontier: Frontier, sink: Sink, meter: Meter | None = None
    ) -> None:
        self.settings = settings
        self.frontier = frontier
        self.sink = sink
        self.bench = Workbench(settings)
        self.disk = ThreadPoolExecutor(1, "crawl-disk")
        self.active = 0  # hosts that the frontier has leased to the loop
        self.hungry: list[Host] = []  # those of them that need more URLs
        self.results: list[Result] = []  # to be written
        self.writing = 0  # results that are being written
        self.written: Future[int] | None = None  # what the disk's thread does with them
        self.unwritten = 0  # bytes of both
        self.prune_at = FRESH  # number of hosts on the workbench at which idle ones are removed
        self.remaining = 0  # URLs that are not done
        self.meter = meter or Meter()
        self._timer: asyncio.TimerHandle | None = None

    def run(self, make: MakeFetcher) -> None:
        """Crawl until every URL is done.

        Raises:
            OSError: the disk is full.
            KeyboardInterrupt: a stop was requested; all fetched results are written.
        """
        try:
            self.sink.recover(self.frontier.files())
            tally = self.frontier.tally()
            total = self.frontier.total()
            self.meter.start(total, tally)
            self.remaining = total - tally.total()
            if self.remaining:
                handler = signal.getsignal(signal.SIGTERM)
                try:
                    asyncio.run(self._stoppable(make))
                finally:  # else a stop of what comes after the crawl would be a kill
                    with suppress(ValueError, TypeError):  # not in the main thread; not Python's
                        signal.signal(signal.SIGTERM, handler)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._flush()
            raise KeyboardInterrupt from None
        finally:
            self.disk.shutdown(wait=True)
            self.sink.close()

    async def _stoppable(self, make: MakeFetcher) -> None:
        """Crawl, and stop at SIGTERM as at SIGINT."""
        task = asyncio.current_task()
        assert task is not None, "asyncio.run makes one"
        self.main = task
        with suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        self.meter.stop = task.cancel
        try:
            await self._crawl(make)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _crawl(self, make: MakeFetcher) -> None:
        loop = asyncio.get_running_loop()
        self.clock = loop.time
        self.wake = asyncio.Event()
        self.fetched = asyncio.Event()  # there is something to write
        self.lookups = asyncio.Semaphore(LOOKUPS)
        async with (
            make(self.settings, self.gate) as self.fetcher,
            asyncio.TaskGroup() as self.tasks,
        ):
            self.network = Network(
                self.fetcher.reachable,
                busy=lambda: self.bench.in_flight > 0,
                clock=self.clock,
                spawn=self.tasks.create_task,
            )
            helpers = [self.tasks.create_task(work()) for work in (self._write, self._tell)]
            await self._feed()
            for helper in helpers:
                helper.cancel()
        self.meter.look(0, 0, 0)
        if self._timer:
            self._timer.cancel()

    # Feeding the workbench

    async def _feed(self) -> None:
        """Keep the workbench supplied until nothing remains.

        Raises:
            PipelineError: URLs remain that cannot be reached.
        """
        while self.remaining:
            self.wake.clear()
            idle = not (self.active or self.results or self.writing)
            hungry, self.hungry = self.hungry, []
            room = max(0, self._most() - self.active)
            wanted = [(host.row, host.cursor) for host in hungry]
            more, fresh, wait = await self._on_disk(self._draw, wanted, min(room, FRESH))
            for host, items in zip(hungry, more, strict=True):
                self._serve(host, items)
            for row, items in fresh:
                self.active += 1
                self.tasks.create_task(self._settle(row, items))
            self._pump()
            if fresh:
                continue
            if idle and wait is None:
                raise PipelineError(f"{self.frontier.path}: {self.remaining} URLs have no host")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), wait if room else None)
            await asyncio.sleep(0.01)  # so that requests at the same moment are leased together

    def _most(self) -> int:
        """How many hosts the workbench should hold: more where each must wait longer."""
        slower = self.settings.pace_per_ip / max(self.settings.delay, 1.0)
        return max(FRESH, int(ROOM * self.settings.hosts_in_flight * max(1.0, slower)))

    def _draw(
        self, hungry: list[tuple[int, int]], room: int
    ) -> tuple[list[list[Item]], list[tuple[HostRow, list[Item]]], float | None]:
        """Lease URLs for hosts on the workbench, and new hosts with their URLs, from the disk.

        Return both, and in how many seconds there may be more.
        """
        more = self.frontier.lease(hungry, EACH)
        rows = self.frontier.activate(room) if room else []
        leased = self.frontier.lease([(row.host, row.cursor) for row in rows], EACH)
        return more, list(zip(rows, leased, strict=True)), self.frontier.wait()

    def _serve(self, host: Host, items: list[Item]) -> None:
        """Give a host the URLs that were leased for it."""
        host.asked = False
        if host.row < 0:  # it left the workbench meanwhile
            self._put(Result(Changes(returned=items)))
            return
        host.more = len(items) == EACH
        host.cursor = items[-1].n if items else host.cursor
        self.bench.add(host, items)
        if not host.visited:
            self._go_on(host)

    async def _settle(self, row: HostRow, items: list[Item]) -> None:
        """Put a host on the workbench, at its address."""
        key = None
        if items and self.settings.delay_per_ip:
            async with self.lookups:
                # One key for all addresses, since it is not known which of them will be used.
                key = min(await self.fetcher.addresses(items[0].url), default=None)
        if self.bench.crowd(key) >= CROWD:
            self.active -= 1
            until = self.frontier.clock() + self.bench.turned_away(key, self.clock())
            change = HostChange(PARKED, until, row.errors, row.cursor, row.host)
            self._put(Result(Changes(returned=items, hosts=[change])))
            return
        host = self.bench.admit(row.name, key, row.host, row.errors, self.clock())
        host.cursor = row.cursor
        self._serve(host, items)
        self._pump()

    def _go_on(self, host: Host) -> None:
        """Give a host's next URL a turn; lease more URLs if it has none, or release the host."""
        self.bench.leave(host)
        if host.more and not host.asked and len(host.urls) <= EACH // 2:
            host.asked = True
            self.hungry.append(host)
        elif not (host.urls or host.asked):
            until = self.frontier.clock() + self.settings.backoff
            self._put(Result(Changes(passed=[(host.row, until)])))
            self.bench.withdraw(host)
            self.active -= 1
        else:
            return
        self.wake.set()

    # Visiting

    def _pump(self) -> None:
        """Start all visits that may start now, and run again when more may."""
        now = self.clock()
        self.bench.ahead = time.time() - now
        idle = self.unwritten >= UNWRITTEN or self.network.gone or self.main.cancelling()
        most = 0 if idle else self.settings.hosts_in_flight
        while self.bench.in_flight < most:
            turn = self.bench.take(now)
            if turn is None:
                break
            if turn.item:
                self.tasks.create_task(self._visit(turn, turn.item))
            elif turn.token.done():  # the visit that asked was cancelled
                self.bench.give_back(turn, now)
            else:
                turn.token.set_result(turn)
        when = self.bench.next_time()
        if when is None:
            return
        when = when if when > now else now + 1.0  # all are busy: only an overdue turn matters
        if self._timer is None or self._timer.when() > when or self._timer.when() <= now:
            if self._timer:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(when, self._pump)

    async def gate(self, url: str) -> None:
        """Wait until the host of `url` may be asked, and make that the visit's turn."""
        visit, name = VISIT.get(), host_of(url)
        turn = visit.turn
        live = turn.live and not turn.used and turn.host.name == name
        if live and self.bench.may_use(turn, self.clock()):
            turn.used, visit.url = True, url
            return
        self._end_turn(visit)
        host = self.bench.hosts.get(name)
        if host is None:
            key = None
            if self.settings.delay_per_ip:
                key = min(await self.fetcher.addresses(url), default=None)
            host = self.bench.host(name, key, self.clock())
        while True:
            token = asyncio.get_running_loop().create_future()
            granted = self.bench.ask(host, token, self.clock())
            self._pump()
            visit.turn = granted or await token
            if self.settings.part:
                await self.fetcher.addresses(url)  # looked up now if they are too old
            if self.bench.may_use(visit.turn, self.clock()):
                break
            self._end_turn(visit)
        visit.turn.used, visit.url = True, url

    def _end_turn(self, visit: Visit) -> None:
        """Give the visit's turn back, with the delay that its host asks for."""
        turn = visit.turn
        if turn.used:
            turn.host.crawl_delay = self.fetcher.crawl_delay(visit.url) or 0.0
        self.bench.give_back(turn, self.clock())

    async def _visit(self, turn: Turn, item: Item) -> None:
        """Fetch one URL and record the result."""
        host, visit = turn.host, Visit(turn, item.url)
        VISIT.set(visit)
        known = item.earlier and Earlier.unpacked(item.earlier, self.sink.directory)
        while True:
            started, began = self.frontier.clock(), self.clock()
            try:
                fetched = await self.fetcher.fetch(item.url, *([known] if known else []))
            finally:
                self._end_turn(visit)
            self._pump()
            if not await self.network.lost(item.url, began, fetched):
                break
            self.fetcher.forget_failures()
        wall = self.frontier.clock()
        result = judged(self.bench, host, item, fetched, started, self.clock(), wall)
        self._put(result)
        if result.leaves:
            self.active -= 1
            self.wake.set()
        else:
            self._go_on(host)
        self._pump()

    # Writing

    def _put(self, result: Result) -> None:
        """Hand a result to the writer."""
        self.results.append(result)
        self.unwritten += result.size
        self.fetched.set()

    async def _write(self) -> None:
        """Write results to disk, many at a time, and acknowledge them."""
        while True:
            await self.fetched.wait()
            await asyncio.sleep(GATHER)
            self.fetched.clear()
            batch, self.results = self.results, []
            self.writing = len(batch)
            self.written = self.disk.submit(self.commit, batch)
            done = await asyncio.shield(asyncio.wrap_future(self.written))  # a stop ends the wait
            self.remaining -= done
            self.writing = 0
            self.unwritten -= sum(result.size for result in batch)
            if len(self.bench.hosts) > self.prune_at:
                self.bench.prune(self.clock())
                self.prune_at = 2 * len(self.bench.hosts) + FRESH
            self.wake.set()
            self._pump()

    def commit(self, batch: list[Result]) -> int:
        """Archive results, sync them to disk, then acknowledge them; return how many URLs are done.

        Raises:
            OSError: the disk is full; nothing was acknowledged.
        """
        changes = Changes()
        for result in batch:
            done = result.done
            if done and (before := result.exchange and result.exchange.earlier):
                done.payload_file = before.file
                done.payload_offset, done.payload_length = before.offset, before.length
            if done:
                result.notes.append(note(result.url, done))
            if done and result.exchange:
                place = self.sink.write(done.n // SHARD, result.exchange, result.notes)
                done.warc_file, done.digest = place.file, place.digest
                done.warc_offset, done.warc_length = place.offset, place.length
                done.revisit = place.revisit
                if not place.revisit:
                    done.payload_file = done.payload_offset = done.payload_length = None
            elif result.notes:
                self.sink.note(result.shard, result.url, result.notes)
            if done:
                changes.done.append(done)
            changes.add(result.changes)
        changes.files = self.sink.sync()
        count = self.frontier.commit(changes)
        for done in changes.done:
            self.meter.count(done)
        self.meter.given_up(count - len(changes.done))
        return count

    def _flush(self) -> None:
        """Write the results that were fetched before the crawl was stopped."""
        if self.written is not None:
            self.written.result()
        self.disk.submit(self.commit, self.results).result()

    async def _on_disk(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run `work` in the thread that owns the disk."""
        return await asyncio.get_running_loop().run_in_executor(self.disk, work, *args)

    async def _tell(self) -> None:
        """Report the progress, by default once a second."""
        while True:
            await asyncio.sleep(self.meter.every)
            parked = await self._on_disk(self.frontier.parked)
            leased = sum(len(host.urls) + host.visited for host in self.bench.hosts.values())
            self.meter.trouble = self.network.note
            self.meter.look(self.bench.in_flight, leased, self.active, parked)
