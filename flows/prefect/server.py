"""Prefect's own server: `python -m webtext.flows.prefect.server SOCKET PARENT` ends with PARENT.

Prefect's built-in ephemeral server goes on when the flow's process is killed; this one does not,
and it has written all of its rows when it is asked to stop. It serves a socket that its parent
keeps open: a client that connects during a restart waits, and gets its answer.
"""

import asyncio
import fcntl
import gc
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

from webtext.flows.building.prefect_database import DATABASE as FILE
from webtext.flows.prefect.door import Door
from webtext.pipeline.core.directories.places import REPORT
from webtext.pipeline.core.pool import die_with

TAKEN = 3  # the exit code if another server is using this database
PATIENCE = 10.0  # s that the previous server may take to end
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


def main(descriptor: int, parent: int) -> None:
    """Serve until stopped, or until the process `parent` has ended.

    `parent` is passed as an argument, because it may have ended before this code runs.
    """
    threading.Thread(target=die_with, args=(parent,), daemon=True).start()
    home = Path(os.environ["PREFECT_HOME"])
    held = alone(home)
    gc.disable()  # imports make much and leave no garbage: a quarter of their CPU time was this
    import uvicorn
    from prefect.server.api.server import create_app

    if DATABASE not in os.environ:
        begin_database(home / FILE)
    # Its own log does not help people; errors are on stderr, which is a file.
    listening = socket.socket(fileno=descriptor)
    secret = os.environ["PREFECT_SERVER_API_AUTH_STRING"]
    report = home.parent / REPORT  # `.prefect` is in the data directory
    app = Door(create_app(), listening.getsockname()[1], secret, report)
    gc.freeze()
    gc.enable()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])
    os.close(held)


def alone(home: Path) -> int:
    """Lock the database, so that no second server ever uses it; exit if another one does."""
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
    """Make a new database as a copy of the last new one, because Prefect takes 4 s of CPU for it.

    The copy is of the same version, in the user's cache; without a whole one, Prefect makes it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "webtext"
    blank = cache / f"prefect-{importlib.metadata.version('prefect')}.db"
    if database.exists():
        return
    partial = database.with_name(f"prefect.db.{os.getpid()}")
    with suppress(OSError, sqlite3.Error):
        if whole(blank):
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
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        made.replace(blank)


def whole(database: Path) -> bool:
    """Whether there is a database, and it is not damaged, as a power failure may leave it.

    Raises:
        sqlite3.Error: it is none.
    """
    if not database.exists() or not database.stat().st_size:
        return False
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as known:
        return bool(known.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
