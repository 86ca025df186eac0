"""Training is killed, as power cuts and schedulers do it, at several moments."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import torch

from webtext.model.training.run import log
from webtext.model.training.train import train

# Trains in children that are killed by SIGKILL, one after the other in the same directory: after a
# step's line, or at any time after it (while a checkpoint is being written, say).
CHILD = """
import json, os, random, signal, sys, threading, warnings
from pathlib import Path

import torch
import torch._dynamo  # every optimiser does: once here is sooner than in each child

from webtext.model.settings import GPT2, Train
from webtext.model.training.train import train

warnings.simplefilter("error")
torch.set_num_threads(1)
run, tokens, gpt, settings, moments = json.loads(sys.argv[1])
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

for step, milliseconds in moments:
    def watch(line):
        if line["step"] == step:
            threading.Timer(milliseconds / 1000, die).start() if milliseconds else die()

    child = os.fork()
    if child == 0:
        train(Path(run), Path(tokens), GPT2(**gpt), Train(**settings), "cpu", watch)
        die()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""

MOMENTS = [(1, 0), (3, 1), (5, 3), (5, 15), (7, 0), (8, 2), (8, 40)]  # step, milliseconds


def test_a_run_that_was_killed_ends_as_one_that_was_not(tokens, tiny, settings, tmp_path):
    settings = replace(settings, checkpoint_every=2)
    whole = train(tmp_path / "whole", tokens, tiny, settings, "cpu")

    killed = tmp_path / "killed"
    asked = [str(killed), str(tokens), asdict(tiny), asdict(settings), MOMENTS]
    subprocess.run([sys.executable, "-c", CHILD, json.dumps(asked)], check=True, timeout=120)
    assert not (killed / "checkpoints" / "step-00000012.json").exists()
    end = train(killed, tokens, tiny, settings, "cpu")

    timeless = ("step", "loss", "lr", "norm", "val_loss")
    assert [[line[k] for k in timeless] for line in log(killed)] == [
        [line[k] for k in timeless] for line in log(tmp_path / "whole")
    ]
    a, b = (torch.load(path, weights_only=True) for path in (end, whole))
    assert all(torch.equal(a["weights"][name], b["weights"][name]) for name in a["weights"])
