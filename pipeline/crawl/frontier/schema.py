# ruff: noqa: S608 - the statements are put together from the constants below, and nothing else
"""The tables of the crawl's frontier, and the conversion of an earlier layout.

Three tables share a URL's key, each in the order in which it is used. `url` holds the columns that
change while a crawl runs, in rows of a dozen bytes that keep their length, so that the active
hosts fit in few pages. `link` holds read-only columns. `outcome` is only appended to, and gets an
index once the crawl is over: an acknowledgement costs the same however large the tables are.

The key is SQLite's own row number, with the host above and the row in the links' shard below it. So
a host's rows are neighbours, and the inner pages of the trees hold only numbers.
"""

import sqlite3
from pathlib import Path

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.frontier.rows import FOUND, PENDING, SHARD

NAME = "frontier.sqlite"  # of the file, next to the WARC files until all outcomes are written
ENDS = ("", "-wal", "-shm", "-journal")  # of the names of SQLite's files, after the table's own
FILES = tuple(NAME + end for end in ENDS)
PARTS = "parts"  # folder next to it, while a runner's workers crawl parts (`division`)
VERSION = 2  # of the layout; SQLite keeps it as the file's user_version, 0 in a new file
TAKEN_UP = 1  # SQLite's application_id once the outcomes on disk are added; 0 in a new file
PAGE = 8192  # bytes of a page of the trees; large pages make shallower trees

TABLES = (
    """
CREATE TABLE IF NOT EXISTS shard (
    number INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    first_host INTEGER NOT NULL,
    last_host INTEGER NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS seen (
    one INTEGER PRIMARY KEY,
    at REAL NOT NULL  -- Unix time of the last commit
)""",
    """
CREATE TABLE IF NOT EXISTS file (
    name TEXT PRIMARY KEY,
    shard INTEGER NOT NULL,
    end INTEGER NOT NULL  -- bytes that hold records of DONE rows; what lies behind is a torn tail
) WITHOUT ROWID""",
    """
CREATE TABLE IF NOT EXISTS host (
    host INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    urls INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,  -- Unix time, while PARKED
    errors INTEGER NOT NULL DEFAULT 0,  -- failures in a row
    cursor INTEGER NOT NULL DEFAULT -1  -- the last URL that had its turn in this pass
)""",
    # Each index covers one state, so that most changes of a host update neither.
    "CREATE INDEX IF NOT EXISTS host_waiting ON host (urls DESC) WHERE state = 0",
    "CREATE INDEX IF NOT EXISTS host_parked ON host (not_before) WHERE state = 2",
    """
CREATE TABLE IF NOT EXISTS url (
    key INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS link (
    key INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    id TEXT, url TEXT, domain TEXT, score INTEGER, subreddit TEXT, linked INTEGER,
    earlier TEXT  -- the page as an earlier crawl kept it
)""",
    """
CREATE TABLE IF NOT EXISTS outcome (
    key INTEGER NOT NULL,  -- of a URL that is DONE
    attempts INTEGER, started INTEGER, dropped_by TEXT, dropped_value REAL,
    final_url TEXT, redirects TEXT, status INTEGER, content_type TEXT,
    robots TEXT, robots_time INTEGER, signals TEXT, ip TEXT,
    first_byte_ms INTEGER, elapsed_ms INTEGER, wire_bytes INTEGER, body_bytes INTEGER,
    truncated TEXT, etag TEXT, last_modified TEXT,
    warc_file TEXT, warc_offset INTEGER, warc_length INTEGER, digest TEXT,
    revisit TEXT, payload_file TEXT, payload_offset INTEGER, payload_length INTEGER
)""",
)

# Layout 1 had all columns of a URL in one row of `url`, by (host, n), and its states from 0.
_KEY = f"host * {SHARD} + n % {SHARD}"
_FOUND = ", ".join(FOUND)
_LINK = "n, id, url, domain, score, subreddit, linked, earlier"
MOVE = (
    f"INSERT INTO url SELECT {_KEY}, state + {PENDING}, attempts FROM former ORDER BY host, n",
    f"INSERT INTO link (key, {_LINK}) SELECT {_KEY}, {_LINK} FROM former ORDER BY host, n",
    f"INSERT INTO outcome (key, {_FOUND}) SELECT {_KEY}, {_FOUND} FROM former WHERE state = 2",
    "DROP TABLE former",
    "DROP INDEX IF EXISTS host_state",
)


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the missing tables, and convert an earlier layout.

    Works in the caller's transaction: if the process is killed, the file stays as it was.

    Raises:
        UserError: a later version of this program made the file.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION:
        raise UserError(
            f"{path}: has layout {version}, and this version of webtext knows {VERSION} and "
            "earlier; go on with the version that began this crawl"
        )
    former = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'url'").fetchone()
    if former:
        db.execute("ALTER TABLE url RENAME TO former")
    for statement in TABLES:
        db.execute(statement)
    if former:
        for statement in MOVE:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")


def remedy(path: Path) -> str:
    """Return what to do about a damaged frontier; its log beside it (-wal) belongs to it."""
    return (
        f"move {path}* elsewhere and run the same command again: it is rebuilt from the WARC files "
        "beside it, and nothing is lost"
    )
