"""Take records out of a WARC file without moving any other record.

In the place of the records of a visit there is one record more that says that something was removed
and nothing else, in as many bytes. So the places that outcomes, indexes and other crawls have noted
for all other records stay right, and the file stays a valid WARC file of whole gzip members.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from webtext.pipeline.archive import payload, warc_records
from webtext.pipeline.archive.gzip_members import Member
from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.crawl.commoncrawl.captures import REDIRECTS, leads_to
from webtext.pipeline.crawl.commoncrawl.taken import location
from webtext.pipeline.crawl.frontier.recovery import Row, Unit, rows_of_unit, units
from webtext.pipeline.urls.forgotten import Forgotten

Range = tuple[int, int]  # first byte, and the one after the last

HEAD: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))  # of a gzip member. Source: RFC 1952
STORED: Final = 65_535  # bytes of a stored block at most. Source: RFC 1951, section 3.2.4
AROUND: Final = len(HEAD) + 8  # bytes of a member's head and tail
COPY: Final = 1 << 20  # bytes at a time
SAYS: Final = b"removed: on request\r\n"


def visits(path: Path, forgotten: Forgotten, others: bool = False) -> Iterator[Range]:
    """Yield where the visits are that asked for, or were led to, what is forgotten.

    `others`: all the other whole ones instead.
    """
    begin = 0
    for unit in units(path, 0, {}):
        first, begin = _first(unit, begin), unit.end
        visit = unit.note.header("warc-type") == "metadata"
        if others != (visit and _concerns(unit, forgotten)):
            yield first, unit.end


def _first(unit: Unit, before: int) -> int:
    """Return where a visit begins: at its response, or at the record that ends it."""
    starts = [unit.note.start, *([unit.response.start] if unit.response else [])]
    return max(before, min(starts))


def _concerns(unit: Unit, forgotten: Forgotten) -> bool:
    records = [unit.note, *([unit.response] if unit.response else [])]
    if forgotten(*(record.header("warc-target-uri") for record in records)):
        return True
    if unit.response and _redirected(unit.response, forgotten):  # out of Common Crawl
        return True
    return any(_led(row, forgotten) for row in rows_of_unit("", unit, {}))


def _redirected(response: Member, forgotten: Forgotten) -> bool:
    """Whether a record is a redirect to what is forgotten; a page may name it in its header."""
    block = response.block
    return payload.status(block) in REDIRECTS and leads_to(
        response.header("warc-target-uri") or "", location(block), forgotten
    )


def _led(row: Row, forgotten: Forgotten) -> bool:
    """Whether a row of the frontier names what is forgotten, in any of its texts."""
    addresses = [value for value in row if isinstance(value, str) and "://" in value]
    for value in list(addresses):
        if value.startswith("["):
            addresses += json.loads(value)
    return forgotten(*addresses)


def tombstone(size: int) -> bytes:
    """Return a gzip member of so many bytes with a record that says that something was removed.

    >>> all(len(tombstone(size)) == size for size in (300, 1099, 70_000, 131_400))
    True

    Raises:
        ValueError: a record has no room in so few bytes.
    """
    blocks = -(-(size - AROUND) // (STORED + 5))
    inside = size - AROUND - 5 * blocks
    pad = b""
    while True:
        head = (
            f"WARC/1.1\r\nWARC-Type: warcinfo\r\nWARC-Date: 1970-01-01T00:00:00Z\r\n"
            f"WARC-Record-ID: {warc_records.new_id()}\r\nContent-Type: application/warc-fields\r\n"
        ).encode() + pad
        left = inside - len(head) - len(b"Content-Length: \r\n\r\n\r\n\r\n")
        block = left - len(str(left))
        while block + len(str(block)) < left:
            block += 1
        if block < 0:
            raise ValueError(f"{size} bytes: no record is so small")
        if block + len(str(block)) == left:
            break
        pad = b"X-Pad: .\r\n"  # one digit more or less would not fit: another length does
    content = SAYS[:block] if block < len(SAYS) else SAYS.ljust(block, b" ")
    record = head + b"Content-Length: %d\r\n\r\n" % block + content + b"\r\n\r\n"
    return HEAD + _stored(record) + _tail(record)


def _stored(data: bytes) -> bytes:
    """Return bytes as deflate's stored blocks. Source: RFC 1951, section 3.2.4."""
    pieces = [data[at : at + STORED] for at in range(0, len(data), STORED)]
    made = []
    for number, piece in enumerate(pieces, 1):
        last = bytes((number == len(pieces),))
        length = len(piece).to_bytes(2, "little")
        made.append(last + length + (len(piece) ^ 0xFFFF).to_bytes(2, "little") + piece)
    return b"".join(made)


def _tail(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")


def bury(path: Path, ranges: Iterable[Range]) -> None:
    """Replace byte ranges of a WARC file by tombstones: all of them, or the file is as it was."""
    with path.open("rb") as source, replacing(path) as partial, partial.open("wb") as copy:
        for first, end in sorted(ranges):
            copied(source, copy, first - source.tell())
            copy.write(tombstone(end - first))
            source.seek(end)
        copied(source, copy, path.stat().st_size - source.tell())


def copied(source: BinaryIO, copy: BinaryIO, count: int) -> None:
    """Copy so many bytes from where a file is.

    Raises:
        PipelineError: it has fewer.
    """
    while count:
        data = source.read(min(COPY, count))
        if not data:
            raise PipelineError(
                f"{source.name}: is {count} bytes shorter than its records say; nothing in it was "
                "changed: `webtext verify` says what to do"
            )
        copy.write(data)
        count -= len(data)
