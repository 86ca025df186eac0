"""Shards over processes, and a worker that dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from webtext.pipeline.core import pool
from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.pool import deaf_children, each, tick


def square(number: int) -> int:
    tick(1)
    return number * number


def die_once(marks: Path, number: int) -> int:
    """Kill this worker the first time that number 3 comes along."""
    mark = marks / str(number)
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_always(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number: int) -> int:
    raise ValueError(f"shard {number} is odd")


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_the_items(workers):
    assert each(square, range(6), workers) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_ends_at_the_total(workers):
    seen = []
    each(square, range(6), workers, lambda *args: seen.append(args), total=6)
    assert seen[-1] == (6, 6, "6/6 shards")


def test_a_killed_worker_costs_its_shard_a_second_try_and_no_more(tmp_path):
    with pool.kept_processes():
        assert each(partial(die_once, tmp_path), range(6), 2) == [0, 1, 2, 3, 4, 5]
        assert pool._here.idle == [], "those that did single items are not kept"


def test_a_shard_that_kills_its_worker_twice_is_named():
    with pytest.raises(PipelineError, match="killed its worker twice and was set aside: 3;"):
        each(die_always, range(6), 2)


def whoami(_item: object) -> int:
    tick(1)
    return os.getpid()


def test_short_works_are_done_by_the_same_processes_which_then_end(monkeypatch):
    seen = []
    with pool.kept_processes():
        (first,) = each(whoami, [0], 1)
        (second,) = each(whoami, [0], 1, lambda *args: seen.append(args), total=1)
        assert first == second
        assert seen[-1] == (1, 1, "1/1 shards"), "told anew by each work"
        assert {done for done, *_ in seen} <= {0, 1}
        os.kill(first, signal.SIGKILL)
        wait_until_gone(first)
        (third,) = each(whoami, [0], 1)
        assert third != first, "one that died meanwhile is replaced"
        monkeypatch.setattr(pool, "KEEP_SECONDS", 0.0)
        each(whoami, [0], 1)
        wait_until_gone(third)
    monkeypatch.setattr(pool, "KEEP_SECONDS", 60.0)
    last = []
    with suppress(KeyError), pool.kept_processes():
        last += each(whoami, [0], 1)
        raise KeyError
    wait_until_gone(last[0])


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}/stat").exists() and state(pid) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_an_error_of_the_work_reaches_the_caller():
    with pytest.raises(ValueError, match="shard 0 is odd"):
        each(fail, [0], 1)


SLEEPER = """
import sys
import threading
sys.path[:0] = {paths!r}
from pathlib import Path
from tests.pipeline.core.test_pool import sleep_noted
from webtext.pipeline.core.pool import each
from functools import partial
if __name__ == "__main__":
    each(partial(sleep_noted, Path({marks!r})), [1, 2], 2)
"""


def sleep_noted(marks: Path, number: int) -> None:
    (marks / str(os.getpid())).touch()
    time.sleep(60)


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(SLEEPER.format(paths=[str(Path(__file__).parents[3])], marks=str(marks)))
    with subprocess.Popen([sys.executable, str(script)]) as parent:
        wait_until(lambda: len(list(marks.iterdir())) == 2)
        parent.kill()
    workers = [int(mark.name) for mark in marks.iterdir()]
    wait_until(lambda: not any(alive(worker) for worker in workers))


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(holds, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_processes_start_is_heard_when_they_have_started(number):
    """Also one that another thread took: Python hands it to the main thread, blocked or not."""
    done, quit_ = [], threading.Event()
    thread = threading.Thread(target=quit_.wait)
    thread.start()
    before = signal.signal(number, signal.default_int_handler)  # a shell may have it ignored
    try:
        with pytest.raises(KeyboardInterrupt), deaf_children():  # noqa: PT012
            signal.pthread_kill(thread.ident, number)
            time.sleep(0.05)
            done.append("started")
    finally:
        signal.signal(number, before)
        quit_.set()
        thread.join()
    assert done == ["started"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def die_with_the_meter(number: int) -> int:
    """Kill this worker while it holds the lock of the progress, each time number 3 comes along."""
    tick(1)
    if number == 3:
        pool._ticks.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    tick(1)
    return number


def test_a_worker_killed_while_it_counts_holds_nobody_up():
    seen = []
    with pytest.raises(PipelineError, match="was set aside: 3;"):
        each(die_with_the_meter, range(6), 2, lambda *args: seen.append(args), total=12)
    assert seen[-1][0] >= 10


def wait_or_die_with_the_meter(marks: Path, number: int) -> int:
    """Wait for the meter's lock, which the second worker holds when it dies for the first time."""
    mark, both = marks / "dead", marks / "both"
    if number == 1 and not mark.exists():
        with pool._ticks.get_lock():
            both.touch()
            time.sleep(1.0)  # the first one waits for the lock by now
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    wait_until(both.exists, 30)
    tick(1)
    return number


@pytest.mark.timeout(120)
def test_a_worker_that_starts_late_is_watched_too(tmp_path, monkeypatch):
    """The thread that watches has looked at the processes before the second one is started."""
    started = ProcessPoolExecutor._adjust_process_count

    def late(self):
        time.sleep(0.5)
        started(self)

    monkeypatch.setattr(ProcessPoolExecutor, "_adjust_process_count", late)
    work = partial(wait_or_die_with_the_meter, tmp_path)
    assert each(work, [0, 1], workers=2) == [0, 1]
