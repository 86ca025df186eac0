"""Whether others read our token shards: nanoGPT's train.py and llm.c's loader, run as they are.

    python -m tests.bench.readers

A small corpus is tokenised by our own step. llm.c's reader is the `DistributedDataLoader` of its
train_gpt2.py; nanoGPT trains ten steps on what `webtext tokens --format nanogpt` writes.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.bench import peers
from tests.pipeline.fake_data import World
from webtext.pipeline.core.shards import Directory


def llmc(tokens: Directory) -> None:
    """Read every batch of the train split with llm.c's loader; it must be the shard's tokens."""
    code = peers.load(peers.source("llm.c") / "train_gpt2.py", "llmc_train")
    code.print0 = print
    loader = code.DistributedDataLoader(str(tokens.path / "train-*.bin"), 2, 64, 0, 1)
    read = [loader.next_batch()[0].numpy().ravel() for _ in range(20)]
    shard = np.fromfile(tokens.path / "train-00000.bin", np.uint16)[512:]
    assert np.array_equal(np.concatenate(read), shard[: 20 * 128])
    print(f"llm.c reads {loader.ntok_total:,} tokens, 20 batches of them equal to the shard's")


def nanogpt(tokens: Directory, scratch: Path) -> None:
    """Train ten steps with nanoGPT's train.py on the files in its format."""
    home = peers.source("nanoGPT")
    data = scratch / "data" / "webtext"
    command = [sys.executable, "-m", "webtext", "tokens", str(tokens.path), "-o", str(data)]
    subprocess.run([*command, "--format", "nanogpt"], check=True, cwd=peers.ROOT)
    settings = {
        "dataset": "webtext", "device": "cpu", "compile": False, "dtype": "float32",
        "n_layer": 1, "n_head": 1, "n_embd": 16, "block_size": 32, "batch_size": 4,
        "gradient_accumulation_steps": 1, "max_iters": 10, "eval_iters": 1, "eval_interval": 10,
        "log_interval": 5, "out_dir": str(scratch / "out"),
    }  # fmt: skip
    options = [f"--{name}={value}" for name, value in settings.items()]
    where = {**os.environ, "PYTHONPATH": str(home), "PYTHONWARNINGS": "ignore"}
    for file in ("train.py", "model.py", "configurator.py"):
        (scratch / file).write_bytes((home / file).read_bytes())
    subprocess.run([sys.executable, "train.py", *options], check=True, cwd=scratch, env=where)
    assert (scratch / "out" / "ckpt.pt").exists()


def main() -> None:
    """Let both read."""
    with tempfile.TemporaryDirectory() as scratch:
        tokens = World(Path(scratch) / "data").directories["tokens"]
        llmc(tokens)
        nanogpt(tokens, Path(scratch))


if __name__ == "__main__":
    main()
