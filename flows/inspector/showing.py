"""Open a data directory in the inspector, and show its pages until somebody stops it."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from webtext.flows.inspector.app import make_app
from webtext.flows.inspector.gate import FIELD, HOST, Gate, new_secret
from webtext.flows.inspector.reading.cache import FOLDER, opened
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError


def bound(port: int) -> socket.socket:
    """Return a socket on loopback; 0 is any free port.

    Raises:
        UserError: another program has the port.
    """
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
    except OSError as error:
        made.close()
        raise UserError(
            f"--port {port}: cannot be used ({error.strerror}); name another, or 0 for any"
        ) from None
    return made


def show(
    data: Path,
    port: int,
    cache: Path | None,
    say: Callable[[str], None],
    trained: Sequence[Path] = (),
    other: Path | None = None,
) -> None:
    """Serve the pages until the process is interrupted; `say` is told the address.

    `trained` are folders of training runs, beside runs/ in the data directory. `other`
    is the data directory of another build, to compare with.

    Raises:
        UserError: nothing to inspect, the port is in use, or the cache cannot be written.
    """
    folder = cache or data / FOLDER
    table = opened(Build(None, data).made(), folder, lambda said: say(f"inspector: {said}"))
    there = None
    if other is not None:
        say(f"{other}: reading the documents' tables")
        there = (other, opened(Build(None, other).made(), folder / "with"))
    with bound(port) as listening:
        number = listening.getsockname()[1]
        secret = new_secret()
        app = make_app(data, table, folder, [data / "runs", *trained], there)
        app.state.search.start()
        say(f"inspector: http://{HOST}:{number}/?{FIELD}={secret}")
        say("inspector: only who has this address can open it; Ctrl-C ends it")
        config = uvicorn.Config(
            Gate(app, number, secret), log_level="warning", access_log=False, lifespan="off",
            server_header=False, ws="none", timeout_graceful_shutdown=2,
        )  # fmt: skip
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            app.state.search.stop()
