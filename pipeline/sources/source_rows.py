"""From chunks to rows: a text, what it is called, and the whole record it came in.

A row that cannot be read costs itself: it is a `Bad`, with its place and what is wrong with it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pyarrow as pa

from webtext.pipeline.core import tables
from webtext.pipeline.core.compressed import ArchiveError, blocks
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.jsonlines import mended
from webtext.pipeline.sources.source_chunks import LONGEST_ROW, Chunk, pieces
from webtext.pipeline.sources.source_files import TABLES, Source

BROKEN: Final = "read.broken"
NO_TEXT: Final = "read.no_text"
TOO_LARGE: Final = "read.too_large"
CUT_SHORT: Final = "read.cut_short"
FORGOTTEN: Final = "read.forgotten"
REASONS: Final[dict[str, str]] = {
    BROKEN: "a row that cannot be read: not JSON, another number of fields than the header, or "
    "bytes that are no UTF-8",
    NO_TEXT: "a row without the field of the text, or with something else than a text in it",
    TOO_LARGE: f"a row of more than {LONGEST_ROW >> 30} GiB",
    FORGOTTEN: "left out because its owner asked for it (`webtext forget`)",
    CUT_SHORT: "where a file is damaged or ends too early: what follows is not known",
}

LOOKED_AT: Final = 100  # rows, before the work begins
LONG_FILE: Final = 1 << 28  # bytes of a file that is one text
SHOWN: Final = 12  # fields named in a message
FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Fields:
    """The names of the fields that a row is read from."""

    text: str = "text"
    id: str = "id"  # with the next, may be missing
    url: str = "url"


PLAIN: Final = Fields()


@dataclass(frozen=True)
class Bad:
    """A row that could not be read."""

    place: str
    reason: str  # one of REASONS
    why: str
    raw: str | None = None


@dataclass
class Rows:
    """Rows of one chunk, decoded; the lists have an entry a row."""

    texts: list[str] = field(default_factory=list)  # of files, "" until their bytes are decoded
    records: list[dict[str, Any]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)  # of files that are one text
    batch: pa.RecordBatch | None = None  # the same rows with their types, of Parquet and Arrow
    bad: list[Bad] = field(default_factory=list)

    def add(self, text: str, record: dict[str, Any], place: str) -> None:
        """Add a row."""
        self.texts.append(text)
        self.records.append(record)
        self.places.append(place)

    def leave_out(self, unwanted: Callable[[dict[str, Any]], bool], reason: str) -> None:
        """Make bad rows, without their content, of those that are unwanted; with no batch."""
        out = [unwanted(record) for record in self.records]
        gone = [place for place, left_out in zip(self.places, out, strict=True) if left_out]
        self.bad += [Bad(place, reason, "left out") for place in gone]
        lists: tuple[list[Any], ...] = (self.texts, self.records, self.places, self.bodies)
        for rows in lists:
            if len(rows) == len(out):  # there are bodies only of files that are one text
                rows[:] = [row for row, left_out in zip(rows, out, strict=True) if not left_out]
        self.batch = None

    def __len__(self) -> int:
        return len(self.texts)


def rows_of(chunk: Chunk, fields: Fields) -> Rows:
    """Decode a chunk.

    Raises:
        UserError: a table without the field of the text.
    """
    found = Rows()
    if chunk.files:
        of_files(chunk.files, found)
    elif chunk.source.form in {"csv", "tsv"}:
        of_csv(chunk, fields, found)
    elif chunk.source.form == "wet":
        of_wet(chunk, found)
    elif isinstance(chunk.rows, pa.RecordBatch):
        of_batch(chunk, fields, found)
    else:
        of_lines(chunk, fields, found)
    if chunk.cut_short:
        place = f"{chunk.source.name}:{chunk.first + len(found) + len(found.bad)}"
        found.bad.append(Bad(place, CUT_SHORT, chunk.cut_short))
    return found


def value_of(line: bytes) -> Any:
    """Return the value of a line of JSON, mended if it must be.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return orjson.loads(line)
    except ValueError:
        return orjson.loads(mended(line))


def of_lines(chunk: Chunk, fields: Fields, found: Rows) -> None:
    """Decode lines of JSON; empty lines are no rows."""
    for number, line in enumerate(chunk.rows, chunk.first):
        place = f"{chunk.source.name}:{number}"
        if isinstance(line, int):
            found.bad.append(Bad(place, TOO_LARGE, f"a line of {line:,} bytes"))
            continue
        if not line.strip():
            continue
        try:
            record = value_of(line)
        except ValueError as error:
            raw = line.decode("utf-8", "replace")
            found.bad.append(Bad(place, BROKEN, f"not JSON ({error})", raw))
            continue
        if isinstance(record, dict):
            take(record, fields, place, found)
        else:
            why = f"found {type(record).__name__}, wanted an object"
            found.bad.append(Bad(place, BROKEN, why, line.decode("utf-8", "replace")))


def of_csv(chunk: Chunk, fields: Fields, found: Rows) -> None:
    """Name the fields of CSV's records."""
    for number, row in enumerate(chunk.rows, chunk.first):
        place = f"{chunk.source.name}, row {number}"
        if len(row) != len(chunk.header):
            why = f"{len(row)} fields, and the header has {len(chunk.header)}"
        elif not all(map(_is_utf8, row)):
            why = "bytes that are no UTF-8"
        else:
            take(dict(zip(chunk.header, row, strict=True)), fields, place, found)
            continue
        raw = ",".join(row).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        found.bad.append(Bad(place, BROKEN, why, raw))


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def of_wet(chunk: Chunk, found: Rows) -> None:
    """Read the records of a WET file, which are UTF-8."""
    for number, record in enumerate(chunk.rows, chunk.first):
        place = f"{chunk.source.name}, record {number}"
        if record.flaw:
            found.bad.append(Bad(place, BROKEN, f"a {record.flaw} record"))
        elif record.length > len(record.block):
            found.bad.append(Bad(place, TOO_LARGE, f"a record of {record.length:,} bytes"))
        else:
            text = record.block.decode("utf-8", "replace")
            about = {"url": record.field("warc-target-uri"), "date": record.field("warc-date")}
            found.add(text, {**about, "text": text}, place)


