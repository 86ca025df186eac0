"""The reduce of the harvest: all rows of one shard in, one LINK row per URL key out.

A shard is decided by a few numbers of each row, all of them in memory, about 60 bytes a row. Its
texts are read again from the spills when they are written, some thousand links at a time.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.records import LINK, LINK_DROPPED, SUBMISSION
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.links import spill
from webtext.pipeline.links.plain_urls import digits
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.links.submissions import INT32
from webtext.pipeline.urls.forgotten import NOTHING, Forgotten

ROWS = 1 << 14  # rows of a row group, and links whose texts are in memory at once

REASONS = (*spill.REASONS, "links.repeated", "links.low_score")
REPEATED, LOW_SCORE = len(REASONS) - 2, len(REASONS) - 1
FORGOTTEN = spill.NUMBER["links.forgotten"]

# Columns with the same value in many rows; the others gain nothing from Parquet's dictionaries.
FEW = [
    "domain",
    "score",
    *(f"submissions.list.element.{name}" for name in ("source", "subreddit", "score")),
    *("source", "dropped_by", "dropped_value"),
]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Spilled:
    """The rows of one shard, in the order of sources and lines."""

    files: Sequence[Path]  # of the sources, in their order
    divided: int  # how many shards the files are divided into, a multiple of `shards`
    shards: int
    shard: int

    def batches(self, *names: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield these columns of the rows, and the number of their source."""
        for number, path in enumerate(self.files):
            # Rows without a URL go to a shard by the number of their source, each to its place.
            homeless = number % self.shards == self.shard
            several = homeless or self.divided > self.shards
            wanted = {*names, "line"} if several else set(names)
            chosen = sorted(spill.SPILL.get_field_index(name) for name in wanted)
            options = pa.ipc.IpcReadOptions(included_fields=chosen)
            at_hand(path)
            with (
                pa.OSFile(str(path)) as file,  # a mapped file would count as used memory
                pa.ipc.open_file(file, options=options) as reader,
            ):
                for start in range(0, reader.num_record_batches, self.divided + 1):
                    parts = [*range(self.shard, self.divided, self.shards)]
                    parts += [self.divided] if homeless else []
                    batch = _by_line([reader.get_batch(start + part) for part in parts])
                    yield number, batch.select(sorted(names, key=_column)) if several else batch

    def chosen(
        self, which: Array, *names: str, more: bool = False
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows that `which`, a bool for each row, selects.

        If there may be `more`, batches with most rows selected are yielded whole, and all their
        rows are then selected in `which` as well.
        """
        start = 0
        for number, batch in self.batches(*names):
            these = which[start : start + batch.num_rows]
            start += batch.num_rows
            if more and 2 * np.count_nonzero(these) > len(these):
                these[:] = True
            if these.any():
                yield number, batch if these.all() else batch.filter(pa.array(these))


def _by_line(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of batches of one chunk, in the order in which they were read."""
    filled = [batch for batch in batches if batch.num_rows]
    if len(filled) < 2:
        return filled[0] if filled else batches[0]
    all_rows = pa.Table.from_batches(filled).combine_chunks()
    order = np.argsort(all_rows["line"].to_numpy(), kind="stable")
    found: pa.RecordBatch = all_rows.take(pa.array(order)).combine_chunks().to_batches()[0]
    return found


def _column(name: str) -> int:
    return int(spill.SPILL.get_field_index(name))


class Facts:
    """The values that decide a shard's rows: arrays, one value per row in the order read."""

    def __init__(self, spilled: Spilled, forgotten: Forgotten = NOTHING) -> None:
        """Read the values; rows of what is forgotten get that reason, also of earlier spills."""
        names = ("id", "score", "created", "listed", "reason", "value")
        schema = pa.schema([field for field in spill.SPILL if field.name in names])
        read = pa.Table.from_batches([batch for _, batch in spilled.batches(*names)], schema)
        read = read.combine_chunks()
        latest = np.iinfo(np.int64).max
        self.known: Array = read["id"].is_valid().to_numpy()
        self.ids: Array = pc.fill_null(read["id"], 0).to_numpy()
        self.scores: Array = pc.fill_null(read["score"], 0).to_numpy()
        self.scoreless: Array = read["score"].is_null().to_numpy()
        self.created: Array = pc.fill_null(read["created"].cast(pa.int64()), latest).to_numpy()
        self.listed: Array = read["listed"].to_numpy()
        self.reasons: Array = read["reason"].to_numpy().copy()
        self.values: Array = pc.fill_null(read["value"], np.nan).to_numpy().copy()
        if forgotten:
            start = 0
            for _, batch in spilled.batches("url", "domain"):
                rows = slice(start, start := start + batch.num_rows)
                ids = np.where(self.known[rows], self.ids[rows], 0)
                which = forgotten.chosen(ids, batch["url"], batch["domain"])
                self.reasons[rows][which] = FORGOTTEN
                self.values[rows][which] = np.nan


def merge(
    settings: Harvest,
    out: Directory,
    sources: Sequence[tuple[str, Path]],
    shards: int,
    shard: int,
    forgotten: Forgotten = NOTHING,
) -> None:
    """Write one shard of dropped rows, then one of links, so that the link shard is the last.

    `sources` are the names of the sources, each with the file of its rows.
    """
    names = [name for name, _ in sources]
    spilled = Spilled([rows for _, rows in sources], settings.shards, shards, shard)
    facts = Facts(spilled, forgotten)
    order = told_once(spilled, facts, by_url(facts))
    order, merged = scored(settings, facts, order)
    gone = _grouped(_dropped(spilled, facts, names))
    write_parquet(out.shard(shard, under="dropped"), gone, LINK_DROPPED, FEW)
    kept = links(spilled, facts, order, merged, pa.array(names, pa.string()))
    write_parquet(out.shard(shard), kept, LINK, FEW)


def clear(out: Directory) -> None:
    """Remove the spills that are not remembered, once no shard needs them."""
    shutil.rmtree(out.path / "spill", ignore_errors=True)


def by_url(facts: Facts) -> Array:
    """Return the rows without a reason, sorted by id, then oldest first, then in the order read."""
    alive = np.flatnonzero(facts.reasons == 0)
    order: Array = alive[np.lexsort((facts.created[alive], facts.ids[alive]))]
    return order


def told_once(spilled: Spilled, facts: Facts, order: Array) -> Array:
    """Give a reason to sorted rows that repeat a submission; return the others, sorted.

    Dumps overlap: a month is recompressed, fetched again, extracted for a subreddit. The first
    row counts, otherwise a sum of scores would be a sum over files. A submission without an id
    of its own is never a repetition.
    """
    starts = _starts(facts.ids[order])
    sizes = np.diff(np.append(starts, len(order)))
    several = np.flatnonzero(np.repeat(sizes > 1, sizes))  # rows of URLs with more than one row
    if not len(several):
        return order
    rows = order[several]
    which = _chosen(len(facts.ids), rows)
    columns = ("submission", "subreddit")
    told = pa.Table.from_batches([batch for _, batch in spilled.chosen(which, *columns)])
    places = np.searchsorted(np.flatnonzero(which), rows)
    post, subreddit = (_numbered(told[name])[places] for name in columns)
    ids = facts.ids[rows]
    alike = np.lexsort((subreddit, post, ids))  # in their order, if all three are the same
    again = np.flatnonzero(post[alike] >= 0)[1:]
    same = np.ones(len(again), bool)
    for key in (ids[alike], post[alike], subreddit[alike]):
        same &= key[again] == key[again - 1]
    repeated = np.zeros(len(order), bool)
    repeated[several[alike[again[same]]]] = True
    facts.reasons[order[repeated]] = REPEATED
    return order[~repeated]


def _numbered(column: pa.ChunkedArray) -> Array:
    """Return the same number for the same text, -1 for null."""
    indices = column.combine_chunks().dictionary_encode().indices
    numbers: Array = pc.fill_null(indices, -1).to_numpy()
    return numbers


def scored(settings: Harvest, facts: Facts, order: Array) -> tuple[Array, Array]:
    """Return the sorted rows whose URLs reach the score, with it; give the others a reason."""
    known = facts.scores[order].astype(np.int64)
    listed = facts.listed[order] & facts.scoreless[order]
    total, vouched = known, listed
    if settings.merge != "each" and len(order):
        fold = np.maximum if settings.merge == "max" else np.add
        starts = _starts(facts.ids[order])
        sizes = np.diff(np.append(starts, len(order)))
        total = np.repeat(fold.reduceat(known, starts), sizes)
        vouched = np.repeat(np.logical_or.reduceat(listed, starts), sizes)
    high = vouched | (total >= settings.min_score)
    facts.reasons[order[~high]] = LOW_SCORE
    facts.values[order[~high]] = total[~high]
    return order[high], np.clip(total[high], -INT32, INT32).astype(np.int32)


def _starts(ids: Array) -> Array:
    """Return where the rows of each of the sorted ids begin."""
    if not len(ids):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1]).astype(np.int64)


