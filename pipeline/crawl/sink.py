"""Write responses into WARC files that hold whole records after a kill at any moment.

Each link shard has its own series of files (`00007.warc.gz`, then `00007-0001.warc.gz`), so a
shard's pages can be extracted without reading any other shard. A file is only appended to, and the
frontier notes up to which byte its records are acknowledged; later records are added to the
frontier when a crawl starts again.

The body is stored decoded. Headers that describe the transferred bytes are renamed, as Common
Crawl does, and Content-Length is that of the stored body, so that every reader understands the
record correctly.
"""

import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webtext.pipeline.archive import warc_records
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import sync_directory
from webtext.pipeline.crawl.fetch import Exchange
from webtext.pipeline.crawl.profile import Profile
from webtext.pipeline.crawl.settings import Crawl

ROLL = 1 << 30  # bytes after which a series gets its next file. Source: WARC 1.1, annex C: 1 GB
OPEN_FILES = 64  # at a time

# Source: WARC 1.1, section 6.7.2 and 6.7.3
PROFILE = "http://netpreserve.org/warc/1.1/revisit/"
NOT_MODIFIED = "server-not-modified"
IDENTICAL = "identical-payload-digest"

RESPONSE = "application/http; msgtype=response"
REQUEST = "application/http; msgtype=request"
FIELDS = "application/warc-fields"

ON_THE_WIRE = (b"content-encoding", b"transfer-encoding")
CODINGS = frozenset((b"gzip", b"x-gzip", b"deflate", b"br", b"zstd", b"chunked", b"identity"))


@dataclass(frozen=True)
class Place:
    """The position of a response record."""

    file: str
    offset: int  # bytes
    length: int  # bytes
    digest: str  # of the payload
    revisit: str | None = None  # why it has no payload of its own: NOT_MODIFIED or IDENTICAL


@dataclass(slots=True)
class Series:
    """The last file of a shard, open for appending."""

    shard: int
    number: int  # 0 for the first file of the shard
    name: str
    descriptor: int
    size: int  # bytes


