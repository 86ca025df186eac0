"""The figures of a training for TensorBoard, and for Weights & Biases where it is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webtext.pipeline.core.errors import UserError

Line = dict[str, Any]


def figures(line: Line, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a line of log.jsonl by their names; those of a table as table/name.

    >>> dict(figures({"step": 3, "loss": 2.5, "skipped": None, "eval": {"lambada": 0.5}}))
    {'loss': 2.5, 'eval/lambada': 0.5}
    """
    for name, value in line.items():
        if isinstance(value, dict):
            yield from figures(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and name not in {"step", "seconds_left"}:
            yield prefix + name, float(value)


@contextmanager
def tensorboard(folder: Path) -> Iterator[Callable[[Line], None]]:
    """Give a function that adds each line to the event files of `folder`.

    What a killed run wrote after its checkpoint is removed when the steps are repeated.
    """
    from tensorboardX import SummaryWriter

    writers: list[Any] = []

    def add(line: Line) -> None:
        if not writers:
            step = line["step"]  # in the name too: two files begun in one second are else the same
            suffix = f".{step}"
            writers.append(SummaryWriter(str(folder), purge_step=step, filename_suffix=suffix))
        for name, value in figures(line):
            writers[0].add_scalar(name, value, line["step"])

    try:
        yield add
    finally:
        for writer in writers:
            writer.close()


@contextmanager
def wandb(project: str, run: Path, config: Line) -> Iterator[Callable[[Line], None]]:
    """Give a function that logs each line to a project; a run that goes on is the same run there.

    Raises:
        UserError: wandb is not installed.
    """
    try:
        import wandb as library
    except ImportError:
        raise UserError("--wandb: wandb is not installed; pip install wandb") from None
    session = library.init(
        project=project, name=run.name, id=run.name, resume="allow", dir=str(run), config=config
    )
    try:
        yield lambda line: session.log(dict(figures(line)), step=line["step"])
    finally:
        session.finish()
