import json

import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.archive.step import fetched
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories import lookup
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import write_json
from webtext.pipeline.core.stage import settings
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.filters.step import measures
from webtext.pipeline.insight import trace as module
from webtext.pipeline.tokens import bpe
from webtext.pipeline.tokens.tokens import document_tokens


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


def trace(data, url):
    return Build(None, data).follow(url).plain()


def describe(data, url):
    return module.describe(Build(None, data).follow(url))


def stages(found):
    return [name for name in found if name not in {"url", "key", "id", "fate"}]


def test_every_url_ends_in_exactly_one_fate(world):
    expected = {
        "links.low_score": world.low,
        "rules.gopher_quality.word_count.low": world.filtered,
        "language.other": world.foreign,
        "dedup.exact": [world.exact],
        "dedup.near": [world.near],
        "kept": [world.keeper, *world.kept[3:20]],
    }
    for fate, rows in expected.items():
        assert {trace(world.data, row["url"])["fate"] for row in rows} == {fate}
    fates = [trace(world.data, row["url"])["fate"] for row in world.unfetched]
    assert set(fates) == set(fake_data.CRAWL_FATES)


WAY = ["links", "crawl", "extract", "language", "rules", "dedup", "corpus", "tokens"]


def test_a_kept_url_is_followed_to_its_tokens(world):
    row = world.kept[9]
    found = trace(world.data, row["url"])
    assert stages(found) == WAY
    assert found["id"] == row["id"]
    (first, second) = found["links"]["submissions"]
    assert (first["score"], second["score"]) == (row["score"], 1)
    assert (found["crawl"]["status"], found["crawl"]["warc_offset"]) == (200, 1234)
    assert found["extract"]["characters"] == len(row["text"])
    assert found["language"]["wanted"] == {"keep": ["en"], "min_probability": 0.99}
    place = found["corpus"]
    shard = pq.read_table(world.directories["corpus"].shard(place["shard"])).to_pylist()
    assert shard[place["row"]]["id"] == row["id"]
    tokens = document_tokens(world.directories["tokens"], found["tokens"])
    assert bpe.encoding().decode(tokens[1:].tolist()) == row["text"]


def test_any_spelling_of_a_url_is_the_same_url(world):
    row = world.kept[9]
    spelled = row["url"].replace("https://", "HTTP://www.") + "/?utm_source=x#top"
    assert trace(world.data, spelled)["id"] == row["id"]


def test_a_filtered_url_shows_each_measure_beside_its_threshold(world):
    found = trace(world.data, world.filtered[0]["url"])
    assert stages(found) == ["links", "crawl", "extract", "language", "rules"]
    assert found["rules"]["dropped_by"] == "rules.gopher_quality.word_count.low"
    told = found["rules"]["measures"]
    asked = told["gopher_quality.word_count"]
    assert (asked["measure"], asked["at_least"], asked["kept"]) == (2, 50, False)
    assert set(told) == {asked.rule for asked in Rules().measures("Too short.")}


def test_rules_are_asked_with_the_settings_that_were_recorded():
    recorded = settings(Rules())
    recorded["gopher_quality"]["word_count"]["at_least"] = 7
    found = measures({"rules": {"version": Rules.version, "settings": recorded}}, "a b")
    assert found["measures"]["gopher_quality.word_count"]["at_least"] == 7


def test_rules_of_another_version_are_not_guessed_at():
    assert "version 0" in measures({"rules": {"version": 0, "settings": {}}}, "a b")["note"]
    unfit = {"rules": {"version": Rules.version, "settings": {"gone": 1}}}
    assert "fit no rules" in measures(unfit, "a b")["note"]
    assert measures({}, "a b") == {}


def test_a_duplicate_names_who_was_kept_in_its_stead(world):
    found = trace(world.data, world.near["url"])
    assert stages(found)[-1] == "dedup"
    dedup = found["dedup"]
    assert dedup["keeper_url"] == world.keeper["url"]
    assert dedup["jaccard"] == pytest.approx(0.85)
    kept = trace(world.data, world.keeper["url"])["dedup"]
    assert {copy["id"] for copy in kept["of"]} == {world.exact["id"], world.near["id"]}
    assert dedup["cluster"] == kept["cluster"]


