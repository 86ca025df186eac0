"""Show a run on Prefect's pages: its steps as task runs, its log, its figures as artifacts.

The run itself never waits for this. It sends its events to a thread, which sends them to Prefect's
server when that can be reached, and checks whether somebody cancels the run there.
"""

import json
import logging
import queue
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from webtext.flows.building.hooks import Hooks
from webtext.flows.building.prefect_database import SAMPLES
from webtext.flows.building.samples import more, samples
from webtext.flows.building.terminal import say
from webtext.flows.building.watched import EventLog, Listener, Watched, one_line
from webtext.flows.prefect.api import Api, ApiError
from webtext.flows.prefect.door import REPORT
from webtext.flows.prefect.home import settle
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories.data_directory import myself
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.shards import write_json

FLOW = "webtext-build"
PUBLISH_SECONDS = 10.0  # s between two updates of the figures; each is three calls of 10 to 20 ms
LOOK_SECONDS = 3.0  # s between two checks whether the run is cancelled
AGAIN_SECONDS = 2.0  # s before a retry if the server did not answer
PATIENCE = 4.0  # s that the end of a run waits for its last events to be sent
LEVELS = {
    "run_failed": logging.ERROR,
    "step_failed": logging.ERROR,
    "step_retried": logging.WARNING,
}
ENDS = {"run_finished": "COMPLETED", "run_failed": "FAILED", "run_stopped": "CANCELLED"}
STEP_ENDS = {"step_finished": "COMPLETED", "step_failed": "FAILED", "step_stopped": "CANCELLED"}


