"""Where each step puts its work, and when it is done again."""

import errno
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import pytest

from webtext.flows.building.settings import load
from webtext.pipeline import build
from webtext.pipeline.build import Build, make, note
from webtext.pipeline.core.directories.data_directory import locked, newest_of
from webtext.pipeline.core.errors import PipelineError, UserError, out_of_room
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


def test_a_data_directory_may_be_given_by_its_name(sources, tmp_path):
    assert homes([sources], "data") == homes([sources], tmp_path / "data")


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


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("rules.words.listed.file = '{}'", "rules.words.listed.file: four/set.txt: no such file"),
        ("decontaminate.against = ['{}']", "four/set.txt: no such file"),
    ],
)
def test_what_a_named_file_holds_moves_the_documents_and_its_place_does_not(
    sources, tmp_path, setting, refused
):
    for name, text in (("one", "darn it all"), ("two", "darn it all"), ("three", "heck it")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "set.txt").write_text(text)
    none = homes([sources], tmp_path)
    one, two, three = (
        homes([sources, setting.format(f"{name}/set.txt")], tmp_path)
        for name in ("one", "two", "three")
    )
    assert one == two
    assert none["pages"] == one["pages"] == three["pages"]
    assert len({made["documents"] for made in (none, one, three)}) == 3
    with pytest.raises(UserError, match=re.escape(refused)):
        homes([sources, setting.format("four/set.txt")], tmp_path)


def test_stages_that_are_off_are_not_in_the_chain(sources, tmp_path):
    on = [sources, "pii.enabled = true", "decontaminate.against = ['links.txt']"]
    chains = [[stage.name for stage in chain_of(load("webtext", more))] for more in ([], on)]
    assert chains[0] == ["extract", "clean", "language", "rules"]
    assert chains[1] == [*chains[0], "decontaminate", "pii"]


def test_a_recipe_without_sources_says_what_to_name(tmp_path):
    with pytest.raises(UserError, match=r"names no links\.sources, no pages\.warc and no"):
        Build(load("webtext"), tmp_path).plan()


def test_an_unknown_step_is_answered_with_the_known_ones(sources, tmp_path):
    with pytest.raises(UserError, match=r"--until pagse: no such step; there are links, pages"):
        Build(load("webtext", [sources]), tmp_path).plan("pagse")


def test_what_later_steps_read_need_not_be_there_yet(sources, tmp_path):
    build = Build(load("webtext", [sources, "tokens.tokenizer = 'tokenizer.json'"]), tmp_path)
    assert [step.name for step in build.plan("corpus")][-1] == "corpus"
    with pytest.raises(UserError, match=r"tokenizer\.json'?: no such file"):
        build.plan()


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


def test_a_kill_while_the_files_of_a_finished_step_are_hashed_costs_none_of_them(
    tmp_path, monkeypatch
):
    def look(step, _workers, _progress):
        assert (step.home.path / "00000.parquet").read_bytes() == b"rows"
        return [Passage("corpus", 1, 1, {})]

    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("webtext.pipeline.core.directories.checked.hashed", killed)
        with pytest.raises(KeyboardInterrupt):
            make(a_step(tmp_path, write_one), 1, silent)
    step = a_step(tmp_path, look)
    make(step, 1, silent)
    assert step.done
    assert list(step.home.manifest()["files"]) == ["00000.parquet"]


def test_what_is_half_done_by_another_version_or_another_source_is_begun_anew(
    tmp_path, monkeypatch
):
    def fail(step, _workers, _progress):
        (step.home.path / "00000.parquet").write_bytes(b"first")
        raise KeyboardInterrupt

    found = []

    def look(step, workers, progress):
        found.append((step.home.path / "00000.parquet").exists())
        raise KeyboardInterrupt

    made_by = build.made_by
    by = {"libraries": {"pyarrow": "26"}, "code": "a"}
    for change in ({}, {"libraries": {"pyarrow": "27"}}, {"code": "b"}):
        with monkeypatch.context() as patch:
            patch.setattr(build, "made_by", lambda _step: by)
            with pytest.raises(KeyboardInterrupt):
                make(a_step(tmp_path, fail), 1, silent)
            patch.setattr(build, "made_by", lambda _step, change=change: by | change)
            with pytest.raises(KeyboardInterrupt):
                make(a_step(tmp_path, look), 1, silent)
    assert found == [True, False, False]
    assert made_by(a_step(tmp_path, fail).step)["libraries"].keys() >= {"python", "webtext"}


