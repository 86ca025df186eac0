"""The data directory: which process locks it, and which directories are the newest complete ones.

When the holder dies, the lock ends, also on a network disk. There are two marks. The kernel's lock
on `.lock` ends with its process at once, but a file server may keep it for a dead machine, and some
file servers have no locks. So the holder's name and heartbeat are beside it in `.holder.json`: a
process of this machine is dead when it is not found, one of another machine when its heartbeat has
stopped.
"""

import errno
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import IO
from uuid import uuid4

from webtext.pipeline.core.directories.json_files import names_in
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, write_json
from webtext.pipeline.core.stores import store_lock, working_copy

LATEST = "latest.json"  # names the directory of each step that the newest build made or used
AGAIN = "build again: what is whole is not made anew"
BEAT_SECONDS = 10.0  # s between two heartbeats; each is one change of a time stamp on the disk
DEAD_SECONDS = 120.0  # s without heartbeat: NFS shows a new time stamp after 60 s at most
WITHOUT_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def step_of(directory: Directory) -> str:
    """Return the name of the step whose directory this is.

    >>> step_of(Directory(Path("data/links-1c0de5aa")))
    'links'
    """
    return directory.name.rpartition("-")[0]


def newest(data: Path) -> dict[str, Directory]:
    """Return the complete directories of the newest build, by the names of their steps.

    Raises:
        UserError: nothing has been built there.
    """
    try:
        names = names_in(data / LATEST, AGAIN)
    except FileNotFoundError:
        raise UserError(
            f"{data}: no {LATEST}, so nothing has been built there; run `webtext build`, or "
            "name another directory with --data"
        ) from None
    found = {step: Directory(data / name) for step, name in names.items()}
    return {step: directory for step, directory in found.items() if directory.whole}


def newest_of(data: Path, step: str) -> Directory:
    """Return the newest complete directory of a step.

    Raises:
        UserError: there is none yet.
    """
    found = newest(data) if (data / LATEST).exists() else {}
    if step not in found:
        raise not_made(data, step)
    return found[step]


def not_made(data: Path, step: str) -> UserError:
    """Return what to say where no directory of a step is complete."""
    return UserError(
        f"{data}: no whole {step} directory yet; make one with: webtext build RECIPE "
        f"--data {quote(str(data))} --until {step}"
    )


def note_newest(data: Path, directories: Iterable[Directory]) -> None:
    """Write to `latest.json` those of these directories that are complete and in `data`."""
    path = data / LATEST
    here = [each for each in directories if each.whole and each.path.parent.samefile(data)]
    found = {step_of(each): each.name for each in here}
    try:
        noted = names_in(path, AGAIN)
    except (FileNotFoundError, UserError):
        noted = {}
    if found and noted != found:
        write_json(path, found)
    if found and (copy := working_copy.of(data)):
        copy.publish_latest()


# --- the lock -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder:
    """A process, identified so that a later one with the same number is not mistaken for it."""

    host: str
    pid: int
    started: int | None  # clock ticks since the machine started; None without /proc
    command: str
    since: float  # seconds since 1970
    nonce: str

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def gone(self) -> bool:
        """Whether it was a process of this machine that has ended."""
        return self.here and not alive(self.pid, self.started)

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"{self.command} (process {self.pid} on {self.host}, since {when})"


def myself() -> Holder:
    """Return the holder entry of this process."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:3]]
    command = " ".join("webtext" if word == "__main__.py" else word for word in words)
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, started(pid), command, time.time(), uuid4().hex)


def started(pid: int) -> int | None:
    """Return when a process of this machine started, in clock ticks since the machine started."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def alive(pid: int, since: int | None) -> bool:
    """Whether a process of this machine is alive, and is the one that started then."""
    if since is not None:
        return started(pid) == since
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def holder_of(directory: Path) -> Holder | None:
    """Return the holder of a data directory, None if it seems to be free."""
    holder = _holder(directory / ".holder.json")
    if holder is None or holder.gone or (not holder.here and _silent(directory)):
        return None
    return holder


@contextmanager
def locked(directory: Path, wait: bool = False) -> Iterator[None]:
    """Lock a data directory, so that two builds never write the same files; make it if missing.

    `wait` is for locks that others hold for a short time only.

    Raises:
        UserError: another process, which is named, holds the lock; or it is not writable.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = _taken(directory, wait)
    except OSError as error:
        raise UserError(
            f"{directory}: cannot be written to ({error.strerror}); name another with --data"
        ) from error
    me, record, stop = myself(), directory / ".holder.json", threading.Event()
    write_json(record, asdict(me))
    beat = threading.Thread(target=_beat, args=(record, me, stop), daemon=True)
    beat.start()
    try:
        with _locked_for_all(directory, str(me), wait):
            yield
    finally:
        stop.set()
        beat.join()
        if _holder(record) == me:
            record.unlink(missing_ok=True)
        file.close()


@contextmanager
def _locked_for_all(directory: Path, holder: str, wait: bool) -> Iterator[None]:
    """Lock the store that a directory is a working copy of, and see what is new there."""
    copy = working_copy.of(directory)
    if copy is None:
        yield
        return
    with store_lock.leased(copy, holder, interrupt_main, wait):
        copy.refresh()
        yield


def _taken(directory: Path, wait: bool) -> IO[str]:
    """Return the open lock file, once no other live process holds it."""
    name, record = directory / ".lock", directory / ".holder.json"
    while True:
        file = name.open("a")
        kernel: bool | None = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            kernel = False
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            kernel = None  # no such locks on this disk: only the holder file counts
        holder = _holder(record)
        ours = bool(kernel) and holder is not None and holder.here  # and it is dead, so:
        free = holder is None or holder.gone or ours or (not holder.here and _silent(directory))
        if kernel is not False and free and _is(file, name):
            return file
        file.close()
        if kernel is False and free and holder and not holder.here:
            name.unlink(missing_ok=True)  # the file server keeps a lock for a machine that is gone
        elif kernel is not False and free:
            continue  # another process has replaced the file meanwhile
        elif wait:
            time.sleep(0.1)
        else:
            raise UserError(
                f"{directory}: another build is at work there: {holder or 'it has no name yet'}; "
                "wait, or stop it"
            )


def _is(file: IO[str], name: Path) -> bool:
    """Whether an open file is still the one with this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False


def _holder(record: Path) -> Holder | None:
    """Return the holder that is written there, if any."""
    try:
        return Holder(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _silent(directory: Path) -> bool:
    """Whether the holder's heartbeat has stopped, by the clock of the disk itself."""
    probe = directory / f".probe-{uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime - (directory / ".holder.json").stat().st_mtime > DEAD_SECONDS
    except FileNotFoundError:
        return True
    finally:
        probe.unlink(missing_ok=True)


def _beat(record: Path, me: Holder, stop: threading.Event) -> None:
    """Send the heartbeat; end this process's work when another one has taken the lock.

    That happens after this machine was suspended for longer than others wait.
    """
    while not stop.wait(BEAT_SECONDS):
        with suppress(OSError):
            if (holder := _holder(record)) and holder != me:
                interrupt_main()
                return
            os.utime(record)


def interrupt_main() -> None:
    """Deliver SIGTERM to the main thread, also if it waits in a system call."""
    ident = threading.main_thread().ident
    if ident is not None:
        signal.pthread_kill(ident, signal.SIGTERM)
