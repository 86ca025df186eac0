from collections import Counter

import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from tests.pipeline import fake_data
from webtext.pipeline.build import Build
from webtext.pipeline.insight.figures import likeness as module
from webtext.pipeline.insight.figures.drawn import likeness_rows
from webtext.pipeline.insight.figures.likeness import label, likeness, of_domains, published


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


def test_the_published_list_is_openais():
    theirs = published()
    assert len(theirs) == 999  # one of the 1,000 has no name there
    assert list(theirs.items())[:3] == [
        ("google", 1_542_261),
        ("archive", 596_207),
        ("blogspot", 456_344),
    ]
    assert sum(theirs.values()) > 2 * module.DOCUMENTS
    assert "wikipedia" not in theirs


def test_the_figures_are_those_of_the_shards(world):
    found = {row.what: row for row in likeness(Build(None, world.data).made())}
    tables = [pq.read_table(path) for path in world.directories["corpus"].shards()]
    rows = [row for table in tables for row in table.to_pylist()]
    links = sum(pq.read_table(path).num_rows for path in world.directories["links"].shards())
    survived = found["links that became a document of the corpus"]
    assert survived.ours == pytest.approx(len(rows) / links)
    assert survived.webtext == pytest.approx(0.178, abs=0.0005)
    long = found["bytes of text in a document"]
    assert long.ours == pytest.approx(sum(row["bytes"] for row in rows) / len(rows))
    assert long.webtext == 5000
    assert found["documents of Wikipedia"].ours == found["documents of Wikipedia"].webtext == 0
    assert all(row.explained for row in found.values())


def test_overlap_and_order_are_measured_on_domains_by_their_labels():
    names = list(published())
    ours = Counter({name: 1000 - n for n, name in enumerate(reversed(names[:60]))})
    ours["nobody-else"] = 5000
    found = of_domains("x", ours, "why")
    assert [row.ours for row in found[:3]] == [
        len(set(names[:50]) & {"nobody-else", *list(reversed(names[:60]))[:49]}),
        60,
        60,
    ]
    theirs = [published()[name] for name in names[:60]]
    mine = [ours[name] for name in names[:60]]
    assert found[3].ours == pytest.approx(spearmanr(theirs, mine).statistic)
    assert found[3].ours < -0.99
    assert label("bbc.co.uk") == "bbc"


def test_what_cannot_be_known_is_said_and_not_a_number():
    (*_, last) = of_domains("x", Counter({"google": 3, "mine": 1}), "why")
    assert last.ours is None
    assert likeness_rows([last])[0]["ours"] == "not known"
    assert "too few to tell" in last.explained
    assert likeness([]) == []
