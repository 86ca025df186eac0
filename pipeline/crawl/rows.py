"""What passes between the frontier and the crawl: its rows, and the changes to them."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PENDING, LEASED, DONE = range(3)  # of a URL
WAITING, ACTIVE, PARKED, FINISHED = range(4)  # of a host

LISTS = frozenset(("redirects", "signals"))  # columns that the frontier holds as JSON
SHARD = 1 << 32  # a URL's number is its shard times this, plus its row there


class Item(NamedTuple):
    """A URL that is to be fetched."""

    host: int
    n: int
    url: str
    attempts: int  # made already
    earlier: str | None = None  # its page as an earlier crawl kept it, packed

    @property
    def shard(self) -> int:
        return self.n // SHARD


class HostRow(NamedTuple):
    """A host that has URLs to be fetched."""

    host: int
    name: str
    errors: int
    cursor: int


class HostChange(NamedTuple):
    """What a host is from now on."""

    state: int
    not_before: float
    errors: int
    cursor: int
    host: int


@dataclass
class Done:
    """The outcome of one URL: the columns of OUTCOME that the crawl finds out.

    Where it is archived is filled in once it is.
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

    def row(self) -> dict[str, Any]:
        """Return the values under the names that SQL uses."""
        row = {
            **self.__dict__,
            "started": milliseconds(self.started),
            "robots_time": milliseconds(self.robots_time),
        }
        for name in LISTS:
            row[name] = json.dumps(row[name]) if row[name] else None
        return row


def milliseconds(seconds: float | None) -> int | None:
    """Return seconds in the unit of our rows.

    >>> milliseconds(1.5004), milliseconds(None)
    (1500, None)
    """
    return None if seconds is None else round(seconds * 1000)


@dataclass
class Changes:
    """What is committed together."""

    done: list[Done] = field(default_factory=list)
    returned: list[Item] = field(default_factory=list)  # PENDING again
    hosts: list[HostChange] = field(default_factory=list)  # in the order in which they came about
    passed: list[tuple[int, float]] = field(default_factory=list)  # host, and when to pass again
    given_up: list[tuple[int, int]] = field(default_factory=list)  # host, failures in a row
    files: list[tuple[str, int, int]] = field(default_factory=list)  # name, shard, end

    def add(self, others: "Changes") -> None:
        """Take in what happened next."""
        self.done += others.done
        self.returned += others.returned
        self.hosts += others.hosts
        self.passed += others.passed
        self.given_up += others.given_up
        self.files += others.files
