"""Submissions from dumps and link lists of every era, one record per line; every line is counted.

It reads Reddit's submission dumps (Pushshift, Arctic Shift, recorded API answers), Hacker News
items (CSV, JSON lines of the official or the search API) and lists of URLs (plain, CSV, JSON
lines, Parquet), each plain or in zstd, xz, bz2 or gzip. A record that cannot be read is returned
as a `Flaw`, never left out, so that every line is accounted for.
"""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.core.compressed import (
    CUT_SHORT,
    LINE_BOUND,
    ArchiveError,
    blocks,
    chunks,
    container,
    cut,
    utf8,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.jsonlines import AROUND
from webtext.pipeline.core.stores.stored_files import StoredFile
from webtext.pipeline.links.answers import unwrapped
from webtext.pipeline.links.submissions import (
    Raw,
    Submission,
    named,
    submission,
    unescaped,
    without_halves,
)

PACKED = {
    ".zst",
    ".zst_blocks",
    ".xz",
    ".bz2",
    ".gz",
}  # an empty file of such a name is a failed download
SORTS = "zstd, xz, bz2 or gzip"
# PNG, JPEG, GIF, PDF, zip, 7z, rar, SQLite, Arrow: files that are saved under the name of a dump.
# Source: `man 5 magic`, as in the `file` command
BINARIES = tuple(b"\x89PNG \xff\xd8\xff GIF8 %PDF- PK\3\4 7z\xbc\xaf Rar! SQLite ARROW1".split())
BINARIES += (b"\xff" * 4,)  # a stream of Arrow
POINTER = b"version https://git-lfs"  # Source: git-lfs, docs/spec.md
PAGES = (b"<!doctype html", b"<html", b"<?xml")
INVISIBLE = "\ufeff\u200b\u2060"  # besides white space, at the ends of lines copied from a page
DELIMITERS = ",\t;|"
HEAD_BYTES = 64  # bytes examined to detect a file that is not a dump
HEAD_LINES = 64  # lines examined to detect a format
CSV_LINES = 100  # a quoted field with more lines than this was never closed

Lines = Iterable[tuple[int, bytes | int]]  # numbered from 1; a number for a missing one


class Flaw(NamedTuple):
    """Why a line has no submission."""

    reason: str  # broken_line, line_too_long or truncated_archive
    value: float | None = None  # bytes of the line, if that was the reason


_decode = msgspec.json.Decoder(Raw).decode


def records(
    path: Path, tick: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[int, Submission | Flaw]]:
    """Yield every record of a dump or list with its line number, from 1; blank lines have none.

    `tick` gets the number of bytes of the file that were read. An archive that ends early gives
    its records and then one Flaw for the rest, whose size is unknown.

    Raises:
        UserError: a table without a column of URLs, or a file that is neither dump nor list.
    """
    if container(path) == "parquet":
        yield from _parquet(path, tick)
        return
    kind, stream = opened(path, tick)
    numbered = enumerate(_lines(stream), 1)
    if kind == "json":
        yield from ((number, found) for number, line in numbered if (found := read_json(line)))
    elif kind == "plain":
        yield from _plain(numbered)
    else:
        yield from _csv(path, numbered, "\t" if kind == "tsv" else ",")


def opened(
    path: Path, tick: Callable[[int], None] = lambda _: None
) -> tuple[str, Iterator[bytes | int]]:
    """Return json, csv, tsv or plain, by a file's first lines and its name; and its chunks.

    Raises:
        UserError: a file that is neither dump nor list.
    """
    if not path.stat().st_size and path.suffix in PACKED:
        raise UserError(f"{path}: is empty; download it again, or take it off the sources")
    stream = chunks(unwrapped(_looked_at(path, utf8(blocks(path, tick)))))
    head: list[bytes | int] = []
    texts: list[bytes] = []
    while len(texts) < HEAD_LINES and (chunk := next(stream, None)) is not None:
        if not head and isinstance(chunk, bytes):
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
        head.append(chunk)
        texts += [b""] if isinstance(chunk, int) else chunk.split(b"\n", HEAD_LINES)
    texts = [text.strip() for text in texts[:HEAD_LINES]]
    names = {suffix.lower() for suffix in path.suffixes}
    if any(text.startswith(b"{") for text in texts) or names & {".jsonl", ".ndjson", ".json"}:
        kind = "json"
    elif names & {".csv", ".tsv"}:
        kind = "tsv" if ".tsv" in names else "csv"
    else:
        kind = "plain"
    return kind, chain(head, stream)


def _looked_at(path: Path, stream: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on a file, unless its first bytes show that it is not lines of records.

    Raises:
        UserError: it is something else.
    """
    head = b""
    try:
        for block in stream:
            head += block
            if len(head) >= HEAD_BYTES:
                break
    except ArchiveError:
        yield head
        raise
    start = head[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"[") and start[1:].lstrip().startswith((b"{", b'"')):
        raise UserError(
            f"{path}: is one array of JSON; wanted an object a line: jq -c '.[]' turns it into that"
        )
    if start[:14].lower().startswith(PAGES):
        raise UserError(f"{path}: is a page of HTML, as a failed download leaves; download it anew")
    if start.startswith(POINTER):
        raise UserError(f"{path}: is a pointer of Git LFS; `git lfs pull` gets the file itself")
    if start.startswith(BINARIES):
        raise UserError(f"{path}: is no text; wanted a dump or a list, plain or in {SORTS}")
    yield head
    head = block = b""  # they can be large
    yield from stream


def _lines(stream: Iterable[bytes | int]) -> Iterator[bytes | int]:
    for chunk in stream:
        if isinstance(chunk, int):
            yield chunk
        else:
            yield from cut(chunk)


def read_json(line: bytes | int) -> Submission | Flaw | None:
    """Read a line of JSON, of any source and era; a blank one gives None."""
    try:
        raw = _decode(line)  # type: ignore[arg-type]  # a length is a TypeError
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError):
        return _odd_line(line)
    if raw.url is raw.permalink is raw.by is raw.objectID is None:
        return _odd_line(line)
    return submission(raw)


def _odd_line(line: bytes | int) -> Submission | Flaw | None:
    """Read a line that the fast decoder refused, or found nothing in.

    It may have a lone surrogate, bad bytes, a record separator or a comma (RFC 7464, or an array
    cut into lines), other names of the fields, or be a bare URL.
    """
    if isinstance(line, int):
        return _unread(line)
    if not line.strip(b" \t\r\0"):
        return None
    try:
        value = json.loads(line.decode("utf-8", "replace").strip(AROUND))
    except (ValueError, RecursionError):
        return Flaw("broken_line")
    fields = {"url": value} if isinstance(value, str) else value
    if not isinstance(fields, dict):
        return Flaw("broken_line")
    raw = Raw(**{field: fields[name] for field, name in named(fields).items()})
    found = without_halves(submission(raw))
    return _sound(found)


def _unread(length: int) -> Flaw:
    """Return the Flaw that replaces a line."""
    if length == CUT_SHORT:
        return Flaw("truncated_archive")
    return Flaw("line_too_long", length)


def _plain(numbered: Lines) -> Iterator[tuple[int, Submission | Flaw]]:
    """Read a list of one URL per line, to a tab at most; `#` starts a comment line."""
    for number, line in numbered:
        if isinstance(line, int):
            yield number, _unread(line)
            continue
        try:
            text = line.decode().strip().strip(INVISIBLE).partition("\t")[0].strip()
        except UnicodeDecodeError:
            yield number, Flaw("broken_line")
            continue
        if text and not text.startswith("#"):
            yield number, Submission(unescaped(text), listed=True)


def _csv(path: Path, numbered: Lines, delimiter: str) -> Iterator[tuple[int, Submission | Flaw]]:
    """Read a table: the first line names the columns, unless it holds a URL itself."""
    columns: dict[str, int] | None = None
    lone = False
    numbered, delimiter = _delimited(numbered, delimiter)
    for number, row in _csv_rows(numbered, delimiter):
        if isinstance(row, Flaw):
            yield number, row
            continue
        if columns is None:
            columns, lone = _columns(path, row), len(row) == 1
            if not any("://" in cell for cell in row):
                continue
        # What is between fields elsewhere is part of an address in a table of one column.
        found = [delimiter.join(row)] if lone else row
        cells = {name: found[at] or None for name, at in columns.items() if at < len(found)}
        yield number, _sound(submission(Raw(**cells)))


def _sound(found: Submission) -> Submission | Flaw:
    """Return a submission, unless its URL has lost characters and would lead to another page."""
    return Flaw("broken_line") if "\ufffd" in (found.url or "") else found


def _delimited(numbered: Lines, delimiter: str) -> tuple[Lines, str]:
    """Return the lines of a table and what is between its fields, as its first line shows.

    That line is left out if it says nothing else, as Excel writes it (`sep=;`).
    """
    lines = iter(numbered)
    first = next(((n, one) for n, one in lines if isinstance(one, int) or one.strip()), None)
    if first is None:
        return (), delimiter
    line = "" if isinstance(first[1], int) else first[1].decode("utf-8", "replace").strip()
    if line[:4].lower() == "sep=" and line[4:] in {*DELIMITERS, ":"}:
        return lines, line[-1]
    for one in dict.fromkeys(delimiter + DELIMITERS):
        row = _csv_row(line, one)
        if isinstance(row, list) and "url" in named(row):
            return chain([first], lines), one
    return chain([first], lines), delimiter


def _columns(path: Path, row: list[str]) -> dict[str, int]:
    """Return the positions of the known fields, by a table's first row.

    Raises:
        UserError: none of them is a URL.
    """
    address = next((at for at, cell in enumerate(row) if "://" in cell), None)
    if address is not None:
        return {"url": address}
    found = named(row)
    if "url" not in found:
        raise UserError(f"{path}: found the columns {', '.join(row)[:200]}; wanted one named url")
    return {field: row.index(name) for field, name in found.items()}


def _csv_rows(numbered: Lines, delimiter: str) -> Iterator[tuple[int, list[str] | Flaw]]:
    """Yield rows, joining lines if a quoted field has several.

    A quote that is never closed would take the rest of the file. So after `CSV_LINES` lines only
    its first line is given up, and reading continues with the second.
    """
    lines = _decoded(numbered)
    ahead: deque[tuple[int, str | Flaw]] = deque()
    while pair := ahead.popleft() if ahead else next(lines, None):
        number, text = pair
        if isinstance(text, Flaw):
            yield number, text
            continue
        if not text.strip():
            continue
        row, joined = _csv_row(text, delimiter), 0
        while row is None and joined < CSV_LINES:
            if joined == len(ahead):
                ahead.extend(islice(lines, 1))
            if joined == len(ahead) or isinstance(more := ahead[joined][1], Flaw):
                break
            joined += 1
            text = f"{text}\n{more}"
            row = _csv_row(text, delimiter)
        if row is None:
            yield number, Flaw("broken_line")
            continue
        for _ in range(joined):
            ahead.popleft()
        yield number, row


def _decoded(numbered: Lines) -> Iterator[tuple[int, str | Flaw]]:
    for number, line in numbered:
        if isinstance(line, int):
            yield number, _unread(line)
            continue
        yield number, line.decode("utf-8", "replace").rstrip("\r")


def _csv_row(text: str, delimiter: str) -> list[str] | Flaw | None:
    """Return the fields of one row, or None if a quoted one is still open at its end.

    A carriage return is a blank: the ends of rows are already known.
    """
    csv.field_size_limit(LINE_BOUND)  # the line length is already limited
    text = text.replace("\r", " ").replace("\0", "")
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            return None
    try:
        return next(csv.reader([text], delimiter=delimiter))  # an unexpected quote within a field
    except (csv.Error, StopIteration):
        return Flaw("broken_line")


def _parquet(path: Path, tick: Callable[[int], None]) -> Iterator[tuple[int, Submission | Flaw]]:
    """Read a Parquet table; a row's number is its line number."""
    number = 0
    source = path.open("rb") if isinstance(path, StoredFile) else path
    try:
        with pq.ParquetFile(source) as file:
            found = named(file.schema_arrow.names)
            if "url" not in found:
                names = ", ".join(file.schema_arrow.names)[:200]
                raise UserError(f"{path}: found the columns {names}; wanted one named url")
            for batch in file.iter_batches(batch_size=1 << 14, columns=list(found.values())):
                for row in _rows(batch):
                    number += 1
                    if isinstance(row, Flaw):
                        yield number, row
                    else:
                        raw = Raw(**{field: row[name] for field, name in found.items()})
                        yield number, _sound(submission(raw))
    except (pa.ArrowInvalid, OSError):
        yield number + 1, Flaw("truncated_archive")
    tick(path.stat().st_size)


def _held(column: pa.Array) -> pa.Array:
    """Return a column of one value, of null if Python cannot hold it."""
    try:
        column.to_pylist()
    except UnicodeDecodeError:
        return column
    except (ValueError, OverflowError):
        return pa.nulls(1)
    return column


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any] | Flaw]:
    """Return the rows of a batch; some writers put bytes that are not UTF-8 into string columns.

    A time that Python cannot hold is none.
    """
    try:
        return batch.to_pylist()  # type: ignore[no-any-return]  # pyarrow states no types
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [Flaw("broken_line")]
    except (ValueError, OverflowError):
        if batch.num_rows == 1:
            held = map(_held, batch.columns)
            return _rows(batch.from_pydict(dict(zip(batch.schema.names, held, strict=True))))
    half = batch.num_rows // 2
    return _rows(batch.slice(0, half)) + _rows(batch.slice(half))
