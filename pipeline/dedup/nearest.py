"""The nearest document of each document, of those that the bands bring together.

It is noted also where the pair is not similar enough to be copies, so that one sees what another
`verify_at` would make of it. A pair that shares no band is never compared, so a document without a
row here may still have a neighbour that is less similar.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.dedup.clusters.banding import Pairs, unpack
from webtext.pipeline.dedup.clusters.exact import Copies
from webtext.pipeline.dedup.signatures.signature_files import Signatures

NEAREST = "nearest.parquet"  # beside the clusters
NEIGHBOUR = pa.schema(
    [
        ("id", pa.string()),
        ("nearest", pa.string()),  # id of the document that is most like it
        ("similarity", pa.float32()),  # measured Jaccard of the two; 1 for exact copies
    ]
)


def neighbours(
    signatures: Signatures,
    copies: Copies,
    pairs: Pairs,
    jaccard: npt.NDArray[np.float32],
    start: int = 0,
) -> pa.Table:
    """Return NEIGHBOUR rows, sorted by id, of the documents from row number `start` on.

    `pairs` are all that were compared, `jaccard` their similarities. Of several neighbours with the
    same similarity, the one with the smallest id is taken, so the order of the rows is no matter.
    """
    left, right = (side.astype(np.int64) for side in unpack(pairs))
    copied = np.flatnonzero(copies.first != np.arange(len(copies.first)))
    first = copies.first[copied].astype(np.int64)
    rows = np.concatenate([left, right, copied, first])
    others = np.concatenate([right, left, first, copied])
    same = np.ones(len(copied), np.float32)
    values = np.concatenate([jaccard, jaccard, same, same])
    ids = signatures.read("id")
    known, place = np.unique(others, return_inverse=True)
    rank = np.empty(len(known), np.int64)
    rank[pc.sort_indices(ids.take(pa.array(known))).to_numpy()] = np.arange(len(known))
    order = np.lexsort((rank[place], -values, rows))
    rows, others, values = rows[order], others[order], values[order]
    chosen = np.concatenate(([True], rows[1:] != rows[:-1])) if len(rows) else np.zeros(0, np.bool_)
    chosen &= rows >= start
    columns = [
        ids.take(pa.array(rows[chosen])).combine_chunks(),
        ids.take(pa.array(others[chosen])).combine_chunks(),
        pa.array(values[chosen].astype(np.float32)),
    ]
    return pa.Table.from_arrays(columns, schema=NEIGHBOUR).sort_by("id")
