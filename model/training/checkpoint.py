"""Checkpoints: written atomically, verified when loaded, and sufficient to resume exactly.

A checkpoint is two files: `step-00000400.pt`, and `step-00000400.json` with its sha256, written
after it; without the second, the first was left by a killed process. It holds the weights, the
state of the optimisers, and little else, because the order of the data, the learning rate and the
random numbers of a step all follow from its number. Weights are stored by name and without the
vocabulary's padding, so the file depends neither on the number of processes nor on the padding.

If the weights are sharded, a folder `step-00000400` replaces the .pt file; see
webtext.model.training.sharded. Any number of processes can read either form, with or without
sharding.
"""

import hashlib
import json
import logging
import shutil
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
from webtext.model.machine import parallel
from webtext.model.machine.parallel import Group
from webtext.model.optim.optim import moments

log = logging.getLogger(__name__)

State = dict[str, Any]
TABLES = ("wte.weight", "lm_head.weight")  # they have a row for each token, and padding rows


def snapshot(model: GPT, optimizers: list[Optimizer]) -> State:
    """Return a copy of weights and moments on the CPU. All processes must call it."""
    vocab = model.settings.vocab
    weights = {name: _copy(p, name, vocab) for name, p in model.named_parameters()}
    remembered = {
        name: {key: _copy(value, name, vocab) for key, value in state.items()}
        for name, _, state in moments(model, optimizers)
    }
    return {"weights": weights, "moments": remembered}


@torch.no_grad()
def restore(state: State, model: GPT, optimizers: list[Optimizer] | None = None) -> None:
    """Load a snapshot into the model, in place. All processes must call it."""
    if "folder" in state:
        from webtext.model.training import sharded

        sharded.restore(state["folder"], model, moments(model, optimizers or []))
        return
    for name, parameter in model.named_parameters():
        parameter.copy_(
            parallel.like(parallel.fitted(state["weights"][name], parameter.shape), parameter)
        )
    for name, parameter, live in moments(model, optimizers or []):
        for key, value in state["moments"][name].items():
            live[key] = parallel.like(parallel.fitted(value, parameter.shape), parameter)


def _copy(tensor: Tensor, name: str, vocab: int) -> Tensor:
    found = parallel.whole(tensor.detach())
    if name in TABLES and found.dim() == 2:
        found = found[:vocab]
    return found.to("cpu", copy=True)


def step_of(path: Path) -> int:
    """Return the step of a checkpoint's file.

    >>> step_of(Path("checkpoints/step-00000400.pt"))
    400
    """
    return int(path.name[5:13])


