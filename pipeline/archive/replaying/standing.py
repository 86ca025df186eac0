"""Decide, over all files of an import, which record stands for a page, and for which link."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.links.wanted import Wanted, wanted

Ids = np.ndarray[Any, np.dtype[np.uint64]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]

DUPLICATE_URL: Final = "pages.duplicate_url"
NOT_LINKED: Final = "pages.not_linked"
NOT_IN_WARC: Final = "pages.not_in_warc"

LINKED = ("id", "url", "domain", "score", "subreddit", "linked")  # the known facts of a link
CARRIED = pa.schema([OUTCOME.field(name) for name in LINKED if name not in {"id", "domain"}])


def numbers(ids: pa.ChunkedArray) -> Ids:
    """Return ids as numbers; 0 if there is none (in practice no sha256 begins with it)."""
    return np.fromiter((int(found, 16) if found else 0 for found in ids.to_pylist()), np.uint64)


def standing(ids: Ids, good: Marks) -> Marks:
    """Mark the row that stands for each id: the first good one, otherwise the first."""
    order = np.lexsort((np.arange(len(ids)), ~good, ids))
    first = np.ones(len(ids), np.bool_)
    first[1:] = ids[order][1:] != ids[order][:-1]
    marks = np.zeros(len(ids), np.bool_)
    marks[order[first]] = True
    marks |= ids == 0  # a row without an id stands for itself
    return marks


class Asked:
    """The links whose pages are in the WARC files, indexed by id."""

    def __init__(self, present: Ids) -> None:
        self.present = present  # ids of all records, sorted
        self.ids = np.empty(0, np.uint64)  # of the links found, in the order of `links`
        self.links = CARRIED.empty_table()

    def take_from(self, links: Directory) -> Iterator[pa.RecordBatch]:
        """Store the links that have a record; yield rows for those that have none."""
        ids, tables = [self.ids], [self.links]
        for path in links.shards():
            for batch in wanted(path):
                numbers = np.fromiter((int(link.id, 16) for link in batch), np.uint64, len(batch))
                here = np.isin(numbers, self.present)
                found = pa.Table.from_pylist([_lost(link) for link in batch], OUTCOME)
                ids.append(numbers[here])
                tables.append(found.filter(here).select(CARRIED.names))
                yield from found.filter(~here).to_batches()
        every = np.concatenate(ids)
        order = np.argsort(every, kind="stable")
        self.ids = every[order]
        self.links = pa.concat_tables(tables).take(order)

    def columns(self, ids: Ids, stands: Marks) -> tuple[Marks, dict[str, pa.ChunkedArray]]:
        """Mark the rows that have a link; return link columns for those of them that stand."""
        at = np.searchsorted(self.ids, ids)
        found = np.zeros(len(ids), np.bool_)
        inside = at < len(self.ids)
        found[inside] = self.ids[at[inside]] == ids[inside]
        carried = self.links.take(pa.array(at, mask=~(found & stands)))
        return found, {name: carried[name] for name in CARRIED.names}


def _lost(link: Wanted) -> dict[str, Any]:
    """Return the row of a link without a record."""
    return {name: getattr(link, name) for name in LINKED} | {"dropped_by": NOT_IN_WARC}


def settled(
    scanned: pa.Table,
    ids: Ids,
    stands: Marks,
    asked: Asked | None,
) -> pa.Table:
    """Return a file's rows with their final fates, and with the columns of their links."""
    columns = {name: scanned[name] for name in OUTCOME.names}
    overruled = _unless(stands, DUPLICATE_URL)
    if asked is not None:
        linked, carried = asked.columns(ids, stands)
        columns |= carried | {"url": pc.coalesce(carried["url"], scanned["url"])}
        overruled = pc.coalesce(_unless(linked | (ids == 0), NOT_LINKED), overruled)
    columns["dropped_by"] = pc.coalesce(overruled, scanned["dropped_by"])
    columns["dropped_value"] = pc.if_else(pc.is_null(overruled), scanned["dropped_value"], None)
    return pa.table(columns, OUTCOME)


def _unless(spared: Marks, reason: str) -> pa.Array:
    """Return `reason` for each row except those spared, which get null."""
    return pc.if_else(pa.array(spared), pa.scalar(None, pa.string()), reason)
