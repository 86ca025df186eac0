"""A served run that outlasts its period, and one that is cancelled on Prefect's pages."""

import subprocess
import time
from datetime import UTC, datetime

import pytest

from tests.flows.conftest import command
from tests.flows.prefect.test_serve import Serving, settings, wait_until

ENDED_SECONDS = 60.0  # s to end after a cancel; 4 to 7 on two free cores


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_what_falls_due_meanwhile_does_not_pile_up_and_a_cancelled_run_is_continued(
    small_web, tmp_path, overlap
):
    """The crawl is so slow that several runs fall due; it is cancelled in the middle."""
    slow = ("--set", "crawl.delay = 1.0")
    words = ("serve", "demo", "--every", "4s", "--until", "pages", "--overlap", overlap)
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command(*words, "--port", "0", *small_web.options, *slow),
            cwd=tmp_path, env=settings(tmp_path), stderr=said, text=True,
        )  # fmt: skip
    serving = Serving(tmp_path, process)

    def named(name: str) -> list[dict]:
        return serving.runs(state={"name": {"any_": [name]}})

    def overdue() -> list[dict]:
        """Return the runs that are due, but for the last 20 s: within 10 they are counted."""
        waiting = serving.runs(state={"type": {"any_": ["SCHEDULED"]}})
        due = [datetime.fromisoformat(run["expected_start_time"]) for run in waiting]
        return [when for when in due if (datetime.now(UTC) - when).total_seconds() > 20]

    try:
        wait_until(lambda: (serving.home / "server.json").exists() or process.poll() is not None)
        wait_until(lambda: list((tmp_path / "data").glob("pages-*")) and len(named("Skipped")) >= 4)
        (first,) = named("Running")
        assert len(overdue()) <= (overlap == "queue")
        cancel = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        serving.api.ask("POST", f"/flow_runs/{first['id']}/set_state", cancel)
        began = time.monotonic()
        there = f"/flow_runs/{first['id']}"
        wait_until(
            lambda: serving.api.ask("GET", there)["state"]["type"] == "CANCELLED", ENDED_SECONDS
        )
        print(f"cancelled after {time.monotonic() - began:.1f} s")
        assert not list((tmp_path / "data").glob("pages-*/manifest.json")), "not by its own end"
        wait_until(serving.completed, 400)
        assert serving.completed()[0]["auto_scheduled"]
        (pages,) = (tmp_path / "data").glob("pages-*")
        assert (pages / "manifest.json").exists(), "the same directory was continued"
        assert len(overdue()) <= (overlap == "queue")
    finally:
        process.terminate()
        assert process.wait(60) == 0, (tmp_path / "said.txt").read_text()[-3000:]
    wait_until(lambda: not serving.processes(), 15)
