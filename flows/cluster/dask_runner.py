"""Give the items of a build's steps to the workers of a Dask cluster, one at a time to each.

Dask starts the workers, knows which of them live, and carries items and results. Which worker gets
which item is decided here, because only then is it known which item a dead worker was doing: Dask
blames all items that it had given to that worker, and gives them to others up to four times.
"""

import asyncio
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from itertools import chain, islice
from typing import Any
from uuid import uuid4

from webtext.flows.cluster.by_store import Coming
from webtext.flows.cluster.crew import RUN, STOP, Crew, gone
from webtext.flows.cluster.on_worker import Errand, NewWorkerError
from webtext.pipeline.core import pool
from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.pool import AHEAD, POLL_SECONDS, Work, set_aside
from webtext.pipeline.core.progress import Figures, Progress, meter

TRIES = 2  # of an item that kills its worker, as in `pool`
NOBODY_SECONDS = 60.0  # without a worker that takes an item, after which the build ends
END_SECONDS = 5.0  # for an item to end when it is told to; then its worker is started anew
ARRIVE_SECONDS = 0.02  # between two looks at files that are on their way


class DaskRunner(Crew):
    """A `Runner` whose workers are those of a Dask cluster."""

    @property
    def shares(self) -> bool:
        """Whether the workers see what this process sees, and not the store alone."""
        return self.exchange is None

    @property
    def size(self) -> int:
        """How many workers there are now."""
        return len(self.ready())

    def each(
        self,
        work: Work,
        items: Sequence[Any],
        progress: Progress,
        total: int | None,
        lasting: Callable[[Figures], str] | None = None,
    ) -> list[Any]:
        """Do as `pool.each` and `Runner.each` do."""
        if self._ours_alone(work, items):
            return pool.each(work, items, self.threads, progress, total)
        told = Told(lasting)
        show = meter(told.units, progress, len(items), total, told.note)
        results: dict[int, Any] = {}
        show(0)
        guilty = []
        for number, result, set_out in self._done(
            work, iter(items), lambda: show(len(results)), len(items), told
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
        self,
        work: Work,
        items: Iterable[Any],
        waiting: Callable[[], None],
        most: int | None = None,
    ) -> Iterator[Any]:
        """Do as `pool.in_order` and `Runner.in_order` do."""
        source = iter(items)
        first = list(islice(source, 1))
        items = chain(first, source)
        if self._ours_alone(work, first):
            yield from pool.in_order(work, items, self.threads, waiting)
            return
        results: dict[int, Any] = {}
        turn = 0
        for number, result, set_out in self._done(work, items, waiting, None, Told(), most):
            if set_out:
                raise set_aside([f"piece {number + 1}"])
            results[number] = result
            while turn in results:
                yield results.pop(turn)
                turn += 1
                waiting()

    def _ours_alone(self, work: Work, items: Sequence[Any]) -> bool:
        """Whether only this machine can do items, as they are about files that no other has."""
        path = self.exchange and self.exchange.only_here(work, items)
        if path:
            self.say(f"{path}: lies on this machine alone, so it is read by its own processes")
        return bool(path)

    def _done(
        self,
        work: Work,
        items: Iterator[Any],
        waiting: Callable[[], None],
        known: int | None,
        told: "Told",
        most: int | None = None,
    ) -> Iterator[tuple[int, Any, bool]]:
        """Yield the number and result of each item as it is done, and whether it was set aside.

        Without a `known` number of items only a few are taken before the oldest is done.
        """
        hand = _Hand(self, work, told)
        given, ended, since = 0, False, time.monotonic()
        oldest: set[int] = set()  # numbers that are not done
        try:
            while True:
                ready = self.ready()
                yield from ((number, None, True) for number in hand.lost(oldest))
                for address in hand.free(ready):
                    if most is not None and len(hand.flying) >= most:
                        break
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
                if hand.flying or hand.coming:
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


