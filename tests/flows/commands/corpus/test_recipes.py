"""`webtext init` and `webtext settings`, as a newcomer uses them."""

import json

import pytest
from click.testing import CliRunner

from webtext.flows.building.settings import load
from webtext.flows.commands.corpus.recipes import init, settings
from webtext.pipeline.core.errors import UserError


def run(command, *words, typed=None):
    return CliRunner().invoke(command, words, input=typed, catch_exceptions=False)


def test_a_recipe_is_written_after_three_questions(tmp_path):
    file = tmp_path / "mine.toml"
    done = run(
        init, str(file), typed="dumps\nRS_2015-*.zst, \U0001f600.csv\nme@example.org\nde,en\n"
    )
    assert done.exit_code == 0
    recipe = load(str(file))
    assert recipe.links.sources == ("RS_2015-*.zst", "\U0001f600.csv")
    assert recipe.crawl.contact == "me@example.org"
    assert recipe.language.keep == ("de", "en")


def test_nothing_is_asked_where_all_is_answered(tmp_path):
    file = tmp_path / "corpus.toml"
    assert run(init, "--yes", str(file)).exit_code == 0
    assert load(str(file)).links.sources == ("dumps/*",)


def test_warc_files_need_no_contact(tmp_path):
    file = tmp_path / "corpus.toml"
    assert run(init, str(file), typed="warc\nCC-*.warc.gz\nen\n").exit_code == 0
    assert load(str(file)).pages.warc == ("CC-*.warc.gz",)


def test_own_texts_are_a_beginning_too(tmp_path):
    file = tmp_path / "corpus.toml"
    assert run(init, str(file), typed="texts\nown.jsonl, pages\nde\n").exit_code == 0
    assert load(str(file)).documents.sources == ("own.jsonl", "pages")


def test_a_file_that_is_there_is_left_alone(tmp_path):
    file = tmp_path / "corpus.toml"
    file.write_text("links.min_score = 9\n")
    with pytest.raises(UserError, match="is there already"):
        run(init, "--yes", str(file))
    assert file.read_text() == "links.min_score = 9\n"


def test_what_makes_no_recipe_is_not_written(tmp_path):
    file = tmp_path / "corpus.toml"
    with pytest.raises(UserError, match=r"language\.keep"):
        run(init, str(file), typed="warc\nx.warc\nenglish\n")
    assert not file.exists()


def test_a_setting_is_looked_up():
    said = run(settings, "links.min_score").stdout
    assert "links.min_score = 3    int" in said
    assert "votes" in said


def test_a_table_is_looked_up_and_all_of_them_are():
    table = json.loads(run(settings, "crawl", "--json").stdout)
    assert {one["path"].partition(".")[0] for one in table} == {"crawl"}
    assert len(json.loads(run(settings, "--json").stdout)) > len(table)


def test_what_is_no_setting_is_told_the_nearest():
    with pytest.raises(UserError, match=r"did you mean links\.min_score\?"):
        run(settings, "min_scores")
