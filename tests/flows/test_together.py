"""Several processes under torchrun, from the command line: who speaks, and how they exit."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.flows.conftest import ROOT, environment

SMALL = (
    "model.layers = 1",
    "model.heads = 1",
    "model.width = 16",
    "model.context = 32",
    "model.vocab = 500",
    "train.steps = 4",
    "train.batch_tokens = 256",
    "train.microbatch = 2",
    "train.warmup = 1",
    "train.eval_every = 0",
    "train.checkpoint_every = 0",
)


@pytest.fixture
def tokens(tmp_path) -> Path:
    """One shard, of which four steps of 8 windows of 32 read a part."""
    folder = tmp_path / "tokens"
    folder.mkdir()
    write(folder, np.arange(20_000) % 500)
    return folder


def write(folder: Path, tokens: np.ndarray) -> None:
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, len(tokens)
    (folder / "train-00000.bin").write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


def together(tmp_path, tokens, *more: str, recipe="tiny"):
    """Train in two processes.

    Return torchrun's exit code, that of the process that failed first (None: none did), and what
    each said on stderr. The others are stopped by torchrun, wherever they are by then.
    """
    asked = ["train", recipe, "--tokens", str(tokens), "--run", str(tmp_path / "run")]
    asked += ["--device", "cpu", *(part for line in SMALL for part in ("--set", line)), *more]
    logs = tmp_path / "logs"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "--redirects", "3", "--log-dir", str(logs), "-m", "--", "webtext", *asked],
        env=environment() | {"OMP_NUM_THREADS": "1"}, cwd=ROOT, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    newest = max(logs.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    said = [(newest / "attempt_0" / str(rank) / "stderr.log").read_text() for rank in (0, 1)]
    cause = re.search(r"Root Cause.*?exitcode *: (-?\d+)", done.stderr, re.DOTALL)
    return done.returncode, cause and int(cause[1]), said


def test_processes_that_end_well_say_so_once(tmp_path, tokens):
    code, _, (first, second) = together(tmp_path, tokens)
    assert code == 0
    assert "the val split has 0 tokens" in first
    assert second == ""


def once(found: tuple[int, int | None, list[str]], rank: int, words: str) -> None:
    """Hold that one process has said one line, the other nothing, and it is 2 that counts."""
    code, cause, said = found
    lines = [line for line in said[rank].splitlines() if "val split" not in line]
    told = [line for line in lines if line.startswith("webtext: ")]
    assert len(told) == 1, said
    assert words in told[0]
    assert "Traceback" not in "".join(said)
    assert "Error" not in "".join(said)
    assert "interrupted" not in "".join(said)
    assert "webtext: " not in said[1 - rank]
    assert code != 0
    assert cause == 2


def test_the_mistake_of_the_leading_process_is_told_by_it_alone(tmp_path, tokens):
    assert together(tmp_path, tokens)[0] == 0
    found = together(tmp_path, tokens, "--set", "train.lr = 0.01")
    once(found, 0, "train.lr was 0.005, is 0.01")


def test_the_mistake_of_another_process_is_told_by_it_alone(tmp_path, tokens):
    """A token of another vocabulary, in a window that the second one reads at the third step."""
    from webtext.model.batches.data import Batches, Stream

    batches = Batches(Stream(tokens, "train"), 32, 8, 0, 500)
    window = int(batches.windows(2)[6])
    text = np.arange(20_000) % 500
    text[window * 32 + 7] = 700
    write(tokens, text)
    once(together(tmp_path, tokens), 1, "train-00000.bin: holds token 700, wanted less than 500")


def test_a_mistake_of_all_is_told_by_one(tmp_path, tokens):
    code, cause, said = together(tmp_path, tokens, "--set", "train.batch_tokens = 96")
    told = [line for text in said for line in text.splitlines() if "webtext: " in line]
    assert (code, cause, len(told)) == (1, 2, 1)
    assert "3 windows a step do not deal out to 2 processes" in told[0]
    code, cause, said = together(tmp_path, tokens, recipe="nowhere")
    told = [line for text in said for line in text.splitlines() if "webtext: " in line]
    assert (code, cause, len(told)) == (1, 2, 1)
    assert "recipe nowhere: no such file" in told[0]


@pytest.mark.parametrize("arguments", ["train nowhere", "train nowhere --nothing", "settings"])
def test_the_exit_code_is_not_that_of_a_library_which_aborts_at_the_end(arguments):
    code = "import atexit, os; from webtext.flows.commands.command_line import main; "
    code += "atexit.register(os.abort); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], capture_output=True, text=True,
        env=environment() | {"TORCHELASTIC_RUN_ID": "1"}, cwd=ROOT, timeout=100, check=False,
    )  # fmt: skip
    well = arguments == "settings"
    assert done.returncode == (0 if well else 2)
    assert (bool(done.stdout), bool(done.stderr)) == (well, not well)
