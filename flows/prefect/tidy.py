"""Tidy up runs: those whose process has died, and those that fall due while another one works.

Only one run of a deployment works at a time, because its runner starts no second one. Runs that
fall due meanwhile wait on the server, and would all be run one after the other. Prefect's own
concurrency limit of a deployment is not used: its slots are leases, and a lease that is lost when a
server dies blocks all later runs.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from webtext.flows.building.prefect_database import prefect_home
from webtext.flows.prefect.api import Api, ApiError
from webtext.flows.prefect.recorder import marks
from webtext.pipeline.core.directories.data_directory import Holder

UNDER_WAY = ["RUNNING", "PENDING", "CANCELLING"]
WAITING = ["SCHEDULED"]  # states of runs that are due, late runs included
LOOK_SECONDS = 10.0  # s between two checks for runs that have fallen due
MOST = 200  # runs that a server returns at a time. Source: PREFECT_API_DEFAULT_LIMIT


def take_up(api: Api, home: Path) -> list[dict[str, Any]]:
    """Mark the runs whose process has died as crashed, and return them.

    This frees their slots in the deployment's concurrency limit.

    Raises:
        ApiError: the server does not answer.
    """
    wanted = {"flow_runs": {"state": {"type": {"any_": UNDER_WAY}}}, "limit": MOST}
    gone = [run for run in api.ask("POST", "/flow_runs/filter", wanted) if not lives(run, home)]
    for run in gone:
        asked = run["state"]["type"] == "CANCELLING"
        state = {
            "type": "CANCELLED" if asked else "CRASHED",
            "name": "Cancelled" if asked else "Crashed",
            "message": "its process was gone when the server was started again",
        }
        api.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
        (marks(home) / f"{run['id']}.json").unlink(missing_ok=True)
    return gone


def lives(run: dict[str, Any], home: Path) -> bool:
    """Whether the process that is recorded for a run is alive, or is on another machine.

    A build of another data directory that reports to this server has its record there.
    """
    data = (run.get("parameters") or {}).get("data")
    for place in dict.fromkeys((home, *([prefect_home(Path(data))] if data else []))):
        try:
            told = json.loads((marks(place) / f"{run['id']}.json").read_text(encoding="utf-8"))
            holder = Holder(**told)
        except (OSError, ValueError, TypeError):
            continue
        if holder.host != socket.gethostname() or not holder.gone:
            return True
    return False


@contextmanager
def kept_short(api: Api | None, run: str, kept: int) -> Iterator[None]:
    """Skip the runs that fall due while this run works, except the `kept` newest."""
    if api is None:
        yield
        return
    stop = threading.Event()
    with suppress(ApiError):
        skip(api, run, 0)  # this run does the work of those that fell due before

    def look() -> None:
        while not stop.wait(LOOK_SECONDS):
            with suppress(ApiError):
                skip(api, run, kept)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        with suppress(ApiError):
            skip(api, run, kept)


def skip(api: Api, run: str, kept: int) -> list[str]:
    """Cancel the runs of this run's deployment that are due, except the `kept` newest.

    Only runs of the schedule are skipped: a run that a person has requested waits.

    Raises:
        ApiError: the server does not answer.
    """
    deployment = api.ask("GET", f"/flow_runs/{run}").get("deployment_id")
    if deployment is None:
        return []
    now = datetime.now(UTC).isoformat()
    wanted = {
        "flow_runs": {
            "deployment_id": {"any_": [deployment]},
            "state": {"type": {"any_": WAITING}},
            "expected_start_time": {"before_": now},
        },
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": MOST,
    }
    due: list[dict[str, Any]] = api.ask("POST", "/flow_runs/filter", wanted)
    skipped = [one["id"] for one in due if one["id"] != run and one.get("auto_scheduled")][kept:]
    for one in skipped:
        state = {"type": "CANCELLED", "name": "Skipped", "message": f"{run} was at work"}
        api.ask("POST", f"/flow_runs/{one}/set_state", {"state": state, "force": True})
    return skipped
