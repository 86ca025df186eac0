"""The processes of a command and of all that it starts: found by a mark, killed by what they are.

The mark is an environment variable, which every child inherits; so a process that outlives its
parent is found as well. Needs /proc.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

MARK = "WEBTEXT_CHAOS"
TICKS = os.sysconf("SC_CLK_TCK")  # of CPU time a second
STILL_SECONDS = 240.0  # s in which the command and all its processes only wait: it hangs
STILL = 0.01  # share of a core that is waiting; polling takes half of that
MOST_SECONDS = 900.0  # s for a command that takes 30 on two busy cores, whatever it does meanwhile
GONE_SECONDS = 60.0  # s for what a killed command has started to end; they look twice a second

# By kind: what the command line of such a process holds.
WORDS: dict[str, tuple[bytes, ...]] = {
    "worker": (b"multiprocessing.spawn", b"spawn_main"),
    "tracker": (b"multiprocessing.resource_tracker",),
    "sandbox": (b"text.extraction.sandbox",),
    "server": (b"webtext.flows.prefect.server",),
    "any": (),
}


@dataclass
class Running:
    """A command at work, and the processes that it has started."""

    process: "subprocess.Popen[bytes]"
    said: Path  # its output
    mark: str = field(default="")

    def words(self) -> str:
        """Return all that it has said."""
        return self.said.read_text(encoding="utf-8", errors="replace")

    def alive(self, kind: str = "any") -> list[int]:
        """Return its living processes of a kind, itself among them where it is of that kind."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() not in (entry / "environ").read_bytes():
                    continue
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if words and all(word in words for word in WORDS[kind]):
                found.append(int(entry.name))
        return sorted(found)

    def called(self, pid: int) -> str:
        """Return the command line of a process, and what it waits for."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            waits = Path(f"/proc/{pid}/wchan").read_text()
        except OSError:
            return f"{pid}, gone"
        return f"{pid} {words[:200]}({waits})"

    def used(self) -> int:
        """Return the CPU time of its living processes and their ended children, in ticks."""
        return sum(ticks(pid) for pid in self.alive())

    def end(self) -> int:
        """Wait for its end; return its exit code.

        Raises:
            TimeoutError: it hangs; it and all that it has started have been killed.
        """
        began = moved = time.monotonic()
        used = self.used()
        while True:
            try:
                return self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                pass
            now = time.monotonic()
            still = False
            if now - moved > STILL_SECONDS:
                more = (self.used() - used) / TICKS  # less than none where a process has ended
                still = 0.0 <= more < STILL * (now - moved)
                used, moved = self.used(), now
            if still or now - began > MOST_SECONDS:
                self.kill()
                raise TimeoutError(f"it hangs, after {now - began:.0f} s")

    def kill(self) -> None:
        """Kill it and all that it has started."""
        for pid in self.alive():
            strike(pid)
        self.process.wait()

    def orphans(self) -> list[int]:
        """Return its processes that live on after its end, once they had the time to end."""
        wait_until(lambda: not self.alive(), GONE_SECONDS)
        return self.alive()


def ticks(pid: int) -> int:
    """Return the CPU time of a process and its ended children, 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(each) for each in fields[11:15])  # Source: proc_pid_stat(5)


def strike(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; return whether the process was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def started(command: list[str], said: Path, environment: Mapping[str, str], cwd: Path) -> Running:
    """Start a command whose processes can all be found."""
    mark = f"{MARK}={uuid4().hex}"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env={**environment, MARK: mark.partition("=")[2]},
            start_new_session=True,
        )
    return Running(process, said, mark)


def wait_until(holds: Callable[[], object], seconds: float) -> bool:
    """Wait until something holds; return whether it came to that."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
