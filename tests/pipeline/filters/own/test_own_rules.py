import json
import pickle
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from webtext.flows.building.settings import load
from webtext.flows.commands.command_line import cli
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stage import settings
from webtext.pipeline.filters.own.own_rules import recorded_rules
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.filters.step import chain_of, measures

PROSE = (
    "The way to the lake led through a small wood, and that was the way that the children liked to "
    "take. They would have to be home before dark, but the days were long in June and nobody had a "
    "watch. On the bank of the lake there was an old boat, and in the boat there was a box. "
)
HEAD = "from dataclasses import dataclass\n\n"
RULE = (
    HEAD
    + '''@dataclass(frozen=True)
class LongWords:
    """The longest word."""

    at_most: float | None = 20.0
    besides: str = ""

    def __call__(self, doc):
        return max(len(word) for word in doc.text.split() if word != self.besides)
'''
)
DOCS = Path(__file__).resolve().parents[4] / "docs" / "own-rule.md"


@pytest.fixture
def rule(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my_rules.py"
    path.write_text(RULE)
    return path


def rules(*lines):
    return load("webtext", ["rules.mine.file = 'my_rules.py'", *lines]).rules


def test_a_rule_of_ones_own_is_asked_after_ours(rule):
    objection, _ = rules().judge(PROSE + "antidisestablishmentarianism")
    assert (objection.rule, objection.objection, objection.measure) == (
        "mine.long_words",
        "high",
        28,
    )
    assert rules().judge(PROSE)[0] is None
    assert rules().judge("Short.")[0].rule == "gopher_quality.word_count"


def test_its_settings_are_in_the_recipe(rule):
    word = "antidisestablishmentarianism"
    assert rules("rules.mine.long_words.at_most = 30.0").judge(PROSE + word)[0] is None
    assert rules(f"rules.mine.long_words.besides = '{word}'").judge(PROSE + word)[0] is None
    assert rules("rules.mine.enabled = false").judge(PROSE + word)[0] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "rules.mine.long_words.at_mst = 3.0",
            "rules.mine.long_words.at_mst.*did you mean at_most",
        ),
        ("rules.mine.long_word.at_most = 3.0", "did you mean long_words"),
        ("rules.mine.long_words.at_most = 'x'", "rules.mine.long_words.at_most = 'x'"),
        ("rules.mine.source = 'x'", "rules.mine.source"),
        ("rules.mine.module = 'a'", "a file or a module"),
        ("rules.mine.file = 'none.py'", "none.py: no such file"),
        ("rules.judge.file = 'my_rules.py'", "rules.judge: use another name"),
        ("rules.a.module = 'no_such_module'", "no_such_module: no such module"),
    ],
)
def test_mistakes_in_the_recipe_are_named(rule, line, said):
    with pytest.raises(UserError, match=said):
        rules(line)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (", r"my_rules.py:1: .*never closed"),
        ("import math\nmath.no", r"my_rules.py:2: AttributeError: .*no"),
        ("x = 1", "no rule in it; wanted a class such as"),
        (
            HEAD + "class A:\n    def __call__(self, doc):\n        return 1",
            r"my_rules.py:3: A is no",
        ),
        (RULE.replace("= 20.0", ""), "give every field a default"),
        (RULE.replace("LongWords", "Enabled"), "'enabled'; rename its class"),
    ],
)
def test_mistakes_in_the_file_are_named_with_their_line(rule, text, said):
    rule.write_text(text)
    with pytest.raises(UserError, match=said):
        rules()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", r"my_rules.py:\d+: ZeroDivisionError: division by zero"),
        ("'many'", "could not convert|measure"),
        ("None", "NoneType"),
    ],
)
def test_an_error_in_a_rule_stops_the_work_and_says_where(rule, code, said):
    rule.write_text(re.sub(r"return .*", f"return {code}", RULE))
    with pytest.raises(UserError, match=said) as raised:
        rules().judge(PROSE, "http://a.test/1")
    assert "mine.long_words" in str(raised.value)
    assert "http://a.test/1" in str(raised.value)


