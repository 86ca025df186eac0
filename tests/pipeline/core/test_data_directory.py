"""Who holds a data directory, and how a dead holder loses it."""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.directories import data_directory as module
from webtext.pipeline.core.directories.data_directory import holder_of, locked, myself
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls import forgotten

HOLD = """
import sys, time
from pathlib import Path
from webtext.pipeline.core.directories.data_directory import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def write(directory: Path, holder, age: float = 0.0) -> None:
    """Write a holder whose pulse is `age` seconds old."""
    record = directory / ".holder.json"
    record.write_text(json.dumps(asdict(holder)))
    os.utime(record, (time.time() - age,) * 2)


def test_a_holder_that_is_killed_loses_it_and_until_then_is_named(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        words = rf"another build is at work there: -c .*\(process {process.pid} on .*\); wait"
        with pytest.raises(UserError, match=words), locked(tmp_path):
            pass
        assert holder_of(tmp_path).pid == process.pid
        process.kill()
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        assert holder_of(tmp_path).pid == os.getpid()
    assert holder_of(tmp_path) is None


@pytest.mark.parametrize("kernel", [True, False])
def test_a_machine_that_is_gone_loses_it_by_its_pulse(tmp_path, monkeypatch, kernel):
    """The kernel's lock of another machine is played by one of this process."""
    import fcntl

    elsewhere = replace(myself(), host="elsewhere", pid=1)
    with (tmp_path / ".lock").open("a") as file:
        if kernel:
            fcntl.flock(file, fcntl.LOCK_EX)
        write(tmp_path, elsewhere, module.DEAD_SECONDS / 2)
        with pytest.raises(UserError, match=r"process 1 on elsewhere"), locked(tmp_path):
            pass
        write(tmp_path, elsewhere, module.DEAD_SECONDS * 2)
        with locked(tmp_path):
            assert holder_of(tmp_path).pid == os.getpid()


def test_a_disk_without_locks_goes_by_what_is_written(tmp_path, monkeypatch):
    import errno
    import fcntl

    def none_here(_file, _how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", none_here)
    with locked(tmp_path), pytest.raises(UserError, match="at work there"), locked(tmp_path):
        pass
    write(tmp_path, replace(myself(), pid=2**22 + 1))
    with locked(tmp_path):
        pass


def test_the_pulse_goes_on_and_a_holder_that_was_replaced_stops(tmp_path, monkeypatch):
    import signal

    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)

    def heard(_signal, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, heard)
    try:
        with pytest.raises(KeyboardInterrupt), locked(tmp_path):  # noqa: PT012
            mine = holder_of(tmp_path)
            write(tmp_path, mine, 60)
            deadline = time.monotonic() + 240
            while time.time() - (tmp_path / ".holder.json").stat().st_mtime > 30:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            write(tmp_path, replace(mine, host="elsewhere", nonce="another"))
            time.sleep(30)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_command_that_a_message_advises_names_a_directory_with_blanks_as_one_word(tmp_path):
    data = tmp_path / "my data; old"
    data.mkdir()
    (data / forgotten.PURGING).touch()
    with pytest.raises(UserError) as purging:
        forgotten.read(data)
    with pytest.raises(UserError) as missing:
        module.newest_of(data, "corpus")
    told = [str(purging.value), str(missing.value), checked.advice(data / "corpus-1")]
    commands = [said[said.index("webtext ") :].partition("`")[0] for said in told]
    assert all(str(data) in shlex.split(command) for command in commands), commands
