# ruff: noqa: S608 - the statements are put together from constants, and nothing else
"""What each part of a crawl is to fetch: dealt out by registrable domain, and taken by a worker."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from webtext.pipeline.core.pool import tick
from webtext.pipeline.core.shards import parquet_writer, read_batches, replacing
from webtext.pipeline.crawl.frontier import recovery, schema
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import PARKED, PENDING, SHARD, key
from webtext.pipeline.crawl.frontier.targets import host_of
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import series_of
from webtext.pipeline.links.wanted import Wanted
from webtext.pipeline.urls.parts import Part, dealt

LINKS = "links.parquet"  # of a part
ROWS = 8192  # at a time
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
    links: int = 0  # how many it has
    token: str = ""  # of its last slice, where it is crawled slice by slice

    def __str__(self) -> str:
        return f"part {self.part.number}/{self.part.of} of the crawl in {self.home}"

    @property
    def folder(self) -> Path:
        """What is known of it while it is at work."""
        return self.home / schema.PARTS / f"{self.part.number}of{self.part.of}"

    @property
    def tag(self) -> str:
        """What the names of its WARC files have."""
        return f"-p{self.part.number}of{self.part.of}"


def deal(
    frontier: Frontier, home: Path, parts: int, asked: bool = False, alone: bool = False
) -> list[Portion]:
    """Deal the pending links out by registrable domain; return the parts that have some.

    `asked`: hosts may have been asked a moment ago, by a command that left no WARC file.
    Without those of which an earlier crawl has a page, if workers stand `alone` and do not see it.
    """
    known: dict[str, list[tuple[str, int, int]]] = {}
    for name, shard, end in frontier.files():
        known.setdefault(series_of(name)[0], []).append((name, shard, end))
    portions = []
    for number in range(1, parts + 1):
        one = Portion(home, Part(number, parts), (), asked=asked or bool(known))
        portions.append(replace(one, files=tuple(known.get(one.tag, ()))))
    counts = [0] * parts
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                parquet_writer(stack.enter_context(replacing(one.folder / LINKS)), SCHEMA)
            )
            for one in portions
        ]
        for rows in _pending(frontier, alone):
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
    dealt_out = zip(portions, counts, strict=True)
    return [replace(one, links=count) for one, count in dealt_out if count]


def _pending(frontier: Frontier, alone: bool) -> Iterator[list[Row]]:
    """Yield all pending links, those of a shard together."""
    found = frontier.db.execute(
        f"SELECT n / {SHARD}, id, link.url, domain, earlier, attempts, not_before, errors"
        f" FROM url CROSS JOIN link USING (key) CROSS JOIN host ON host.host = key / {SHARD}"
        f" WHERE url.state = {PENDING}{' AND earlier IS NULL' if alone else ''} ORDER BY key"
    )
    while rows := found.fetchmany(ROWS):
        yield [Row(*row) for row in rows]


def begin(frontier: Frontier, portion: Portion) -> None:
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


def rest(settings: Crawl, strictly: bool = False) -> None:
    """Ask nobody for so long that no host and no address is asked too soon after another process.

    `strictly`: nor any host that wants to be asked more seldom than others.

    Raises:
        KeyboardInterrupt: nobody waits for this part any more.
    """
    longest = settings.max_delay if strictly else settings.delay
    pause(max(longest, settings.delay_per_ip))


def pause(seconds: float) -> None:
    """Ask nobody for so long.

    Raises:
        KeyboardInterrupt: nobody waits for this part any more.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        tick(0)
        time.sleep(min(left, LOOK_SECONDS))
