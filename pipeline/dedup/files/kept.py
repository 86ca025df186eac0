"""Write the kept rows of a file in the format they came in: lines as lines, Parquet as Parquet."""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from webtext.pipeline.core import tables
from webtext.pipeline.core.compressed import blocks, container, lines, utf8
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing, write_parquet

LONGEST_LINE = 1 << 30  # bytes
READ_ROWS = 256


def check_kept(paths: Sequence[Path], keep: Path) -> None:
    """Raise unless the kept rows of these files can be written to a file of this name.

    Raises:
        UserError: rows of Parquet and lines do not go into one file, nor one into the other's.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file")
    parquet = {container(path) == "parquet" for path in paths}
    if len(parquet) > 1:
        raise UserError(
            f"{keep}: cannot hold both JSON Lines and Parquet; do the files of each kind apart"
        )
    if parquet == {keep.suffix != ".parquet"}:
        kind = (
            "Parquet, so wanted a name in .parquet"
            if keep.suffix != ".parquet"
            else ("JSON Lines, so wanted a name in .jsonl, .jsonl.gz or .jsonl.zst")
        )
        raise UserError(f"{keep}: the rows come from {kind}")


def write_kept(
    paths: Sequence[Path],
    keep: Path,
    kept: npt.NDArray[np.bool_],
    left_out: Mapping[Path, Mapping[int, str]],
) -> None:
    """Write the rows that are kept, in their order; `kept` has an entry for every row.

    `left_out` has the numbers of lines that are no rows.
    """
    if keep.suffix == ".parquet":
        schema = tables.without_views(pq.read_schema(paths[0]).empty_table()).schema
        write_parquet(keep, _rows(paths, kept), schema)
        return
    with _writer(keep) as out:
        number = 0
        for path in paths:
            found = lines(utf8(blocks(path, lambda count: None)), LONGEST_LINE)  # noqa: ARG005
            for at, line in enumerate(found, 1):
                if isinstance(line, bytes) and line.strip() and at not in left_out[path]:
                    if kept[number]:
                        out.write(line.rstrip(b"\r\n") + b"\n")
                    number += 1


def _rows(paths: Sequence[Path], kept: npt.NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    done = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=READ_ROWS):
                chosen = pa.array(kept[done : done + batch.num_rows])
                yield tables.without_views(batch).filter(chosen)
                done += batch.num_rows


@contextmanager
def _writer(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write lines to, compressed as its name says."""
    with replacing(path) as partial, partial.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                yield cast("BinaryIO", packed)
        elif path.suffix == ".zst":
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as stream:
                yield cast("BinaryIO", stream)
        else:
            yield file
