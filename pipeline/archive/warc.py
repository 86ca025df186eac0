"""Read WARC files: every record that may hold a page, in order, or one by its offset.

Any WARC file can be read, whoever wrote it: plain, gzip (one member per record, or one for all),
Zstandard (one stream, or one frame per record, with or without a dictionary); also ARC files, plain
or gzip. `framing.py` finds the records in a stream; this module decides which stream, at which
offset a record can be read again, and where to continue after damage.

Source: WARC 1.1, ISO 28500:2017; https://iipc.github.io/warc-specifications/
"""

import base64
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from webtext.pipeline.archive import packing, payload, sniff
from webtext.pipeline.archive.framing import DAMAGED, TORN, Record, Stream, records
from webtext.pipeline.archive.packing import GZIP_MAGIC, SCAN, MemberReader
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores.stored_files import pread, size_of

MAX_BODY = 20_000_000  # bytes of a decoded body; longer ones are cut and marked
HEAD_ROOM = 1 << 20  # bytes of a record besides its body: HTTP head, chunk sizes

NOT_HTTP: Final = "not_http"  # a response record without an HTTP response
LARGE: Final = payload.LARGE  # body over the limit
BAD_ENCODING: Final = payload.BROKEN  # a transfer or content encoding that cannot be undone
REVISIT: Final = "revisit"  # the payload is in another record
CONVERSION: Final = "conversion"  # a text that was made from a page, as in WET files
OTHER: Final = "other_record"  # of a type that cannot be a page
PROBLEMS: Final = (TORN, DAMAGED, NOT_HTTP, LARGE, BAD_ENCODING, REVISIT, CONVERSION, OTHER)

MARKUP: Final = ("text/html", "application/xhtml+xml")  # types of a response without a head
PASSED_OVER: Final = frozenset({"warcinfo", "request", "metadata"})  # exist besides pages


@dataclass(frozen=True, slots=True)
class Response:
    """One archived response, transfer and content encoding undone; perhaps incomplete."""

    url: str  # WARC-Target-URI as written; "" if it is lost
    status: int | None  # None in a resource record, and if no status can be read
    head: bytes  # status line and fields as archived, blank line included; b"" in a resource
    content_type: str | None  # as sent, charset included
    body: bytes
    date: datetime | None  # WARC-Date, in UTC
    offset: int | None  # bytes into the file; None if no record can be read at an offset
    length: int | None  # bytes of the file that the record takes
    truncated: str | None = None  # WARC-Truncated, or "disconnect" if an encoding is incomplete
    problem: str | None = None  # one of PROBLEMS; body then has the readable bytes
    ip: str | None = None
    record_id: str | None = None
    digest: str | None = None  # WARC-Payload-Digest
    refers_to: str | None = None  # of a revisit: the id of the record that has the payload
    refers_url: str | None = None  # of a revisit: that record's target

    def headers(self) -> list[tuple[str, str]]:
        """Return the fields of the head, in order."""
        return payload.headers(self.head)


def responses(path: Path, max_body: int = MAX_BODY) -> Iterator[Response]:
    """Yield every record of a WARC or ARC file that may hold a page, the damaged ones marked.

    After damage it continues at the next record, and one Response without URL marks the gap.

    Raises:
        UserError: no such file, not a WARC file, one with only metadata, or damaged so that no
        next record can be found (one compressed stream for all records); names the file and
        the place.
    """
    with packing.opened(path) as raw:
        kind, arc = packing.kind(raw, path)
        reading = _Reading(path, raw, arc, max_body)
        if kind == "zstd":
            yield from reading.zstd()
        elif kind == "gzip":
            yield from reading.members()
        else:
            yield from reading.plain()
        reading.check()


def read_response(
    path: Path, offset: int, length: int | None = None, max_body: int = MAX_BODY
) -> Response:
    """Read the record at `offset` of a WARC file, plain or with one gzip member per record.

    Raises:
        UserError: no response record begins there; names the file and the offset.
    """
    with packing.opened(path) as raw:
        return response_at(raw, path, offset, length, max_body)


