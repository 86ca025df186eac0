"""Measuring models from the command line, on sets of a few items."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner

from tests.flows.conftest import webtext
from webtext.flows.commands.models.evaluate import ablate
from webtext.flows.models.ablation import Corpus, Plan, StoppedError, compare
from webtext.model.errors import UserError
from webtext.model.gpt.gpt import build
from webtext.model.gpt.weights import export
from webtext.model.settings import GPT2, Train
from webtext.pipeline.core.errors import UserError as AnyUserError

SMALL = GPT2(layers=1, heads=2, width=32, context=64)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("eval")
    items = [
        {"query": "It rained, so", "choices": ["he got wet", "it flew"], "gold": n % 2}
        for n in range(5)
    ]
    (folder / "copa.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "lambada_test.jsonl").write_text('{"text": "He went to the town of Rome"}\n' * 3)
    (folder / "ptb.test.txt").write_text(" it was n't so \n" * 20)
    return folder


def shard(path: Path, tokens: np.ndarray) -> None:
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, len(tokens)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[Path]:
    """Two corpora that have no token in common."""
    folders = []
    for name, first in (("up", 0), ("down", 500)):
        folder = tmp_path_factory.mktemp("tokens") / name
        shard(folder / "train-00000.bin", first + np.arange(9_000) % 50)
        shard(folder / "val-00000.bin", first + np.arange(900) % 50)
        folders.append(folder)
    return folders


def test_eval_prints_a_table_beside_the_papers_and_writes_all_of_it_as_json(sets, tmp_path):
    export(build(SMALL, seed=1), tmp_path / "model")
    out = tmp_path / "scores.json"
    done = webtext(
        "eval", tmp_path / "model", "--tasks", "copa,lambada,ptb", "--data", sets, "--json", out
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    rows = {(row["task"], row["protocol"], row["metric"]): row for row in found["rows"]}
    assert rows["copa", "lm-eval", "acc"]["items"] == 5
    assert rows["copa", "lm-eval", "acc"]["value"] in {40.0, 60.0}
    paper = {"117M": 35.13, "345M": 15.60, "762M": 10.87, "1542M": 8.63}
    assert rows["lambada", "paper", "ppl"]["paper"] == paper
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["task", "protocol", "metric", "here", "+-"]
    assert any(line.startswith("ptb ") and "65.85" in line for line in lines)
    assert "lambada" in done.stderr  # how far it is
    again = webtext("eval", tmp_path / "model", "--data", sets, "--json", tmp_path / "again.json")
    assert again.returncode == 0, again.stderr
    rows_again = json.loads((tmp_path / "again.json").read_text())["rows"]
    key = json.dumps
    assert sorted(rows_again, key=key) == sorted(found["rows"], key=key)


def test_eval_names_what_it_lacks(sets, tmp_path):
    export(build(SMALL), tmp_path / "model")
    done = webtext("eval", tmp_path / "model", "--tasks", "lambda", "--data", sets)
    assert (done.returncode, done.stdout) == (2, "")
    assert "task 'lambda': no such task; there are lambada" in done.stderr


SMALL_RUN = [
    part
    for line in (
        "model.layers = 1",
        "model.heads = 2",
        "model.width = 32",
        "model.context = 64",
        "train.steps = 4",
        "train.batch_tokens = 128",
        "train.warmup = 1",
        "train.eval_every = 2",
        "train.checkpoint_every = 0",
    )
    for part in ("--set", line)
]


def test_tasks_are_measured_in_the_loop_and_logged_with_the_loss(sets, shards, tmp_path):
    asked = [f"train.eval_data = '{sets}'", "train.eval_tasks = ['copa']", "train.eval_items = 4"]
    lines = [part for line in asked for part in ("--set", line)]
    run = tmp_path / "run"
    done = webtext("train", "tiny", "--tokens", shards[0], "--run", run, *SMALL_RUN, *lines)
    assert done.returncode == 0, done.stderr
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [sorted(line.get("scores", {})) for line in log] == [
        [], ["copa/lm-eval/acc"], [], ["copa/lm-eval/acc"]
    ]  # fmt: skip
    done = webtext("eval", run, "--tasks", "copa", "--data", sets, "--limit", "4")
    assert f"{log[-1]['scores']['copa/lm-eval/acc']:.2f}" in done.stdout.splitlines()[1]

    lines += ["--set", "train.eval_tasks = ['piqa']"]
    done = webtext("train", "tiny", "--tokens", shards[0], "--run", run, *SMALL_RUN, *lines)
    assert done.returncode == 2
    assert "has no file of piqa; wanted piqa.jsonl" in done.stderr


def test_ablate_does_not_take_tasks_without_the_directory_of_their_sets():
    done = CliRunner().invoke(ablate, ["a", "b", "--tasks", "copa"])
    assert done.exit_code == 2
    assert "say with --sets in which directory" in done.output


@pytest.mark.slow
def test_ablate_says_which_corpus_taught_the_same_model_more_and_goes_on_where_it_was(
    sets, shards, tmp_path
):
    out = tmp_path / "out"
    asked = ["ablate", "up.toml", "down.toml", "--out", out, "--sets", sets, "--tasks", "copa"]
    asked += ["--tokens-a", shards[0], "--tokens-b", shards[1], "--steps", "20", *SMALL_RUN]
    asked += ["--set", "train.lr = 1e-2"]
    once = webtext(*asked, "--seeds", "1")
    assert once.returncode == 0, once.stderr
    first = {path: path.stat().st_mtime_ns for path in out.glob("*seed0/checkpoints/*.pt")}
    assert len(first) == 2

    done = webtext(*asked, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == when for path, when in first.items())
    found = json.loads((out / "ablation.json").read_text())
    rows = {row["measure"]: row for row in found["rows"]}
    assert list(rows) == ["loss on up, held out", "loss on down, held out", "copa/lm-eval/acc"]
    up, down = rows["loss on up, held out"], rows["loss on down, held out"]
    assert (up["better"], down["better"]) == ("a", "b")
    values = up["a"]["values"]
    assert up["a"]["mean"] == pytest.approx(np.mean(values))
    assert up["a"]["error"] == pytest.approx(np.std(values, ddof=1) / 2**0.5)
    pairs = np.subtract(values, up["b"]["values"])
    assert up["difference"]["values"] == pytest.approx(list(pairs))
    low, high = scipy.stats.t.interval(0.95, 1, loc=pairs.mean(), scale=scipy.stats.sem(pairs))
    assert up["difference"]["half"] == pytest.approx((high - low) / 2)
    assert done.stdout.splitlines()[0].split()[:3] == ["measure", "up", "+-"]
    page = (out / "index.html").read_text()
    assert "up against down" in page
    assert "://" not in page
    assert "<script" not in page


def test_an_ablation_that_is_stopped_says_so_and_goes_on(shards, tmp_path):
    gpt = GPT2(layers=1, heads=1, width=16, context=64)
    settings = Train(steps=6, batch_tokens=128, warmup=1, eval_tokens=128)
    corpora = (Corpus("up", shards[0]), Corpus("down", shards[1]))
    plan = Plan(corpora, gpt, settings, 1, None)

    def show(name):
        def tell(done, total, note=""):
            if name.startswith("b-") and done == 3 and total == 6:
                os.kill(os.getpid(), signal.SIGTERM)

        return tell

    with pytest.raises(StoppedError):
        compare(plan, tmp_path, "cpu", show)
    assert not (tmp_path / "ablation.json").exists()
    found = compare(plan, tmp_path, "cpu", lambda name: lambda *told: None)
    straight = compare(plan, tmp_path / "straight", "cpu", lambda name: lambda *told: None)
    assert found == straight
    assert found["rows"][0]["difference"]["half"] is None
    made_anew = replace(plan, corpora=(Corpus("up", shards[1]), Corpus("down", shards[0])))
    with pytest.raises(UserError, match=r"was begun otherwise.*tokens\.sha256"):
        compare(made_anew, tmp_path, "cpu", lambda name: lambda *told: None)


@pytest.fixture
def own_tokens(shards, tmp_path):
    """The tokens of both corpora, as if a tokenizer of 600 tokens had made them."""
    told = {"name": "mine", "vocabulary": 600, "end": 599, "sha256": "0" * 64}
    for tokens in shards:
        home = Path(shutil.copytree(tokens, tmp_path / tokens.name))
        (home / "stats.json").write_text(json.dumps({"tokenizer": told}))
        (home / "tokenizer.json").write_text("{}")
    return tmp_path / "up", tmp_path / "down"


def test_models_of_an_ablation_have_the_vocabulary_and_the_tokenizer_of_its_tokens(own_tokens):
    up, down = own_tokens
    out = up.parent / "out"
    asked = ["ablate", "up.toml", "down.toml", "--tokens-a", up, "--tokens-b", down, "--out", out]
    done = webtext(*asked, "--steps", "1", "--seeds", "1", *SMALL_RUN)
    assert done.returncode == 0, done.stderr
    for run in ("a-up-seed0", "b-down-seed0"):
        assert json.loads((out / run / "config.json").read_text())["model"]["vocab"] == 600
        assert (out / run / "tokenizer.json").read_text() == "{}"


def test_an_ablation_refuses_corpora_of_different_tokens(own_tokens, shards):
    corpora = (Corpus("up", own_tokens[0]), Corpus("down", shards[1]))
    plan = Plan(corpora, SMALL, Train(), 1, None)
    with pytest.raises(AnyUserError, match="have different tokenizers; wanted the same"):
        compare(plan, own_tokens[0], "cpu", lambda name: lambda *told: None)
