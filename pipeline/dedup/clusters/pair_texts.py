"""Measure pairs by their texts: only candidates are read, once, and memory is bounded.

The texts of all candidates are copied to one file in a single pass over the documents. That file is
mapped into memory, and pairs are compared a block of texts at a time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.shards import Directory, read_batches, replacing
from webtext.pipeline.dedup.clusters.banding import Pairs, distinct, pack, unpack
from webtext.pipeline.dedup.clusters.verify import jaccard, similarity
from webtext.pipeline.dedup.signatures.signature_files import Signatures

BLOCK_BYTES = 64 << 20  # of texts compared at a time; a few times as much memory is used
SCHEMA = pa.schema([("text", pa.string())])


@dataclass(frozen=True)
class Texts:
    """The texts of some rows, in a file of Arrow's."""

    path: Path
    rows: npt.NDArray[np.int64]  # sorted
    first: int  # row number of the first document; those before are an earlier snapshot's
    ngram: int

    def jaccard(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """Return the true similarity of pairs of rows, by their shingles."""
        left, right = (np.searchsorted(self.rows, side) for side in unpack(pairs))
        found = np.empty(len(pairs), np.float32)
        with pa.memory_map(str(self.path)) as source:
            texts = pa.ipc.open_file(source).read_all()["text"]
            size = pc.binary_length(texts).fill_null(0).to_numpy().astype(np.int64)
            before = np.cumsum(size[left] + size[right])
            block = before // BLOCK_BYTES
            borders = np.flatnonzero(np.concatenate(([True], block[1:] != block[:-1], [True])))
            for start, stop in pairwise(borders):
                one, other = left[start:stop], right[start:stop]
                used = distinct([one, other])
                local = pack(np.searchsorted(used, one), np.searchsorted(used, other))
                chosen = texts.take(pa.array(used)).combine_chunks()
                found[start:stop] = jaccard(chosen, local, self.ngram)
        return found


def spill(batches: Iterable[pa.RecordBatch], rows: npt.NDArray[np.int64], path: Path) -> None:
    """Write the texts of some rows, sorted, of batches that are read in order."""
    done = 0
    with (
        replacing(path) as partial_path,
        pa.ipc.new_file(str(partial_path), SCHEMA) as writer,
    ):
        for batch in batches:
            low, high = np.searchsorted(rows, (done, done + batch.num_rows))
            chosen = batch["text"].fill_null("").take(pa.array(rows[low:high] - done))
            if len(chosen):
                writer.write_batch(pa.RecordBatch.from_arrays([chosen], schema=SCHEMA))
            done += batch.num_rows


def texts_of(documents: Directory) -> Iterator[pa.RecordBatch]:
    """Yield the texts of all documents, in the order of their rows."""
    for path in documents.shards():
        yield from read_batches(path, ["text"])


@dataclass(frozen=True)
class Measure:
    """The similarity of pairs of rows: by texts where those are given, else by signatures."""

    signatures: Signatures
    workers: int
    texts: Texts | None = None

    def __call__(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """Return the similarity of each pair; that to an earlier snapshot is by signatures."""
        if self.texts is None or not len(pairs):
            return similarity(self.signatures, pairs, self.workers)
        mine = unpack(pairs)[0] >= self.texts.first
        found = np.empty(len(pairs), np.float32)
        found[~mine] = similarity(self.signatures, pairs[~mine], self.workers)
        if mine.any():
            found[mine] = self.texts.jaccard(pairs[mine])
        return found