class Recorder:
    """Listens to a run and shows it on Prefect's pages.

    `api` returns the server once it can be reached, None until then. With `flow_run`, a run that
    Prefect itself has started, Prefect sets the state of that run.
    """

    def __init__(
        self,
        api: Callable[[], Api | None],
        data: Path,
        home: Path,
        cancel: Callable[[str], None],
        funnel: Callable[[], list[dict[str, Any]]] = list,
        flow_run: str | None = None,
        shown: Callable[[], str] = str,
    ) -> None:
        self.api = api
        self.data = data
        self.home = home
        self.cancel = cancel
        self.funnel = funnel
        self.shown = shown
        self.flow_run = flow_run
        self.theirs = flow_run is not None
        self.queue: queue.SimpleQueue[tuple[datetime, str, dict[str, Any]] | None]
        self.queue = queue.SimpleQueue()
        self.server: Api | None = None
        self.figures: dict[str, Figures] = {}
        self.step = ""
        self.tasks: dict[str, str] = {}
        self.artifacts: dict[str, str] = {}
        self.published: dict[str, Any] = {}
        self.ended = threading.Event()
        self.written = False
        self.refused = ""  # the first answer of a server that does not accept an event
        self.key = key_of(data)
        self.mark: Path | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Take an event; the thread does the rest."""
        if event == "progress":
            self.step = facts["step"]
            self.figures.setdefault(self.step, Figures(self.step)).tell(**facts)
        else:
            self.queue.put((datetime.now(UTC), event, facts))

    def close(self, patience: float = PATIENCE) -> bool:
        """Wait a moment for the last events to be sent; return whether they were."""
        self.queue.put(None)
        self.thread.join(patience)
        self.ended.set()
        if self.mark is not None:
            self.mark.unlink(missing_ok=True)
        return self.written

    # --- the thread ------------------------------------------------------------------------------

    def _work(self) -> None:
        """Send the events to the server, in order, until the end of the run."""
        published = looked = time.monotonic()
        while not self.ended.is_set():
            try:
                item = self.queue.get(timeout=0.5)
            except queue.Empty:
                now = time.monotonic()
                with suppress(ApiError):
                    if self.flow_run and now - looked >= LOOK_SECONDS and (looked := now):
                        self._look()
                    if self.flow_run and now - published >= PUBLISH_SECONDS and (published := now):
                        self._publish()
                continue
            if item is None:
                self.written = True
                return
            while not self.ended.is_set():
                try:
                    self._tell(*item)
                    break
                except ApiError as error:
                    if error.status is not None and error.status < 500:
                        self.refused = self.refused or one_line(error)
                        break  # the server will never accept this event
                    self.ended.wait(AGAIN_SECONDS)

    def _server(self) -> Api:
        self.server = self.server or self.api()
        if self.server is None:
            raise ApiError("there is no server yet")
        return self.server

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._server().ask(method, path, body)

    def _tell(self, when: datetime, event: str, facts: dict[str, Any]) -> None:
        """Send one event to the server."""
        if event == "run_started":
            self._begin(facts)
            self._artifact(f"{self.key}-see", "markdown", self._more(), None)
        step = facts.get("step")
        if event == "step_started" and step not in self.tasks:
            task = {
                "name": step,
                "flow_run_id": self.flow_run,
                "task_key": f"webtext.{step}",
                "dynamic_key": str(len(self.tasks)),
                "state": {"type": "RUNNING", "name": "Running"},
            }
            self.tasks[facts["step"]] = self._ask("POST", "/task_runs/", task)["id"]
        if event in STEP_ENDS and step in self.tasks:
            self._publish(facts["step"])
            words = facts.get("error")
            self._state("task_runs", self.tasks[facts["step"]], STEP_ENDS[event], words)
            if step == "documents" and event == "step_finished":
                self._samples()
        if event in ENDS:
            self._publish()
        task_run = self.tasks.get(step) if step else None
        log = {
            "name": "webtext",
            "level": LEVELS.get(event, logging.INFO),
            "message": sentence(event, facts),
            "timestamp": when.isoformat(),
            "flow_run_id": self.flow_run,
            "task_run_id": task_run,
        }
        self._ask("POST", "/logs/", [log])
        if event in ENDS and not self.theirs:
            words = facts.get("error") or facts.get("reason")
            self._state("flow_runs", str(self.flow_run), ENDS[event], words)

    def _begin(self, facts: Mapping[str, Any]) -> None:
        """Create the run on the server, or find the one that Prefect has created."""
        if self.flow_run is None:
            flow = self._ask("POST", "/flows/", {"name": FLOW})["id"]
            run = {
                "name": name_of(str(facts.get("recipe"))),
                "flow_id": flow,
                "parameters": dict(facts),
                "tags": ["by-hand"],
                "state": {"type": "PENDING", "name": "Pending"},
            }
            self.flow_run = str(self._ask("POST", "/flow_runs/", run)["id"])
        self._mark(self.flow_run)
        if not self.theirs:
            self._state("flow_runs", self.flow_run, "RUNNING")

    def _mark(self, flow_run: str) -> None:
        """Write down the process of the run, so that a killed run can be recognised later."""
        self.mark = marks(self.home) / f"{flow_run}.json"
        with suppress(OSError):
            write_json(self.mark, asdict(myself()))

    def _state(self, kind: str, run: str, state: str, words: str | None = None) -> None:
        told = {"type": state, "name": state.capitalize(), "message": words}
        self._ask("POST", f"/{kind}/{run}/set_state", {"state": told, "force": True})

    def _look(self) -> None:
        """Stop the run if somebody has cancelled it on the pages."""
        if self.theirs or self.flow_run is None:
            return  # Prefect's own runner checks this, and tells the process
        state = self._ask("GET", f"/flow_runs/{self.flow_run}")["state"]["type"]
        if state in {"CANCELLING", "CANCELLED"}:
            self.cancel("cancelled on Prefect's page")

    def _publish(self, step: str | None = None) -> None:
        """Update the artifacts: the figures of the running step, and the funnel."""
        if figures := self.figures.get(step or self.step):
            task, key = self.tasks.get(figures.step), f"{self.key}-{figures.step}"
            self._artifact(key, "markdown", figures.text(self.data), task)
            if figures.share is not None:
                self._artifact(f"{key}-progress", "progress", figures.share, task)
        with suppress(UserError, PipelineError, OSError, ValueError, KeyError):
            if rows := self.funnel():
                self._artifact(f"{self.key}-funnel", "table", table(rows), None)

    def _samples(self) -> None:
        """Publish a few documents that were kept and dropped."""
        text = ""
        with suppress(UserError, PipelineError, OSError, ValueError, KeyError):
            text = self.shown()
        if text:  # an error of the server is not for here: all is sent again
            self._artifact(f"{self.key}{SAMPLES}", "markdown", text, self.tasks["documents"])

    def _more(self) -> str:
        """Return where else there is something to see of the data directory."""
        data, address = self.data.resolve(), None
        if self.home.resolve() == data / ".prefect":
            address = f"{self._server().url.removesuffix('/api')}{REPORT}"
        return more(data, address)

    def _artifact(self, key: str, kind: str, data: Any, task: str | None) -> None:
        """Create an artifact of this run, or update it."""
        if self.published.get(key) == data:
            return
        if key in self.artifacts:
            self._ask("PATCH", f"/artifacts/{self.artifacts[key]}", {"data": data})
        else:
            about = {
                "key": key,
                "type": kind,
                "data": data,
                "description": f"{self.data.resolve()} on {socket.gethostname()}",
                "flow_run_id": self.flow_run,
                "task_run_id": task,
            }
            self.artifacts[key] = self._ask("POST", "/artifacts/", about)["id"]
        self.published[key] = data


class Figures:
    """The progress and speed of a step."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.begun = self.now = time.monotonic()
        self.first: int | None = None  # done before the step was continued here
        self.told: tuple[int, int | None, str] = (0, None, "")

    def tell(self, done: int, total: int | None, note: str = "", **_other: Any) -> None:
        """Record that `done` of `total` is done."""
        if self.first is None:
            self.first = done
        self.now = time.monotonic()
        self.told = done, total, note

    @property
    def share(self) -> float | None:
        """The share that is done, in per cent, if the total is known."""
        done, total, _ = self.told
        return round(100 * done / total, 1) if total else None

    def text(self, data: Path) -> str:
        """Return the figures as Markdown.

        >>> figures = Figures("pages")
        >>> figures.tell(3, 1200, "1.5 pages/s, 2 in flight")
        >>> print(figures.text(Path("/nowhere")))
        **pages: 3 of 1,200 (0 %)**
        <BLANKLINE>
        - 1.5 pages/s
        - 2 in flight
        """
        done, total, note = self.told
        share = f" of {total:,} ({100 * done // total} %)" if total else ""
        lines = [f"- {figure}" for figure in note.split(", ") if figure]
        rate = (done - (self.first or 0)) / max(self.now - self.begun, 1e-9)
        if rate > 0:
            lines.append(f"- {rate:,.1f} a second")
            if total and total > done:
                lines.append(f"- {(total - done) / rate:,.0f} s left at this pace")
        with suppress(OSError):
            lines.append(f"- {shutil.disk_usage(data).free / 1e9:,.1f} GB of disk left")
        return "\n".join([f"**{self.step}: {done:,}{share}**", "", *lines])


