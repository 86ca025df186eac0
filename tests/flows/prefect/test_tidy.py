"""Runs that nobody runs, against a server that is played here."""

import json
from dataclasses import asdict, replace

import pytest

from webtext.flows.prefect.tidy import skip, take_up
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


@pytest.mark.parametrize(("kept", "skipped"), [(0, ["c", "b"]), (1, ["b"])])
def test_what_falls_due_meanwhile_is_skipped_but_for_those_that_may_wait(kept, skipped):
    """The newest comes first; what a person asked for waits in any case."""
    due = [run("c", "SCHEDULED"), run("b", "SCHEDULED"), run("me"), run("by hand", "SCHEDULED")]
    due[3]["auto_scheduled"] = False
    api = Played(due)
    assert skip(api, "me", kept) == skipped
    assert api.states == dict.fromkeys(skipped, "Skipped")
