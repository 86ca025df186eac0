"""From verified pairs and copies to rows: who is in which cluster, who is kept, and why not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.records import DUPLICATE
from webtext.pipeline.corpus.verdicts import REASONS
from webtext.pipeline.dedup.clusters.banding import Pairs, distinct, pack, unpack
from webtext.pipeline.dedup.clusters.exact import Copies
from webtext.pipeline.dedup.clusters.same_page import Repeats
from webtext.pipeline.dedup.clusters.snapshots import Compared
from webtext.pipeline.dedup.clusters.stars import Edges, Numbers, settle
from webtext.pipeline.dedup.signatures.signature_files import Signatures

LISTED = 1000  # large clusters named in the histogram
EXACT, NEAR, PAGE = (tuple(REASONS).index(f"dedup.{why}") for why in ("exact", "near", "url"))

Measured = Callable[[Pairs], npt.NDArray[np.float32]]  # the similarity of pairs of rows


@dataclass(frozen=True)
class Evidence:
    """All facts about which documents are alike, by row number."""

    given: Compared
    copies: Copies
    repeats: Repeats
    pairs: Pairs  # verified
    jaccard: npt.NDArray[np.float32]  # of the pairs


@dataclass(frozen=True)
class Choice:
    """How the kept document is chosen, and when a cluster is examined."""

    keeper: str
    max_cluster: int
    near: float
    index_only: bool  # a cluster around a document of this snapshot is ignored


@dataclass(frozen=True)
class Members:
    """The rows that are in clusters, what is kept for each and why; arrays of one length."""

    rows: Numbers  # sorted
    keeper: Numbers  # row
    jaccard: npt.NDArray[np.float32]
    reason: npt.NDArray[np.int8]  # number in REASONS; -1 for the keeper itself
    large: npt.NDArray[np.bool_]


def assemble(
    choice: Choice, found: Evidence, measured: Measured
) -> tuple[pa.Table, dict[str, Any]]:
    """Make clusters: DUPLICATE rows, and the histogram of their sizes."""
    members, large = _members(choice, found, measured)
    members = _with_repeats(members, found, measured)
    ids = found.given.signatures.read("id").take(pa.array(members.rows)).combine_chunks()
    shown = members.rows >= found.given.earlier
    if choice.index_only:
        shown &= members.keeper < found.given.earlier
    return _table(members, ids, shown, found.given), _histogram(members, ids, large)


def _members(
    choice: Choice, found: Evidence, measured: Measured
) -> tuple[Members, list[tuple[int, int, int]]]:
    """Cluster exact copies and verified pairs; return also the large clusters, by keeper."""
    left, right = unpack(found.pairs)
    first = found.copies.first
    copied = np.flatnonzero(first != np.arange(len(first)))
    nodes = distinct([left, right, first[copied]])  # each the first of its copies
    node = np.full(len(first), -1, np.int32)
    node[nodes] = np.arange(len(nodes))
    rows: Numbers = distinct([nodes.astype(np.int64), copied])
    mine = node[first[rows]].astype(np.int64)  # each row's node
    rank = ranks(found.given, choice.keeper, rows)
    best = np.full(len(nodes), len(rows))
    np.minimum.at(best, mine, rank)

    def measure(one: Numbers, other: Numbers) -> npt.NDArray[np.float32]:
        return measured(pack(nodes[one], nodes[other]))

    edges = Edges(node[left].astype(np.int64), node[right].astype(np.int64), found.jaccard)
    weight = np.bincount(mine, minlength=len(nodes))
    stars = settle(edges, best, weight, measure, choice.max_cluster, choice.near)
    of_rank = rows[np.argsort(rank)]
    keeper: Numbers = of_rank[best[stars.keeper[mine]]]
    reason = np.where(mine == stars.keeper[mine], EXACT, NEAR).astype(np.int8)
    reason[keeper == rows] = -1
    members = Members(rows, keeper, stars.jaccard[mine], reason, stars.checked[mine])
    return members, [(int(of_rank[best[head]]), size, near) for head, size, near in stars.large]


def _with_repeats(members: Members, found: Evidence, measured: Measured) -> Members:
    """Add the rows that are dropped for their page: each goes where the one kept for it went."""
    gone, kept = found.repeats.gone, found.repeats.kept
    if not len(gone):
        return members
    rows = distinct([members.rows, gone, kept])
    keeper, jaccard = rows.copy(), np.ones(len(rows), np.float32)
    reason, large = np.full(len(rows), -1, np.int8), np.zeros(len(rows), np.bool_)
    there = np.searchsorted(rows, members.rows)
    for whole, part in (
        (keeper, members.keeper),
        (jaccard, members.jaccard),
        (reason, members.reason),
        (large, members.large),
    ):
        whole[there] = part
    at, head = np.searchsorted(rows, gone), np.searchsorted(rows, kept)
    keeper[at], large[at], reason[at] = keeper[head], large[head], PAGE
    first = found.copies.first.astype(np.int64)
    jaccard[at] = measured(pack(first[gone], first[keeper[at]]))
    return Members(rows, keeper, jaccard, reason, large)


def ranks(given: Compared, keeper: str, rows: Numbers) -> Numbers:
    """Return the places of some rows in the order in which they would be kept."""
    signatures = given.signatures
    ids = signatures.read("id").take(pa.array(rows)).combine_chunks()
    by_id = _place(pc.sort_indices(ids).to_numpy())
    key = _wanted_first(signatures, keeper)[rows]
    return _place(np.lexsort((by_id, key, rows >= given.earlier)))


def _wanted_first(signatures: Signatures, keeper: str) -> npt.NDArray[np.int64]:
    """Return a number for each document, the smaller the sooner it is kept."""
    if keeper == "score":
        low = pa.scalar(np.iinfo(np.int32).min, pa.int32())
        scores = signatures.read("score").fill_null(low).to_numpy()
        return np.asarray(-scores.astype(np.int64))
    if keeper == "longest":
        return np.asarray(-signatures.read("bytes").to_numpy())
    linked = signatures.read("linked").cast(pa.int64())
    return np.asarray(linked.fill_null(np.iinfo(np.int64).max).to_numpy())


def _place(order: npt.NDArray[Any]) -> Numbers:
    """Return each one's place in an order.

    >>> _place(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def _table(
    members: Members, ids: pa.StringArray, shown: npt.NDArray[np.bool_], given: Compared
) -> pa.Table:
    """Return DUPLICATE rows, by cluster and id, without documents that are alone."""
    head = np.searchsorted(members.rows, members.keeper)
    size = np.bincount(head, minlength=len(ids))
    chosen = np.flatnonzero(size[head] > 1)
    by_id = _place(pc.sort_indices(ids).to_numpy())
    smallest = np.full(len(ids), len(ids))
    np.minimum.at(smallest, head[chosen], by_id[chosen])
    name = np.argsort(by_id)[np.minimum(smallest, len(ids) - 1)]  # by keeper: the smallest id's
    chosen = chosen[shown[chosen]]
    chosen = chosen[np.lexsort((by_id[chosen], smallest[head[chosen]]))]
    head = head[chosen]
    reasons = pa.array([*REASONS, None], pa.string())
    columns = [
        ids.take(pa.array(chosen)),
        ids.take(pa.array(name[head])),
        ids.take(pa.array(head)),
        pa.array(members.jaccard[chosen]),
        reasons.take(pa.array(members.reason[chosen] % len(reasons))),
        given.names(members.keeper[chosen]),
        pa.array(members.large[chosen]),
    ]
    return pa.Table.from_arrays(columns, schema=DUPLICATE)


def _histogram(
    members: Members, ids: pa.StringArray, large: list[tuple[int, int, int]]
) -> dict[str, Any]:
    """Return how many clusters of each size there are, and the large ones that were examined."""
    head = np.searchsorted(members.rows, members.keeper)
    size = np.bincount(head, minlength=len(ids))
    sizes, counts = np.unique(size[size > 1], return_counts=True)
    named = [(ids[int(np.searchsorted(members.rows, row))].as_py(), *more) for row, *more in large]
    named.sort(key=lambda entry: (-entry[1], entry[0]))
    return {
        "clusters": int(counts.sum()),
        "documents": int((sizes * counts).sum()),
        "sizes": dict(zip(map(str, sizes.tolist()), counts.tolist(), strict=True)),
        "large_clusters": len(large),
        "largest": [
            {"keeper": keeper, "connected": connected, "near_the_keeper": near}
            for keeper, connected, near in named[:LISTED]
        ],
    }
