"""Several processes do what one does."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import pytest

from webtext.model.errors import UserError
from webtext.model.training.data import Batches, Stream
from webtext.model.training.parallel import Group
from webtext.model.training.run import log
from webtext.model.training.train import train
from webtext.model.training.trained import load

WORKER = """
import json, os, sys
from pathlib import Path

import torch

from webtext.model.training.data import Batches
from webtext.model.settings import GPT2, Train
from webtext.model.training.train import train

torch.set_num_threads(1)
run, tokens, gpt, settings, note = json.loads(sys.argv[1])

# Write down which windows this process reads at each step.
read, tokens_of = [], Batches.tokens
Batches.tokens = lambda self, windows: (read.append(windows.tolist()), tokens_of(self, windows))[1]
train(Path(run), Path(tokens), GPT2(**gpt), Train(**settings), "cpu")
(Path(note) / f"{os.getpid()}.json").write_text(json.dumps(read))
"""


def together(processes, run, tokens, gpt, settings):
    """Train under torchrun; return which windows each process read, in order."""
    note = run.parent / f"{run.name}-read"
    note.mkdir(exist_ok=True)
    worker = run.parent / "worker.py"
    worker.write_text(WORKER)
    asked = json.dumps([str(run), str(tokens), asdict(gpt), asdict(settings), str(note)])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(worker), asked]
    root = Path(__file__).parents[3]
    env = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, env=env, cwd=root, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in note.glob("*.json")]


def losses(run):
    return [line["loss"] for line in log(run)]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_read_and_learn_what_one_does(tokens, tiny, settings, tmp_path, parallel):
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


def test_a_run_of_one_process_goes_on_in_two(tokens, tiny, settings, tmp_path):
    whole = replace(settings, steps=6)
    train(tmp_path / "one", tokens, tiny, whole, "cpu")

    def leave(line):
        if line["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "two", tokens, tiny, whole, "cpu", leave)
    together(2, tmp_path / "two", tokens, tiny, replace(whole, parallel="fsdp"))
    assert losses(tmp_path / "two")[:3] == losses(tmp_path / "one")[:3]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)


def test_a_batch_is_dealt_out_in_order_and_evenly():
    assert [Group(rank, 4).share(8) for rank in range(4)] == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 6),
        slice(6, 8),
    ]
    with pytest.raises(UserError, match="8 windows a step do not deal out to 3 processes"):
        Group(0, 3).share(8)
