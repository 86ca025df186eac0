"""Read files of texts in pieces that workers decode: the same pieces of the same bytes always.

One process reads and decompresses; what is expensive (decoding, judging) happens where a chunk is
sent to. So one large file keeps all processors busy, and memory holds a few chunks.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.archive.framing import Record, Stream, records
from webtext.pipeline.core.compressed import ArchiveError, blocks, chunks, cut, utf8
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.sources.source_files import FILES, Source

LONGEST_ROW: Final = 1 << 30  # bytes of a line, a field of CSV or a record
CHUNK_BYTES: Final = 1 << 18  # of rows that one worker gets at a time, or one row that is longer
CHUNK_ROWS: Final = 256  # of Parquet, whose rows are counted rather than measured
CHUNK_FILES: Final = 64
DELIMITERS: Final = ",\t;|"
EXCEL: Final = re.compile(r"(?i)sep=([,;|:\t ])\r?\n?")  # a first line by which Excel names it
LAST: Final = "\0end\0"  # a row after the last one: part of a field that is still open

Tick = Callable[[int], None]


class Chunk(NamedTuple):
    """Some successive rows of a source, not decoded yet."""

    source: Source
    first: int  # number of its first row in the source, from 1: the line of JSON Lines
    rows: Any  # as the form has them
    files: tuple[Source, ...] = ()  # instead of rows, where each file is one text
    header: tuple[str, ...] = ()  # of CSV
    cut_short: str = ""  # why the source could not be read beyond these rows


def pieces(sources: Sequence[Source], tick: Tick = lambda _: None) -> Iterator[Chunk]:
    """Yield all rows of the sources, in order; `tick` gets the bytes read of the files.

    Raises:
        UserError: a file that is not what its name says, from its first byte on.
    """
    waiting: list[Source] = []
    size = 0
    for source in sources:
        size += source.path.stat().st_size
        if waiting and (
            source.form != waiting[0].form or len(waiting) == CHUNK_FILES or size > CHUNK_BYTES
        ):
            yield of_files(waiting, tick)
            waiting, size = [], source.path.stat().st_size
        if source.form in FILES:
            waiting.append(source)
            continue
        yield from READERS[source.form](source, tick)
    if waiting:
        yield of_files(waiting, tick)


def of_files(sources: list[Source], tick: Tick) -> Chunk:
    """Return a chunk of files that are one text each, which its worker reads."""
    tick(sum(source.path.stat().st_size for source in sources))
    return Chunk(sources[0], 1, None, tuple(sources))


def of_lines(source: Source, tick: Tick) -> Iterator[Chunk]:
    """Yield lines of JSON; of one that is too long its length stands in its place."""
    held: list[bytes | int] = []
    size, number, count = 0, 1, 0
    for piece in chunks(utf8(blocks(source.path, tick)), LONGEST_ROW):
        if isinstance(piece, int) and piece < 0:
            yield from split(source, number, held)
            why = "the file is damaged or ends too early"
            yield Chunk(source, number + count, [], cut_short=why)
            return
        held.append(piece)
        size += 1 if isinstance(piece, int) else len(piece)
        count += 1 if isinstance(piece, int) else piece.count(b"\n")
        if size >= CHUNK_BYTES:
            yield from split(source, number, held)
            number, held, size, count = number + count, [], 0, 0
    if held:
        yield from split(source, number, held)


def split(source: Source, number: int, held: list[bytes | int]) -> Iterator[Chunk]:
    """Cut lines that were read together into chunks of about CHUNK_BYTES."""
    rows: list[bytes | int] = []
    size, first = 0, number
    for piece in held:
        for line in [piece] if isinstance(piece, int) else cut(piece):
            rows.append(line)
            size += 1 if isinstance(line, int) else len(line)
            number += 1
            if size >= CHUNK_BYTES:
                yield Chunk(source, first, rows)
                rows, size, first = [], 0, number
    if rows:
        yield Chunk(source, first, rows)


def of_csv(source: Source, tick: Tick) -> Iterator[Chunk]:
    """Yield records of CSV, as lists of fields; the first record names the fields."""
    csv.field_size_limit(LONGEST_ROW)
    lines = iter(text_of(blocks(source.path, tick)))
    header: tuple[str, ...] = ()
    rows: list[list[str]] = []
    size, first = 0, 1
    try:
        begin = next(lines, "")
        between = divided(begin, "\t" if source.form == "tsv" else ",")
        names = [] if EXCEL.fullmatch(begin) else [begin]
        reader = csv.reader(chain(names, lines, [LAST]), delimiter=between)
        header = tuple(next(reader))
        if header[-1:] == (LAST,):
            return
        if header and header[-1].endswith(LAST):
            raise csv.Error("a quoted name in the header is never closed")
        header = once(header)
        for row in reader:
            if row and row[-1].endswith(LAST):
                if row != [LAST]:
                    raise csv.Error("a quoted field is never closed, from this row on")
                break
            if row:
                rows.append(row)
                size += sum(map(len, row))
            if size >= CHUNK_BYTES:
                yield Chunk(source, first, rows, header=header)
                rows, size, first = [], 0, first + len(rows)
    except (ArchiveError, csv.Error) as error:
        yield Chunk(source, first, rows, header=header, cut_short=str(error))
        return
    if rows:
        yield Chunk(source, first, rows, header=header)


def divided(line: str, usual: str) -> str:
    """Return what is between the names in the first line of a table, where `usual` is not.

    >>> divided("id;text", ","), divided('"a, b";text', ","), divided("sep=|", ",")
    (';', ';', '|')
    """
    if said := EXCEL.fullmatch(line):
        return said[1]
    bare = re.sub(r'"[^"]*"', "", line)
    found = usual if usual in bare else max(DELIMITERS, key=bare.count)
    return found if found in bare else usual


def once(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns, those that were there before with a number, as pandas has them.

    >>> once(["text", "n", "text", "text"])
    ('text', 'n', 'text.1', 'text.2')
    """
    found: dict[str, None] = {}
    last: dict[str, int] = {}  # the number that each name was given last
    for name in names:
        free, number = name, last.get(name, 0)
        while free in found:
            number += 1
            free = f"{name}.{number}"
        found[free], last[name] = None, number
    return tuple(found)


