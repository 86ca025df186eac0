"""The directory of a run: what was asked for, and what happened at each step.

config.json    the settings, and the sha256 of the tokens
log.jsonl      a line a step
checkpoints/   see webtext.model.training.checkpoint
"""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from webtext.model.errors import UserError
from webtext.model.files import replace, write_json
from webtext.model.settings import GPT2, Train, identity
from webtext.model.training.data import Batches, Stream, fingerprint


@dataclass(frozen=True)
class Config:
    """What a run was started with."""

    gpt: GPT2
    train: Train
    tokens: Path
    sha256: str  # of the tokens

    def batches(self, tokens: Path | None = None) -> Batches:
        """Return what each step reads, of the tokens where they were or where they are now."""
        stream = Stream(tokens or self.tokens, "train")
        windows = self.train.windows(self.gpt.context)
        return Batches(stream, self.gpt.context, windows, self.train.seed, self.gpt.vocab)


def begin(run: Path, tokens: Path, gpt: GPT2, train: Train) -> None:
    """Write down what a run is, or check that it is still that.

    Raises:
        UserError: other settings or tokens began this run; says which.
    """
    sha256 = fingerprint(tokens)
    if not (run / "config.json").exists():
        versions = {"torch": torch.__version__, "numpy": np.__version__}
        config = {
            "model": asdict(gpt),
            "train": asdict(train),
            "tokens": {"path": str(tokens.resolve()), "sha256": sha256},
            "versions": {"python": platform.python_version(), **versions},
        }
        write_json(run / "config.json", config)
        return
    before = read(run)
    changed = [
        *_differences("model", identity(before.gpt), identity(gpt)),
        *_differences("train", identity(before.train), identity(train)),
        *_differences("tokens", {"sha256": before.sha256}, {"sha256": sha256}),
    ]
    if changed:
        raise UserError(
            f"{run}: was begun otherwise, and would not be the run it goes on with; "
            f"go on with what it had, or begin another: {'; '.join(changed)}"
        )


def _differences(table: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, value in before.items():
        if now[name] != value:
            yield f"{table}.{name} was {value!r}, is {now[name]!r}"


def read(run: Path) -> Config:
    """Return what a run was started with.

    Raises:
        UserError: it is no run, or one of another version.
    """
    path = run / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tokens = found["tokens"]
        gpt, train = GPT2(**found["model"]), Train(**found["train"])
        return Config(gpt, train, Path(tokens["path"]), tokens["sha256"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; wanted the directory of a training run") from None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not as this version writes it ({error})") from None


class Log:
    """A line of JSON a step. On a resume, the lines of steps that are done again go."""

    def __init__(self, run: Path | None, first: int) -> None:
        """Open the log of a run that goes on with step `first`; for None, keep none."""
        self._file = None
        if run is not None:
            path = run / "log.jsonl"
            kept = [json.dumps(line) + "\n" for line in log(run) if line["step"] < first]
            replace(path, lambda file: file.write("".join(kept).encode()))
            self._file = path.open("a", encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it is in the file when this returns, whatever happens to us then."""
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def log(run: Path) -> Iterator[dict[str, Any]]:
    """Yield what happened at each step that a run has taken."""
    if not (run / "log.jsonl").exists():
        return
    with (run / "log.jsonl").open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("\n"):  # else the process died within this line
                yield json.loads(text)
