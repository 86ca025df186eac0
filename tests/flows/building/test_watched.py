"""What is told of a run, what is tried again, and who is called at its end."""

import errno
import json
import threading
import time
import urllib.error
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from webtext.flows.building import hooks as hooks_module
from webtext.flows.building.hooks import ON_FAILURE, ON_FINISH, Hooks
from webtext.flows.building.watched import EventLog, Watched, passing
from webtext.pipeline.core.errors import PipelineError, StoppedError, UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.stage import Passage

STEP = SimpleNamespace(name="pages", home=SimpleNamespace(path="data/pages-1"))


def watched(tries, delays=(0.0, 0.0)):
    """Return what runs a step that fails as `tries` says, and all that was told and said."""
    told, said, left = [], [], iter(tries)

    def run(_step, _workers, progress):
        progress(1, 2, "one of two")
        if (error := next(left, None)) is not None:
            raise error
        return [Passage("crawl", 3, 2, {"crawl.timeout": 1})]

    def listen(event, facts):
        told.append((event, facts))

    return Watched([listen], said.append, run, delays), told, said


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OSError(errno.ESTALE, "stale file handle"), True),
        (urllib.error.HTTPError("http://x", 503, "busy", None, None), True),
        (urllib.error.HTTPError("http://x", 404, "not found", None, None), False),
        (OSError(errno.EACCES, "denied"), False),
        (ValueError("a mistake of ours"), False),
        (UserError("a mistake of theirs"), False),
        (PipelineError("rows were lost"), False),
    ],
)
def test_only_what_another_try_can_mend_is_tried_again(error, helps):
    runner, told, said = watched([error])
    with suppress(type(error)):
        runner.step(STEP, 1, silent)
    retried = [event for event, _ in told if event == "step_retried"]
    assert passing(error) is helps
    assert len(retried) == len(said) == helps
    assert told[-1][0] == ("step_finished" if helps else "step_failed")


def test_a_stop_while_the_next_try_is_waited_for_stops_the_step(monkeypatch):
    def interrupted(seconds):
        if seconds:
            raise KeyboardInterrupt

    runner, told, _ = watched([ConnectionResetError()], delays=[60.0])
    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.step(STEP, 1, silent)
    assert [event for event, _ in told][-2:] == ["step_retried", "step_stopped"]


def test_the_last_try_fails_as_it_fails():
    runner, told, _ = watched([ConnectionError("gone")] * 3)
    with pytest.raises(ConnectionError, match="gone"):
        runner.step(STEP, 1, silent)
    assert [event for event, _ in told].count("step_retried") == 2


def test_events_are_lines_of_json_beside_the_data(tmp_path):
    runner, _, _ = watched([])
    runner.listeners = [EventLog(tmp_path, "a run")]
    with runner.whole(recipe="demo"):
        runner.step(STEP, 1, silent)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        *("run_started", "step_started", "progress", "step_finished", "run_finished"),
    ]
    assert all({"time", "run", "pid"} <= set(line) for line in lines)
    assert lines[3]["passages"][0]["dropped"] == {"crawl.timeout": 1}


def test_a_listener_that_fails_fails_no_run():
    def broken(_event, _facts):
        raise OSError

    runner, _, _ = watched([])
    runner.listeners = [broken]
    with runner.whole():
        assert runner.step(STEP, 1, silent)


def test_a_run_ends_when_its_time_is_over():
    import signal

    runner, told, _ = watched([])

    def heard(_signal, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, heard)
    try:
        over = pytest.raises(PipelineError, match="timed out after 0 s; the same command goes on")
        with over, runner.whole(timeout=0.05):
            time.sleep(60)
        assert told[-1][0] == "run_failed"
        with pytest.raises(StoppedError, match="cancelled"), runner.whole():  # noqa: PT012
            runner.stop.reason = None
            runner.stop.ask("cancelled on Prefect's page")
            time.sleep(60)
        assert told[-1][0] == "run_stopped"
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def webhook():
    """Serve an address that answers 503 first; give it and what it was sent."""
    sent: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sent.append(body)
            self.send_response(503 if len(sent) == 1 else 200)
            self.end_headers()

        def log_message(self, *_words):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", sent
        server.shutdown()
        thread.join()


def test_a_failure_calls_a_webhook_again_when_it_is_busy_and_a_command(
    webhook, tmp_path, monkeypatch
):
    monkeypatch.setattr(hooks_module, "DELAYS", (0.0,))
    address, sent = webhook
    said: list[str] = []
    told = tmp_path / "told.json"
    hooks = Hooks(said.append, {ON_FAILURE: address, ON_FINISH: f"cat > '{told}'"})
    runner, _, _ = watched([ValueError("no such thing")])
    runner.listeners = [hooks]
    with pytest.raises(ValueError, match="no such thing"), runner.whole(recipe="demo"):
        runner.step(STEP, 1, silent)
    assert len(sent) == 2
    assert sent[0] == sent[1] == json.loads(told.read_text())
    assert (sent[0]["event"], sent[0]["error"]) == ("run_failed", "no such thing")
    assert said == []


def test_a_hook_that_fails_is_said_and_changes_nothing():
    said: list[str] = []
    hooks = Hooks(said.append, {ON_FINISH: "echo no room >&2; exit 3"})
    hooks("run_finished", {})
    hooks("step_finished", {})
    assert said == ["hook echo no room >&2; exit 3: exit code 3 no room"]
