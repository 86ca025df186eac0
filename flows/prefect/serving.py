"""Start a server, if none runs yet, beside builds and `webtext serve`; and its runner.

The command line's own builds do not import Prefect. They report to the server, and begin at once,
whether it is already running or not.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any

from webtext.flows.building.run_build import run_steps
from webtext.flows.building.terminal import say
from webtext.flows.prefect import home as homes
from webtext.flows.prefect.api import AUTH, Api, ApiError
from webtext.flows.prefect.recorder import PATIENCE, key_of, recorded
from webtext.flows.prefect.supervise import Child, Server
from webtext.flows.prefect.tidy import take_up
from webtext.flows.prefect.timetable import Served
from webtext.flows.prefect.trust import served_alone
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import Workers, threads
from webtext.pipeline.core.shards import write_json

FAST = 0.2  # s between two checks
WAIT = "WEBTEXT_PREFECT_WAIT"  # s that the end of a build waits for Prefect's pages to be complete


class Stop:
    """Whether SIGTERM has asked us to stop.

    It is a plain flag, because the handler of a signal must take no lock: `threading.Event.set`
    takes that of `wait`, and waits for ever if the signal comes while `wait` holds it.
    """

    asked = False

    def wait(self, seconds: float) -> bool:
        """Wait for so long, and return whether we were asked."""
        if not self.asked:
            time.sleep(seconds)
        return self.asked


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    """Turn SIGTERM into a flag, inside the `with` block."""
    stop = Stop()

    def heard(_signal: int, _frame: FrameType | None) -> None:
        stop.asked = True

    before = signal.signal(signal.SIGTERM, heard)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def keep_serving(served: Served, data: Path, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; SIGTERM is a normal end, with exit code 0.

    Raises:
        UserError: a wrong schedule; a port that is taken; a path that cannot be written.
        PipelineError: the server or the runner has died again and again.
    """
    home = homes.settle(data)
    joined = homes.running(home, to_stay=True)
    served = named_apart(served, joined) if joined else served
    file = home / f"serve-{served.kind}-{served.name}.json"
    write_json(file, served.plain())
    check(served, file)
    with asked_to_stop() as stop:
        own = None if joined else Server(home, say, port)
        try:
            if own:
                own.start()
                if not wait_for(own, stop):
                    return
                with suppress(OSError):  # it is only for builds in other directories
                    homes.register(homes.users_own(), own.url, home)
                note_cut_off(own.api, home)
            api = own.api if own else joined
            assert api is not None, "one of the two is there"
            run(served, file, api, own, stop)
        finally:
            homes.unregister(homes.users_own())
            if own:
                with suppress(ApiError):
                    note_cut_off(own.api, home, timeout=0.5)
                own.end()


def named_apart(served: Served, api: Api) -> Served:
    """Return it with a name that it does not share with another data directory on this server.

    Prefect would replace the other one's parameters and schedule by these.

    Raises:
        ApiError: the server does not answer.
    """
    try:
        found = api.ask("GET", f"/deployments/name/webtext-{served.kind}/{served.name}")
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return served
        raise
    data = served.parameters["data"]
    if found["parameters"].get("data") == data:
        return served
    return replace(served, name=f"{served.name}-{key_of(Path(data)).removeprefix('webtext-')}")


def note_cut_off(api: Api, home: Path, timeout: float | None = None) -> None:
    """Write down which deployments had an interrupted run, to continue them at the next start."""
    quick = Api(api.url, api.auth, timeout) if timeout else api
    for one in take_up(quick, home):
        if one.get("deployment_id"):
            (home / f"again-{one['deployment_id']}").touch()


