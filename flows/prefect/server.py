"""Prefect's own server: `python -m webtext.flows.prefect.server SOCKET PARENT` ends with PARENT.

Prefect's built-in ephemeral server stays behind when the flow's process is killed; this one
does not, and it has written all of its rows when it is asked to stop. It serves a socket that its
parent keeps open: who asks while it is being started again waits, and is answered.
"""

import asyncio
import fcntl
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from webtext.flows.prefect.door import Door
from webtext.pipeline.core.pool import die_with

TAKEN = 3  # the exit code where another server is at work on this database
PATIENCE = 10.0  # s that the server before may take to end
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


def main(descriptor: int, parent: int) -> None:
    """Serve until stopped, or until the process `parent` is gone.

    It is named and not asked for, because it may be gone before this is reached.
    """
    threading.Thread(target=die_with, args=(parent,), daemon=True).start()
    home = Path(os.environ["PREFECT_HOME"])
    held = alone(home)
    import uvicorn
    from prefect.server.api.server import create_app

    if DATABASE not in os.environ:
        begin_database(home / "prefect.db")
    # Its own log tells people nothing; what goes wrong is on stderr, which is a file.
    listening = socket.socket(fileno=descriptor)
    secret = os.environ["PREFECT_SERVER_API_AUTH_STRING"]
    app = Door(create_app(), listening.getsockname()[1], secret)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])
    os.close(held)


def alone(home: Path) -> int:
    """Hold the database, so that no second server is ever at work on it; exit where one is."""
    held = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            sys.stderr.write(f"{home}: another server is at work on this database\n")
            sys.exit(TAKEN)
        return held


def begin_database(database: Path) -> None:
    """Make a new database as a copy of the last new one, for Prefect takes 4 s of CPU to make it.

    The copy is of this version's, kept in the user's cache; where that cannot be, Prefect makes it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "webtext"
    blank = cache / f"prefect-{importlib.metadata.version('prefect')}.db"
    if database.exists():
        return
    partial = database.with_name(f"prefect.db.{os.getpid()}")
    with suppress(OSError):
        if blank.exists():
            shutil.copyfile(blank, partial)
            partial.replace(database)
            return
    from prefect.server.database import provide_database_interface

    asyncio.run(provide_database_interface().create_db())
    with suppress(OSError, sqlite3.Error):
        cache.mkdir(parents=True, exist_ok=True)
        made = blank.with_name(f"{blank.name}.{os.getpid()}")
        with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(made)) as new:
            old.backup(new)
        made.replace(blank)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
