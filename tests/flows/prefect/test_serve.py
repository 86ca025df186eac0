"""Flows on a schedule, as a user leaves them alone: one server, seen through what befalls it.

The tests go through the life of one `webtext serve`, in order; each needs the one before.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flows.conftest import command, environment, webtext
from webtext.flows.prefect.api import Api, ApiError
from webtext.flows.prefect.door import SECRET

LEFT_OUT = {"PREFECT_HOME", "PREFECT_API_URL"}


@dataclass
class Serving:
    """A `webtext serve` at work, and where it writes."""

    folder: Path
    process: "subprocess.Popen[str]"

    @property
    def home(self) -> Path:
        return self.folder / "data" / ".prefect"

    @property
    def told(self) -> dict:
        return json.loads((self.home / "server.json").read_text())

    @property
    def api(self) -> Api:
        return Api(self.told["url"], (self.home / SECRET).read_text().strip())

    def runs(self, **wanted) -> list[dict]:
        body = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
        return self.api.ask("POST", "/flow_runs/filter", body)

    def completed(self) -> list[dict]:
        return self.runs(state={"name": {"any_": ["Completed"]}})

    def processes(self, words: str = "") -> list[int]:
        """Return the processes that belong to this home, and whose command has these words."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                said = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                where = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"PREFECT_HOME={self.home}".encode() in where and words in said:
                found.append(int(entry.name))
        return found


def settings(folder: Path) -> dict[str, str]:
    """Return an environment in which this test's server is the only one there is."""
    kept = {key: value for key, value in environment().items() if key not in LEFT_OUT}
    quick = {"PREFECT_RUNNER_POLL_FREQUENCY": "1", "WEBTEXT_PREFECT_WAIT": "120"}
    return kept | quick | {"XDG_STATE_HOME": str(folder / "state")}


@pytest.fixture(scope="module")
def serving(tmp_path_factory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "links.txt").write_text("http://example.com/a\nhttp://example.com/b\n")
    (folder / "elsewhere").mkdir()
    hook = f"cat >> {folder / 'told.jsonl'}; echo >> {folder / 'told.jsonl'}"
    said = (folder / "said.txt").open("w")
    process = subprocess.Popen(
        command(
            *("serve", "webtext", "--every", "4s", "--until", "links", "--port", "0"),
            *("--set", "links.sources = ['links.txt']", "--on-finish", hook),
        ),
        cwd=folder,
        env=settings(folder),
        stderr=said,
        text=True,
    )
    said.close()
    found = Serving(folder, process)
    try:
        wait_until(lambda: (found.home / "server.json").exists() or process.poll() is not None)
        yield found
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: not found.processes())


