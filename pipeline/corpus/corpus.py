"""From documents and their duplicates to the corpus: unique documents, shuffled, in even shards.

Rows are sorted by id over all shards. Ids are hashes, so this is a shuffle that never changes: each
shard is a uniform sample of the whole, and a document's place is found from its id alone.

Two passes, so that a worker holds two or three copies of one shard, however large the corpus is.
*Divide*, in parallel over document shards: separate the duplicates from the rest, and write the
rest as sorted runs into a work folder. *Merge*, in parallel over corpus shards: take from every run
the rows whose ids are in this shard's range. The ranges follow from all ids and sizes, so neither
the number of workers nor a kill in between changes a byte.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import Workers, each, tick
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import CORPUS, CORPUS_DROPPED, DOCUMENT
from webtext.pipeline.core.shards import (
    Directory,
    parquet_writer,
    read_batches,
    read_json,
    replacing,
    row_count,
    write_parquet,
)
from webtext.pipeline.core.stage import Passage, conform, fates
from webtext.pipeline.core.stage import settings as values_of
from webtext.pipeline.core.step import Step
from webtext.pipeline.corpus.card import STATS, write_card
from webtext.pipeline.corpus.croissant import FILE as CROISSANT
from webtext.pipeline.corpus.croissant import write_croissant
from webtext.pipeline.corpus.verdicts import (
    REASONS,
    Ids,
    Verdicts,
    gather,
    joined,
    load,
    numbers_of,
    save,
    verdicts,
)

WORK = "parts"  # removed when the directory is complete
RUN_BYTES = 128_000_000  # bytes of text sorted in memory at a time
PAGE_BYTES = 500_000  # bytes of a run's text per read of a merge; more would be read in vain


@dataclass(frozen=True)
class Corpus:
    """Write the unique documents to even, shuffled shards, with statistics and a dataset card."""

    shard_bytes: int = 256_000_000  # bytes of text in a shard: 40 GB make 157 of them
    row_group: int = 2048  # rows, about 10 MB of text: the cost of reading one document
    title: str = "webtext"  # of the dataset card

    name: ClassVar[str] = "corpus"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one is out of its range.
        """
        for name in ("shard_bytes", "row_group"):
            if getattr(self, name) < 1:
                raise UserError(f"corpus.{name} = {getattr(self, name)}: use 1 or more")


@dataclass(frozen=True)
class Range:
    """The range of ids of one corpus shard, both ends included."""

    number: int
    first: int
    last: int


def corpus(
    settings: Corpus,
    documents: Directory,
    duplicates: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress = silent,
    steps: Sequence[Step] = (),
) -> list[Passage]:
    """Write the corpus: shards, dropped rows, statistics, card and Croissant metadata.

    `steps` are all of the build: the card needs them to read the manifests of the inputs.

    Raises:
        PipelineError: two documents have one id, or rows were lost.
    """
    if not (out.about / CROISSANT).exists():  # the last file to appear
        divide_all(documents, duplicates, out, workers, progress)
        merge_all(settings, documents, out, workers, progress)
        recorded = {"version": settings.version, "settings": values_of(settings, identity=True)}
        inputs = [documents, duplicates]
        write_card(settings.title, recorded, inputs, passage(documents, out), out, steps)
        write_croissant(settings.title, read_json(out.about / STATS), out)
    shutil.rmtree(out.about / WORK, ignore_errors=True)
    return [passage(documents, out)]


def passage(documents: Directory, out: Directory) -> Passage:
    """Count the rows that were read, kept and dropped, from the files."""
    read = sum(map(row_count, documents.shards()))
    kept = sum(map(row_count, out.shards()))
    return Passage("dedup", read, kept, fates(out.shards("dropped")))


# --- divide --------------------------------------------------------------------------------------


