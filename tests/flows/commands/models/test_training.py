"""Training from the command line: its plan, its figures, and whose the text of each step was."""

import json
import shutil
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.flows.conftest import command, environment, webtext
from tests.pipeline import fake_data
from webtext.flows.commands.command_line import cli
from webtext.flows.models import provenance, trackers
from webtext.flows.models.evaluation import scorer
from webtext.model.errors import UserError as ModelError
from webtext.model.gpt.gpt import build
from webtext.model.gpt.weights import export, fingerprint
from webtext.model.settings import GPT2, Train
from webtext.model.training import run as runs
from webtext.model.training.checkpoint import Checkpoints
from webtext.pipeline.core.directories.lookup import lookup
from webtext.pipeline.core.errors import UserError

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
    for source in [*config.tokens.glob("*.bin"), config.tokens / "manifest.json"]:
        if source.exists():
            (tmp_path / source.name).write_bytes(source.read_bytes())
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
    wild = settings("train.steps = 40", "train.lr = 1e3", "train.min_lr = 0.0", "train.clip = 0.0")
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


def test_the_plan_is_for_a_device_of_this_machine_too(monkeypatch):
    printed = told("train", "gpt2-124m", "--plan", "--device", "cpu")
    assert "time     unknown" in printed
    slice_ = types.SimpleNamespace(
        name="NVIDIA H100 80GB HBM3 MIG 3g.40gb", total_memory=42 * 10**9
    )
    monkeypatch.setattr(
        "webtext.model.machine.device.choose", lambda name: types.SimpleNamespace(type="cuda")
    )
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda place: slice_)
    printed = told("train", "gpt2-124m", "--plan", "--device", "cuda:0")
    assert "the 42 GB of NVIDIA H100 80GB HBM3 MIG 3g.40gb" in printed
    assert "1 x NVIDIA H100 80GB HBM3 MIG 3g.40gb at 40 % of the peak" in printed
    slice_.name = "NVIDIA Abacus"
    printed = told("train", "gpt2-124m", "--plan", "--device", "cuda")
    assert "time     unknown" in printed
    assert "the 42 GB of this device" in printed


def test_a_plan_for_processes_that_the_batch_does_not_divide_into_is_refused():
    with pytest.raises(ModelError, match="512 windows a step do not deal out to 7 processes"):
        told("train", "gpt2-124m", "--plan", "--on", "H100", "--processes", 7)


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


@pytest.mark.parametrize("option", ["--temperature", "--top-p"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_an_option_that_is_no_finite_number_is_refused(run, option, value):
    done = CliRunner().invoke(cli, ["sample", str(run), option, value])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.stderr


def test_a_prompt_of_other_bytes_and_a_seed_beyond_64_bits_are_no_traceback(run):
    said = CliRunner().invoke(cli, ["sample", str(run), "--prompt", "caf\udce9", "--tokens", "1"])
    assert (said.exit_code, said.stdout[:4]) == (0, "caf\ufffd")
    done = CliRunner().invoke(cli, ["sample", str(run), "--seed", str(2**70)])
    assert (done.exit_code, "is not in the range" in done.stderr) == (2, True)


def test_a_val_split_shorter_than_a_window_is_told_at_the_start(tmp_path):
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 2_000
    shard = header.tobytes() + np.arange(2_000, dtype="<u2").tobytes()
    (tmp_path / "train-00000.bin").write_bytes(shard)
    done = webtext(
        "train", "tiny", "--tokens", tmp_path, "--run", tmp_path / "run",
        *settings("train.steps = 1"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the val split has 0 tokens, and a window takes 65; no loss on val" in done.stderr


def test_a_training_that_is_stopped_says_so_and_exits_130(world, tmp_path):
    tokens = world.directories["tokens"].path
    asked = ["train", "tiny", "--tokens", tokens, "--run", tmp_path / "run"]
    asked += settings("train.steps = 100_000", "train.checkpoint_every = 0")
    child = subprocess.Popen(
        command(*asked), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip
    log = tmp_path / "run" / "log.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 2):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.1)
    child.terminate()
    _, words = child.communicate(timeout=200)
    assert child.returncode == 130, words
    assert "of 100,000 steps; the same command goes on" in words
    assert "interrupted" not in words
    assert Checkpoints(tmp_path / "run" / "checkpoints").last() == log.read_text().count("\n")


def test_scores_are_not_waited_for_once_it_is_to_stop(tmp_path):
    items = [{"query": "It rained, so", "choices": ["he got wet", "it flew"], "gold": 0}] * 9
    (tmp_path / "copa.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    score = scorer(Train(eval_tasks=("copa",), eval_data=str(tmp_path)))
    model = build(GPT2(layers=1, heads=1, width=8, context=64)).train()
    assert score(model, lambda: False) == {"copa/lm-eval/acc": pytest.approx(50, abs=50)}
    asked = []
    assert score(model, lambda: asked.append(1) or True) == {}
    assert len(asked) == 1
    assert model.training


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A model of one layer of another's making, of GPT-2's vocabulary."""
    folder = tmp_path_factory.mktemp("published") / "model"
    return export(build(GPT2(layers=1, heads=2, width=32, context=64), seed=9), folder)


TRAINING = [line for line in SMALL if not line.startswith("model.")]


def begin_with(published, world, run, *lines):
    recipe = run.parent / "mine.toml"
    recipe.write_text("[train]\nsteps = 4\n")
    more = [part for line in (*TRAINING, *lines) for part in ("--set", line)]
    tokens = world.directories["tokens"].path
    return webtext("train", recipe, "--tokens", tokens, "--run", run, "--from", published, *more)


def test_training_goes_on_from_a_published_model_and_tells_what_it_read_since(
    world, published, tmp_path
):
    """The recipe says nothing of the shape, so that is the model's; dropout is the recipe's."""
    run = tmp_path / "run"
    done = begin_with(published, world, run, "model.dropout = 0.2")
    assert done.returncode == 0, done.stderr
    config = json.loads((run / "config.json").read_text())
    assert config["from"] == {"path": str(published), "sha256": fingerprint(published)}
    assert (config["model"]["width"], config["model"]["dropout"]) == (32, 0.2)
    assert config["tokens"]["sha256"]
    (read, *_) = provenance.batch(run, 1)[0]["documents"]
    printed = told("trace", read["url"], "--data", world.data, "--run", run)
    assert "of the 4 taken" in printed
    assert 1 in provenance.steps(run, read["id"])["steps"]


def test_a_recipe_that_says_another_shape_is_refused(world, published, tmp_path):
    done = begin_with(published, world, tmp_path / "run", "model.width = 64", "model.layers = 1")
    assert done.returncode == 2
    assert "model.width is 32 there, 64 here; leave these out of the recipe" in done.stderr
    assert "model.layers" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_from_a_model_goes_on_without_it(world, published, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(published, model)
    run = tmp_path / "run"
    longer = ("train.schedule = 'wsd'", "train.decay = 0.0")
    assert begin_with(model, world, run, *longer).returncode == 0
    shutil.rmtree(model)
    done = begin_with(model, world, run, *longer, "train.steps = 6")
    assert done.returncode == 0, done.stderr
    assert Checkpoints(run / "checkpoints").last() == 6


def test_the_plan_is_for_the_model_that_it_begins_with(published):
    printed = told("train", "gpt2-124m", "--plan", "--from", published)
    assert "1 layers, 2 heads, width 32, context 64" in printed
