"""What an earlier build in the data directory made in the same way, of other inputs.

A step that treats each row alone takes from there the rows whose input has not changed, instead of
making them again. Nothing is taken that is not certain: the settings, the libraries and the source
code are the same, the inputs are still what they were, and every file matches its manifest.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, parquet
from webtext.pipeline.core.step import Planned, directory_name, made_by

log = logging.getLogger(__name__)


class Former(NamedTuple):
    """A complete directory, and those that it was made of, in the order of the step's inputs."""

    home: Directory
    inputs: tuple[Directory, ...]


def former(planned: Planned) -> Former | None:
    """Return what the same step made of other inputs; of several, what has read most rows.

    Of those that have read as many it is the newest.
    """
    found = [
        one
        for path in planned.data.glob(f"{planned.name}-*")
        if path.name != planned.home.name and (one := _alike(planned, Directory(path)))
    ]
    return max(found, key=_size, default=None)


def _alike(planned: Planned, home: Directory) -> Former | None:
    """Return a directory with its inputs if it is one that this step would make of them."""
    if not home.whole:
        return None
    try:
        said = home.manifest()
        given = dict(said.get("inputs", {}))
        made = {name: said.get(name) for name in ("libraries", "code")}
        name = directory_name(planned.name, planned.settings, [*given], planned.outside.identity)
        if made != made_by(planned.step) or name != home.name:
            return None
        inputs = tuple(Directory(planned.data / name) for name in given)
        if any(not one.whole or one.fingerprint() != given[one.name] for one in inputs):
            return None
    except UserError as error:  # a damaged manifest
        log.warning("%s", error)
        return None
    return Former(home, inputs)


def former_shard(home: Directory, number: int) -> int:
    """Return the shard of an earlier build in which the sites of a shard are.

    A longer list may have more shards, a multiple of the earlier number: a site is in one by its
    hash modulo their number.
    """
    return number % max(len(home.numbers()), 1)


def _size(found: Former) -> tuple[int, int]:
    passages = found.home.manifest().get("passages") or [{"read": 0}]
    return passages[0]["read"], found.home.manifest_path.stat().st_mtime_ns


class Rows(ExitStack):
    """Rows of one shard by their numbers; in a rising order each row group is read once.

    Raises:
        UserError: the shard is missing or damaged.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None = None) -> None:
        super().__init__()
        self._file = self.enter_context(parquet(path))
        self._columns = None if columns is None else list(columns)
        footer = self._file.metadata
        sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self._held: dict[int, pa.Table] = {}  # the row groups of the last call

    def take(self, numbers: npt.NDArray[np.int64]) -> pa.Table:
        """Return the rows of these numbers, in this order."""
        groups = np.searchsorted(self._starts, numbers, "right") - 1
        wanted = np.unique(groups)
        self._held = {
            group: self._held[group]
            if group in self._held
            else self._file.read_row_group(group, self._columns)
            for group in wanted.tolist()
        }
        parts = [
            table.take(pa.array(numbers[groups == group] - self._starts[group]))
            for group, table in self._held.items()
        ]
        if not parts:
            return self._file.schema_arrow.empty_table().select(
                self._columns or self._file.schema_arrow.names
            )
        order = np.argsort(np.argsort(groups, kind="stable"), kind="stable")
        return pa.concat_tables(parts).take(pa.array(order)).combine_chunks()


def only_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one record batch."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def distinct(ids: pa.Array | pa.ChunkedArray) -> bool:
    """Whether no id occurs twice, and none is null."""
    return not ids.null_count and pc.count_distinct(ids).as_py() == len(ids)


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which values are equal, null being equal to null."""
    alike = pc.fill_null(pc.equal(one, other), False)
    return pc.or_(alike, pc.and_(pc.is_null(one), pc.is_null(other)))
