"""Checkpoints: whole or not there, checked before they are believed, and enough to go on exactly.

A checkpoint is two files: `step-00000400.pt`, and `step-00000400.json` with its sha256, written
after it; without the second, the first is what a killed process left. It holds the weights, what
the optimisers remember, and little else, for the order of the data, the rate and the random numbers
of a step all follow from its number. Weights go by name and without the vocabulary's padding, so
that neither the number of processes nor the padding is in the file.
"""

import hashlib
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from webtext.model.errors import UserError
from webtext.model.files import replace, write_json
from webtext.model.gpt.gpt import GPT
from webtext.model.training import parallel
from webtext.model.training.optim import moments

State = dict[str, Any]


def snapshot(model: GPT, optimizers: list[Optimizer]) -> State:
    """Return a copy, on the CPU, of weights and moments. All processes must call it."""
    vocab = model.settings.vocab
    weights = {name: _copy(p, name, vocab) for name, p in model.named_parameters()}
    remembered = {
        name: {key: _copy(value, name, vocab) for key, value in state.items()}
        for name, _, state in moments(model, optimizers)
    }
    return {"weights": weights, "moments": remembered}


@torch.no_grad()
def restore(state: State, model: GPT, optimizers: list[Optimizer] | None = None) -> None:
    """Put a snapshot back, in place."""
    for name, parameter in model.named_parameters():
        parameter.copy_(parallel.like(_pad(state["weights"][name], parameter.shape), parameter))
    for name, parameter, live in moments(model, optimizers or []):
        for key, value in state["moments"][name].items():
            live[key] = parallel.like(_pad(value, parameter.shape), parameter)


def _copy(tensor: Tensor, name: str, vocab: int) -> Tensor:
    found = parallel.whole(tensor.detach())
    if name == "wte.weight" and found.dim() == 2:
        found = found[:vocab]
    return found.to("cpu", copy=True)


def _pad(tensor: Tensor, shape: torch.Size) -> Tensor:
    """Add the vocabulary's padding. It is zero always: its gradient is, and decay leaves zero."""
    if tensor.dim() != 2 or tensor.shape == shape:
        return tensor
    padded = tensor.new_zeros(shape)
    padded[: len(tensor)] = tensor
    return padded


@dataclass
class Checkpoints:
    """The checkpoints of a run: the last `keep`, and the one with the lowest loss on val."""

    folder: Path
    keep: int = 2
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    _pending: "Future[Path] | None" = field(default=None, repr=False)

    def path(self, step: int) -> Path:
        """Return where the checkpoint lies that `step` steps lead to."""
        return self.folder / f"step-{step:08d}.pt"

    def notes(self) -> dict[int, dict[str, Any]]:
        """Return what is written beside each whole checkpoint, by its step, in order."""
        found = {}
        for path in sorted(self.folder.glob("step-*.json")):
            if path.with_suffix(".pt").exists():
                note = json.loads(path.read_text(encoding="utf-8"))
                found[int(note["step"])] = note
        return found

    def last(self) -> int | None:
        """Return the newest checkpoint's step, None if there is none."""
        return max(self.notes(), default=None)

    def best(self) -> int | None:
        """Return the step with the lowest loss on val, None where none was measured."""
        losses = {s: n["val_loss"] for s, n in self.notes().items() if n["val_loss"] is not None}
        return min(losses, key=lambda step: (losses[step], step), default=None)

    def load(self, step: int) -> State:
        """Return a checkpoint's content.

        Raises:
            UserError: it is not there, or not what was written.
        """
        path = self.path(step)
        note = self.notes().get(step)
        if note is None:
            there = ", ".join(str(s) for s in self.notes()) or "none"
            raise UserError(f"{path}: no such checkpoint; there are: {there}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != note["sha256"]:
            raise UserError(
                f"{path}: damaged: its sha256 is {found[:8]}…, wanted {note['sha256'][:8]}…; "
                "delete it, and the run goes on from the checkpoint before it"
            )
        state: State = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return state

    def save(self, step: int, state: State, val_loss: float | None) -> None:
        """Write a checkpoint in the background; return at once.

        Raises:
            UserError: the one before could not be written.
        """
        self.wait()
        self._pending = self._writer.submit(self._write, step, state, val_loss)

    def wait(self) -> None:
        """Wait until what was saved is on the disk.

        Raises:
            UserError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, step: int, state: State, val_loss: float | None) -> Path:
        path = self.path(step)
        try:
            replace(path, lambda partial: torch.save(state, partial))
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            note = {"step": step, "val_loss": val_loss, "sha256": digest}
            write_json(path.with_suffix(".json"), note)
        except (OSError, RuntimeError) as error:  # torch says RuntimeError when a disk is full
            raise UserError(
                f"{path}: could not be written ({str(error).splitlines()[0]}); make room, start "
                f"again, and the run goes on from step {self.last() or 0}"
            ) from error
        self._prune()
        return path

    def _prune(self) -> None:
        steps = list(self.notes())
        for step in set(steps[: -self.keep]) - {self.best()}:
            self.path(step).with_suffix(".json").unlink()  # first: no name without content
            self.path(step).unlink()

    def sweep(self) -> None:
        """Remove what a killed process left half written."""
        for path in self.folder.glob("step-*"):
            if path.name[5:13].isdigit() and int(path.name[5:13]) not in self.notes():
                path.unlink()
