"""Submissions as columns, some thousand at a time, the quick way where lines are as usual.

Reading is most of a harvest, and a call of Python a line would be most of the reading. So lines of
usual submissions are scanned straight into columns by compiled code (`scan.py`); any other is read
by itself, as `dumps.records` would, and put in its place. Tests hold the two together.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.compressed import container
from webtext.pipeline.links import scan
from webtext.pipeline.links.dumps import Flaw, opened, read_json, records
from webtext.pipeline.links.submissions import Submission

NOTHING = Submission(None)
ROOM = 1 << 21  # bytes of each column of texts at first; memory that is not written to is none
FULL = 1 << 30  # bytes of a column of texts, whose offsets have 31 bits

Array = np.ndarray[Any, Any]

COLUMNS = pa.schema(
    [
        ("line", pa.int64()),
        ("url", pa.string()),
        ("submission", pa.string()),
        ("subreddit", pa.string()),
        ("score", pa.int32()),
        ("created", pa.int64()),  # Unix time, in seconds
        ("title", pa.string()),
        ("self_post", pa.bool_()),
        ("over_18", pa.bool_()),
        ("deleted", pa.bool_()),
        ("listed", pa.bool_()),
    ]
)


class Found(NamedTuple):
    """Records in a row: their columns, and the flaws of those that could not be read, by place."""

    columns: pa.RecordBatch
    flaws: dict[int, Flaw]


def batches(path: Path, rows: int, tick: Callable[[int], None] = lambda _: None) -> Iterator[Found]:
    """Yield every record of a dump or list, in order, some `rows` at a time.

    Raises:
        UserError: as `dumps.records`.
    """
    if container(path) != "parquet":
        kind, stream = opened(path, tick)
        if kind == "json":
            yield from _json(stream, rows)
            return
    read = records(path, tick)
    while held := list(islice(read, rows)):
        yield _by_row(held)


def _json(stream: Iterable[bytes | int], rows: int) -> Iterator[Found]:
    """Read chunks of JSON lines."""
    held = _Rows(rows)
    for chunk in stream:
        text = held.placed(chunk)
        while text:
            text = held.read(text)
            if held.full():
                yield held.found()
                held.begin(held.first + held.count)
    if held.count:
        yield held.found()


class _Rows:
    """Lines of JSON as they are read into columns; each has a row, also one that is no record."""

    def __init__(self, rows: int) -> None:
        """Make room for some rows."""
        self.rows = rows
        self.notes = np.empty(scan.NOTES, np.int64)
        self.buffer = np.empty(0, np.uint8)
        self.chunk: bytes | int = b""
        self.begin(1)

    def begin(self, first: int) -> None:
        """Begin anew, with the line of this number; what was found keeps its memory."""
        rows = self.rows
        self.first, self.count = first, 0
        self.texts = [np.empty(ROOM, np.uint8) for _ in range(scan.TEXTS)]
        self.ends = np.zeros((scan.TEXTS, rows + 1), np.int32)
        self.scores, self.times = np.empty(rows, np.int32), np.empty(rows, np.int64)
        self.flags, self.places = np.empty(rows, np.uint16), np.empty((rows, 2), np.int64)
        self.odd: dict[int, Submission | Flaw | None] = {}

    def placed(self, chunk: bytes | int) -> int:
        """Copy a chunk to where it has zeros behind it; return how much there is of it."""
        self.chunk = chunk
        if isinstance(chunk, int):  # stands for a line that is not there
            return 1
        size = len(chunk) + scan.PADDING
        if len(self.buffer) < size:
            self.buffer = np.empty(2 * size, np.uint8)
        self.buffer[: len(chunk)] = np.frombuffer(chunk, np.uint8)
        self.buffer[len(chunk) : size] = 0
        return len(chunk)

    def read(self, left: int) -> int:
        """Read the last `left` bytes of the chunk into rows; return how many then are left."""
        first = self.count
        if isinstance(self.chunk, int):
            self.odd[first] = read_json(self.chunk)
            self.flags[first], self.scores[first], self.times[first] = scan.ODD, 0, 0
            self.ends[:, first + 1] = self.ends[:, first]
            self.count += 1
            return 0
        start = self.buffer.ctypes.data
        stop = start + len(self.chunk)
        at, self.count = scan.scan(
            stop - left,
            stop,
            first,
            self._bases(left),
            self.ends,
            (self.scores, self.times, self.flags),
            self.places,
            self.notes.ctypes.data,
        )
        for row in np.flatnonzero(self.flags[first : self.count] == scan.ODD) + first:
            begin, end = self.places[row] - start
            self.odd[int(row)] = read_json(self.chunk[begin:end])
        return int(stop - at)

    def _bases(self, more: int) -> Array:
        """Return where the texts lie, once each has room for as many bytes more."""
        for column, text in enumerate(self.texts):
            used = self.ends[column, self.count]
            if len(text) < used + more + scan.PADDING:
                self.texts[column] = np.empty(2 * (used + more + scan.PADDING), np.uint8)
                self.texts[column][:used] = text[:used]
        return np.array([text.ctypes.data for text in self.texts], np.int64)

    def full(self) -> bool:
        """Whether no more may be read into these rows."""
        return self.count == self.rows or bool(self.ends[:, self.count].max() >= FULL)

    def found(self) -> Found:
        """Return the records."""
        columns = pa.RecordBatch.from_arrays(list(self._columns()), schema=COLUMNS)
        return self._with_odd(columns) if self.odd else Found(columns, {})

    def _columns(self) -> Iterator[pa.Array]:
        flags = self.flags[: self.count]
        yield pa.array(np.arange(self.first, self.first + self.count))
        for column in (scan.URL, scan.ID, scan.SUBREDDIT):
            yield self._text(column)
        yield _where(flags & scan.SCORED, pa.array(self.scores[: self.count]))
        yield _where(flags & scan.TIMED, pa.array(self.times[: self.count]))
        yield self._text(scan.TITLE)
        for bit in (scan.SELF_POST, scan.ADULT, scan.DELETED):
            yield pa.array(flags & bit != 0)
        yield pa.array(np.zeros(self.count, bool))

    def _text(self, column: int) -> pa.Array:
        """Return a column of texts, which lie where Arrow wants them."""
        ends = self.ends[column, : self.count + 1]
        text = pa.py_buffer(self.texts[column][: ends[-1]])
        valid = _bits(self.flags[: self.count] & (1 << column))
        return pa.StringArray.from_buffers(self.count, pa.py_buffer(ends), text, valid)

    def _with_odd(self, columns: pa.RecordBatch) -> Found:
        """Put in their places what was read by itself; blank lines are no records."""
        read = [(row, record or Flaw("")) for row, record in self.odd.items()]
        mask = np.zeros(self.count, bool)
        mask[list(self.odd)] = True
        told = _by_row([(self.first + row, record) for row, record in read]).columns
        arrays = [
            pc.replace_with_mask(column, pa.array(mask), others)
            for column, others in zip(columns.columns, told.columns, strict=True)
        ]
        columns = pa.RecordBatch.from_arrays(arrays, schema=COLUMNS)
        mask[:] = True
        mask[[row for row, record in self.odd.items() if record is None]] = False
        places = np.cumsum(mask) - 1
        flaws = {int(places[row]): x for row, x in self.odd.items() if isinstance(x, Flaw)}
        return Found(columns if mask.all() else columns.filter(pa.array(mask)), flaws)


def _bits(flags: Array) -> pa.Buffer | None:
    """Return where flags are not 0 as Arrow has it; nothing if they are so everywhere."""
    known = flags != 0
    return None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))


def _where(flags: Array, values: pa.Array) -> pa.Array:
    """Return values, null where a flag is 0."""
    return pa.Array.from_buffers(values.type, len(values), [_bits(flags), values.buffers()[1]])


def _by_row(read: list[tuple[int, Submission | Flaw]]) -> Found:
    """Turn records into columns."""
    flaws = {at: record for at, (_, record) in enumerate(read) if isinstance(record, Flaw)}
    found = [NOTHING if isinstance(record, Flaw) else record for _, record in read]
    arrays = [pa.array([line for line, _ in read], pa.int64())]
    for field in list(COLUMNS)[1:]:
        cells = [getattr(record, _FIELDS.get(field.name, field.name)) for record in found]
        arrays.append(pa.array(cells, field.type))
    return Found(pa.RecordBatch.from_arrays(arrays, schema=COLUMNS), flaws)


_FIELDS = {"submission": "id"}  # what a Submission calls them
