"""What the tests of the model share: shards of tokens, and settings small enough for one core."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from webtext.model.settings import GPT2, Train

TINY = GPT2(layers=2, heads=2, width=64, context=64, vocab=500)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on a busy machine two that wait for each other are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> GPT2:
    return TINY


@pytest.fixture
def settings() -> Train:
    """Twelve steps of eight windows, in two parts, with checkpoints on the way."""
    return Train(
        steps=12,
        batch_tokens=8 * TINY.context,
        microbatch=4,
        lr=1e-2,
        min_lr=1e-3,
        warmup=2,
        eval_every=4,
        eval_tokens=512,
        checkpoint_every=3,
    )


@pytest.fixture
def write_shard() -> Callable[[Path, np.ndarray], Path]:
    """Write a shard from llm.c's description of it: 256 int32, then uint16."""

    def write(path: Path, tokens: np.ndarray) -> Path:
        header = np.zeros(256, "<i4")
        header[:3] = 20240520, 1, len(tokens)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header.tobytes() + np.asarray(tokens, "<u2").tobytes())
        return path

    return write


@pytest.fixture
def tokens(tmp_path: Path, write_shard: Callable[[Path, np.ndarray], Path]) -> Path:
    """Two train shards and one val shard of a language in which each word foretells the next."""
    random = np.random.default_rng(0)

    def text(length: int) -> np.ndarray:
        jumps = random.choice(3, size=length, p=[0.8, 0.1, 0.1])
        return np.cumsum(1 + 7 * jumps) % TINY.vocab

    folder = tmp_path / "tokens"
    write_shard(folder / "train-00000.bin", text(3000))
    write_shard(folder / "train-00001.bin", text(2000))
    write_shard(folder / "val-00000.bin", text(700))
    return folder
