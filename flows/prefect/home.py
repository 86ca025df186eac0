"""Where Prefect keeps its state, and a server for it, without touching the user's home.

Prefect reads its settings when it is imported: use this before anything imports it.
"""

import hmac
import http.client
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webtext.flows.prefect.door import LOGIN, PROOF, SECRET, proof, secret_of
from webtext.pipeline.core.errors import UserError

KEYS = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")  # a client's, the server's
START_SECONDS = 120  # a first start migrates a new database: 10 to 14 s on two cores


@contextmanager
def prefect(data: Path, port: int = 0) -> Iterator[str]:
    """Give the address of a Prefect server: the user's, or one of our own for as long as needed.

    Ours listens on loopback (on a free port, unless told), keeps its state under the data
    directory, sends no telemetry, and wants a secret that only this user can read (`door`).
    Whoever has set PREFECT_API_URL or PREFECT_HOME keeps them.

    Raises:
        UserError: our server did not start, for example because the port is taken.
    """
    usual = (data / ".prefect").resolve()
    os.environ.setdefault("PREFECT_HOME", str(usual))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if home == usual:
        home.chmod(0o700)  # what Prefect keeps there is nobody else's to read
    theirs = os.environ.get("PREFECT_API_URL")
    if theirs:
        yield theirs
        return
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/api"
    ours = {
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url.removesuffix("/api"),
        **dict.fromkeys(KEYS, os.environ.get(KEYS[0]) or secret_of(home)),
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
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
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def pages_of(url: str) -> str:
    """Return where a browser finds the pages of the server, and how it is let in.

    The secret is shown on a terminal only: what is written elsewhere may be read by others.
    """
    pages, home = url.removesuffix("/api"), Path(os.environ["PREFECT_HOME"])
    if os.environ.get(KEYS[1]) is None:  # the user's own server
        return pages
    if sys.stderr.isatty():
        return f"{pages}{LOGIN}#{urllib.parse.quote(os.environ[KEYS[1]])}"
    return f"{pages} (log in with the text in {home / SECRET})"


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers, and is ours: another's on that port does not get our secret.

    Raises:
        UserError: it ended, took too long, or is somebody else's.
    """
    challenge = secrets.token_urlsafe()
    wanted = proof(os.environ[KEYS[1]], challenge)
    ask = f"{url.removesuffix('/api')}{PROOF}?{challenge}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else b"").decode(errors="replace")
            last = said.strip().splitlines()[-1:] or ["no reason given"]
            raise UserError(f"the Prefect server at {url} did not start: {last[0]}")
        try:
            with urllib.request.urlopen(ask, timeout=2) as answer:  # noqa: S310 -- loopback
                if hmac.compare_digest(answer.read(100), wanted.encode()):
                    return
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError):
            pass
        time.sleep(0.2)
    raise UserError(f"the Prefect server at {url} was not there after {START_SECONDS} s")
