"""Run work that may hang, use too much memory or crash, in a process that can be killed.

    this process ── socket ── supervisor ── pipe ── child, replaced every few hundred items

The supervisor is a small separate process that has imported the work but never does it, so it
can always kill: a child that exceeds its limits, or all when this process has ended (its socket
is then closed, whatever killed it). A fork of it costs milliseconds; a new interpreter that
imports an extractor costs a second. A child dies with its supervisor even during a loop in C.

Time is CPU time, which the kernel counts: a page that takes 3 seconds of work takes the same on a
busy machine, so the load does not decide whether a page is dropped. Only a page within about one
per cent of its limit depends on chance.
"""

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from webtext.pipeline.core.errors import UserError

POLL_SECONDS = 0.05  # s between two checks of a busy child's memory
IDLE_FACTOR = 20  # seconds of sleep allowed for each CPU second, against work that only waits
FAREWELL_SECONDS = (
    10.0  # s for a supervisor to end by itself; it takes some ms, more on a busy machine
)
HARD_MEMORY = 3  # address space allowed, in multiples of the limit on resident memory
PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from webtext.pipeline.text.extraction.sandbox import supervise; "
    "supervise(int(sys.argv[1]))"
)


@dataclass(frozen=True)
class Limits:
    """The limits of one item, and how long a child is kept."""

    seconds: float = 30.0  # of CPU time, user and system
    memory_mb: int = 1024  # resident memory beyond that at the child's start
    recycle: int = 500  # items after which a child is replaced, so that leaks do not add up


class Death(Enum):
    """Why an item has no result."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crashed"


class Sandbox:
    """A killable stand-in for `work`, a function that can be pickled by name.

    An item that kills a child which has done others before is retried once in a new one, so that
    other items do not affect its result; so is one whose child somebody else has killed. Safe to
    share between threads, which then take turns.
    """

    def __init__(
        self, work: Callable[[Any], Any], limits: Limits | None = None, warm: Any = None
    ) -> None:
        """`warm` is an item that the supervisor itself processes to fill caches before it forks."""
        self._limits = limits or Limits()
        self._start = pickle.dumps((work, self._limits, warm))
        self._warm = None if warm is None else pickle.dumps(warm, pickle.HIGHEST_PROTOCOL)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._owner = 0

    def __call__(self, item: Any) -> Any:
        """Return the result of `work` for `item`, or the `Death` of its process.

        Raises:
            Exception: any exception of `work`.
            UserError: the memory limit is so low that `warm` died as well, or the supervisor
                cannot be started.
        """
        with self._lock:
            try:
                kind, payload = self._ask(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
                if kind == "died" and payload != Death.TIMEOUT.value:
                    self._check_memory()
            except BaseException:
                self._close()  # a late answer must not be taken for that of the next item
                raise
        if kind == "died":
            return Death(payload)
        if kind == "raised":
            raise payload
        return payload

    def _check_memory(self) -> None:
        """Check whether an item that is known to be good dies too, so that all items would.

        Raises:
            UserError: it dies; names the limits.
        """
        if self._warm is None:
            return
        kind, _ = self._ask(self._warm)
        if kind == "died":
            raise UserError(
                f"pages cannot be read here: even a small one dies for want of memory ({allowed()})"
                f"; allow more, or lower extract.memory_mb, which is {self._limits.memory_mb}; "
                "nothing of this shard was kept"
            )

    def _ask(self, request: bytes) -> tuple[str, Any]:
        """Send one item and wait, with a second supervisor if the first was killed."""
        for _ in range(2):
            try:
                connection = self._started()
                connection.send_bytes(request)
                answer: tuple[str, Any] = pickle.loads(connection.recv_bytes())  # noqa: S301
            except (EOFError, OSError):
                self._close()
            else:
                return answer
        raise UserError(
            f"the process that reads pages died twice when it started ({allowed()}); allow more "
            "memory, and run the same command again: nothing of this shard was kept"
        )

    def _started(self) -> Connection:
        """Return the connection to this process's own supervisor, started if needed."""
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
            self._connection = Connection(ours.detach())
        self._owner = os.getpid()
        self._connection.send_bytes(self._start)
        return self._connection

    def close(self) -> None:
        """End the supervisor and its child; a later call starts new ones."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None and self._owner == os.getpid():
            # It ends by itself once its socket is closed, and waits for its child, whose CPU time
            # then counts as ours; if it cannot, its child dies with it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FAREWELL_SECONDS)
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None


CGROUP = Path("/sys/fs/cgroup/memory.max")  # a container's own limit, as seen from inside


def allowed() -> str:
    """Describe all limits on the memory of this process and its children."""
    found = []
    for name, limit in (("ulimit -v", resource.RLIMIT_AS), ("ulimit -d", resource.RLIMIT_DATA)):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            found.append(f"{name} is {soft >> 10:,} kB")
    with contextlib.suppress(OSError):
        if (text := CGROUP.read_text().strip()).isdigit():
            found.append(f"the container's limit is {int(text) >> 20:,} MB")
    return ", ".join(found) or "no limit is set, so the machine itself is short of it"


@cache
def shared(work: Callable[[Any], Any], limits: Limits, warm: Any = None) -> Sandbox:
    """Return this process's one sandbox for `work` under `limits`, closed at exit."""
    sandbox = Sandbox(work, limits, warm)
    atexit.register(sandbox.close)
    return sandbox


# The code below runs in the supervisor and in its children.


