"""What of documents is in Prefect's database, and how it goes when pages are to be forgotten."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from webtext.pipeline.core.errors import UserError

DATABASE = "prefect.db"  # in PREFECT_HOME
SAMPLES = "-samples"  # ends the keys of artifacts with texts of documents
TABLES = {"artifact", "artifact_collection"}  # Prefect's, that have them
WAIT_SECONDS = 30.0  # s for a server to finish what it writes


def prefect_home(data: Path) -> Path:
    """Return where Prefect keeps its state for this data directory."""
    return Path(os.environ.get("PREFECT_HOME") or data / ".prefect").expanduser()


def without_samples(home: Path) -> None:
    """Remove the samples of documents from Prefect's pages: some may be to be forgotten.

    Raises:
        UserError: its database is damaged, or in use for long.
    """
    if not (database := home / DATABASE).exists():
        return
    try:
        with closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as known:
            known.execute("PRAGMA secure_delete = ON")  # zeros in their place, in the file too
            there = {name for (name,) in known.execute("SELECT name FROM sqlite_master")}
            with known:
                for table in TABLES & there:  # none in one that a server is making
                    known.execute(f"DELETE FROM {table} WHERE key LIKE ?", [f"%{SAMPLES}"])  # noqa: S608 -- one of these
            known.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise UserError(
            f"{database}: texts of documents in it cannot be removed ({error}); stop the Prefect "
            "server that uses it, or, if it is damaged, move it elsewhere (it holds the history of "
            "runs), and run the same command again"
        ) from None
