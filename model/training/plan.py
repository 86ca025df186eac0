"""What a training will take, before anything is allocated: memory, operations, hours.

All of it is arithmetic on the settings, so it needs neither torch nor the device.
"""

# In the formulas: n = tokens that a process takes at once, D = width, L = layers, H = heads,
# N = parameters with the vocabulary's padding, V = rows of the embedding.

from dataclasses import dataclass

from webtext.model.errors import UserError
from webtext.model.settings import GPT2, Train
from webtext.model.training.hardware import DEVICES, look_up

# The share of a device's peak that a training has been seen to reach: llm.c's 124M run 40 % on
# H100 and 60 % on A100, its 1.5B run 50 % on H100, nanoGPT's compiled 124M 30 % on A100.
USUAL_MFU = 0.4


@dataclass(frozen=True)
class Plan:
    """What a training takes. Memory is of one process, in bytes."""

    parameters: int
    steps: int
    tokens: int
    epochs: float | None  # None where the size of the corpus was not said
    flops: float
    weights: int
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
        return self.weights + self.gradients + self.optimizer + self.activations + self.head

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
) -> Plan:
    """Work out what a training takes on `processes` devices of this name ("H100", "A100", ...).

    Raises:
        UserError: the device is named and not known, or the batch is no whole number of windows.
    """
    settings.windows(gpt.context)
    known = look_up(device) if device else None
    if device and known is None:
        raise UserError(f"device {device!r} is not in the table; known: {', '.join(DEVICES)}")
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if known else "fp32"
    tokens = settings.steps * settings.batch_tokens
    flops = float(gpt.flops_per_token) * tokens
    held = padded(gpt) // (processes if settings.parallel == "fsdp" else 1)
    moments = 2 if settings.optimizer == "adamw" else 1  # Muon remembers one, for nearly all
    return Plan(
        parameters=gpt.parameters,
        steps=settings.steps,
        tokens=tokens,
        epochs=tokens / corpus_tokens if corpus_tokens else None,
        flops=flops,
        weights=4 * held,
        gradients=4 * held,
        optimizer=4 * held * moments,
        activations=activations(gpt, settings, precision),
        head=head(gpt, settings, precision, on_cpu=known is None),
        device=device,
        processes=processes,
        device_memory=known.memory if known else None,
        mfu=mfu,
        hours=flops / (known.peak(precision) * mfu * processes) / 3600 if known else None,
    )


def describe(gpt: GPT2, settings: Train, found: Plan) -> str:
    """Return a plan as lines for people."""
    epochs = "" if found.epochs is None else f", {found.epochs:.2f} epochs"
    parts = ("weights", "gradients", "optimizer", "activations", "head")
    memory = ", ".join(f"{name} {getattr(found, name) / 1e9:.2f}" for name in parts)
    room = ""
    if found.device_memory is not None:
        verdict = "fits in" if found.fits else "does not fit in"
        room = f"; {verdict} the {found.device_memory / 1e9:.0f} GB of {found.device}"
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
    return gpt.parameters + (gpt.padded_vocab - gpt.vocab) * gpt.width


def at_once(gpt: GPT2, settings: Train) -> int:
    """Return how many tokens a process takes at once."""
    return min(settings.microbatch, settings.windows(gpt.context)) * gpt.context


def activations(gpt: GPT2, settings: Train, precision: str) -> int:
    """Return the bytes that the forward pass leaves for the backward, but the head's.

    A layer keeps, in units of n D: its two sums (2, always float32), the outputs of its two norms
    (2), queries, keys, values and what attention makes of them (4), and both sides of the GELU
    (8); and attention's sums, n H. In 16 bits there is also a copy of each matrix. torch.compile
    keeps less, recomputing what is cheap.
    """
    n, wide = at_once(gpt, settings), 4 if precision == "fp32" else 2
    layer = n * gpt.width * (2 * 4 + 14 * wide) + 4 * n * gpt.heads + 16 * n
    copies = 0 if precision == "fp32" else wide * 12 * gpt.width**2 * gpt.layers
    ends = 4 * n * gpt.width  # what the last norm is given
    if settings.recompute:
        return gpt.layers * 4 * n * gpt.width + layer + copies // gpt.layers + ends
    return gpt.layers * layer + copies + ends


def head(gpt: GPT2, settings: Train, precision: str, on_cpu: bool) -> int:
    """Return the bytes of the head's gradients, and of the few logits that are there at once.

    In 16 bits there is also a copy of the head, and of what it is given.
    """
    n = at_once(gpt, settings)
    rows = min(n, gpt.width // 2 if on_cpu else 4 * gpt.width)
    logits = 2 * 4 * rows * gpt.padded_vocab  # the logits, and their logarithms of softmax
    wide = 4 if precision == "fp32" else 4 + 2
    return wide * (n + gpt.padded_vocab) * gpt.width + logits
