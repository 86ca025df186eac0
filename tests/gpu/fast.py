"""Tokens a second, and memory, against compiled nanoGPT: each contender in its own process.

A contender compiles and warms up, prints "ready", and waits for its turn to be timed. So several
can compile at once, and none is timed while another uses the GPU.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tests.bench.tokens import write_tokens
from webtext.model.machine.hardware import look_up
from webtext.model.settings import GPT2, Train
from webtext.model.training.train import Line, train

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / ".bench-venv" / "nanoGPT" / "model.py"
SIZES = {
    "tiny": GPT2(layers=2, heads=2, width=64, context=64),
    "124M": GPT2(),
    "1558M": GPT2(48, 25, 1600),
}
PARTS = 8  # microbatches of a step
WARM = 3  # steps that compile and warm up
DOCUMENT = 1000  # mean tokens of a document, if documents are masked: WebText's 5,000 bytes


@dataclass(frozen=True)
class Case:
    """One contender at one size."""

    size: str
    windows: int
    who: str
    masked: bool = False
    steps: int = 12  # that are timed
    gigabytes: float = 0.0  # of peak memory, to know which contenders fit on the device together


CASES = (
    Case("124M", 16, "webtext", gigabytes=12),
    Case("124M", 16, "nanoGPT", gigabytes=15),
    Case("124M", 16, "webtext", masked=True, gigabytes=12),
    Case("124M", 64, "webtext", steps=6, gigabytes=33),
    Case("124M", 64, "nanoGPT", steps=6, gigabytes=47),
    Case("1558M", 8, "webtext", steps=5, gigabytes=58),
    Case("1558M", 8, "nanoGPT", steps=5, gigabytes=58),
)
QUICK = (Case("tiny", 2, "webtext"), Case("tiny", 2, "nanoGPT"), Case("tiny", 2, "webtext", True))


def measure(device: str, *, quick: bool) -> list[dict[str, Any]]:
    """Time all contenders; return the results, and print each at once."""
    found = []
    for together in groups(QUICK if quick else CASES, device):
        running = [(case, start(case, device)) for case in together]
        for _, process in running:
            ready(process)
        for case, process in running:
            one = finish(process)
            if one is None:
                print(f"  {case.size:6} {case.windows:3} {case.who:8} failed", flush=True)
                continue
            found.append(one)
            mfu = "" if one["mfu"] is None else f"   MFU {one['mfu']:.1%}"
            memory = "" if one["memory"] is None else f"   {one['memory'] / 1e9:.1f} GB"
            masked = "   documents masked" if case.masked else ""
            speed = f"{one['tokens_per_s']:12,.0f} tokens/s"
            start_s = f"   {one['start_s']:.0f} s to the first step"
            print(
                f"  {case.size:6} {case.windows:3} {case.who:8} {speed}{mfu}{memory}{start_s}"
                f"{masked}",
                flush=True,
            )
    return found


def ratios(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ratios of speeds: webtext to nanoGPT, and masked documents to unmasked ones."""
    speed = {(f["size"], f["windows"], f["who"], f["masked"]): f["tokens_per_s"] for f in found}
    pairs = []
    for size, windows, who, masked in speed:
        plain = (size, windows, "webtext", False)
        if who == "nanoGPT" and plain in speed:
            pairs.append((size, windows, "webtext by nanoGPT", plain, (size, windows, who, masked)))
        if masked and plain in speed:
            pairs.append((size, windows, "masked by not", (size, windows, who, masked), plain))
    result = [
        {"size": size, "windows": windows, "of": of, "ratio": round(speed[one] / speed[other], 3)}
        for size, windows, of, one, other in pairs
    ]
    for one in result:
        print(f"  {one['size']:6} {one['windows']:3} {one['of']}: {one['ratio']:.3f}", flush=True)
    return result


