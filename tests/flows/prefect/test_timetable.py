"""When a flow runs, as the options say it."""

import json
import os
import subprocess
import sys

import pytest
from click import BadParameter

from webtext.flows.commands.options import Duration
from webtext.flows.prefect.runner import prefect_schedule
from webtext.flows.prefect.timetable import Schedule, Served, schedule
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import PARENT


@pytest.mark.parametrize(
    ("asked", "slug", "value"),
    [
        ({"cron": "0 3 1 * *"}, "cron", "0 3 1 * *"),
        ({"every": 60.0}, "every", 60.0),
        ({"at": "3:05"}, "daily", "5 3 * * *"),
        ({"at": "Sun 23:59"}, "weekly", "59 23 * * 0"),
        ({"at": "28 00:00"}, "monthly", "0 0 28 * *"),
        ({"at": "2027-01-01T03:00"}, "once", "DTSTART:20270101T030000\nRRULE:FREQ=DAILY;COUNT=1"),
    ],
)
def test_a_time_is_what_it_says_and_prefect_takes_it(asked, slug, value):
    empty = {"cron": None, "every": None, "at": None}
    found = schedule(**(empty | asked), timezone="Europe/Berlin", active=False)
    assert (found.slug, found.cron or found.interval or found.rrule) == (slug, value)
    theirs = prefect_schedule(found)
    assert (theirs.timezone, theirs.active, theirs.slug) == ("Europe/Berlin", False, slug)
    served = Served("build", "demo", {"recipe": "demo"}, [found])
    assert Served.read(served.plain()) == served


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"at": "25:00"}, "--at 25:00: no time; wanted 03:00"),
        ({"at": "32 03:00"}, "--at 32 03:00: no time"),
        ({"at": "03:00", "timezone": "Mars/X"}, "--timezone Mars/X: no such time zone"),
        ({"at": "03:00", "every": 60.0}, "--every and --at: wanted one of"),
    ],
)
def test_what_is_no_time_is_said(asked, said):
    usual = {"cron": None, "every": None, "at": None, "timezone": "UTC", "active": True}
    with pytest.raises(UserError, match=said):
        schedule(**(usual | asked))


def test_without_a_time_there_is_no_schedule():
    assert schedule(None, None, None, None, active=True) is None


def test_durations_have_units():
    times = [Duration().convert(text, None, None) for text in ("90", "90s", "1.5h", "2d", "1w")]
    assert times == [90, 90, 5400, 172_800, 604_800]
    for wrong in ("soon", "0", "-5s", "5y", "5201w", "9" * 400):
        with pytest.raises(BadParameter, match="wanted e"):
            Duration().convert(wrong, None, None)


@pytest.mark.parametrize("own", [True, False])
def test_a_schedule_is_asked_for_by_a_process_that_ends_with_its_parent(tmp_path, own):
    file = tmp_path / "served.json"
    served = Served("build", "demo", {}, [Schedule("every", "UTC", True, interval=60.0)])
    file.write_text(json.dumps(served.plain()))
    parent = os.getpid() if own else os.getppid()  # as if the one that had started it was gone
    words = [sys.executable, "-P", "-m", "webtext.flows.prefect.runner", file, str(parent)]
    done = subprocess.run([*words, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if own else 1)
    assert ("UTC" in done.stdout) is own


RUN = """
import time
from webtext.flows.prefect import flow
with flow.begun(None, "skip"):
    time.sleep({})
"""


@pytest.mark.parametrize("own", [True, False])
def test_a_run_ends_with_its_runner_also_where_that_has_ended_before_it_looked(own):
    runner = os.getpid() if own else os.getppid()
    command = [sys.executable, "-P", "-c", RUN.format(1.0 if own else 60.0)]
    done = subprocess.run(command, env={**os.environ, PARENT: str(runner)}, check=False)
    assert done.returncode == (0 if own else 1)
