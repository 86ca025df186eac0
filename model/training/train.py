"""Training: one loop, which is the whole story.

What a step reads, its learning rate and its random numbers follow from its number. So a run that
was stopped anywhere goes on from its last checkpoint as if it had not been: to the bit on as many
processes, with the same data on any number.
"""

import hashlib
import math
import signal
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from webtext.model.errors import DivergedError, UserError
from webtext.model.gpt.gpt import GPT, build
from webtext.model.settings import GPT2, Train
from webtext.model.training import run as runs
from webtext.model.training.checkpoint import Checkpoints, restore, snapshot
from webtext.model.training.data import Batches, Ints, Stream
from webtext.model.training.device import Precision, best, choose, deterministic
from webtext.model.training.optim import optimizers
from webtext.model.training.parallel import Group, clip, gradients, group, spread
from webtext.model.training.schedule import rate

LAST = 128  # losses that a spike is measured against. Source: llm.c, llmc/outlier_detector.h
SKIPS = 20  # steps skipped one after the other that show that no later one will do better

Line = dict[str, Any]  # of log.jsonl
Watch = Callable[[Line], None]
Score = Callable[[GPT], dict[str, float]]


def unwatched(line: Line) -> None:
    """Look away."""


def train(
    run: Path,
    tokens: Path,
    gpt: GPT2,
    settings: Train,
    device: str | None = None,
    watch: Watch = unwatched,
    score: Score | None = None,
) -> Path:
    """Train a model, or go on with it; return its last checkpoint.

    `watch` is given what goes to log.jsonl after each step: step (the first is 0), loss, lr, norm,
    skipped (why, or null), val_loss (null but where it is due), tokens_per_s, mfu (null where the
    device's peak is unknown), seconds_left; and scores, what `score` says of the model, wherever
    val_loss is due. SIGTERM and SIGINT end it with a checkpoint.

    Raises:
        UserError: settings, tokens and device do not fit together, or not with what `run` holds.
        DivergedError: the loss or the gradient is no number, or spikes, and `trouble` is "stop".
    """
    kind = (device or best()).partition(":")[0]
    with group(kind) as us, stopping() as stop, deterministic(settings.deterministic):
        if score is not None and us.size > 1 and settings.parallel == "fsdp":
            raise UserError(
                "train.eval_tasks cannot be measured while train.parallel = 'fsdp' spreads the "
                "weights; leave them out, and ask `webtext eval` of the checkpoints"
            )
        work = prepare(run, tokens, gpt, settings, device, us)
        done = work.first
        try:
            for step in range(work.first, settings.steps):
                work.clock.start()
                if gpt.dropout:
                    torch.manual_seed(random_seed(settings.seed, step, us.rank))
                lr = work.set_rate(rate(settings, step))

                windows = work.batches.windows(step)
                mine = windows[us.share(len(windows))]
                loss = torch.zeros((), device=work.place)
                for start in range(0, len(mine), settings.microbatch):
                    part = mine[start : start + settings.microbatch]
                    last = start + len(part) == len(mine)
                    x_BT, y_BT = work.read(work.batches, part)
                    with gradients(work.called, shared=last):
                        with work.precision.autocast():
                            share = work.called(x_BT, y_BT) * (len(part) / len(mine))
                        work.scaler.scale(share).backward()
                    loss += share.detach()  # stays on the device: one wait a step, not one a part

                work.unscale()
                norm = float(clip(list(work.model.parameters()), settings.clip))
                mean = float(us.total(loss)) / us.size
                trouble = work.trouble(mean, norm, settings.spike)
                if trouble and (settings.trouble == "stop" or work.skips == SKIPS):
                    raise diverged(step, trouble, windows, work.saved)
                if not trouble:
                    work.losses.append(mean)
                work.skips = work.skips + 1 if trouble else 0
                work.update(skip=trouble is not None)

                done = step + 1
                speed = work.clock.stop(settings.batch_tokens)
                asked = us.any(stop.asked)
                due = measures(settings, done, asked)
                val = work.validate(settings, us) if due else None
                line: Line = {"step": step, "loss": finite(mean), "lr": lr, "norm": finite(norm)}
                line |= {"skipped": trouble, "val_loss": val, **speed}
                if due and score is not None:  # in every process: none is to wait for long
                    line["scores"] = score(work.model)
                if us.leads:
                    work.log.write(line)
                    watch(line)
                if asked or done == settings.steps or every(settings.checkpoint_every, done):
                    work.save(done, val, us)
                if asked:
                    break
        finally:
            work.close()
        return work.saved.path(done)


