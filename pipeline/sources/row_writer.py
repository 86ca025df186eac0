"""Write rows to a file in the form that its name asks for.

JSON Lines are written as the rows come. Parquet and CSV need to know all columns first, so their
rows wait in a compressed file beside the output, unless their types are known.
"""

import csv
import gzip
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

import orjson
import pyarrow as pa
import zstandard

from webtext.pipeline.core.compressed import blocks, chunks, cut
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import parquet_writer, replacing
from webtext.pipeline.core.visible import visible

STDOUT: Final = Path("-")
FORMS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".csv": "csv"}
PACKED: Final = (".gz", ".zst")
WANTED: Final = ".jsonl, .jsonl.gz, .jsonl.zst, .parquet or .csv; or - for the standard output"
ROWS: Final = 1024  # in a row group of Parquet, of rows whose types had to be found
LONGEST: Final = 1 << 31  # bytes of a line that is read again


class Writer(Protocol):
    """Takes rows, in order."""

    def lines(self, lines: bytes) -> None:
        """Write rows that are whole lines of JSON objects."""

    def batch(self, batch: pa.RecordBatch) -> None:
        """Write rows of Arrow."""


def form_of(path: Path) -> str:
    """Return the form that an output's name asks for.

    Raises:
        UserError: a name that asks for none.
    """
    if path == STDOUT:
        return "jsonl"
    packed = path.suffix.lower() in PACKED
    suffix = Path(path.stem).suffix if packed else path.suffix
    form = FORMS.get(suffix.lower())
    if form is None or (packed and form == "parquet"):
        raise UserError(f"{path}: cannot tell in which form to write; wanted a name in {WANTED}")
    return form


def check_outputs(outputs: Sequence[Path | None], given: Sequence[Path]) -> None:
    """Refuse outputs that would destroy an input or each other; None is an output not asked for.

    Raises:
        UserError: a file is both read and written, or written twice.
    """
    read = {path.resolve() for path in given}
    written: set[Path] = set()
    for path in filter(None, outputs):
        if path.resolve() in read:
            raise UserError(f"{path}: is read, so it cannot be written; name another file")
        if path.resolve() in written:
            raise UserError(f"{path}: is named for two outputs; name another file for one of them")
        written.add(path.resolve())


def beside(path: Path, word: str) -> Path:
    """Return the name of a second output of the same form.

    >>> beside(Path("a/kept.v2.jsonl.zst"), "dropped").name
    'kept.v2.dropped.jsonl.zst'

    Raises:
        UserError: as `form_of`.
    """
    form_of(path)
    endings = path.suffixes[-2:] if path.suffix.lower() in PACKED else path.suffixes[-1:]
    ending = "".join(endings)
    return path.with_name(f"{path.name.removesuffix(ending)}.{word}{ending}")


@contextmanager
def writer(path: Path, schema: pa.Schema | None = None) -> Iterator[Writer]:
    """Give a writer to a file, which appears whole or not at all; "-" is the standard output.

    With `schema` its rows come as batches of it; without, in either form.

    Raises:
        UserError: the name asks for no form that can be written.
    """
    form = form_of(path)
    if path == STDOUT:
        yield JsonLines(sys.stdout.buffer, shown=sys.stdout.isatty())
        sys.stdout.buffer.flush()
        return
    with ExitStack() as stack:
        partial = stack.enter_context(replacing(path))
        if form == "parquet" and schema is not None:
            with parquet_writer(partial, schema) as file:
                yield Batches(file)
            return
        if form == "jsonl":
            with packed(partial, path.suffix.lower()) as out:
                yield JsonLines(out)
            return
        spool = stack.enter_context(tempfile.NamedTemporaryFile(dir=path.parent, prefix=".rows-"))
        columns = Columns()
        with zstandard.ZstdCompressor().stream_writer(spool, closefd=False) as held:
            yield JsonLines(cast("BinaryIO", held), columns)
        spool.flush()
        if form == "parquet":
            write_parquet(Path(spool.name), columns.schema(), partial)
        else:
            with packed(partial, path.suffix.lower()) as out:
                write_csv(Path(spool.name), list(columns.columns), out)


@contextmanager
def packed(path: Path, ending: str) -> Iterator[BinaryIO]:
    """Give a file to write bytes to, compressed as the ending of its name says."""
    with path.open("wb") as file:
        if ending == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as out:
                yield cast("BinaryIO", out)
        elif ending == ".zst":
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as stream:
                yield cast("BinaryIO", stream)
        else:
            yield file


