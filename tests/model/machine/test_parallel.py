"""Several processes do what one does."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import pytest

from webtext.model.batches.data import Batches, Stream
from webtext.model.errors import UserError
from webtext.model.machine.parallel import Group
from webtext.model.training.checkpoint import Checkpoints
from webtext.model.training.run import log
from webtext.model.training.train import train
from webtext.model.training.trained import load

WORKER = """
import json, os, signal, sys
from pathlib import Path

import torch

from webtext.model.batches.data import Batches
from webtext.model.settings import GPT2, Train
from webtext.model.training.train import train

torch.set_num_threads(1)
run, tokens, gpt, settings, note, until = json.loads(sys.argv[1])


def watch(line):
    if line["step"] == until - 2:  # it is heard of in the step after this one
        os.kill(os.getpid(), signal.SIGTERM)



# With FSDP nobody may ever hold all of a weight, not even to save it.
if settings["parallel"] == "fsdp":
    from webtext.model.machine import parallel; from webtext.model.training import checkpoint

    def whole(tensor):
        assert tensor.dim() == 0, "only the gradient's norm"
        return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor

    parallel.whole = whole
    del checkpoint.snapshot

# Write down which windows this process reads at each step.
read, tokens_of = [], Batches.tokens
Batches.tokens = lambda self, windows: (read.append(windows.tolist()), tokens_of(self, windows))[1]
train(Path(run), Path(tokens), GPT2(**gpt), Train(**settings), "cpu", watch)
(Path(note) / f"{os.getpid()}.json").write_text(json.dumps(read))
"""


# Compile on the CPU too; what is traced is run as it is.
COMPILED = """
from webtext.model.training import passes

passes.COMPILED_ON, passes.BACKEND = ("cpu",), "aot_eager"
"""
FAULT = (
    COMPILED
    + """
import torch

from webtext.model.gpt.gpt import MLP

