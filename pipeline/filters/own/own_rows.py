"""What rows of a user's own are called for good, and their table of measures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.former import only_batch
from webtext.pipeline.core.shards import write_parquet
from webtext.pipeline.filters.measuring.measures import KEPT, REPEATED, ROWS, Measuring

SETTLED: Final = 1 << 20  # ids that are held in a set before they join the sorted ones


def plain(value: Any) -> str | None:
    """Return a value as text, None for one that says nothing.

    >>> plain(7), plain(""), plain(["a"])
    ('7', None, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def named(
    batch: pa.RecordBatch, ids: list[str], again: dict[int, tuple[str, str]]
) -> pa.RecordBatch:
    """Return rows with their ids for good; those whose id another row has get their place's."""
    numbers = [int(number) for number in batch["id"].to_pylist()]
    columns = {"id": [again[at][0] if at in again else ids[at] for at in numbers]}
    if not again.keys().isdisjoint(numbers):
        urls = batch["url"].to_pylist()
        columns["url"] = [
            again[at][1] if at in again else url for at, url in zip(numbers, urls, strict=True)
        ]
    for name, values in columns.items():
        at = batch.schema.get_field_index(name)
        batch = batch.set_column(at, batch.schema.field(name), pa.array(values, pa.string()))
    return batch


class Seen:
    """The ids of all rows so far, in 8 bytes each."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def new(self, ids: Sequence[str]) -> list[bool]:
        """Return which of these ids were not there yet; now all are."""
        numbers = [int(identity, 16) for identity in ids]
        values = np.array(numbers, np.uint64)
        places = np.searchsorted(self._sorted, values)
        held = np.zeros(len(values), np.bool_)
        inside = places < len(self._sorted)
        held[inside] = self._sorted[places[inside]] == values[inside]
        found = []
        for number, known in zip(numbers, held.tolist(), strict=True):
            found.append(not known and number not in self._recent)
            self._recent.add(number)
        if len(self._recent) > SETTLED:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._sorted = np.union1d(self._sorted, recent)
            self._recent.clear()
        return found


def measured(
    measuring: Measuring, kept: pa.RecordBatch, dropped: Sequence[pa.RecordBatch]
) -> pa.RecordBatch:
    """Return the rows of the table for one chunk; their places count from its first rows."""
    parts: list[pa.RecordBatch] = []
    at = {True: 0, False: 0}
    for part, is_kept in ((kept, True), *((part, False) for part in dropped)):
        if part.num_rows:
            rows = np.arange(at[is_kept], at[is_kept] + part.num_rows)
            parts.append(measuring.of(part, rows, 0))
            at[is_kept] += part.num_rows
    measuring.clear()
    return only_batch(pa.Table.from_batches(parts, measuring.schema))


class OwnTable:
    """The table of measures of one shard, put together of its chunks."""

    def __init__(self, number: int, path: Path) -> None:
        self._number = number
        self._path = path
        self._parts: list[pa.RecordBatch] = []
        self._rows = {True: 0, False: 0}  # written so far, kept and dropped

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a chunk, which follow those of the chunks before in the shard's files."""
        kept = pc.equal(batch["fate"], KEPT)
        count = pc.sum(kept).as_py() or 0
        before = pc.if_else(kept, self._rows[True], self._rows[False])
        self._rows[True] += count
        self._rows[False] += batch.num_rows - count
        columns = {
            "row": pc.add(batch["row"], before),
            "shard": pa.array(np.full(batch.num_rows, self._number, np.int32)),
        }
        for name, values in columns.items():
            at = batch.schema.get_field_index(name)
            field = batch.schema.field(name)
            batch = batch.set_column(at, field, values.cast(field.type))
        self._parts.append(batch)

    def finish(self) -> None:
        """Write the table."""
        table = pa.Table.from_batches(self._parts).sort_by("id")
        write_parquet(self._path, table.to_batches(ROWS), table.schema, REPEATED)
