"""The model that a run has trained, to sample from and to measure."""

from pathlib import Path

from webtext.model.errors import UserError
from webtext.model.gpt.gpt import GPT, empty
from webtext.model.training import run as runs
from webtext.model.training.checkpoint import Checkpoints, restore
from webtext.model.training.device import choose


def load(run: Path, device: str | None = None, step: int | None = None) -> GPT:
    """Return the model that a run has trained: after `step` steps, or its best, or its last.

    The best is the one with the lowest loss on val; where none was measured, the last.

    Raises:
        UserError: there is no such run or checkpoint, or it is damaged.
    """
    config = runs.read(run)
    saved = Checkpoints(run / "checkpoints")
    if step is None:
        step = saved.best() or saved.last()
    if step is None:
        raise UserError(f"{run}: no checkpoint yet; train it first, or a little longer")
    model = empty(config.gpt)
    restore(saved.load(step), model)
    return model.to(choose(device)).eval()
