"""What a training will take, before anything is allocated: memory, operations, hours.

All of it is arithmetic on the settings, so it needs neither torch nor the device.
"""

# In the formulas: n = tokens that a process takes at once, D = width, L = layers, H = heads,
# N = parameters with the vocabulary's padding, V = rows of the embedding, P = processes.

import math
from dataclasses import dataclass

from webtext.model.errors import UserError
from webtext.model.machine.hardware import DEVICES, look_up
from webtext.model.settings import GPT2, Train, each

# The share of a device's peak that a training has been seen to reach: llm.c's 124M run 40 % on
# H100 and 60 % on A100, its 1.5B run 50 % on H100, nanoGPT's compiled 124M 30 % on A100.
USUAL_MFU = 0.4


ROWS = 8192  # of logits that a GPU makes at once, as webtext.model.gpt.loss has it

PARTS = ("weights", "copies", "gradients", "optimizer", "activations", "head")  # of the memory


@dataclass(frozen=True)
class Plan:
    """What a training takes. Memory is of one process, in bytes."""

    parameters: int
    steps: int
    tokens: int
    epochs: float | None  # None where the size of the corpus was not said
    flops: float
    weights: int  # float32
    copies: int  # of the matrices in 16 bits, or what is gathered of the other processes'
    gradients: int
    optimizer: int
    activations: int
    head: int
    device: str | None
    processes: int
    device_memory: int | None
    mfu: float
    hours: float | None  # None where the device's peak is unknown

    @property
    def memory(self) -> int:
        """All parts together."""
        return sum(getattr(self, part) for part in PARTS)

    @property
    def fits(self) -> bool | None:
        """Whether the device has that much memory, None where unknown."""
        return None if self.device_memory is None else self.memory <= self.device_memory


def plan(
    gpt: GPT2,
    settings: Train,
    device: str | None = None,
    processes: int = 1,
    mfu: float = USUAL_MFU,
    corpus_tokens: int | None = None,
    memory: int | None = None,
) -> Plan:
    """Work out what a training takes on `processes` devices of this name ("H100", "A100", ...).

    `memory` is what a device has, where that is known better than by its name.

    Raises:
        UserError: the device is named and not known, or the batch is no whole number of windows, or
            does not deal out to so many processes.
    """
    each(settings.windows(gpt.context), processes)
    known = look_up(device) if device else None
    if device and known is None:
        raise UserError(f"device {device!r} is not in the table; known: {', '.join(DEVICES)}")
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if known else "fp32"
    tokens = settings.steps * settings.batch_tokens
    flops = float(gpt.flops_per_token) * tokens
    shared = settings.parallel == "fsdp" and processes > 1
    compiled = settings.compile and known is not None
    return Plan(
        parameters=gpt.parameters,
        steps=settings.steps,
        tokens=tokens,
        epochs=tokens / corpus_tokens if corpus_tokens else None,
        flops=flops,
        weights=4 * held(gpt, processes if shared else 1),
        copies=copies(gpt, precision, shared),
        gradients=gradients(gpt, settings, precision, processes, compiled),
        optimizer=moments(gpt, settings, processes if shared else 1),
        activations=activations(gpt, settings, precision, processes, compiled),
        head=head(gpt, settings, precision, processes, compiled, on_cpu=known is None),
        device=device,
        processes=processes,
        device_memory=memory or (known.memory if known else None),
        mfu=mfu,
        hours=flops / (known.peak(precision) * mfu * processes) / 3600 if known else None,
    )


def describe(gpt: GPT2, settings: Train, found: Plan) -> str:
    """Return a plan as lines for people."""
    epochs = "" if found.epochs is None else f", {found.epochs:.2f} epochs"
    memory = ", ".join(f"{name} {getattr(found, name) / 1e9:.2f}" for name in PARTS)
    room = ""
    if found.device_memory is not None:
        verdict = "fits in" if found.fits else "does not fit in"
        room = (
            f"; {verdict} the {found.device_memory / 1e9:.0f} GB of {found.device or 'this device'}"
        )
    time = "unknown, for no peak is known of this device; name another: H100, A100, ..."
    if found.hours is not None:
        share = f"{found.mfu:.0%}".replace("%", " %")
        where = f"{found.processes} x {found.device}"
        time = f"{found.hours:,.1f} hours on {where} at {share} of the peak"
    shape = f"{gpt.layers} layers, {gpt.heads} heads, width {gpt.width}, context {gpt.context:,}"
    batch = f"{found.steps:,} of {settings.batch_tokens:,} tokens"
    return "\n".join(
        (
            f"model    {shape}: {found.parameters:,} parameters",
            f"steps    {batch}: {found.tokens:,} tokens{epochs}, {found.flops:.3g} operations",
            f"memory   {found.memory / 1e9:.2f} GB a process: {memory}{room}",
            f"time     {time}",
        )
    )


def padded(gpt: GPT2) -> int:
    """Return the parameters in memory."""
    return gpt.parameters + gpt.tables * (gpt.padded_vocab - gpt.vocab) * gpt.width


