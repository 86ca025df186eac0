"""What a Dask worker does of a build: one item at a time, in the client's directory.

The client (`dask_runner.py`) sends an `Errand` as bytes, and a function that imports this module;
so the scheduler, which unpacks functions too, needs no webtext.
"""

import ctypes
import importlib.metadata
import os
import pickle
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from webtext.flows.cluster.by_store import Lacking
from webtext.pipeline.core import pool
from webtext.pipeline.core.directories.distribution import installed
from webtext.pipeline.core.directories.source_code import digest_of
from webtext.pipeline.core.progress import Figures
from webtext.pipeline.core.shards import write_as
from webtext.pipeline.core.stores import seen_objects
from webtext.pipeline.core.stores.store_parts import Away, LackingError
from webtext.pipeline.steps import STEPS

TOLD_SECONDS = 0.25  # between two messages about progress; people cannot see finer ones
WORKING = ("running", "paused")  # what Dask says of a worker that is not about to end
MISSING = "not installed"
SOURCE = "the source of webtext"
PROCESS = uuid4().hex  # of this worker; the next one may have the same address


class NewWorkerError(Exception):
    """The worker that was given this item is lost: this is another one, or nobody waits for it."""


class Ended(KeyboardInterrupt):
    """The build has ended, or believes this worker to be lost; the item ends as by Ctrl-C."""


@dataclass(frozen=True)
class Errand:
    """One item, as a worker receives it."""

    packed: bytes  # what to do, and with which item
    name: str  # of this try, unlike all others
    topic: str  # of the events that tell the client of progress
    about: int  # the item's number, in these events
    process: str  # of the worker that it is given to
    place: Path  # the client's current directory, where relative paths begin
    away: Away | None = None  # how to do it where the data directory is not seen
    patient: bool = False  # whether it ends where it ticks, and not wherever it is

    def run(self) -> Any:
        """Do the item; return what it returns, and, where it is away, the files that it wrote.

        Raises:
            NewWorkerError: another worker had it before.
        """
        if self.process != PROCESS:
            raise NewWorkerError
        write_as(uuid4().hex[:8])
        seen_objects.look_again()  # a source may have been replaced since the last build
        try:
            with _at_work(self.name, self.patient), _counting(self.topic, self.about, self.name):
                return self._do()
        except KeyboardInterrupt:  # Dask would end the process
            raise NewWorkerError from None

    def _do(self) -> Any:
        if self.away is not None:
            try:
                return self.away.do(self.packed)
            except LackingError as error:
                return Lacking(error.args[0])
        if not self.place.is_dir():
            raise NotADirectoryError(f"{self.place}: this worker does not see the directory")
        with _there(self.place):
            work, item = pickle.loads(self.packed)  # noqa: S301 -- from the client, as functions are
            return work(item)


_threads: dict[str, int] = {}  # the errands at work in this process, and the thread of each
_ended: set[str] = set()  # errands that were told to end, maybe before they began
_lock = threading.Lock()


@contextmanager
def _at_work(name: str, patient: bool) -> Iterator[None]:
    with _lock:
        if name in _ended:
            raise Ended
        _threads[name] = 0 if patient else threading.get_ident()
    try:
        yield
    finally:
        with _lock:  # whoever ends this errand holds it, so no later work is hit
            del _threads[name]


def end(names: list[str]) -> None:
    """Raise `Ended` in these errands, also in those that are still to begin."""
    with _lock:
        _ended.update(names)
        for name in names:
            if thread := _threads.get(name):
                raised = ctypes.py_object(Ended)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


@contextmanager
def _there(place: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _counting(topic: str, about: int, name: str) -> Iterator[None]:
    """Send what is done so far to the client, a few times a second; end what nobody waits for."""
    from distributed import get_worker

    worker = get_worker()
    done = 0
    latest: Figures = {}
    due = time.monotonic() + TOLD_SECONDS

    def tell() -> None:
        worker.log_event(topic, {"about": about, "done": done, "figures": latest})

    def count(units: int, figures: Figures | None) -> None:
        nonlocal done, due, latest
        done += units
        latest = figures or latest
        if name in _ended or not _waited_for(worker, name):
            raise Ended
        if time.monotonic() >= due:
            due = time.monotonic() + TOLD_SECONDS
            tell()

    with pool.told(count):
        yield
    if done:
        tell()


def _waited_for(worker: Any, name: str) -> bool:
    """Whether the client still waits for an errand of this worker.

    It does not if it is gone or has cancelled it, or if the scheduler believes the worker to be
    lost; what takes days must not go on then beside the one that takes its place.
    """
    task = worker.state.tasks.get(name)
    return worker.status.name in WORKING and task is not None and task.state != "cancelled"


def identity() -> dict[str, str]:
    """Return what the bytes of a build depend on in this process: versions, and source code."""
    found = {"Python": platform.python_version(), "webtext": installed().version}
    for name in sorted({name for step in STEPS for name in step.bytes_depend_on}):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = MISSING
    codes = [digest_of(step.work.__module__) for step in STEPS]
    found[SOURCE] = sha256("".join(codes).encode()).hexdigest()[:12]
    return found


def by_value() -> tuple[
    Callable[[bytes], Any], Callable[..., Any], Callable[..., Any], Callable[[str], Any]
]:
    """Return functions for workers that are sent whole, and not by the name of their module.

    They run an errand; look whether a worker is fit for one; end errands; and remove what is left
    of a run.
    """

    def run(errand: bytes) -> Any:
        import pickle

        return pickle.loads(errand).run()  # noqa: S301 -- from the client, as all functions are

    def look(mark: str, place: str, ours: bool, address: str) -> Any:
        import os
        import signal

        if ours:  # Ctrl-C on the client's terminal reaches its workers too: it is the client's
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        try:
            from webtext.flows.cluster.on_worker import PROCESS, identity
        except ImportError as error:
            return f"cannot import webtext ({error})"
        if address:
            from webtext.pipeline.core.stores.store_parts import reached

            return reached(address) or (identity(), PROCESS)
        for path in (place, mark):
            if not os.path.exists(path):  # noqa: PTH110 -- nothing but what every Python has
                return f"does not see {os.path.dirname(mark) if path == mark else place}"  # noqa: PTH120
        return identity(), PROCESS

    def stop(names: list[str]) -> None:
        from webtext.flows.cluster.on_worker import end

        end(names)

    def sweep(name: str) -> None:
        from webtext.pipeline.core.stores.store_parts import sweep

        sweep(name)

    return run, look, stop, sweep
