"""The directory of a run: its settings, and a record of each step.

config.json    the settings, and the sha256 of the tokens; "from": the model that it started from,
               if any; "lengths": the numbers of steps that were set before, if any
tokens.json    sha256, size, time and inode of each shard of the tokens
log.jsonl      one line for each step
checkpoints/   see webtext.model.training.checkpoint
"""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from webtext.model.batches.data import Batches, Stream
from webtext.model.batches.token_shards import differences, fingerprint, look, remember, remembered
from webtext.model.errors import UserError
from webtext.model.files import replace as replace_file
from webtext.model.files import write_json
from webtext.model.gpt import weights
from webtext.model.gpt.gpt import GPT
from webtext.model.optim.schedule import decay_start
from webtext.model.settings import FLAT, GPT2, Train, identity
from webtext.model.training.checkpoint import Checkpoints


@dataclass(frozen=True)
class Source:
    """The model in transformers' layout from which a run started."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Config:
    """The settings and inputs of a run."""

    gpt: GPT2
    train: Train
    tokens: Path
    sha256: str  # of the tokens
    source: Source | None = None

    def batches(self, tokens: Path | None = None) -> Batches:
        """Return the batches of the run, from `tokens` if the directory has moved."""
        stream = Stream(tokens or self.tokens, "train")
        windows = self.train.windows(self.gpt.context)
        return Batches(stream, self.gpt.context, windows, self.train.seed, self.gpt.vocab)


def begin(run: Path, tokens: Path, gpt: GPT2, train: Train, source: Path | None = None) -> None:
    """Write the configuration of a new run, or check that an old run still has the same one.

    `source` is the model from which it starts; it is not needed once there is a checkpoint.

    Raises:
        UserError: the run was started with other settings, tokens or weights; says which.
    """
    known = remembered(run / "tokens.json")
    shards = look(tokens, known)
    sha256 = fingerprint(tokens, shards)
    if not (run / "config.json").exists():
        versions = {"torch": torch.__version__, "numpy": np.__version__}
        config = {
            "model": asdict(gpt),
            "train": asdict(train),
            "tokens": {"path": str(tokens.resolve()), "sha256": sha256},
            "versions": {"python": platform.python_version(), **versions},
        }
        if source is not None:
            digest = weights.fingerprint(source)
            config["from"] = {"path": str(source.resolve()), "sha256": digest}
        remember(run / "tokens.json", shards)
        write_json(run / "config.json", config)
        return
    before = read(run)
    if relengthened(before.train, train):
        relengthen(run, before.train, train)
        before = read(run)
    changed = [
        *_differences("model", identity(before.gpt), identity(gpt)),
        *_differences("train", identity(before.train), identity(train)),
        *_differences("tokens", {"sha256": before.sha256}, {"sha256": sha256}),
        *differences(known or shards, shards),
        *_other_source(run, before.source, source),
    ]
    if changed:
        raise UserError(
            f"{run}: was begun otherwise, and would not be the run it goes on with; "
            f"go on with what it had, or begin another: {'; '.join(changed)}"
        )
    if known != shards:
        remember(run / "tokens.json", shards)


def start_from(run: Path, source: Path | None, model: GPT) -> None:
    """Load the weights from which the run starts, if it starts from an existing model.

    Raises:
        UserError: that model is missing or damaged.
    """
    origin = read(run).source
    if origin is not None:
        model.load_state_dict(weights.load(source or origin.path).state_dict())


def _other_source(run: Path, before: Source | None, now: Path | None) -> Iterator[str]:
    """Yield the changes of the model from which a run started.

    Raises:
        UserError: it is missing, but needed, because there is no checkpoint yet.
    """
    if before is None:
        if now is not None:
            yield f"from was nothing, is {now}"
        return
    path = now or before.path
    started = Checkpoints(run / "checkpoints").last() is not None
    if started and (now is None or not now.exists()):
        return
    if not path.exists():
        raise UserError(
            f"{path}: not there, and the run has no checkpoint yet that would do without; put it "
            "back, or say with --from where it is now"
        )
    sha256 = weights.fingerprint(path)
    if sha256 != before.sha256:
        yield f"from.sha256 was {before.sha256!r}, is {sha256!r}"


def relengthened(before: Train, now: Train) -> bool:
    """Whether these settings differ only in the number of steps."""
    return now.steps != before.steps and identity(replace(now, steps=before.steps)) == identity(
        before
    )


def relengthen(run: Path, before: Train, now: Train) -> None:
    """Change the number of steps of a run, if its past steps are the same with either number.

    That holds while "wsd" or "trapezoid" is at the peak learning rate: steps until then do not
    depend on the length. Source: Hägele et al. (2024), section 4: one run, decayed at any step.

    Raises:
        UserError: the run is past that, or has another schedule.
    """
    last = Checkpoints(run / "checkpoints").last() or 0
    flat = min(decay_start(before), decay_start(now)) + 1  # steps with the same rate in both
    change = f"{run}: train.steps was {before.steps}, is {now.steps}"
    if before.schedule not in FLAT:
        raise UserError(
            f"{change}: the rate of every step of a {before.schedule!r} schedule depends on their "
            "number; go on with what it had, or begin another run (train --from takes its model)"
        )
    if last > flat:
        raise UserError(
            f"{change}: its decay began at step {flat}, and its last checkpoint is after {last}; "
            "go on with what it had, or begin another run (train --from takes its model)"
        )
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["train"]["steps"] = now.steps
    config.setdefault("lengths", []).append({"steps": before.steps, "until": last})
    write_json(run / "config.json", config)


def _differences(table: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, value in before.items():
        if now[name] != value:
            yield f"{table}.{name} was {value!r}, is {now[name]!r}"


def read(run: Path) -> Config:
    """Return the configuration of a run.

    Raises:
        UserError: it is not a run, or one of another version.
    """
    path = run / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tokens = found["tokens"]
        gpt, train = GPT2(**found["model"]), Train(**found["train"])
        source = None
        if "from" in found:
            source = Source(Path(found["from"]["path"]), found["from"]["sha256"])
        return Config(gpt, train, Path(tokens["path"]), tokens["sha256"], source)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; wanted the directory of a training run") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not as this version writes it ({error}); put a copy of it back, or "
            "go on with the version that wrote it"
        ) from None


class Log:
    """One line of JSON for each step. A resume removes the lines of steps that it repeats."""

    def __init__(self, run: Path | None, first: int) -> None:
        """Open the log of a run that continues with step `first`; None as `run` writes nothing."""
        self._file = None
        if run is not None:
            path = run / "log.jsonl"
            kept = [json.dumps(line) + "\n" for line in log(run) if line["step"] < first]
            replace_file(path, lambda file: file.write("".join(kept).encode()))
            self._file = path.open("a", encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it is in the file when this returns, even if the process dies then."""
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def log(run: Path) -> Iterator[dict[str, Any]]:
    """Yield the line of each step of a run; what a crash left in the place of one is passed over.

    A line without an end was being written when the process died; bytes that are none are what a
    file system has after the power failed.
    """
    if not (run / "log.jsonl").exists():
        return
    with (run / "log.jsonl").open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text) if text.endswith("\n") else None
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                yield line