def shapes(gpt: GPT2) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the shapes of the weights in memory: those of one layer, and those outside."""
    D = gpt.width
    layer: list[tuple[int, ...]] = [(3 * D, D), (D, D), (4 * D, D), (D, 4 * D)]
    if gpt.biases:
        layer += [(3 * D,), (D,), (4 * D,), (D,), (D,), (D,)]
    layer += [(D,), (D,)]  # two norms
    outside: list[tuple[int, ...]] = [(gpt.padded_vocab, D)] * gpt.tables
    outside += [(D,)] * (2 if gpt.biases else 1)
    if gpt.learned_positions:
        outside.append((gpt.learned_positions, D))
    if gpt.value_residual:
        outside += [(1,)] * (gpt.layers - 1)
    return layer, outside


def matrices(gpt: GPT2) -> int:
    """Return the parameters that are in matrices, the embeddings among them."""
    ends = gpt.tables * gpt.padded_vocab + gpt.learned_positions
    return (12 * gpt.width * gpt.layers + ends) * gpt.width


def held(gpt: GPT2, processes: int) -> int:
    """Return the parameters of which a process holds its part: of each weight, a Pth of the rows.

    >>> held(GPT2(), 1) == padded(GPT2())
    True
    """
    layer, outside = shapes(gpt)
    sizes = [-(-rows // processes) * math.prod(rest) for rows, *rest in layer]
    ends = [-(-rows // processes) * math.prod(rest) for rows, *rest in outside]
    return gpt.layers * sum(sizes) + sum(ends)


def gathered(gpt: GPT2) -> int:
    """Return the parameters that FSDP holds whole at once: a layer, the next, and what is outside.

    What is outside, the embedding above all, stays whole from the forward pass to the end of the
    backward. Source: torch.distributed.fsdp.fully_shard, `reshard_after_forward` and prefetching.
    """
    layer, outside = shapes(gpt)
    return min(2, gpt.layers) * sum(map(math.prod, layer)) + sum(map(math.prod, outside))


def copies(gpt: GPT2, precision: str, shared: bool) -> int:
    """Return the bytes of the weights' copies: in 16 bits the matrices', made once a step.

    Where the weights are shared out, what is gathered of them takes that place.
    """
    if shared:
        return (4 if precision == "fp32" else 2) * gathered(gpt)
    return 0 if precision == "fp32" else 2 * matrices(gpt)


def gradients(
    gpt: GPT2, settings: Train, precision: str, processes: int = 1, compiled: bool = False
) -> int:
    """Return the bytes of the gradients, which are summed in float32.

    In 16 bits a backward pass leaves those of the matrices in 16 bits first. They come as the
    activations go, so only what they are more than those counts. Where weights are shared out, so
    are gradients, once they are exchanged: but that waits for the last part of a batch, and until
    then each process sums up all. (DDP's buckets are the gradients themselves.)
    """
    half = 0 if precision == "fp32" else 2
    if settings.parallel == "fsdp" and processes > 1:
        wide = 4 if precision == "fp32" else 2
        if parts(gpt, settings, processes) > 1:
            return 4 * padded(gpt) + half * gathered(gpt)
        return 4 * held(gpt, processes) + wide * gathered(gpt)
    room = activations(gpt, settings, precision, processes, compiled)
    return 4 * padded(gpt) + max(0, half * matrices(gpt) - room)


def moments(gpt: GPT2, settings: Train, processes: int) -> int:
    """Return the bytes that the optimiser remembers: two floats a parameter, or Muon's one."""
    if settings.optimizer == "adamw":
        return 8 * held(gpt, processes)
    hidden = 12 * gpt.width**2 * gpt.layers
    return 8 * (padded(gpt) - hidden) + 4 * hidden


def parts(gpt: GPT2, settings: Train, processes: int) -> int:
    """Return in how many parts a process takes its share of a batch."""
    return -(-each(settings.windows(gpt.context), processes) // settings.microbatch)


def at_once(gpt: GPT2, settings: Train, processes: int = 1) -> int:
    """Return how many tokens a process takes at once."""
    share = each(settings.windows(gpt.context), processes)
    return min(settings.microbatch, share) * gpt.context


def activations(
    gpt: GPT2, settings: Train, precision: str, processes: int = 1, compiled: bool = False
) -> int:
    """Return the bytes that the forward pass leaves for the backward, but the head's.

    A layer keeps, in units of n D: what its two norms are given (2, in float32 unless compiled code
    makes that anew) and what they give (2), queries, keys, values and what attention makes of them
    (4), and both sides of the GELU (8); and attention's sums, n H, and the norms', 4 n, in float32.
    Queries and keys are kept once more where they are normed or turned (2), and by eager code twice
    where they are normed (2, in float32); values where they are mixed (1). With dropout also its
    two masks, a byte each.
    """
    n, wide = at_once(gpt, settings, processes), 4 if precision == "fp32" else 2
    exact = wide if compiled else 4
    kept = 14 + (2 if gpt.qk_norm or gpt.positions == "rotary" else 0) + int(gpt.value_residual)
    again = 2 if gpt.qk_norm and not compiled else 0
    layer = n * gpt.width * ((2 + again) * exact + kept * wide) + 4 * n * (gpt.heads + 4)
    if gpt.dropout:
        layer += 2 * n * gpt.width
    ends = exact * n * gpt.width  # what the last norm is given
    if settings.recompute:
        return gpt.layers * wide * n * gpt.width + layer + ends
    return gpt.layers * layer + ends


def head(
    gpt: GPT2,
    settings: Train,
    precision: str,
    processes: int = 1,
    compiled: bool = False,
    *,
    on_cpu: bool = False,
) -> int:
    """Return the bytes of what the head is given, of its gradients, and of a chunk's logits.

    Compiled code turns a chunk's logits into their gradient where they lie; eager code has them and
    their logarithms of softmax, in float32. The head's own gradient is summed in float32, but for
    that of a single chunk.
    """
    n, wide = at_once(gpt, settings, processes), 4 if precision == "fp32" else 2
    chunks = -(-n // (max(1, gpt.width // 2) if on_cpu else ROWS))
    rows = -(-n // chunks)
    logits = rows * gpt.padded_vocab * (wide if compiled else 2 * 4)
    total = (wide if chunks == 1 else 4) * gpt.padded_vocab * gpt.width
    return 2 * wide * n * gpt.width + total + logits
