"""Random tokens, as the benches of the trainer read them."""

from pathlib import Path

import numpy as np

from webtext.model.batches.data import MAGIC, VERSION
from webtext.model.settings import END_OF_TEXT


def write_tokens(folder: Path, count: int, document: int = 0) -> Path:
    """Write one shard of random tokens for each split; return the one to train on.

    Documents are of `document` tokens in the mean; for 0 there is but one.
    """
    header = np.zeros(256, "<i4")
    header[:3] = MAGIC, VERSION, count
    random = np.random.default_rng(0)
    drawn = random.integers(50_000, size=count, dtype=np.uint16)
    if document:
        drawn[random.random(count) < 1 / document] = END_OF_TEXT
    for split in ("train", "val"):
        (folder / f"{split}-00000.bin").write_bytes(header.tobytes() + drawn.tobytes())
    return folder / "train-00000.bin"