@dataclass
class Checkpoints:
    """The checkpoints of a run: the last `keep`, and the one with the lowest loss on val."""

    folder: Path
    keep: int = 2
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    _pending: "Future[Path] | None" = field(default=None, repr=False)

    def path(self, step: int) -> Path:
        """Return the path of the checkpoint after `step` steps."""
        folder = self.folder / f"step-{step:08d}"
        note = _read_note(folder.with_suffix(".json"))
        shared = folder.is_dir() if note is None else "files" in note
        return folder if shared else folder.with_suffix(".pt")

    def notes(self) -> dict[int, dict[str, Any]]:
        """Return the note (the .json) of each complete checkpoint by its step, in order."""
        found = {}
        for path in sorted(self.folder.glob("step-*.json")):
            note = _read_note(path)
            if note is not None and self.path(note["step"]).exists():
                found[int(note["step"])] = note
        return found

    def torn(self) -> list[Path]:
        """Return the notes that are empty or incomplete, which a crash of the machine may leave."""
        return [path for path in self.folder.glob("step-*.json") if _read_note(path) is None]

    def warn(self) -> None:
        """Warn about checkpoints with incomplete notes, which are not used."""
        last = self.last()
        instead = "there is none before it" if last is None else f"the last whole one is {last}"
        for path in self.torn():
            log.warning("%s: empty or torn, so this checkpoint is passed over; %s", path, instead)

    def last(self) -> int | None:
        """Return the step of the newest checkpoint, None without checkpoints."""
        return max(self.notes(), default=None)

    def best(self) -> int | None:
        """Return the step with the lowest loss on val, None if none was measured."""
        losses = {s: n["val_loss"] for s, n in self.notes().items() if n["val_loss"] is not None}
        return min(losses, key=lambda step: (losses[step], step), default=None)

    def load(self, step: int) -> State:
        """Return a checkpoint's content.

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.path(step)
        notes = self.notes()
        if step not in notes:
            there = ", ".join(map(str, notes)) or "none"
            raise UserError(f"{path}: no such checkpoint; there are: {there}")
        note = notes[step]
        if "files" in note:
            from webtext.model.training import sharded

            if bad := sharded.damaged(path, note["files"]):
                raise UserError(self._damaged(step, f"{', '.join(bad)}: not what was written"))
            return {"folder": path, **note["extra"]}
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != note["sha256"]:
            what = f"its sha256 is {found[:8]}…, wanted {note['sha256'][:8]}…"
            raise UserError(self._damaged(step, what))
        state: State = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return state

    def _damaged(self, step: int, what: str) -> str:
        """Say that a checkpoint is damaged, and what the user can do without losing more."""
        before = [other for other in self.notes() if other < step]
        advice = "put a copy of it back; there is none before it to go on from"
        if before:
            advice = (
                f"put a copy of it back, or move it and its .json elsewhere, and the run goes on "
                f"from step {before[-1]}"
            )
        return f"{self.path(step)}: damaged: {what}; {advice}"

    def take(
        self,
        step: int,
        model: GPT,
        optimizers: list[Optimizer],
        extra: State,
        val_loss: float | None,
        us: Group,
    ) -> None:
        """Make a checkpoint of the current state. All processes must call it.

        If the leading process has all weights, it copies them and writes in the background; it
        first waits for the previous write, so that memory holds one copy only. If the weights are
        sharded, each process writes its shard directly, without a copy, and then goes on.

        Raises:
            UserError: this checkpoint or the previous one could not be written.
        """
        self.wait()
        if parallel.shared(model):
            from webtext.model.training import sharded

            folder = self.folder / f"step-{step:08d}"
            files = sharded.save(folder, model, moments(model, optimizers), us)
            if us.leads:
                note = {"step": step, "val_loss": val_loss, "files": files, "extra": extra}
                write_json(folder.with_suffix(".json"), note)
                self._prune()
        elif us.leads:
            self.save(step, snapshot(model, optimizers) | extra, val_loss)

    def save(self, step: int, state: State, val_loss: float | None) -> None:
        """Write a checkpoint in the background; return at once.

        Raises:
            UserError: the previous checkpoint could not be written.
        """
        self.wait()
        self._pending = self._writer.submit(self._write, step, state, val_loss)

    def wait(self) -> None:
        """Wait until the last saved checkpoint is on the disk.

        Raises:
            UserError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, step: int, state: State, val_loss: float | None) -> Path:
        path = self.folder / f"step-{step:08d}.pt"
        try:
            replace(path, lambda partial: torch.save(state, partial))
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            note = {"step": step, "val_loss": val_loss, "sha256": digest}
            if path.with_suffix("").is_dir():  # incomplete, from a run with sharded weights
                shutil.rmtree(path.with_suffix(""))
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
            path = self.path(step)
            path.with_suffix(".json").unlink()  # first: no note without a checkpoint
            _remove(path)

    def sweep(self) -> None:
        """Remove what a killed process left incomplete; a checkpoint with a torn note stays."""
        kept = {f"{step:08d}" for step in self.notes()} | {path.name[5:13] for path in self.torn()}
        for path in self.folder.glob("step-*"):
            if path.name[5:13].isdigit() and path.name[5:13] not in kept:
                _remove(path)


def _read_note(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint's note; None if it is incomplete."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        whole = note["step"] == step_of(path) and ("sha256" in note or "extra" in note)
        return dict(note) if whole and "val_loss" in note else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
