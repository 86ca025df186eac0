"""The commands' contract: what they print, where, and with which exit code."""

import gzip
import json
import multiprocessing
import subprocess
from contextlib import suppress
from types import SimpleNamespace

import polars as pl
import pytest
import zstandard
from click.testing import CliRunner

from tests.flows.conftest import command, environment, webtext
from webtext.flows.commands.command_line import cli
from webtext.flows.demo import demo_server

PROSE = (
    "The way to the lake led through a small wood, and that was the way that the children liked to "
    "take. They would have to be home before dark, but the days were long in June and nobody had a "
    "watch. On the bank of the lake there was an old boat, and in the boat there was a box that "
    "had been there for as long as any of them could remember. "
)


def page(text: str) -> str:
    body = f"<article><p>{text}</p></article>"
    return f"<html><head><title>Lake</title></head><body>{body}</body></html>"


def test_extract_prints_a_json_line_a_page(tmp_path):
    (tmp_path / "lake.html").write_text(page(PROSE * 3))
    done = webtext("extract", tmp_path / "lake.html", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert {"source", "url", "text", "title"} <= set(found)
    assert "old boat" in found["text"]
    assert found["title"] == "Lake"


def test_a_file_in_which_nothing_is_found_is_told(tmp_path):
    for name in ("a.warc", "a.jsonl"):
        (tmp_path / name).write_bytes(b"")
    for said, name, what in (("extract", "a.warc", "page"), ("judge", "a.jsonl", "text")):
        done = CliRunner().invoke(cli, [said, str(tmp_path / name)])
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == f"{tmp_path / name}: holds no {what}\n"


def test_extract_says_why_a_page_has_no_text(tmp_path):
    (tmp_path / "empty.html").write_text(page(""))
    done = webtext("extract", tmp_path / "empty.html")
    assert done.returncode == 0
    assert done.stderr == f"{tmp_path / 'empty.html'}: extract.no_text\n"


def test_judge_prints_every_rules_measure_beside_its_threshold(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [{"id": "long", "text": PROSE * 2}, {"id": "short", "text": "The end of it."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = webtext("judge", path, "--json")
    assert done.returncode == 0, done.stderr
    kept, dropped = map(json.loads, done.stdout.splitlines())
    assert (kept["id"], kept["language"], kept["dropped_by"]) == ("long", "en", None)
    assert dropped["dropped_by"] == "rules.gopher_quality.word_count.low"
    measured = dropped["measures"]["gopher_quality.word_count"]
    assert (measured["measure"], measured["threshold"]) == (4, 50)


def test_dedup_clusters_any_file_of_ids_and_texts(tmp_path):
    path, out = tmp_path / "texts.jsonl", tmp_path / "clusters.parquet"
    texts = {"a": PROSE * 2, "b": PROSE * 2 + "And so it ended.", "c": "Something else altogether."}
    path.write_text("".join(json.dumps({"id": k, "text": v}) + "\n" for k, v in texts.items()))
    done = webtext("dedup", path, "-o", out)
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in pl.read_parquet(out).to_dicts()}
    assert set(next(iter(rows.values()))) >= {"id", "cluster", "keeper", "jaccard"}
    assert rows["a"]["cluster"] == rows["b"]["cluster"] != rows["c"]["cluster"]


def test_dedup_takes_several_files_and_names_and_keeps_whole_rows(tmp_path):
    rows = [
        {"key": 1, "body": PROSE * 2, "extra": [1]},
        {"key": 2, "body": PROSE * 2 + "And so it ended."},
        {"key": 3, "body": "Something else altogether."},
        {"key": 4, "body": PROSE * 2},
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "a.jsonl").write_text("".join(lines[:2]))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress("".join(lines[2:]).encode()))
    out, keep = tmp_path / "out.parquet", tmp_path / "kept.jsonl.zst"
    done = webtext(
        *("dedup", tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", "-o", out, "--keep", keep),
        *("--id-field", "key", "--text-field", "body", "--threshold", "0.8"),
        *("--set", "duplicates.verify = 'jaccard'"),
    )
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(out)["keeper"].to_list() == [1, 1, 3, 1]
    assert zstandard.decompress(keep.read_bytes(), 1 << 20).decode() == lines[0] + lines[2]
    said = done.stderr
    assert "pairs of Jaccard 0.8 and more; 14 bands of 8 rows find 92 % of those at 0.8" in said
    assert "2 of 4 rows kept; dropped: 1 exact, 1 near" in said
    assert "1 clusters by size: 1 of 3" in said


def test_dedup_reads_the_standard_input(tmp_path):
    out = tmp_path / "out.parquet"
    lines = "".join(json.dumps({"id": n, "text": PROSE}) + "\n" for n in range(2))
    done = subprocess.run(
        command("dedup", "-", "-o", out),
        input=lines,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(out)["keeper"].to_list() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "webtxt"], "recipe webtxt: no such file; did you mean webtext"),
        (["build", "webtext", "--set", "links.sources = ['no.zst']"], "no.zst"),
        (["build", "webtext", "--set", "links.min_scor = 1"], "did you mean min_score"),
        (["path", "corpus", "--data", "nowhere"], "no whole corpus directory yet"),
        (["path", "corpse", "--data", "nowhere"], "corpse: no such step"),
        (["trace", "http://example.com/", "--data", "nowhere"], "nowhere"),
        (["report", "--data", "nowhere"], "nowhere"),
        (["extract", "missing.html"], "missing.html"),
        (["judge", "missing.jsonl"], "missing.jsonl"),
        (["dedup", "missing.jsonl", "-o", "out.parquet"], "missing.jsonl"),
        (["train", "tiny", "--tokens", "nowhere", "--run", "first"], "nowhere"),
        (["sample", "nowhere/run"], "nowhere"),
        (["replay", "missing.warc.gz", "--port", "18999"], "missing.warc.gz"),
        (["replay", "missing.warc.gz", "--port", "65535"], "not in the range"),
        (["plan"], "Missing argument"),
        (["biuld"], "No such command"),
    ],
)
def test_a_mistake_is_a_clear_line_and_exit_code_2(tmp_path, arguments, said):
    done = webtext(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_plan_shows_each_stage_and_makes_nothing(tmp_path):
    (tmp_path / "links.txt").write_text("http://example.com/\n")
    sources = "links.sources = ['links.txt']"
    done = webtext("plan", "webtext", "--set", sources, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stages = [line.split()[0] for line in done.stdout.splitlines()]
    assert stages == [
        "links",
        "pages",
        "documents",
        "signatures",
        "duplicates",
        "corpus",
        "tokens",
    ]
    assert "0.90" in done.stderr
    assert "112 permutations, 0.5 GB on disk for 1,000,000 documents" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_crawl_that_leaves_this_machine_must_name_a_contact(tmp_path):
    (tmp_path / "links.txt").write_text("http://example.com/\n")
    sources = "links.sources = ['links.txt']"
    done = webtext("build", "webtext", "--no-prefect", "--set", sources, cwd=tmp_path)
    assert done.returncode == 2
    assert "crawl.contact" in done.stderr


def test_help_is_one_screen_and_version_is_said():
    assert "build" in webtext("--help").stdout
    assert "0.1.0" in webtext("--version").stdout


@pytest.mark.parametrize("words", [["gc", "--yes"], ["snapshots"], ["forget", "--purge"]])
def test_a_data_directory_that_is_not_there_is_named_and_not_made(tmp_path, told, words):
    code, said = told(*words, "--data", tmp_path / "misspelt")
    assert code == 2
    assert "misspelt: no such directory" in said
    assert not list(tmp_path.iterdir())


def test_verify_ends_with_exit_code_1_where_something_differs(tmp_path, told):
    (tmp_path / "links-1c0de5aa").mkdir()
    (tmp_path / "links-1c0de5aa" / "manifest.json").write_text("{}")
    code, said = told("verify", tmp_path)
    assert code == 1
    assert "by `webtext verify" in said
    assert told("verify", "--help") == (0, "")


def test_a_demo_that_cannot_be_written_is_a_clear_line(tmp_path, told, monkeypatch):
    def process(target, args, daemon):
        def start():
            with suppress(Exception):  # it would end that process, and close its end of the pipe
                target(*args)
            args[0].close()

        return SimpleNamespace(start=start, terminate=int, join=int)

    context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=process)
    monkeypatch.setattr(demo_server.multiprocessing, "get_context", lambda _kind: context)
    monkeypatch.setattr(demo_server.signal, "signal", lambda *_words: None)
    monkeypatch.setattr(demo_server, "web", lambda *_words: {})
    (tmp_path / "file").touch()
    code, said = told("demo", "--data", tmp_path / "file" / "demo")
    assert code == 2
    assert f"{tmp_path / 'file'}" in said
    assert "Traceback" not in said
