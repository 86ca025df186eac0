"""The directory of a run: what was asked for, and what happened at each step.

config.json    the settings, and the sha256 of the tokens; "from" what model it began, if from one,
               and "lengths" that it had before, if any
tokens.json    what each shard of them was, by sha256, size, time and inode
log.jsonl      a line a step
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
    """The model in transformers' layout that a run began with."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Config:
    """What a run was started with."""

    gpt: GPT2
    train: Train
    tokens: Path
    sha256: str  # of the tokens
    source: Source | None = None

    def batches(self, tokens: Path | None = None) -> Batches:
        """Return what each step reads, of the tokens where they were or where they are now."""
        stream = Stream(tokens or self.tokens, "train")
        windows = self.train.windows(self.gpt.context)
        return Batches(stream, self.gpt.context, windows, self.train.seed, self.gpt.vocab)


def begin(run: Path, tokens: Path, gpt: GPT2, train: Train, source: Path | None = None) -> None:
    """Write down what a run is, or check that it is still that.

    `source` is the model that it begins with. Once it has a checkpoint, it is asked for no more.

    Raises:
        UserError: other settings, tokens or weights began this run; says which.
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
    """Give a model the weights that its run begins with, if it begins with a model that there is.

    Raises:
        UserError: that is not there, or no longer what it was.
    """
    origin = read(run).source
    if origin is not None:
        model.load_state_dict(weights.load(source or origin.path).state_dict())


def _other_source(run: Path, before: Source | None, now: Path | None) -> Iterator[str]:
    """Yield what is other about the model that a run began with.

    Raises:
        UserError: it is needed, for there is no checkpoint yet, and not there.
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
    """Whether these are the same training, of another length."""
    return now.steps != before.steps and identity(replace(now, steps=before.steps)) == identity(
        before
    )


def relengthen(run: Path, before: Train, now: Train) -> None:
    """Write down that a run becomes longer, or shorter, where what it did is the same either way.

    That is so while "wsd" or "trapezoid" is at its peak: what went before depends on the length in
    nothing.
    Source: Hägele et al. (2024), section 4: one run, cooled down wherever one likes.

    Raises:
        UserError: the run has gone on beyond that, or has another schedule.
    """
    last = Checkpoints(run / "checkpoints").last() or 0
    flat = min(decay_start(before), decay_start(now)) + 1  # steps whose rate is the same in both
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
    """Return what a run was started with.

    Raises:
        UserError: it is no run, or one of another version.
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
            replace_file(path, lambda file: file.write("".join(kept).encode()))
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