def test_an_unfetched_url_tells_what_the_host_said(world):
    found = trace(world.data, world.unfetched[0]["url"])
    assert stages(found) == ["links", "crawl"]
    assert found["crawl"]["dropped_value"] == 404
    assert found["crawl"]["meaning"].startswith("status 4xx")


def test_what_is_no_url_is_found_as_it_was_linked(world):
    found = trace(world.data, "ftp://old.example/x")
    assert found["fate"] == "links.not_http"
    assert found["links"]["line"] == 99
    with pytest.raises(UserError, match=r"nonsense: no URL that could be traced \(.*\)"):
        trace(world.data, "nonsense")


def test_an_unknown_url_names_the_nearest(world):
    row = world.kept[9]
    wanted = rf"never seen; looked for http://.*66x \(id [0-9a-f]{{16}}\); nearest: https://{row['domain']}/"
    with pytest.raises(UserError, match=wanted):
        trace(world.data, f"https://{row['domain']}/66x")
    with pytest.raises(UserError, match=r"nothing of elsewhere.org was ever linked"):
        trace(world.data, "https://elsewhere.org/")


def test_a_build_that_has_only_begun_is_traced_as_far_as_it_is(world, tmp_path):
    names = {name: found.name for name, found in world.directories.items()}
    for name in names.values():
        (tmp_path / name).symlink_to(world.data / name)
    for until, last in (("links", "links"), ("documents", "rules"), ("duplicates", "dedup")):
        order = list(names)[: list(names).index(until) + 1]
        write_json(tmp_path / "latest.json", {name: names[name] for name in order})
        found = trace(tmp_path, world.kept[9]["url"])
        assert (stages(found)[-1], found["fate"]) == (last, "kept")


def test_a_story_is_told_for_every_fate(world):
    for row in (world.low[0], world.foreign[0], world.filtered[0], world.exact, world.kept[9]):
        found = trace(world.data, row["url"])
        story = describe(world.data, row["url"])
        assert story.startswith(f"{row['url']}\nfate: {found['fate']}\n")
        for stage in stages(found):
            assert f"\n{stage} " in story
        json.dumps(found, default=str)
    assert "word_count 2 (at least 50, at most 100000)  <- objects" in describe(
        world.data, world.filtered[0]["url"]
    )
    assert "links.not_http" in describe(world.data, "ftp://old.example/x")


def test_only_the_row_groups_that_could_hold_an_id_are_read(world, monkeypatch):
    read = []
    original = pq.ParquetFile.read_row_group

    def count(self, number, columns=None):
        read.append((number, columns))
        return original(self, number, columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", count)
    shard = world.directories["corpus"].shard(0)
    ids = pq.read_table(shard, columns=["id"])["id"].to_pylist()
    read.clear()
    assert [place for place, _ in lookup.lookup(shard, ids[20])] == [20]
    assert read == [(1, ["id"]), (1, None)]  # 16 rows a group
    read.clear()
    assert list(lookup.lookup(shard, "0" * 16)) == []
    assert read == []


def test_a_damaged_shard_is_named(tmp_path):
    path = tmp_path / "00000.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"00000.parquet: damaged"):
        list(lookup.lookup(path, "0" * 16))


def test_a_page_that_did_not_change_says_where_its_payload_lies():
    row = dict.fromkeys(OUTCOME.names) | {"robots": "allow: status 404", "attempts": 1}
    row |= {"warc_file": "00001.warc.gz", "warc_offset": 700, "revisit": "server-not-modified"}
    row |= {"payload_file": "../pages-1/00001.warc.gz", "payload_offset": 9}
    assert list(fetched(row)) == [
        "robots: allow: status 404",
        "00001.warc.gz at byte 700",
        "unchanged since ../pages-1/00001.warc.gz",
    ]