class Told:
    """What the items of one call have told of themselves."""

    def __init__(self, lasting: Callable[[Figures], str] | None = None) -> None:
        self.lasting = lasting
        self.counts: dict[int, int] = {}  # units done, by the item's number
        self.figures: dict[int, Figures] = {}
        self._furthest: dict[int, int] = {}  # units that were done when a worker was lost

    def hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take what a worker said of an item."""
        about = event[1]["about"]
        self.counts[about] = event[1]["done"]
        self.figures[about] = event[1]["figures"]

    def lost(self, number: int) -> bool:
        """Forget what a lost worker said of an item; tell whether the item may be to blame."""
        done = self.counts.pop(number, 0)
        self.figures.pop(number, None)
        further = done > self._furthest.get(number, 0)
        self._furthest[number] = max(done, self._furthest.get(number, 0))
        return not (self.lasting and further)

    def units(self) -> int:
        """Return how many units are done, of all items."""
        return sum(self.counts.values())

    def note(self) -> str:
        """Return the sums of all figures in words."""
        if self.lasting is None:
            return ""
        sums: dict[str, float] = {}
        for figures in list(self.figures.values()):
            for name, value in figures.items():
                sums[name] = sums.get(name, 0) + value
        return self.lasting(sums)


class _Hand:
    """The items of one call that are at workers now."""

    def __init__(self, runner: DaskRunner, work: Work, told: Told) -> None:
        self.runner = runner
        self.work = work
        self.topic = f"webtext-{uuid4().hex}"
        self.flying: dict[Any, tuple[int, Any, str, str]] = {}  # number, item, address, name
        self.again: deque[tuple[int, Any]] = deque()  # items whose worker was lost
        self.deaths: Counter[int] = Counter()
        self.told = told
        self.away = runner.exchange.away() if runner.exchange else None
        self.coming = Coming(runner.exchange) if runner.exchange else None
        runner.client.subscribe_topic(self.topic, told.hear)

    def free(self, ready: list[str]) -> list[str]:
        """Return those of the workers that do nothing for this call."""
        busy = {address for _, _, address, _ in self.flying.values()}
        return [address for address in ready if address not in busy]

    def give(self, address: str, number: int, item: Any) -> None:
        """Give an item to a worker."""
        name = f"webtext-{uuid4().hex}"
        runner = self.runner
        process = runner.fit[address]
        if exchange := runner.exchange:
            packed = exchange.packed(self.work, item)
        else:
            packed = pickle.dumps((self.work, item))
        patient = self.told.lasting is not None
        errand = Errand(packed, name, self.topic, number, process, runner.place, self.away, patient)
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
            if not self.told.lost(number):
                self.deaths[number] = 0
            self.deaths[number] += 1  # also if it was done: the result was still there
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

        if self.coming:
            seconds = 0.0 if self.flying else POLL_SECONDS
            yield from self._arrived(self.coming.wait(seconds))
        elif not self.flying:
            time.sleep(POLL_SECONDS)
        if not self.flying:
            return
        try:
            seconds = ARRIVE_SECONDS if self.coming else POLL_SECONDS
            done = wait(list(self.flying), seconds, "FIRST_COMPLETED").done  # type: ignore[no-untyped-call]
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
            number, item = self.flying.pop(future)[:2]
            if self.coming is None:
                yield number, result
            else:
                self.coming.add(number, item, result)

    def _arrived(self, found: Iterator[tuple[int, Any, bool, Any]]) -> Iterator[tuple[int, Any]]:
        """Yield the items whose files are here; those that lacked files are done again."""
        for number, item, done, result in found:
            if done:
                yield number, result
            else:
                assert self.runner.exchange is not None, "only workers elsewhere lack files"
                self.away = self.runner.exchange.away()
                self.again.append((number, item))

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
        if self.coming is not None:
            self.coming.close()
        with suppress(Exception):
            self.runner.client.unsubscribe_topic(self.topic)
