# ruff: noqa: S608 - the statements are put together from the constants below, and nothing else
"""Rebuild or update a frontier from the files on disk, so that nothing is fetched twice.

The frontier is at worst behind the WARC files, because it acknowledges records only once they are
written. So a resumed crawl adds the records that the frontier lacks. Where the frontier is lost or
has other links, all WARC files are read, and the outcomes and the former frontier if they exist.

The crawl ends each visit with a metadata record that holds the whole outcome as a row of the
frontier, even if nothing else was archived. Earlier versions wrote less into it; then the
outcome is combined from this record and the response.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from webtext.pipeline.archive import payload
from webtext.pipeline.archive.gzip_members import Member, members, whole
from webtext.pipeline.core.directories.keeping import set_aside_folders
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_batches, sync_directory
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.frontier import outcomes, schema
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import DONE, FINISHED, FOUND, LISTS, SHARD, Done

log = logging.getLogger(__name__)

NOTE = "outcome"  # the line of a metadata record that holds an outcome as JSON
GIVEN_UP = "host-given-up"  # the line that says that no more URLs of a host will be requested
TORN = "torn"  # folder of bytes that are not whole records, and of slices that came twice
ROWS = 4096  # at a time
COPY = 1 << 20  # bytes at a time

Row = tuple[Any, ...]  # URL, then the columns of FOUND
PLACES = [
    [1 + FOUND.index(f"{where}_{part}") for part in ("file", "offset", "length")]
    for where in ("warc", "payload")
]  # in a Row
DROPPED_BY = 1 + FOUND.index("dropped_by")  # likewise


def note(url: str, done: Done) -> tuple[str, str]:
    """Return an outcome as a line of a metadata record, without the record's own position.

    Blanks are escaped, because a reader does not preserve the blanks of a line.
    """
    found = dict(zip(FOUND, done.row()[1:], strict=True))
    kept = {name: value for name, value in found.items() if value is not None}
    text = orjson.dumps({"url": url, **kept}).decode()
    return NOTE, text.replace(" ", "\\u0020")


def take_up(frontier: Frontier, out: Path, tag: str = "", part: bool = False) -> int:
    """Add the outcomes in `out` that the frontier does not know; return the number of their URLs.

    An incomplete end of a file, never acknowledged, is copied to `torn/` before the file is cut
    to its last whole record, so that every reader can read the records appended later. With a
    `tag` only the files of that series are read and cut: others are at work in the directory.
    A `part` leaves to others what redirects led to; a crawl of all links fetches that.
    """
    fresh, places = not taken_up(frontier), Places(out, reading=True)
    known = {} if fresh else {name: end for name, _, end in frontier.files()}
    files = sorted(out.glob(f"[0-9][0-9][0-9][0-9][0-9]*{tag}[.-]*warc.gz"))
    given_up: dict[str, int] = {}
    ends: list[tuple[str, int, int]] = []

    def archived() -> Iterator[Row]:
        for path in files:
            start = known.get(path.name, 0)
            end = start
            if path.stat().st_size > start:
                for found in units(path, start, places.damage):
                    end = found.end
                    yield from rows_of_unit(path.name, found, given_up)
                tear(path, end)
            ends.append((path.name, int(path.name[:5]), end))

    rows: list[Iterable[Row]] = [archived()]
    if fresh:  # later outcomes have priority, so the newest folder comes last
        rows += [of_frontier(folder / schema.NAME) for folder in set_aside_folders(out)[::-1]]
        rows += [of_outcomes(directory) for directory in former(out)]
    with frontier.explained(), frontier.transaction():
        there = filter(places.there, chain.from_iterable(rows))
        ours = there if part else ended(there)
        count = put_down(frontier, ours, ends, given_up)
    if count:
        log.warning("%s: took up %d links that its files hold the outcome of", out, count)
    return count


def taken_up(frontier: Frontier) -> bool:
    """Whether the table holds all that was on disk when it was made."""
    with frontier.explained():
        (found,) = frontier.db.execute("PRAGMA application_id").fetchone()
    return bool(found == schema.TAKEN_UP)


def ended(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the outcomes that are one also for a crawl of all links."""
    return (row for row in rows if row[DROPPED_BY] != fates.OTHER_PART)


