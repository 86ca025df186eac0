# ruff: noqa: S608 - the statements are put together from constants, and nothing else
"""One crawl divided among the workers of a runner: each part is a task, and asks hosts of its own.

    frontier ──pending──> parts, a frontier each ──outcomes──> frontier
                              └──WARC files──> the pages directory

What is pending is dealt out by registrable domain. A part is a crawl like any other: it writes its
WARC files beside all others, under names that have its number, and acknowledges what is on disk.
So a part whose worker is lost is taken up by another from there, and once all are done the rows of
their frontiers are put into the one of the whole crawl. Redirects to hosts of other parts have no
outcome yet: the crawl itself follows them afterwards.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from webtext.pipeline.core.pool import Runner, tick
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, parquet_writer, read_batches, replacing
from webtext.pipeline.crawl.frontier import recovery, schema
from webtext.pipeline.crawl.frontier.frontier import DamagedError, Frontier, LockedError
from webtext.pipeline.crawl.frontier.rows import DONE, FOUND, PARKED, PENDING, SHARD, key
from webtext.pipeline.crawl.frontier.targets import host_of
from webtext.pipeline.crawl.http.loop import Loop, MakeFetcher
from webtext.pipeline.crawl.meter import PartMeter, line
from webtext.pipeline.crawl.running import collecting_seldom, opened, room_needed
from webtext.pipeline.crawl.settings import MOST_PARTS, Crawl
from webtext.pipeline.crawl.sink import Sink, series_of
from webtext.pipeline.links.wanted import Wanted
from webtext.pipeline.urls.parts import Part, dealt

log = logging.getLogger(__name__)

UNDER = "parts"  # folder of a pages directory, while its crawl is divided
LINKS = "links.parquet"  # of a part
ROWS = 8192  # at a time
LOCKED_SECONDS = 60.0  # for a worker that was believed to be lost to find out that it is
LOOK_SECONDS = 0.25

SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("id", pa.string()),
        ("url", pa.string()),
        ("domain", pa.string()),
        ("earlier", pa.string()),  # the page as an earlier crawl kept it
        ("attempts", pa.int32()),
        ("not_before", pa.float64()),  # Unix time until which its host is left alone
        ("errors", pa.int32()),  # failures of its host in a row
    ]
)


class Row(NamedTuple):
    """A link that a part is to fetch; the fields are those of SCHEMA."""

    shard: int
    id: str
    url: str
    domain: str | None
    earlier: str | None
    attempts: int
    not_before: float
    errors: int


@dataclass(frozen=True)
class Portion:
    """One part of a crawl, as a worker receives it."""

    home: Path  # the pages directory
    part: Part
    files: tuple[tuple[str, int, int], ...]  # those of former runs: name, shard, known end
    asked: bool  # whether hosts may have been asked a moment ago

    def __str__(self) -> str:
        return f"part {self.part.number}/{self.part.of} of the crawl in {self.home}"

    @property
    def folder(self) -> Path:
        """What is known of it while it is at work."""
        return self.home / UNDER / f"{self.part.number}of{self.part.of}"

    @property
    def tag(self) -> str:
        """What the names of its WARC files have."""
        return f"-p{self.part.number}of{self.part.of}"


# --- in the process of the build ------------------------------------------------------------------


def crawl(
    settings: Crawl,
    frontier: Frontier,
    out: Directory,
    runner: Runner,
    progress: Progress,
    fetcher: MakeFetcher,
) -> None:
    """Let the workers of a runner fetch what is pending, and put down its outcomes.

    What is pending afterwards was redirected to a host of another part.

    Raises:
        UserError: a worker cannot write, or another crawl is at work in the directory.
        PipelineError: a part killed its worker twice without getting on.
    """
    total, before = frontier.total(), frontier.tally().total()
    if total == before or not runner.shares or settings.part:
        return
    parts = settings.parts or min(max(runner.size, 1), MOST_PARTS)
    portions = deal(frontier, out.path, parts)

    def show(done: int, _total: int | None, note: str = "") -> None:
        progress(before + done, total, f"{parts} parts: {note}" if note else "")

    work = partial(crawl_part, settings, fetcher)
    runner.each(work, portions, show, total - before, lasting=line)
    join(frontier, out.path, settings)
    if frontier.tally().total() < total:
        rest(settings)


def deal(frontier: Frontier, home: Path, parts: int) -> list[Portion]:
    """Deal the pending links out by registrable domain; return the parts that have some."""
    known: dict[str, list[tuple[str, int, int]]] = {}
    for name, shard, end in frontier.files():
        known.setdefault(series_of(name)[0], []).append((name, shard, end))
    portions = []
    for number in range(1, parts + 1):
        one = Portion(home, Part(number, parts), (), asked=bool(known))
        portions.append(replace(one, files=tuple(known.get(one.tag, ()))))
    counts = [0] * parts
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                parquet_writer(stack.enter_context(replacing(one.folder / LINKS)), SCHEMA)
            )
            for one in portions
        ]
        for rows in _pending(frontier):
            hands: list[list[Row]] = [[] for _ in portions]
            for row in rows:
                hands[dealt(row.domain or "", parts) - 1].append(row)
            for number, mine in enumerate(hands):
                counts[number] += len(mine)
                if mine:
                    columns = zip(*mine, strict=True)
                    arrays = [
                        pa.array(column, kind.type)
                        for column, kind in zip(columns, SCHEMA, strict=True)
                    ]
                    writers[number].write(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
    return [one for one, count in zip(portions, counts, strict=True) if count]


def _pending(frontier: Frontier) -> Iterator[list[Row]]:
    """Yield all pending links, those of a shard together."""
    found = frontier.db.execute(
        f"SELECT n / {SHARD}, id, link.url, domain, earlier, attempts, not_before, errors"
        f" FROM url CROSS JOIN link USING (key) CROSS JOIN host ON host.host = key / {SHARD}"
        f" WHERE url.state = {PENDING} ORDER BY key"
    )
    while rows := found.fetchmany(ROWS):
        yield [Row(*row) for row in rows]


def join(frontier: Frontier, home: Path, settings: Crawl) -> None:
    """Put the outcomes of all parts into the frontier of the whole crawl, and end the parts.

    Raises:
        UserError: one of them is still at work.
    """
    if recovery.taken_up(frontier):  # else all WARC files are read anyway
        for path in sorted((home / UNDER).glob(f"*/{schema.NAME}")):
            part = claimed(path, settings)
            try:
                _put_down(frontier, part)
            except DamagedError as error:
                log.warning("%s: the WARC files are read instead", str(error).split(";")[0])
            finally:
                part.close()
    shutil.rmtree(home / UNDER, ignore_errors=True)


def _put_down(frontier: Frontier, part: Frontier) -> None:
    columns = ", ".join(f"outcome.{name}" for name in FOUND)
    with part.explained(), frontier.transaction():
        found = part.db.execute(f"SELECT link.url, {columns} FROM outcome JOIN link USING (key)")
        recovery.put_down(frontier, recovery.ended(found), part.files(), {})
        tried = part.db.execute(
            "SELECT link.url, attempts FROM url JOIN link USING (key)"
            f" WHERE state < {DONE} AND attempts > 0"
        )
        frontier.db.execute("CREATE TABLE tried (url TEXT PRIMARY KEY, attempts) WITHOUT ROWID")
        if frontier.db.executemany("INSERT INTO tried VALUES (?, ?)", tried).rowcount > 0:
            frontier.db.execute(
                "UPDATE url SET attempts = found.attempts FROM (SELECT key, tried.attempts"
                " FROM tried JOIN link USING (url)) AS found WHERE url.key = found.key"
            )
        frontier.db.execute("DROP TABLE tried")
        hosts = part.db.execute("SELECT not_before, errors, name FROM host WHERE errors > 0")
        frontier.db.executemany(
            f"UPDATE host SET state = {PARKED}, not_before = ?, errors = ? WHERE name = ?", hosts
        )
        recovery.finish_hosts(frontier)


# --- in a worker ----------------------------------------------------------------------------------


def crawl_part(settings: Crawl, fetcher: MakeFetcher, portion: Portion) -> None:
    """Crawl one part, or go on with it where another worker was lost.

    Raises:
        UserError: the disk is full, or another worker does not leave the part.
        KeyboardInterrupt: nobody waits for it any more; all that was fetched is written.
    """
    mine = replace(settings, part=f"{portion.part.number}/{portion.part.of}")
    path, home = portion.folder / schema.NAME, Directory(portion.home)
    again = path.exists()
    with room_needed(home):
        frontier = claimed(path, mine)
    try:
        with room_needed(home, frontier), collecting_seldom():
            _begin(frontier, portion)
            recovery.take_up(frontier, portion.home, portion.tag, part=True)
            if again or portion.asked:
                rest(mine)
            sink = Sink(portion.home, mine, tag=portion.tag)
            meter = PartMeter()
            Loop(mine, frontier, sink, meter).run(fetcher)
            meter.end()
    finally:
        frontier.close()


def claimed(path: Path, settings: Crawl) -> Frontier:
    """Open the frontier of a part, once a worker that was lost has left it.

    Raises:
        LockedError: a worker is still there after a minute.
    """
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return opened(path, settings)
        except LockedError:
            if time.monotonic() > until:
                raise
        tick(0)
        time.sleep(LOOK_SECONDS)


def _begin(frontier: Frontier, portion: Portion) -> None:
    """Fill the frontier of a part with its links, and note which files the whole crawl has read."""
    with frontier.explained():
        known = {number for (number,) in frontier.db.execute("SELECT number FROM shard")}
        if not recovery.taken_up(frontier):
            with frontier.transaction():
                recovery.put_down(frontier, (), portion.files, {})
        for number, rows in groupby(_links(portion.folder / LINKS), key=attrgetter("shard")):
            if number not in known:
                mine = list(rows)
                links = [Wanted(one.id, one.url, one.domain, None, None, None) for one in mine]
                with frontier.transaction():
                    frontier.fill_shard(number, [links], [(one.id, one.earlier) for one in mine])
                    _as_they_were(frontier, number, mine)


def _as_they_were(frontier: Frontier, shard: int, rows: list[Row]) -> None:
    """Note which links of a shard were tried before, and which hosts are to be left alone."""
    tried = [(number, row) for number, row in enumerate(rows) if row.attempts]
    hosts = {
        host_of(row.url): (row.not_before, row.errors) for row in rows if row.errors or row.attempts
    }
    for name, known in hosts.items():
        query = f"UPDATE host SET state = {PARKED}, not_before = ?, errors = ? WHERE name = ?"
        frontier.db.execute(query, (*known, name))
    for number, row in tried:
        query = "SELECT host FROM host WHERE name = ?"
        (host,) = frontier.db.execute(query, (host_of(row.url) or f"?{shard}",)).fetchone()
        query = "UPDATE url SET attempts = ? WHERE key = ?"
        frontier.db.execute(query, (row.attempts, key(host, number)))


def _links(path: Path) -> Iterator[Row]:
    for batch in read_batches(path, rows=ROWS):
        yield from map(Row, *(column.to_pylist() for column in batch.columns))


def rest(settings: Crawl) -> None:
    """Ask nobody for so long that no host and no address is asked too soon after another process.

    Raises:
        KeyboardInterrupt: nobody waits for this part any more.
    """
    until = time.monotonic() + max(settings.delay, settings.pace_per_ip)
    while (left := until - time.monotonic()) > 0:
        tick(0)
        time.sleep(min(left, LOOK_SECONDS))
