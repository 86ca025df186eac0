"""The data passed between the frontier and the crawl: its rows, and the changes to them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from webtext.pipeline.core.records import OUTCOME

# Of a URL. Not from 0: SQLite has no byte for 0 and 1, and a row that keeps its length is written
# over in place.
PENDING, LEASED, DONE = range(2, 5)
WAITING, ACTIVE, PARKED, FINISHED = range(4)  # of a host

LISTS = frozenset(("redirects", "signals"))  # columns that the frontier holds as JSON
SHARD = 1 << 32  # a URL's number is its shard times this, plus its row in the shard


def key(host: int, n: int) -> int:
    """Return the key of a host's URL in the frontier: a host's URLs are neighbours.

    A host is in one shard, so the row in the shard is enough.

    >>> key(3, 2 * SHARD + 5) == 3 * SHARD + 5
    True
    """
    return host * SHARD + n % SHARD


def span(host: int, cursor: int = -1) -> tuple[int, int]:
    """Return the keys between which a host's URLs are, only those after `cursor`.

    >>> span(3) == (3 * SHARD - 1, 4 * SHARD)
    True
    """
    return key(host, cursor) if cursor >= 0 else key(host, 0) - 1, key(host + 1, 0)


class Item(NamedTuple):
    """A URL that is to be fetched."""

    host: int
    n: int
    url: str
    attempts: int  # made already
    earlier: str | None = None  # its page as an earlier crawl stored it, packed

    @property
    def shard(self) -> int:
        return self.n // SHARD


class HostRow(NamedTuple):
    """A host that has URLs to fetch."""

    host: int
    name: str
    errors: int
    cursor: int


class HostChange(NamedTuple):
    """The new state of a host."""

    state: int
    not_before: float
    errors: int
    cursor: int
    host: int


@dataclass
class Done:
    """The outcome of one URL: the columns of OUTCOME that the crawl finds out.

    Its position in the archive is filled in once it is archived.
    """

    host: int
    n: int
    attempts: int
    started: float  # Unix time
    dropped_by: str | None = None
    dropped_value: float | None = None
    final_url: str | None = None
    redirects: tuple[str, ...] = ()
    status: int | None = None
    content_type: str | None = None
    robots: str | None = None
    robots_time: float | None = None  # Unix time
    signals: tuple[str, ...] = ()
    ip: str | None = None
    first_byte_ms: int | None = None
    elapsed_ms: int | None = None
    wire_bytes: int | None = None
    body_bytes: int | None = None
    truncated: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    warc_file: str | None = None
    warc_offset: int | None = None
    warc_length: int | None = None
    digest: str | None = None
    revisit: str | None = None
    payload_file: str | None = None
    payload_offset: int | None = None
    payload_length: int | None = None

    def row(self) -> tuple[Any, ...]:
        """Return the URL's key and the values in the order of FOUND, in the frontier's form."""
        return (
            key(self.host, self.n),
            milliseconds(self.started),
            milliseconds(self.robots_time),
            json.dumps(self.redirects) if self.redirects else None,
            json.dumps(self.signals) if self.signals else None,
            *_as_they_are(self),
        )


_CHANGED = ("started", "robots_time", "redirects", "signals")
_KEPT = [name for name in Done.__dataclass_fields__ if name not in ("host", "n", *_CHANGED)]
FOUND = (*_CHANGED, *_KEPT)  # the columns of an outcome
_as_they_are = attrgetter(*_KEPT)


def milliseconds(seconds: float | None) -> int | None:
    """Return seconds as milliseconds, the unit of the rows.

    >>> milliseconds(1.5004), milliseconds(None)
    (1500, None)
    """
    return None if seconds is None else round(seconds * 1000)


@dataclass
class Changes:
    """The changes that are committed together."""

    done: list[Done] = field(default_factory=list)
    returned: list[Item] = field(default_factory=list)  # PENDING again
    hosts: list[HostChange] = field(default_factory=list)  # in the order in which they occurred
    passed: list[tuple[int, float]] = field(default_factory=list)  # host, and when to pass again
    given_up: list[tuple[int, int]] = field(default_factory=list)  # host, failures in a row
    files: list[tuple[str, int, int]] = field(default_factory=list)  # name, shard, end

    def add(self, others: "Changes") -> None:
        """Add later changes."""
        self.done += others.done
        self.returned += others.returned
        self.hosts += others.hosts
        self.passed += others.passed
        self.given_up += others.given_up
        self.files += others.files


def as_outcomes(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Return rows of the frontier, each with the columns of OUTCOME, as a batch.

    Column by column takes a third of the time of row by row. Times are integers already.
    """
    columns = dict(zip(OUTCOME.names, zip(*rows, strict=True), strict=True))
    for name in LISTS & columns.keys():
        columns[name] = tuple(json.loads(value) if value else [] for value in columns[name])
    arrays = [pa.array(columns[field.name], field.type) for field in OUTCOME]
    return pa.RecordBatch.from_arrays(arrays, schema=OUTCOME)
