"""Restart processes when they die, mainly Prefect's server: never two of them on one database.

This process does not import Prefect. It keeps the server's socket open, so that a client that
connects during a restart waits for the answer instead of being refused.
"""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from webtext.flows.prefect import home as homes
from webtext.flows.prefect.api import AUTH, Api
from webtext.flows.prefect.door import secret_of
from webtext.flows.prefect.server import TAKEN
from webtext.pipeline.core.errors import UserError

KEYS = (AUTH, "PREFECT_SERVER_API_AUTH_STRING")  # a client's, the server's
START_SECONDS = 180.0  # a first start makes a database: 10 to 18 s on two busy cores
END_SECONDS = 1.5  # s for each process to end, before it is killed; all have ended within 5
LOOK_SECONDS = 15.0  # s between two checks whether the server answers
DEAF_SECONDS = 90.0  # s without an answer, before a live server is killed
RESTARTS = 5  # in RESTARTS_SECONDS, before it is given up: the error is permanent
RESTARTS_SECONDS = 600.0
LOG_BYTES = 10_000_000  # before a new log is begun; the old one is kept beside it


class Child:
    """A process that is restarted when it dies, until it is told to end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path | None,
        say: Callable[[str], None],
        environment: dict[str, str] | None = None,
        descriptors: Sequence[int] = (),
        end_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.say = say
        self.environment = environment
        self.descriptors = tuple(descriptors)
        self.end_by = end_by
        self.process: subprocess.Popen[bytes] | None = None
        self.ended = threading.Event()  # told to end, or given up
        self.error: str | None = None  # why it was given up
        self.thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start it, and watch it from a thread."""
        self.thread.start()

    def up(self, process: "subprocess.Popen[bytes]") -> None:
        """Do more after the process is started; subclasses override this."""

    def final(self, code: int) -> str | None:  # noqa: ARG002 -- for those who know more of it
        """Return why a restart would not help after this exit code, None if it would."""
        return None

    def _keep(self) -> None:
        """Start the process, and restart it when it has ended, as long as that may help."""
        died: list[float] = []
        while not self.ended.is_set():
            try:
                self.process = self._begun()
            except OSError as error:  # else whoever waits for it would wait for ever
                self.error = f"{self.name} cannot be started: {error}"
                self.ended.set()
                return
            self.up(self.process)
            code = self.process.wait()
            if self.ended.is_set():
                return
            died = [when for when in died if time.monotonic() - when < RESTARTS_SECONDS]
            died.append(time.monotonic())
            where = f"; {self.log} says more" if self.log else ""
            self.error = self.final(code)
            if self.error is None and len(died) > RESTARTS:
                self.error = f"{self.name} ended {len(died)} times in a row{where}"
            if self.error is not None:
                self.ended.set()
                return
            self.say(f"{self.name} ended ({ending(code)}) and is started again{where}")
            self.ended.wait(min(2.0 ** (len(died) - 2), 30.0) if len(died) > 1 else 0.1)

    def _begun(self) -> "subprocess.Popen[bytes]":
        """Start the process, in its own session: Ctrl-C reaches us only, and we end it then.

        Raises:
            OSError: no file for its output, or no process, can be had.
        """
        with self._output() as output:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                pass_fds=self.descriptors,
                start_new_session=True,
            )

    def _output(self) -> IO[bytes]:
        """Open the file for its output."""
        if self.log is None:
            return os.fdopen(os.dup(2), "wb")
        with suppress(OSError):
            if self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_suffix(".1.log"))
        return self.log.open("ab")

    def ask_to_end(self) -> None:
        """Tell it to end, without waiting."""
        self.ended.set()
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(self.end_by)

    def end(self, seconds: float = END_SECONDS) -> None:
        """End it, and kill all processes of its session that are left after a while."""
        self.ask_to_end()
        if self.process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)


class Server(Child):
    """Prefect's server on a database of ours.

    Raises:
        UserError: the port is taken.
    """

    def __init__(
        self, home: Path, say: Callable[[str], None], port: int = 0, lone: bool = False
    ) -> None:
        self.home = home
        self.lone = lone
        self.socket = listening(port)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/api"
        secret = os.environ.get(AUTH) or secret_of(home)
        self.api = Api(self.url, secret)
        self.ready = threading.Event()
        descriptor = self.socket.fileno()
        module = "webtext.flows.prefect.server"
        environment = {
            **os.environ,
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.url.removesuffix("/api"),
            **dict.fromkeys(KEYS, secret),
        }
        if lone:  # only the services that a single build needs
            environment = {f"PREFECT_SERVER_SERVICES_{name}": "false" for name in SCHEDULING} | (
                environment
            )
        super().__init__(
            "Prefect's server",
            # -P: no file of the working directory is imported as a module
            [sys.executable, "-P", "-m", module, str(descriptor), str(os.getpid())],
            home / "server.log",
            say,
            environment,
            [descriptor],
        )

    def up(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until it answers, register it, and kill it when it no longer answers."""
        threading.Thread(target=self._look_after, args=(process,), daemon=True).start()

    def _look_after(self, process: "subprocess.Popen[bytes]") -> None:
        begun = heard = time.monotonic()
        while process.poll() is None and not self.ended.is_set():
            if self.api.healthy(10.0) and process.poll() is None:
                heard = time.monotonic()
                if not self.ready.is_set():
                    with suppress(OSError):
                        homes.register(self.home / homes.REGISTER, self.url, self.home, self.lone)
                    self.ready.set()
            elif time.monotonic() - heard > (DEAF_SECONDS if heard > begun else START_SECONDS):
                process.kill()
            self.ended.wait(LOOK_SECONDS if self.ready.is_set() else 0.1)

    def final(self, code: int) -> str | None:
        """Do not retry if another server uses the database."""
        if code == TAKEN:
            return f"{self.home}: another Prefect server is at work on this database"
        return None

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            UserError: it does not start; names the log to read.
        """
        while not self.ready.wait(0.1):
            if self.error is not None:
                raise UserError(self.error)

    def end(self, seconds: float = END_SECONDS) -> None:
        """End it, and remove its entry."""
        homes.unregister(self.home / homes.REGISTER)
        super().end(seconds)
        self.socket.close()


SCHEDULING = (
    "SCHEDULER_ENABLED",
    "LATE_RUNS_ENABLED",
    "FOREMAN_ENABLED",
    "TRIGGERS_ENABLED",
    "CANCELLATION_CLEANUP_ENABLED",
    "PAUSE_EXPIRATIONS_ENABLED",
    "REPOSSESSOR_ENABLED",
    "TASK_RUN_RECORDER_ENABLED",  # of task runs that Prefect makes; a build's are told by us
)


def listening(port: int) -> socket.socket:
    """Return a listening socket of loopback; 0 means any free port.

    Raises:
        UserError: the port is taken, or not permitted.
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=512)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = (
            "is taken by another program"
            if taken
            else f"cannot be had ({os.strerror(error.errno or 0)})"
        )
        raise UserError(f"port {port} {why}; choose another with --port, or 0 for any") from None


def ending(code: int) -> str:
    """Return how a process ended.

    >>> ending(1), ending(-9)
    ('exit code 1', 'SIGKILL')
    """
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
