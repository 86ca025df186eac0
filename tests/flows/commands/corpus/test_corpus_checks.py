"""The commands that say what is in a corpus and why."""

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.pipeline import fake_data
from webtext.flows.commands.command_line import cli


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


def told(*arguments):
    """What a command that ends well prints."""
    done = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_audit_says_what_each_rule_drops(world):
    printed = told("audit", "webtext", "--data", world.data)
    assert "kept by all enabled rules" in printed
    found = json.loads(told("audit", "webtext", "--data", world.data, "--sample", 20, "--json"))
    assert found["sampled"] == 20
    reasons = {one["reason"] for one in found["verdicts"]}
    assert {"gopher_quality.word_count.low", "c4.sentences.low"} <= reasons


def test_overlap_prints_the_papers_figure_beside_ours(world, tmp_path):
    shard = world.directories["corpus"].shards()[0]
    known = pq.read_table(shard)["text"][0].as_py()
    (tmp_path / "lambada.txt").write_text(known)
    printed = told("overlap", tmp_path / "lambada.txt", "--data", world.data)
    assert "lambada.txt" in printed
    assert "1.20" in printed
    found = json.loads(told("overlap", tmp_path / "lambada.txt", "--data", world.data, "--json"))
    assert found["false_positives"] == 0
    assert found["sets"][0]["percent"] == pytest.approx(100)


def test_a_quality_model_is_trained_of_files_and_shown(tmp_path):
    for name, word in (("good", "theorem"), ("bad", "casino")):
        rows = [{"id": n, "text": f"the {word} of number {n} is here"} for n in range(80)]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sides = ["--positive", tmp_path / "good.jsonl", "--negative", tmp_path / "bad.jsonl"]
    model = tmp_path / "model.safetensors"
    assert told("quality", "train", *sides, "-o", model) == f"{model}\n"
    found = json.loads(told("quality", "show", model))
    assert found["held_out"]["auc"] == 1.0
    assert set(found["sources"]["positive"]) == {"good.jsonl"}


@pytest.mark.parametrize("sides", [
    [], ["--positive", "good.jsonl"], ["--by", "rules", "--positive", "good.jsonl"],
])  # fmt: skip
def test_a_quality_model_needs_two_sides(tmp_path, sides):
    done = CliRunner().invoke(cli, ["quality", "train", *sides, "-o", str(tmp_path / "model")])
    assert done.exit_code == 2
    assert "wanted --positive and --negative files, or --by" in done.stderr
