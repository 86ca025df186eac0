"""What came from the web shows itself on a terminal and in a page, and does nothing else there."""

import json
import logging
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.flows.conftest import ROOT
from webtext.flows.building import output, terminal
from webtext.flows.commands.command_line import cli
from webtext.pipeline.core.step import Fact
from webtext.pipeline.core.visible import VisibleFormatter, on_one_line, visible
from webtext.pipeline.insight.trace import Story, describe
from webtext.pipeline.links.step import submissions

HOSTILE = {
    "colours": "\x1b[31mred",
    "a title of the window": "\x1b]0;owned\x07",
    "a link of the terminal": "\x1b]8;;http://evil.test\x1b\\here",
    "the clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "an answer": "\x1b[6n\x05",
    "C1": "\x9b31mred\x9d0;owned\x9c",
    "a line again": "safe\rEVIL",
    "back": "safe\b\b\b\bEVIL",
    "a bell": "\x07",
    "delete": "\x7f",
    "a NUL": "a\x00b",
    "bidi": "gnp.\u202egpj.exe\u2066\u2069\u200f\u061c",
    "invisible": "pay\u200bpal\u2060\ufeff\u00ad",
    "lines": "a\u2028b\u2029c",
    "tags": "a\U000e0041\U000e007fb",
    "half a character": "a\ud83db",
}
HIDDEN = {"Cc", "Cs", "Zl", "Zp"}  # categories of characters that do something, or cannot be sent


def harmless(text, also="\n\t"):
    return not any(
        char not in also
        and (unicodedata.category(char) in HIDDEN or unicodedata.bidirectional(char) in BIDI)
        for char in text
    )


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ALL = "".join(HOSTILE.values())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_shown_and_does_nothing(text):
    assert not harmless(text) or text in (HOSTILE["invisible"], HOSTILE["tags"])
    shown = visible(text)
    assert harmless(shown)
    assert shown != text
    if "\\h" not in shown:
        assert json.loads(f'"{shown}"') == text, "as JSON reads it"


def test_no_character_at_all_gets_through_that_does_something():
    everything = "".join(map(chr, range(0x110000)))
    assert harmless(visible(everything))
    assert harmless(on_one_line(everything), also="")


def test_what_is_text_stays_as_it_is():
    text = "naïve 日本語 العربية עברית 👩‍👩‍👧 e\u0301 \xa0 “quoted”\n\tand indented \\u001b"
    assert visible(text) == text


@pytest.mark.parametrize("err", [False, True])
def test_every_word_that_a_command_says_goes_this_way(capsys, err):
    output.echo(ALL, err=err)
    out = capsys.readouterr()
    assert harmless(out.err if err else out.out)


def test_the_words_above_bars_the_bars_and_the_log(capsys, monkeypatch):
    terminal.say(ALL)
    meter = terminal.Meter("crawl", None)
    assert harmless(meter.told(1, ALL))
    record = logging.LogRecord("a", logging.WARNING, "a.py", 1, "said %s", (ALL,), None)
    assert harmless(VisibleFormatter().format(record))
    dropped = {f"rules.{ALL}": 1, "rules.[red]x[/]": 1}
    stage = {"stage": "rules", "read": 2, "kept": 0, "dropped": dropped}
    table = terminal.funnel_table({"stages": [stage]})
    shown = terminal.rendered(table)
    assert harmless(shown)
    assert "[red]x[/]" in re.sub(r"[\s│]", "", shown), "no markup of rich's"
    assert harmless(capsys.readouterr().err)


def test_a_task_that_counts_anew_has_a_rate_of_its_own():
    meter = terminal.Meter("dedup", None)
    for done in (0, 14_000_000, 3, 5):
        meter(done, 20_000_000)
        assert not meter.line(done, 20_000_000, "").count("-")


def test_no_command_speaks_in_another_way():
    """So that a new one cannot forget it."""
    for path in (ROOT / "flows").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name not in ("output.py", "visible.py"):
            assert "click.echo" not in text, path
            assert not re.search(r"(?<![\w.])print\(", re.sub(r">>>.*", "", text)), path
            assert "sys.stdout.write" not in text, path


def test_a_trace_of_a_hostile_link_keeps_to_its_lines():
    title = f"{ALL}\nfate: kept"
    given = {"created": None, "subreddit": ALL, "source": "a", "score": 1, "title": title}
    fact = Fact("links", {}, tuple(submissions({"score": 1, "submissions": [given]})))
    shown = describe(Story("http://a.test/", None, None, "x", (fact,)))
    lines = shown.split("\n")
    assert harmless(shown)
    assert [line for line in lines if line.startswith("fate")] == ["fate: x"]


@pytest.mark.parametrize("json_too", [False, True])
def test_a_hostile_page_printed_by_a_command(tmp_path, capsys, json_too):
    page = f"<title>{ALL}</title><p>" + "Words of a page, and some more of them. " * 30 + ALL
    path = tmp_path / "a.html"
    path.write_bytes(page.encode("utf-8", "surrogatepass"))
    rows = [{"id": f"a{ALL}".encode("utf-8", "replace").decode(), "text": "words " * 50}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    more = ["--json"] if json_too else []
    cli(["extract", str(path), *more], standalone_mode=False)
    cli(["judge", str(tmp_path / "a.parquet"), *more], standalone_mode=False)
    said = capsys.readouterr()
    assert "Words of a page" in said.out
    assert harmless(said.out)
    assert harmless(said.err)
    if json_too:
        assert [json.loads(line) for line in said.out.splitlines()]


def test_an_error_that_quotes_a_hostile_name(capsys, monkeypatch):
    from webtext.flows.commands import command_line

    monkeypatch.setattr("sys.argv", ["webtext", "report", "--data", f"no{ALL[:20]}where"])
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 2
    assert harmless(capsys.readouterr().err)