@dataclass
class Work:
    """What the loop works with."""

    first: int  # the step that it begins with
    place: torch.device
    precision: Precision
    batches: Batches
    val: Batches | None  # none where that split is shorter than a window
    model: GPT
    called: nn.Module  # the model, or what stands before it where processes share the work
    movers: list[Optimizer]
    scaler: torch.amp.GradScaler
    saved: Checkpoints
    losses: deque[float]  # the last ones, to know a spike by
    log: runs.Log
    clock: "Clock"
    skips: int = 0  # steps left out since the last that was not

    def read(self, batches: Batches, windows: Ints) -> tuple[Tensor, Tensor]:
        """Return windows' tokens, and for each the one that follows it."""
        rows = torch.from_numpy(batches.tokens(windows))
        if self.place.type == "cuda":
            rows = rows.pin_memory().to(self.place, non_blocking=True)
        else:
            rows = rows.to(self.place)
        return rows[:, :-1], rows[:, 1:]

    def set_rate(self, lr: float) -> float:
        """Set the learning rate of all weights."""
        for mover in self.movers:
            for weights in mover.param_groups:
                weights["lr"] = lr
        return lr

    def unscale(self) -> None:
        """Take fp16's scale off the gradients."""
        for mover in self.movers:
            self.scaler.unscale_(mover)

    def update(self, skip: bool) -> None:
        """Move the weights, unless this step is to be left out; forget the gradients."""
        for mover in self.movers:
            if not skip:
                self.scaler.step(mover)
            mover.zero_grad(set_to_none=True)
        self.scaler.update()

    def trouble(self, loss: float, norm: float, spike: float) -> str | None:
        """Return what is wrong with a step, if anything."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            return f"the gradient's norm is {norm}, the loss {loss:.4f}"  # else fp16's daily bread
        if spike and len(self.losses) == LAST:
            mean, deviation = statistics.fmean(self.losses), statistics.pstdev(self.losses)
            if loss > mean + spike * deviation:
                return f"the loss is {loss:.4f}, of the last {LAST} {mean:.4f} +- {deviation:.4f}"
        return None

    @torch.no_grad()
    def validate(self, settings: Train, us: Group) -> float | None:
        """Return the mean loss on the first windows of the val split."""
        if self.val is None:
            return None
        count = min(self.val.count, max(1, settings.eval_tokens // self.val.context))
        windows = np.arange(count - count % us.size if count >= us.size else count)
        mine = windows[us.rank :: us.size] if count >= us.size else windows
        total = torch.zeros((), device=self.place)
        self.model.eval()
        for start in range(0, len(mine), settings.microbatch):
            part = mine[start : start + settings.microbatch]
            with self.precision.autocast():
                total += self.called(*self.read(self.val, part)) * (len(part) / len(mine))
        self.model.train()
        return float(us.total(total)) / us.size

    def save(self, step: int, val_loss: float | None, us: Group) -> None:
        """Save all that the next step depends on."""
        if us.leads or self.called is self.model:  # sharded weights need all to come together
            state = snapshot(self.model, self.movers)
            state |= {"scaler": self.scaler.state_dict(), "losses": list(self.losses)}
            if us.leads:
                self.saved.save(step, state, val_loss)

    def resume(self) -> None:
        """Take up what `save` saved after the step before the first."""
        state = self.saved.load(self.first)
        restore(state, self.model, self.movers)
        self.losses.extend(state["losses"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    def close(self) -> None:
        """Let what is being written be written."""
        self.log.close()
        self.saved.wait()


def prepare(
    run: Path, tokens: Path, gpt: GPT2, settings: Train, device: str | None, us: Group
) -> Work:
    """Make what the loop works with, from the last checkpoint where there is one."""
    place = choose(device, us.local)
    precision = Precision(settings.precision, place)
    windows = settings.windows(gpt.context)
    us.share(windows)
    batches = Batches(Stream(tokens, "train"), gpt.context, windows, settings.seed, gpt.vocab)
    held_out = Stream(tokens, "val")
    has_val = len(held_out) > gpt.context
    saved = Checkpoints(run / "checkpoints", settings.keep)
    if us.leads:
        runs.begin(run, tokens, gpt, settings)
        saved.sweep()
    us.wait()
    first = saved.last() or 0

    extra = {"recompute": settings.recompute, "mask_documents": settings.mask_documents}
    model = build(gpt, settings.seed, place, **extra)
    if settings.compile and place.type == "cuda":
        model.compile()
    called = spread(model, settings.parallel, us)
    work = Work(
        first=first,
        place=place,
        precision=precision,
        batches=batches,
        val=Batches(held_out, gpt.context, 1, 0, gpt.vocab) if has_val else None,
        model=model,
        called=called,
        movers=optimizers(model, settings),
        scaler=precision.scaler(),
        saved=saved,
        losses=deque(maxlen=LAST),
        log=runs.Log(run if us.leads else None, first),
        clock=Clock(gpt, settings, precision.peak, us.size, first),
    )
    if first:
        work.resume()
    return work


class Clock:
    """How fast it goes, and how long it will take."""

    def __init__(
        self, gpt: GPT2, settings: Train, peak: float | None, processes: int, first: int
    ) -> None:
        self.flops_per_token = gpt.flops_per_token
        self.peak = peak and peak * processes
        self.left = settings.steps - first
        self.steps = 0
        self.pace = 0.0  # seconds from step to step, the last ones weighing most
        self.started = self.stopped = time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self.started = time.perf_counter()

    def stop(self, tokens: int) -> dict[str, float | None]:
        """End a step that so many tokens went through; return its figures."""
        now = time.perf_counter()
        speed = tokens / (now - self.started)
        taken, self.stopped = now - self.stopped, now
        # The first step compiles and warms up, so the second one's pace takes its place.
        self.pace = taken if self.steps < 2 else 0.9 * self.pace + 0.1 * taken
        self.steps, self.left = self.steps + 1, self.left - 1
        return {
            "tokens_per_s": speed,
            "mfu": speed * self.flops_per_token / self.peak if self.peak else None,
            "seconds_left": self.pace * self.left,
        }


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


def measures(settings: Train, done: int, asked: bool) -> bool:
    """Whether the loss on val is due: in its turn, with each checkpoint, and at the end.

    Not where we were asked to stop, for who asks seldom waits long.
    """
    turn = every(settings.eval_every, done)
    saves = settings.eval_every > 0 and every(settings.checkpoint_every, done)
    return done == settings.steps or (not asked and (turn or saves))


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


class Stop:
    """Whether we were asked to stop."""

    asked = False


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turn SIGTERM and SIGINT into a wish that the loop looks for; a second one is an order."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    if threading.current_thread() is not threading.main_thread():
        yield stop  # python gives signals to the main thread only
        return
    before = {sign: signal.signal(sign, ask) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
