"""The records of a WARC or ARC file in order: where each begins and ends, and its fields.

Every byte of a stream is part of a record, of a separator, or of damage. Damage only costs the
record that it is in: if a stated length does not lead to the next record, that record is searched
for. Field names ignore case; lines may end in LF alone; a blank line or a line without a colon
within the fields, as in ClueWeb09 and from old tools, does not end or break them.

Source: WARC 1.1, ISO 28500:2017; https://archive.org/web/researcher/ArcFileFormat.php
"""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from webtext.pipeline.archive import payload

TORN: Final = "torn"  # the file ends within the record
DAMAGED: Final = "damaged"  # bytes from which no record can be read, or a wrong length

PIECE: Final = 1 << 16  # bytes read at a time
MAX_HEAD: Final = 1 << 20  # bytes of a record's fields
USUAL_HEAD: Final = 4096  # bytes that the fields of nearly every record fit into
OVERLAP: Final = 64  # bytes that are searched again, for a line may be cut in two
BLANK: Final = b"\r\n\t "  # between records

# Of any version: the lines of the fields are the same in all of them, and only their case is not
# always that of the standard.
_version = rb"WARC/\d{1,2}(?:\.\d{1,2}){0,2}[ \t]*\r?\n"
VERSION: Final = re.compile(_version, re.IGNORECASE)
# URL (some with spaces), address, date, type, and last the length; version 2 has five more before.
ARC_LINE: Final = re.compile(
    rb"([a-z][a-z0-9.+-]*:\S*(?: \S+){0,9}?) (\S*) (\d{8,17}) ([^\r\n]*?)"
    rb"(?: \S+ \S+ \S+ \d+ \S+)? (\d+)[ \t]*\r?\n",
    re.IGNORECASE,
)
_begun = re.compile(_version + rb"|W?A?R?C?/?\d{0,2}[.\d]{0,6}[ \t]*\r?\Z", re.IGNORECASE)
_again = re.compile(rb"\n" + _version, re.IGNORECASE)
_blank = re.compile(rb"\r?\n[ \t]*\r?\n")
_next = re.compile(rb"(?:\A|\n)(?=" + _version + rb")", re.IGNORECASE)
_anywhere = re.compile(rb"(?=" + _version + rb")", re.IGNORECASE)  # after damage, also in a line
_next_arc = re.compile(
    rb"(?:\A|\n)(?=(?:https?|ftp|dns|filedesc):\S*(?: \S+){0,9}? [\d.:a-f-]+ \d{12,17} [^\r\n]* \d+"
    rb"[ \t]*\r?\n)",
    re.IGNORECASE,
)
_more_fields = re.compile(rb"\s*(?:WARC-[A-Za-z-]+|Content-Length|Content-Type):", re.IGNORECASE)


class Record(NamedTuple):
    """One record, or damage between two."""

    kind: str  # WARC-Type in lower case; "" if there is none
    fields: list[tuple[str, str]]  # as written, in order
    block: bytes  # at most as many bytes of it as requested
    length: int  # bytes of the whole block
    start: int  # bytes into the stream
    end: int  # where the next one may begin
    flaw: str | None = None  # TORN or DAMAGED; the block must then not be used

    def field(self, name: str) -> str:
        """Return the value of a field, its name in lower case; "" if there is none."""
        return payload.header(self.fields, name) or ""


class Stream:
    """A buffer for a stream that is read in pieces."""

    def __init__(self, read: Callable[[int], bytes], start: int = 0) -> None:
        self._read = read
        self.held = bytearray()
        self.at = start  # place in the stream of the first byte in the buffer
        self.over = False  # whether the stream has ended

    def hold(self, count: int) -> int:
        """Read until the buffer has `count` bytes or the stream ends; return how many it has."""
        while len(self.held) < count and not self.over:
            piece = self._read(max(PIECE, min(count - len(self.held), 1 << 20)))
            self.held += piece
            self.over = not piece
        return len(self.held)

    def drop(self, count: int) -> int:
        """Drop so many bytes, reading them if necessary; return how many there were."""
        gone = 0
        while gone < count and self.hold(1):
            step = min(count - gone, len(self.held))
            del self.held[:step]
            gone += step
        self.at += gone
        return gone

    def skip_lines(self) -> None:
        """Drop what is blank between records, and a byte order mark before the first."""
        if not self.at and self.hold(3) and self.held.startswith(codecs.BOM_UTF8):
            self.drop(3)
        while self.hold(1):
            blank = len(self.held) - len(self.held.lstrip(BLANK))
            if not blank:
                return
            self.drop(blank)


def records(stream: Stream, bound: int, arc: bool = False) -> Iterator[Record]:
    """Yield every record of a stream; of each block at most `bound` bytes.

    Raises:
        OSError, zlib.error, zstandard.ZstdError: an error of the stream. The record in which it
        occurs has been yielded as DAMAGED, if its fields had been read.
    """
    while True:
        stream.skip_lines()
        if not stream.hold(1):
            return
        start = stream.at
        found = _fields(stream, arc)
        if found is None:
            begun = not arc and _begun.match(stream.held) is not None
            torn = not _to_next(stream, 1, arc) and begun
            yield Record("", [], b"", 0, start, stream.at, TORN if torn else DAMAGED)
            continue
        size, fields = found
        kind = (payload.header(fields, "warc-type") or "").lower()
        try:
            stream.drop(size)
            block, length, flaw = _block(stream, fields, bound, arc)
        except Exception:
            yield Record(kind, fields, b"", 0, start, stream.at, DAMAGED)
            raise
        yield Record(kind, fields, block, length, start, stream.at, flaw)