class Sink:
    """The WARC files of a crawl.

    Data is certainly on disk only after `sync`. Used by one thread at a time. Several crawls may
    write into one directory if each has a `tag` of its own, which the names of its files have.
    """

    def __init__(self, directory: Path, settings: Crawl, roll: int = ROLL, tag: str = "") -> None:
        self.directory = directory
        self.settings = settings
        self.roll = roll
        self.tag = tag
        self._open: OrderedDict[int, Series] = OrderedDict()  # least recently used first
        self._last: dict[int, int] = {}  # number of the last file of each shard
        self._grown: dict[str, tuple[int, int]] = {}  # shard and end, since `sync`
        self._new = False  # whether a file was made since `sync`

    def recover(self, files: Iterable[tuple[str, int, int]]) -> None:
        """Append to each file after the part that the frontier knows; existing bytes do not change.

        Raises:
            UserError: a file is missing or shorter than what was known to be on disk.
        """
        for name, shard, end in files:
            path = self.directory / name
            size = path.stat().st_size if path.exists() else 0
            if size < end:
                raise UserError(
                    f"{path}: {size} bytes, but {end} were written; the disk lost some: put the "
                    f"file back; or move {self.directory / 'frontier.sqlite'}* elsewhere and run "
                    "the same command again, which fetches anew what is lost and keeps the rest"
                )
            tag, number = series_of(name)
            if tag == self.tag:
                self._last[shard] = max(number, self._last.get(shard, 0))

    def write(self, shard: int, exchange: Exchange, notes: Sequence[tuple[str, str]]) -> Place:
        """Append a response with its request and metadata; return its position.

        Raises:
            OSError: the disk is full; an incomplete record may remain, which the next start of the
            crawl sets aside.
        """
        digest = warc_records.sha1(exchange.body)
        revisit = revisited(exchange, digest)
        key, when = warc_records.new_id(), warc_records.date(exchange.started)
        first = answer(exchange, key, when, digest, revisit)
        of = [("WARC-Target-URI", exchange.url)]
        beside = [("WARC-Concurrent-To", key)]
        request = warc_records.member(
            "request",
            warc_records.new_id(),
            when,
            [*of, ("Content-Type", REQUEST), *address(exchange), *beside],
            exchange.request,
        )
        metadata = warc_records.member(
            "metadata",
            warc_records.new_id(),
            when,
            [*of, ("Content-Type", FIELDS), *beside],
            warc_records.warc_fields(notes),
        )
        group = first + request + metadata
        series = self._series(shard)
        offset = self._append(series, group)
        return Place(series.name, offset, len(first), digest, revisit)

    def note(self, shard: int, url: str, notes: Sequence[tuple[str, str]]) -> None:
        """Append the metadata of a visit that has nothing else to archive.

        Raises:
            OSError: as `write`.
        """
        metadata = warc_records.member(
            "metadata",
            warc_records.new_id(),
            warc_records.date(time.time()),
            [("WARC-Target-URI", url), ("Content-Type", FIELDS)],
            warc_records.warc_fields(notes),
        )
        self._append(self._series(shard), metadata)

    def sync(self) -> list[tuple[str, int, int]]:
        """Sync all written data to disk; return name, shard and end of each file that grew."""
        for series in self._open.values():
            if series.name in self._grown:
                os.fsync(series.descriptor)
        if self._new:
            sync_directory(self.directory)
        grown = [(name, shard, end) for name, (shard, end) in self._grown.items()]
        self._grown.clear()
        self._new = False
        return grown

    def close(self) -> None:
        """Close the files."""
        while self._open:
            os.close(self._open.popitem()[1].descriptor)

    def _append(self, series: Series, data: bytes) -> int:
        """Append to a file, and return the position."""
        offset = series.size
        view = memoryview(data)
        while view:  # a write that fills the disk is incomplete, and the next one raises
            view = view[os.write(series.descriptor, view) :]
        series.size += len(data)
        self._grown[series.name] = (series.shard, series.size)
        return offset

    def _series(self, shard: int) -> Series:
        """Return the last file of a shard, open; a new one if it is full."""
        series = self._open.pop(shard, None) or self._reopen(shard, self._last.get(shard, 0))
        if series.size >= self.roll:
            self._shut(series)
            series = self._reopen(shard, series.number + 1)
        self._open[shard] = series
        if len(self._open) > OPEN_FILES:
            self._shut(self._open.popitem(last=False)[1])
        return series

    def _reopen(self, shard: int, number: int) -> Series:
        name = f"{shard:05d}{self.tag}" + (f"-{number:04d}" if number else "") + ".warc.gz"
        path = self.directory / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._last[shard] = number
        series = Series(shard, number, name, descriptor, os.fstat(descriptor).st_size)
        if not series.size:
            self._new = True
            try:
                self._append(series, warcinfo(self.settings, name))
            except OSError:
                os.close(descriptor)
                raise
        return series

    def _shut(self, series: Series) -> None:
        """Sync a file to disk and close it, since `sync` sees only the open ones."""
        try:
            os.fsync(series.descriptor)
        finally:
            os.close(series.descriptor)


def series_of(name: str) -> tuple[str, int]:
    """Return the tag of a file's series, and its number there.

    >>> series_of("00007.warc.gz"), series_of("00007-0002.warc.gz")
    (('', 0), ('', 2))
    >>> series_of("00007-p2of3.warc.gz"), series_of("00007-p2of3-0002.warc.gz")
    (('-p2of3', 0), ('-p2of3', 2))
    """
    found = re.match(r"\d{5}(-p\d+of\d+)?(?:-(\d+))?", name)
    return (found[1] or "", int(found[2] or 0)) if found else ("", 0)


