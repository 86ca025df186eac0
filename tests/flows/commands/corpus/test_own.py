"""Commands on a user's own files, in this process."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from webtext.flows.commands.command_line import cli
from webtext.pipeline.build import Build

ROOT = Path(__file__).resolve().parents[4]
PROSE = (
    "The way to the lake led through a small wood, and that was the way that the children liked to "
    "take. They would have to be home before dark, but the days were long in June and nobody had a "
    "watch. On the bank of the lake there was an old boat, and in the boat there was a box. "
)
PAGE = f"<html><head><title>A lake</title></head><body><p>{PROSE * 2}</p></body></html>"


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [{"id": 1, "body": PROSE}, {"id": 2, "body": PROSE}, {"id": 3, "body": "Short."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    return path


def run(*arguments):
    cli([str(argument) for argument in arguments], standalone_mode=False)


def test_filter_tells_what_became_of_every_row(own, capfd):
    out = own.with_name("kept.csv")
    run("filter", own, "-o", out, "--text-field", "body")
    assert len(list(csv.DictReader(io.StringIO(out.read_text())))) == 2
    said = capfd.readouterr()
    assert said.out == f"{out}\n"
    assert "1 gopher_quality.word_count.low" in said.err
    assert f"dropped rows: {own.with_name('kept.dropped.csv')}" in said.err
    assert own.with_name("kept.dropped.csv").exists()


def test_a_dash_is_the_standard_output(own, capfd, monkeypatch):
    monkeypatch.chdir(own.parent)
    run("filter", own, "-o", "-", "--text-field", "body")
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["id"] for row in rows] == [1, 2]
    own.write_text(own.read_text().removesuffix("{\n"))
    run("dedup", own, "-o", "-", "--text", "body")
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["keeper"] for row in rows] == [1, 1, 3]
    assert [path.name for path in own.parent.iterdir()] == ["own.jsonl"]


def test_dedup_writes_lines_where_lines_are_asked_for(own):
    own.write_text(own.read_text().removesuffix("{\n"))
    out = own.with_name("clusters.jsonl")
    run("dedup", own, "-o", out, "--text", "body")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], row["cluster"]) for row in rows] == [(1, 1), (2, 1), (3, 3)]


def test_judge_reads_any_form_and_says_which_rules_are_off(own, capfd):
    (own.with_name("page.html")).write_text(PAGE)
    run("judge", own, own.with_name("page.html"), "--text-field", "body")
    said = capfd.readouterr()
    assert "1: kept; language en" in said.out
    assert "page.html: kept; language en" in said.out
    lines = said.out.splitlines()
    off = [line for line in lines if " webtext.tokens " in line]
    on = [line for line in lines if " gopher_quality.word_count " in line]
    assert len(off) == len(on) == 4
    assert all(line.endswith("at least 128, off") for line in off)
    assert not any("off" in line for line in on)
    assert on[2].startswith("  x gopher_quality.word_count")
    assert "own.jsonl:4: not JSON" in said.err


def test_extract_writes_a_row_a_page(own, capfd):
    (own.with_name("page.html")).write_text(PAGE)
    out = own.with_name("texts.jsonl")
    run("extract", own.with_name("page.html"), "-o", out)
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["title"] == "A lake"
    run("filter", out, "-o", "-")
    assert json.loads(capfd.readouterr().out)["text"].startswith("The way")


def test_the_documents_on_own_texts_say_what_works(tmp_path, monkeypatch, capfd):
    text = (ROOT / "docs" / "own-texts.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    rows = [{"id": n, "text": f"{PROSE}{'lake ' * n}"} for n in range(1, 20)]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("pages").mkdir()
    Path("pages/lake.html").write_text(PAGE)
    (recipe,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    Path("own.toml").write_text(recipe)
    commands = re.findall(r"^webtext (.*)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["filter", "filter", "build"]
    for command in commands:
        more = ["--no-prefect", "--workers", "1", "--until", "documents"]
        run(*shlex.split(command), *(more if command.startswith("build") else ["--workers", "1"]))
    said = capfd.readouterr().err
    assert "19" in said
    assert len(pq.read_table("kept.parquet")) == 19
    assert Build(None, Path("data")).follow("lake.html").fate == "kept"