def response_at(
    raw: BinaryIO, path: Path, offset: int, length: int | None, max_body: int = MAX_BODY
) -> Response:
    """Read the record at `offset` of an open file; `path` is for messages.

    Raises:
        UserError: as `read_response`.
    """
    stored = pread(raw, length or SCAN, offset)
    if length is None and len(stored) == SCAN:
        stored += pread(raw, max_body + HEAD_ROOM, offset + SCAN)
    try:
        packed = stored.startswith(GZIP_MAGIC)
        if packed:
            inflater, most = zlib.decompressobj(zlib.MAX_WBITS | 16), max_body + 2 * HEAD_ROOM
            stored = inflater.decompress(stored, most)
            if not inflater.eof and len(stored) < most:  # so no checksum was verified
                raise OSError("its compressed bytes end early")
        arc = not packing.is_record(stored)
        record = next(records(Stream(BytesIO(stored).read), max_body + HEAD_ROOM, arc), None)
        if record is None or not record.fields:
            raise OSError("no record begins there")
        if record.kind in PASSED_OVER:
            raise OSError(f"a {record.kind} record is there, not a response")
        found = _response(record, max_body, digested=not packed)
        if found.problem in (TORN, DAMAGED):
            raise OSError(f"it is {found.problem}")
    except (OSError, zlib.error) as error:
        raise UserError(
            f"{path}: wanted a response record at byte {offset}, but {error}; the file is not the "
            "one that the rows were made from, or it is damaged"
        ) from None
    return replace(found, offset=offset, length=length)


class _Reading:
    """One pass over the records of a file, from its start to its end."""

    def __init__(self, path: Path, raw: BinaryIO, arc: bool, max_body: int) -> None:
        self.path = path
        self.raw = raw
        self.arc = arc
        self.max_body = max_body
        self.size = size_of(raw)
        self.records = 0
        self.metadata = 0
        self.pages = 0  # records that may hold one, and damage

    def plain(self) -> Iterator[Response]:
        """Read an uncompressed file; each record can be read at its offset."""
        self.raw.seek(0)
        for record in self._records(Stream(self.raw.read)):
            if (found := self._told(record, digested=True)) is not None:
                place = record.start, record.end - record.start
                yield replace(found, offset=place[0], length=place[1])

    def zstd(self) -> Iterator[Response]:
        """Read one compressed stream for all records; no record can be read at an offset.

        Raises:
            UserError: it is damaged.
        """
        flaw = None
        try:
            frames = packing.zstd_stream(self.raw)
            for record in self._records(Stream(frames.read)):
                flaw = record.flaw
                if (found := self._told(record)) is not None:
                    yield found
        except (OSError, zstandard.ZstdError) as error:
            raise self._lost(error) from error
        if not frames.whole and flaw is None:  # torn between two records, or before the first
            self.pages += 1
            yield replace(_gap(0, 0, TORN), offset=None, length=None)

    def members(self) -> Iterator[Response]:
        """Read gzip members separately, so that damage affects only its own member.

        Raises:
            UserError: damage in a member of several records without another member after it.
        """
        at = 0
        while at < self.size:
            if pread(self.raw, len(GZIP_MAGIC), at) != GZIP_MAGIC:
                end = self._next_member(at + 1)
                padding = b"\r\n\0" if end == self.size else b"\r\n"
                if any(pread(self.raw, min(SCAN, end - start), start).strip(padding)
                       for start in range(at, end, SCAN)):  # fmt: skip
                    self.pages += 1
                    yield _gap(
                        at, end, TORN if at and end == self.size and end - at < 18 else DAMAGED
                    )
                at = end
                continue
            member = MemberReader(self.raw, at)
            yield from self._member(member, at)
            at = member.end

    def _member(self, member: MemberReader, at: int) -> Iterator[Response]:
        """Read the records of one gzip member; a record has an offset if it is the only one."""
        pending: Response | None = None
        count = 0
        problem: str | None = None
        try:
            for record in self._records(Stream(member.read)):
                count += 1
                if pending is not None:
                    yield pending
                pending = self._told(record)
            if not member.whole:
                problem = TORN
            elif count and record.flaw == TORN and self._goes_on(member.end):
                yield from self._across(member, at, record.start)
                return
        except (OSError, zlib.error) as error:
            problem = DAMAGED
            member.end = self._next_member(at + 1)
            if count > 1 and member.end == self.size:
                raise self._lost(error) from error
        end = member.end = member.end if problem is None else self._next_member(at + 1)
        alone = count <= 1
        if pending is not None:
            if problem is not None and pending.problem is None:
                pending = replace(pending, problem=problem, body=b"")
            elif problem == TORN and pending.problem == DAMAGED:
                pending = replace(pending, problem=TORN)
            yield replace(pending, offset=at, length=end - at) if alone else pending
        elif problem is not None:
            self.pages += 1
            yield _gap(at, end, problem)

    def _goes_on(self, at: int) -> bool:
        """Whether a member that begins with no record is at a place."""
        magic = pread(self.raw, len(GZIP_MAGIC), at)
        return magic == GZIP_MAGIC and not packing.begins_record(self.raw, at)

    def _across(self, member: MemberReader, at: int, start: int) -> Iterator[Response]:
        """Read records over which members are cut, as one stream, up to damage or the end.

        `start` is the place of the first in the content from `at` on. No offset leads to them.
        """
        joined = MemberReader(self.raw, at, joined=True)
        stream = Stream(joined.read)
        found: Response | None = None
        try:
            stream.drop(start)
            for record in self._records(stream):
                if (found := self._told(record)) is not None:
                    yield found
            member.end = joined.end
        except (OSError, zlib.error):
            member.end = self._next_member(joined.began + 1)
            if found is None or found.problem is None:
                self.pages += 1
                yield _gap(joined.began, member.end, DAMAGED)

    def _records(self, stream: Stream) -> Iterator[Record]:
        for record in records(stream, self.max_body + HEAD_ROOM, self.arc):
            self.records += 1
            yield record

    def _told(self, record: Record, digested: bool = False) -> Response | None:
        """Return the response of a record, None if it is not about a page."""
        if record.kind in PASSED_OVER and record.flaw is None:
            self.metadata += record.kind == "metadata"
            return None
        self.pages += 1
        return _response(record, self.max_body, digested)

    def _next_member(self, at: int) -> int:
        """Return the place of the first member from `at` on that begins a record, or the size."""
        while stored := pread(self.raw, SCAN + len(GZIP_MAGIC) - 1, at):
            found = stored.find(GZIP_MAGIC)
            while found >= 0:
                if packing.begins_record(self.raw, at + found):
                    return at + found
                found = stored.find(GZIP_MAGIC, found + 1)
            at += SCAN
        return self.size

    def _lost(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path}: damaged after record {self.records} ({error}), and as all its "
            "records are in one compressed stream, none after that can be read; get the file "
            "anew, or leave it out"
        )

    def check(self) -> None:
        """Raise if no response was found although the file has records.

        Raises:
            UserError: the file has records, but none that may hold a page.
        """
        if self.metadata and not self.pages:
            raise UserError(
                f"{self.path}: holds {self.metadata} metadata records and no response, as a WAT "
                "file does; wanted WARC files with the pages themselves: leave it out"
            )


