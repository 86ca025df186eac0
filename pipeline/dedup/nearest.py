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
    ids = signatures.read("id")
    named = np.arange(len(copies.first))  # of exact copies, the one with the smallest id
    lone = np.ones(len(named), np.bool_)
    copied = np.flatnonzero(copies.first != named)
    members = np.unique(np.concatenate([copied, copies.first[copied].astype(np.int64)]))
    near = members
    if len(members):
        roots = copies.first[members].astype(np.int64)
        order = np.lexsort((ranks(ids, members), roots))
        members, roots = members[order], roots[order]
        starts = np.flatnonzero(np.concatenate(([True], roots[1:] != roots[:-1])))
        group = np.searchsorted(starts, np.arange(len(members)), side="right") - 1
        smallest, second = members[starts][group], members[starts + 1][group]
        near = np.where(members == smallest, second, smallest)
        named[roots], lone[members] = smallest, False
    left, right = (side.astype(np.int64) for side in unpack(pairs))
    rows, others = np.concatenate([left, right]), named[np.concatenate([right, left])]
    stays = lone[rows]  # a copy's nearest is another copy
    rows = np.concatenate([rows[stays], members])
    others = np.concatenate([others[stays], near])
    same = np.ones(len(members), np.float32)
    values = np.concatenate([np.concatenate([jaccard, jaccard])[stays], same])
    order = np.lexsort((ranks(ids, others), -values, rows))
    rows, others, values = rows[order], others[order], values[order]
    chosen = np.concatenate(([True], rows[1:] != rows[:-1])) if len(rows) else np.zeros(0, np.bool_)
    chosen &= rows >= start
    columns = [
        ids.take(pa.array(rows[chosen])).combine_chunks(),
        ids.take(pa.array(others[chosen])).combine_chunks(),
        pa.array(values[chosen].astype(np.float32)),
    ]
    return pa.Table.from_arrays(columns, schema=NEIGHBOUR).sort_by("id")


def ranks(ids: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places of some rows in the order of their ids; the same row has the same."""
    known, place = np.unique(rows, return_inverse=True)
    found = np.empty(len(known), np.int64)
    found[pc.sort_indices(ids.take(pa.array(known))).to_numpy()] = np.arange(len(known))
    return np.asarray(found[place])