def divide_all(
    documents: Directory,
    duplicates: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress,
) -> None:
    """Divide the document shards that are not divided yet."""
    work = out.about / WORK
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "copies.npy").exists():
        gather(duplicates, work)
    todo = [number for number in documents.numbers() if not index_path(out, number).exists()]
    rows = sum(row_count(documents.shard(number)) for number in todo)
    each(partial(divide, documents, out), todo, workers, named(progress, "unique"), total=rows)


def named(progress: Progress, what: str) -> Progress:
    """Add to each note which of the passes it is about."""

    def show(done: int, total: int | None, note: str = "") -> None:
        progress(done, total, f"{what} {note}".rstrip())

    return show


def index_path(out: Directory, number: int) -> Path:
    """Return the file with the ids and sizes of a document shard's kept rows."""
    return out.about / WORK / f"{number:05d}.npy"


def divide(documents: Directory, out: Directory, number: int) -> None:
    """Separate one shard's duplicates; the index, which marks it as done, is written last."""
    verdict = verdicts(out.about / WORK)
    copies = load(out.about / WORK / "copies.npy")
    run: list[pa.RecordBatch] = []
    indexes: list[npt.NDArray[Any]] = []
    with (
        replacing(out.shard(number, under="dropped")) as dropped_path,
        parquet_writer(dropped_path, CORPUS_DROPPED) as dropped,
    ):
        for batch in read_batches(documents.shard(number)):
            ids = numbers_of(batch["id"])
            gone, places = verdict.of(ids)
            if gone.any():
                dropped.write(with_verdicts(batch.filter(pa.array(gone)), verdict, places))
            run.append(measured(batch.filter(pa.array(~gone)), verdict.copies(ids[~gone], copies)))
            if sum(part.nbytes for part in run) >= RUN_BYTES:
                indexes.append(write_run(out, number, len(indexes), run))
                run = []
            tick(batch.num_rows)
        indexes.append(write_run(out, number, len(indexes), run))
    save(index_path(out, number), np.concatenate(indexes))


def with_verdicts(
    batch: pa.RecordBatch, verdict: Verdicts, places: npt.NDArray[np.int64]
) -> pa.RecordBatch:
    """Return dropped documents with their keeper, reason and similarity."""
    reasons = pa.array(REASONS, pa.string())
    columns = {
        "keeper": pa.array([f"{keeper:016x}" for keeper in verdict.keepers[places]], pa.string()),
        "dropped_by": reasons.take(pa.array(verdict.reason[places])),
        "dropped_value": pa.array(verdict.jaccard[places].astype(np.float64)),
    }
    documents = conform(batch, DOCUMENT)
    return pa.RecordBatch.from_arrays(
        [*documents.columns, *columns.values()], schema=CORPUS_DROPPED
    )


