"""What a build tells Prefect's server, which is played here."""

from types import SimpleNamespace

import pytest

from webtext.flows.prefect import recorder
from webtext.flows.prefect.api import ApiError


class Played:
    """A server that fails or refuses once, and notes what it is asked."""

    url = "http://127.0.0.1:1/api"

    def __init__(self, path, status):
        self.path, self.status = path, status
        self.asked = []

    def ask(self, method, path, body=None, timeout=None):
        self.asked.append((method, path, (body or {}).get("state") if path != "/logs/" else None))
        if self.path and path.endswith(self.path):
            self.path = ""
            raise ApiError(f"{method} {path}: HTTP {self.status}", self.status)
        return {"id": path.strip("/"), "state": {"type": "RUNNING"}}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Record a run of no steps; return what the server was asked, and what was said of it."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(recorder, "AGAIN_SECONDS", 0.01)
    asked = SimpleNamespace(data=tmp_path, funnel=lambda: {"stages": []}, made=list)

    def run(path, status):
        said, server = [], Played(path, status)
        monkeypatch.setattr(recorder, "say", said.append)
        with recorder.recorded(asked, lambda: server, 10.0) as watched, watched.whole():
            pass
        return server.asked, said

    return run


def test_a_failure_in_the_middle_of_an_event_makes_no_second_run(recorded):
    asked, said = recorded("/set_state", 503)
    made = [path for method, path, _ in asked if (method, path) == ("POST", "/flow_runs/")]
    states = [state["type"] for _, path, state in asked if path.endswith("/set_state")]
    assert (len(made), states, said) == (1, ["RUNNING", "RUNNING", "COMPLETED"], [])


def test_a_server_that_does_not_let_in_is_told(recorded):
    _, said = recorded("/flows/", 401)
    assert len(said) == 1
    assert "do not show all of this: POST /flows/: HTTP 401; the work itself is done" in said[0]