def supervise(descriptor: int) -> None:
    """Take items from the other end of a socket until it closes, and let children process them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends our parent, and so this process
    logging.disable(logging.CRITICAL)  # a page's row holds its error
    parent = Connection(descriptor)
    work, limits, warm = pickle.loads(parent.recv_bytes())  # noqa: S301 -- from our own parent
    if warm is not None:
        work(warm)
    gc.collect()
    gc.freeze()  # so a child's garbage collector does not copy shared memory pages
    nursery = Nursery(work, limits, parent)
    with contextlib.suppress(EOFError, OSError):
        while True:
            parent.send_bytes(nursery.answer(parent.recv_bytes()))
    nursery.end()


class Nursery:
    """The supervisor's one child at a time."""

    def __init__(self, work: Callable[[Any], Any], limits: Limits, parent: Connection) -> None:
        self.work = work
        self.limits = limits
        self.parent = parent
        self.pid = 0
        self.pipe: Connection | None = None
        self.done = 0
        self.born_with = 0  # resident bytes
        self.died_by = 0  # the signal that ended the last child, or 0

    def answer(self, request: bytes) -> bytes:
        """Return the pickled answer to a request; if an old child fails, retry in a new one.

        SIGKILL comes from outside (a user, the out-of-memory killer), so it is retried too.
        """
        fresh = self.pipe is None
        kind, answer = self.attempt(request)
        killed = kind is Death.CRASH and self.died_by == signal.SIGKILL
        if killed or (kind in (Death.CRASH, Death.MEMORY) and not fresh):
            kind, answer = self.attempt(request)
        if kind is not None:
            return pickle.dumps(("died", kind.value))
        return answer

    def attempt(self, request: bytes) -> tuple[Death | None, bytes]:
        """Let the child process one item; return how it died, or None, and its answer."""
        if self.pipe is None:
            self.fork()
        assert self.pipe is not None
        death = None
        answer = b""
        try:
            self.pipe.send_bytes(request)
            death = self.watch()
            if death is None:
                answer = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return self.end() or Death.CRASH, b""  # it has closed its pipe, so it has ended
        self.done += 1
        if death is not None or not answer or self.done >= self.limits.recycle:
            self.end()
        return (death, answer) if answer or death else (Death.MEMORY, b"")

    def watch(self) -> Death | None:
        """Wait until the child sends an answer or exceeds a limit.

        Raises:
            EOFError: our parent has ended, or sends a request before the answer.
        """
        assert self.pipe is not None
        asleep, looked = 0.0, time.monotonic()
        while True:
            ready = wait([self.parent, self.pipe], POLL_SECONDS)
            if self.parent in ready:
                self.end()
                os._exit(0)
            if ready:
                return None
            if resident(self.pid) - self.born_with > self.limits.memory_mb << 20:
                return Death.MEMORY
            now = time.monotonic()
            asleep += (now - looked) * sleeping(self.pid)
            looked = now
            if asleep > IDLE_FACTOR * self.limits.seconds:
                return Death.TIMEOUT

    def fork(self) -> None:
        """Fork a child."""
        ours, theirs = socket.socketpair()
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self.parent.close()
            ours.close()
            toil(self.work, self.limits, Connection(theirs.detach()), supervisor)
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.born_with = resident(self.pid)
        self.done = 0

    def end(self) -> Death | None:
        """Kill the child; return TIMEOUT if its CPU timer had already killed it."""
        if self.pipe is None:
            return None
        with contextlib.suppress(ProcessLookupError):  # one that has ended keeps its status
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.pipe.close()
        self.pipe = None
        self.died_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return Death.TIMEOUT if self.died_by == signal.SIGPROF else None


def toil(work: Callable[[Any], Any], limits: Limits, pipe: Connection, supervisor: int) -> NoReturn:
    """Process items until the pipe closes; an empty answer means that memory ran out."""
    confine(limits, supervisor)
    enough = peak() + (limits.memory_mb << 20)
    try:
        while True:
            request = pipe.recv_bytes()
            signal.setitimer(signal.ITIMER_PROF, limits.seconds)
            answer = done(work, request)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send_bytes(answer if peak() <= enough else b"")
    finally:
        os._exit(0)


def done(work: Callable[[Any], Any], request: bytes) -> bytes:
    """Return the pickled outcome of one item."""
    try:
        return pickle.dumps(("done", work(pickle.loads(request))))  # noqa: S301
    except MemoryError:
        return b""
    except Exception as error:  # noqa: BLE001 -- raised again where the item came from
        return pickle.dumps(("raised", error))


def confine(limits: Limits, supervisor: int) -> None:
    """Make this process end with its supervisor, and set its limits."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # when the CPU timer expires, the process ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):  # if memory is short, kill this process first
            Path("/proc/self/oom_score_adj").write_text("1000")
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = size + HARD_MEMORY * (limits.memory_mb << 20)
        _, allowed = resource.getrlimit(resource.RLIMIT_AS)  # the hard limit, which is final
        if allowed != resource.RLIM_INFINITY:
            most = min(most, allowed)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if os.getppid() != supervisor:
        os._exit(0)


def sleeping(pid: int) -> bool:
    """Whether a process waits for something other than the CPU on a busy machine.

    If the system does not report this, it counts as waiting.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "S"  # Source: proc_pid_stat(5)


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if the system does not report it."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def peak() -> int:
    """Return the peak resident memory of this process, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
