"""Process shards in worker processes, and survive workers that die, as plain executors do not.

Steps hand all their items to `each` or `in_order`, and pass on whom they were given: a number of
processes, which are started here, or a `Runner`, which has workers elsewhere.

A worker that is killed (out of memory, a crash in C) breaks the whole pool. The pool does not say
which item caused it, so every item that was in flight is retried alone, on a pool of its own; an
item that kills that pool too is reported, after all the others are done.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Protocol

from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.progress import Figures, Progress, meter, silent

POLL_SECONDS = 0.25  # s between two progress updates; people cannot see finer ones
KEEP_SECONDS = 60.0  # s that a work may take whose processes are kept: some starts of a process
PARENT = "WEBTEXT_PARENT"  # environment variable: the process that a command or flow ends with
AHEAD = 4  # items a worker that `in_order` takes before their turn
_END = object()

Work = Callable[[Any], Any]


class Runner(Protocol):
    """Who does the items of all steps elsewhere, such as on the machines of a cluster.

    `work` must be importable (a module's function or a partial of one), idempotent, and may `tick`.
    A worker that is lost costs its item a second try; who ends a call early, by an error or by
    Ctrl-C, finds no item at work afterwards.
    """

    threads: int  # for what a step does in this process itself

    @property
    def shares(self) -> bool:
        """Whether its workers see, under the same path, what this process sees."""

    @property
    def size(self) -> int:
        """How many workers there are now."""

    def each(
        self,
        work: Work,
        items: Sequence[Any],
        progress: Progress,
        total: int | None,
        lasting: Callable[[Figures], str] | None = None,
    ) -> Any:
        """Do as `each` does.

        Items that are `lasting` take days, and go on where a lost worker left them: a loss does not
        count against one that got further. They `tick` figures; `lasting` puts the sums into words.

        Raises:
            PipelineError: an item killed its worker twice; the others are done by then.
        """

    def in_order(
        self, work: Work, items: Iterable[Any], waiting: Callable[[], None], most: int | None = None
    ) -> Iterator[Any]:
        """Do as `in_order` does, at most so many items at a time.

        Raises:
            PipelineError: an item killed its worker twice.
        """


Workers = int | Runner  # processes of this machine, or who does the work elsewhere

_ticks: "Synchronized[int] | None" = None  # this process's progress counter, set by the pool
_here = threading.local()  # `idle`: pools that this thread keeps, each with its counter
Teller = Callable[[int, Figures | None], None]
_teller: Teller | None = None  # whom a runner's worker tells of its progress


def threads(workers: Workers) -> int:
    """Return how many threads a step may use in this process."""
    return workers if isinstance(workers, int) else workers.threads


def tick(units: int, figures: Figures | None = None) -> None:
    """Report `units` of work done inside an item, and figures of it, which a runner shows.

    Raises KeyboardInterrupt where a runner waits no more for the item.
    """
    if _teller is not None:
        _teller(units, figures)
    elif _ticks is not None:
        with _ticks.get_lock():
            _ticks.value += units


@contextmanager
def told(teller: Teller) -> Iterator[None]:
    """Pass what `tick` reports in this process to a function: for a runner's worker."""
    global _teller  # noqa: PLW0603 -- one item a process at a time
    _teller = teller
    try:
        yield
    finally:
        _teller = None


def set_aside(items: Iterable[Any]) -> PipelineError:
    """Return the error that names items which killed their workers twice."""
    names = ", ".join(str(item) for item in items)
    return PipelineError(
        f"killed its worker twice and was set aside: {names}; the others are done. Look for "
        "the kernel's out-of-memory killer, run with fewer --workers, then build again"
    )


def each(
    work: Work,
    items: Sequence[Any],
    workers: Workers,
    progress: Progress = silent,
    total: int | None = None,
) -> list[Any]:
    """Call `work` on every item, in parallel; return the results in the order of the items.

    `work` must be importable (a module's function, or a partial of one) and idempotent. It may
    call `tick`; `total` is then in its units, else progress counts items. With no workers it runs
    in this process, for tests and debuggers.

    Raises:
        PipelineError: an item killed its worker twice; the others are done by then.
    """
    if not isinstance(workers, int):
        return list(workers.each(work, items, progress, total))
    if workers == 0:
        counter = multiprocessing.get_context("spawn").Value("q", 0)
        show = meter(partial(read, counter), progress, len(items), total)
        return _inline(work, items, counter, show)
    pool, counter = _hired(workers)
    first = read(counter)  # what earlier works of the same processes have told
    show = meter(partial(read, counter, first), progress, len(items), total)
    results, suspects = _in_pool(work, dict(enumerate(items)), pool, counter, show)
    guilty = []
    for number in suspects:
        counter = anew(counter)  # a killed worker may have held the lock of the last counter
        show = meter(partial(read, counter, first), progress, len(items), total)
        alone, again = _in_pool(
            work, {number: items[number]}, _pool(1, counter), counter, show, keep=False
        )
        results |= alone
        guilty += again
    if guilty:
        raise set_aside(items[number] for number in guilty)
    return [results[number] for number in range(len(items))]


def in_order(
    work: Work,
    items: Iterable[Any],
    workers: Workers,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[Any]:
    """Yield what `work` returns for each item, in the order of the items, which may be endless.

    Only a few items are taken from `items` ahead of the results. With fewer than two workers the
    work is done in this process. `waiting` is called some times a second.

    Raises:
        PipelineError: a worker was killed; an item cannot be tried again, for it may be gone.
    """
    if not isinstance(workers, int):
        yield from workers.in_order(work, items, waiting)
        return
    if workers < 2:
        for item in items:
            waiting()
            yield work(item)
        return
    pool = _pool(workers, multiprocessing.get_context("spawn").Value("q", 0))
    ahead: deque[Future[Any]] = deque()
    source = iter(items)
    try:
        while True:
            while len(ahead) < AHEAD * workers and (item := next(source, _END)) is not _END:
                with deaf_children():
                    ahead.append(pool.submit(work, item))
                watch_all(pool)
                waiting()
            if not ahead:
                break
            while not wait([ahead[0]], timeout=POLL_SECONDS).done:
                waiting()
            yield ahead.popleft().result()
            waiting()
    except BrokenProcessPool:
        kill(pool)
        raise PipelineError(
            "a worker process was killed; look for the kernel's out-of-memory killer, run with "
            "fewer --workers, and try again"
        ) from None
    except BaseException:
        kill(pool)
        raise
    pool.shutdown()


def read(counter: "Synchronized[int]", first: int = 0) -> int:
    """Return a counter's value without its lock, which a killed worker never releases.

    `first` is where it began, which is taken off.
    """
    return int(counter.get_obj().value) - first


def anew(counter: "Synchronized[int]") -> "Synchronized[int]":
    """Return a counter that continues another one, with a lock that nobody holds."""
    return multiprocessing.get_context("spawn").Value("q", read(counter))


def _inline(
    work: Work,
    items: Sequence[Any],
    counter: "Synchronized[int]",
    show: Callable[[int], None],
) -> list[Any]:
    """Do the work in this process, item by item."""
    global _ticks  # noqa: PLW0603 -- one meter a process, as the pool's initialiser sets it
    _ticks = counter
    results = []
    show(0)
    for item in items:
        results.append(work(item))
        show(len(results))
    return results


@contextmanager
def kept_processes() -> Iterator[None]:
    """Let the processes of a short work do the next one too, where this thread calls `each`.

    A process takes 1 to 2 s of CPU time to start and to import what it needs, more than a small
    work itself. After a long work they end, so that they hold no memory which the next one needs.
    """
    before, _here.idle = getattr(_here, "idle", None), []
    try:
        yield
    except BaseException:
        for pool, _ in _here.idle:
            kill(pool)
        raise
    else:
        for pool, _ in _here.idle:
            pool.shutdown()
    finally:
        _here.idle = before


def _hired(workers: int) -> "tuple[ProcessPoolExecutor, Synchronized[int]]":
    """Return a pool, with the counter of its ticks: one that idles in this thread, or a new one."""
    idle = getattr(_here, "idle", None) or []
    while idle:
        pool, counter = idle.pop()
        if pool._max_workers == workers and not pool._broken:  # noqa: SLF001 -- no public way
            return pool, counter
        pool.shutdown()
    counter = multiprocessing.get_context("spawn").Value("q", 0)
    return _pool(workers, counter), counter


def _pool(workers: int, counter: "Synchronized[int]") -> ProcessPoolExecutor:
    """Return a pool of spawned processes, which start as there are items for them."""
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(counter, os.getpid()),
    )


def _in_pool(
    work: Work,
    items: dict[int, Any],
    pool: ProcessPoolExecutor,
    counter: "Synchronized[int]",
    show: Callable[[int], None],
    keep: bool = True,
) -> tuple[dict[int, Any], list[int]]:
    """Use a pool up, or `keep` it for the next step.

    Return results by item number, and the items in flight if it broke.
    """
    began = time.monotonic()
    try:
        results, broken = _gather_by_number(pool, work, items, show)
    except BaseException:
        kill(pool)
        raise
    idle = getattr(_here, "idle", None)
    if keep and idle is not None and not broken and time.monotonic() - began < KEEP_SECONDS:
        idle.append((pool, counter))
    else:
        pool.shutdown()
    return results, broken


def _gather_by_number(
    executor: ProcessPoolExecutor,
    work: Work,
    items: dict[int, Any],
    show: Callable[[int], None],
) -> tuple[dict[int, Any], list[int]]:
    """Submit all items, wait, and separate results from items whose worker died."""
    results: dict[int, Any] = {}
    broken: list[int] = []
    futures: dict[Future[Any], int] = {}
    with deaf_children():
        for number, item in items.items():
            try:
                futures[executor.submit(work, item)] = number
            except BrokenProcessPool:
                broken.append(number)
    watch_all(executor)
    left = set(futures)
    show(0)
    while left:
        done, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                results[futures[future]] = future.result()
            except BrokenProcessPool:
                broken.append(futures[future])
        show(len(results))
    return results, sorted(broken)


def watch_all(pool: ProcessPoolExecutor) -> None:
    """Let a pool watch the processes that its last `submit` started, too.

    `submit` wakes the thread that watches before it starts a process, so that this one may be
    missed, and its death as well, until something else happens. Another process that waits for a
    lock that the dead one held then waits for ever.
    """
    with pool._shutdown_lock:  # noqa: SLF001 -- no public way, up to Python 3.14
        pool._executor_manager_thread_wakeup.wakeup()  # noqa: SLF001


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that never receive Ctrl-C, not even before their first line of Python.

    They inherit the signals blocked here. This process gets signals of the meantime when they have
    started, also those that another thread took, which Python would hand to the main thread at
    once: an interrupted start makes the child report a truncated message.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM):
            handlers[name] = signal.signal(name, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came[:1]:
            signal.raise_signal(number)


def kill(pool: ProcessPoolExecutor) -> None:
    """End a pool's processes at once: on Ctrl-C nobody waits for a shard."""
    processes = list((pool._processes or {}).values())  # noqa: SLF001 -- no public way in 3.11
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


def _start_worker(counter: "Synchronized[int]", parent: int) -> None:
    """Make a worker count its ticks in this counter, and end with its parent."""
    global _ticks  # noqa: PLW0603 -- one meter a process
    _ticks = counter
    threading.Thread(target=die_with, args=(parent,), daemon=True).start()


def die_with(parent: int) -> None:
    """Exit when `parent` has ended: a killed build must not leave workers that go on writing."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
