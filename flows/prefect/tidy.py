"""Runs that nobody runs: orphans whose process is gone, and what falls due while one is at work.

One run of a deployment works at a time, for its runner starts no second. What falls due meanwhile
waits on the server, and would all be run one after the other. Prefect's own limit of a deployment
is not used: its places are leases, and one that is lost when a server dies stops all that follows.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from webtext.flows.prefect.api import Api, ApiError
from webtext.flows.prefect.recorder import marks
from webtext.pipeline.core.directories.data_directory import Holder

UNDER_WAY = ["RUNNING", "PENDING", "CANCELLING"]
WAITING = ["SCHEDULED"]  # late runs among them
LOOK_SECONDS = 10.0  # between two looks at what has fallen due
MOST = 200  # runs that a server gives at a time. Source: PREFECT_API_DEFAULT_LIMIT


def take_up(api: Api, home: Path) -> list[dict[str, Any]]:
    """Mark the runs as crashed whose process is gone, and return them.

    Their places in their deployment's limit are free again with that.

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
    """Whether the process that is written down for a run is there, or is on another machine."""
    try:
        told = json.loads((marks(home) / f"{run['id']}.json").read_text(encoding="utf-8"))
        holder = Holder(**told)
    except (OSError, ValueError, TypeError):
        return False
    return holder.host != socket.gethostname() or not holder.gone


@contextmanager
def kept_short(api: Api | None, run: str, kept: int) -> Iterator[None]:
    """Skip what falls due while this run is at work, but for the `kept` newest."""
    if api is None:
        yield
        return
    stop = threading.Event()
    with suppress(ApiError):
        skip(api, run, 0)  # what fell due before is what this run does

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
    """Cancel the runs of this run's deployment that are due, but for the `kept` newest.

    Only what the schedule has made is skipped: a run that a person asks for waits.

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