class Columns:
    """The names of all columns, and a type of each that holds every value seen."""

    def __init__(self) -> None:
        self.kinds: dict[str, pa.DataType | None] = {}  # None: no type holds all; JSON then

    def see(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take in the columns and types of some rows."""
        for name in dict.fromkeys(name for row in rows for name in row):
            found = kind_of([row.get(name) for row in rows])
            if name in self.kinds:
                before = self.kinds[name]
                self.kinds[name] = joined(before, found) if before and found else None
            else:
                self.kinds[name] = found

    def schema(self) -> pa.Schema:
        """Return the columns' types; a column without any value, or with mixed ones, is text.

        So is one of objects that are always empty, for which Parquet has no type.
        """
        plain = {
            name: pa.string() if kind is None or pa.types.is_null(kind) or hollow(kind) else kind
            for name, kind in self.columns.items()
        }
        return pa.schema(list(plain.items()))

    @property
    def columns(self) -> dict[str, pa.DataType | None]:
        """The columns of the file: one where no row came, since readers refuse files of none."""
        return self.kinds or {"text": None}


def hollow(kind: pa.DataType) -> bool:
    """Whether a structure without fields is in a type.

    >>> hollow(pa.list_(pa.struct([]))), hollow(pa.struct([("a", pa.int64())]))
    (True, False)
    """
    if not pa.types.is_nested(kind):
        return False
    fields = [kind.field(at).type for at in range(kind.num_fields)]
    return not fields or any(map(hollow, fields))


def kind_of(values: list[Any]) -> pa.DataType | None:
    """Return the Arrow type of values of JSON; None if one type cannot hold them all."""
    try:
        return pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None


def joined(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return a type that holds the values of both, None if there is none."""
    if one == other:
        return one
    schemas = [pa.schema([("", kind)]) for kind in (one, other)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


class JsonLines:
    """Writes rows as lines of JSON; tells `columns` of them, if somebody wants to know.

    Lines that a terminal shows (`shown`) have every character visible.
    """

    def __init__(self, out: BinaryIO, columns: Columns | None = None, shown: bool = False) -> None:
        self._out = out
        self._columns = columns
        self._shown = shown

    def lines(self, lines: bytes) -> None:
        if self._columns is not None and lines:
            self._columns.see([orjson.loads(line) for line in cut(lines)])
        self._out.write(visible(lines.decode()).encode() if self._shown else lines)

    def batch(self, batch: pa.RecordBatch) -> None:
        self.lines(as_lines(batch.to_pylist()))


class Batches:
    """Writes batches of one schema to Parquet."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def lines(self, lines: bytes) -> None:
        raise TypeError(f"rows of known types come as batches, not as {len(lines)} bytes")

    def batch(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._file.write(batch)


def as_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    r"""Return rows as lines of JSON; what JSON has no form for becomes text.

    >>> as_lines([{"text": "a\nb", "n": 1}, {"text": "c", "n": Decimal("0.10")}]).decode()
    '{"text":"a\\nb","n":1}\n{"text":"c","n":"0.10"}\n'
    """
    return b"".join(
        orjson.dumps(row, default=_plain, option=orjson.OPT_NON_STR_KEYS) + b"\n" for row in rows
    )


def _plain(value: Any) -> Any:
    """Return a value that JSON has no form for as one that it has."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value) if not isinstance(value, Decimal) else format(value, "f")


def spooled(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows that were held back, some at a time."""
    rows: list[dict[str, Any]] = []
    for chunk in chunks(blocks(path), LONGEST):
        assert isinstance(chunk, bytes), "we wrote it"
        for line in cut(chunk):
            rows.append(orjson.loads(line))
            if len(rows) == ROWS:
                yield rows
                rows = []
    if rows:
        yield rows


def write_parquet(spool: Path, schema: pa.Schema, out: Path) -> None:
    """Write held rows as Parquet; a column whose type does not hold all its values is text.

    A whole number of more than 53 bits among fractions is seen only now.
    """
    while True:
        wide: set[str] = set()
        with parquet_writer(out, schema) as file:
            for rows in spooled(spool):
                columns = {field.name: _column(rows, field) for field in schema}
                if wide := {name for name, column in columns.items() if column is None}:
                    break
                file.write(pa.RecordBatch.from_arrays(list(columns.values()), schema=schema))
        if not wide:
            return
        schema = pa.schema(
            [(one.name, pa.string() if one.name in wide else one.type) for one in schema]
        )


def _column(rows: list[dict[str, Any]], field: pa.Field) -> pa.Array | None:
    """Return the values of a column; None where its type does not hold them."""
    values = [row.get(field.name) for row in rows]
    if pa.types.is_string(field.type):
        values = [value if isinstance(value, str | None) else dumped(value) for value in values]
    try:
        return pa.array(values, field.type)
    except pa.ArrowInvalid:
        return None


def dumped(value: Any) -> str:
    """Return a value as JSON.

    >>> dumped({"a": [1, None]})
    '{"a":[1,null]}'
    """
    return orjson.dumps(value).decode()


def write_csv(spool: Path, names: list[str], out: BinaryIO) -> None:
    """Write held rows as CSV: a header, null as nothing, lists and objects as JSON."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    try:
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(names)
        for some in spooled(spool):
            rows.writerows(
                [
                    value if isinstance(value := row.get(name), str | None) else dumped(value)
                    for name in names
                ]
                for row in some
            )
    finally:
        text.detach()
