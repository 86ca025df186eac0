"""The training loop.

The data, the learning rate and the random numbers of a step follow from its number. So a stopped
run continues from its last checkpoint as if it had never stopped: bit by bit the same on the same
number of processes, with the same data on any other number.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from webtext.model.batches.data import Batches, Stream
from webtext.model.batches.reading import Reader
from webtext.model.errors import DisagreementError, UserError
from webtext.model.files import in_use
from webtext.model.gpt.gpt import GPT, build
from webtext.model.machine.device import Precision, best, choose, deterministic, device_name
from webtext.model.machine.parallel import Group, group
from webtext.model.optim.optim import optimizers
from webtext.model.settings import GPT2, Train
from webtext.model.training import run as runs
from webtext.model.training.checkpoint import Checkpoints, restore
from webtext.model.training.clock import Clock
from webtext.model.training.passes import Passes
from webtext.model.training.proof import at_fault, by_eager, prove
from webtext.model.training.stopping import stopping
from webtext.model.training.work import Line, Tell, Work, measures, saves

Watch = Callable[[Line], None]
Score = Callable[[GPT, Callable[[], bool]], dict[str, float]]  # the second: was a stop requested?


def unwatched(line: Line) -> None:
    """Ignore a line of the log."""


def tell_stderr(text: str) -> None:
    """Print a message for the user to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def train(
    run: Path,
    tokens: Path,
    gpt: GPT2,
    settings: Train,
    device: str | None = None,
    watch: Watch = unwatched,
    score: Score | None = None,
    source: Path | None = None,
    tell: Tell = tell_stderr,
) -> Path:
    """Train a model, or continue its training; return its last checkpoint.

    A new run starts with the weights of the model in `source`, which is in transformers' layout and
    has the shape `gpt`, and a new optimiser state; without `source`, with random weights.

    After each step `watch` gets its line of log.jsonl: step (the first is 0), loss, lr, norm,
    skipped (the reason, or null), val_loss (null unless it is due), tokens_per_s, mfu (null if the
    device's peak is unknown), seconds_left; scores, the result of `score`, whenever val_loss is
    due; and proof, if compiled code was compared with eager code before the step. SIGTERM and
    SIGINT end the training with a checkpoint; `score` can ask whether they came, and an empty
    result of it is left out. `tell` gets messages for the user.

    Raises:
        UserError: settings, tokens and device do not fit together, or do not fit `run`; or another
            training is at work on it.
        DivergedError: the loss or the gradient is not finite or spikes, and `trouble` is "stop".
        DisagreementError: compiled code computes something else, and `disagreement` is "stop".
    """
    kind = (device or best()).partition(":")[0]
    with ExitStack() as stack:
        stop, us = stack.enter_context(stopping()), stack.enter_context(group(kind))
        stack.enter_context(deterministic(settings.deterministic))
        if us.leads:
            stack.enter_context(in_use(run, "another training"))
        if score is not None and us.size > 1 and settings.parallel == "fsdp":
            raise UserError(
                "train.eval_tasks cannot be measured while train.parallel = 'fsdp' spreads the "
                "weights; leave them out, and ask `webtext eval` of the checkpoints"
            )
        work = prepare(run, tokens, gpt, settings, device, us, source, tell)
        done = work.first
        try:
            for line, ended in work.steps(stop):
                done, last = line["step"] + 1, ended
                if measures(settings, done, last):
                    line["val_loss"] = work.validate(stop)
                    if score is not None:  # in every process, so that none waits long for another
                        scores = score(work.model, lambda: stop.asked)
                        if scores:
                            line["scores"] = scores
                    last = last or us.any(stop.asked)
                if us.leads:
                    work.log.write(line)
                    watch(line)
                if last or saves(settings, done):
                    work.save(done, line["val_loss"])
                work.clock.start()
                if last:
                    break
        finally:
            work.close()
        return work.saved.path(done)


def prepare(
    run: Path,
    tokens: Path,
    gpt: GPT2,
    settings: Train,
    device: str | None,
    us: Group,
    source: Path | None = None,
    tell: Tell = tell_stderr,
) -> Work:
    """Prepare the state of the loop, from the last checkpoint if there is one."""
    place = choose(device, us.local)
    precision = Precision(settings.precision, place)
    windows = settings.windows(gpt.context)
    us.share(windows)
    batches = Batches(Stream(tokens, "train"), gpt.context, windows, settings.seed, gpt.vocab)
    held_out = Stream(tokens, "val")
    has_val = len(held_out) > gpt.context
    saved = Checkpoints(run / "checkpoints", settings.keep)
    if us.leads:
        runs.begin(run, tokens, gpt, settings, source)
        saved.warn()
        saved.sweep()
    us.wait()
    first = saved.last() or 0

    extra = {"recompute": settings.recompute, "mask_documents": settings.mask_documents}
    model = build(gpt, settings.seed, place, **extra)
    if not first:
        runs.start_from(run, source, model)
    state = saved.load(first) if first else None
    if state is not None:
        restore(state, model)
    passes = Passes(model, precision, compiled=settings.compile, how=settings.parallel, group=us)
    work = Work(
        settings=settings,
        us=us,
        first=first,
        place=place,
        batches=batches,
        val=Batches(held_out, gpt.context, 1, 0, gpt.vocab) if has_val else None,
        model=model,
        passes=passes,
        movers=[],
        saved=saved,
        log=runs.Log(run if us.leads else None, first),
        clock=Clock(gpt, settings, precision.peak, us.size, first),
        tell=tell,
        drawn=not first and source is None,
    )
    if passes.compiled and first < settings.steps:
        compile_and_prove(work, precision)
    work.movers = optimizers(model, settings)  # after the proof, which needs the memory
    if state is not None:
        restore(state, model, work.movers)
        work.losses.extend(state["losses"])
        if state["scaler"]:
            passes.scaler.load_state_dict(state["scaler"])
    return work


def compile_and_prove(work: Work, precision: Precision) -> None:
    """Compile, capture a CUDA graph, and compare with eager code on the first microbatch.

    Raises:
        DisagreementError: they differ, and `disagreement` is "stop".
    """
    passes, us = work.passes, work.us
    windows = work.batches.windows(work.first)[us.share(work.batches.size)][: work.size]
    part = Reader(work.batches, work.size, work.place).part(work.first, windows)
    eager = by_eager(work.model, passes, precision, part.x_BT, part.y_BT)
    try:
        passes.record(part.x_BT, part.y_BT)
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        work.tell(
            f"the kernels of a step can't be recorded, so it is slower than it could be: {why}"
        )
    work.proof = prove(work.model, passes, precision, part.x_BT, part.y_BT, eager)
    fault = work.proof.fault
    if us.any(fault is not None):
        fault = fault or "another process found a difference"
        where = at_fault(work.model, passes, precision, part.x_BT, part.y_BT)
        message = (
            f"compiled code computes something else than the model: {fault}; at fault: {where}; "
            f"torch {torch.__version__} on {device_name(work.place)}"
        )
        if work.settings.disagreement == "stop":
            work.close()
            raise DisagreementError(
                f"{message}; use another torch, or train.compile = false, which is slower and right"
            )
        work.tell(f"{message}; going on without compiling, which is slower and right")
        passes.leave_compiling()
