"""The memory, operations and hours that a training will need, before anything is allocated.

All of it is arithmetic on the settings, so it needs neither torch nor the device.
"""

# In the formulas: n = tokens of a microbatch, D = width, L = layers, H = heads,
# N = parameters with the vocabulary's padding, V = rows of the embedding, P = processes.

import math
from dataclasses import dataclass

from webtext.model.errors import UserError
from webtext.model.machine.hardware import DEVICES, look_up
from webtext.model.settings import GPT2, Train, each

# The share of a device's peak that trainings reach in practice: llm.c's 124M run 40 % on
# H100 and 60 % on A100, its 1.5B run 50 % on H100, nanoGPT's compiled 124M 30 % on A100.
USUAL_MFU = 0.4


ROWS = 8192  # of logits that a GPU computes at once; the same value as in webtext.model.gpt.loss

PARTS = ("weights", "copies", "gradients", "optimizer", "activations", "head")  # of the memory


@dataclass(frozen=True)
class Plan:
    """What a training needs. Memory is that of one process, in bytes."""

    parameters: int
    steps: int
    tokens: int
    epochs: float | None  # None if the size of the corpus was not given
    flops: float
    weights: int  # float32
    copies: int  # of the matrices in 16 bits, or the weights gathered from other processes
    gradients: int
    optimizer: int
    activations: int
    head: int
    device: str | None
    processes: int
    device_memory: int | None
    mfu: float
    hours: float | None  # None if the device's peak is unknown

    @property
    def memory(self) -> int:
        """The sum of all parts."""
        return sum(getattr(self, part) for part in PARTS)

    @property
    def fits(self) -> bool | None:
        """Whether the device has that much memory, None if unknown."""
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
    """Compute what a training needs on `processes` devices of this name ("H100", "A100", ...).

    `memory` is that of a device, if the caller knows it better than the table of names.

    Raises:
        UserError: the name of the device is unknown, the batch is not a whole number of windows, or
            these cannot be divided evenly among the processes.
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
    """Return the number of parameters in memory, with padding."""
    return gpt.parameters + gpt.tables * (gpt.padded_vocab - gpt.vocab) * gpt.width


def shapes(gpt: GPT2) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the shapes of the weights in memory: of one layer, and of those outside the layers."""
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
    """Return the number of parameters in matrices, including the embeddings."""
    ends = gpt.tables * gpt.padded_vocab + gpt.learned_positions
    return (12 * gpt.width * gpt.layers + ends) * gpt.width


def held(gpt: GPT2, processes: int) -> int:
    """Return the number of parameters in a process's shards: of each weight, a Pth of the rows.

    >>> held(GPT2(), 1) == padded(GPT2())
    True
    """
    layer, outside = shapes(gpt)
    sizes = [-(-rows // processes) * math.prod(rest) for rows, *rest in layer]
    ends = [-(-rows // processes) * math.prod(rest) for rows, *rest in outside]
    return gpt.layers * sum(sizes) + sum(ends)


def gathered(gpt: GPT2) -> int:
    """Return the number of parameters that FSDP gathers at once: two layers and those outside.

    The weights outside the layers, mainly the embedding, stay gathered from the forward pass to the
    end of the backward; of the layers, the current and the next one. Source:
    torch.distributed.fsdp.fully_shard, `reshard_after_forward` and prefetching.
    """
    layer, outside = shapes(gpt)
    return min(2, gpt.layers) * sum(map(math.prod, layer)) + sum(map(math.prod, outside))


def copies(gpt: GPT2, precision: str, shared: bool) -> int:
    """Return the bytes of the weights' copies: those of the matrices in 16 bits, made once a step.

    If the weights are sharded, these are the gathered weights instead.
    """
    if shared:
        return (4 if precision == "fp32" else 2) * gathered(gpt)
    return 0 if precision == "fp32" else 2 * matrices(gpt)


def gradients(
    gpt: GPT2, settings: Train, precision: str, processes: int = 1, compiled: bool = False
) -> int:
    """Return the bytes of the gradients, which are summed in float32.

    In 16 bits the backward pass first makes the matrices' gradients in 16 bits. Meanwhile it frees
    activations, so only the bytes by which these gradients exceed the activations count. If weights
    are sharded, gradients are too, but only after their exchange, which waits for the last
    microbatch; until then each process sums all. (DDP's buckets are the gradients themselves.)
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
    """Return the bytes of the optimiser's state: two floats a parameter, for Muon one."""
    if settings.optimizer == "adamw":
        return 8 * held(gpt, processes)
    hidden = 12 * gpt.width**2 * gpt.layers
    return 8 * (padded(gpt) - hidden) + 4 * hidden


def parts(gpt: GPT2, settings: Train, processes: int) -> int:
    """Return the number of microbatches in a process's share of a batch."""
    return -(-each(settings.windows(gpt.context), processes) // settings.microbatch)


def at_once(gpt: GPT2, settings: Train, processes: int = 1) -> int:
    """Return the number of tokens in a microbatch."""
    share = each(settings.windows(gpt.context), processes)
    return min(settings.microbatch, share) * gpt.context


def activations(
    gpt: GPT2, settings: Train, precision: str, processes: int = 1, compiled: bool = False
) -> int:
    """Return the bytes of the activations kept for the backward pass, without the head's.

    A layer keeps, in units of n D: inputs of its two norms (2, in float32 unless compiled code
    recomputes that), their outputs (2), queries, keys, values and the output of attention (4), and
    input and output of the GELU (8); and the sums of attention, n H, and of norms, 4 n, in float32.
    Queries and keys are kept once more if they are normed or rotated (2), and again in eager code
    if they are normed (2, in float32); values if they are mixed (1). With dropout also its two
    masks, one byte each.
    """
    n, wide = at_once(gpt, settings, processes), 4 if precision == "fp32" else 2
    exact = wide if compiled else 4
    kept = 14 + (2 if gpt.qk_norm or gpt.positions == "rotary" else 0) + int(gpt.value_residual)
    again = 2 if gpt.qk_norm and not compiled else 0
    layer = n * gpt.width * ((2 + again) * exact + kept * wide) + 4 * n * (gpt.heads + 4)
    if gpt.dropout:
        layer += 2 * n * gpt.width
    ends = exact * n * gpt.width  # the input of the last norm
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
    """Return the bytes of the head's input, of the gradients there, and of a chunk's logits.

    Compiled code replaces a chunk's logits by their gradient in place; eager code has them and
    their log-softmax, in float32. The gradient of the head is summed in float32, unless there is
    only one chunk.
    """
    n, wide = at_once(gpt, settings, processes), 4 if precision == "fp32" else 2
    chunks = -(-n // (max(1, gpt.width // 2) if on_cpu else ROWS))
    rows = -(-n // chunks)
    logits = rows * gpt.padded_vocab * (wide if compiled else 2 * 4)
    total = (wide if chunks == 1 else 4) * gpt.padded_vocab * gpt.width
    return 2 * wide * n * gpt.width + total + logits