def of_batch(chunk: Chunk, fields: Fields, found: Rows) -> None:
    """Read a batch of Parquet or Arrow; a null in the place of the text is an empty one.

    Raises:
        UserError: there is no column of texts of that name.
    """
    batch = tables.without_views(chunk.rows)
    if fields.text not in batch.schema.names:
        raise missing(chunk.source, fields, batch.schema.names, "the field of the text")
    if twice := [name for name, count in Counter(batch.schema.names).items() if count > 1]:
        raise UserError(
            f"{chunk.source.path}: has several columns {listed(twice)}; name them apart"
        )
    try:
        texts = tables.texts(batch[fields.text]).to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise UserError(f"{chunk.source.path}: {fields.text!r}: {error}") from None
    found.batch = batch
    found.texts = [text or "" for text in texts]
    try:
        found.records = batch.to_pylist()
    except (OverflowError, ValueError, KeyError) as error:  # KeyError: an unknown time zone
        raise UserError(
            f"{chunk.source.path}: a column has values that cannot be read ({error}), such as "
            "years after 9999; make it a column of text or numbers, or leave it out"
        ) from None
    found.places = [
        f"{chunk.source.name}, row {number}"
        for number in range(chunk.first, chunk.first + batch.num_rows)
    ]


def take(record: dict[str, Any], fields: Fields, place: str, found: Rows) -> None:
    """Add a record as a row, or say why it is none."""
    if fields.text not in record:
        why = f"no field {fields.text!r}; it has {listed(record)}"
    elif not isinstance(text := record[fields.text], str | None):
        why = f"{fields.text!r} is {type(text).__name__}, wanted a text"
    else:
        found.add(text or "", record, place)
        return
    found.bad.append(Bad(place, NO_TEXT, why, orjson.dumps(record).decode()))


def of_files(sources: Sequence[Source], found: Rows) -> None:
    """Read files that are one text each."""
    for source in sources:
        try:
            body = b"".join(limited(source))
        except (ArchiveError, OSError) as error:
            found.bad.append(Bad(source.name, CUT_SHORT, str(error)))
            continue
        if len(body) > LONG_FILE:
            found.bad.append(Bad(source.name, TOO_LARGE, f"more than {LONG_FILE:,} bytes"))
            continue
        found.add("", {"id": source.name, "text": ""}, source.name)
        found.bodies.append(body)


def limited(source: Source) -> Iterator[bytes]:
    """Yield the bytes of a file, not many more than LONG_FILE."""
    read = 0
    for block in blocks(source.path):
        yield block
        read += len(block)
        if read > LONG_FILE:
            return


def without_front_matter(text: str) -> tuple[str, dict[str, str]]:
    r"""Return a Markdown text without its YAML header, and the simple values of that header.

    >>> without_front_matter("---\ntitle: A lake\ntags: [a, b]\n---\nWater.")
    ('Water.', {'title': 'A lake', 'tags': '[a, b]'})
    """
    found = FRONT_MATTER.match(text)
    if found is None:
        return text, {}
    pairs = (line.partition(":") for line in found[1].splitlines() if line[:1].strip())
    said = {name.strip(): value.strip().strip("\"'") for name, colon, value in pairs if colon}
    return text[found.end() :], said


# --- the check of the first rows -----------------------------------------------------------------


def check(sources: Sequence[Source], fields: Fields, setting: str) -> None:
    """Refuse tables whose first rows have no text under the given name.

    `setting` is where that name is set, for the message.

    Raises:
        UserError: names the file and the fields that it has.
    """
    for source in sources:
        if source.form not in TABLES:
            continue
        first = next(pieces([source]), None)
        if first is None:
            continue
        if isinstance(first.rows, list):
            first = first._replace(rows=first.rows[:LOOKED_AT])
        if isinstance(first.rows, pa.RecordBatch) and fields.text not in first.rows.schema.names:
            raise missing(source, fields, first.rows.schema.names, setting)
        found = rows_of(first, fields)
        if len(found):
            continue
        known = [orjson.loads(bad.raw) for bad in found.bad if bad.reason == NO_TEXT and bad.raw]
        if not known:
            bad = found.bad[0] if found.bad else Bad(source.name, BROKEN, "no row in it")
            raise UserError(f"{source.path}: no row can be read; {bad.place}: {bad.why}")
        raise missing(source, fields, longest_first(known), setting)


def longest_first(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the fields, those with the longest texts first."""
    length: dict[str, int] = {}
    for record in records:
        for name, value in record.items():
            length[name] = length.get(name, 0) + (len(value) if isinstance(value, str) else 0)
    return sorted(length, key=lambda name: -length[name])


def missing(source: Source, fields: Fields, names: Sequence[str], setting: str) -> UserError:
    """Return an error that says which fields there are instead."""
    return UserError(
        f"{source.path}: no field {fields.text!r} with a text in it; it has {listed(names)}: name "
        f"the one that holds the text with {setting}"
    )


def listed(names: Any) -> str:
    """Return names for a message."""
    shown = list(names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return (", ".join(map(repr, shown[:SHOWN])) or "none") + more