def groups(cases: tuple[Case, ...], device: str) -> Iterator[list[Case]]:
    """Yield groups of cases that fit on the device together; without nanoGPT if it is absent."""
    room = torch.cuda.get_device_properties(0).total_memory / 1e9 if device == "cuda" else 1.0
    here = [case for case in cases if case.who != "nanoGPT" or PEER.exists()]
    if len(here) < len(cases):
        print(f"  no nanoGPT: wanted a clone of it at {PEER.parent.relative_to(ROOT)}", flush=True)
    together: list[Case] = []
    for case in here:
        if together and sum(c.gigabytes for c in [*together, case]) > 0.92 * room:
            yield together
            together = []
        together.append(case)
    if together:
        yield together


def start(case: Case, device: str) -> "subprocess.Popen[str]":
    """Start a contender."""
    asked = json.dumps([asdict(case), device])
    command = [sys.executable, "-m", "tests.gpu.fast", asked]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def ready(process: "subprocess.Popen[str]") -> None:
    """Wait until a contender has warmed up or failed."""
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            return


def finish(process: "subprocess.Popen[str]") -> dict[str, Any] | None:
    """Let a contender run timed steps; return its result, None if it failed."""
    assert process.stdin is not None
    try:
        told, _ = process.communicate("go\n")
    except BrokenPipeError:
        return None
    lines = [line for line in told.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if process.returncode == 0 and lines else None


def webtext(case: Case, device: str, scratch: Path, tick: Callable[[], None]) -> None:
    """Train as users do, including the log."""
    gpt = SIZES[case.size]
    batch = PARTS * case.windows * gpt.context
    write_tokens(scratch, 4 * batch + 1, DOCUMENT if case.masked else 0)
    settings = Train(
        steps=WARM + case.steps + 1, batch_tokens=batch, microbatch=case.windows, warmup=5,
        eval_every=0, eval_tokens=gpt.context, checkpoint_every=0, mask_documents=case.masked,
    )  # fmt: skip

    def watch(line: Line) -> None:
        tick()
        if line["step"] == settings.steps - 2:
            raise KeyboardInterrupt  # before the last step measures val and saves

    try:
        train(scratch / "run", scratch, gpt, settings, device, watch)
    except KeyboardInterrupt:
        return


def nanogpt(case: Case, device: str, scratch: Path, tick: Callable[[], None]) -> None:
    """Run the steps of nanoGPT's train.py, with its own settings."""
    from tests.gpu.peer import NanoGPT

    gpt = SIZES[case.size]
    tokens = write_tokens(scratch, 4 * PARTS * case.windows * gpt.context)
    peer = NanoGPT(gpt, case.windows, tokens, PEER, device, PARTS)
    for _ in range(WARM + case.steps):
        peer.step()
        tick()


def run(case: Case, device: str) -> dict[str, Any]:
    """Run as a contender; timing starts when the parent says so."""
    began = time.perf_counter()
    times: list[float] = []
    steps = played = 0  # played: bytes that CUDA graphs hold between steps
    started = 0.0

    def tick() -> None:
        nonlocal steps, began, started, played
        steps += 1
        now = time.perf_counter()
        if steps == 1:
            started = now - began
        if steps > WARM + 1:
            times.append(now - began)
        if steps == WARM:
            if device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.empty_cache()
                played = torch.cuda.memory_reserved()
            print("ready", flush=True)
            sys.stdin.readline()
        began = time.perf_counter()

    contender = {"webtext": webtext, "nanoGPT": nanogpt}[case.who]
    with TemporaryDirectory() as scratch:
        contender(case, device, Path(scratch), tick)
    gpt = SIZES[case.size]
    speed = PARTS * case.windows * gpt.context / statistics.median(times)
    known = look_up(torch.cuda.get_device_name()) if device == "cuda" else None
    return {
        "size": case.size,
        "windows": case.windows,
        "who": case.who,
        "masked": case.masked,
        "tokens_per_s": round(speed, 1),
        "mfu": round(speed * gpt.flops_per_token / known.half, 4) if known else None,
        # Torch counts the memory of a CUDA graph as allocated only during its capture.
        "memory": max(torch.cuda.max_memory_allocated(), played) if device == "cuda" else None,
        "start_s": round(started, 1),
    }


if __name__ == "__main__":
    asked, on = json.loads(sys.argv[1])
    print(json.dumps(run(Case(**asked), on)), flush=True)
