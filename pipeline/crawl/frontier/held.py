# ruff: noqa: S608 - the statements are put together from the constants below, and nothing else
"""The pages that other crawls of a data directory hold: taken over, and not fetched again.

A data directory's `pages-*` directories together are one archive, to which crawls only add. Each is
named after its links, so another list, another dump or another name of one begins a new directory;
that one asks all others first. What they hold of a link becomes its outcome: the same row, with
the place of the record in the other directory's WARC file. Nothing is copied or moved.

Which record of a page is taken:

- a page of the same URL key, if the settings of its crawl were as strict (`Profile`);
- a final failure (`fates.final`) of the same URL, if these settings were the same. Other failures
  may pass, so those links are fetched;
- of several, the one that was requested last.

With `crawl.refresh_after`, a record that is older than so many days is not taken; if it is a page,
the host is asked whether that page has changed, as in a refresh.
"""

import json
import logging
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webtext.pipeline.archive import payload
from webtext.pipeline.archive.gzip_members import members
from webtext.pipeline.core.directories.checked import stamp
from webtext.pipeline.core.directories.keeping import (
    DAMAGED,
    STARTED,
    json_or_none,
    note_references,
    noted_references,
    set_aside_folders,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import directory_name
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.frontier import outcomes, recovery, schema
from webtext.pipeline.crawl.frontier.earlier import ASKED, PLACE
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import DONE, FOUND, PENDING
from webtext.pipeline.crawl.profile import NOTE, Profile
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls.forgotten import recorded
from webtext.pipeline.urls.urls import url_id

log = logging.getLogger(__name__)

NAME = "pages"  # of the step, and the prefix of its directories
SCRATCH = "held.partial"  # removed with all partial files if the process dies
ROWS = 4096  # at a time
DAY = 86_400_000  # ms

AT = {name: number for number, name in enumerate(("url", *FOUND))}  # columns of a recovery.Row
FILES = [AT["warc_file"], AT["payload_file"]]

LOOKED = """
CREATE TABLE IF NOT EXISTS source (  -- directories whose records were offered to all links
    name TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    taken INTEGER NOT NULL
) WITHOUT ROWID"""

HELD = f"""
CREATE TABLE scratch.held (
    id TEXT NOT NULL, url TEXT NOT NULL, {", ".join(FOUND)}, source INTEGER NOT NULL,
    PRIMARY KEY (id, url)
) WITHOUT ROWID"""

KEEP_LAST = (
    f"INSERT INTO scratch.held VALUES (?, ?{', ?' * len(FOUND)}, ?) ON CONFLICT (id, url) DO"
    f" UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in (*FOUND, 'source'))}"
    " WHERE excluded.started > started"
)


@dataclass(frozen=True)
class Source:
    """Another crawl's directory, complete or not."""

    home: Path
    profile: Profile
    stamp: str  # changes whenever its records may have changed


@dataclass(frozen=True)
class Record:
    """The outcome of a page's last request, with file names relative to the new directory."""

    row: recovery.Row
    source: int

    def __getitem__(self, column: str) -> Any:
        return self.row[AT[column]]


def take_over(frontier: Frontier, out: Path, settings: Crawl) -> int:
    """Give the pending links the outcomes that other directories hold; return how many it were.

    Called at each start: a directory that has not changed since the last one is not read again.
    """
    with frontier.explained():
        frontier.db.execute(LOOKED)
        looked = dict(frontier.db.execute("SELECT name, stamp FROM source").fetchall())
    new = [one for one in sources(out, settings) if looked.get(one.home.name) != one.stamp]
    if not new:
        return 0
    taken: Counter[int] = Counter()
    with frontier.explained(), scratch(frontier.db, out):
        names: set[str] = set()
        with frontier.transaction():
            for number, source in enumerate(new):
                records = usable(source, Profile.of(settings), out)
                filled = ((*_keys(row), *row[1:], number) for row in _named(records, names))
                frontier.db.executemany(KEEP_LAST, filled)
        # Before any row names these directories, so that gc knows of them at every moment.
        note_references(out, {**dict.fromkeys(sorted(names), 0), **noted_references(out)})
        # After a repair records are read before they are believed, which costs much otherwise.
        doubted = any(folder.name.endswith(DAMAGED) for folder in set_aside_folders(out))
        places = recovery.Places(out, reading=doubted)
        for page in _pending(frontier):
            taken += _offer(frontier, page, settings, places, [one.home.name for one in new])
        with frontier.transaction():
            recovery.finish_hosts(frontier)
            frontier.db.executemany(
                "INSERT INTO source VALUES (?, ?, 0)"
                " ON CONFLICT (name) DO UPDATE SET stamp = excluded.stamp",
                [(one.home.name, one.stamp) for one in new],
            )
    if count := taken.total():
        log.warning(
            "%s: %d of %d links are not fetched again: earlier crawls hold what became of them",
            out,
            count,
            frontier.total(),
        )
    return count


def references(frontier: Frontier) -> dict[str, int]:
    """Return the directories that outcomes point into, with how many outcomes came from each."""
    db = frontier.db
    columns = ("warc_file", "payload_file")
    with frontier.explained():
        named = [
            name
            for column in columns
            for (name,) in db.execute(
                f"SELECT DISTINCT {column} FROM outcome WHERE {column} GLOB '../*'"
            )
        ]
    found = dict.fromkeys(sorted(filter(None, map(_directory, named))), 0)
    with suppress(sqlite3.OperationalError):  # no such table: nothing was looked for
        found |= dict(db.execute("SELECT name, taken FROM source WHERE taken > 0").fetchall())
    return dict(sorted(found.items()))


# --- the other directories -----------------------------------------------------------------------


def sources(out: Path, settings: Crawl) -> list[Source]:
    """Return the other crawls beside `out` whose settings are known, in the order of their names.

    Complete directories are known by their manifests, others by what their WARC files say of
    themselves. Earlier versions wrote less into those: then a directory is known if its name, a
    digest of its settings and inputs, is the one that the present settings give.
    """
    found = []
    for home in sorted(out.parent.glob(f"{NAME}-*")):
        if not home.is_dir() or home.name == out.name or ".damaged-" in home.name:
            continue
        profile = _profile(home, settings)
        if profile is not None:
            found.append(Source(home, profile, _stamp(home)))
    return found


def _profile(home: Path, settings: Crawl) -> Profile | None:
    directory = Directory(home)
    if directory.whole:
        with suppress(UserError, KeyError, TypeError):
            stages = directory.manifest()["stages"]
            if "crawl" not in stages:
                return None  # an import of WARC files, by whose rules nobody knows
            return Profile.recorded(stages["crawl"]["settings"])
    for path in sorted(home.glob("*.warc.gz")):
        if (first := next(members(path), None)) is not None and first.content is not None:
            note = payload.header(payload.headers(b"\n" + first.block), NOTE)
            if note is not None:
                return Profile.read(note)
    begun = json_or_none(home / STARTED)
    inputs = [list(begun)] if isinstance(begun, dict) else []
    inputs += [[path.name] for path in sorted(home.parent.glob("links-*"))]
    alike = any(directory_name(NAME, (settings,), names) == home.name for names in inputs)
    return Profile.of(settings) if alike else None


def _stamp(home: Path) -> str:
    """Return what changes when the records of a directory may have changed."""
    whole = Directory(home).manifest_path
    if whole.exists():
        return json.dumps(stamp(whole)[:2])
    sizes = {path.name: path.stat().st_size for path in sorted(home.glob("*.warc.gz"))}
    return json.dumps([sizes, sorted(path.name for path in home.glob(schema.NAME))])


def rows_of(home: Path) -> Iterator[recovery.Row]:
    """Yield the outcomes that a directory holds, whatever its state; nothing in it changes."""
    directory = Directory(home)
    try:
        if directory.whole and directory.numbers(outcomes.UNDER):
            yield from recovery.of_outcomes(directory)
            return
    except UserError as error:
        log.warning("%s", error)
    for former in recovery.former(home):
        with suppress(UserError):
            yield from recovery.of_outcomes(former)
    for folder in (*set_aside_folders(home), home):
        yield from recovery.of_frontier(folder / schema.NAME)
    ends = _ends(home / schema.NAME)
    for path in sorted(home.glob("*.warc.gz")):
        for unit in recovery.units(path, ends.get(path.name, 0), {}):
            yield from recovery.rows_of_unit(path.name, unit, {})


def _ends(frontier: Path) -> dict[str, int]:
    """Return up to where the frontier of an unfinished crawl knows its WARC files."""
    if not frontier.exists():
        return {}
    try:
        with closing(sqlite3.connect(frontier, isolation_level=None)) as db:
            (known,) = db.execute("PRAGMA application_id").fetchone()
            if known != schema.TAKEN_UP:
                return {}
            return dict(db.execute("SELECT name, end FROM file").fetchall())
    except sqlite3.DatabaseError:  # damaged, or at work: the WARC files hold the same
        return {}


def usable(source: Source, wanted: Profile, out: Path) -> Iterator[recovery.Row]:
    """Yield the records of a directory that a crawl of `wanted` may use."""
    pages, failures = source.profile.pages_serve(wanted), source.profile == wanted
    places = recovery.Places(out)
    forgotten = recorded(out.parent)
    for found in rows_of(source.home):
        row = list(found)
        trip = json.loads(row[AT["redirects"]] or "[]") if forgotten else ()
        if forgotten(row[0], row[AT["final_url"]], *trip):
            continue
        for column in FILES:
            if row[column] is not None:
                row[column] = os.path.relpath(source.home / row[column], out)
        fate = row[AT["dropped_by"]]
        if fate is None:
            hops = len(json.loads(row[AT["redirects"]] or "[]"))
            serves = pages and wanted.page_serves(row[AT["body_bytes"]] or 0, hops)
            serves = serves and row[AT["warc_file"]] is not None
        else:
            serves = failures and fates.final(fate, row[AT["status"]])
        if serves and row[AT["started"]] is not None and places.there(tuple(row)):
            yield tuple(row)


def _named(rows: Iterator[recovery.Row], names: set[str]) -> Iterator[recovery.Row]:
    """Yield rows, and note the directories that they point into."""
    files: set[str | None] = set()
    for row in rows:
        for column in FILES:
            if row[column] not in files:
                files.add(row[column])
                names.update(filter(None, [_directory(row[column])]))
        with suppress(ValueError):  # not a URL of a page
            url_id(row[0])
            yield row


def _keys(row: recovery.Row) -> tuple[str, str]:
    return url_id(row[0]), row[0]


def _directory(file: str | None) -> str | None:
    """Return the name of the neighbouring directory that a file lies in, None if it is another.

    >>> _directory("../pages-1c0de5aa/00000.warc.gz"), _directory("00000.warc.gz")
    ('pages-1c0de5aa', None)
    """
    parts = Path(file or "").parts
    return parts[1] if len(parts) == 3 and parts[0] == ".." else None


@contextmanager
def scratch(db: sqlite3.Connection, out: Path) -> Iterator[None]:
    """Attach an empty database on the same disk, whose loss costs nothing."""
    path = out / SCRATCH
    path.unlink(missing_ok=True)
    db.execute("ATTACH ? AS scratch", (str(path),))
    try:
        db.execute("PRAGMA scratch.journal_mode = OFF")
        db.execute("PRAGMA scratch.synchronous = OFF")
        db.execute(HELD)
        yield
    finally:
        with suppress(sqlite3.OperationalError):  # after an error; closing the frontier ends it
            db.execute("DETACH scratch")
        path.unlink(missing_ok=True)


# --- giving links their outcomes -----------------------------------------------------------------


def _pending(frontier: Frontier) -> Iterator[list[tuple[int, str, str]]]:
    """Yield key, id and URL of all pending links, in order."""
    last = -1
    while True:
        page = frontier.db.execute(
            "SELECT key, id, link.url FROM url CROSS JOIN link USING (key)"
            f" WHERE key > ? AND state = {PENDING} ORDER BY key LIMIT {ROWS}",
            (last,),
        ).fetchall()
        if not page:
            return
        last = page[-1][0]
        yield page


def _offer(
    frontier: Frontier,
    page: Sequence[tuple[int, str, str]],
    settings: Crawl,
    places: recovery.Places,
    names: Sequence[str],
) -> Counter[int]:
    """Give some links their outcomes; return how many came from each source, and note it."""
    held: dict[str, list[Record]] = defaultdict(list)
    marks = ", ".join("?" * len(page))
    query = f"SELECT * FROM scratch.held WHERE id IN ({marks}) ORDER BY id, url"
    for identity, *row, source in frontier.db.execute(query, [link[1] for link in page]):
        held[identity].append(Record(tuple(row), source))
    oldest = -1.0
    if settings.refresh_after is not None:
        oldest = frontier.clock() * 1000 - settings.refresh_after * DAY
    taken: Counter[int] = Counter()
    done, asked = [], []
    for key, identity, url in page:
        found = chosen(held.get(identity, ()), url)
        if found is None or not places.there(found.row):
            continue
        if found["started"] > oldest:
            done.append((key, *found.row[1:]))
            taken[found.source] += 1
        elif found["dropped_by"] is None and not found["truncated"] and found["digest"]:
            asked.append((packed(found), key))
    with frontier.transaction():
        frontier.db.executemany(
            f"INSERT INTO outcome (key, {', '.join(FOUND)}) VALUES (?{', ?' * len(FOUND)})", done
        )
        frontier.db.executemany(
            f"UPDATE url SET state = {DONE} WHERE key = ?", [(row[0],) for row in done]
        )
        frontier.db.executemany("UPDATE link SET earlier = ? WHERE key = ?", asked)
        frontier.db.executemany(  # without its stamp, so that a start after a kill offers the rest
            "INSERT INTO source VALUES (?, '', ?)"
            " ON CONFLICT (name) DO UPDATE SET taken = taken + excluded.taken",
            [(names[number], count) for number, count in taken.items()],
        )
    return taken


def chosen(records: Sequence[Record], url: str) -> Record | None:
    """Return the record that a link takes: the last page of its key, or failure of its URL."""
    fit = [one for one in records if one["dropped_by"] is None or one["url"] == url]
    return max(fit, key=lambda one: (one["started"], one["url"] == url), default=None)


def packed(record: Record) -> str:
    """Return a page as `Earlier` unpacks it."""
    where = "payload" if record["payload_file"] else "warc"
    place = {part: record[f"{where}_{part}"] for part in PLACE}
    return json.dumps({name: record[column] for name, column in ASKED.items()} | place)