def put_down(
    frontier: Frontier,
    rows: Iterable[Row],
    files: Sequence[tuple[str, int, int]],
    given_up: Mapping[str, int],
) -> int:
    """Store outcomes found on disk, the last of each URL; return how many were new.

    `given_up` has the hosts that were given up, by name, with their failures in a row; it and
    `files` are filled while `rows` is read.
    """
    db, found = frontier.db, ", ".join(FOUND)
    db.execute(f"CREATE TABLE taken (url TEXT PRIMARY KEY, {found}) WITHOUT ROWID")
    count = 0
    fill = f"INSERT OR REPLACE INTO taken VALUES (?{', ?' * len(FOUND)})"
    if db.executemany(fill, rows).rowcount:
        new = ", ".join(f"taken.{name}" for name in FOUND)
        count = db.execute(
            f"INSERT INTO outcome (key, {found}) SELECT link.key, {new}"
            " FROM link JOIN taken ON taken.url = link.url JOIN url ON url.key = link.key"
            f" WHERE url.state < {DONE}"
        ).rowcount
        db.execute(
            f"UPDATE url SET state = {DONE}"
            f" WHERE state < {DONE} AND key IN (SELECT key FROM outcome)"
        )
    db.execute("DROP TABLE taken")
    for name, errors in given_up.items():
        for (host,) in db.execute("SELECT host FROM host WHERE name = ?", (name,)).fetchall():
            count += frontier.give_up(host, errors)
            end = f"UPDATE host SET state = {FINISHED}, errors = ? WHERE host = ?"
            db.execute(end, (errors, host))
    db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", files)
    db.execute(f"PRAGMA application_id = {schema.TAKEN_UP}")
    return count


def finish_hosts(frontier: Frontier) -> None:
    """Finish the hosts that have no URL left to fetch."""
    hosts = frontier.db.execute(
        f"SELECT host FROM host WHERE state != {FINISHED} AND NOT EXISTS (SELECT 1 FROM url"
        f" WHERE key >= host.host * {SHARD} AND key < (host.host + 1) * {SHARD}"
        f" AND url.state < {DONE})"
    ).fetchall()
    frontier.db.executemany(f"UPDATE host SET state = {FINISHED} WHERE host = ?", hosts)


# --- the WARC files ------------------------------------------------------------------------------


class Unit:
    """The records of one visit: the response, if one was kept, and the metadata."""

    def __init__(self, parts: Sequence[Member]) -> None:
        self.note = parts[-1]
        kinds = {part.header("warc-type"): part for part in parts}
        self.response = kinds.get("response") or kinds.get("revisit")
        self.end = parts[-1].end
        archived = self.note.header("warc-concurrent-to")  # a record that may be damaged
        self.whole = archived is None or bool(
            self.response and self.response.header("warc-record-id") == archived
        )


Damage = dict[str, list[tuple[int, int]]]  # by file: the byte ranges that cannot be read


def units(path: Path, start: int, damage: Damage) -> Iterator[Unit]:
    """Yield the complete visits after `start` in the file; damaged ranges are noted."""
    parts: list[Member] = []
    for member in members(path, start):
        if member.content is None:
            damage.setdefault(path.name, []).append((member.start, member.end))
            parts = []
            continue
        parts.append(member)
        if member.header("warc-type") in ("metadata", "warcinfo"):
            yield Unit(parts)
            parts = []


def tear(path: Path, end: int) -> int:
    """Copy the bytes after `end` to `torn/`, then cut the file there; return their number."""
    size = path.stat().st_size
    if size <= end:
        return 0
    folder = path.parent / TORN
    folder.mkdir(exist_ok=True)
    kept = folder / f"{path.name}.{end}"
    while kept.exists():
        kept = kept.with_name(kept.name + "+")
    partial = kept.with_name(kept.name + ".partial")
    try:
        with path.open("rb") as source, partial.open("wb") as copy:
            source.seek(end)
            while data := source.read(COPY):
                copy.write(data)
            copy.flush()
            os.fsync(copy.fileno())
        partial.rename(kept)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(folder)
    if end:
        os.truncate(path, end)
    else:  # the file has no whole record
        path.unlink()
    return size - end


def rows_of_unit(name: str, unit: Unit, given_up: dict[str, int]) -> Iterator[Row]:
    """Yield the outcome of a visit, if it has one; note a host that it gave up."""
    said: dict[str, list[str]] = {}
    for key, value in payload.headers(b"\n" + unit.note.block):
        said.setdefault(key, []).append(value)
    for entry in said.get(GIVEN_UP, []):
        host, _, errors = entry.rpartition(" ")
        given_up[host] = int(errors)
    if not unit.whole:
        return
    if NOTE in said:
        found = orjson.loads(said[NOTE][0])
    elif "linked" in said and unit.response:
        found = _as_before(said, unit.response)
    else:
        return
    found |= dict.fromkeys(("warc_file", "warc_offset", "warc_length", "digest", "revisit"))
    if unit.response:
        found |= _place(name, unit.response)
    if not found["revisit"]:
        found |= dict.fromkeys(("payload_file", "payload_offset", "payload_length"))
    yield found["url"], *(found.get(column) for column in FOUND)


