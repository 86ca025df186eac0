# ruff: noqa: S608 - the statements are put together from the constants below, and nothing else
"""The URLs that must still be fetched: a table on disk that survives a kill at any moment.

A URL is PENDING, then LEASED (it may be in flight), then DONE, with its outcome in another row. A
host is WAITING for its turn, ACTIVE on the workbench, PARKED until a time, or FINISHED. A host's
URLs are taken in the order of their rows; retries come in a further pass, so the requests to a
host, and their order, depend on its answers alone.

Related changes are committed together, and only after the WARC records they name are on disk, so
after `kill -9` the table is at worst behind the WARC files, which are then cut back to it.

The process that has it open is its only owner, so a URL that is LEASED when the table is opened
was lost by a process that died, and becomes PENDING again.
"""

import errno
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.crawl.frontier.earlier import rows as rows_of
from webtext.pipeline.crawl.frontier.rows import (
    ACTIVE,
    DONE,
    FINISHED,
    FOUND,
    LEASED,
    PARKED,
    PENDING,
    SHARD,
    WAITING,
    Changes,
    Done,
    HostRow,
    Item,
    as_outcomes,
    key,
    span,
)
from webtext.pipeline.crawl.frontier.targets import host_of
from webtext.pipeline.links.wanted import Wanted, wanted

DISK = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}
CACHE_KIB = 64 << 10  # SQLite's own page cache


ACK = f"INSERT INTO outcome (key, {', '.join(FOUND)}) VALUES (?{', ?' * len(FOUND)})"


class DamagedError(UserError):
    """The table cannot be read any more; the WARC files contain all that it knew."""


class LockedError(UserError):
    """Another process has the table open."""


def steady() -> Callable[[], float]:
    """Return a clock of Unix time that does not jump when the system's clock is set."""
    ahead = time.time() - time.monotonic()
    return lambda: time.monotonic() + ahead


