"""What the training loop works with, and how it takes a step."""

import hashlib
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from webtext.model.batches.data import Batches, Ints
from webtext.model.batches.reading import Part, Reader
from webtext.model.errors import DivergedError
from webtext.model.gpt.gpt import GPT, STD
from webtext.model.machine.parallel import Group, clip
from webtext.model.optim.schedule import rate
from webtext.model.settings import Train
from webtext.model.training import run as runs
from webtext.model.training.checkpoint import Checkpoints
from webtext.model.training.clock import Clock
from webtext.model.training.passes import Passes
from webtext.model.training.proof import Proof
from webtext.model.training.stopping import Stop

LAST = 128  # losses that a spike is measured against. Source: llm.c, llmc/outlier_detector.h
SKIPS = 20  # steps skipped one after the other that show that no later one will do better
# Nats that the first loss may be off what theory says.
FIRST_LOSS = 0.15

Line = dict[str, Any]  # of log.jsonl
Tell = Callable[[str], None]


@dataclass
class Taken:
    """A step that was given to the device, which may not have come to its end yet."""

    step: int
    lr: float
    windows: Ints
    figures: Tensor  # on the host: loss, gradient's norm, how many processes were asked to stop
    there: torch.cuda.Event | None  # when the figures are


@dataclass
class Work:
    """What the loop works with."""

    settings: Train
    us: Group
    first: int  # the step that it begins with
    place: torch.device
    batches: Batches
    val: Batches | None  # none where that split is shorter than a window
    model: GPT
    passes: Passes
    movers: list[Optimizer]
    saved: Checkpoints
    log: runs.Log
    clock: Clock
    tell: Tell
    # the last ones, to know a spike by
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))
    drawn: bool = False  # whether it begins with weights of no training
    proof: Proof | None = None
    skips: int = 0  # steps left out since the last that was not

    @property
    def lag(self) -> int:
        """How many steps are given to the device before the first is looked at.

        On CUDA one more than needed, so that it need not wait while we look. Not where a step may
        be left out, for that must be known before the weights move.
        """
        return int(self.place.type == "cuda" and self.settings.trouble == "stop")

    def steps(self, stop: Stop) -> Iterator[tuple[Line, bool]]:
        """Yield what came of each step, and whether it is the last one.

        After steps after which something is due, no other has been begun.
        """
        waiting: deque[Taken] = deque()
        mine = self.us.share(self.batches.size)
        reader = Reader(self.batches, self.size, self.place)
        last = False
        self.clock.start()
        for parts in reader.ahead(self.first, self.settings.steps, mine):
            waiting.append(self.take(parts, stop.asked))
            done = parts[0].step + 1
            due = measures(self.settings, done, asked=False) or saves(self.settings, done)
            while waiting and (last or due or len(waiting) > self.lag):
                line, asked = self.settle(waiting.popleft())
                last = last or asked
                yield line, (last and not waiting) or line["step"] + 1 == self.settings.steps
            if last:
                return

    @property
    def size(self) -> int:
        """How many windows this process takes at once."""
        return min(self.settings.microbatch, self.batches.size // self.us.size)

    def take(self, parts: list[Part], asked: bool) -> Taken:
        """Give a step to the device."""
        step = parts[0].step
        if self.model.settings.dropout:
            torch.manual_seed(random_seed(self.settings.seed, step, self.us.rank))
        lr = self.set_rate(rate(self.settings, step))
        self.passes.begin()
        for part in parts:
            share = part.windows / self.batches.size
            self.passes.add(part.x_BT, part.y_BT, share, last=part is parts[-1])
        for mover in self.movers:
            self.passes.scaler.unscale_(mover)
        norm = clip(self.passes.weights, self.settings.clip)
        figures = torch.stack([self.passes.loss, torch.full_like(self.passes.loss, asked)])
        figures = torch.cat([self.us.total(figures), norm[None]])
        there = None
        if self.place.type == "cuda":
            host = torch.empty(len(figures), pin_memory=True)
            figures, there = host.copy_(figures, non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
            there.record()
        if self.lag:
            self.update(skip=False)
        return Taken(step, lr, self.batches.windows(step), figures, there)

    def settle(self, taken: Taken) -> tuple[Line, bool]:
        """Wait for a step; return its line, and whether a process was asked to stop.

        Raises:
            DivergedError: it is no step to go on from.
        """
        if taken.there is not None:
            taken.there.synchronize()
        mean, asked, norm = taken.figures.tolist()
        trouble = self.trouble(mean, norm, self.settings.spike)
        if trouble and (self.settings.trouble == "stop" or self.skips == SKIPS):
            raise diverged(taken.step, trouble, taken.windows, self.saved)
        if not trouble:
            self.losses.append(mean)
        self.skips = self.skips + 1 if trouble else 0
        if not self.lag:
            self.update(skip=trouble is not None)
        line: Line = {"step": taken.step, "loss": finite(mean), "lr": taken.lr}
        line |= {"norm": finite(norm), "skipped": trouble, "val_loss": None}
        line |= self.clock.stop(self.settings.batch_tokens)
        if taken.step == self.first:
            self.look_at_first(mean)
            line |= {"proof": self.proof.told()} if self.proof else {}
        return line, asked > 0

    def look_at_first(self, loss: float) -> None:
        """Tell where a fresh model's first loss is not what theory says.

        Its logits are sums of D products of numbers of variance 1 and 0.02^2, so normal, and the
        mean of ln sum exp over V of them is ln V + D * 0.02^2 / 2.
        """
        gpt = self.model.settings
        if gpt.tied and gpt.zero_start:  # each token then foretells itself
            return
        theory = math.log(gpt.vocab) + gpt.width * STD**2 / 2
        if self.drawn and not abs(loss - theory) <= FIRST_LOSS:
            self.tell(
                f"the first loss is {loss:.3f}, where fresh weights of this shape give "
                f"{theory:.3f}: the data is very uneven, or something computes wrongly"
            )

    def set_rate(self, lr: float) -> float:
        """Set the learning rate of all weights."""
        for mover in self.movers:
            for weights in mover.param_groups:
                weights["lr"] = lr * weights["times"]
        return lr

    def update(self, skip: bool) -> None:
        """Move the weights, unless this step is to be left out."""
        if not skip:
            for mover in self.movers:
                self.passes.scaler.step(mover)
            self.passes.refresh()
        self.passes.scaler.update()

    def trouble(self, loss: float, norm: float, spike: float) -> str | None:
        """Return what is wrong with a step, if anything."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm) and not self.passes.scaler.is_enabled():
            return f"the gradient's norm is {norm}, the loss {loss:.4f}"  # else fp16's daily bread
        if spike and len(self.losses) == LAST:
            mean, deviation = statistics.fmean(self.losses), statistics.pstdev(self.losses)
            if loss > mean + spike * deviation:
                return f"the loss is {loss:.4f}, of the last {LAST} {mean:.4f} +- {deviation:.4f}"
        return None

    def validate(self, stop: Stop) -> float | None:
        """Return the mean loss on the first windows of the val split; None if asked to stop."""
        if self.val is None:
            return None
        size = self.us.size
        count = min(self.val.count, max(1, self.settings.eval_tokens // self.val.context))
        windows = np.arange(count - count % size if count >= size else count)
        mine = windows[self.us.rank :: size] if count >= size else windows
        total = torch.zeros((), device=self.place)
        for part in Reader(self.val, self.size, self.place).parts(0, mine):
            if self.us.any(stop.asked):
                return None
            total += self.passes.measure(part.x_BT, part.y_BT) * (part.windows / len(mine))
        return float(self.us.total(total)) / size

    def save(self, step: int, val_loss: float | None) -> None:
        """Save all that the next step depends on."""
        extra = {"scaler": self.passes.scaler.state_dict(), "losses": list(self.losses)}
        self.saved.take(step, self.model, self.movers, extra, val_loss, self.us)

    def close(self) -> None:
        """Let what is being written be written."""
        self.log.close()
        self.saved.wait()


def diverged(step: int, trouble: str, windows: Ints, saved: Checkpoints) -> DivergedError:
    """Say where it went wrong, on what, and what can be done."""
    named = ", ".join(str(window) for window in windows[:8])
    more = f" and {len(windows) - 8} more" if len(windows) > 8 else ""
    last = saved.last()
    good = f"the last good checkpoint is {saved.path(last)}" if last else "there is no checkpoint"
    return DivergedError(
        f"step {step}: {trouble}; it read windows {named}{more}; {good}; "
        "lower train.lr, or set train.trouble = 'skip' to leave such steps out",
        step,
        windows.tolist(),
    )


def saves(settings: Train, done: int) -> bool:
    """Whether a checkpoint is due: in its turn, and at the end."""
    return done == settings.steps or every(settings.checkpoint_every, done)


def measures(settings: Train, done: int, asked: bool) -> bool:
    """Whether the loss on val is due: in its turn, with each checkpoint, and at the end.

    Not where we were asked to stop, for who asks seldom waits long.
    """
    turn = every(settings.eval_every, done)
    saved = settings.eval_every > 0 and every(settings.checkpoint_every, done)
    return done == settings.steps or (not asked and (turn or saved))


def every(steps: int, done: int) -> bool:
    """Whether something is due that is done every so many steps, 0 meaning never."""
    return steps > 0 and done % steps == 0


def finite(value: float) -> float | None:
    """Return a number that JSON has, or None."""
    return value if math.isfinite(value) else None


def random_seed(seed: int, step: int, rank: int) -> int:
    """Return what a step's random numbers start from, so that they too follow from its number."""
    digest = hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()
    return int.from_bytes(digest[:7], "little")
