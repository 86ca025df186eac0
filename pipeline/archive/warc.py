"""WARC files read: every response in them, in order, or one by its offset.

Any WARC 1.0 or 1.1 file will do, ours or another's: plain, gzip (a member a record, or one member
for all), Zstandard (one stream, or a frame a record, with or without a dictionary). FastWARC finds
the records. What it does not say is looked at here: whether a record is whole, whether its offset
can be read at, and where to go on after damage.

Source: WARC 1.1, ISO 28500:2017; https://iipc.github.io/warc-specifications/
"""

import base64
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from webtext.pipeline.archive import packing, payload
from webtext.pipeline.archive.packing import GZIP_MAGIC, RECORD_START, SCAN
from webtext.pipeline.core.errors import UserError

MAX_BODY = 20_000_000  # bytes of a decoded body; what is longer is cut and marked
HEAD_START = 512  # bytes in which a second beginning shows that the first one is none
HEAD_ROOM = 1 << 20  # bytes of a record beyond its body: HTTP head, chunk sizes

TORN: Final = "torn"  # the file ends within the record
DAMAGED: Final = "damaged"  # bytes that no record can be read from
NOT_HTTP: Final = "not_http"  # a response record that holds no HTTP response
LARGE: Final = payload.LARGE  # body over the bound
BAD_ENCODING: Final = payload.BROKEN  # a transfer or content encoding that cannot be undone
PROBLEMS: Final = (TORN, DAMAGED, NOT_HTTP, LARGE, BAD_ENCODING)

VERSION_LINE = re.compile(rb"WARC/[01]\.\d{1,2}\r?\n")
KINDS = (WarcRecordType.response, WarcRecordType.resource)


@dataclass(frozen=True, slots=True)
class Response:
    """One archived response, transfer and content encoding undone; or what is left of one."""

    url: str  # WARC-Target-URI as written; "" where it is lost
    status: int | None  # None in a resource record, and where no status can be read
    head: bytes  # status line and fields as archived, blank line included; b"" in a resource
    content_type: str | None  # as sent, charset included
    body: bytes
    date: datetime | None  # WARC-Date, in UTC
    offset: int | None  # bytes into the file; None where no record can be read at an offset
    length: int | None  # bytes of the file that the record takes
    truncated: str | None = None  # WARC-Truncated, or "disconnect" where an encoding breaks off
    problem: str | None = None  # one of PROBLEMS; body is then what could be had
    ip: str | None = None
    record_id: str | None = None

    def headers(self) -> list[tuple[str, str]]:
        """Return the fields of the head, in order."""
        return payload.headers(self.head)


def responses(path: Path, max_body: int = MAX_BODY) -> Iterator[Response]:
    """Yield every response and resource record of a WARC file, in order, the damaged ones marked.

    After damage it goes on at the next record, and one Response without URL stands for the gap.

    Raises:
        UserError: no such file, not a WARC file, or damaged where no next record can be found
            (one compressed stream for all records); names the file and the place.
    """
    with packing.opened(path) as raw:
        kind, bare = packing.kind(raw, path)
        start: int | None = 0
        while start is not None:
            reading = _Reading(path, raw, kind, bare, max_body)
            yield from reading.run(start)
            start = None
            if reading.error is not None:
                yield reading.gap()
                start = reading.resume