def run(served: Served, file: Path, api: Api, own: Server | None, stop: Stop) -> None:
    """Keep the runner alive until told to stop; start interrupted runs again at once.

    Raises:
        PipelineError: the runner or the server has died again and again.
    """
    module = "webtext.flows.prefect.runner"
    command = [sys.executable, "-P", "-m", module, str(file), str(os.getpid())]
    environment = {
        **os.environ,
        homes.URL: api.url,
        **({AUTH: api.auth} if api.auth else {}),
        **served_alone(served.parameters),
    }
    name = "the runner of flows"
    runner = Child(name, command, None, say, environment)
    say(f"Prefect's pages: {homes.pages_of(api, file.parent)}   stop with Ctrl-C")
    runner.start()
    looked = False
    try:
        while not stop.wait(FAST):
            if not looked and (deployment := deployed(api, served)):
                looked = True
                # Prefect's runner ends cleanly at SIGINT, and with an error at SIGTERM. Before it
                # has begun nothing of Prefect's listens, and SIGTERM ends it without a word.
                runner.end_by = signal.SIGINT
                go_on(api, file.parent, deployment)
            for child in (runner, own):
                if child is not None and child.error is not None:
                    raise PipelineError(child.error)
    finally:
        runner.end()


def go_on(api: Api, home: Path, deployment: str) -> None:
    """Start a run at once if one was interrupted."""
    mark = home / f"again-{deployment}"
    if mark.exists():
        with suppress(ApiError):
            api.ask("POST", f"/deployments/{deployment}/create_flow_run", {})
            mark.unlink(missing_ok=True)
            say("a run was cut off; it goes on now")


def deployed(api: Api, served: Served) -> str | None:
    """Return the id of the deployment, once the runner has registered it on the server."""
    with suppress(ApiError):
        found: dict[str, Any] = api.ask(
            "GET", f"/deployments/name/webtext-{served.kind}/{served.name}"
        )
        return str(found["id"])
    return None


def wait_for(server: Server, stop: Stop) -> bool:
    """Wait until the server answers; return whether it does, and no stop was requested.

    Raises:
        UserError: it does not start.
    """
    say(f"Prefect's server is being started; its own words go to {server.log}")
    while not server.ready.wait(FAST):
        if server.error is not None:
            raise UserError(server.error)
        if stop.asked:
            return False
    return True


def check(served: Served, file: Path) -> None:
    """Ask Prefect whether it accepts the schedule, and print when the flow will run.

    Raises:
        UserError: it does not accept it; says why in one line.
    """
    for one in served.schedules:
        command = [sys.executable, "-P", "-m", "webtext.flows.prefect.runner", str(file)]
        done = subprocess.run(
            [*command, str(os.getpid()), "--check"],
            capture_output=True, text=True, check=False, env={**os.environ},
        )  # fmt: skip
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"{one.cron or one.rrule or one}: no schedule: {why}")
        said = ", ".join(done.stdout.splitlines()) or "never again"
        say(f"{served.kind} {one}; next: {said}")


class Beside:
    """The server that a build reports to: one that already runs, else one of its own."""

    def __init__(self, data: Path, home: Path) -> None:
        self.joined = homes.running(home)
        self.data = data
        self.home = home
        self.own: Server | None = None
        self.lock = threading.Lock()
        if self.joined is None:
            self.own = Server(home, say, lone=True)
            self.own.start()

    def __call__(self) -> Api | None:
        """Return the server, once it can be reached."""
        if self.own is None:
            return self.joined
        if self.own.ready.is_set():
            with self.lock, suppress(ApiError):
                note_cut_off(self.own.api, self.home)
            return self.own.api
        if self.own.error is not None:  # another process was faster: use its server
            with suppress(UserError):
                self.joined = homes.running(self.home)
            return self.joined
        return None

    def end(self) -> None:
        """End the processes that were started."""
        if self.own is not None:
            self.own.end()


def build_beside(
    asked: Build,
    recipe: str,
    until: str | None,
    workers: Workers,
    overrides: list[str],
    timeout: float | None = None,
    patience: float | None = None,
) -> None:
    """Run a build that was started by hand, shown on Prefect's pages.

    Raises:
        UserError: bad input; or no answer from the server that PREFECT_API_URL names.
        PipelineError: the run cannot go on, or its time is over.
        StoppedError: it was cancelled on a page.
    """
    if patience is None:
        patience = float(os.environ.get(WAIT) or PATIENCE)
    server = Beside(asked.data, homes.settle(asked.data))
    try:
        with recorded(asked, server, patience) as watched:
            facts = {"recipe": recipe, "data": str(asked.data.resolve()), "until": until}
            with watched.whole(timeout, **facts, workers=threads(workers), overrides=overrides):
                run_steps(asked.plan(until), asked.data, workers, watched.step, watched.tell)
    finally:
        server.end()
