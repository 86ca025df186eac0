"""The model that a run has trained, to sample from and to measure."""

from pathlib import Path

from webtext.model.errors import UserError
from webtext.model.gpt import weights
from webtext.model.gpt.gpt import GPT, empty
from webtext.model.machine.device import choose
from webtext.model.training import run as runs
from webtext.model.training.checkpoint import Checkpoints, restore


def load(path: Path, device: str | None = None, step: int | None = None) -> GPT:
    """Return the model of a run, or of a directory in transformers' layout.

    Of a run: the checkpoint after `step` steps; without `step`, the one with the lowest loss on
    val, or the last one if that loss was never measured.

    Raises:
        UserError: there is no such run, model or checkpoint, or it is damaged.
    """
    if weights.is_model(path):
        if step is not None:
            raise UserError(f"--step {step}: {path} is one model, not a run with checkpoints")
        return weights.load(path).to(choose(device)).eval()
    config = runs.read(path)
    saved = Checkpoints(path / "checkpoints")
    saved.warn()
    if step is None:
        step = saved.best() or saved.last()
    if step is None:
        raise UserError(f"{path}: no checkpoint yet; train it first, or a little longer")
    model = empty(config.gpt)
    restore(saved.load(step), model)
    return model.to(choose(device)).eval()