def text_of(stream: Iterable[bytes]) -> io.TextIOWrapper:
    """Return a stream of bytes as text; bytes that are no UTF-8 become lone surrogates."""
    raw = io.BufferedReader(_Raw(utf8(stream)), 1 << 16)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")


class _Raw(io.RawIOBase):
    """Blocks of bytes as a file."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held:
            block = next(self._stream, None)
            if block is None:
                return 0
            self._held = block
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


def of_parquet(source: Source, tick: Tick) -> Iterator[Chunk]:
    """Yield batches of rows."""
    size = source.path.stat().st_size
    try:
        with pq.ParquetFile(source.path) as file:
            done = told = 0
            for batch in file.iter_batches(CHUNK_ROWS):
                yield Chunk(source, done + 1, batch)
                done += batch.num_rows
                share = size * done // max(file.metadata.num_rows, 1)
                tick(share - told)
                told = share
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(source.path, "Parquet", error) from None


def of_arrow(source: Source, tick: Tick) -> Iterator[Chunk]:
    """Yield batches of rows of an Arrow file or stream, as the library datasets saves them."""
    try:
        with pa.memory_map(str(source.path)) as file:
            done = 0
            for batch in arrow_batches(file):
                for start in range(0, batch.num_rows, CHUNK_ROWS):
                    yield Chunk(source, done + start + 1, batch.slice(start, CHUNK_ROWS))
                done += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(source.path, "Arrow", error) from None
    tick(source.path.stat().st_size)


def arrow_batches(file: Any) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an open Arrow file, or stream."""
    try:
        reader = pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        yield from pa.ipc.open_stream(file)
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def unreadable(path: Path, form: str, error: Exception) -> UserError:
    """Return an error that says that a table cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(f"{path}: not a whole {form} file ({reason}); get it anew, or leave it out")


def of_wet(source: Source, tick: Tick) -> Iterator[Chunk]:
    """Yield conversion records of a WET file, and damage; records of other types hold no text."""
    rows: list[Record] = []
    size, first = 0, 1
    stream = Stream(io.BufferedReader(_Raw(iter(blocks(source.path, tick))), 1 << 16).read)
    try:
        for record in records(stream, LONGEST_ROW):
            if record.kind != "conversion" and record.flaw is None:
                continue
            rows.append(record)
            size += len(record.block)
            if size >= CHUNK_BYTES:
                yield Chunk(source, first, rows)
                rows, size, first = [], 0, first + len(rows)
    except (ArchiveError, OSError) as error:
        yield Chunk(source, first, rows, cut_short=str(error))
        return
    if rows:
        yield Chunk(source, first, rows)


READERS: Final[dict[str, Callable[[Source, Tick], Iterator[Chunk]]]] = {
    "jsonl": of_lines,
    "csv": of_csv,
    "tsv": of_csv,
    "parquet": of_parquet,
    "arrow": of_arrow,
    "wet": of_wet,
}
