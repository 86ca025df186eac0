"""Clusters from edges, against a plain union of sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from webtext.pipeline.dedup.clusters.stars import Edges, settle

NODES = 12
EDGES = st.sets(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=25)


def made(pairs, near):
    """Return edges of the pairs, and a measure by which only those are near."""
    chosen = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    left = np.array([pair[0] for pair in chosen], np.int64)
    right = np.array([pair[1] for pair in chosen], np.int64)
    alike = np.zeros((NODES, NODES), np.float32)
    alike[left, right] = alike[right, left] = near
    edges = Edges(left, right, np.full(len(chosen), near, np.float32))
    return edges, lambda one, other: alike[one, other]


def components(edges):
    of = list(range(NODES))
    for one, other in zip(edges.left.tolist(), edges.right.tolist(), strict=True):
        of = [of[one] if label == of[other] else label for label in of]
    return of


@given(EDGES, st.permutations(range(NODES)))
@settings(deadline=None)
def test_small_clusters_are_what_is_connected(pairs, rank):
    edges, measure = made(pairs, 0.9)
    found = settle(edges, np.array(rank), np.ones(NODES, np.int64), measure, NODES, 0.7)
    of = components(edges)
    for node in range(NODES):
        best = min((other for other in range(NODES) if of[other] == of[node]), key=rank.__getitem__)
        assert found.keeper[node] == best
    assert not found.large


@given(EDGES, st.permutations(range(NODES)))
@settings(deadline=None)
def test_members_of_large_clusters_are_near_their_keeper(pairs, rank):
    edges, measure = made(pairs, 0.9)
    found = settle(edges, np.array(rank), np.ones(NODES, np.int64), measure, 1, 0.7)
    direct = set(zip(edges.left.tolist(), edges.right.tolist(), strict=True))
    for node in range(NODES):
        keeper = int(found.keeper[node])
        assert found.keeper[keeper] == keeper
        if keeper != node:
            assert (min(node, keeper), max(node, keeper)) in direct
            assert rank[keeper] < rank[node]
            assert found.jaccard[node] == np.float32(0.9)
    # No two documents that are kept are a pair, so nothing was kept that need not be.
    kept = {node for node in range(NODES) if found.keeper[node] == node}
    assert not [pair for pair in direct if set(pair) <= kept]


def test_a_cluster_counts_the_exact_copies_that_its_nodes_stand_for():
    edges, _ = made({(0, 1), (1, 2)}, 0.9)
    weight = np.ones(NODES, np.int64)
    weight[0] = 50
    rank = np.arange(NODES)

    def measure(one, other):
        return np.full(len(one), 0.1, np.float32)

    found = settle(edges, rank, weight, measure, 20, 0.7)
    assert found.large == [(0, 52, 50)]
    assert found.keeper[:3].tolist() == [0, 1, 1]
