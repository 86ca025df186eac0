"""Give the items of a build's steps to the workers of a Dask cluster, one at a time to each.

Dask starts the workers, knows which of them live, and carries items and results. Which worker gets
which item is decided here, because only then is it known which item a dead worker was doing: Dask
blames all items that it had given to that worker, and gives them to others up to four times.

A new worker is looked at before its first item: whether its versions are the client's, whether it
sees the same directories, and whether it has one thread.
"""

import asyncio
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from webtext.flows.cluster import on_worker
from webtext.flows.cluster.on_worker import Errand, NewWorkerError
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import AHEAD, POLL_SECONDS, Work, meter, set_aside
from webtext.pipeline.core.progress import Progress

TRIES = 2  # of an item that kills its worker, as in `pool`
CONNECT_SECONDS = 5.0  # for a scheduler to answer
NOBODY_SECONDS = 60.0  # without a worker that takes an item, after which the build ends
END_SECONDS = 5.0  # for an item to end when it is told to; then its worker is started anew
LOOK_SECONDS = 1.0  # between two looks at who is there

Say = Callable[[str], None]
RUN, LOOK, STOP = on_worker.by_value()


class DaskRunner:
    """A `Runner` whose workers are those of a Dask cluster."""

    def __init__(self, client: Any, threads: int, mark: Path, ours: bool) -> None:
        self.client = client
        self.threads = threads  # of this machine, for what the steps do in this process
        self.mark = mark
        self.ours = ours  # the cluster was started here, and ends here
        self.place = Path.cwd()
        self.identity = on_worker.identity()
        self.alive: dict[str, Any] = {}  # by address, what the scheduler tells of each worker
        self.fit: dict[str, str] = {}  # those that were looked at, and their processes' names
        self.looked = 0.0
        self.say: Say = lambda _words: None

    def show(self, say: Say) -> None:
        """Say who is there, with how much memory; refuse those who differ.

        Raises:
            UserError: as `check`; or there is no worker.
        """
        self.say = say
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.ready() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        address = self.client.scheduler.address
        if not self.fit:
            raise UserError(f"{address}: has no worker; start some by: dask worker {address}")
        limits = Counter(self.alive[one]["memory_limit"] for one in self.fit if one in self.alive)
        memory = ", ".join(
            f"{n} of {limit / 1e9:,.1f} GB" if limit else f"{n} without a limit of memory"
            for limit, n in sorted(limits.items(), key=lambda item: item[0] or 0)
        )
        say(f"Dask at {address}: workers: {memory}; dashboard: {self.client.dashboard_link}")

    def ready(self) -> list[str]:
        """Return the addresses of the workers that take items, of those alive now.

        Raises:
            UserError: as `check`.
            PipelineError: the scheduler is gone.
        """
        if time.monotonic() - self.looked > LOOK_SECONDS:
            try:
                self.alive = self.client.scheduler_info(n_workers=-1)["workers"]
            except Exception as error:  # noqa: BLE001 -- whatever it is, nobody is told of workers
                raise gone(error) from None
            self.looked = time.monotonic()
            self.fit = {one: self.fit[one] for one in self.fit if one in self.alive}
            if new := [one for one in self.alive if self.running(one) and one not in self.fit]:
                self.check(new)
        return [one for one in self.alive if one in self.fit and self.running(one)]

    def running(self, address: str) -> bool:
        """Whether a worker begins what it is given: one that lacks memory is paused."""
        return bool(self.alive[address]["status"] == "running")

    def check(self, addresses: list[str]) -> None:
        """Look at workers before their first item.

        Raises:
            UserError: one has other versions or several threads, or does not see the directories.
        """
        found = self.client.run(
            LOOK,
            str(self.mark),
            str(self.place),
            self.ours,
            workers=addresses,
            on_error="return",
        )
        for address in addresses:
            seen = found.get(address)
            if seen is None or isinstance(seen, Exception):
                continue  # it has died, or is only coming; it is looked at again
            identity, process = (seen, "") if isinstance(seen, str) else seen
            if wrong := differs(f"worker {address}", identity, self.identity):
                raise UserError(wrong)
            if (threads := self.alive[address]["nthreads"]) != 1:
                raise UserError(
                    f"worker {address}: has {threads} threads, wanted 1, as items share a process; "
                    f"start it by: dask worker --nworkers {threads} --nthreads 1 ..."
                )
            self.fit[address] = process

    def each(
        self, work: Work, items: Sequence[Any], progress: Progress, total: int | None
    ) -> list[Any]:
        """Do as `pool.each` does."""
        counts: dict[int, int] = {}
        show = meter(lambda: sum(counts.values()), progress, len(items), total)
        results: dict[int, Any] = {}
        show(0)
        guilty = []
        for number, result, set_out in self._done(
            work, iter(items), lambda: show(len(results)), len(items), counts
        ):
            if set_out:
                guilty.append(number)
            else:
                results[number] = result
            show(len(results))
        if guilty:
            raise set_aside(items[number] for number in sorted(guilty))
        return [results[number] for number in range(len(items))]

    def in_order(
        self, work: Work, items: Iterable[Any], waiting: Callable[[], None]
    ) -> Iterator[Any]:
        """Do as `pool.in_order` does."""
        results: dict[int, Any] = {}
        turn = 0
        for number, result, set_out in self._done(work, iter(items), waiting, None, {}):
            if set_out:
                raise set_aside([f"piece {number + 1}"])
            results[number] = result
            while turn in results:
                yield results.pop(turn)
                turn += 1
                waiting()

    def _done(
        self,
        work: Work,
        items: Iterator[Any],
        waiting: Callable[[], None],
        known: int | None,
        counts: dict[int, int],
    ) -> Iterator[tuple[int, Any, bool]]:
        """Yield the number and result of each item as it is done, and whether it was set aside.

        Without a `known` number of items only a few are taken before the oldest is done.
        """
        hand = _Hand(self, work, counts)
        given, ended, since = 0, False, time.monotonic()
        oldest: set[int] = set()  # numbers that are not done
        try:
            while True:
                ready = self.ready()
                yield from ((number, None, True) for number in hand.lost(oldest))
                for address in hand.free(ready):
                    if hand.again:
                        number, item = hand.again.popleft()
                    elif ended or (
                        known is None and given - min(oldest, default=given) >= AHEAD * len(ready)
                    ):
                        break
                    else:
                        try:
                            item = next(items)
                        except StopIteration:
                            ended = True
                            break
                        number, given = given, given + 1
                        oldest.add(number)
                    hand.give(address, number, item)
                if hand.flying:
                    since = time.monotonic()
                elif ended and not hand.again:
                    return
                elif time.monotonic() - since > NOBODY_SECONDS:
                    raise PipelineError(
                        f"{self.client.scheduler.address}: no worker has taken an item for "
                        f"{NOBODY_SECONDS:.0f} s; what is finished is kept: start some, and run "
                        "the same command again"
                    )
                for number, result in hand.wait():
                    oldest.discard(number)
                    yield number, result, False
                waiting()
        except BaseException:
            hand.stop()
            raise
        finally:
            hand.close()


