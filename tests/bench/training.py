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
from tests.bench.tokens import write_tokens
from tests.gpu.peer import NanoGPT
from webtext.model.batches.reading import Part, Reader
from webtext.model.settings import GPT2, Train
from webtext.model.training.train import Line, train

TINY = ("tiny", GPT2(layers=4, heads=4, width=128, context=128), 8)
SMALL = ("124M", GPT2(), 1)


def compare(name: str, gpt: GPT2, windows: int, steps: int) -> None:
    """Print tokens a second of both, and how much of a step reading takes."""
    ours: list[float] = []
    theirs: list[float] = []
    reading: list[float] = []

    def timed_read(self: Reader, step: int, windows: np.ndarray) -> Part:
        started = time.thread_time()
        part = original(self, step, windows)
        reading.append(time.thread_time() - started)
        return part

    original = Reader.part
    with tempfile.TemporaryDirectory() as scratch:
        shard = write_tokens(Path(scratch), 40 * gpt.context * windows)
        peer = NanoGPT(gpt, windows, shard, peers.source("nanoGPT") / "model.py", "cpu")
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
        Reader.part = timed_read  # type: ignore[method-assign]
        try:
            train(Path(scratch) / "run", Path(scratch), gpt, settings, "cpu", watch)
        finally:
            Reader.part = original  # type: ignore[method-assign]
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