def measured(batch: pa.RecordBatch, copies: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """Return kept documents with their size and the number of copies dropped for each."""
    documents = conform(batch, DOCUMENT)
    size = pc.fill_null(pc.binary_length(documents["text"]), 0).cast(pa.int64())
    columns = [*documents.columns, size, pa.array(copies, pa.int32())]
    return pa.RecordBatch.from_arrays(columns, schema=CORPUS)


INDEX = np.dtype([("id", "<u8"), ("bytes", "<i8"), ("run", "<i4"), ("page", "<i4")])


def run_path(out: Directory, number: int, run: int) -> Path:
    """Return the path of a sorted run of a document shard."""
    return out.about / WORK / f"{number:05d}-{run:05d}.arrow"


def write_run(
    out: Directory, number: int, run: int, batches: list[pa.RecordBatch]
) -> npt.NDArray[Any]:
    """Sort batches by id into a run that can be read by pages; return the place of each row."""
    whole = joined_batch(batches)
    ids = numbers_of(whole["id"])
    order = np.argsort(ids, kind="stable")
    index = np.zeros(len(ids), INDEX)
    index["id"], index["bytes"] = ids[order], whole["bytes"].to_numpy()[order]
    rows = max(1, len(ids) * PAGE_BYTES // max(int(index["bytes"].sum()), PAGE_BYTES))
    index["run"], index["page"] = run, np.arange(len(ids)) // rows
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        replacing(run_path(out, number, run)) as partial_path,
        pa.ipc.new_file(str(partial_path), CORPUS, options=options) as writer,
    ):
        for page in in_order(whole, order, rows):
            writer.write_batch(page)
    return index


def joined_batch(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of many batches in one; the batches are released, to save memory."""
    table = pa.Table.from_batches(batches, CORPUS)
    batches.clear()
    whole = table.combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], CORPUS)


def in_order(
    batch: pa.RecordBatch, order: npt.NDArray[np.int64], rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch in the given order, in parts."""
    for start in range(0, len(order), rows):
        yield batch.take(pa.array(order[start : start + rows]))


# --- merge ---------------------------------------------------------------------------------------


def merge_all(
    settings: Corpus, documents: Directory, out: Directory, workers: Workers, progress: Progress
) -> None:
    """Write the corpus shards that do not exist yet."""
    numbers = documents.numbers()
    indexes = [load(index_path(out, number)) for number in numbers]
    ranges = plan(
        settings,
        joined([index["id"] for index in indexes], np.uint64),
        joined([index["bytes"] for index in indexes], np.int64),
    )
    todo = [item for item in ranges if not out.shard(item.number).exists()]
    each(partial(merge, settings, numbers, out), todo, workers, named(progress, "shards"))


def plan(settings: Corpus, ids: Ids, sizes: npt.NDArray[np.int64]) -> list[Range]:
    """Divide sorted ids into ranges of about equal bytes of text.

    Raises:
        PipelineError: an id occurs twice.
    """
    if not len(ids):
        return [Range(0, 0, 0)]
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if len(twice := ids[1:][ids[1:] == ids[:-1]]):
        raise PipelineError(
            f"corpus: id {twice[0]:016x} belongs to two documents; a URL should have come once, so "
            "the stage that read the pages let a second copy through"
        )
    before = np.cumsum(sizes[order]) - sizes[order]
    total = max(int(sizes.sum()), 1)
    shards = -(-total // settings.shard_bytes)
    # In floating point: bytes times shards may exceed 2^63, and borders need not be exact.
    numbers = np.minimum((before / total * shards).astype(np.int64), shards - 1)
    first = np.unique(numbers, return_index=True)[1]
    last = [*(first[1:] - 1), len(ids) - 1]
    return [
        Range(number, int(ids[low]), int(ids[high]))
        for number, (low, high) in enumerate(zip(first, last, strict=True))
    ]


def merge(settings: Corpus, numbers: list[int], out: Directory, wanted: Range) -> None:
    """Write one corpus shard: every run's rows in the range, sorted by id."""
    whole = joined_batch([piece for number in numbers for piece in taken(out, number, wanted)])
    order = np.argsort(numbers_of(whole["id"]), kind="stable")
    write_parquet(out.shard(wanted.number), in_order(whole, order, settings.row_group), CORPUS)


def taken(out: Directory, number: int, wanted: Range) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one document shard's runs whose ids are in the range."""
    index = load(index_path(out, number))
    chosen = index[(index["id"] >= wanted.first) & (index["id"] <= wanted.last)]
    for run in np.unique(chosen["run"]):
        pages = np.unique(chosen["page"][chosen["run"] == run])
        path = run_path(out, number, int(run))
        at_hand(path)
        with pa.memory_map(str(path)) as source:
            yield from within(pa.ipc.open_file(source), pages, wanted)


def within(
    reader: pa.ipc.RecordBatchFileReader, pages: Iterable[Any], wanted: Range
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of these pages whose ids are in the range."""
    for page in pages:
        batch = reader.get_batch(int(page))
        ids = numbers_of(batch["id"])
        low = int(np.searchsorted(ids, np.uint64(wanted.first), "left"))
        high = int(np.searchsorted(ids, np.uint64(wanted.last), "right"))
        yield batch.slice(low, high - low)
