"""Runs that nobody runs, against a server that is played here."""

import json
from dataclasses import asdict, replace

import pytest

from webtext.flows.prefect.api import ApiError
from webtext.flows.prefect.serving import named_apart
from webtext.flows.prefect.tidy import skip, take_up
from webtext.flows.prefect.timetable import Served
from webtext.pipeline.core.directories.data_directory import myself


class Played:
    """A Prefect server with these runs, which notes the states that they are set to."""

    def __init__(self, runs):
        self.runs = runs
        self.states = {}

    def ask(self, method, path, body=None, timeout=None):
        if path == "/flow_runs/filter":
            return self.runs
        if method == "POST":
            self.states[path.split("/")[2]] = body["state"]["name"]
            assert body["force"]
            return None
        return {"deployment_id": "a deployment"}


def run(name, state="RUNNING", **more):
    return {"id": name, "state": {"type": state}, "auto_scheduled": True, **more}


def test_a_run_whose_process_is_gone_is_taken_up_and_one_that_lives_is_left(tmp_path):
    marks = tmp_path / "runs"
    marks.mkdir()
    mine = myself()
    here, dead, far = mine, replace(mine, pid=2**22 + 1), replace(mine, host="elsewhere")
    reused = replace(mine, started=1)  # another process has its number now
    for name, holder in {"lives": here, "dead": dead, "far": far, "reused": reused}.items():
        (marks / f"{name}.json").write_text(json.dumps(asdict(holder)))
    api = Played(
        [run("lives"), run("dead"), run("far"), run("reused"), run("lost"), run("c", "CANCELLING")]
    )
    gone = take_up(api, tmp_path)
    assert [one["id"] for one in gone] == ["dead", "reused", "lost", "c"]
    crashed = dict.fromkeys(["dead", "reused", "lost"], "Crashed")
    assert api.states == {**crashed, "c": "Cancelled"}
    assert sorted(path.name for path in marks.iterdir()) == ["far.json", "lives.json"]


def test_a_run_that_lives_in_another_data_directory_is_left(tmp_path, monkeypatch):
    """It has joined the server of this one, and its record is in its own."""
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    mine, other = myself(), tmp_path / "other"
    marks = other / ".prefect" / "runs"
    marks.mkdir(parents=True)
    for name, holder in {"lives": mine, "dead": replace(mine, pid=2**22 + 1)}.items():
        (marks / f"{name}.json").write_text(json.dumps(asdict(holder)))
    about = {"parameters": {"data": str(other)}}
    api = Played([run("lives", **about), run("dead", **about), run("lost", parameters={})])
    assert [one["id"] for one in take_up(api, tmp_path)] == ["dead", "lost"]


@pytest.mark.parametrize(("there", "name"), [(None, "big"), ("/a", "big"), ("/b", "big-a-6a50dc")])
def test_two_data_directories_on_one_server_have_deployments_of_their_own(there, name):
    class Server:
        def ask(self, method, path, body=None, timeout=None):
            assert (method, path) == ("GET", "/deployments/name/webtext-build/big")
            if there is None:
                raise ApiError("not found", 404)
            return {"parameters": {"data": there}}

    served = Served("build", "big", {"data": "/a"})
    assert named_apart(served, Server()) == replace(served, name=name)


@pytest.mark.parametrize(("kept", "skipped"), [(0, ["c", "b"]), (1, ["b"])])
def test_what_falls_due_meanwhile_is_skipped_but_for_those_that_may_wait(kept, skipped):
    """The newest comes first; what a person asked for waits in any case."""
    due = [run("c", "SCHEDULED"), run("b", "SCHEDULED"), run("me"), run("by hand", "SCHEDULED")]
    due[3]["auto_scheduled"] = False
    api = Played(due)
    assert skip(api, "me", kept) == skipped
    assert api.states == dict.fromkeys(skipped, "Skipped")