def stored_head(head: bytes, size: int) -> bytes:
    r"""Return a response's status line and headers so that they describe a decoded body.

    >>> stored_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 5).split(b"\r\n")
    [b'HTTP/1.1 200 OK', b'X-Crawler-Transfer-Encoding: chunked', b'Content-Length: 5', b'', b'']
    """
    if stands_as_it_is(head, size):
        return head
    status, *lines = (line.rstrip(b"\r") for line in head.rstrip(b"\r\n").split(b"\n"))
    kept = [status]
    stands = False  # the Content-Length of the stored body
    for line in lines:
        name, _, value = line.partition(b":")
        key = name.strip().lower()
        if line[:1] in (b" ", b"\t"):
            kept.append(line)  # continues the header before it
        elif key == b"content-length" and value.strip() == b"%d" % size and not stands:
            stands = True
            kept.append(line)
        elif key == b"content-length" or (key in ON_THE_WIRE and undone(value)):
            kept.append(b"X-Crawler-" + line)
        else:
            kept.append(line)
    if not stands:
        kept.append(b"Content-Length: %d" % size)
    return b"\r\n".join(kept) + b"\r\n\r\n"


def stands_as_it_is(head: bytes, size: int) -> bool:
    """Whether a head already describes the decoded body, as nearly all heads do."""
    lower = head.lower()
    return (
        lower.count(b"content-length") == 1
        and b"\r\ncontent-length: %d\r\n" % size in lower
        and b"content-encoding" not in lower
        and b"transfer-encoding" not in lower
        and lower.count(b"\n") == lower.count(b"\r\n")
        and lower.endswith(b"\r\n\r\n")
        and not lower.endswith(b"\r\n\r\n\r\n")
    )


def undone(codings: bytes) -> bool:
    """Whether the fetcher removes these codings from a body; others are stored as received."""
    return {coding.strip().lower() for coding in codings.split(b",")} <= CODINGS


def revisited(exchange: Exchange, digest: str) -> str | None:
    """Tell why a page is the same as in an earlier crawl, None if it is not."""
    if exchange.not_modified:
        return NOT_MODIFIED
    if exchange.earlier and not exchange.truncated and exchange.earlier.digest == digest:
        return IDENTICAL
    return None


def answer(exchange: Exchange, key: str, when: str, digest: str, revisit: str | None) -> bytes:
    """Return the record of the host's answer: a full response, or a revisit of an earlier one.

    Raises:
        UserError: the archive that holds the payload is missing.
    """
    head, body = stored_head(exchange.head, len(exchange.body)), exchange.body
    if revisit:
        head, body = (exchange.head if exchange.not_modified else head), b""
    fields = [
        ("WARC-Target-URI", exchange.url),
        ("Content-Type", RESPONSE),
        *address(exchange),
    ]
    if exchange.truncated:
        fields.append(("WARC-Truncated", exchange.truncated))
    if revisit and exchange.earlier:
        before = exchange.earlier.response()
        fields.append(("WARC-Profile", PROFILE + revisit))
        if before.record_id:
            fields.append(("WARC-Refers-To", before.record_id))
        fields.append(("WARC-Refers-To-Target-URI", before.url))
        if before.date:
            fields.append(("WARC-Refers-To-Date", f"{before.date:%Y-%m-%dT%H:%M:%S.%fZ}"))
    fields.append(("WARC-Payload-Digest", digest))
    kind = "revisit" if revisit else "response"
    return warc_records.member(kind, key, when, fields, head, body)


def address(exchange: Exchange) -> list[tuple[str, str]]:
    """Return the field with the IP address of an exchange."""
    return [("WARC-IP-Address", exchange.ip)] if exchange.ip else []


def warcinfo(settings: Crawl, name: str) -> bytes:
    """Return the first record of a file, which says who made it, and how."""
    fields = [("WARC-Filename", name), ("Content-Type", FIELDS)]
    notes = [
        ("software", settings.agent.partition(" ")[0]),
        ("format", "WARC File Format 1.1"),
        (
            "conformsTo",
            "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        ),
        ("http-header-user-agent", settings.agent),
        ("robots", "obey" if settings.respect_robots else "ignore"),
        Profile.of(settings).note(),
    ]
    if settings.contact:
        notes.append(("operator", settings.contact))
    when, block = warc_records.date(time.time()), warc_records.warc_fields(notes)
    return warc_records.member("warcinfo", warc_records.new_id(), when, fields, block)
