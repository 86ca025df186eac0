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
from webtext.pipeline.core.shards import write_as
from webtext.pipeline.core.stores import stored_files
from webtext.pipeline.core.stores.store_parts import Away, LackingError
from webtext.pipeline.steps import STEPS

TOLD_SECONDS = 0.25  # between two messages about progress; people cannot see finer ones
MISSING = "not installed"
SOURCE = "the source of webtext"
PROCESS = uuid4().hex  # of this worker; the next one may have the same address


class NewWorkerError(Exception):
    """The worker that was given this item is dead, and this is another one at its address."""


class Ended(BaseException):
    """The build has ended, so this item ends too."""


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

    def run(self) -> Any:
        """Do the item; return what it returns, and, where it is away, the files that it wrote.

        Raises:
            NewWorkerError: another worker had it before.
        """
        if self.process != PROCESS:
            raise NewWorkerError
        write_as(uuid4().hex[:8])
        stored_files.look_again()  # a source may have been replaced since the last build
        if self.away is not None:
            with _at_work(self.name), _counting(self.topic, self.about):
                try:
                    return self.away.do(self.packed)
                except LackingError as error:
                    return Lacking(error.args[0])
        if not self.place.is_dir():
            raise NotADirectoryError(f"{self.place}: this worker does not see the directory")
        with _at_work(self.name), _there(self.place), _counting(self.topic, self.about):
            work, item = pickle.loads(self.packed)  # noqa: S301 -- from the client, as functions are
            return work(item)


_threads: dict[str, int] = {}  # the errands at work in this process, and the thread of each
_ended: set[str] = set()  # errands that were told to end, maybe before they began
_lock = threading.Lock()


@contextmanager
def _at_work(name: str) -> Iterator[None]:
    with _lock:
        if name in _ended:
            raise Ended
        _threads[name] = threading.get_ident()
    try:
        yield
    finally:
        with _lock:  # whoever ends this errand holds it, so no later work is hit
            del _threads[name]


def end(names: list[str]) -> None:
    """Raise `Ended` in the threads of these errands, also of those that are still to begin."""
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
def _counting(topic: str, about: int) -> Iterator[None]:
    """Send the units that are done so far to the client, a few times a second."""
    from distributed import get_worker

    worker = get_worker()
    done = 0
    due = time.monotonic() + TOLD_SECONDS

    def tell() -> None:
        worker.log_event(topic, {"about": about, "done": done})

    def count(units: int) -> None:
        nonlocal done, due
        done += units
        if time.monotonic() >= due:
            due = time.monotonic() + TOLD_SECONDS
            tell()

    with pool.told(count):
        yield
    if done:
        tell()


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