def _gap(start: int, end: int, problem: str) -> Response:
    """Return a Response that stands for bytes from which no record can be read."""
    return Response("", None, b"", None, b"", None, start, end - start, None, problem)


def _response(record: Record, max_body: int, digested: bool) -> Response:
    """Parse a record.

    Compressed records have checksums; `digested` demands that others match their digest.
    """
    if record.flaw is not None:
        return _without_page(record, record.flaw)
    if digested and len(record.block) == record.length and not _as_digested(record):
        return _without_page(record, DAMAGED)
    if record.kind in ("revisit", "conversion"):
        return _without_page(record, REVISIT if record.kind == "revisit" else CONVERSION)
    block = record.block
    http = payload.split(block)
    if record.kind not in ("response", "resource") and (record.kind or http is None):
        return _without_page(record, OTHER)
    problem = LARGE if record.length > len(block) else None
    truncated = record.field("warc-truncated") or None
    head, fields, content_type = b"", [], record.field("content-type") or None
    wrapped = sniff.essence(content_type) == "application/http"
    if record.kind != "resource" and http is None and sniff.essence(content_type) not in MARKUP:
        return _without_page(record, NOT_HTTP)
    if http is not None and (record.kind != "resource" or wrapped):
        head, block = http
        fields = payload.headers(head)
        content_type = payload.content_type(fields)
    body = payload.unpack(fields, block, max_body)
    if not body.whole and truncated is None and body.problem is None:
        truncated = "disconnect"
    told = _without_page(record, problem or body.problem)
    return replace(
        told,
        status=payload.status(head),
        head=head,
        content_type=content_type,
        body=body.data,
        truncated=truncated,
    )


def _as_digested(record: Record) -> bool:
    """Whether a block has the SHA-1 that its record states; true if it states none."""
    algorithm, _, stated = record.field("warc-block-digest").partition(":")
    if algorithm.lower() != "sha1" or len(stated) != len("VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N"):
        return True
    found = hashlib.sha1(record.block, usedforsecurity=False).digest()
    return base64.b32encode(found).decode() == stated.upper()


def _without_page(record: Record, problem: str | None) -> Response:
    """Return a Response from a record's own fields alone."""
    return Response(
        _bare(record.field("warc-target-uri")),
        None,
        b"",
        None,
        b"",
        _date(record),
        None,
        None,
        None,
        problem,
        record.field("warc-ip-address") or None,
        record.field("warc-record-id") or None,
        record.field("warc-payload-digest") or None,
        record.field("warc-refers-to") or None,
        _bare(record.field("warc-refers-to-target-uri")) or None,
    )


def _bare(url: str) -> str:
    """Return a URL without the angle brackets of WARC 1.0's grammar, which Wget writes."""
    return url[1:-1] if url.startswith("<") and url.endswith(">") else url


def _date(record: Record) -> datetime | None:
    """Return WARC-Date, None if it is missing or not a date."""
    try:
        found = datetime.fromisoformat(record.field("warc-date"))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
