"""The commands that prove what is on the disk, make it again, and let go of what nothing needs."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.chaos.whole import build
from webtext.flows.commands.command_line import cli
from webtext.pipeline.core.directories.keeping import set_aside_folders


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keep")
    build(folder).run(workers=0)
    return folder


@pytest.fixture
def folder(whole, tmp_path, monkeypatch) -> Path:
    """A copy that the original's recipe names; the working directory has no runs."""
    shutil.copytree(whole / "data", tmp_path / "data")
    shutil.copy(whole / "recipe.toml", tmp_path / "recipe.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, answer=""):
    return CliRunner().invoke(cli, [str(a) for a in arguments], input=answer)


def interrupted(*_words, **_more):
    raise KeyboardInterrupt


def contents(data, pattern):
    return {str(path): path.read_bytes() for path in data.glob(pattern) if path.is_file()}


def test_verify_names_what_differs_and_makes_it_again(folder):
    data = folder / "data"
    assert run("verify", data).exit_code == 0
    before = contents(data, "tokens-*/*.bin") | contents(data, "corpus-*/*.parquet")
    path = next(data.glob("documents-*")) / "00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])

    found = run("verify", data)
    assert found.exit_code == 1
    assert f"{path}: is another than the manifest lists" in found.output
    assert "--remake RECIPE" in found.output
    told = json.loads(run("verify", data, "--json").stdout)
    assert [each["path"] for each in told["differences"]] == [str(path)]

    made = run("verify", data, "--remake", "recipe.toml", "--workers", "1")
    assert made.exit_code == 0, made.output
    assert path.read_bytes() == whole
    assert contents(data, "tokens-*/*.bin") | contents(data, "corpus-*/*.parquet") == before
    assert run("verify", data).exit_code == 0
    (kept,) = data.glob("documents-*.damaged-1")
    assert (kept / "00001.parquet").read_bytes() == whole[:-20]


def test_a_corpus_is_moved_aside_with_what_lies_beside_it(folder):
    data = folder / "data"
    before = contents(data, "corpus-*/*") | contents(data, "about/corpus-*/**/*")
    (path,) = data.glob("about/corpus-*/README.md")
    path.write_bytes(b"# Another\n")
    assert run("verify", data, "--remake", "recipe.toml", "--workers", "1").exit_code == 0
    (home,) = data.glob("corpus-*.damaged-1")
    assert (data / "about" / home.name / "README.md").read_bytes() == b"# Another\n"
    assert {path: before[path] for path in before if path.endswith(".parquet")}.items() <= (
        contents(data, "corpus-*/*") | contents(data, "about/corpus-*/**/*")
    ).items()
    assert run("gc", "--data", data, "--yes").exit_code == 0
    assert not list(data.glob("**/*.damaged-1"))
    (data / "about" / "corpus-99999999").mkdir()  # whose directory was removed before a kill
    assert run("gc", "--data", data, "--yes").exit_code == 0
    assert [path.name for path in (data / "about").iterdir()] == [home.name[:-10]]
    assert run("verify", data).exit_code == 0


def test_a_corpus_that_was_removed_by_hand_is_made_again(folder):
    data = folder / "data"
    before = contents(data, "corpus-*/*")
    (home,) = data.glob("corpus-*")
    shutil.rmtree(home)
    made = run("build", "recipe.toml", "--data", data, "--no-prefect", "--workers", "1")
    assert made.exit_code == 0, made.output
    assert contents(data, "corpus-*/*") == before
    assert run("verify", data).exit_code == 0


def test_pages_whose_bookkeeping_is_damaged_are_made_again_without_the_network(folder):
    data = folder / "data"
    home = next(data.glob("pages-*"))
    held = contents(data, "pages-*/*.warc.gz")
    path = home / "outcomes" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert run("verify", data).exit_code == 1
    made = run("verify", data, "--remake", "recipe.toml", "--workers", "1")
    assert made.exit_code == 0, made.output
    assert contents(data, "pages-*/*.warc.gz") == held
    (aside,) = [one for one in set_aside_folders(home) if one.name.endswith("-damaged")]
    assert (aside / "outcomes").is_dir()  # each record was looked into, not believed
    assert run("verify", data).exit_code == 0


def test_a_recipe_that_does_not_make_what_differs_changes_nothing(folder):
    data = folder / "data"
    path = next(data.glob("tokens-*")) / "val-00000.bin"
    path.unlink()
    held = contents(data, "*-*/**/*")
    made = run("verify", data, "--remake", "recipe.toml", "--set", "tokens.shard_tokens = 3000")
    assert "not made by recipe.toml" in str(made.exception)
    assert contents(data, "*-*/**/*") == held


def test_gc_lists_what_nothing_needs_and_removes_it_when_told_to(folder, monkeypatch):
    data = folder / "data"
    assert "everything there is needed" in run("gc", "--data", data).output
    shutil.copytree(next(data.glob("corpus-*")), data / "corpus-00000000")
    shutil.copytree(next(data.glob("pages-*")), data / "pages-00000000")
    needed = {path.name for path in data.iterdir() if not path.name.endswith("-00000000")}
    (old,) = (data / ".harvested").iterdir()
    shutil.copytree(old, old.with_name("0" * 16))  # of a dump that no list names any more

    listed = run("gc", "--data", data, answer="n\n")
    assert listed.exit_code != 0
    assert f"MB  {data / 'corpus-00000000'}" in listed.output
    assert (
        f"MB  {data / 'pages-00000000'}  cannot be had again without the network; stays"
        in listed.output
    )
    assert (data / "pages-00000000").is_dir()
    assert run("gc", "--data", data).exit_code != 0  # nobody answers
    assert (data / "pages-00000000").is_dir()

    assert run("gc", "--data", data, "--yes").exit_code == 0
    assert not (data / "corpus-00000000").exists()
    assert list((data / ".harvested").iterdir()) == [old]
    with monkeypatch.context() as killed:  # nothing is taken for whole of which a part is gone
        killed.setattr(shutil, "rmtree", interrupted)
        assert isinstance(run("gc", "--data", data, "--yes", "--crawled").exception, SystemExit)
    assert (data / "pages-00000000").is_dir()
    assert not (data / "pages-00000000" / "manifest.json").exists()  # nor of a crawl at work
    assert run("gc", "--data", data, "--yes").exit_code == 0
    assert (data / "pages-00000000").is_dir()

    assert run("gc", "--data", data, "--yes", "--crawled").exit_code == 0
    assert {path.name for path in data.iterdir()} == needed


def test_gc_keeps_what_a_run_was_trained_on_and_what_a_recipe_makes(folder):
    data = folder / "data"
    (data / "latest.json").unlink()
    (data / "snapshots.json").unlink()
    tokens = next(data.glob("tokens-*"))
    removed = run("gc", "--data", data, answer="n\n").output
    assert str(tokens) in removed
    assert "everything there is needed" in run("gc", "recipe.toml", "--data", data).output
    from webtext.pipeline.core.shards import Directory

    (folder / "runs" / "first").mkdir(parents=True)
    config = {"tokens": {"sha256": Directory(tokens).fingerprint()}}
    (folder / "runs" / "first" / "config.json").write_text(json.dumps(config))
    assert "everything there is needed" in run("gc", "--data", data).output
    (folder / "runs").rename(data / "runs")  # as of a scheduled training, and of the demo's
    assert "everything there is needed" in run("gc", "--data", data).output
    (data / "runs" / "first" / "config.json").write_text("{")
    assert "first/config.json: not JSON" in str(run("gc", "--data", data).exception)
