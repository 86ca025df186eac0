"""Edits and readers of the user's own: asked as ours are, named in directories, exact in errors."""

import pickle
from dataclasses import replace

import pyarrow as pa
import pytest

from webtext.flows.building.settings import load
from webtext.flows.prefect import trust
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import settings
from webtext.pipeline.text.extraction.maintext import Page

EDITS = '''
from dataclasses import dataclass


@dataclass(frozen=True)
class UpTo:
    """Cut what follows a mark."""

    mark: str = "Share this"

    def __call__(self, text: str) -> str:
        return text.partition(self.mark)[0]


@dataclass(frozen=True)
class Loud:
    """Small letters."""

    def __call__(self, text: str) -> str:
        return text.lower()
'''
READER = '''
from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraphs:
    """What stands between the first <p> and </p>."""

    least: int = 1

    def __call__(self, html: str, url: str | None) -> str | None:
        found = html.partition("<p>")[2].partition("</p>")[0]
        return f"{found} ({url})" if len(found) >= self.least else None
'''


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_edits.py").write_text(EDITS)
    (tmp_path / "my_reader.py").write_text(READER)
    (tmp_path / "own.toml").write_text(
        '[clean.mine]\nfile = "my_edits.py"\n[clean.mine.up_to]\nmark = "STOP"\n'
        '[extract.mine]\nfile = "my_reader.py"\n[extract.mine.paragraphs]\nleast = 3\n'
    )
    return lambda *overrides: load("own.toml", overrides)


def text_of(stage, text):
    batch = pa.RecordBatch.from_pylist([{"text": text}], schema=DOCUMENT)
    return stage(batch)["text"].to_pylist()[0]


def test_edits_follow_ours_in_their_order_with_the_recipe_s_settings(recipe):
    clean = recipe().clean
    assert text_of(clean, "One   TWO \r\n STOP here") == "one two"
    assert clean.text("STOP") == ""
    assert recipe("clean.mine.enabled = false").clean.text("One STOP") == "One STOP"
    assert recipe("clean.whitespace = false").clean.text("a   b") == "a   b"
    again = pickle.loads(pickle.dumps(clean))
    assert again.text("One   TWO STOP") == "one two"
    assert settings(again) == settings(clean)


def test_readers_read_instead_of_ours_in_the_process_that_a_page_may_kill(recipe):
    extract = recipe("extract.min_chars = 2").extract
    page = Page(b"<!doctype html><h1>No</h1><p>Z\xc3\xbcrich</p>", "text/html; charset=utf-8", "u")
    assert extract.article(page).text == "Zürich (u)"
    nothing = extract.article(page._replace(body=b"<!doctype html><p>ab</p>"))
    assert (nothing.reason, nothing.value) == ("no_text", 0)
    assert pickle.loads(pickle.dumps(extract)).article(page).text == "Zürich (u)"


def test_a_changed_file_gives_another_name_and_ours_alone_keep_theirs(recipe, tmp_path):
    before = recipe()
    names = [settings(stage, identity=True) for stage in (before.clean, before.extract)]
    assert all(len(one["mine"]["source"]) == 64 and "file" not in one["mine"] for one in names)
    assert names[0]["mine"]["up_to"] == {"mark": "STOP"}
    (tmp_path / "my_edits.py").write_text(EDITS + "# more\n")
    after = recipe()
    assert settings(after.clean, identity=True) != names[0]
    assert settings(after.extract, identity=True) == names[1]
    with pytest.raises(UserError, match=r"clean\.mine: my_edits\.py has changed since"):
        pickle.loads(pickle.dumps(before.clean))
    assert "mine" not in settings(load("webtext").clean)


@pytest.mark.parametrize(
    ("name", "line", "wanted"),
    [
        ("my_edits.py", "        return text.lower() + 1", r"my_edits\.py:20: TypeError"),
        ("my_edits.py", "        pass", r"my_edits\.py:15: Loud returned None, wanted a text"),
        ("my_edits.py", "        return 7", r"my_edits\.py:15: Loud returned 7, wanted a text"),
    ],
)
def test_an_error_of_an_edit_names_file_and_line(recipe, tmp_path, name, line, wanted):
    (tmp_path / name).write_text(EDITS.replace("        return text.lower()", line))
    with pytest.raises(UserError, match=wanted):
        recipe().clean.text("One")


def test_an_error_of_a_reader_stops_the_work_and_names_file_and_line(recipe, tmp_path):
    (tmp_path / "my_reader.py").write_text(READER.replace('"<p>"', "1 / 0"))
    page = Page(b"<!doctype html><p>abc</p>", "text/html", None)
    with pytest.raises(UserError, match=r"my_reader\.py:12: ZeroDivisionError"):
        recipe().extract.article(page)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("clean.mine.up_to.marks = 'x'", r"clean\.mine\.up_to\.marks = 'x': unknown key; did you"),
        ("clean.mine.up_to.mark = 3", r"clean\.mine\.up_to\.mark = 3"),
        ("extract.other.file = 'gone.py'", r"extract\.other\.file: gone\.py: no such file"),
        ("clean.other.module = 'no_such_module'", r"clean\.other\.module: no_such_module: no such"),
    ],
)
def test_a_mistake_in_the_recipe_is_named(recipe, line, wanted):
    with pytest.raises(UserError, match=wanted):
        recipe(line)


@pytest.mark.parametrize("table", ["clean", "extract", "rules"])
def test_no_request_has_a_file_of_the_user_s_run(recipe, tmp_path, table):
    evil, done = tmp_path / "evil.py", tmp_path / "done"
    evil.write_text(f"open({str(done)!r}, 'w')")
    with pytest.raises(UserError, match="cannot name files of rules, edits or readers"):
        trust.check("own.toml", str(tmp_path), [f"{table}.evil.file = {str(evil)!r}"])
    trust.check("own.toml", str(tmp_path), ["clean.unicode = false"])
    assert not done.exists()


def test_what_is_replaced_keeps_the_user_s_own(recipe):
    assert replace(recipe().clean, unicode=False).text("One STOP") == "one"
