"""The state of the training loop, and the computation of a step."""

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

LAST = 128  # losses with which a spike is compared. Source: llm.c, llmc/outlier_detector.h
SKIPS = 20  # after so many skipped steps in a row the training stops, since later ones fail too
# Nats by which the first loss may differ from theory.
FIRST_LOSS = 0.15

Line = dict[str, Any]  # of log.jsonl
Tell = Callable[[str], None]


@dataclass
class Taken:
    """A step that was launched on the device, and may not be finished yet."""

    step: int
    lr: float
    windows: Ints
    figures: Tensor  # on the host: loss, gradient's norm, how many processes were asked to stop
    there: torch.cuda.Event | None  # done when the figures are on the host


@dataclass
class Work:
    """The state of the training loop."""

    settings: Train
    us: Group
    first: int  # the step at which it starts
    place: torch.device
    batches: Batches
    val: Batches | None  # None if that split is shorter than a window
    model: GPT
    passes: Passes
    movers: list[Optimizer]
    saved: Checkpoints
    log: runs.Log
    clock: Clock
    tell: Tell
    # the last losses, to detect a spike
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))
    drawn: bool = False  # whether it starts with random weights
    proof: Proof | None = None
    skips: int = 0  # steps skipped in a row

    @property
    def lag(self) -> int:
        """How many further steps are launched before the figures of a step are read.

        One on CUDA, so that the GPU does not wait for the host. Zero if steps may be skipped,
        because that must be decided before the weights are updated.
        """
        return int(self.place.type == "cuda" and self.settings.trouble == "stop")

    def steps(self, stop: Stop) -> Iterator[tuple[Line, bool]]:
        """Yield the line of each step, and whether the step is the last one.

        If a measurement or checkpoint is due after a step, the next one has not been launched yet.
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
        """The number of windows in a microbatch of this process."""
        return min(self.settings.microbatch, self.batches.size // self.us.size)

    def take(self, parts: list[Part], asked: bool) -> Taken:
        """Launch a step on the device."""
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
            DivergedError: training cannot go on after this step.
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
        """Warn if the first loss of a new model differs from theory.

        Its logits are sums of D products of numbers with variances 1 and 0.02^2, so they are
        normally distributed, and the mean of ln sum exp over V of them is ln V + D * 0.02^2 / 2.
        """
        gpt = self.model.settings
        if gpt.tied and gpt.zero_start:  # then each token predicts itself
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
        """Update the weights, unless this step is skipped."""
        if not skip:
            for mover in self.movers:
                self.passes.scaler.step(mover)
            self.passes.refresh()
        self.passes.scaler.update()

    def trouble(self, loss: float, norm: float, spike: float) -> str | None:
        """Return a description of what is wrong with a step, or None."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm) and not self.passes.scaler.is_enabled():
            return f"the gradient's norm is {norm}, the loss {loss:.4f}"  # normal in fp16
        if spike and len(self.losses) == LAST:
            mean, deviation = statistics.fmean(self.losses), statistics.pstdev(self.losses)
            if loss > mean + spike * deviation:
                return f"the loss is {loss:.4f}, of the last {LAST} {mean:.4f} +- {deviation:.4f}"
        return None

    def validate(self, stop: Stop) -> float | None:
        """Return the mean loss on the first windows of val; None without val or if stopped."""
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
        """Save everything on which the next step depends."""
        extra = {"scaler": self.passes.scaler.state_dict(), "losses": list(self.losses)}
        self.saved.take(step, self.model, self.movers, extra, val_loss, self.us)

    def close(self) -> None:
        """Close the log, and wait until the last checkpoint is written."""
        self.log.close()
        self.saved.wait()


def diverged(step: int, trouble: str, windows: Ints, saved: Checkpoints) -> DivergedError:
    """Return an error that names the step, the fault, its windows, and what can be done."""
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
    """Whether a checkpoint is due: every `checkpoint_every` steps, and at the end."""
    return done == settings.steps or every(settings.checkpoint_every, done)


def measures(settings: Train, done: int, asked: bool) -> bool:
    """Whether the loss on val is due: every `eval_every` steps, at checkpoints, and at the end.

    Not if we were asked to stop, because the process may soon be killed.
    """
    turn = every(settings.eval_every, done)
    saved = settings.eval_every > 0 and every(settings.checkpoint_every, done)
    return done == settings.steps or (not asked and (turn or saved))


def every(steps: int, done: int) -> bool:
    """Whether something is due that is done every `steps` steps (0: never)."""
    return steps > 0 and done % steps == 0


def finite(value: float) -> float | None:
    """Return a number that JSON can represent, or None."""
    return value if math.isfinite(value) else None


def random_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a step's random numbers, so that they too follow from its number."""
    digest = hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()
    return int.from_bytes(digest[:7], "little")
