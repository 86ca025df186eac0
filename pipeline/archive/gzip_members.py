"""The gzip members of a WARC file in order, each checked, the damaged ones marked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from webtext.pipeline.archive import packing, payload
from webtext.pipeline.core.stores.stored_files import pread, size_of

GZIP = 31  # window bits that select the gzip format. Source: zlib's manual, inflateInit2
DAMAGE: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stubs call it a value
READ = 1 << 18  # bytes of the file at a time
MOST = 1 << 28  # bytes of one member's content; our own are cut at crawl.max_body


@dataclass(frozen=True, slots=True)
class Member:
    """One member, or the unreadable bytes up to the next one."""

    start: int  # bytes into the file
    end: int
    content: bytes | None  # None if it is damaged or incomplete

    def header(self, name: str) -> str | None:
        """Return a field of the record's own header."""
        assert self.content is not None, "asked of whole members only"
        return payload.header(payload.headers(self.content.partition(b"\r\n\r\n")[0]), name)

    @property
    def block(self) -> bytes:
        """The record's block, with the length that its header says."""
        assert self.content is not None, "asked of whole members only"
        stated = self.header("content-length") or ""
        size = int(stated) if stated.isdigit() else 0
        return self.content.partition(b"\r\n\r\n")[2][:size]


def members(path: Path, start: int = 0) -> Iterator[Member]:
    """Yield the members after `start`, in order and without gaps.

    A member counts as whole when its own checksum and length are right and a record is in it.
    """
    with path.open("rb") as raw:
        size = size_of(raw)
        while start < size:
            found = _member(raw, start)
            if found is None:
                found = Member(start, _next_start(raw, start + 1, size), None)
            yield found
            start = found.end


def whole(path: Path, start: int) -> bool:
    """Whether an undamaged member with a record begins at `start`."""
    with path.open("rb") as raw:
        return _member(raw, start) is not None


def _member(raw: BinaryIO, start: int) -> Member | None:
    """Return the member that begins at `start`, None if it is damaged or not a record."""
    inflater = isal_zlib.decompressobj(GZIP)
    pieces: list[bytes] = []
    at, size = start, 0
    try:
        while not inflater.eof:
            stored = pread(raw, READ, at)
            if not stored:
                return None
            at += len(stored)
            pieces.append(inflater.decompress(stored))
            size += len(pieces[-1])
            if size > MOST:
                return None
    except (DAMAGE, EOFError):
        return None
    content = b"".join(pieces)
    if not content.startswith(packing.RECORD_START):
        return None
    return Member(start, at - len(inflater.unused_data), content)


def _next_start(raw: BinaryIO, at: int, size: int) -> int:
    """Return where the next member with a record begins, or the file's size."""
    mark = packing.GZIP_MAGIC
    while stored := pread(raw, packing.SCAN + len(mark) - 1, at):
        found = stored.find(mark)
        while found >= 0:
            if packing.begins_record(raw, at + found):
                return at + found
            found = stored.find(mark, found + 1)
        at += packing.SCAN
    return size
