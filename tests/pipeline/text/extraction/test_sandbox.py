import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.text.extraction.sandbox import Death, Limits, Sandbox

# `eval` stands for any work: a test says what the child shall do in Python.
QUICK = Limits(seconds=0.3, memory_mb=100, recycle=50)
# To touch 200 MB takes a busy machine more CPU time than 0.3 s, so memory has a limit of its own.
SMALL = Limits(seconds=60, memory_mb=100, recycle=50)
SPIN = "any(None for _ in iter(int, 1))"  # needs no memory, or that ends it first
SPIN_IN_C = "10 ** 10 ** 8"
CRASH = "__import__('ctypes').string_at(0)"
PID = "__import__('os').getpid()"
PARENT = "__import__('os').getppid()"


@pytest.fixture
def sandbox():
    sandbox = Sandbox(eval, QUICK)
    yield sandbox
    sandbox.close()


def alive(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # a zombie is dead, only not yet buried


def gone(*pids, within=240.0):
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_an_item_comes_back_as_the_work_makes_it(sandbox):
    assert sandbox("6 * 7") == 42


@pytest.mark.parametrize(
    ("limits", "item", "death"),
    [
        (QUICK, SPIN, Death.TIMEOUT),
        (QUICK, SPIN_IN_C, Death.TIMEOUT),
        (SMALL, "len(bytearray(200 << 20))", Death.MEMORY),  # touches it
        (SMALL, "len(bytearray(10 << 30))", Death.MEMORY),  # more than there may be
        (SMALL, "[bytearray(1 << 20) for _ in iter(int, 1)]", Death.MEMORY),
        (SMALL, CRASH, Death.CRASH),
        (SMALL, "__import__('os')._exit(3)", Death.CRASH),
        (SMALL, "__import__('os').kill(__import__('os').getpid(), 9)", Death.CRASH),
    ],
)
def test_a_bad_item_costs_itself_and_no_other(limits, item, death):
    sandbox = Sandbox(eval, limits)
    assert sandbox("1") == 1
    assert sandbox(item) is death
    assert sandbox("2") == 2
    sandbox.close()


def test_a_child_that_gets_no_turn_is_given_time():
    """It is stopped for longer than it may sleep, as if others had the machine to themselves."""
    sandbox = Sandbox(eval, Limits(seconds=0.05))
    child = sandbox(PID)

    def starve():
        os.kill(child, signal.SIGSTOP)
        time.sleep(2)  # IDLE_FACTOR allows one second asleep
        os.kill(child, signal.SIGCONT)

    starving = threading.Thread(target=starve)
    starving.start()
    time.sleep(0.2)
    assert sandbox("6 * 7") == 42
    starving.join()
    sandbox.close()


def test_work_that_only_waits_ends_too():
    sandbox = Sandbox(eval, Limits(seconds=0.05))
    assert sandbox("__import__('time').sleep(60)") is Death.TIMEOUT
    sandbox.close()


def test_time_is_cpu_time(sandbox):
    assert sandbox("__import__('time').sleep(0.5)") is None  # over the limit on the wall


def test_memory_of_earlier_items_is_not_held_against_later_ones(sandbox):
    assert sandbox("globals().__setitem__('kept', bytearray(60 << 20))") is None
    assert sandbox("len(bytearray(60 << 20))") == 60 << 20  # in a fresh child


def test_what_the_work_raises_is_raised_here(sandbox):
    with pytest.raises(ZeroDivisionError):
        sandbox("1 / 0")
    assert sandbox("1") == 1


def test_a_child_is_replaced_after_so_many_items():
    sandbox = Sandbox(eval, Limits(recycle=3))
    pids = [sandbox(PID) for _ in range(7)]
    sandbox.close()
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]


def test_a_large_item_and_answer_pass(sandbox):
    assert sandbox(f"len({'x' * 5_000_000!r}) * 'y'") == "y" * 5_000_000


def test_a_killed_supervisor_is_replaced(sandbox):
    child, supervisor = sandbox(PID), sandbox(PARENT)
    os.kill(supervisor, signal.SIGKILL)
    assert sandbox("1") == 1
    assert gone(child, supervisor)


def test_an_item_whose_child_somebody_killed_is_tried_again(tmp_path):
    """Also where it was the child's first, so that nothing else can have spoilt it."""
    sandbox, mark = Sandbox(eval), tmp_path / "mark"
    once = (
        f"__import__('pathlib').Path({str(mark)!r}).exists() or (open({str(mark)!r}, 'w').close(), "
        "__import__('os').kill(__import__('os').getpid(), 9))"
    )
    assert sandbox(once) is True
    sandbox.close()


def test_a_supervisor_that_cannot_start_is_an_error(monkeypatch):
    monkeypatch.setattr("webtext.pipeline.text.extraction.sandbox.BOOT", "raise SystemExit(1)")
    with pytest.raises(UserError, match=r"died twice when it started .*nothing of this shard"):
        Sandbox(eval)("1")


def test_where_every_item_dies_for_want_of_memory_that_is_said_and_is_no_items_fate():
    good = f"1 if {PARENT} == {os.getpid()} else len(bytearray(200 << 20))"  # in a child it dies
    sandbox = Sandbox(eval, QUICK, warm=good)
    with pytest.raises(
        UserError, match=r"even a small one dies for want of memory .*extract.memory_mb"
    ):
        sandbox("len(bytearray(200 << 20))")
    sandbox.close()


def test_a_limit_that_may_not_be_raised_is_kept_to():
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
        "from webtext.pipeline.text.extraction.sandbox import Limits, Sandbox, allowed;"
        "print(Sandbox(eval, Limits(memory_mb=2000))('6 * 7'), allowed())"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("42 ulimit -v is 3,145,728 kB")


def test_close_ends_every_process(sandbox):
    pids = sandbox(PID), sandbox(PARENT)
    sandbox.close()
    assert gone(*pids)


def test_the_cpu_time_of_children_counts_as_ours_once_closed():
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    sandbox = Sandbox(eval, Limits(seconds=5))
    clock = "__import__('time').process_time()"
    assert sandbox(f"[None for _ in iter(lambda: {clock} < 0.8, False)]")
    before = spent()
    sandbox.close()
    assert spent() - before > 0.75


def test_a_spinning_child_dies_with_its_killed_grandparent():
    program = (
        "from webtext.pipeline.text.extraction.sandbox import Limits, Sandbox\n"
        "s = Sandbox(eval, Limits(seconds=1000))\n"
        f"print(s({PID!r}), s({PARENT!r}), flush=True)\n"
        f"s({SPIN_IN_C.replace('8', '9')!r})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    time.sleep(0.2)  # until it spins
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(*pids)


def test_a_pool_worker_may_have_a_sandbox():
    # The test's module cannot be imported by name, so the worker is told in source text.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:

        def inside(item):
            source = "s.shared(eval, s.Limits(0.3))(item)"
            name = "webtext.pipeline.text.extraction.sandbox"
            module = f"__import__({name!r}, fromlist=['sandbox'])"
            names = f"{{'s': {module}, 'item': {item!r}}}"
            return pool.submit(eval, f"eval({source!r}, {names})").result()

        pids = inside(PID), inside(PARENT)
        assert inside(SPIN) is Death.TIMEOUT
        assert inside("1") == 1
    assert gone(*pids)
