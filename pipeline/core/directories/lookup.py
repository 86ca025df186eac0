"""Find one row in many files by its id, without reading the rest.

The footer of a Parquet file says which row groups could hold an id; only the ids of those are
read, and the other columns only of the row group with the row. So finding one document reads some
megabytes of a corpus of gigabytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from webtext.pipeline.core.shards import Directory, parquet

Row = dict[str, Any]


def lookup(path: Path, identity: str) -> Iterator[tuple[int, Row]]:
    """Yield a file's rows with this id and their numbers; read nothing else that is large.

    Raises:
        UserError: the file is damaged; names it.
    """
    with parquet(path) as file:
        column = file.schema_arrow.get_field_index("id")
        first = 0
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            if may_hold(group.column(column).statistics, identity):
                ids = file.read_row_group(number, ["id"])["id"]
                places = pc.indices_nonzero(pc.equal(ids, identity)).to_pylist()
                rows = file.read_row_group(number).take(places).to_pylist() if places else []
                yield from zip((first + place for place in places), rows, strict=True)
            first += group.num_rows


def may_hold(statistics: Any, identity: str) -> bool:
    """Whether a row group with these id statistics may hold this id."""
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= identity <= statistics.max)


def first_row(
    directory: Directory, identity: str, under: str = "", hint: int | None = None
) -> tuple[int, int, Row] | None:
    """Return the shard, number and content of a row: the first kept one, or else the first.

    `hint` is the shard to look at first.
    """
    numbers = directory.numbers(under)
    numbers.sort(key=lambda number: number != hint)
    best = None
    for number in numbers:
        for place, row in lookup(directory.shard(number, under=under), identity):
            if row.get("dropped_by") is None:
                return number, place, row
            best = best or (number, place, row)
    return best
