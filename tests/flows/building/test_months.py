"""Snapshots: each month's last corpus has its name, and what it was made of stays until told."""

import json
import shutil
import sys
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from tests.flows.building.test_earlier_snapshots import story, warc
from webtext.flows.building import run_build
from webtext.flows.building.run_build import growth
from webtext.flows.building.settings import load
from webtext.flows.commands.command_line import cli
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories import months
from webtext.pipeline.core.errors import UserError

OCTOBER, NOVEMBER, LATER, DECEMBER = (
    datetime(2026, month, day, tzinfo=UTC) for month, day in ((10, 1), (11, 1), (11, 15), (12, 1))
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds of three months in one data directory, November's made twice; and their recipe."""
    tmp_path = tmp_path_factory.mktemp("months")
    recipe = tmp_path / "recipe.toml"
    for number, when in enumerate((OCTOBER, NOVEMBER, LATER, DECEMBER)):
        file = tmp_path / f"{number}.warc"
        warc(file, {f"p{n}": story(n) for n in range(4 + number)})
        lines = ["[pages]", f"warc = ['{file}']", "[snapshots]", "keep = 2"]
        recipe.write_text("\n".join(lines) + "\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(months, "datetime", At(when))
            made = Build(load(str(recipe)), tmp_path / "data")
            made.run("corpus", workers=0)
    return tmp_path / "data", recipe


@pytest.fixture
def grown(built, tmp_path):
    """A copy of them, which a test may change."""
    shutil.copytree(built[0], tmp_path / "data")
    return tmp_path / "data", built[1]


class At:
    """A clock that stands still."""

    def __init__(self, when):
        self.when = when

    def now(self, _zone):
        return self.when


def test_a_comparison_that_fails_fails_no_build(monkeypatch, tmp_path, capsys):
    both = [months.Snapshot(name, name, {}) for name in ("2026-10", "2026-11")]

    def compared(*_asked, samples):
        raise MemoryError("too many documents")

    monkeypatch.setattr(run_build, "snapshots", lambda _data: both)
    monkeypatch.setattr(Build, "made", lambda _build: [])
    monkeypatch.setattr("webtext.pipeline.insight.figures.compared.compared", compared)
    assert growth(tmp_path, both[1]) == {"snapshot": "2026-11"}
    assert "could not be compared with 2026-10: too many documents" in capsys.readouterr().err


def corpora(data):
    return {path.name for path in data.glob("corpus-*")}


def run(*words, answer=None):
    return CliRunner().invoke(cli, list(map(str, words)), input=answer)


def test_each_months_last_corpus_has_its_name_and_gc_keeps_as_many_as_the_recipe_says(grown):
    data, recipe = grown
    said = [
        json.loads(line)
        for line in run("snapshots", "--data", data, "--json").output.split("\n")
        if line
    ]
    assert [(one["snapshot"], one["documents"]) for one in said] == [
        ("2026-10", 4), ("2026-11", 6), ("2026-12", 7),
    ]  # fmt: skip
    named = [one["directories"]["corpus"] for one in said]
    (replaced,) = corpora(data) - set(named)

    listed = run("gc", "--data", data, answer="n\n").output
    assert str(data / replaced) in listed
    assert not any(name in listed for name in named), "without a recipe, all that have names stay"
    listed = run("gc", recipe, "--data", data, answer="n\n").output
    assert "snapshot 2026-10 loses its name; 2 newer ones keep theirs" in listed
    assert all(str(data / name) in listed for name in (replaced, named[0]))
    assert len(months.snapshots(data)) == 3, "nothing is done without a yes"

    assert run("gc", recipe, "--data", data, "--yes").exit_code == 0
    assert [one.name for one in months.snapshots(data)] == ["2026-11", "2026-12"]
    assert corpora(data) == set(named[1:])
    assert "everything there is needed" in run("gc", recipe, "--data", data).output
    assert run("gc", "--data", data, "--keep", "1", "--yes").exit_code == 0
    assert corpora(data) == {named[2]}


def test_a_month_is_compared_with_the_last_by_name(grown, monkeypatch):
    data, _ = grown
    (*_, december) = months.snapshots(data)
    assert growth(data, december) == {
        "snapshot": "2026-12", "since": "2026-11", "came": 1, "went": 0, "changed": 0,
    }  # fmt: skip
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "duckdb", None)  # as in webtext-light
        assert growth(data, december) == {"snapshot": "2026-12"}
    printed = run("compare", f"{data}@2026-10", data).output
    assert printed.startswith("documents: 3 came, 0 went, 0 changed, ")
    unknown = run("compare", f"{data}@2026-09", data)
    assert isinstance(unknown.exception, UserError)
    assert "no snapshot 2026-09; there are: 2026-10, 2026-11, 2026-12" in str(unknown.exception)


def test_names_that_are_damaged_stop_a_build_before_it_begins(grown):
    data, recipe = grown
    (data / months.SNAPSHOTS).write_text('{"2026-10": {"made": "", "directories": {"a": "../b"}}}')
    with pytest.raises(UserError, match="holds other things than names; move it elsewhere"):
        Build(load(str(recipe)), data).run("corpus", workers=0)


def test_to_keep_no_snapshot_is_refused():
    with pytest.raises(UserError, match="keep = 0: too few; use 1 or more"):
        load("webtext", ["snapshots.keep = 0"])