class Frontier:
    """The open table; no other process may use it.

    `rest` is how many seconds to wait with hosts that another process was working on.

    Raises:
        UserError: another process has it open, it is damaged, or the disk is full.
    """

    def __init__(
        self, path: Path, rest: float = 0.0, clock: Callable[[], float] | None = None
    ) -> None:
        self.path = path
        self.clock = clock or steady()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Calls come from one thread at a time, but not always from the same thread.
        self.db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        with self.explained():
            self.db.execute(f"PRAGMA page_size = {schema.PAGE}")  # of a new file
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")  # locked until we close it or die
            self.db.execute("PRAGMA journal_mode = WAL")
            # A power cut may then undo the last commits, but never a part of one.
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            with self.transaction():
                schema.prepare(self.db, path)
                self._set_back()
                self.db.execute(f"UPDATE url SET state = {PENDING} WHERE state = {LEASED}")
                resting = self.db.execute(  # a request may have been sent just before a kill
                    f"UPDATE host SET state = {PARKED}, not_before = ? WHERE state = {ACTIVE}",
                    (self.clock() + rest,),
                )
        self.asked = resting.rowcount > 0  # whether a crawl may have asked hosts a moment ago

    def _set_back(self) -> None:
        """Move back the times that hosts wait for, if the clock was set back since the last commit.

        A clock that was set forward looks as if time had passed without a crawl.
        """
        (seen,) = self.db.execute("SELECT coalesce(max(at), 0) FROM seen").fetchone()
        self.db.execute(
            f"UPDATE host SET not_before = not_before - ? WHERE state = {PARKED}",
            (max(0.0, seen - self.clock()),),
        )
        self._see()

    def _see(self) -> None:
        """Store the time, so that a clock that is set back is detected."""
        self.db.execute("INSERT OR REPLACE INTO seen VALUES (0, ?)", (self.clock(),))

    def close(self) -> None:
        """Close the table."""
        self.db.close()

    def remove(self) -> None:
        """Remove the table: all its rows have been written as outcomes."""
        self.close()
        for suffix in ("-wal", "-shm", "-journal", ""):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn SQLite's errors about locks, damage and space into advice for the user.

        Raises:
            UserError: the table is locked or damaged.
            OSError: the disk is full or cannot be written.
        """
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise LockedError(
                    f"{self.path}: another crawl is at work in this directory; let it finish, or "
                    "stop it, and run again"
                ) from None
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                said = f"{self.path}: damaged ({error}); {schema.remedy(self.path)}"
                raise DamagedError(said) from error
            if code in DISK:
                raise OSError(DISK[code], str(error), str(self.path)) from error
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all of the block or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:  # SQLite itself rolls back when the disk is full
                self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    # Filling

    def fill(self, links: Directory, earlier: Directory | None = None) -> None:
        """Add the links of every shard that is not in the table yet, with their earlier pages."""
        with self.explained():
            known = {number for (number,) in self.db.execute("SELECT number FROM shard")}
            for number in links.numbers():
                if number not in known:
                    with self.transaction():
                        before = rows_of(earlier, number, self.path.parent) if earlier else None
                        self.fill_shard(number, wanted(links.shard(number)), before)

    def fill_shard(
        self,
        number: int,
        batches: Iterable[list[Wanted]],
        known: Iterable[tuple[str | None, str | None]] | None = None,
    ) -> None:
        """Add one shard's links, which keep their order in `n`; `known` has the same order.

        Raises:
            PipelineError: a host is in another shard as well; `known` belongs to other links.
        """
        earlier = iter(known) if known is not None else repeat((None, None))
        (last,) = self.db.execute("SELECT coalesce(max(host), 0) FROM host").fetchone()
        hosts: dict[str, int] = {}
        counts: Counter[int] = Counter()
        n = number * SHARD
        for batch in batches:
            rows = []
            for i, row in enumerate(batch):
                name = host_of(row.url) or f"?{number}"
                host = hosts.setdefault(name, last + 1 + len(hosts))
                identity, packed = next(earlier, ("", None))
                if identity not in (None, row.id):
                    raise PipelineError(f"links shard {number}: the earlier crawl had other links")
                rows.append((key(host, n + i), n + i, *row, packed))
            counts.update(row[0] // SHARD for row in rows)
            n += len(batch)
            self.db.executemany(
                "INSERT INTO link (key, n, id, url, domain, score, subreddit, linked, earlier)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                sorted(rows, key=itemgetter(0)),
            )
        self.db.execute(
            f"INSERT INTO url SELECT key, {PENDING}, 0 FROM link WHERE key > ? ORDER BY key",
            (key(last + 1, 0) - 1,),
        )
        try:
            self.db.executemany(
                "INSERT INTO host (host, name, urls) VALUES (?, ?, ?)",
                ((host, name, counts[host]) for name, host in hosts.items()),
            )
        except sqlite3.IntegrityError:
            raise PipelineError(
                f"links shard {number}: a host of it lies in another shard too; shards are to be "
                "cut by registrable domain"
            ) from None
        self.db.execute(
            "INSERT INTO shard VALUES (?, ?, ?, ?)",
            (number, n - number * SHARD, last + 1, last + len(hosts)),
        )

    # Leasing and acknowledging

    def activate(self, limit: int) -> list[HostRow]:
        """Take up to `limit` waiting hosts, those with the most URLs first, and make them ACTIVE.

        The host with the most URLs decides how long a polite crawl takes, so it begins first.
        """
        with self.explained(), self.transaction():
            self.db.execute(
                f"UPDATE host SET state = {WAITING} WHERE state = {PARKED} AND not_before <= ?",
                (self.clock(),),
            )
            found = self.db.execute(
                f"SELECT host, name, errors, cursor FROM host WHERE state = {WAITING}"
                " ORDER BY urls DESC LIMIT ?",
                (limit,),
            )
            rows = [HostRow(*row) for row in found]
            self.db.executemany(
                f"UPDATE host SET state = {ACTIVE} WHERE host = ?", [(row.host,) for row in rows]
            )
        return rows

    def lease(self, hosts: Sequence[tuple[int, int]], each: int) -> list[list[Item]]:
        """Lease up to `each` URLs of each host, as (host, cursor), in the order of their rows."""
        query = (
            "SELECT ?1, n, url, attempts, earlier FROM url CROSS JOIN link USING (key)"
            f" WHERE key > ?2 AND key < ?3 AND state = {PENDING}"
            " ORDER BY key LIMIT ?4"
        )
        with self.explained(), self.transaction():
            leased = [
                list(map(Item._make, self.db.execute(query, (host, *span(host, cursor), each))))
                for host, cursor in hosts
            ]
            self.db.executemany(
                f"UPDATE url SET state = {LEASED} WHERE key BETWEEN ? AND ? AND state = {PENDING}",
                [(key(*items[0][:2]), key(*items[-1][:2])) for items in leased if items],
            )
        return leased

    def commit(self, changes: Changes) -> int:
        """Commit what happened, all of it or nothing; return how many URLs became DONE.

        Raises:
            OSError: the disk is full; nothing has changed.
        """
        done = len(changes.done)
        with self.explained(), self.transaction():
            self._acknowledge(changes.done)
            self.db.executemany(
                f"UPDATE url SET state = {PENDING}, attempts = ?"
                f" WHERE key = ? AND state = {LEASED}",  # not if its host was given up since
                [(item.attempts, key(item.host, item.n)) for item in changes.returned],
            )
            for host, errors in changes.given_up:
                done += self.give_up(host, errors)
            self.db.executemany(
                "UPDATE host SET state = ?, not_before = ?, errors = ?, cursor = ? WHERE host = ?",
                changes.hosts,
            )
            self.db.executemany(
                f"UPDATE host SET cursor = -1, not_before = :until, state = CASE WHEN EXISTS"
                f" (SELECT 1 FROM url WHERE key >= :host * {SHARD}"
                f" AND key < (:host + 1) * {SHARD} AND url.state = {PENDING})"
                f" THEN {PARKED} ELSE {FINISHED} END WHERE host = :host",
                [{"host": host, "until": until} for host, until in changes.passed],
            )
            self.db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", changes.files)
            self._see()
        return done

    def _acknowledge(self, done: Sequence[Done]) -> None:
        """Store outcomes, and mark their URLs as having one.

        Raises:
            PipelineError: one of them had one already.
        """
        if not done:
            return
        (last,) = self.db.execute("SELECT coalesce(max(rowid), 0) FROM outcome").fetchone()
        self.db.executemany(ACK, [outcome.row() for outcome in done])
        count = self.db.execute(
            f"UPDATE url SET state = {DONE}"
            f" WHERE key IN (SELECT key FROM outcome WHERE rowid > ?) AND state < {DONE}",
            (last,),
        ).rowcount
        if count != len(done):
            found = f"{len(done)} outcomes of {count} URLs"
            raise PipelineError(f"{self.path}: {found}; {schema.remedy(self.path)}")

    def give_up(self, host: int, errors: int) -> int:
        """Give up a host's remaining URLs; return their number."""
        left = f"key > ? AND key < ? AND state < {DONE}"
        self.db.execute(
            "INSERT INTO outcome (key, attempts, dropped_by, dropped_value)"
            f" SELECT key, attempts, ?, ? FROM url WHERE {left}",
            (fates.HOST_GIVEN_UP, errors, *span(host)),
        )
        return self.db.execute(f"UPDATE url SET state = {DONE} WHERE {left}", span(host)).rowcount

    # Queries

    def wait(self) -> float | None:
        """Return in how many seconds a host may be activated; None if no host is left."""
        with self.explained():
            query = f"SELECT 1 FROM host WHERE state = {WAITING} LIMIT 1"
            if self.db.execute(query).fetchone():
                return 0.0
            query = f"SELECT min(not_before) FROM host WHERE state = {PARKED}"
            (earliest,) = self.db.execute(query).fetchone()
        return None if earliest is None else max(0.0, earliest - self.clock())

    def parked(self) -> int:
        """Return how many hosts are parked until a time, mostly after failures."""
        with self.explained():
            query = f"SELECT count(*) FROM host WHERE state = {PARKED}"
            return int(self.db.execute(query).fetchone()[0])

    def total(self) -> int:
        """Return how many URLs there are."""
        with self.explained():
            found = self.db.execute("SELECT coalesce(sum(rows), 0) FROM shard").fetchone()
        return int(found[0])

    def tally(self) -> Counter[str]:
        """Count the DONE URLs by reason; "kept" if they have none."""
        query = "SELECT coalesce(dropped_by, 'kept'), count(*) FROM outcome GROUP BY 1"
        with self.explained():
            return Counter(dict(self.db.execute(query).fetchall()))

    def files(self) -> list[tuple[str, int, int]]:
        """Return the WARC files: name, shard, and the byte where the records of DONE URLs end."""
        with self.explained():
            return self.db.execute("SELECT name, shard, end FROM file ORDER BY name").fetchall()

    def outcomes(self, shard: int, rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a shard in the order of its links."""
        with self.explained():  # made at the end, where it costs a crawl the least
            self.db.execute("CREATE UNIQUE INDEX IF NOT EXISTS outcome_key ON outcome (key)")
            query = "SELECT first_host, last_host FROM shard WHERE number = ?"
            first, last = self.db.execute(query, (shard,)).fetchone()
        columns = ("outcome." + name if name in FOUND else name for name in OUTCOME.names)
        query = (
            f"SELECT {', '.join(columns)} FROM link LEFT JOIN outcome USING (key)"
            " WHERE key >= ? AND key < ? ORDER BY n"
        )
        yield from map(as_outcomes, self.read(query, (key(first, 0), key(last + 1, 0)), rows))

    def read(self, query: str, values: Sequence[Any] = (), rows: int = 4096) -> Iterator[list[Any]]:
        """Yield the rows that a query finds, many at a time."""
        with self.explained():
            found = self.db.execute(query, values)
        while True:
            with self.explained():
                batch = found.fetchmany(rows)
            if not batch:
                return
            yield batch
