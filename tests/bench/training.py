"""A training step on this CPU against nanoGPT's own, step by step in turn, in one process.

    python -m tests.bench.training [--steps 30]

Ours is `webtext.model.training.train.train` as users run it: what goes on between one call of its
watcher and the next, reading, logging and all, which includes checking the loss. nanoGPT's is the
body of its train.py: get_batch, forward, backward, clip, step. One thread, the same shapes,
float32, CPU time; the median of the steps, so that what one step met by chance doesn't count.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tests.bench import peers
from webtext.model.settings import GPT2, Train
from webtext.model.training.data import MAGIC, VERSION, Batches
from webtext.model.training.train import Line, Work, train

TINY = ("tiny", GPT2(layers=4, heads=4, width=128, context=128), 8)
SMALL = ("124M", GPT2(), 1)


class NanoGPT:
    """nanoGPT's model and optimiser, and the step that its train.py takes."""

    def __init__(self, gpt: GPT2, windows: int, tokens: Path) -> None:
        code = peers.load(peers.source("nanoGPT") / "model.py", "nanogpt_model")
        shape = {"n_layer": gpt.layers, "n_head": gpt.heads, "n_embd": gpt.width}
        shape |= {"block_size": gpt.context, "vocab_size": gpt.padded_vocab}
        self.model = code.GPT(code.GPTConfig(**shape, dropout=0.0, bias=False))
        self.mover = self.model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
        self.context, self.windows, self.tokens = gpt.context, windows, tokens
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        data = np.memmap(self.tokens, dtype=np.uint16, mode="r", offset=1024)
        places = torch.randint(len(data) - self.context, (self.windows,))
        x, y = (
            torch.stack(
                [
                    torch.from_numpy(data[i + after : i + after + self.context].astype(np.int64))
                    for i in places
                ]
            )
            for after in (0, 1)
        )
        return x, y

    def step(self) -> float:
        _, loss = self.model(*self.batch())
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.mover)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.mover)
        self.scaler.update()
        self.mover.zero_grad(set_to_none=True)
        return float(loss.item())


def write_tokens(folder: Path, count: int) -> Path:
    """Write one shard of random tokens for each split."""
    header = np.zeros(256, "<i4")
    header[:3] = MAGIC, VERSION, count
    drawn = np.random.default_rng(0).integers(50_257, size=count, dtype=np.uint16)
    for split in ("train", "val"):
        (folder / f"{split}-00000.bin").write_bytes(header.tobytes() + drawn.tobytes())
    return folder / "train-00000.bin"


def compare(name: str, gpt: GPT2, windows: int, steps: int) -> None:
    """Print tokens a second of both, and how much of a step reading takes."""
    ours: list[float] = []
    theirs: list[float] = []
    reading: list[float] = []

    def timed_read(self: Work, batches: Batches, part: np.ndarray) -> tuple[object, object]:
        started = time.process_time()
        read = original(self, batches, part)
        reading.append(time.process_time() - started)
        return read

    original = Work.read
    with tempfile.TemporaryDirectory() as scratch:
        shard = write_tokens(Path(scratch), 40 * gpt.context * windows)
        peer = NanoGPT(gpt, windows, shard)
        began = time.process_time()

        def watch(line: Line) -> None:
            nonlocal began
            ours.append(time.process_time() - began)
            started = time.process_time()
            peer.step()
            theirs.append(time.process_time() - started)
            began = time.process_time()

        settings = Train(
            steps=steps, batch_tokens=windows * gpt.context, microbatch=windows, warmup=1,
            eval_tokens=gpt.context, eval_every=0, checkpoint_every=0,
        )  # fmt: skip
        Work.read = timed_read  # type: ignore[method-assign]
        try:
            train(Path(scratch) / "run", Path(scratch), gpt, settings, "cpu", watch)
        finally:
            Work.read = original  # type: ignore[method-assign]
    one, other = (statistics.median(times[2:-1]) for times in (ours, theirs))
    tokens = windows * gpt.context
    print(
        f"  {name:5} webtext {tokens / one:8,.0f} tokens/s   nanoGPT {tokens / other:8,.0f}   "
        f"ratio {other / one:.2f}   reading {statistics.median(reading[:-1]) / one:.2%} of a step"
    )


def main() -> None:
    """Compare at both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    print("tokens a second of CPU time, one thread, float32")
    compare(*TINY, steps)
    compare(*SMALL, max(6, steps // 4))


if __name__ == "__main__":
    main()
