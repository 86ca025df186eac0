"""What became of pages whose bytes an earlier build has read, taken from there: no page twice.

A month that adds few pages extracts and judges only these. A page is taken over if everything that
the chain sees of it is what it was: its URL, its final URL, its content type and the digest of its
body. The rows are those that the chain would make again, and the files the same to the byte; what
comes from the link (score, subreddit, date) is of the new build.

What may end otherwise another time (no time, no memory, a damaged record) is tried again. Only for
pages that were crawled: there the digest is ours, of the body as it is read.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.former import (
    Former,
    Rows,
    distinct,
    former,
    former_shard,
    log,
    only_batch,
    same,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.core.stage import Stage, pass_batch
from webtext.pipeline.core.step import Planned

FATE_KEPT: Final = "kept"
FOLDER: Final = "measures"  # the folder with the table of measures
SEEN = ["url", "final_url", "content_type", "digest"]  # what the chain sees of a page
OF_LINK = [name for name in PAGE.names if name in DOCUMENT.names]  # passes the chain unchanged
AGAIN = [
    f"extract.{reason}" for reason in ("damaged", "timeout", "memory", "crashed", "error")
]  # fates that another try may change


def former_documents(planned: Planned) -> Former | None:
    """Return documents that were made of crawled pages in the same way, None if there are none."""
    if not _crawled(planned.read["pages"]):
        return None
    found = former(planned)
    return found if found and _crawled(found.inputs[0]) else None


def _crawled(pages: Directory) -> bool:
    return "crawl" in pages.manifest().get("stages", {})


class Reused(ExitStack):
    """The pages of one shard whose fates an earlier build knows, and their rows there.

    Raises:
        UserError: a file of the earlier build is missing or damaged.
    """

    def __init__(self, found: Former, pages: Directory, number: int) -> None:
        super().__init__()
        home = found.home
        new = _pages(pages, number)
        number = former_shard(home, number)
        old = _pages(found.inputs[0], number)
        measures = read_shard(home.shard(number, under=FOLDER))
        if not all(distinct(table["id"]) for table in (new, old, measures)):
            new = new.slice(0, 0)
        measures = measures.filter(pc.invert(pc.is_in(measures["fate"], pa.array(AGAIN))))
        before = old.take(pc.index_in(new["id"], old["id"]))
        at = pc.index_in(new["id"], measures["id"])
        known = pc.and_(pc.is_valid(at), pc.is_valid(new["digest"]))
        for name in SEEN:
            known = pc.and_(known, same(new[name], before[name]))
        self.measures = measures.take(at.filter(known)).combine_chunks()
        self.ids: pa.Array = self.measures["id"].combine_chunks()
        self._fates = self.measures["fate"]
        self._rows = self.measures["row"].to_numpy()
        self._texts, self._dropped = (
            self.enter_context(Rows(home.shard(number, under=under))) for under in ("", "dropped")
        )

    def places(self, ids: pa.Array) -> pa.Array:
        """Return where in `measures` the rows of these ids are, null for pages that are read."""
        return pc.index_in(ids, self.ids)

    def passed(
        self, chain: Sequence[Stage], batch: pa.RecordBatch, schema: pa.Schema
    ) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
        """Return what `pass_batch` returns, which is asked only for the pages that are not known.

        Raises:
            PipelineError: a stage lost, added or reordered rows.
        """
        at = self.places(batch["id"])
        if at.null_count == len(at):
            return pass_batch(chain, batch, schema)
        left, gone = pass_batch(chain, batch.filter(pc.is_null(at)), schema)
        known = pc.is_valid(at)
        given, places = batch.filter(known), at.filter(known).to_numpy()
        fates = self._fates.take(pa.array(places))
        stays = pc.equal(fates, FATE_KEPT)
        kept = self._rows_of(self._texts, given, places, stays)
        lost = self._rows_of(self._dropped, given, places, pc.invert(stays))
        left = _merged(batch, [left, kept])
        parts = []
        for stage in chain:
            mine = f"{stage.name}."
            of_stage = [lost.filter(pc.starts_with(lost["dropped_by"], mine))]
            of_stage += [part for part in gone if part["dropped_by"][0].as_py().startswith(mine)]
            if any(part.num_rows for part in of_stage):
                parts.append(_merged(batch, of_stage))
        return left, parts

    def _rows_of(
        self,
        rows: Rows,
        given: pa.RecordBatch,
        places: npt.NDArray[np.int64],
        mask: pa.ChunkedArray,
    ) -> pa.RecordBatch:
        """Return the masked rows as the chain made them, with what the link says now."""
        mask = mask.combine_chunks()
        found = only_batch(rows.take(self._rows[places[mask.to_numpy(zero_copy_only=False)]]))
        now = given.filter(mask)
        assert found["id"].equals(now["id"]), "the table of measures says where a document is"
        columns = [now[name] if name in OF_LINK else found[name] for name in found.schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=found.schema)

    def measured(
        self, part: pa.RecordBatch, rows: npt.NDArray[np.int64], schema: pa.Schema
    ) -> pa.RecordBatch:
        """Return the rows of the table of measures for known documents, at these rows now."""
        found = only_batch(self.measures.take(self.places(part["id"])))
        given = {name: part[name] for name in OF_LINK} | {"row": pa.array(rows)}
        return pa.RecordBatch.from_arrays(
            [given.get(field.name, found[field.name]).cast(field.type) for field in schema],
            schema=schema,
        )


def _pages(pages: Directory, number: int) -> pa.Table:
    """Return the ids of a shard's kept pages, and what the chain sees of them."""
    table = read_shard(pages.shard(number, under="outcomes"), ["id", *SEEN, "dropped_by"])
    return table.filter(pc.is_null(table["dropped_by"]))


def _merged(batch: pa.RecordBatch, parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of parts of a batch, in its order."""
    schema = parts[0].schema
    table = pa.Table.from_batches([part.cast(schema) for part in parts], schema)
    order = pc.sort_indices(pc.index_in(table["id"], batch["id"]))
    return only_batch(table.take(order))


def reused(found: Former | None, pages: Directory, number: int) -> Reused | None:
    """Return what is known of a shard's pages, None if nothing is; damage costs only that."""
    if not found or not found.home.numbers():
        return None
    try:
        return Reused(found, pages, number)
    except UserError as error:
        log.warning("%s; so its pages are read again", error)
        return None