class _Hand:
    """The items of one call that are at workers now."""

    def __init__(self, runner: DaskRunner, work: Work, counts: dict[int, int]) -> None:
        self.runner = runner
        self.work = work
        self.topic = f"webtext-{uuid4().hex}"
        self.flying: dict[Any, tuple[int, Any, str, str]] = {}  # number, item, address, name
        self.again: deque[tuple[int, Any]] = deque()  # items whose worker was lost
        self.deaths: Counter[int] = Counter()
        self.counts = counts
        runner.client.subscribe_topic(self.topic, self._told)

    def _told(self, event: tuple[float, dict[str, int]]) -> None:
        self.counts[event[1]["about"]] = event[1]["done"]

    def free(self, ready: list[str]) -> list[str]:
        """Return those of the workers that do nothing for this call."""
        busy = {address for _, _, address, _ in self.flying.values()}
        return [address for address in ready if address not in busy]

    def give(self, address: str, number: int, item: Any) -> None:
        """Give an item to a worker."""
        name = f"webtext-{uuid4().hex}"
        runner = self.runner
        process = runner.fit[address]
        errand = Errand(self.work, item, name, self.topic, number, process, runner.place)
        future = runner.client.submit(
            RUN,
            pickle.dumps(errand),
            key=name,
            workers=[address],
            allow_other_workers=False,
            pure=False,
        )
        self.flying[future] = (number, item, address, name)

    def lost(self, unfinished: set[int]) -> Iterator[int]:
        """Take back the items of dead workers; yield those that have killed two."""
        for future, (number, item, address, _) in list(self.flying.items()):
            if address in self.runner.alive:
                continue
            del self.flying[future]
            future.cancel(force=True)
            self.deaths[number] += 1  # also if it was done: the result was still there
            self.counts.pop(number, None)
            if self.deaths[number] < TRIES:
                self.runner.say(f"{address}: was lost; what it did is done again: {item}")
                self.again.append((number, item))
            else:
                unfinished.discard(number)
                yield number

    def wait(self) -> Iterator[tuple[int, Any]]:
        """Wait a moment; yield the items that are done.

        Raises:
            Exception: what an item raised.
            PipelineError: the scheduler is gone.
        """
        from distributed import KilledWorker, wait

        if not self.flying:
            time.sleep(POLL_SECONDS)
            return
        try:
            done = wait(list(self.flying), POLL_SECONDS, "FIRST_COMPLETED").done  # type: ignore[no-untyped-call]
        except TimeoutError:
            return
        except CancelledError as error:
            raise gone(error) from None
        for future in done:
            try:
                result = future.result(NOBODY_SECONDS)
            except (KilledWorker, NewWorkerError, TimeoutError):
                # Its worker has died: the scheduler says so, or the next one at its address.
                address = self.flying[future][2]
                self.runner.alive.pop(address, None)  # until the next look
                self.runner.fit.pop(address, None)
                continue
            except CancelledError as error:
                raise gone(error) from None
            number = self.flying.pop(future)[0]
            yield number, result

    def stop(self) -> None:
        """End all items: nobody waits for one after Ctrl-C or an error."""
        from distributed import wait

        client, flying = self.runner.client, dict(self.flying)
        self.flying = {}
        if not flying:
            return
        names = [name for _, _, _, name in flying.values()]
        with suppress(Exception):
            there = {one for _, _, one, _ in flying.values()} & set(self.runner.alive)
            client.run(STOP, names, workers=sorted(there), on_error="ignore")
            with suppress(TimeoutError, asyncio.TimeoutError):
                wait(list(flying), END_SECONDS)  # type: ignore[no-untyped-call]
            stuck = [flying[future][2] for future in flying if future.status == "pending"]
            client.cancel(list(flying), force=True)
            if stuck := [one for one in stuck if one in there]:
                client.restart_workers(stuck, timeout=END_SECONDS, raise_for_error=False)

    def close(self) -> None:
        """Hear no more of these items."""
        with suppress(Exception):
            self.runner.client.unsubscribe_topic(self.topic)


def gone(error: BaseException) -> PipelineError:
    """Return the error that the scheduler does not answer any more."""
    said = " ".join(str(error).split()) or type(error).__name__
    return PipelineError(
        f"the Dask scheduler does not answer any more ({said}); what is finished is kept: run the "
        "same command again"
    )


def differs(worker: str, found: Any, wanted: dict[str, str]) -> str:
    """Return in what a worker differs from this process, "" if in nothing.

    >>> differs("worker tcp://a:1", {"numpy": "2.0"}, {"numpy": "2.1"})
    'worker tcp://a:1: has numpy 2.0, and this process 2.1; install the same on both'
    """
    if isinstance(found, str):
        return f"{worker}: {found}; it must have the same webtext, and share the data directory"
    wrong = [
        f"{name} {found.get(name)}, and this process {wanted[name]}"
        for name in wanted
        if found.get(name) != wanted[name]
    ]
    return f"{worker}: has {'; '.join(wrong)}; install the same on both" if wrong else ""
