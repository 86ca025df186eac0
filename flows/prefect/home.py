"""Where Prefect keeps its state, and a server for it, without touching the user's home.

Prefect reads its settings when it is imported: use this before anything imports it.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webtext.pipeline.core.errors import UserError

START_SECONDS = 120  # a first start migrates a new database: 10 to 14 s on two cores


@contextmanager
def prefect(data: Path, port: int = 0) -> Iterator[str]:
    """Give the address of a Prefect server: the user's, or one of our own for as long as needed.

    Ours listens on loopback (on a free port, unless told), keeps its state under the data
    directory, and sends no telemetry. Whoever has set PREFECT_API_URL or PREFECT_HOME keeps them.

    Raises:
        UserError: our server did not start, for example because the port is taken.
    """
    os.environ.setdefault("PREFECT_HOME", str((data / ".prefect").resolve()))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    theirs = os.environ.get("PREFECT_API_URL")
    if theirs:
        yield theirs
        return
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = url
    module = "webtext.flows.prefect.server"
    # -P: no file of the working directory is taken for a module
    command = [sys.executable, "-P", "-m", module, str(port), str(os.getpid())]
    try:
        # In a session of its own: Ctrl-C is for the build, which tells the server of its end.
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            try:
                _wait_for(url, process)
                yield url
            finally:
                process.terminate()
    finally:
        del os.environ["PREFECT_API_URL"]


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers.

    Raises:
        UserError: it ended, or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else b"").decode(errors="replace")
            last = said.strip().splitlines()[-1:] or ["no reason given"]
            raise UserError(f"the Prefect server at {url} did not start: {last[0]}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):  # noqa: S310 -- loopback
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise UserError(f"the Prefect server at {url} was not there after {START_SECONDS} s")
