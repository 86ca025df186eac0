"""What the report says is what anybody counts in the shards."""

import json
import math
from collections import Counter

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.build import Build
from webtext.pipeline.filters.measuring.measures import KEPT, UNDER
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.insight.figures.counted import Asker, counted, histogram, out_of_bounds
from webtext.pipeline.insight.figures.drawn import drawn
from webtext.pipeline.tokens.tokens import INDEX


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def found(world):
    return counted(Build(None, world.data).made())


@pytest.fixture(scope="module")
def shards(world):
    """All documents as the shards have them, each with its last fate."""
    home = world.directories["documents"]
    copies = {
        row["id"]: row["reason"]
        for path in world.directories["duplicates"].shards()
        for row in pq.read_table(path).to_pylist()
    }
    rows = []
    for number in home.numbers():
        for under in ("", "dropped"):
            for row in pq.read_table(home.shard(number, under=under)).to_pylist():
                fate = row.get("dropped_by") or copies.get(row["id"]) or KEPT
                rows.append(row | {"fate": fate, "bytes": len(row["text"].encode())})
    return rows


def test_fates_domains_and_languages_are_those_of_the_shards(found, shards):
    counts, sizes = Counter(), Counter()
    for row in shards:
        counts[row["fate"]] += 1
        sizes[row["fate"]] += row["bytes"]
    assert {row["fate"]: row["documents"] for row in found["fates"]} == counts
    assert {row["fate"]: row["bytes"] for row in found["fates"]} == sizes
    assert found["fates"][0]["fate"] == KEPT
    kept = Counter(row["domain"] for row in shards if row["fate"] == KEPT)
    gone = Counter(row["domain"] for row in shards if row["fate"] != KEPT)
    for side, wanted in (("kept", kept), ("dropped", gone)):
        told = {row["domain"]: row[side] for row in found["domains"][side]}
        assert told == wanted
    assert sum(row["kept"] for row in found["languages"]) == kept.total()
    assert sum(row["dropped"] for row in found["scripts"]) == gone.total()
    assert {row["script"] for row in found["scripts"]} == {"latin"}


def test_lengths_and_tokens_are_those_of_the_corpus(found, shards, world):
    sizes = [row["bytes"] for row in shards if row["fate"] == KEPT]
    told = found["lengths"]["bytes"]
    assert (told["sum"], told["min"], told["max"]) == (sum(sizes), min(sizes), max(sizes))
    assert sum(told["histogram"].values()) == len(sizes)
    for low, n in told["histogram"].items():
        assert n == sum(int(low) <= size < 2 * int(low) for size in sizes)
    paths = world.directories["corpus"].shards()
    corpus = sum(sum(pq.read_table(path)["bytes"].to_pylist()) for path in paths)
    assert told["sum"] == corpus
    index = pq.read_table(world.directories["tokens"].path / INDEX)["length"].to_pylist()
    assert found["lengths"]["tokens"]["sum"] == sum(index)


def test_votes_and_clusters_are_counted(found, shards):
    scores = [row["score"] for row in shards if row["fate"] == KEPT]
    assert found["votes"]["with_votes"] == sum(score is not None for score in scores)
    assert found["votes"]["documents"] == len(scores)
    assert found["clusters"] == {"3": 1}


def test_each_rule_has_a_histogram_of_all_documents_and_counts_its_objections(found, world):
    home = world.directories["documents"]
    rows = [row for p in home.shards(UNDER) for row in pq.read_table(p).to_pylist()]
    told = {one["rule"]: one for one in found["rules"]}
    assert list(told) == Rules().measured
    for name, one in told.items():
        values = [row[name] for row in rows]
        assert sum(one["histogram"]["all"]) == len(values)
        low, high = one["at_least"], one["at_most"]
        out = sum(
            (low is not None and value < low) or (high is not None and value > high)
            for value in values
        )
        assert one["out_of_bounds"] == out
    assert told["gopher_quality.word_count"]["decided"] == len(world.filtered)
    assert told["gopher_quality.word_count"]["enabled"]
    assert not told["fineweb.newlines"]["enabled"]


def test_a_bound_without_end_is_outside_the_picture_and_no_document_is_outside_of_it(tmp_path):
    table = pa.table({"fate": [KEPT] * 3, "a.b": [1.0, 2.0, 2.0]})
    with duckdb.connect() as connection:
        ask = Asker(connection)
        connection.register("documents", table)
        assert out_of_bounds(ask, "a.b", None, math.inf) == 0
        assert out_of_bounds(ask, "a.b", 1.5, math.inf) == 1
        shown = histogram(ask, "a.b", [1.5, math.inf])
        assert (shown["low"], shown["high"], sum(shown["all"])) == (1.0, 2.0, 3)
        assert histogram(ask, "a.b", [100.0])["high"] == 2.0


def test_failures_have_their_causes_and_domains(found, world):
    outcomes = [
        row
        for path in world.directories["pages"].shards("outcomes")
        for row in pq.read_table(path).to_pylist()
    ]
    causes = Counter(row["dropped_by"] for row in outcomes if row["dropped_by"])
    assert {row["fate"]: row["links"] for row in found["fetching"]["failures"]} == causes
    for row in found["fetching"]["domains"]:
        mine = [each for each in outcomes if each["domain"] == row["domain"]]
        assert row["links"] == len(mine)
        assert row["failed"] == sum(each["dropped_by"] is not None for each in mine)


def test_the_figures_are_plain_values_and_drawn_inside_the_picture(found):
    json.dumps(found)
    shown = drawn(found, {"dedup.near": "a copy"})
    assert sum(row["share"] for row in shown["fates"]) == pytest.approx(1)
    assert {row["meaning"] for row in shown["fates"] if row["fate"] == "dedup.near"} == {"a copy"}
    for one in shown["rules"]:
        assert all(0 <= line["x"] <= 100 for line in one["lines"])
        assert max(bar["all"] for bar in one["bars"]) == 100
        assert all(0 <= bar["kept"] <= bar["all"] for bar in one["bars"])
