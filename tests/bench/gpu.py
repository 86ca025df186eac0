"""Training on a CUDA device against compiled nanoGPT, in one run: one command for such a machine.

    python -m tests.bench.gpu [--steps 60] [--sizes 124M 1558M] [--microbatch 124M=16 1558M=4]

Each contender is a process of its own, so that neither meets the other's memory: bf16,
torch.compile, the same windows at a time and the same batch of eight such parts a step. Printed are
tokens a second (the median of the steps after the first ten), MFU by PaLM's formula with the
device's dense bf16 peak (none where the device is unknown), and the peak of allocated memory.
`--device cpu` runs the same code with tiny sizes, to see that it works; its figures mean nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from tests.bench.peers import ROOT
from tests.bench.training import NanoGPT, write_tokens
from webtext.model.settings import GPT2, Train
from webtext.model.training.hardware import look_up
from webtext.model.training.train import Line, train

SIZES = {
    "tiny": GPT2(layers=2, heads=2, width=64, context=64),
    "124M": GPT2(),
    "355M": GPT2(24, 16, 1024),
    "774M": GPT2(36, 20, 1280),
    "1558M": GPT2(48, 25, 1600),
}
MICROBATCH = {"tiny": 2, "124M": 16, "355M": 8, "774M": 4, "1558M": 4}
PARTS = 8  # of a step's batch
WARM = 10  # steps that compile and warm up


def webtext(gpt: GPT2, microbatch: int, steps: int, device: str, scratch: Path) -> list[float]:
    """Return the seconds of each step of our own loop, logging and all."""
    write_tokens(scratch, 4 * PARTS * microbatch * gpt.context)
    times: list[float] = []
    began = time.perf_counter()

    def watch(line: Line) -> None:
        nonlocal began
        now = time.perf_counter()
        times.append(now - began)
        began = now

    settings = Train(
        steps=steps, batch_tokens=PARTS * microbatch * gpt.context, microbatch=microbatch,
        warmup=5, eval_every=0, eval_tokens=gpt.context, checkpoint_every=0,
    )  # fmt: skip
    train(scratch / "run", scratch, gpt, settings, device, watch)
    return times[:-1]  # the last one measures val and saves


def nanogpt(gpt: GPT2, microbatch: int, steps: int, device: str, scratch: Path) -> list[float]:
    """Return the seconds of each step of nanoGPT's loop, at its train.py's own settings."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    peer = NanoGPT(gpt, microbatch, write_tokens(scratch, 4 * PARTS * microbatch * gpt.context))
    cuda = device.startswith("cuda")
    peer.model.to(device)
    peer.mover = peer.model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), device.partition(":")[0])
    called = torch.compile(peer.model) if cuda else peer.model
    context = torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext()

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        x, y = peer.batch()
        if cuda:
            x, y = x.pin_memory(), y.pin_memory()
        return x.to(device, non_blocking=cuda), y.to(device, non_blocking=cuda)

    times = []
    x, y = batch()
    for _ in range(steps):
        started = time.perf_counter()
        for _ in range(PARTS):
            with context:
                _, loss = called(x, y)
                loss = loss / PARTS
            x, y = batch()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.model.parameters(), 1.0)
        peer.mover.step()
        peer.mover.zero_grad(set_to_none=True)
        float(loss.item())
        times.append(time.perf_counter() - started)
    return times


def measure(options: argparse.Namespace) -> None:
    """Run one contender at one size, and print what came of it as JSON."""
    size, microbatch = options.one[1], int(options.one[2])
    gpt = SIZES[size]
    contender = {"webtext": webtext, "nanoGPT": nanogpt}[options.one[0]]
    with tempfile.TemporaryDirectory() as scratch:
        times = contender(gpt, microbatch, options.steps, options.device, Path(scratch))
    warm = times[WARM:] if len(times) > WARM + 2 else times[1:]
    speed = PARTS * microbatch * gpt.context / statistics.median(warm)
    cuda = options.device.startswith("cuda")
    known = look_up(torch.cuda.get_device_name()) if cuda else None
    found: dict[str, Any] = {
        "tokens_per_s": speed,
        "mfu": speed * gpt.flops_per_token / known.half if known else None,
        "memory": torch.cuda.max_memory_allocated() if cuda else None,
    }
    print(json.dumps(found))


def run(contender: str, size: str, microbatch: int, options: argparse.Namespace) -> Any:
    """Return what a contender's process measured, or None where it failed; its words are shown."""
    command = [sys.executable, "-m", "tests.bench.gpu", "--one", contender, size, str(microbatch)]
    command += ["--steps", str(options.steps), "--device", options.device]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def main() -> None:
    """Compare both at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["124M", "1558M"])
    parser.add_argument("--microbatch", nargs="*", default=[], metavar="SIZE=WINDOWS")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options)
        return
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device here, so nothing was measured; see --device cpu in --help")
        return
    parts = MICROBATCH | {k: int(v) for k, _, v in (m.partition("=") for m in options.microbatch)}
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{name}, torch {torch.__version__}")
    for size in options.sizes:
        both = [run(who, size, parts[size], options) for who in ("webtext", "nanoGPT")]
        for who, found in zip(("webtext", "nanoGPT"), both, strict=True):
            if found is None:
                print(f"  {size:6} {who:8} failed; try --microbatch {size}={parts[size] // 2}")
                continue
            mfu = "unknown" if found["mfu"] is None else f"{found['mfu']:.1%}"
            memory = "unknown" if found["memory"] is None else f"{found['memory'] / 1e9:.1f} GB"
            speed = f"{found['tokens_per_s']:12,.0f} tokens/s"
            print(f"  {size:6} {who:8} {speed}   MFU {mfu}   peak memory {memory}")
        if all(both):
            print(f"  {size:6} ratio {both[0]['tokens_per_s'] / both[1]['tokens_per_s']:.2f}")


if __name__ == "__main__":
    main()
