"""Where each step puts its work, and when it is done again."""

import errno
import json
from dataclasses import replace

import pytest

from webtext.flows.building.settings import load
from webtext.pipeline.build import Build, make, note, out_of_room
from webtext.pipeline.core.data_directory import locked, newest_of
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Outside, Planned, Step
from webtext.pipeline.filters.step import chain_of


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links.txt").write_text("http://example.com/a\n")
    return "links.sources = ['links.txt']"


def homes(overrides, data) -> dict[str, str]:
    return {step.name: step.home.name for step in Build(load("webtext", overrides), data).plan()}


def test_a_changed_setting_moves_its_stage_and_the_later_ones_only(sources, tmp_path):
    before = homes([sources], tmp_path)
    after = homes([sources, "corpus.shard_bytes = 1_000_000"], tmp_path)
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["corpus", "tokens"]


def test_a_changed_source_moves_everything(sources, tmp_path):
    before = homes([sources], tmp_path)
    (tmp_path / "links.txt").write_text("http://example.com/b\n")
    after = homes([sources], tmp_path)
    assert all(before[name] != after[name] for name in before)


def test_where_and_how_fast_a_crawl_runs_moves_nothing(sources, tmp_path):
    slower = [sources, "crawl.delay = 9.0", "crawl.connect_to = ['*:80:127.0.0.1:1']"]
    assert homes([sources], tmp_path) == homes(slower, tmp_path)


def test_what_a_list_of_words_holds_moves_the_documents_and_its_place_does_not(sources, tmp_path):
    for name, text in (("one.txt", "darn"), ("two.txt", "darn"), ("three.txt", "heck")):
        (tmp_path / name).write_text(text)
    none = homes([sources], tmp_path)
    one, two, three = (
        homes([sources, f"rules.words.listed.file = '{name}.txt'"], tmp_path)
        for name in ("one", "two", "three")
    )
    assert one == two
    assert none["pages"] == one["pages"] == three["pages"]
    assert len({made["documents"] for made in (none, one, three)}) == 3
    with pytest.raises(UserError, match=r"rules.words.listed.file: four.txt: no such file"):
        homes([sources, "rules.words.listed.file = 'four.txt'"], tmp_path)


def test_what_an_evaluation_set_holds_moves_the_documents_and_its_place_does_not(sources, tmp_path):
    for name, text in (("one.txt", "a b c"), ("two.txt", "a b c"), ("three.txt", "d e f")):
        (tmp_path / name.removesuffix(".txt")).mkdir()
        (tmp_path / name.removesuffix(".txt") / "set.txt").write_text(text)
    none = homes([sources], tmp_path)
    one, two, three = (
        homes([sources, f"decontaminate.against = ['{name}/set.txt']"], tmp_path)
        for name in ("one", "two", "three")
    )
    assert one == two
    assert none["pages"] == one["pages"] == three["pages"]
    assert len({made["documents"] for made in (none, one, three)}) == 3
    with pytest.raises(UserError, match=r"four/set.txt: no such file"):
        homes([sources, "decontaminate.against = ['four/set.txt']"], tmp_path)


def test_stages_that_are_off_are_not_in_the_chain(sources, tmp_path):
    on = [sources, "pii.enabled = true", "decontaminate.against = ['links.txt']"]
    chains = [[stage.name for stage in chain_of(load("webtext", more))] for more in ([], on)]
    assert chains[0] == ["extract", "clean", "language", "rules"]
    assert chains[1] == [*chains[0], "decontaminate", "pii"]


def test_a_recipe_without_sources_says_what_to_name(tmp_path):
    with pytest.raises(UserError, match=r"names no links\.sources and no pages\.warc"):
        Build(load("webtext"), tmp_path).plan()


def test_an_unknown_step_is_answered_with_the_known_ones(sources, tmp_path):
    with pytest.raises(UserError, match=r"--until pagse: no such step; there are links, pages"):
        Build(load("webtext", [sources]), tmp_path).plan("pagse")


def a_step(tmp_path, work, inputs=(), **about) -> Planned:
    step = Step("corpus", {}, work, bytes_depend_on=("pyarrow",), **about)
    home = Directory(tmp_path / "corpus-00000000")
    read = {given.name.partition("-")[0]: given for given in inputs}
    return Planned(step, tmp_path, (), read, None, Outside(), home, {"stages": {}}, (step,))