def _fields(stream: Stream, arc: bool) -> tuple[int, list[tuple[str, str]]] | None:
    """Return the length in bytes of the next record's fields, and the fields; None if none."""
    if arc:
        return _arc_fields(stream)
    stream.hold(64)
    if VERSION.match(stream.held) is None:
        return None
    at = 0
    while at <= MAX_HEAD:
        blank = _blank_line(stream, at)
        if blank is None:
            return None
        fields = _read(bytes(stream.held[: blank.end()]))
        if payload.header(fields, "content-length") is not None:
            return blank.end(), fields
        stream.hold(blank.end() + 256)
        if _more_fields.match(stream.held, blank.end()) is None:
            return blank.end(), fields
        at = blank.end() + 1
    return None


def _blank_line(stream: Stream, at: int) -> re.Match[bytes] | None:
    """Return the empty line that ends fields; None if none comes before the next record begins.

    No byte is searched twice, however long the fields are, and no more than a head of a usual size
    where the next record begins at once.
    """
    end = at + USUAL_HEAD
    while True:
        stream.hold(end)
        again = _again.search(stream.held, max(at, 1), end)
        blank = _blank.search(stream.held, at, again.start() + 1 if again else end)
        if blank or again or len(stream.held) < end or end > MAX_HEAD:
            return blank
        at, end = end - OVERLAP, 2 * end


def _read(head: bytes) -> list[tuple[str, str]]:
    """Return the fields of a WARC record, which are UTF-8."""
    fields = payload.headers(head)
    if head.isascii():
        return fields
    return [(name, _utf8(value)) for name, value in fields]


def _utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _arc_fields(stream: Stream) -> tuple[int, list[tuple[str, str]]] | None:
    """Return the line before a record of an ARC file, as the fields of a WARC record."""
    stream.hold(PIECE)
    line = ARC_LINE.match(stream.held)
    if line is None:
        return None
    url, address, date, kind, length = (part.decode("latin-1") for part in line.groups())
    first = url.lower().startswith("filedesc:")
    fields = [
        ("WARC-Type", "warcinfo" if first else "response"),
        ("WARC-Target-URI", url),
        ("WARC-IP-Address", address),
        ("Content-Type", kind.split(" ")[0]),
        ("Content-Length", length),
    ]
    if len(date) >= len("20060504030201"):
        parts = date[:4], date[4:6], date[6:8], date[8:10], date[10:12], date[12:14]
        fields.append(("WARC-Date", "{}-{}-{}T{}:{}:{}Z".format(*parts)))
    return line.end(), fields


def _block(
    stream: Stream, fields: list[tuple[str, str]], bound: int, arc: bool
) -> tuple[bytes, int, str | None]:
    """Return a record's block up to `bound` bytes, its length, and its problem.

    The stream is then at the place where the next record may begin.
    """
    stated = [value for name, value in fields if name.lower() == "content-length"]
    lengths = [int(value) for value in stated if value.isascii() and value.isdigit()]
    if not lengths:
        _to_next(stream, 0, arc)
        return b"", 0, DAMAGED
    for length in lengths:  # of several the first that leads to the next record
        held = stream.hold(min(length, bound) + PIECE)
        if ends := length <= bound and held >= length and _ends(stream, length, arc):
            break
    if ends:
        block = bytes(stream.held[:length])
        stream.drop(length)
        return block, length, None
    # The length is wrong, or the record is longer than anybody needs.
    pattern = _next_arc if arc else _next
    nearest = pattern.search(stream.held)
    if length > bound and nearest is None:
        block = bytes(stream.held[:bound])
        whole = stream.drop(length) == length and (stream.over or _ends(stream, 0, arc))
        if not whole:
            _to_next(stream, 0, arc)
        return (block, length, None) if whole else (b"", length, TORN if stream.over else DAMAGED)
    if nearest is None and held < length:
        stream.drop(held)
        return b"", length, TORN
    _to_next(stream, 0, arc)
    return b"", length, DAMAGED


def _ends(stream: Stream, at: int, arc: bool) -> bool:
    """Whether a record may end at a place: empty lines, the next record, or nothing follows."""
    after = bytes(stream.held[at : at + 512])
    if not after or after.startswith((b"\r\n\r\n", b"\n\n")):
        return True
    rest = after.lstrip(BLANK)
    if not rest:
        return True
    if arc:
        return ARC_LINE.match(bytes(stream.held[at : at + PIECE]).lstrip()) is not None
    return VERSION.match(rest) is not None


def _to_next(stream: Stream, least: int, arc: bool) -> bool:
    """Drop all bytes up to the next record, and `least` bytes in any case.

    Return whether there is a next record.
    """
    pattern = _next_arc if arc else _next if not least else _anywhere
    stream.drop(least)
    while stream.hold(PIECE):
        found = pattern.search(stream.held)
        if found is not None:
            stream.drop(found.end())
            return True
        keep = 0 if stream.over else 8192  # a line may be in the buffer only in part
        stream.drop(max(len(stream.held) - keep, 1))
    return False
