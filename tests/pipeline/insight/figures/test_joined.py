import duckdb
import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.measuring.measures import FACTS, UNDER
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.insight.figures.joined import joined
from webtext.pipeline.insight.laws import measured
from webtext.pipeline.tokens.tokens import INDEX


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def rows(world):
    found = joined(Build(None, world.data).made())
    names = found.columns
    return {row[0]: dict(zip(names, row, strict=True)) for row in found.fetchall()}


def anew(home):
    """Write the manifest of a directory whose files were changed."""
    manifest = home.manifest()
    home.manifest_path.unlink()
    home.finish({key: manifest[key] for key in manifest if key not in {"files", "sha256"}})


def test_every_document_is_there_once_with_its_last_fate(world, rows):
    everything = [*world.kept, *world.filtered, *world.foreign]
    assert sorted(rows) == sorted(row["id"] for row in everything)
    last = {
        "dedup.exact": [world.exact],
        "dedup.near": [world.near],
        "language.other": world.foreign,
        "rules.gopher_quality.word_count.low": world.filtered,
    }
    for fate, some in last.items():
        assert {row["id"] for row in some} == {
            key for key, row in rows.items() if row["fate"] == fate
        }
    for url in [world.near["url"], world.kept[5]["url"], world.foreign[0]["url"]]:
        story = Build(None, world.data).follow(url)
        assert rows[story.id]["fate"] == story.fate
        assert rows[story.id]["value"] == pytest.approx(story.facts[-1].value)


def test_copies_have_their_cluster_and_similarity_and_others_none(world, rows):
    near = rows[world.near["id"]]
    assert (near["keeper"], near["cluster_documents"]) == (world.keeper["id"], 3)
    assert near["similarity"] == near["value"] == pytest.approx(0.85)
    assert rows[world.keeper["id"]]["similarity"] == 1
    assert near["nearest"] == world.keeper["id"]
    assert near["nearest_similarity"] == pytest.approx(0.85)
    assert rows[world.kept[7]["id"]]["nearest"] is None
    assert rows[world.kept[7]["id"]]["cluster"] is None


def test_tokens_are_those_of_the_index_and_only_of_what_was_tokenised(world, rows):
    index = pq.read_table(world.directories["tokens"].path / INDEX).to_pylist()
    told = {row["id"]: row for row in rows.values() if row["tokens"] is not None}
    assert {row["id"] for row in index} == set(told)
    for row in index:
        same = told[row["id"]]
        place = [same[name] for name in ("split", "token_shard", "token_start", "tokens")]
        assert place == [row[name] for name in ("split", "shard", "start", "length")]


def test_its_columns_are_the_measures_and_what_it_promises_besides(world):
    names = joined(Build(None, world.data).made()).columns
    more = ["cluster", "cluster_documents", "keeper", "similarity"]
    more += ["nearest", "nearest_similarity"]
    more += ["split", "token_shard", "token_start", "tokens"]
    assert names == [*FACTS.names, *Rules().measured, *more]
    for name in more:
        assert f"`{name}`" in joined.__globals__["__doc__"]


def test_a_build_that_has_come_to_the_documents_only_has_the_rest_as_null(world):
    made = [one for one in Build(None, world.data).made() if one.step.name == "documents"]
    found = joined(made, duckdb.connect())
    assert found.aggregate("count(*), count(cluster), count(tokens)").fetchall() == [(140, 0, 0)]


def test_verify_names_a_table_that_lacks_a_row_or_has_another_fate(tmp_path):
    world = fake_data.World(tmp_path, count=20)
    home = world.directories["documents"]
    assert not list(measured(home))
    path = home.shard(0, under=UNDER)
    table = pq.read_table(path)
    fates = table["fate"].to_pylist()
    fates[0] = "rules.made.up"
    place = table.schema.get_field_index("fate")
    for changed, said in (
        (table.slice(1), "1 rows of measures are missing"),
        (table.set_column(place, table.schema.field(place), [fates]), "made.up"),
        (table.take(list(reversed(range(len(table))))), "not sorted by id"),
    ):
        pq.write_table(changed, path)
        anew(home)
        found = list(measured(home))
        assert any(said in one for one in found), found


def test_documents_without_measures_are_named_with_what_to_do(tmp_path):
    world = fake_data.World(tmp_path, count=3)
    home = world.directories["documents"]
    for path in home.shards(UNDER):
        path.unlink()
    anew(home)
    with pytest.raises(UserError, match=r"no table of measures.*build again"):
        joined(Build(None, tmp_path).made())
