"""The proof that compiled code computes what it was compiled from.

A compiler's fault shows in no message: the loss rises, and one blames the data. So before the first
step, and after each resume, one part of a batch goes through compiled and through eager code.
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

# Each bound is on the distance from float32, which eager code in 16 bits has too: on an H200, at
# widths 768 to 1,600, compiled gradients lie .8 to 1.0 times as far from it as eager ones (.008 to
# .011 of their norm), and a norm that reads 1 % of its values too early 3.5 times, 5 % 8 times.
TIMES = 2.0  # as far from float32 as eager code may compiled code be
# ... and this much more, of a gradient's norm, whatever eager code has: the order of sums differs.
SLACK = {"fp32": 1e-3, "bf16": 5e-3, "fp16": 2e-3}
LOSS = {"fp32": 1e-4, "bf16": 2e-3, "fp16": 1e-3}  # nats apart; on that card it was below .0002
APART = {"fp32": 1e-3, "bf16": 3e-2, "fp16": 1e-2}  # of a norm, where no float32 is at hand
SMALL = 64  # numbers in a weight: with fewer, chance decides how near two gradients come
SCALE = {"fp32": 1.0, "bf16": 1.0, "fp16": 1024.0}  # of the loss, so that fp16 can say gradients

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Proof:
    """What came of it. Gradients are compared by the norm of their difference, weight by weight."""

    loss: float  # nats between compiled and eager
    gradient: float  # the worst weight's distance, as a share of what it may be
    weight: str  # that weight
    fault: str | None  # what is wrong, None where both agree

    def told(self) -> dict[str, float | str | None]:
        """Return it as the log has it."""
        figures = {"loss": self.loss, "gradient": self.gradient}
        told = {name: v if math.isfinite(v) else None for name, v in figures.items()}  # as JSON is
        return {**told, "weight": self.weight}


@dataclass(frozen=True)
class Eager:
    """What eager code makes of a part of a batch, which compiled code is held to."""

    loss: float
    exact: Gradients  # in float32
    rounding: dict[str, float]  # how far its own gradients are from those, a weight


def by_eager(model: GPT, passes: Passes, precision: Precision, x_BT: Tensor, y_BT: Tensor) -> Eager:
    """Run a part of a batch by eager code; a window at a time, for it needs several times the room.

    Best done before kernels are recorded, for then the room that those take is still free.
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
    """Compare compiled with eager code on a part of a batch; leaves weights as they are.

    `eager` is what `by_eager` made of it, if it was asked already.
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
    """Return the mean loss of parts of equal size; leaves its gradients, times `scale`."""
    passes.begin()
    scaler, passes.scaler = passes.scaler, torch.amp.GradScaler(enabled=False)
    for x_BT, y_BT in parts:
        passes.add(x_BT, y_BT, scale / len(parts))
    passes.scaler = scaler
    return float(passes.loss) / scale


def gradients(model: GPT, scale: float) -> Iterator[tuple[str, Tensor]]:
    """Yield each weight's name and gradient: whole, but only while it is looked at."""
    for name, p in model.named_parameters():
        if p.grad is not None:
            yield name, whole(p.grad) / scale


def distances(model: GPT, exact: Gradients, scale: float) -> dict[str, float]:
    """Return how far each weight's gradient is from the exact one, by the norm."""
    return {name: float((g - exact[name]).norm()) for name, g in gradients(model, scale)}


def farthest(
    off: dict[str, float],
    rounding: dict[str, float],
    exact: Gradients,
    times: float,
    slack: float,
) -> tuple[float, str]:
    """Return how near the worst weight comes to its bound (1 is at it), and that weight's name.

    It may be `off` by `times` as much as the eager one is by `rounding`, be it this weight's or
    that of all weights together, and by `slack` times its norm more.
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
    """Name the part of what is called in training at which compiled code errs.

    Where processes share the weights out, all must call it: each then looks at whole ones.
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
    """Return a copy of a model with all of its weights, of which each process holds a part."""
    copy = empty(model.settings, mask_documents=model.mask_documents)
    weights = dict(model.named_parameters())
    copy.to(next(iter(weights.values())).device)
    for name, weight in copy.named_parameters():
        weight.copy_(whole(weights[name]))
    return copy


def part_at_fault(called: GPT, exact: GPT, x_BT: Tensor, y_BT: Tensor, precision: Precision) -> str:
    """Name the first part of a model that, compiled by itself, computes something else.

    Parts are compared by their outputs and by the gradients of their inputs; `exact` is the model
    in float32, which tells what rounding explains.
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
    """Yield the parts of a model, and what eager code gives each of them."""
    positions_T = gpt.positions(x_BT)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        h_BTD = gpt.embed(x_BT, positions_T)
    yield "the embedding", lambda x_BT: gpt.embed(x_BT, positions_T), (x_BT,)
    first: tuple[Tensor, ...] = ()  # the first layer's values, where later ones are given them
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
    """Return what a function gives, and the gradients of a fixed random sum of it."""
    given = [v.detach().clone().requires_grad_(v.is_floating_point()) for v in inputs]
    result = function(*given)
    wanted = [v for v in given if v.requires_grad]
    random = torch.Generator().manual_seed(0)
    weighing = torch.randn(result.shape, generator=random).to(result)
    gradients = torch.autograd.grad(result, wanted, weighing) if wanted else ()
    return [result.detach(), *gradients]
