"""The proof that compiled code computes the same as eager code.

A fault of the compiler gives no message: the loss rises, and one suspects the data. So before the
first step, and after each resume, one microbatch is computed by compiled and by eager code.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from webtext.model.gpt.gpt import GPT, empty
from webtext.model.machine.device import Precision
from webtext.model.machine.parallel import whole
from webtext.model.training.passes import Passes, how_to_compile, in_16_bits

# Bounds on the distance from float32, which eager code in 16 bits has too. On an H200, at widths
# 768 to 1,600, compiled gradients were .8 to 1.0 times as far from float32 as eager ones (.008 to
# .011 of their norm); with a norm that reads 1 % of its values too early 3.5 times, 5 % 8 times.
TIMES = 2.0  # compiled code may be this many times as far from float32 as eager code ...
# ... and further by this share of a gradient's norm, because the order of sums differs.
SLACK = {"fp32": 1e-3, "bf16": 5e-3, "fp16": 2e-3}
LOSS = {"fp32": 1e-4, "bf16": 2e-3, "fp16": 1e-3}  # nats of difference; below .0002 on that H200
APART = {"fp32": 1e-3, "bf16": 3e-2, "fp16": 1e-2}  # share of a norm, if float32 is not computed
SMALL = 64  # numbers in a weight: with fewer, the distance of two gradients depends on chance
SCALE = {"fp32": 1.0, "bf16": 1.0, "fp16": 1024.0}  # of the loss, against underflow in fp16

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Proof:
    """The result. Gradients are compared by the norm of their difference, weight by weight."""

    loss: float  # difference between compiled and eager code, in nats
    gradient: float  # distance of the worst weight's gradient, as a share of its bound
    weight: str  # the name of that weight
    fault: str | None  # a description of the fault, None if both agree

    def told(self) -> dict[str, float | str | None]:
        """Return the result in the form of the log."""
        figures = {"loss": self.loss, "gradient": self.gradient}
        told = {name: v if math.isfinite(v) else None for name, v in figures.items()}  # as JSON is
        return {**told, "weight": self.weight}


@dataclass(frozen=True)
class Eager:
    """The result of eager code for a microbatch, with which compiled code is compared."""

    loss: float
    exact: Gradients  # in float32
    rounding: dict[str, float]  # for each weight, how far eager code's gradient is from `exact`


def by_eager(model: GPT, passes: Passes, precision: Precision, x_BT: Tensor, y_BT: Tensor) -> Eager:
    """Run a microbatch in eager code, one window at a time: it needs several times the memory.

    Best done before a CUDA graph is captured, while the memory that it takes is still free.
    """
    scale = SCALE[precision.name]
    parts = [(x_BT[i : i + 1], y_BT[i : i + 1]) for i in range(len(x_BT))]
    exact: Gradients = {}
    if precision.name != "fp32" and not passes.sharded:
        in_float32 = Passes(model, Precision("fp32", precision.device))
        through(in_float32, parts, 1.0)
        exact = dict(gradients(model, 1.0))
        in_float32.begin()
    with passes.eager():
        loss = through(passes, parts, scale)
        exact = exact or dict(gradients(model, scale))
        rounding = distances(model, exact, scale)
        passes.begin()
    return Eager(loss, exact, rounding)


def prove(
    model: GPT,
    passes: Passes,
    precision: Precision,
    x_BT: Tensor,
    y_BT: Tensor,
    eager: Eager | None = None,
) -> Proof:
    """Compare compiled with eager code on a microbatch; does not change the weights.

    `eager` is the result of `by_eager` for it, if that was computed before.
    """
    name, scale = precision.name, SCALE[precision.name]
    eager = eager or by_eager(model, passes, precision, x_BT, y_BT)
    again = through(passes, [(x_BT, y_BT)], scale)
    loss = through(passes, [(x_BT, y_BT)], scale)
    off = distances(model, eager.exact, scale)
    passes.begin()
    bound = (0.0, APART[name]) if passes.sharded else (TIMES, SLACK[name])
    worst, weight = farthest(off, eager.rounding, eager.exact, *bound)
    apart = abs(loss - eager.loss)
    fault = None
    if loss != again:
        fault = f"its loss on the same tokens is {again:.6f} once and {loss:.6f} then"
    elif not apart <= LOSS[name]:
        fault = (
            f"its loss is {loss:.5f}, of eager code {eager.loss:.5f}; may differ by {LOSS[name]}"
        )
    elif not worst <= 1:
        fault = f"its gradient for {weight} is {worst:.1f} times as far off as rounding explains"
    return Proof(apart, worst, weight, fault)


def through(passes: Passes, parts: list[tuple[Tensor, Tensor]], scale: float) -> float:
    """Return the mean loss of microbatches of equal size; leaves its gradients, times `scale`."""
    passes.begin()
    scaler, passes.scaler = passes.scaler, torch.amp.GradScaler(enabled=False)
    for x_BT, y_BT in parts:
        passes.add(x_BT, y_BT, scale / len(parts))
    passes.scaler = scaler
    return float(passes.loss) / scale


def gradients(model: GPT, scale: float) -> Iterator[tuple[str, Tensor]]:
    """Yield each weight's name and its full gradient; sharded ones are gathered one at a time."""
    for name, p in model.named_parameters():
        if p.grad is not None:
            yield name, whole(p.grad) / scale