class Places:
    """Whether the bytes that an outcome names are on disk; names are relative to `out`.

    With `reading`, records in other directories are read: damage there is not known otherwise.
    """

    def __init__(self, out: Path, reading: bool = False) -> None:
        self.out = out
        self.reading = reading
        self.sizes: dict[str, int] = {}
        self.damage: Damage = {}

    def there(self, row: Row) -> bool:
        """Whether the file of a row, or of the page it revisits, is as long as the row says."""
        return all(self._reaches(*(row[column] for column in place)) for place in PLACES)

    def _reaches(self, name: str | None, offset: int | None, length: int | None) -> bool:
        if name is None:
            return True
        if name not in self.sizes:
            path = self.out / name
            self.sizes[name] = path.stat().st_size if path.exists() else 0
        if offset is None or length is None or offset + length > self.sizes[name]:
            return False
        if self.reading and Path(name).parent != Path():
            return whole(self.out / name, offset)
        spoilt = self.damage.get(name, ())
        return not any(start < offset + length and offset < end for start, end in spoilt)


def _place(name: str, response: Member) -> dict[str, Any]:
    """Return the position of a response, and what it says about its payload."""
    profile = response.header("warc-profile")
    return {
        "warc_file": name,
        "warc_offset": response.start,
        "warc_length": response.end - response.start,
        "digest": response.header("warc-payload-digest"),
        "revisit": profile.rpartition("/")[2] if profile else None,
    }


def _as_before(said: dict[str, list[str]], response: Member) -> dict[str, Any]:
    """Return an outcome, as complete as the archive of an earlier version allows."""
    parts = payload.split(response.block)
    head, body = parts or (b"", b"")
    fields = payload.headers(head)
    truncated = response.header("warc-truncated")
    started = datetime.fromisoformat(response.header("warc-date") or "1970-01-01T00:00:00Z")
    large = truncated == "length"
    return {
        "url": said["linked"][0],
        "attempts": 1,
        "started": round(started.timestamp() * 1000),
        "dropped_by": fates.TOO_LARGE if large else None,
        "dropped_value": float(len(body)) if large else None,
        "final_url": response.header("warc-target-uri"),
        "redirects": json.dumps(said["redirected-from"]) if "redirected-from" in said else None,
        "signals": json.dumps(said["opt-out"]) if "opt-out" in said else None,
        "status": payload.status(head),
        "content_type": payload.content_type(fields),
        "robots": said.get("robots", [None])[0],
        "ip": response.header("warc-ip-address"),
        "elapsed_ms": int(said.get("fetchTimeMs", ["0"])[0]),
        "body_bytes": len(body),
        "truncated": truncated,
        "etag": payload.header(fields, "etag"),
        "last_modified": payload.header(fields, "last-modified"),
    }


# --- outcomes of finished crawls, and frontiers of unfinished ones -----------------------------


def former(out: Path) -> list[Directory]:
    """Return the folders with outcomes: those set aside, the newest last, then the directory."""
    found = [*map(Directory, set_aside_folders(out)[::-1]), Directory(out)]
    return [each for each in found if each.numbers(outcomes.UNDER)]


def of_outcomes(directory: Directory) -> Iterator[Row]:
    """Yield the rows of outcomes as the frontier stores them."""
    columns = ["url", *FOUND]
    for path in directory.shards(outcomes.UNDER):
        for batch in _readable(path, columns):
            arrays = []
            for name in columns:
                column = batch[name]
                if pa.types.is_timestamp(column.type):
                    column = column.cast(pa.int64())
                values = column.to_pylist()
                if name in LISTS:
                    values = [json.dumps(value) if value else None for value in values]
                arrays.append(values)
            yield from zip(*arrays, strict=True)


def _readable(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a shard up to the damage; the WARC files have the rest."""
    try:
        yield from read_batches(path, columns, rows=ROWS)
    except UserError as error:
        log.warning("%s", error)


def of_frontier(path: Path) -> Iterator[Row]:
    """Yield the outcomes of a frontier that was set aside, without its damaged parts."""
    if not path.exists():
        return
    # SQLite's errors about a damaged table do no harm here: the WARC files are read too.
    db = sqlite3.connect(path, isolation_level=None)
    columns = ", ".join(f"outcome.{name}" for name in FOUND)
    query = f"SELECT link.url, {columns} FROM outcome JOIN link USING (key)"
    try:
        found = db.execute(query)
        while batch := list(islice(found, ROWS)):
            yield from batch
    except sqlite3.DatabaseError:
        return
    finally:
        db.close()
