"""Signatures that an earlier build made of the same texts, taken from there.

A signature is taken over if the text itself is the same (it is compared, not a digest of it), and
the URLs, of which the page's key is made. Score and date are the new documents'.
"""

from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.former import (
    Former,
    Rows,
    distinct,
    former_shard,
    log,
    only_batch,
    same,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import read_shard

COMPARED = ["url", "final_url", "text"]
OF_LINK = ("score", "linked")  # in a signature file, but not made of the text


class Signed(ExitStack):
    """One shard of documents that were signed before, and their signatures.

    Raises:
        UserError: a file of the earlier build is missing or damaged.
    """

    def __init__(self, found: Former, number: int) -> None:
        super().__init__()
        number = former_shard(found.home, number)
        documents = found.inputs[0].shard(number)
        self._ids = read_shard(documents, ["id"])["id"].combine_chunks()
        if not distinct(self._ids):
            self._ids = self._ids.slice(0, 0)
        self._texts = self.enter_context(Rows(documents, COMPARED))
        self._signatures = self.enter_context(Rows(found.home.shard(number)))
        self.taken = 0  # documents so far

    def rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """Return where the signature of each document is, -1 where none fits."""
        found = pc.fill_null(pc.index_in(batch["id"], self._ids), -1)
        at: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64)
        there = at >= 0
        given = pa.Table.from_batches([batch.filter(pa.array(there))])
        before = self._texts.take(at[there])
        alike = np.ones(given.num_rows, np.bool_)
        for name in COMPARED:
            alike &= same(given[name], before[name]).to_numpy()
        at[np.flatnonzero(there)[~alike]] = -1
        return at

    def signatures(
        self, rows: npt.NDArray[np.int64], batch: pa.RecordBatch, schema: pa.Schema
    ) -> pa.RecordBatch:
        """Return the rows of the signature file for documents whose signatures are at `rows`."""
        found = only_batch(self._signatures.take(rows))
        assert found["id"].equals(batch["id"]), "a document's signature is in its place"
        self.taken += len(rows)
        given = {name: batch[name] for name in OF_LINK}
        columns = [given.get(field.name, found[field.name]).cast(field.type) for field in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def signed_before(found: Former | None, number: int) -> Signed | None:
    """Return what an earlier build signed of a shard, None if nothing; damage costs only that."""
    if found is None:
        return None
    try:
        return Signed(found, number)
    except UserError as error:
        log.warning("%s; so its documents are signed again", error)
        return None
