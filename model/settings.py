"""The settings of a model and of its training: plain values, checked, and cheap to import.

They are separate from the code that uses them, because that code needs torch (two seconds to
import) and a recipe must be read without that wait.
"""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from webtext.model.errors import UserError

END_OF_TEXT = 50_256  # GPT-2's <|endoftext|>, which precedes each document
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
SCHEDULES = ("cosine", "wsd", "trapezoid")
FLAT = ("wsd", "trapezoid")  # schedules with a stretch at the peak learning rate
POSITIONS = ("learned", "rotary")
ACTIVATIONS = ("gelu", "relu2")
OPTIMIZERS = ("adamw", "muon")
PARALLEL = ("ddp", "fsdp")
TROUBLE = ("stop", "skip")
DISAGREEMENT = ("eager", "stop")

# Far above the values that anybody trains with: a larger one is a typing mistake.
MOST = {"lr": 1e3, "embedding_lr": 1e3, "eps": 1.0, "weight_decay": 1e3, "clip": 1e6, "spike": 1e6}


def _machine(default: Any) -> Any:
    """Make a field about how and where to train, not what: it may change on a resume."""
    return field(default=default, metadata={"machine": True})


@dataclass(frozen=True)
class GPT2:
    """The shape of a GPT-2; the defaults are its smallest size, "124M".

    Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, table 2;
    the heads are those of the released hparams.json. The settings from `positions` on can make a
    model that learns from fewer tokens but is not a GPT-2; see `departures`.
    """

    layers: int = 12  # transformer blocks
    heads: int = 12  # attention heads of a block; their number must divide the width
    width: int = 768  # size of a token's hidden state
    context: int = 1024  # tokens that the model sees at once
    vocab: int = 50_257  # 256 bytes, 50,000 merges, <|endoftext|>
    end_of_text: int = -1  # token before each document; -1: 50,256, or the last of a smaller vocab
    dropout: float = 0.0  # 0, because a single epoch of much text does not overfit

    positions: str = "learned"  # or "rotary". Source: Su et al. (2021), RoFormer
    activation: str = "gelu"  # or "relu2", the square of ReLU. Source: So et al. (2021), Primer
    qk_norm: bool = False  # queries and keys are normalised. Source: Henry et al. (2020)
    value_residual: bool = False  # layers mix in the values of layer 0. Source: Zhou et al. (2024)
    biases: bool = True  # of linear layers and norms
    tied: bool = True  # the head is the embedding
    zero_start: bool = False  # output projections start at 0. Source: Yang et al. (2022), muP

    def __post_init__(self) -> None:
        _check_kinds(self, "model")
        for name in ("layers", "heads", "width", "context", "vocab"):
            _check(getattr(self, name) >= 1, "model", name, getattr(self, name), "1 or more")
        _check(self.vocab <= 1 << 20, "model", "vocab", self.vocab, "1,048,576 at most")
        ends = f"-1, or a token of a vocab of {self.vocab}"
        _check(-1 <= self.end_of_text < self.vocab, "model", "end_of_text", self.end_of_text, ends)
        _check(0 <= self.dropout < 1, "model", "dropout", self.dropout, "from 0 to below 1")
        if self.width % self.heads:
            near = max(1, round(self.width / self.heads)) * self.heads
            raise UserError(
                f"model.width = {self.width} does not divide into {self.heads} heads; "
                f"use a multiple, such as {near}"
            )
        _choice("model", "positions", self.positions, POSITIONS)
        _choice("model", "activation", self.activation, ACTIVATIONS)
        size = self.width // self.heads
        if self.positions == "rotary" and size % 2:
            raise UserError(
                f"model.positions = 'rotary' turns pairs, and a head of width {size} has one over; "
                f"use other heads than {self.heads}"
            )

    @property
    def departures(self) -> list[str]:
        """The settings that make it differ from GPT-2, so that other programs cannot read it.

        >>> GPT2(qk_norm=True, zero_start=True).departures
        ['model.qk_norm = True']
        """
        names = ("positions", "activation", "qk_norm", "value_residual", "biases", "tied")
        return [
            f"model.{field.name} = {getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name in names and getattr(self, field.name) != field.default
        ]

    @property
    def end(self) -> int:
        """The token that precedes each document.

        >>> GPT2().end, GPT2(vocab=1000).end, GPT2(vocab=1000, end_of_text=0).end
        (50256, 999, 0)
        """
        return min(END_OF_TEXT, self.vocab - 1) if self.end_of_text < 0 else self.end_of_text

    @property
    def padded_vocab(self) -> int:
        """Rows of the embedding in memory: a multiple of 128, for which tensor cores are fastest.

        >>> GPT2().padded_vocab
        50304
        """
        return -(-self.vocab // 128) * 128

    @property
    def parameters(self) -> int:
        """The number of parameters, without padding; an embedding that is the head counts once.

        >>> GPT2().parameters
        124439808
        """
        ends = self.tables * self.vocab + self.learned_positions + (2 if self.biases else 1)
        mixing = self.layers - 1 if self.value_residual else 0
        return ends * self.width + self.layers * self.block + mixing

    @property
    def tables(self) -> int:
        """Matrices with a row for each token: the embedding, and the head if it is not tied."""
        return 1 if self.tied else 2

    @property
    def learned_positions(self) -> int:
        """Rows of the position embedding."""
        return self.context if self.positions == "learned" else 0

    @property
    def block(self) -> int:
        """Parameters of one layer: two norms, 3 + 1 square matrices, two of 4 times the width."""
        return 12 * self.width**2 + (13 if self.biases else 2) * self.width

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations that a training step needs for a token.

        6 N + 12 L H Q T, where N leaves out the position embedding, and an embedding that is not
        the head, for these are only looked up. Attention is counted as if it were not causal.
        Source: Chowdhery et al. (2022), PaLM, appendix B.

        >>> f"{GPT2().flops_per_token:.3e}"
        '8.552e+08'
        """
        looked_up = self.learned_positions + (self.tables - 1) * self.vocab
        weights = self.parameters - looked_up * self.width
        return 6 * weights + 12 * self.layers * self.width * self.context


@dataclass(frozen=True)
class Train:
    """How a model is trained; the defaults reproduce GPT-2 124M on ten billion tokens.

    GPT-2's paper gives no optimiser, learning rate or schedule: like every reproduction, this uses
    GPT-3's. Source: Brown et al. (2020), appendix B and table 2.1 (betas, eps, clip, decay 0.1,
    cosine to a tenth, 375M tokens of warm-up, 6e-4 for the smallest model).
    """

    steps: int = 19_073  # 19,073 * 524,288 = 10.0e9 tokens
    batch_tokens: int = 524_288  # of a step, over all processes: 512 windows * 1,024
    microbatch: int = _machine(8)  # windows that a process computes at once

    optimizer: str = "adamw"  # or "muon", for the matrices
    lr: float = 6e-4  # the peak learning rate
    min_lr: float = 6e-5  # the learning rate at the end of the schedule
    warmup: int = 715  # steps: 375e6 tokens / 524,288
    embedding_lr: float = 1.0  # factor on lr for the embeddings and the head
    schedule: str = "cosine"  # of the learning rate after the warm-up; "wsd", "trapezoid"
    decay: float = 0.2  # the share of the steps in which "wsd" and "trapezoid" decay
    beta1: float = 0.9  # of AdamW's running mean of gradients
    beta2: float = 0.95  # of AdamW's running mean of their squares
    eps: float = 1e-8  # added to AdamW's denominator
    weight_decay: float = 0.1  # on matrices only
    embedding_decay: bool = True  # on the embeddings and the head too
    clip: float = 1.0  # the largest norm of the gradient; 0: no clipping
    trouble: str = _machine("stop")  # if the loss is not finite or spikes; or "skip" that step
    spike: float = _machine(
        0.0
    )  # a spike is this many deviations above the mean of the last losses; 0: off

    seed: int = 0  # of the initial weights, the order of the data and dropout
    mask_documents: bool = False  # no token attends to the documents before its own
    precision: str = "auto"  # bf16 where the device has it, else fp32

    compile: bool = _machine(True)  # on CUDA devices
    disagreement: str = _machine(
        "eager"
    )  # if compiled code computes something else: go on without it, or "stop"
    recompute: bool = _machine(False)  # activations in the backward pass: less memory, more work
    parallel: str = _machine("ddp")  # or "fsdp": each process holds a shard of the weights
    deterministic: bool = _machine(False)  # bit-exact on CUDA too, and slower

    eval_every: int = _machine(250)  # steps; 0: only at the end
    eval_tokens: int = _machine(10_485_760)  # of the val shards, at most
    eval_tasks: tuple[str, ...] = _machine(())  # zero-shot sets, measured whenever val is
    eval_data: str = _machine("eval")  # the directory of their files
    eval_items: int = _machine(0)  # of each set at most; 0: all
    checkpoint_every: int = _machine(1_000)  # steps; 0: only at the end
    keep: int = _machine(2)  # last checkpoints that are kept, besides the best

    def __post_init__(self) -> None:
        _check_kinds(self, "train")
        for name in ("steps", "batch_tokens", "microbatch", "eval_tokens", "keep"):
            _check(getattr(self, name) >= 1, "train", name, getattr(self, name), "1 or more")
        object.__setattr__(self, "eval_tasks", tuple(self.eval_tasks))  # JSON has lists
        for name in (
            "warmup",
            "clip",
            "weight_decay",
            "spike",
            "eval_every",
            "eval_items",
            "checkpoint_every",
        ):
            _check(getattr(self, name) >= 0, "train", name, getattr(self, name), "0 or more")
        for name in ("beta1", "beta2", "decay"):
            found = getattr(self, name)
            _check(0 <= found < 1, "train", name, found, "from 0 to below 1")
        for name in ("lr", "eps", "embedding_lr"):
            _check(getattr(self, name) > 0, "train", name, getattr(self, name), "more than 0")
        for name, most in MOST.items():
            found = getattr(self, name)
            _check(found <= most, "train", name, found, f"{most:,g} at most")
        seeds = -(1 << 63), (1 << 63) - 1
        _check(seeds[0] <= self.seed <= seeds[1], "train", "seed", self.seed, "64 bits at most")
        _check(0 <= self.min_lr <= self.lr, "train", "min_lr", self.min_lr, f"0 to lr = {self.lr}")
        choices = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "parallel": PARALLEL,
            "trouble": TROUBLE,
            "disagreement": DISAGREEMENT,
        }
        for name, allowed in choices.items():
            _choice("train", name, getattr(self, name), allowed)

    def windows(self, context: int) -> int:
        """Return how many windows make the batch of a step.

        Raises:
            UserError: the batch is not a whole number of windows.
        """
        if self.batch_tokens % context:
            near = max(1, round(self.batch_tokens / context)) * context
            raise UserError(
                f"train.batch_tokens = {self.batch_tokens} is no multiple of the context of "
                f"{context} tokens; use {near}"
            )
        return self.batch_tokens // context


def each(windows: int, processes: int) -> int:
    """Return how many windows of a step each process computes.

    Raises:
        UserError: they cannot be divided evenly, so the mean gradient would be wrong.
    """
    if windows % processes:
        raise UserError(
            f"{windows} windows a step do not deal out to {processes} processes; change "
            f"train.batch_tokens, or start a number of processes that divides {windows}"
        )
    return windows // processes


def identity(settings: GPT2 | Train) -> dict[str, Any]:
    """Return the settings that decide the result, without those of the machine."""
    values = asdict(settings)
    return {f.name: values[f.name] for f in fields(settings) if not f.metadata.get("machine")}


def _check_kinds(settings: GPT2 | Train, table: str) -> None:
    """Refuse a value of the wrong type for its field, and a float that is not finite.

    A recipe is checked when it is read; settings made in Python are checked here. A bool is not
    accepted as a number, though Python counts it as one, and 12.0 is not a number of layers.
    """
    for item in fields(settings):
        found = getattr(settings, item.name)
        if item.type is float:
            number = isinstance(found, (int, float)) and not isinstance(found, bool)
            _check(
                number and math.isfinite(found), table, item.name, repr(found), "a finite number"
            )
        elif item.type in (int, bool, str):
            wanted = {int: "a whole number", bool: "true or false", str: "a text"}[item.type]
            _check(type(found) is item.type, table, item.name, repr(found), wanted)


def _check(holds: bool, table: str, name: str, found: object, wanted: str) -> None:
    if not holds:
        raise UserError(f"{table}.{name} = {found}; wanted {wanted}")


def _choice(table: str, name: str, found: str, allowed: tuple[str, ...]) -> None:
    _check(found in allowed, table, name, repr(found), "one of " + ", ".join(allowed))
