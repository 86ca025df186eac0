"""What of documents is in Prefect's database, and how it goes when pages are to be forgotten."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "prefect.db"  # in PREFECT_HOME
SAMPLES = "-samples"  # ends the keys of artifacts with texts of documents


def prefect_home(data: Path) -> Path:
    """Return where Prefect keeps its state for this data directory."""
    return Path(os.environ.get("PREFECT_HOME") or data / ".prefect").expanduser()


def without_samples(home: Path) -> None:
    """Remove the samples of documents from Prefect's pages: some may be to be forgotten.

    Raises:
        sqlite3.Error: its database is damaged, or in use for long.
    """
    if not (database := home / DATABASE).exists():
        return
    with closing(sqlite3.connect(database, timeout=30)) as known:
        known.execute("PRAGMA secure_delete = ON")  # zeros in their place, in the file too
        with known:
            for table in ("artifact", "artifact_collection"):
                known.execute(f"DELETE FROM {table} WHERE key LIKE ?", [f"%{SAMPLES}"])  # noqa: S608 -- one of these
        known.execute("PRAGMA wal_checkpoint(TRUNCATE)")