def marks(home: Path) -> Path:
    """Return the file that says which process is which run."""
    return home / "runs"


def key_of(data: Path) -> str:
    """Return the prefix of the keys of a data directory's artifacts.

    >>> key_of(Path("/big/Web Text"))
    'webtext-web-text-3953ae'
    """
    path = data.resolve()
    slug = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-") or "data"
    return f"webtext-{slug}-{sha256(str(path).encode()).hexdigest()[:6]}"


def name_of(recipe: str, when: datetime | None = None) -> str:
    """Return the name of a run: its recipe, its month, and the day and time.

    >>> name_of("/etc/big.toml", datetime(2026, 11, 1, 3, 0))
    'big 2026-11, 01 at 03:00'
    """
    return f"{Path(recipe).stem} {when or datetime.now().astimezone():%Y-%m, %d at %H:%M}"


def table(rows: list[dict[str, Any]]) -> str:
    """Return the funnel in the form of Prefect's tables."""
    shown = []
    for row in rows:
        read, kept, of = row["read"], row["kept"], f"{row['stage']}."
        why = list(row["dropped"].items())[:8]  # short, because the page does not wrap lines
        reasons = ", ".join(f"{count:,} {name.removeprefix(of)}" for name, count in why)
        share = f"{100 * kept / read:.1f} %" if read else ""
        shown.append(
            {
                "stage": row["stage"],
                "read": f"{read:,}",
                "kept": f"{kept:,}",
                "share": share,
                "dropped": reasons,
            }
        )
    return json.dumps(shown)


def sentence(event: str, facts: Mapping[str, Any]) -> str:
    """Return an event as a line for people.

    >>> sentence("step_retried", {"step": "pages", "error": "reset", "seconds": 5})
    'step retried: step pages, error reset, seconds 5'
    >>> passages = [{"stage": "crawl", "read": 2947, "kept": 2921, "dropped": {}}]
    >>> sentence("step_finished", {"step": "pages", "passages": passages})
    'step finished: step pages, crawl kept 2,921 of 2,947'
    """
    plain = {k: v for k, v in facts.items() if v is not None and not isinstance(v, (list, dict))}
    told = [f"{name} {value}" for name, value in plain.items()]
    told += [
        f"{one['stage']} kept {one['kept']:,} of {one['read']:,}"
        for one in facts.get("passages") or ()
    ]
    return f"{event.replace('_', ' ')}: {', '.join(told)}"


@contextmanager
def recorded(
    asked: Build, server: Any, patience: float, flow_run: str | None = None
) -> Iterator[Watched]:
    """Give a runner of the steps that reports to its log, Prefect's pages and the hooks."""
    home = settle(asked.data)
    listeners: list[Listener] = []
    watched = Watched(listeners, say)

    def funnel() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = asked.funnel()["stages"]
        return found

    def shown() -> str:
        return samples(asked.made())

    recorder = Recorder(server, asked.data, home, watched.stop.ask, funnel, flow_run, shown)
    listeners += [EventLog(asked.data, flow_run or "by hand"), recorder, Hooks(say)]
    try:
        yield watched
    finally:
        told = recorder.close(patience)
        if why := recorder.refused or ("" if told else "its server did not take it in time"):
            say(
                f"Prefect's pages do not show all of this: {why}; the work itself is done as far "
                "as it says"
            )
