"""Checks that training is correct on a device; without that its speed does not count."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from tests.bench.tokens import write_tokens
from webtext.model.errors import DisagreementError
from webtext.model.gpt.gpt import MLP, build
from webtext.model.machine.device import Precision
from webtext.model.settings import GPT2, Train
from webtext.model.training import passes as passing
from webtext.model.training.passes import Passes
from webtext.model.training.proof import prove
from webtext.model.training.run import log
from webtext.model.training.train import train

SAVED = Path(__file__).with_name("logits.json")
# Widths and heads for which compiled code is compared with eager code; 25 does not divide 1,024.
SHAPES = ((64, 2), (768, 12), (1000, 25), (1024, 16), (1280, 20), (1600, 25))
SMALL = GPT2(layers=4, heads=6, width=384, context=256)
TINY = GPT2(layers=2, heads=2, width=64, context=64)

Found = dict[str, Any]


def check(place: torch.device, *, quick: bool) -> list[Found]:
    """Run all checks; return the result of each, and print it at once."""
    results = []
    for name, case in cases(place, quick=quick):
        started = time.monotonic()
        try:
            found, passed = case(), True
        except Exception as error:  # noqa: BLE001 (a broken driver raises anything)
            found, passed = {"wrong": f"{type(error).__name__}: {error}"[:500]}, False
        seconds = round(time.monotonic() - started, 1)
        results.append({"name": name, "passed": passed, "seconds": seconds, "found": found})
        print(f"  {'right' if passed else 'WRONG'}  {name}  {json.dumps(found)}", flush=True)
    return results


def cases(place: torch.device, *, quick: bool) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Yield the name of each check, and the function that runs it."""
    yield "logits are those that were saved", lambda: logits(place)
    for width, heads in SHAPES[:1] if quick else SHAPES:
        shape = GPT2(layers=2, heads=heads, width=width, context=64 if quick else 1024)
        for masked in (False, True) if width in (64, 768) else (False,):
            name = f"compiled equals eager: width {width}, {heads} heads"
            name += ", documents masked" if masked else ""
            yield name, lambda shape=shape, masked=masked: agreement(place, shape, masked)
    yield "a fault that is planted is named before the first step", lambda: planted(place)
    small = TINY if quick else SMALL
    yield "a run that was stopped goes on to the bit", lambda: resumed(place, small)


def logits(place: torch.device) -> Found:
    """Compare a seeded model's logits in float32 with saved ones from a CPU."""
    saved = json.loads(SAVED.read_text(encoding="utf-8"))
    found_TV = seeded_logits(place)
    off = float((found_TV.cpu() - torch.tensor(saved)).abs().max())
    assert off < 1e-3, f"off by {off}"
    return {"off": off}


def seeded_logits(place: torch.device) -> Tensor:
    """Return logits of the model with seed 0 on fixed input: 8 positions, 8 tokens."""
    x_BT = (torch.arange(64) * 37 % 500)[None]
    model = build(replace(TINY, vocab=500), 0, place)
    with torch.no_grad():
        return model(x_BT.to(place))[0, ::8, :8]


def agreement(place: torch.device, shape: GPT2, masked: bool) -> Found:
    """Compare compiled with eager code on random tokens, in the precision of training there."""
    random = torch.Generator().manual_seed(7)
    rows_BT = torch.randint(50_000, (4, shape.context + 1), generator=random)
    if masked:
        rows_BT[torch.rand(rows_BT.shape, generator=random) < 0.005] = 50_256
    x_BT, y_BT = rows_BT[:, :-1].contiguous().to(place), rows_BT[:, 1:].contiguous().to(place)
    precision = Precision("auto", place)
    model = build(shape, 0, place, mask_documents=masked)
    with compiling(place):
        passes = Passes(model, precision, compiled=True)
        passes.record(x_BT, y_BT)
        proof = prove(model, passes, precision, x_BT, y_BT)
    assert proof.fault is None, proof.fault
    return {"loss": round(proof.loss, 6), "gradient": round(proof.gradient, 3)}


def planted(place: torch.device) -> Found:
    """Check that a wrong kernel in the compiled code stops a training before its first step."""
    right = MLP.forward

    def wrong(self: MLP, x: Tensor) -> Tensor:
        return right(self, x) * (1.05 if torch.compiler.is_compiling() else 1)

    settings = tiny_run(disagreement="stop")
    MLP.forward = wrong  # type: ignore[method-assign]
    try:
        with TemporaryDirectory() as scratch, compiling(place):
            folder = Path(scratch)
            write_tokens(folder, 40 * TINY.context)
            told = ""
            try:
                train(folder / "run", folder, TINY, settings, place.type)
            except DisagreementError as error:
                told = str(error)
            assert "at fault: block 0" in told, told or "nothing was found"
            assert not list(log(folder / "run")), "a step was taken"
            return {"told": told}
    finally:
        MLP.forward = right  # type: ignore[method-assign]


def resumed(place: torch.device, shape: GPT2) -> Found:
    """Stop and resume a training: weights and losses must equal those of an uninterrupted one.

    This also shows that two runs give the same bits.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    settings = replace(
        tiny_run(steps=16, deterministic=True, checkpoint_every=0),
        batch_tokens=16 * shape.context,
        microbatch=4,
    )
    with TemporaryDirectory() as scratch, compiling(place):
        folder = Path(scratch)
        write_tokens(folder, 100 * shape.context)

        def leave(line: Found) -> None:
            if line["step"] == 6:
                os.kill(os.getpid(), signal.SIGTERM)

        whole = train(folder / "whole", folder, shape, settings, place.type)
        left = train(folder / "halves", folder, shape, settings, place.type, leave)
        assert left.name < whole.name, "it was not stopped"
        end = train(folder / "halves", folder, shape, settings, place.type)
        a, b = (torch.load(path, weights_only=True) for path in (whole, end))
        same = all(torch.equal(a["weights"][name], b["weights"][name]) for name in a["weights"])
        losses = [[line["loss"] for line in log(folder / name)] for name in ("whole", "halves")]
    assert losses[0] == losses[1], losses
    assert same, "losses are equal, weights are not"
    return {"steps": len(losses[0]), "last_loss": losses[0][-1]}


def tiny_run(**changed: Any) -> Train:
    """Return settings for a few steps."""
    usual: dict[str, Any] = {
        "steps": 4, "batch_tokens": 8 * TINY.context, "microbatch": 4, "warmup": 2,
        "eval_every": 0, "eval_tokens": TINY.context,
    }  # fmt: skip
    return Train(**usual | changed)


@contextmanager
def compiling(place: torch.device) -> Iterator[None]:
    """Compile on the CPU too, but only trace there, which is quick."""
    torch.compiler.reset()
    before = passing.COMPILED_ON, passing.BACKEND
    if place.type == "cpu":
        passing.COMPILED_ON, passing.BACKEND = ("cpu",), "aot_eager"
    try:
        yield
    finally:
        passing.COMPILED_ON, passing.BACKEND = before
