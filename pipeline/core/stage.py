"""The definition of a stage, the invariant of all stages, and the runner of a chain of stages.

A stage is a frozen dataclass called on a record batch. Its fields are its settings. It returns
the rows that it was given, in their order, each kept (`dropped_by` null) or marked with a reason.
The runner checks this invariant for every batch, so the funnel is exact by construction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.records import WHY, with_reasons
from webtext.pipeline.core.shards import parquet_writer, read_batches, replacing


class Stage(Protocol):
    """An element of a chain: it keeps or drops rows, and may add columns to them."""

    name: ClassVar[str]
    version: ClassVar[int]  # increased when the same settings begin to give other rows
    reads: ClassVar[pa.Schema]
    writes: ClassVar[pa.Schema]

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        """Return the same number of rows, with the two columns of `records.WHY` last."""


@dataclass(frozen=True)
class Passage:
    """How many rows a stage read, kept and dropped: one line of the funnel.

    Raises:
        PipelineError: the numbers do not add up; rows were lost or added.
    """

    stage: str
    read: int
    kept: int
    dropped: dict[str, int]  # by reason, most frequent first

    def __post_init__(self) -> None:
        if self.read != self.kept + sum(self.dropped.values()):
            raise PipelineError(
                f"{self.stage}: {self.read} rows read, but {self.kept} kept and "
                f"{sum(self.dropped.values())} dropped; the difference was lost or made up, "
                "which is a mistake of this stage; nothing of the shard was kept"
            )


def judged(
    batch: pa.RecordBatch,
    reasons: Sequence[str | None],
    values: Sequence[float | None] | None = None,
) -> pa.RecordBatch:
    """Return `batch` with a reason (None where kept) and the deciding measure for each row."""
    measures = values if values is not None else [None] * batch.num_rows
    columns = [*batch.columns, pa.array(reasons, pa.string()), pa.array(measures, pa.float64())]
    return pa.RecordBatch.from_arrays(columns, schema=with_reasons(batch.schema))


def settings(value: Any, identity: bool = False) -> Any:
    """Return a dataclass as plain values, for a manifest or (`identity`) for a digest.

    A field marked as a machine fact (`metadata={"machine": True}`), such as the address that is
    used for a host, says where a stage runs and not what it makes: it is in no digest. Nor is one
    that came later (`metadata={"later": True}`) while it has its default: what was made before
    keeps its name.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: settings(getattr(value, field.name), identity)
            for field in fields(value)
            if not (identity and _left_out(field, getattr(value, field.name)))
        }
    if isinstance(value, dict):
        return {key: settings(item, identity) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [settings(item, identity) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _left_out(field: Field[Any], value: Any) -> bool:
    if field.metadata.get("later"):
        return bool(value == field.default)
    return bool(field.metadata.get("machine"))


def machine_facts(kind: Any) -> list[str]:
    """Return the names of the fields that say where a stage runs and not what it makes."""
    return [field.name for field in fields(kind) if field.metadata.get("machine")]


class Pass(Protocol):
    """What takes one batch through a chain, as `pass_batch` does."""

    def __call__(
        self, chain: Sequence[Stage], batch: pa.RecordBatch, schema: pa.Schema, /
    ) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
        """Return the kept rows, and those that each stage dropped."""


class Beside(Protocol):
    """What makes another file from the rows of a shard, such as a table about them."""

    def add(self, left: pa.RecordBatch, gone: Sequence[pa.RecordBatch], /) -> None:
        """Take what is left of a batch, and what each stage dropped of it, as they are written."""

    def finish(self) -> None:
        """Write the file, completely or not at all."""


def run_chain(
    chain: Sequence[Stage],
    batches: Iterable[pa.RecordBatch],
    kept: Path,
    dropped: Path,
    beside: Beside | None = None,
    passing: "Pass | None" = None,
) -> dict[str, int]:
    """Run one shard's batches through `chain`; write the kept and the dropped rows.

    All files are complete or absent, and `kept` is the last, so a shard whose `kept` file exists is
    done. `passing` is asked instead of `pass_batch`, and must return the same.

    Raises:
        PipelineError: a stage lost, added or reordered rows.
    """
    counts = {"read": 0, "kept": 0, "dropped": 0}
    schema = chain[-1].writes
    with (
        replacing(kept) as kept_partial,
        replacing(dropped) as dropped_partial,
        parquet_writer(kept_partial, schema) as kept_writer,
        parquet_writer(dropped_partial, with_reasons(schema)) as dropped_writer,
    ):
        for batch in batches:
            left, gone = (passing or pass_batch)(chain, batch, schema)
            kept_writer.write(left)
            for part in gone:
                dropped_writer.write(part)
            if beside:
                beside.add(left, gone)
            lost = sum(part.num_rows for part in gone)
            counts["read"] += batch.num_rows
            counts["kept"] += left.num_rows
            counts["dropped"] += lost
        if beside:
            beside.finish()
    return counts


def pass_batch(
    chain: Sequence[Stage], batch: pa.RecordBatch, schema: pa.Schema
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """Run one batch through the chain; return the kept rows, and those that each stage dropped.

    Raises:
        PipelineError: a stage lost, added or reordered rows.
    """
    gone = []
    left = batch
    for stage in chain:
        if not left.num_rows:
            break
        given = left["id"]
        out = stage(left)
        if not out["id"].equals(given):
            raise PipelineError(
                f"{stage.name}: {left.num_rows} rows went in and {out.num_rows} came back, or in "
                "another order; mark a row with dropped_by, do not lose it"
            )
        stays = pc.is_null(out["dropped_by"])
        lost = out.filter(pc.invert(stays))
        if lost.num_rows:
            gone.append(conform(lost, with_reasons(schema)))
        left = out.filter(stays).drop_columns([field.name for field in WHY])
    return conform(left, schema), gone


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return `batch` with the columns of `schema`: missing ones null, others left out."""
    columns = [
        batch[field.name].cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def fates(paths: Iterable[Path]) -> dict[str, int]:
    """Count the reasons in files of dropped rows (null: kept), most frequent first."""
    counts: dict[str, int] = {}
    for path in paths:
        for batch in read_batches(path, ["dropped_by"], rows=1 << 16):
            for entry in pc.value_counts(batch["dropped_by"]).to_pylist():
                reason = entry["values"] or "kept"
                counts[reason] = counts.get(reason, 0) + entry["counts"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
