"""Training from the command line: its plan, its figures, and whose the text of each step was."""

import json
import sys
import types

import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.flows.conftest import webtext
from tests.pipeline import fake_data
from webtext.flows.commands.command_line import cli
from webtext.flows.models import provenance, trackers
from webtext.model.errors import UserError as ModelError
from webtext.model.training import run as runs
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.insight.lookup import lookup

SMALL = (
    "model.layers = 1",
    "model.heads = 1",
    "model.width = 16",
    "model.context = 64",
    "train.batch_tokens = 256",
    "train.warmup = 1",
    "train.eval_every = 0",
    "train.checkpoint_every = 4",
)


def told(*arguments):
    """What a command that ends well prints, without a process of its own."""
    done = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def settings(*more):
    return [part for line in (*SMALL, *more) for part in ("--set", line)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_data.World(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    """A run of ten steps, taken in two goes."""
    home = tmp_path_factory.mktemp("runs") / "first"
    tokens = world.directories["tokens"].path
    done = webtext(
        "train", "tiny", "--tokens", tokens, "--run", home, *settings("train.steps = 10")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{home}\n"
    return home


def test_a_steps_batch_names_its_documents(world, run):
    windows = [json.loads(line) for line in told("batch", run, "--step", 3, "--json").splitlines()]
    assert len(windows) == 4
    for window in windows:
        assert sum(part["end"] - part["start"] for part in window["tokens"]) == 64
        assert window["documents"]
    printed = told("batch", run, "--step", 3)
    assert all(row["url"] in printed for window in windows for row in window["documents"])


def test_a_document_is_in_the_batches_of_the_steps_that_read_it_and_in_no_other(world, run):
    batches = [
        {row["id"] for window in provenance.batch(run, step) for row in window["documents"]}
        for step in range(10)
    ]
    for identity in set.union(*batches):
        wanted = [step for step, ids in enumerate(batches) if identity in ids]
        assert provenance.steps(run, identity)["steps"] == wanted


def test_trace_says_at_which_steps_a_page_was_read(world, run):
    (read, *_) = provenance.batch(run, 0)[0]["documents"]
    printed = told("trace", read["url"], "--data", world.data, "--run", run)
    assert "read at step 0" in printed
    assert "of the 10 taken" in printed
    found = json.loads(told("trace", read["url"], "--data", world.data, "--run", run, "--json"))
    assert 0 in found["trained"]["steps"]


def test_a_document_that_is_held_out_was_read_at_no_step(world, run):
    index = world.directories["tokens"].path / "documents.parquet"
    held_out = next(
        row
        for number in range(170)
        for _, row in lookup(index, fake_data.document(number)["id"])
        if row["split"] == "val"
    )
    found = provenance.steps(run, held_out["id"])
    assert (found["split"], found["steps"]) == ("val", [])
    assert "held out" in provenance.tell_steps(found)
    assert "not among its tokens" in provenance.tell_steps(provenance.steps(run, "0" * 16))


def test_tokens_that_are_others_or_name_nobody_are_refused(world, run, tmp_path):
    config = runs.read(run)
    for name in ("train-00000.bin", "val-00000.bin", "manifest.json"):
        source = config.tokens / name
        if source.exists():
            (tmp_path / name).write_bytes(source.read_bytes())
    if (tmp_path / "manifest.json").exists():
        with pytest.raises(UserError, match=r"documents.parquet: no such file"):
            provenance.batch(run, 0, tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="not the tokens that the run was begun with"):
        provenance.batch(run, 0, tmp_path)
    with pytest.raises(UserError, match="has steps 0 to 9"):
        provenance.batch(run, 10)


def test_a_run_that_diverges_names_the_documents(world, tmp_path):
    tokens = world.directories["tokens"].path
    wild = settings("train.steps = 40", "train.lr = 1e30", "train.min_lr = 0.0", "train.clip = 0.0")
    done = webtext("train", "tiny", "--tokens", tokens, "--run", tmp_path / "wild", *wild)
    assert done.returncode == 2
    assert "it read https://site" in done.stderr
    assert "webtext batch" in done.stderr
    wild += ["--set", "train.trouble = 'skip'"]
    done = webtext("train", "tiny", "--tokens", tokens, "--run", tmp_path / "skipping", *wild)
    assert "is left out" in done.stderr
    assert "it read https://site" in done.stderr


def test_tensorboard_reads_every_figure_of_every_step(run):
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    lines = list(runs.log(run))
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in lines]
    assert {"lr", "norm", "tokens_per_s", "val_loss"} <= set(events.Tags()["scalars"])


def test_steps_that_are_done_again_replace_those_of_the_killed_run(tmp_path):
    line = {"loss": 1.0}
    with trackers.tensorboard(tmp_path) as add:
        for step in range(6):
            add({"step": step, **line})
    with trackers.tensorboard(tmp_path) as add:
        for step in range(4, 8):
            add({"step": step, "loss": 2.0})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("loss")}
    assert found == {step: 1.0 if step < 4 else 2.0 for step in range(8)}


def test_weights_and_biases_gets_the_same_run_again(tmp_path, monkeypatch):
    class Session:
        def log(self, values, step):
            logged.append((step, values))

        def finish(self):
            logged.append("finished")

    logged, begun = [], []
    library = types.ModuleType("wandb")
    library.init = lambda **given: begun.append(given) or Session()
    monkeypatch.setitem(sys.modules, "wandb", library)
    with trackers.wandb("gpt", tmp_path / "first", {"train": {}}) as log:
        log({"step": 7, "loss": 2.5, "val_loss": None})
    assert logged == [(7, {"loss": 2.5}), "finished"]
    assert (begun[0]["project"], begun[0]["id"], begun[0]["resume"]) == ("gpt", "first", "allow")


def test_weights_and_biases_that_is_not_installed_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"), trackers.wandb("p", tmp_path, {}):
        pass


def test_the_plan_is_told_before_anything_is_there():
    printed = told("train", "gpt2-124m", "--plan", "--on", "H100", "--processes", 8)
    assert "124,439,808 parameters" in printed
    assert "fits in the 86 GB of H100" in printed
    assert "8 x H100 at 40 % of the peak" in printed
    found = json.loads(told("train", "gpt2-1558m", "--plan", "--on", "A100", "--json"))
    assert found["parameters"] == 1_557_611_200
    assert found["fits"] is False
    with pytest.raises(ModelError, match="device 'abacus' is not in the table"):
        CliRunner().invoke(
            cli, ["train", "tiny", "--plan", "--on", "abacus"], catch_exceptions=False
        )


def test_training_without_tokens_or_a_name_says_what_is_missing(tmp_path):
    for given, missing in ((["--run", "first"], "--tokens"), (["--tokens", tmp_path], "--run")):
        done = CliRunner().invoke(cli, ["train", "tiny", *map(str, given)])
        assert done.exit_code == 2
        assert f"{missing} is wanted" in done.stderr


def test_samples_are_drawn_together_and_each_is_whole_text(run):
    one = told("sample", run, "--prompt", "the engine", "--tokens", 12, "--top-p", 0.9)
    assert one.startswith("the engine")
    assert one.endswith("\n")
    three = told("sample", run, "--prompt", "the engine", "--tokens", 12, "--samples", 3)
    assert three.count("the engine") == 3
    assert "\n== 3\nthe engine" in three
    greedy = told("sample", run, "--tokens", 8, "--temperature", 0, "--samples", 2)
    first, second = greedy.split("\n== 2\n")
    assert first.strip() == second.strip()