def read_response(
    path: Path, offset: int, length: int | None = None, max_body: int = MAX_BODY
) -> Response:
    """Read the record at `offset` of a plain WARC file, or of one with a gzip member a record.

    Raises:
        UserError: no record of a response begins there; names the file and the offset.
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
    stored = os.pread(raw.fileno(), length or SCAN, offset)
    if length is None and len(stored) == SCAN:
        stored += os.pread(raw.fileno(), max_body + HEAD_ROOM, offset + SCAN)
    try:
        packed = stored.startswith(GZIP_MAGIC)
        if packed:
            inflater, most = zlib.decompressobj(zlib.MAX_WBITS | 16), max_body + 2 * HEAD_ROOM
            stored = inflater.decompress(stored, most)
            if not inflater.eof and len(stored) < most:  # so nothing has checked it
                raise OSError("its compressed bytes end early")
        if not stored.startswith(RECORD_START):
            raise OSError("no record begins there")
        bare = b"\r\n" not in stored[:64]
        record = WarcRecord.from_reader(BytesIO(stored), quirks_mode=bare)
        if record.record_type not in KINDS:
            raise OSError(f"a {record.record_type} record is there, not a response")
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
    """One pass over the records of a file, from a given start to its end or the first damage."""

    def __init__(self, path: Path, raw: BinaryIO, kind: str, bare: bool, max_body: int) -> None:
        self.path = path
        self.raw = raw
        self.kind = kind
        self.bare = bare
        self.max_body = max_body
        self.size = os.fstat(raw.fileno()).st_size
        self.error: Exception | None = None
        self.records = 0
        self.last: int | None = None  # offset of the last record that was begun
        self.apart = kind != "zstd"  # whether every record so far could be read at its offset
        self.broken: WarcRecord | None = None  # the last one begun, where it is a response
        self.resume: int | None = None  # where to go on after the damage

    def run(self, start: int) -> Iterator[Response]:
        """Yield the responses from `start` on; set `error` where damage ends them."""
        self.last = start
        pending: Response | None = None
        try:
            for record in self._iterator(start):
                at = self._offset(record)
                if pending is not None:
                    yield _placed(pending, at)
                    pending = None
                self.last = at
                self.records += 1
                self.broken = None
                if record.record_type in KINDS or not record.record_id:
                    self.broken = record
                    pending = replace(self._response(record), offset=at)
        except (OSError, zstandard.ZstdError) as error:
            self.error = error
        tail = self._tail() if self.error is None else None
        if pending is not None:
            end = self._end_of_last() if tail is not None or self.error is not None else self.size
            if self.error is None or end is not None or not self.apart:
                yield _placed(pending, end if self.apart else None)
        if tail is not None:
            yield tail

    def _response(self, record: WarcRecord) -> Response:
        return _response(record, self.max_body, digested=self.kind == "plain")

    def _iterator(self, start: int) -> Iterator[WarcRecord]:
        """Return FastWARC's iterator over the records from `start` on."""
        if self.kind == "zstd":
            stream = packing.zstd_stream(self.raw)
        else:
            stream = self.raw
            stream.seek(start)
        records: Iterator[WarcRecord] = iter(
            ArchiveIterator(stream, parse_http=False, quirks_mode=self.bare)
        )
        return records

    def _offset(self, record: WarcRecord) -> int | None:
        """Return where the record begins in the file, None where that cannot be read at.

        In a gzip member that holds several records FastWARC says how far the file was read, which
        is nowhere in particular; so it is believed only where a member begins.
        """
        if not self.apart:
            return None
        at: int = record.stream_pos
        moved = self.records == 0 or (self.last is not None and at > self.last)
        self.apart = moved and (self.kind == "plain" or packing.begins_record(self.raw, at))
        return at if self.apart else None

    def _end_of_last(self) -> int | None:
        """Return where the last record that was begun ends, None where that cannot be told."""
        if not self.apart or self.last is None:
            return None
        if self.kind == "plain":
            head = os.pread(self.raw.fileno(), HEAD_ROOM, self.last)
            blank = head.find(b"\r\n\r\n")
            if blank < 0:
                return None
            stated = payload.header(payload.headers(head[:blank]), "content-length") or ""
            length = int(stated) if stated.isdigit() else 0
            end = self.last + blank + 4 + length
            if end > self.size:  # the record is torn; or its length is absurd, so taken as 0
                return self.size if self.error is None else self.last + blank + 4
            after = os.pread(self.raw.fileno(), 4, end)
            return end + 4 if after == b"\r\n\r\n" else None
        return packing.member_end(self.raw, self.last)

    def _tail(self) -> Response | None:
        """Return a Response for the bytes after the last record, if they are the start of one."""
        end = self._end_of_last() if self.records else self.last
        if end is None or not os.pread(self.raw.fileno(), 4096, end).strip():
            return None
        return Response("", None, b"", None, b"", None, end, self.size - end, None, TORN)

    def gap(self) -> Response:
        """Return a Response that stands for the damage and reaches to the next record.

        Raises:
            UserError: the records are not apart, so the next one cannot be found.
        """
        if not self.apart or self.last is None:
            raise UserError(
                f"{self.path}: damaged after record {self.records} ({self.error}), and as all its "
                "records are in one compressed stream, none after that can be read; get the file "
                "anew, or leave it out"
            ) from self.error
        known = self._end_of_last() if self.records else self.last
        start = self.last if known is None else known
        end = self._next_record(start + 1)
        self.resume = end if end < self.size else None
        if known is None and self.broken is not None:  # the record's own bytes are the damage
            return replace(_lost(self.broken, start, DAMAGED), length=end - start)
        return Response("", None, b"", None, b"", None, start, end - start, None, DAMAGED)

    def _next_record(self, at: int) -> int:
        """Return where the first record at or after `at` begins, or the file's size."""
        mark = GZIP_MAGIC if self.kind == "gzip" else RECORD_START
        while stored := os.pread(self.raw.fileno(), SCAN + len(mark) - 1, at):
            found = stored.find(mark)
            while found >= 0:
                if self._restarts(at + found):
                    return at + found
                found = stored.find(mark, found + 1)
            at += SCAN
        return self.size

    def _restarts(self, at: int) -> bool:
        """Whether reading can go on here; a page may speak of `WARC/` too."""
        if self.kind == "gzip":
            return packing.begins_record(self.raw, at)
        start = os.pread(self.raw.fileno(), HEAD_START, at)
        if VERSION_LINE.match(start) is None:
            return False
        # A beginning before the end of the fields would be read through again for each of them.
        again = start.find(b"\n" + RECORD_START, 1)
        return again < 0 or 0 <= start.find(b"\n\r\n") < again or 0 <= start.find(b"\n\n") < again