def test_another_text_of_the_file_is_another_step_but_another_folder_is_not(rule, tmp_path):
    before = settings(rules(), identity=True)
    other = tmp_path / "b" / "my_rules.py"
    other.parent.mkdir()
    other.write_text(RULE)
    moved = load("webtext", [f"rules.mine.file = '{other}'"]).rules
    assert settings(moved, identity=True) == before
    rule.write_text(RULE + "\n")
    assert settings(rules(), identity=True) != before
    plain = settings(load("webtext").rules, identity=True)
    assert {name: value for name, value in before.items() if name != "mine"} == plain


def test_another_process_has_the_same_rule(rule):
    packed = pickle.dumps(chain_of(load("webtext", ["rules.mine.file = 'my_rules.py'"])))
    code = (
        "import pickle, sys\n"
        "rules = pickle.load(sys.stdin.buffer)[-1]\n"
        f"print(rules.judge({PROSE!r} + 'x' * 21)[0].rule)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], input=packed, capture_output=True, check=False
    )
    assert done.stdout.decode().strip() == "mine.long_words", done.stderr.decode()


def test_a_file_that_has_changed_since_is_no_rule_of_another_process(rule):
    packed = pickle.dumps(rules())
    rule.write_text(RULE + "\n")
    with pytest.raises(UserError, match="has changed"):
        pickle.loads(packed)


def test_what_a_manifest_recorded_has_its_bounds_and_is_never_run(rule, tmp_path):
    recorded = json.loads(json.dumps(settings(rules("rules.mine.long_words.at_most = 30.0"))))
    evil, done = tmp_path / "evil.py", tmp_path / "done"
    evil.write_text(f"open({str(done)!r}, 'w')")
    recorded["mine"] |= {"file": str(evil), "source": sha256(evil.read_bytes()).hexdigest()}
    again = recorded_rules(recorded)
    (asked,) = [asked for asked in again.measures(PROSE) if asked.rule == "mine.long_words"]
    assert (asked.at_most, asked.enabled) == (30, True)
    assert "mine.long_words" in again.measured
    told = measures({"rules": {"settings": recorded, "version": Rules.version}}, PROSE)["measures"]
    assert "mine.long_words" not in told
    noted = measures(
        {"rules": {"settings": recorded, "version": Rules.version}},
        PROSE,
        noted={"mine.long_words": 31.0},
    )
    assert noted["measures"]["mine.long_words"]["kept"] is False
    assert not done.exists()


def test_a_measure_may_be_negative(rule):
    rule.write_text(re.sub(r"return .*", "return -5", RULE))
    assert rules("rules.mine.long_words.at_most = -4.0").judge(PROSE)[0] is None
    assert rules("rules.mine.long_words.at_most = -6.0").judge(PROSE)[0].objection == "high"


def test_the_rule_in_the_documents_has_eleven_lines_at_most_and_works(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    text = DOCS.read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    recipe = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) <= 11
    Path("my_rules.py").write_text(code)
    Path("own.toml").write_text(recipe)
    rows = [{"id": "calm", "text": PROSE}, {"id": "loud", "text": PROSE.replace(". ", "!!! ") * 2}]
    Path("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    commands = re.findall(r"^webtext (.*)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands[:2]] == ["judge", "filter"]
    cli(commands[0].split(), standalone_mode=False)
    said = capsys.readouterr().out
    assert "calm: kept" in said
    assert "loud: rules.my_rules.exclamations.high" in said
    cli(commands[1].split(), standalone_mode=False)
    (kept,) = map(json.loads, Path("kept.jsonl").read_text().splitlines())
    assert kept["id"] == "calm"
    (gone,) = map(json.loads, Path("kept.dropped.jsonl").read_text().splitlines())
    assert gone["dropped_by"] == "rules.mine.exclamations.high"
