"""From verified pairs to clusters, each around the document that is kept.

As in the papers, whatever is connected is a cluster: two copies of one text, edited in different
places, may be too different to be found as a pair. But chains have no limit: pages of one template,
each similar to the next, have joined whole collections elsewhere. So in a cluster above a certain
size each member must be similar to the kept document itself; the others are clustered again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from webtext.pipeline.dedup.clusters.banding import distinct
from webtext.pipeline.dedup.signatures.signing_kernels import compiled

Numbers = npt.NDArray[np.int64]
Measure = Callable[[Numbers, Numbers], npt.NDArray[np.float32]]

ROUNDS = 4  # a large cluster is split around this many keepers, one by one; then by direct pairs


@dataclass(frozen=True)
class Edges:
    """Verified pairs of nodes, which are numbered from 0."""

    left: Numbers
    right: Numbers
    jaccard: npt.NDArray[np.float32]

    def within(self, chosen: npt.NDArray[np.bool_]) -> "Edges":
        """Return the pairs whose two nodes are chosen."""
        both = chosen[self.left] & chosen[self.right]
        return Edges(self.left[both], self.right[both], self.jaccard[both])


@dataclass(frozen=True)
class Stars:
    """For each node its keeper (itself, where it is kept) and how alike the two are."""

    keeper: Numbers
    jaccard: npt.NDArray[np.float32]
    checked: npt.NDArray[np.bool_]  # its component has more documents than the limit
    large: list[tuple[int, int, int]] = field(default_factory=list)  # keeper, size, near the keeper


def settle(
    edges: Edges,
    rank: Numbers,
    weight: Numbers,
    measure: Measure,
    max_cluster: int,
    near: float,
) -> Stars:
    """Cluster the nodes.

    Of a cluster the node of the lowest `rank` is kept. `weight` is how many documents a node stands
    for; clusters of more than `max_cluster` documents are verified against their keeper, by
    `measure`, and members below `near` parted from it.
    """
    checked = np.zeros(len(rank), np.bool_)
    stars = Stars(np.arange(len(rank)), np.ones(len(rank), np.float32), checked)
    open_ = np.ones(len(rank), np.bool_)
    for turn in range(ROUNDS):
        nodes = np.flatnonzero(open_)
        label = _components(edges, len(rank))[nodes]
        size = np.bincount(label, weights=weight[nodes]).astype(np.int64)
        head = _heads(nodes, label, rank)
        jaccard = _to_keeper(nodes, head[label], measure)
        large = size[label] > max_cluster
        settled = ~large | (jaccard >= near)
        stars.keeper[nodes[settled]] = head[label[settled]]
        stars.jaccard[nodes[settled]] = jaccard[settled]
        if turn == 0:
            checked[nodes] = large
            nearby = np.bincount(
                label[settled], weights=weight[nodes[settled]], minlength=len(size)
            )
            for which in np.flatnonzero(size > max_cluster):
                stars.large.append((int(head[which]), int(size[which]), int(nearby[which])))
        open_[nodes[settled]] = False
        edges = edges.within(open_)
        if not len(edges.left):
            break
    else:
        _direct_only(edges, rank, stars)
    return stars


def _components(edges: Edges, nodes: int) -> Numbers:
    """Return a number for each node, equal where nodes are connected, in order of the first."""
    from scipy.sparse import coo_array  # a fifth of a second
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges.left)), (edges.left, edges.right)), (nodes, nodes))
    label: Numbers = connected_components(graph, directed=False)[1]
    return label


def _heads(nodes: Numbers, label: Numbers, rank: Numbers) -> Numbers:
    """Return the node of the lowest rank for each label."""
    head = np.zeros(int(label.max(initial=-1)) + 1, np.int64)
    worst_first = np.argsort(-rank[nodes], kind="stable")
    head[label[worst_first]] = nodes[worst_first]  # the last one written is the best
    return head


def _to_keeper(nodes: Numbers, keeper: Numbers, measure: Measure) -> npt.NDArray[np.float32]:
    """Measure each node against its keeper; 1 for the keeper itself."""
    jaccard = np.ones(len(nodes), np.float32)
    others = nodes != keeper
    jaccard[others] = measure(nodes[others], keeper[others])
    return jaccard


def _direct_only(edges: Edges, rank: Numbers, stars: Stars) -> None:
    """Cluster the rest by direct pairs only: the best node takes all that it is paired with."""
    both = np.concatenate((edges.left, edges.right))
    other = np.concatenate((edges.right, edges.left))
    jaccard = np.concatenate((edges.jaccard, edges.jaccard))
    order = np.lexsort((rank[other], both))
    start = np.searchsorted(both[order], np.arange(len(rank) + 1))
    nodes = distinct([both])
    nodes = nodes[np.argsort(rank[nodes])]
    _take_neighbours(nodes, start, other[order], jaccard[order], stars.keeper, stars.jaccard)


@compiled
def _take_neighbours(
    nodes: Numbers,
    start: Numbers,
    other: Numbers,
    similar: npt.NDArray[np.float32],
    keeper: Numbers,
    jaccard: npt.NDArray[np.float32],
) -> None:
    taken = np.zeros(len(keeper), np.bool_)
    for node in nodes:
        if taken[node]:
            continue
        taken[node] = True
        for i in range(start[node], start[node + 1]):
            if not taken[other[i]]:
                taken[other[i]] = True
                keeper[other[i]] = node
                jaccard[other[i]] = similar[i]
