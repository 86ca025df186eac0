"""Run scheduled flows: `python -m webtext.flows.prefect.runner FILE PARENT [--check]`.

This is a separate process beside `webtext serve`, which restarts it when it dies; with --check it
only asks whether Prefect accepts the schedule, and prints the next times. This process, the flows
that it runs and all processes that they start end with PARENT.
"""

import json
import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from webtext.flows.building.output import echo
from webtext.flows.prefect.timetable import Schedule, Served
from webtext.pipeline.core.pool import PARENT, die_with

SHOWN = 3  # number of the next run times that are printed


def schedules_of(served: Served) -> list[Any]:
    """Return the schedules as Prefect has them.

    Raises:
        ValueError: Prefect does not accept one.
    """
    return [prefect_schedule(one) for one in served.schedules]


def prefect_schedule(one: Schedule) -> Any:
    """Return a schedule as Prefect has it."""
    from prefect import schedules

    about: dict[str, Any] = {"timezone": one.timezone, "slug": one.slug, "active": one.active}
    if one.cron:
        return schedules.Cron(one.cron, **about)
    if one.rrule:
        return schedules.RRule(one.rrule, **about)
    return schedules.Interval(timedelta(seconds=one.interval or 0), **about)


def check(served: Served) -> None:
    """Print when the flow will run, one time per line; a schedule that Prefect refuses is an error.

    On an error, exits with code 2 and prints the reason in one line.
    """
    import asyncio

    from prefect.server.schemas import schedules as known

    try:
        schedules_of(served)
        for one in served.schedules:
            schedule: Any
            if one.cron:
                schedule = known.CronSchedule(cron=one.cron, timezone=one.timezone)
            elif one.rrule:
                schedule = known.RRuleSchedule(rrule=one.rrule, timezone=one.timezone)
            else:
                seconds = timedelta(seconds=one.interval or 0)
                schedule = known.IntervalSchedule(interval=seconds, timezone=one.timezone)
            dates = asyncio.run(schedule.get_dates(SHOWN, start=datetime.now(UTC)))
            for date in dates:
                echo(f"{date:%Y-%m-%d %H:%M:%S %Z}")
    except (ValueError, KeyError, OverflowError) as error:
        words = " ".join(str(error).split())
        echo(words, err=True)
        sys.exit(2)


def main(served: Served) -> None:
    """Serve until stopped."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while modules are imported: end, with no words
    from prefect import serve
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from webtext.flows.prefect import flow

    deployment = flow.FLOWS[served.kind].to_deployment(
        served.name,
        parameters=served.parameters,
        schedules=schedules_of(served),
        entrypoint_type=EntrypointType.MODULE_PATH,
        tags=["webtext", served.kind],
        description=f"{served.kind} of {served.parameters['recipe']}, by webtext serve",
    )
    # It would log every 2 s that a run waits; flows have their own log.
    logging.getLogger("prefect.runner").setLevel(logging.ERROR)
    # One at a time: runs that fall due meanwhile wait on the server, or `overlap` cancels them.
    assert isinstance(deployment, RunnerDeployment), "outside an event loop it is no promise"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[PARENT] = str(os.getpid())  # of the flows
    serve(deployment, limit=1, print_starting_message=False)


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_RUNNER_POLL_FREQUENCY", "2")  # s; 10 by default
    # Before Prefect is imported, which takes seconds.
    threading.Thread(target=die_with, args=(int(sys.argv[2]),), daemon=True).start()
    described = Served.read(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    (check if "--check" in sys.argv else main)(described)