def _placed(response: Response, end: int | None) -> Response:
    """Return `response` with its length, or without offset where the next one is not apart."""
    if response.offset is None or end is None or end <= response.offset:
        return replace(response, offset=None, length=None)
    return replace(response, length=end - response.offset)


def _response(record: WarcRecord, max_body: int, digested: bool) -> Response:
    """Read a record's block and take it apart.

    What is packed has checksums; `digested` asks for what is not to be what its digest says.

    Raises:
        OSError: its compressed bytes are damaged.
    """
    bound = max_body + HEAD_ROOM
    block: bytes = record.reader.read(bound)
    length = record.headers.get("Content-Length") or ""
    if len(block) < min(record.content_length, bound) or not length.isdigit():
        return _lost(record, None, DAMAGED if length and not length.isdigit() else TORN)
    if digested and len(block) == record.content_length and not _as_digested(record, block):
        return _lost(record, None, DAMAGED)
    problem = LARGE if record.content_length > bound else None
    truncated = record.headers.get("WARC-Truncated")
    head, fields, content_type = b"", [], record.headers.get("Content-Type")
    if record.record_type == WarcRecordType.response:
        parts = payload.split(block)
        if parts is None:
            return _lost(record, None, NOT_HTTP)
        head, block = parts
        fields = payload.headers(head)
        content_type = payload.header(fields, "content-type")
    body = payload.unpack(fields, block, max_body)
    if not body.whole and truncated is None and body.problem is None:
        truncated = "disconnect"
    return Response(
        _target(record),
        payload.status(head),
        head,
        content_type,
        body.data,
        _date(record),
        None,
        None,
        truncated,
        problem or body.problem,
        record.headers.get("WARC-IP-Address"),
        record.record_id,
    )


def _as_digested(record: WarcRecord, block: bytes) -> bool:
    """Whether a block has the SHA-1 that its record says, where it says one as most do."""
    algorithm, _, stated = (record.headers.get("WARC-Block-Digest") or "").partition(":")
    if algorithm.lower() != "sha1" or len(stated) != len("VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N"):
        return True
    found = hashlib.sha1(block, usedforsecurity=False).digest()
    return base64.b32encode(found).decode() == stated.upper()


def _lost(record: WarcRecord, at: int | None, problem: str) -> Response:
    """Return what the record's own header says, where its block cannot be used."""
    date = _date(record)
    return Response(_target(record), None, b"", None, b"", date, at, None, None, problem)


def _target(record: WarcRecord) -> str:
    """Return the URL; WARC 1.0's own grammar, and so Wget, puts it between angle brackets."""
    url: str = record.headers.get("WARC-Target-URI") or ""
    return url[1:-1] if url.startswith("<") and url.endswith(">") else url


def _date(record: WarcRecord) -> datetime | None:
    """Return WARC-Date, None where it is missing or no date."""
    try:
        found = datetime.fromisoformat(record.headers.get("WARC-Date") or "")
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