right = MLP.forward
MLP.forward = lambda self, x: right(self, x) * (1.2 if torch.compiler.is_compiling() else 1)
"""
)


def together(processes, run, tokens, gpt, settings, until=0, before=""):
    """Train under torchrun, up to `until` where it is given; return which windows each read.

    `before` is code that each process runs first.
    """
    note = run.parent / f"{run.name}-read"
    note.mkdir(exist_ok=True)
    worker = run.parent / "worker.py"
    worker.write_text(before + WORKER)
    asked = json.dumps([str(run), str(tokens), asdict(gpt), asdict(settings), str(note), until])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(worker), asked]
    root = Path(__file__).parents[3]
    env = {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
        "PYTHONFAULTHANDLER": "1",
    }
    done = subprocess.run(
        command, env=env, cwd=root, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[:6000]
    return [json.loads(path.read_text()) for path in note.glob("*.json")]


def losses(run):
    return [line["loss"] for line in log(run)]


OTHER = {"positions": "rotary", "qk_norm": True, "value_residual": True, "tied": False}


@pytest.mark.parametrize(
    ("parallel", "changed"),
    [("ddp", {}), ("fsdp", {}), ("fsdp", OTHER)],
    ids=["ddp", "fsdp", "fsdp-other"],
)
def test_two_processes_read_and_learn_what_one_does(
    tokens, tiny, settings, tmp_path, parallel, changed
):
    tiny = replace(tiny, **changed)
    settings = replace(settings, steps=6, microbatch=2, eval_every=0, parallel=parallel)
    (tokens / "val-00000.bin").unlink()  # so that what is read is what is trained on
    train(tmp_path / "one", tokens, tiny, settings, "cpu")
    read = together(2, tmp_path / "two", tokens, tiny, settings)

    batches = Batches(Stream(tokens, "train"), 64, 8, settings.seed, 500)
    for step in range(6):
        parts = [part for process in read for part in process[2 * step : 2 * step + 2]]
        assert [len(part) for part in parts] == [2, 2, 2, 2]
        assert sorted(chain(*parts)) == sorted(batches.windows(step).tolist())
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)
    for a, b in zip(
        load(tmp_path / "one").parameters(), load(tmp_path / "two").parameters(), strict=True
    ):
        assert (a - b).abs().max() < 2e-3


def test_code_compiled_for_shared_out_weights_is_proved(tokens, tiny, settings, tmp_path):
    """Two processes that share the weights out compile layer by layer, and learn as one does."""
    settings = replace(settings, steps=2, eval_every=0, precision="bf16", parallel="fsdp")
    train(tmp_path / "one", tokens, tiny, settings, "cpu")
    together(2, tmp_path / "two", tokens, tiny, settings, before=COMPILED)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=2e-3)
    first, _ = log(tmp_path / "two")
    assert first["proof"]["gradient"] < 1


def test_a_fault_is_named_where_weights_are_shared_out(tokens, tiny, settings, tmp_path):
    settings = replace(settings, steps=1, eval_every=0, parallel="fsdp", disagreement="stop")
    with pytest.raises(AssertionError, match=r"the model: its \w+ .*; at fault: block 0 \(off by"):
        together(2, tmp_path / "run", tokens, tiny, settings, before=FAULT)


def test_a_run_goes_on_in_any_number_of_processes_whoever_holds_what(
    tokens, tiny, settings, tmp_path
):
    """One, then two that share the weights, two that each hold all, four that share, one again."""
    settings = replace(settings, microbatch=2, checkpoint_every=2, keep=9, eval_every=0)
    train(tmp_path / "one", tokens, tiny, settings, "cpu")

    run = tmp_path / "many"
    with pytest.raises(KeyboardInterrupt):
        train(run, tokens, tiny, settings, "cpu", leave)  # with a checkpoint after 2
    sharing = replace(settings, parallel="fsdp")
    together(2, run, tokens, tiny, sharing, until=4)
    together(2, run, tokens, tiny, settings, until=6)
    together(4, run, tokens, tiny, sharing, until=8)
    train(run, tokens, tiny, settings, "cpu")

    saved = Checkpoints(run / "checkpoints")
    names = {path.name for path in saved.folder.iterdir() if path.suffix != ".json"}
    assert names == {
        f"step-0000000{step}{'' if step in (4, 8) else '.pt'}" for step in (2, 4, 6, 8)
    } | {"step-00000010.pt", "step-00000012.pt"}
    parts = [path.stat().st_size for path in saved.path(4).glob("*.distcp")]
    assert len(parts) == 2  # each of them half: 12 bytes a parameter, and some for the names
    held = 12 * tiny.parameters / 2
    assert all(held < part < 1.3 * held for part in parts)
    assert losses(run) == pytest.approx(losses(tmp_path / "one"), abs=2e-4)


def leave(line):
    if line["step"] == 3:
        raise KeyboardInterrupt


def test_a_part_of_a_checkpoint_that_is_damaged_or_would_run_code_is_not_believed(
    tokens, tiny, settings, tmp_path
):
    run = tmp_path / "run"
    settings = replace(settings, steps=2, eval_every=0, checkpoint_every=1, parallel="fsdp")
    together(2, run, tokens, tiny, settings)
    saved = Checkpoints(run / "checkpoints")
    part = saved.path(2) / "__1_0.distcp"
    whole = part.read_bytes()
    part.write_bytes(whole[:-9] + b"x" + whole[-8:])
    with pytest.raises(
        UserError, match=r"step-00000002: damaged: __1_0.distcp: not what .* from step 1"
    ):
        load(run, step=2)
    part.unlink()
    with pytest.raises(UserError, match=r"step-00000002: damaged: __1_0.distcp"):
        load(run, step=2)
    part.write_bytes(whole)
    metadata = saved.path(2) / ".metadata"
    note = saved.path(2).with_suffix(".json")
    found = json.loads(note.read_text())
    metadata.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    found["files"][".metadata"] = hashlib.sha256(metadata.read_bytes()).hexdigest()
    note.write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"no metadata of a checkpoint \(it asks for os.system"):
        load(run, step=2)


def test_a_batch_is_dealt_out_in_order_and_evenly():
    assert [Group(rank, 4).share(8) for rank in range(4)] == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 6),
        slice(6, 8),
    ]
    with pytest.raises(UserError, match="8 windows a step do not deal out to 3 processes"):
        Group(0, 3).share(8)
