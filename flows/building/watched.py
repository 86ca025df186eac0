"""A run that reports its progress as events, and retries errors that may pass.

An event is a name and facts, for programs: a line of `events.jsonl` beside the data, a row on
Prefect's pages, a call of a hook. Listeners get events in order and must not fail the run.
"""

import contextlib
import errno
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from webtext.pipeline.build import Execute, make
from webtext.pipeline.core.directories.data_directory import interrupt_main
from webtext.pipeline.core.errors import PipelineError, StoppedError, UserError
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Planned

EVENTS = "events.jsonl"
DELAYS = (5.0, 60.0, 300.0)  # s before each retry, for a network or server to restart
PROGRESS_SECONDS = 30.0  # s between two lines of progress in the file, as in a log
PASSING = {  # errors of a network, or of a disk behind one, that may soon be over
    errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN, errno.EREMOTEIO,
}  # fmt: skip
AGAIN = {408, 425, 429, *range(500, 600)}  # HTTP status codes after which a retry can help


class Listener(Protocol):
    """Receives the events of a run."""

    def __call__(self, event: str, facts: dict[str, Any], /) -> None:
        """Take an event; this is called by the thread that does the work, and must return soon."""


class Stop:
    """The reason why a run must end, when it was not Ctrl-C of its own user."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def ask(self, reason: str) -> None:
        """End the run as SIGTERM would, from any thread; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            interrupt_main()

    @contextmanager
    def after(self, seconds: float | None) -> Iterator[None]:
        """Request the end of the run when its time is over."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self.ask, [f"timed out after {seconds:,.0f} s"])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def passing(error: BaseException) -> bool:
    """Whether a retry may help: an error of a network, a network disk, or a busy server.

    >>> passing(ConnectionResetError()), passing(OSError(errno.EIO, "")), passing(ValueError())
    (True, True, False)
    """
    if isinstance(error, (UserError, PipelineError)):
        return False
    status = getattr(error, "status", getattr(error, "code", None))
    if isinstance(status, int) and status in AGAIN:
        return True
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return isinstance(error, OSError) and error.errno in PASSING


class EventLog:
    """Events as lines of JSON in a file beside the data; an error of that file fails no run."""

    def __init__(self, data: Path, run: str) -> None:
        self.path = data / EVENTS
        self.run = run
        self.told = -PROGRESS_SECONDS

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Add a line; progress events only now and then."""
        if event == "progress":
            now = time.monotonic()
            if now - self.told < PROGRESS_SECONDS:
                return
            self.told = now
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "event": event, "run": self.run, "pid": os.getpid(), **facts}
        data = (json.dumps(line, ensure_ascii=False, default=str) + "\n").encode()
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write to a file opened for append: lines of two processes never mix.
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, data)
            finally:
                os.close(file)


class Watched:
    """Runs steps for `run_steps`, and sends events to the listeners."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        say: Callable[[str], None],
        run: Execute = make,
        delays: Iterable[float] = DELAYS,
    ) -> None:
        self.listeners = listeners
        self.say = say
        self.run = run
        self.delays = tuple(delays)
        self.stop = Stop()

    def tell(self, event: str, **facts: Any) -> None:
        """Send an event to all listeners; one that fails does not stop the run."""
        for listener in self.listeners:
            with contextlib.suppress(Exception):
                listener(event, facts)

    def step(self, step: Planned, workers: Workers, progress: Progress) -> list[Passage]:
        """Run a step, with retries where they can help; finished parts are kept between tries."""
        name, home, begun = step.name, str(step.home.path), time.monotonic()

        def told(done: int, total: int | None, note: str = "") -> None:
            progress(done, total, note)
            self.tell("progress", step=name, done=done, total=total, note=note)

        self.tell("step_started", step=name, directory=home)
        delays, pause = iter(self.delays), 0.0
        while True:
            try:
                time.sleep(pause)
                passages = self.run(step, workers, told)
            except Exception as error:
                delay = next(delays, None) if passing(error) else None
                if delay is None:
                    self.tell("step_failed", step=name, error=one_line(error))
                    raise
                pause = delay * random.uniform(0.8, 1.2)  # noqa: S311 -- so that many do not come at once
                self.tell("step_retried", step=name, error=one_line(error), seconds=round(pause, 1))
                self.say(f"{name}: {one_line(error)}; tried again in {pause:,.0f} s")
            except BaseException:
                self.tell("step_stopped", step=name)
                raise
            else:
                break
        seconds = round(time.monotonic() - begun, 3)
        lines = [asdict(passage) for passage in passages]
        self.tell("step_finished", step=name, directory=home, seconds=seconds, passages=lines)
        return passages

    @contextmanager
    def whole(self, timeout: float | None = None, **about: Any) -> Iterator[None]:
        """Send the events of a run's beginning and end.

        Raises:
            StoppedError: it was stopped from a page.
            PipelineError: its time was over.
        """
        begun = time.monotonic()
        self.tell("run_started", **about)

        def end(event: str, **facts: Any) -> None:
            self.tell(event, **facts, **about, seconds=round(time.monotonic() - begun, 3))

        try:
            with self.stop.after(timeout):
                yield
        except Exception as error:
            end("run_failed", error=one_line(error), kind=type(error).__name__)
            raise
        except BaseException as error:
            reason = self.stop.reason
            if reason and reason.startswith("timed out"):
                end("run_failed", error=reason, kind="TimeoutError")
                raise PipelineError(f"{reason}; the same command goes on from here") from None
            end("run_stopped", reason=reason or "interrupted")
            if reason:
                raise StoppedError(reason) from error
            raise
        else:
            end("run_finished")


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
