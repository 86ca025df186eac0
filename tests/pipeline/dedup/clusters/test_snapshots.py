"""A new snapshot against earlier ones, of which only the signatures are read."""

import shutil

import pytest

from tests.pipeline.dedup.material import documents, edited, prose, signed
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.dedup.clusters.cluster import Cluster, cluster
from webtext.pipeline.dedup.clusters.snapshots import Snapshot
from webtext.pipeline.dedup.signatures.sign import Sign

ONE, TWO, THREE = prose(1), prose(2), prose(3)
JANUARY = {"a1": ONE, "a2": TWO, "a3": edited(TWO, 2, 1)}  # a3 is dropped for a2
FEBRUARY = {
    "b1": edited(ONE, 2, 2),
    "b2": ONE.upper(),
    "b3": edited(TWO, 2, 3),
    "b4": THREE,
    "b5": THREE,
    "b6": prose(4),
}


def month(path, texts, settings=None, earlier=(), kind=None):
    """Deduplicate a month; return its snapshot, the passage and {id: keeper}."""
    given = [{"id": name, "text": text, "score": 5} for name, text in texts.items()]
    found = documents(path / "documents", given, shards=2)
    out = Directory(path / "duplicates")
    out.path.mkdir(parents=True)
    made = signed(path / "signatures", found, kind)
    (passage,) = cluster(settings or Cluster(), made, found, out, 0, earlier=earlier)
    shutil.rmtree(path / "documents")  # nothing of it is read again
    rows = read_shard(out.shard(0)).to_pylist()
    return Snapshot(made, out), passage, {row["id"]: row["keeper"] for row in rows}


def test_what_an_earlier_snapshot_kept_is_preferred(tmp_path):
    january, _, kept = month(tmp_path / "1", JANUARY)
    assert kept == {"a2": "a2", "a3": "a2"}
    _, passage, kept = month(tmp_path / "2", FEBRUARY, earlier=[january])
    assert kept == {"b1": "a1", "b2": "a1", "b3": "a2", "b4": "b4", "b5": "b4"}
    assert (passage.read, passage.kept) == (6, 2)
    assert passage.dropped == {"dedup.exact": 2, "dedup.near": 2}


def test_a_snapshot_can_be_compared_with_earlier_ones_alone(tmp_path):
    january, *_ = month(tmp_path / "1", JANUARY)
    settings = Cluster(scope="index")
    _, passage, kept = month(tmp_path / "2", FEBRUARY, settings, [january])
    assert kept == {"b1": "a1", "b2": "a1", "b3": "a2"}
    assert (passage.read, passage.kept) == (6, 3)


def test_a_snapshot_can_be_left_to_itself(tmp_path):
    january, *_ = month(tmp_path / "1", JANUARY)
    settings = Cluster(scope="snapshot")
    _, _, kept = month(tmp_path / "2", FEBRUARY, settings, [january])
    assert kept == {"b1": "b1", "b2": "b1", "b4": "b4", "b5": "b4"}


def test_a_snapshot_that_is_left_out_is_forgotten(tmp_path):
    january, *_ = month(tmp_path / "1", JANUARY)
    february, *_ = month(tmp_path / "2", FEBRUARY, earlier=[january])
    march = {"c1": edited(ONE, 1, 5), "c2": edited(THREE, 1, 6), "c3": edited(TWO, 1, 7)}
    _, _, kept = month(tmp_path / "3", march, earlier=[january, february])
    assert kept == {"c1": "a1", "c2": "b4", "c3": "a2"}
    _, _, kept = month(tmp_path / "3again", march, earlier=[february])
    assert kept == {"c2": "b4"}  # b1 to b3 were dropped, so they are nobody's keeper


def test_snapshots_that_were_signed_in_another_way_are_refused(tmp_path):
    january, *_ = month(tmp_path / "1", JANUARY, kind=Sign(seed=3))
    with pytest.raises(UserError, match="signatures of another kind: seed is"):
        month(tmp_path / "2", FEBRUARY, earlier=[january])


def test_an_unknown_scope_says_what_there_is():
    with pytest.raises(UserError, match="scope is 'all'; wanted one of global, snapshot, index"):
        Cluster(scope="all")