def _chosen(count: int, rows: Array) -> Array:
    which = np.zeros(count, bool)
    which[rows] = True
    return which


def _dropped(spilled: Spilled, facts: Facts, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the dropped rows, in the order read."""
    which = facts.reasons != 0
    rows = np.flatnonzero(which)
    reasons = pa.array(REASONS, pa.string())
    start = 0
    for number, batch in spilled.chosen(which, "url", "line", "score"):
        these = rows[start : start + batch.num_rows]
        start += batch.num_rows
        values = facts.values[these]
        untold = pa.array(facts.reasons[these] == FORGOTTEN)
        yield pa.RecordBatch.from_arrays(
            [
                digits(facts.ids[these], facts.known[these]),
                pc.if_else(untold, pa.scalar(None, pa.string()), batch["url"]),
                pa.repeat(pa.scalar(names[number], pa.string()), batch.num_rows),
                batch["line"],
                batch["score"],
                reasons.take(pa.array(facts.reasons[these])),
                pa.array(values, mask=np.isnan(values)),
            ],
            schema=LINK_DROPPED,
        )


def _grouped(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the same rows in row groups."""
    held = LINK_DROPPED.empty_table()
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= ROWS:
            yield held.slice(0, ROWS).combine_chunks()
            held = held.slice(ROWS)
    yield held.combine_chunks()


def links(
    spilled: Spilled, facts: Facts, order: Array, merged: Array, names: pa.Array
) -> Iterator[pa.Table]:
    """Yield one LINK row of the sorted rows of each id; the URL is the oldest submission's."""
    ends = np.append(_starts(facts.ids[order]), len(order))
    for first in range(0, len(ends) - 1, ROWS):
        bounds = ends[first : first + ROWS + 1]
        begin, end = bounds[0], bounds[-1]
        rows = order[begin:end]
        texts = _texts(spilled, _chosen(len(facts.ids), rows), rows)
        yield _linked(facts, rows, bounds - begin, merged[begin:end], texts, names)


def _texts(spilled: Spilled, which: Array, rows: Array) -> pa.Table:
    """Return the written columns of the chosen rows, in the order of `rows`."""
    columns = ("url", "domain", "submission", "subreddit", "score", "created", "title")
    found = []
    for number, batch in spilled.chosen(which, *columns, more=True):
        source = pa.array(np.full(batch.num_rows, number, np.int32))
        found.append(batch.append_column("source", source))
    table = pa.Table.from_batches(found).combine_chunks()
    return table.take(pa.array(np.searchsorted(np.flatnonzero(which), rows))).combine_chunks()


def _linked(
    facts: Facts, rows: Array, ends: Array, merged: Array, texts: pa.Table, names: pa.Array
) -> pa.Table:
    """Make LINK rows from the rows of some ids, with the borders `ends`."""
    starts = ends[:-1]
    columns = {"id": texts["submission"], "source": pc.take(names, texts["source"])}
    columns |= {name: texts[name] for name in ("subreddit", "score", "created", "title")}
    submissions = pa.StructArray.from_arrays(
        [columns[part.name].combine_chunks().cast(part.type) for part in SUBMISSION],
        fields=list(SUBMISSION),
    )
    firsts = texts.select(["url", "domain"]).take(pa.array(starts))
    unknown = np.logical_and.reduceat(facts.scoreless[rows], starts)
    made = {
        "id": digits(facts.ids[rows[starts]], np.ones(len(starts), bool)),
        "url": firsts["url"],
        "domain": firsts["domain"],
        "score": pa.array(np.maximum.reduceat(merged, starts), pa.int32(), mask=unknown),
        "submissions": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), submissions),
    }
    return pa.table(made, schema=LINK).combine_chunks()