def write_one(step, _workers, _progress) -> list[Passage]:
    (step.home.path / "00000.parquet").write_bytes(b"rows")
    return [Passage("corpus", 1, 1, {})]


def test_a_finished_step_has_a_manifest_of_every_file(tmp_path):
    step = a_step(tmp_path, write_one)
    make(step, 1, silent)
    assert step.done
    manifest = step.home.manifest()
    assert list(manifest["files"]) == ["00000.parquet"]
    assert manifest["passages"] == [{"stage": "corpus", "read": 1, "kept": 1, "dropped": {}}]
    assert set(manifest["libraries"]) == {"python", "webtext", "pyarrow"}
    assert len(manifest["code"]) == 64


def test_a_step_whose_input_was_made_anew_is_made_anew(tmp_path):
    given = Directory(tmp_path / "documents-00000000")
    given.path.mkdir()
    given.finish({"passages": []})
    step = a_step(tmp_path, write_one, [given])
    make(step, 1, silent)
    assert step.done
    given.finish({"passages": [], "crawled": "again"})
    assert not step.done


def test_what_a_killed_run_left_is_gone_on_with_only_for_the_same_inputs(tmp_path):
    given = Directory(tmp_path / "documents-00000000")
    given.path.mkdir()
    given.finish({"passages": []})

    def fail(step, _workers, _progress):
        (step.home.path / "00000.parquet").write_bytes(b"first")
        raise KeyboardInterrupt

    found = []

    def look(step, workers, progress):
        found.append((step.home.path / "00000.parquet").exists())
        return write_one(step, workers, progress)

    with pytest.raises(KeyboardInterrupt):
        make(a_step(tmp_path, fail, [given]), 1, silent)
    make(a_step(tmp_path, look, [given]), 1, silent)
    given.finish({"passages": [], "crawled": "again"})
    make(a_step(tmp_path, look, [given]), 1, silent)
    assert found == [True, False]


def test_rows_lost_between_two_steps_stop_the_run(tmp_path):
    given = Directory(tmp_path / "documents-00000000")
    given.path.mkdir()
    kept = {"stage": "rules", "read": 3, "kept": 2, "dropped": {"rules.words": 1}}
    given.finish({"passages": [kept]})
    with pytest.raises(PipelineError, match=r"documents-00000000 kept 2 rows, but .* read 1"):
        make(a_step(tmp_path, write_one, [given]), 1, silent)


def test_a_full_disk_is_said_with_what_to_do(tmp_path):
    def full(step, _workers, _progress):
        path = step.home.path / "00000.parquet"
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(UserError, match=r"00000\.parquet: no space left .* run the same command"):
        make(a_step(tmp_path, full), 1, silent)
    other = OSError(errno.EIO, "Input/output error")
    assert out_of_room(other, tmp_path) is other


def test_two_builds_never_hold_one_data_directory(tmp_path):
    at_work = pytest.raises(UserError, match="another build is at work there")
    with locked(tmp_path), at_work, locked(tmp_path):
        pass


def test_the_newest_whole_directory_is_found_by_name(tmp_path):
    step = a_step(tmp_path, write_one)
    note(tmp_path, [step])
    with pytest.raises(UserError, match="no whole corpus directory yet"):
        newest_of(tmp_path, "corpus")
    make(step, 1, silent)
    note(tmp_path, [step, replace(step, home=Directory(tmp_path / "tokens-00000000"))])
    assert newest_of(tmp_path, "corpus") == step.home
    assert json.loads((tmp_path / "latest.json").read_text()) == {"corpus": step.home.name}


def test_what_cost_the_network_is_set_aside_and_never_removed(tmp_path):
    given = Directory(tmp_path / "links-00000000")
    given.path.mkdir()
    for number in range(3):
        given.finish({"passages": [], "harvested": number})
        make(a_step(tmp_path, write_one, [given], archive=True), 1, silent)
    names = sorted(path.name for path in tmp_path.glob("corpus-*"))
    assert names == ["corpus-00000000", *(f"corpus-00000000.aside-{n}" for n in (1, 2))]
    assert all((tmp_path / name / "00000.parquet").read_bytes() == b"rows" for name in names)