def wait_until(holds, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_schedule_fires_twice_by_itself_and_both_runs_are_completed(serving):
    wait_until(lambda: len(serving.completed()) >= 2)
    done = serving.completed()
    assert all(run["auto_scheduled"] for run in done)
    assert all(run["name"].startswith("webtext 20") for run in done)
    ends = [json.loads(line) for line in (serving.folder / "told.jsonl").read_text().splitlines()]
    assert [end["event"] for end in ends[:2]] == ["run_finished", "run_finished"]
    lines = (serving.folder / "data" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    made = [event["run"] for event in events if event["event"] == "step_finished"]
    assert made == [done[0]["id"]], "the second run did no work twice"


def test_a_server_that_is_killed_comes_back_where_it_was_and_runs_go_on(serving):
    before, done = serving.told["url"], len(serving.completed())
    (server,) = serving.processes("webtext.flows.prefect.server")
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: serving.processes("webtext.flows.prefect.server") not in ([], [server]))
    wait_until(lambda: len(serving.completed()) > done)
    assert serving.told["url"] == before
    assert "ended (SIGKILL) and is started again" in (serving.folder / "said.txt").read_text()


def test_a_taken_port_is_an_error_and_not_anothers_server(serving):
    port = serving.told["url"].split(":")[2].removesuffix("/api")
    done = subprocess.run(
        command(
            *("serve", "webtext", "--until", "links", "--port", port, "--data", "elsewhere/other"),
            *("--set", "links.sources = ['links.txt']"),
        ),
        cwd=serving.folder,
        env=settings(serving.folder / "elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"port {port} is taken by another program; choose another" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_build_joins_the_users_server_and_ends_when_it_is_cancelled_there(serving, small_web):
    with subprocess.Popen(
        command("build", "demo", "--data", "elsewhere/demo", *small_web.options),
        cwd=serving.folder,
        env=settings(serving.folder),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        asked = {"name": {"like_": "demo 20"}, "state": {"type": {"any_": ["RUNNING"]}}}
        wait_until(lambda: serving.runs(**asked) or process.poll() is not None)
        (run,) = serving.runs(**asked)
        state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        serving.api.ask("POST", f"/flow_runs/{run['id']}/set_state", state)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "cancelled on Prefect's page; the same command goes on from here" in said
    assert "Traceback" not in said
    assert serving.api.ask("GET", f"/flow_runs/{run['id']}")["state"]["type"] == "CANCELLED"
    other = serving.folder / "elsewhere" / "demo" / ".prefect"
    assert not (other / "prefect.db").exists(), "no second server was started"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cancelled_build_ends_the_parts_of_its_crawl_at_dasks_workers(serving, small_web):
    data = serving.folder / "elsewhere" / "parts"
    slow = ["--set", "crawl.delay = 1", "--set", "crawl.latency_factor = 0"]
    asked = ["build", "demo", "--data", str(data), "--runner", "dask", "--workers", "2"]
    with subprocess.Popen(
        command(*asked, *small_web.options, *slow),
        cwd=serving.folder,
        env=settings(serving.folder),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: any(data.glob("pages-*/*-p*of2.warc.gz")) or process.poll() is not None)
        named = {"name": {"like_": "demo 20"}, "state": {"type": {"any_": ["RUNNING"]}}}
        wait_until(lambda: serving.runs(**named))
        (run,) = serving.runs(**named)
        state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        serving.api.ask("POST", f"/flow_runs/{run['id']}/set_state", state)
        begun = time.monotonic()
        _, said = process.communicate(timeout=100)
        print(f"ended {time.monotonic() - begun:.1f} s after the cancel")
    assert process.returncode == 130, said
    assert "cancelled on Prefect's page; the same command goes on from here" in said
    assert "Traceback" not in said


def test_sigterm_ends_all_of_it_with_exit_code_0(serving):
    serving.process.terminate()
    assert serving.process.wait(30) == 0
    wait_until(lambda: not serving.processes(), 2)
    assert "Traceback" not in (serving.folder / "said.txt").read_text()
    assert not (serving.home / "server.json").exists()


def test_sigterm_is_heard_at_any_moment_of_the_wait():
    """A handler that takes the lock of what it interrupts would wait for ever."""
    code = """
import os, signal, threading
from webtext.flows.prefect.serving import asked_to_stop
def shoot():
    for _ in range(20_000):
        os.kill(os.getpid(), signal.SIGTERM)
    done.append(True)
done = []
with asked_to_stop() as stop:
    assert not stop.wait(0)
    threading.Thread(target=shoot, daemon=True).start()
    while not done:
        stop.wait(0)
    assert stop.wait(0)
"""
    subprocess.run([sys.executable, "-c", code], env=environment(), timeout=240, check=True)


@pytest.mark.slow  # two servers and two flows; the work itself is a crawl of seconds
@pytest.mark.timeout(900)
def test_what_was_killed_is_taken_up_at_the_next_start(small_web, tmp_path):
    """Serve itself dies in the middle of a build; all that it started goes with it."""
    words = (*("serve", "demo", "--port", "0", "--until", "pages"), *small_web.options)

    def start() -> Serving:
        with (tmp_path / "said.txt").open("a") as said:
            process = subprocess.Popen(
                command(*words), cwd=tmp_path, env=settings(tmp_path), stderr=said, text=True
            )
        return Serving(tmp_path, process)

    first = start()
    try:
        wait_until(lambda: "stop with Ctrl-C" in (tmp_path / "said.txt").read_text())
        wait_until(lambda: deployment(first) is not None)
        first.api.ask("POST", f"/deployments/{deployment(first)}/create_flow_run", {})
        wait_until(lambda: list((tmp_path / "data").glob("pages-*")))
    finally:
        first.process.kill()
        first.process.wait()
    wait_until(lambda: not first.processes(), 15)
    second = start()
    try:
        wait_until(lambda: "it goes on now" in (tmp_path / "said.txt").read_text())
        wait_until(second.completed, 240)
        states = [run["state"]["type"] for run in second.runs()]
        assert sorted(states) == ["COMPLETED", "CRASHED"]
    finally:
        second.process.terminate()
        assert second.process.wait(30) == 0


def deployment(serving: Serving) -> str | None:
    try:
        return serving.api.ask("GET", "/deployments/name/webtext-build/demo")["id"]
    except ApiError:
        return None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cron", "0 3 99 * *"], "0 3 99 * *: no schedule: Invalid cron string"),
        (["--data", "/dev/null/nowhere"], "cannot be written there"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, options, said):
    (tmp_path / "links.txt").write_text("http://example.com/a\n")
    monkeypatch.delenv("PREFECT_HOME")
    done = webtext(
        *("serve", "webtext", "--until", "links", "--set", "links.sources = ['links.txt']"),
        *options,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_nobody_answers_at_is_one_line_and_exit_code_2(tmp_path, monkeypatch):
    (tmp_path / "links.txt").write_text("http://example.com/a\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    sources = ("--set", "links.sources = ['links.txt']")
    done = webtext("build", "webtext", "--until", "links", *sources, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "does not answer; start that server, or unset PREFECT_API_URL" in done.stderr
    assert "Traceback" not in done.stderr
