"""Cluster the rows of any file that has an id and a text in each row (`webtext dedup`)."""

import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from webtext.pipeline.core import tables
from webtext.pipeline.core.compressed import container
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.dedup.clusters.cluster import Cluster, clusters, passage
from webtext.pipeline.dedup.files.kept import check_kept, write_kept
from webtext.pipeline.dedup.files.lines import ROWS, read_lines, which
from webtext.pipeline.dedup.signatures.sign import READ_ROWS, Sign, sign_batches
from webtext.pipeline.dedup.signatures.signature_files import Signatures
from webtext.pipeline.sources import row_writer

log = logging.getLogger(__name__)

NAMES = MappingProxyType(
    {"id": "id", "text": "text", "score": "score"}
)  # columns, and what they are


def dedup_files(
    paths: Sequence[Path],
    out_path: Path,
    sign: Sign,
    cluster: Cluster,
    progress: Progress = silent,
    *,
    keep: Path | None = None,
    workers: int | None = None,
    names: Mapping[str, str] = NAMES,
) -> tuple[Passage, dict[str, Any]]:
    """Write id, cluster, keeper and jaccard for every row of JSON Lines or Parquet files.

    The output is in the form of its name (`row_writer.FORMS`); "-" is the standard output.

    The format follows from the first bytes, not from the name; JSON Lines may be compressed (gzip,
    zstd, xz, bz2). The rows keep their order; one without a near copy is its own cluster and
    keeper. A `score` column is used where there is one. Ids, strings or integers, come out as they
    were. `keep` gets the rows that are kept, whole. `workers` (by default as many as processors)
    changes only the time. A line that is no row is left out, with a warning that counts them.
    Returns what was kept, and the histogram of the clusters' sizes.

    Raises:
        UserError: a file cannot be read as what it is, or ids are missing or repeated; an output
            that is an input, or both of one name.
    """
    if cluster.keeper == "earliest":
        raise UserError(f"{paths[0]}: a file has no link times; set keeper to score or longest")
    row_writer.form_of(out_path)  # says at once what name is wanted
    row_writer.check_outputs([out_path, keep], paths)
    if keep is not None:
        check_kept(paths, keep)
    workers = workers or os.cpu_count() or 1
    whole_numbers = [True]  # until an id is found that is not an integer
    left_out: dict[Path, dict[int, str]] = defaultdict(dict)  # lines that are no rows
    named = ", ".join(map(str, paths))
    out_path.parent.mkdir(parents=True, exist_ok=True)

    def batches(progress: Progress = silent) -> Iterator[pa.RecordBatch]:
        for path in paths:
            yield from _read(path, names, whole_numbers, left_out[path], progress)

    with tempfile.TemporaryDirectory(dir=out_path.parent, prefix=".dedup-") as scratch:
        signed = Path(scratch) / "00000.parquet"
        sign_batches(sign, batches(progress), signed, workers)
        _warn(left_out)
        signatures = Signatures((signed,))
        ids = signatures.read("id").combine_chunks()
        _check_unique(named, ids)
        pairs = Path(scratch) / "pairs"
        members, sizes = clusters(cluster, signatures, pairs, workers, progress, texts=batches)
    table = _every_row(ids, members)
    if keep is not None:
        write_kept(paths, keep, pc.equal(table["id"], table["keeper"]).to_numpy(), left_out)
    if whole_numbers[0]:
        table = _numbered(table)
    with row_writer.writer(out_path, table.schema) as file:
        for batch in table.combine_chunks().to_batches():
            file.batch(batch)
    return passage("dedup", len(ids), members), sizes


def _warn(left_out: Mapping[Path, Mapping[int, str]]) -> None:
    """Say of each file how many of its lines are left out, and why the first is."""
    for path, lines in left_out.items():
        for at, flaw in list(lines.items())[:1]:
            log.warning("%s: left out %d lines; line %d: %s", path, len(lines), at, flaw)


def _numbered(table: pa.Table) -> pa.Table:
    """Return the ids as numbers, of 64 bits with a sign or without; as text where neither holds."""
    for kind in (pa.int64(), pa.uint64()):
        try:
            return table.cast(_schema(kind))
        except pa.ArrowInvalid:
            continue
    return table


def _schema(kind: pa.DataType) -> pa.Schema:
    return pa.schema([("id", kind), ("cluster", kind), ("keeper", kind), ("jaccard", pa.float32())])


def _every_row(ids: pa.StringArray, members: pa.Table) -> pa.Table:
    """Return a row for each id, those in no cluster as clusters of themselves."""
    where = pc.index_in(ids, value_set=members["id"].combine_chunks())
    one = pa.scalar(1, pa.float32())
    columns = [
        ids,
        pc.coalesce(members["cluster"].combine_chunks().take(where), ids),
        pc.coalesce(members["keeper"].combine_chunks().take(where), ids),
        pc.coalesce(members["jaccard"].combine_chunks().take(where), one),
    ]
    return pa.Table.from_arrays(columns, schema=_schema(pa.string()))


def _check_unique(named: str, ids: pa.StringArray) -> None:
    """Raise unless every id occurs once."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counted = pc.value_counts(ids)
    repeated = counted.filter(pc.greater(counted.field("counts"), 1))
    shown = ", ".join(f"{entry['values']!r}" for entry in repeated[:3].to_pylist())
    raise UserError(
        f"{named}: {len(repeated)} ids occur more than once, such as {shown}; an id must name one "
        "row: name another column as the id"
    )


def _read(
    path: Path,
    names: Mapping[str, str],
    whole_numbers: list[bool],
    left_out: dict[int, str],
    progress: Progress,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of ROWS; set `whole_numbers[0]` to whether all ids are integers."""
    try:
        if container(path) == "parquet":
            yield from _read_parquet(path, names, whole_numbers, progress)
        else:
            yield from read_lines(path, names, whole_numbers, left_out, progress)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind.value_type if pa.types.is_dictionary(kind) else kind))


def _read_parquet(
    path: Path, names: Mapping[str, str], whole_numbers: list[bool], progress: Progress
) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        found = file.schema_arrow
        for name, ours in names.items():
            if ours != "score" and name not in found.names:
                has = ", ".join(found.names)
                raise UserError(f"{path}: no column {name!r}; it has {has}: {which(ours)}")
        kept = {name: ours for name, ours in names.items() if name in found.names}
        (id_column,) = (name for name, ours in kept.items() if ours == "id")
        whole_numbers[0] &= _is_integer(found.field(id_column).type)
        done = 0
        for batch in file.iter_batches(batch_size=READ_ROWS, columns=list(kept)):
            columns = {kept[name]: batch[name] for name in kept}
            if columns["id"].null_count:
                row = done + columns["id"].is_null().index(True).as_py()
                raise UserError(f"{path}: row {row} has no id; give every row one")
            made = {"score": tables.scores(columns["score"])} if "score" in columns else {}
            made |= {name: tables.texts(columns[name]) for name in ("id", "text")}
            yield pa.RecordBatch.from_arrays(
                [made.get(field.name, pa.nulls(batch.num_rows, field.type)) for field in ROWS],
                schema=ROWS,
            )
            done += batch.num_rows
            progress(done, file.metadata.num_rows, "signing")