def test_source_code_that_changes_while_a_step_is_made_leaves_it_unfinished(tmp_path, monkeypatch):
    codes = iter(["a", "b", "b", "b", "b", "b"])
    by = {"libraries": {"pyarrow": "26"}}
    monkeypatch.setattr(build, "made_by", lambda _step: by | {"code": next(codes)})
    step = a_step(tmp_path, write_one)
    with pytest.raises(UserError, match="the source code has changed while it was made"):
        make(step, 1, silent)
    assert not step.home.whole
    make(step, 1, silent)
    assert step.done


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
    (home,) = tmp_path.glob("corpus-*")
    assert (home / "00000.parquet").read_bytes() == b"rows"
    aside = sorted(path.relative_to(home).as_posix() for path in home.glob("aside-*/*"))
    assert aside == [f"aside-{n}-inputs-changed/former-manifest.json" for n in (1, 2)]


# --- plans of steps that are made up -------------------------------------------------------------


@dataclass(frozen=True)
class Some:
    """Settings of a made-up step."""

    size: int = 1

    name: ClassVar[str] = "some"
    version: ClassVar[int] = 1


def nothing(_step, _workers, _progress) -> list[Passage]:
    return []


def made_up(name, **about) -> Step:
    return Step(name, {"some": Some}, nothing, **about)


def planned(tmp_path, *steps, **recipe):
    found = Build(SimpleNamespace(some=Some(), **recipe), tmp_path, steps).plan()
    return {step.name: [given.name.partition("-")[0] for given in step.inputs] for step in found}


def test_a_step_that_makes_what_another_does_takes_its_place_for_all_later_ones(tmp_path):
    texts, edited = made_up("texts"), made_up("edited", inputs=("texts",), makes="texts")
    last = made_up("last", inputs=("texts",))
    assert planned(tmp_path, texts, edited, last)["last"] == ["edited"]
    off = replace(edited, wanted=lambda recipe: recipe.on)
    assert planned(tmp_path, texts, off, last, on=False) == {"texts": [], "last": ["texts"]}


def test_what_a_step_may_read_it_reads_only_where_it_is_made(tmp_path):
    first, last = made_up("first"), made_up("last", optional=("first",))
    assert planned(tmp_path, first, last)["last"] == ["first"]
    assert planned(tmp_path, last) == {"last": []}
    with pytest.raises(PipelineError, match="last reads first, which no step before it makes"):
        planned(tmp_path, made_up("last", inputs=("first",)))


def test_each_round_reads_the_one_before_and_has_a_directory_of_its_own(tmp_path):
    steps = (made_up("first"), made_up("pages", inputs=("first",), rounds=lambda _: 3))
    found = Build(SimpleNamespace(some=Some()), tmp_path, steps).plan()
    homes = [step.home for step in found]
    assert len(set(homes)) == 4
    assert [step.inputs for step in found[1:]] == [
        (homes[0],),
        (homes[0], homes[1]),
        (homes[0], homes[2]),
    ]


def test_a_step_is_shown_and_executed_only_where_it_is_not_done(tmp_path):
    seen = []

    @contextmanager
    def show(step):
        seen.append(f"{step.name} begins")
        yield silent
        seen.append(f"{step.name} ends")

    def execute(step, workers, progress):
        seen.append(f"{step.name} with {workers}")
        return make(step, workers, progress)

    build = Build(SimpleNamespace(some=Some()), tmp_path, (made_up("one"), made_up("two")))
    build.run("one")
    build.run(workers=3, show=show, execute=execute)
    assert seen == ["two begins", "two with 3", "two ends"]
    assert [made.step.name for made in build.newest().made()] == ["one", "two"]
    assert build.path("two") == build.newest().path("two") == build.plan()[1].home
    with pytest.raises(UserError, match=r"three: no such step; there are one, two"):
        build.path("three")