def distances(model: GPT, exact: Gradients, scale: float) -> dict[str, float]:
    """Return the norm of the difference between each weight's gradient and the exact one."""
    return {name: float((g - exact[name]).norm()) for name, g in gradients(model, scale)}


def farthest(
    off: dict[str, float],
    rounding: dict[str, float],
    exact: Gradients,
    times: float,
    slack: float,
) -> tuple[float, str]:
    """Return the largest distance as a share of its bound (1 is at it), and that weight's name.

    The bound on `off` is `times` the `rounding` of eager code, of this weight or of all weights
    together, whichever is larger, plus `slack` times the norm of the gradient.
    """
    size = {name: float(g.norm()) for name, g in exact.items()}
    everywhere = math.hypot(*rounding.values()) / (math.hypot(*size.values()) or 1.0)
    worst, weight = -1.0, ""
    for name, g in exact.items():
        if g.numel() < SMALL or size[name] == 0:
            continue
        may = times * max(rounding[name], everywhere * size[name]) + slack * size[name]
        share = off[name] / may if math.isfinite(off[name]) else math.inf
        if share > worst:
            worst, weight = share, name
    return worst, weight


Function = Callable[..., Tensor]


def at_fault(model: GPT, passes: Passes, precision: Precision, x_BT: Tensor, y_BT: Tensor) -> str:
    """Name the part of the model for which compiled code is wrong.

    If the weights are sharded, all processes must call it: each then gathers the full weights.
    """
    if not passes.sharded:
        return part_at_fault(passes.called, model, x_BT, y_BT, precision)
    try:
        exact = assembled(model)
        called = exact
        if precision.name != "fp32":
            called, _ = in_16_bits(exact, precision.dtype)
        return part_at_fault(called, exact, x_BT, y_BT, precision)
    except torch.OutOfMemoryError:
        return "unknown, for there is no room here for all weights, which finding out would take"


@torch.no_grad()
def assembled(model: GPT) -> GPT:
    """Return a copy of a sharded model with its full weights."""
    copy = empty(model.settings, mask_documents=model.mask_documents)
    weights = dict(model.named_parameters())
    copy.to(next(iter(weights.values())).device)
    for name, weight in copy.named_parameters():
        weight.copy_(whole(weights[name]))
    return copy


def part_at_fault(called: GPT, exact: GPT, x_BT: Tensor, y_BT: Tensor, precision: Precision) -> str:
    """Name the first part of a model that, compiled by itself, computes something else.

    Parts are compared by their outputs and by the gradients of their inputs; `exact` is the model
    in float32, which shows how much of a difference is rounding.
    """
    how = how_to_compile(called.settings.width)
    for (name, function, inputs), (_, exactly, _) in zip(
        parts_of(called, x_BT, y_BT), parts_of(exact, x_BT, y_BT), strict=True
    ):
        torch.compiler.reset()
        found = outcome(torch.compile(function, **how), inputs)
        with torch.compiler.set_stance("force_eager"):
            eager = outcome(function, inputs)
            right = outcome(
                exactly, tuple(v.float() if v.is_floating_point() else v for v in inputs)
            )
        for one, other, true in zip(found, eager, right, strict=True):
            size = float(true.norm())
            off, rounding = (float((v.float() - true).norm()) for v in (one, other))
            if not off <= TIMES * rounding + SLACK[precision.name] * size:
                return f"{name} (off by {off / size:.1%} of the norm)"
    return "no part alone, only all together"


def parts_of(
    gpt: GPT, x_BT: Tensor, y_BT: Tensor
) -> Iterator[tuple[str, Function, tuple[Tensor, ...]]]:
    """Yield the name, function and inputs of each part of a model; eager code makes the inputs."""
    positions_T = gpt.positions(x_BT)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        h_BTD = gpt.embed(x_BT, positions_T)
    yield "the embedding", lambda x_BT: gpt.embed(x_BT, positions_T), (x_BT,)
    first: tuple[Tensor, ...] = ()  # the first layer's values, if later layers mix them in
    for number, block in enumerate(gpt.h):

        def layer(h_BTD: Tensor, *first: Tensor, block: torch.nn.Module = block) -> Tensor:
            after_BTD, _ = block(h_BTD, positions_T, gpt.mask(x_BT), None, *first)
            return after_BTD - h_BTD  # type: ignore[no-any-return]

        yield f"block {number}", layer, (h_BTD, *first)
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            h_BTD, values_BHTK = block(h_BTD, positions_T, gpt.mask(x_BT), None, *first)
        first = () if values_BHTK is None else (values_BHTK,)
    yield "the last norm", gpt.ln_f.forward, (h_BTD,)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        normed_BTD = gpt.ln_f(h_BTD)
    yield "the head", lambda n_BTD: gpt.loss(n_BTD, y_BT), (normed_BTD,)
    yield (
        "the last norm and the head, compiled together",
        lambda h_BTD: gpt.loss(gpt.ln_f(h_BTD), y_BT),
        (h_BTD,),
    )


def outcome(function: Function, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Return a function's output, and the gradients of a fixed random weighted sum of it."""
    given = [v.detach().clone().requires_grad_(v.is_floating_point()) for v in inputs]
    result = function(*given)
    wanted = [v for v in given if v.requires_grad]
    random = torch.Generator().manual_seed(0)
    weighing = torch.randn(result.shape, generator=random).to(result)
    gradients = torch.autograd.grad(result, wanted, weighing) if wanted else ()
    return [result.detach(), *gradients]
