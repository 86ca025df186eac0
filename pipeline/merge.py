"""The reduce of the harvest: all rows of one shard in, one LINK row a URL key out."""

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import spill
from pipeline.harvest import Harvest
from pipeline.plain_urls import digits
from pipeline.records import LINK, LINK_DROPPED, SUBMISSION
from pipeline.shards import Directory, write_parquet
from pipeline.submissions import INT32

ROWS = 1 << 14  # of a row group

MERGED = pa.schema([*spill.SPILL, ("source", pa.int32())])

REASONS = (*spill.REASONS, "links.repeated", "links.low_score")
REPEATED, LOW_SCORE = len(REASONS) - 2, len(REASONS) - 1


def merge(settings: Harvest, out: Directory, sources: list[dict[str, Any]], shard: int) -> None:
    """Write one shard of links, and of dropped rows before it, so that a link shard is the last."""
    names = pa.array([source["source"] for source in sources], pa.string())
    rows = pa.Table.from_batches(_rows(settings, out, len(sources), shard), MERGED)
    alive = pc.equal(rows["reason"], 0)
    once, again = told_once(by_url(rows.filter(alive)))
    kept, low = scored(settings, once)
    gone = pa.concat_tables([rows.filter(pc.invert(alive)), again, low])
    write_parquet(out.shard(shard, under="dropped"), _dropped_rows(gone, names), LINK_DROPPED)
    write_parquet(out.shard(shard), _grouped(links(kept, names), LINK), LINK)


def clear(out: Directory) -> None:
    """Remove the spills, once no shard needs them."""
    shutil.rmtree(out.path / "spill", ignore_errors=True)


def _rows(settings: Harvest, out: Directory, sources: int, shard: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one shard, in the order of sources and lines."""
    for number in range(sources):
        path, _ = spill.paths(out, number)
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
            for at in range(shard, reader.num_record_batches, settings.shards):
                batch = reader.get_batch(at)
                source = pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows)
                yield pa.RecordBatch.from_arrays([*batch.columns, source], schema=MERGED)


def by_url(rows: pa.Table) -> pa.Table:
    """Sort by id, then oldest first; of the same second, in the order read."""
    latest = np.iinfo(np.int64).max
    created = pc.fill_null(rows["created"].cast(pa.int64()), latest).to_numpy()
    order = np.lexsort((created, rows["id"].to_numpy()))
    return rows.take(pa.array(order)).combine_chunks()


def told_once(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return sorted rows without those that tell of the same submission again, and the latter.

    Dumps overlap: a month is recompressed, fetched again, cut out for a subreddit. The first
    telling counts, or else a sum of scores would be a sum over files. A submission without an id
    of its own is never taken for another.
    """
    starts = _starts(rows)
    sizes = np.diff(np.append(starts, rows.num_rows))
    several = np.flatnonzero(np.repeat(sizes > 1, sizes))  # rows of URLs that have more than one
    told = rows.select(["id", "submission", "subreddit"]).take(pa.array(several)).to_pydict()
    repeated = np.zeros(rows.num_rows, bool)
    seen = set()
    for at, this in zip(several, zip(*told.values(), strict=True), strict=True):
        repeated[at] = this[1] is not None and this in seen
        seen.add(this)
    if not repeated.any():
        return rows, rows.slice(0, 0)
    again = rows.filter(pa.array(repeated))
    return rows.filter(pa.array(~repeated)), _dropped(again, REPEATED, None)


def _dropped(rows: pa.Table, reason: int, values: pa.Array | None) -> pa.Table:
    """Return the rows with one reason."""
    at = rows.schema.get_field_index("reason")
    measures = pa.nulls(rows.num_rows, pa.float64()) if values is None else values
    reasons = pa.repeat(pa.scalar(reason, pa.uint8()), rows.num_rows)
    return rows.set_column(at, "reason", reasons).set_column(at + 1, "value", measures)


def _dropped_rows(gone: pa.Table, names: pa.Array) -> Iterator[pa.RecordBatch]:
    """Yield what was dropped, in the order read."""
    order = np.lexsort((gone["line"].to_numpy(), gone["source"].to_numpy()))
    gone = gone.take(pa.array(order)).combine_chunks()
    ids = gone["id"]
    known = pc.is_valid(ids).to_numpy()
    made = {
        "id": digits(pc.fill_null(ids, 0).to_numpy(), known),
        "source": pc.take(names, gone["source"]),
        "dropped_by": pc.take(pa.array(REASONS, pa.string()), gone["reason"]),
        "dropped_value": gone["value"],
    }
    columns = {name: made[name] if name in made else gone[name] for name in LINK_DROPPED.names}
    yield from _grouped(pa.table(columns), LINK_DROPPED)


def scored(settings: Harvest, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the sorted rows whose URLs reach the score, and the others with their reason."""
    rows = rows.combine_chunks()
    starts = _starts(rows)
    known = pc.fill_null(rows["score"], 0).to_numpy().astype(np.int64)
    listed = rows["listed"].to_numpy() & rows["score"].is_null().to_numpy()
    total, vouched = known, listed
    if settings.merge != "each" and rows.num_rows:
        fold = np.maximum if settings.merge == "max" else np.add
        sizes = np.diff(np.append(starts, rows.num_rows))
        total = np.repeat(fold.reduceat(known, starts), sizes)
        vouched = np.repeat(np.logical_or.reduceat(listed, starts), sizes)
    high = vouched | (total >= settings.min_score)
    measures = pa.array(total[~high].astype(np.float64))
    low = _dropped(rows.filter(pa.array(~high)), LOW_SCORE, measures)
    merged = np.clip(total[high], -INT32, INT32).astype(np.int32)
    return rows.filter(pa.array(high)).append_column("merged", pa.array(merged)), low


def _starts(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return where the rows of each id begin."""
    if not rows.num_rows:
        return np.empty(0, np.int64)
    ids = rows["id"].to_numpy()
    return np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1]).astype(np.int64)


def links(rows: pa.Table, names: pa.Array) -> pa.Table:
    """Make one LINK row of the rows of each id; the URL is the oldest submission's."""
    starts = _starts(rows)
    offsets = pa.array(np.append(starts, rows.num_rows), pa.int32())
    columns = {
        "id": rows["submission"],
        "source": pc.take(names, rows["source"]),
        **{name: rows[name] for name in ("subreddit", "score", "created", "title")},
    }
    submissions = pa.StructArray.from_arrays(
        [columns[part.name].combine_chunks().cast(part.type) for part in SUBMISSION],
        fields=list(SUBMISSION),
    )
    firsts = rows.take(pa.array(starts))
    return pa.table(
        {
            "id": digits(firsts["id"].to_numpy(), np.ones(len(starts), bool)),
            "url": firsts["url"],
            "domain": firsts["domain"],
            "score": _scores(rows, starts),
            "submissions": pa.ListArray.from_arrays(offsets, submissions),
        },
        schema=LINK,
    )


def _scores(rows: pa.Table, starts: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """Return the score of each id; null where no submission has one."""
    if not rows.num_rows:
        return pa.array([], pa.int32())
    unknown = rows["score"].is_null().to_numpy()
    best = np.maximum.reduceat(rows["merged"].to_numpy(), starts)
    return pa.array(best, pa.int32(), mask=np.logical_and.reduceat(unknown, starts))


def _grouped(rows: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the columns of `schema`, a row group at a time."""
    table = rows.select(schema.names).cast(schema).combine_chunks()
    yield from table.to_batches(max_chunksize=ROWS)
