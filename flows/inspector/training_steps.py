"""Runs: the losses of the models made from this corpus, and the documents that a step read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np

from webtext.flows.inspector.reading.cache import Table
from webtext.flows.models.provenance import read_at, read_by
from webtext.model.batches.data import Batches, Stream
from webtext.model.batches.token_shards import fingerprint
from webtext.model.settings import GPT2, Train
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.insight.losses import curve
from webtext.pipeline.tokens.tokens import INDEX

ASIDE = 15  # steps on each side of a step, whose median its loss is compared with
SPIKES = 20  # steps that are listed
CLEAR = 5.0  # times the usual spread that a rise must have to be marked on the curve
MAD = 1.4826  # from the median absolute deviation to a normal distribution's standard deviation
WINDOWS = 50  # of a step, a page
READ = 60  # steps that read a document, listed
DIGITS = 12  # of the number of a step that is looked at


class Run(NamedTuple):
    """A training run of this corpus' tokens."""

    name: str
    path: Path
    tokens: Path  # the directory here that has the tokens that it was trained on
    config: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """How many steps it is to take."""
        return int(self.config["train"]["steps"])


class Spike(NamedTuple):
    """A step whose loss is high for its place in the run."""

    step: int
    loss: float
    rise: float  # above the median of the steps around it
    times: float  # the rise by the spread of all rises


def step_line(line: str) -> dict[str, Any] | None:
    """Return the record of a step, None if a line is none, as after a crash of the machine."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("step"), int) else None


@dataclass
class Runs:
    """Answers what training runs did, read anew when they go on."""

    table: Table
    data: Path
    folders: Sequence[Path]  # in each, a folder a run
    _logs: dict[Path, tuple[tuple[int, int], list[dict[str, Any]]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def all(self) -> dict[str, Run]:
        """Return the runs whose tokens were made here, by name."""
        manifests = self.data.glob("tokens-*/manifest.json")
        made = {fingerprint(path.parent): path.parent for path in manifests}
        found: dict[str, Run] = {}
        for path in sorted({p for folder in self.folders for p in folder.glob("*/config.json")}):
            try:
                config = json.loads(path.read_text(encoding="utf-8"))
                tokens = made.get(config["tokens"]["sha256"])
                steps = int(config["train"]["steps"])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # another program's, or of another version
            if tokens is not None and steps:
                name = path.parent.name if path.parent.name not in found else str(path.parent)
                found[name] = Run(name, path.parent, tokens, config)
        return found

    def of(self, name: str) -> Run:
        """Return a run.

        Raises:
            UserError: no such run of this corpus.
        """
        found = self.all().get(name)
        if found is None:
            raise UserError(f"{name or '-'}: no such run of this corpus")
        return found

    def log(self, run: Run) -> list[dict[str, Any]]:
        """Return the record of each step taken; lines that are being written or damaged are not."""
        path = run.path / "log.jsonl"
        with self._lock:
            if not path.exists():
                return []
            stat = path.stat()
            stamp = (stat.st_size, stat.st_mtime_ns)
            if self._logs.get(path, (None,))[0] != stamp:
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
                rows = [row for line in lines if line.endswith("\n") and (row := step_line(line))]
                self._logs[path] = (stamp, rows)
            return self._logs[path][1]

    # --- pages -----------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """Return all that the list of runs shows."""
        rows = []
        for run in self.all().values():
            log = self.log(run)
            held_out = finite(log, "val_loss")
            train = finite(log, "loss")
            rows.append(
                {
                    "name": run.name,
                    "path": str(run.path),
                    "link": "/run?" + urlencode({"run": run.name}),
                    "taken": len(log),
                    "steps": run.steps,
                    "tokens": len(log) * int(run.config["train"]["batch_tokens"]),
                    "width": run.config["model"].get("width"),
                    "layers": run.config["model"].get("layers"),
                    "loss": train[-1][1] if train else None,
                    "val": min((loss for _, loss in held_out), default=None),
                    "skipped": sum(1 for line in log if line.get("skipped")),
                }
            )
        return {"runs": rows, "folders": [str(folder) for folder in self.folders]}

    def one(self, name: str, first: str, last: str) -> dict[str, Any]:
        """Return all that the page of a run shows: its losses from one step to another.

        Raises:
            UserError: no such run.
        """
        run, log = self.of(name), self.log(self.of(name))
        low = int(first[:12]) if first.isdecimal() else 0
        high = int(last[:12]) if last.isdecimal() else math.inf
        shown = [line for line in log if low <= line["step"] <= high]
        drawn = curve(finite(shown, "loss"), finite(shown, "val_loss"))
        found = spikes(finite(log, "loss"))
        marks = []
        if drawn is not None:
            begin, end = drawn["x"]
            bottom, top = drawn["range"]
            marks = [
                {
                    "x": round(100 * (one.step - begin) / max(end - begin, 1), 2),
                    "y": round(100 * (top - one.loss) / ((top - bottom) or 1), 2),
                    "link": self.link(run, one.step),
                    "step": one.step,
                }
                for one in found
                if one.times >= CLEAR and begin <= one.step <= end
            ]
        return {
            "run": run,
            "taken": len(log),
            "loss": drawn,
            "marks": marks,
            "first": low,
            "last": "" if high == math.inf else int(high),
            "spikes": [(one, self.link(run, one.step)) for one in found],
            "skipped": [
                (line["step"], line["skipped"], self.link(run, line["step"]))
                for line in log
                if line.get("skipped")
            ][:SPIKES],
            "tables": {part: run.config[part] for part in ("model", "train", "versions")
                       if isinstance(run.config.get(part), dict)},
        }  # fmt: skip

    def step(self, name: str, number: str, page: int) -> dict[str, Any]:
        """Return all that the page of a step shows: its windows, and the documents in each.

        Raises:
            UserError: no such run or step; the tokens or their index are gone.
        """
        run = self.of(name)
        if not number.isdecimal() or len(number) > DIGITS or int(number) >= run.steps:
            raise UserError(f"step {number or '-'}: the run has the steps 0 to {run.steps - 1:,}")
        step, log = int(number), self.log(run)
        windows = [int(window) for window in self.batches(run).windows(step)]
        first = WINDOWS * (page - 1)
        shown = read_by(self.batches(run), windows[first : first + WINDOWS])
        known = self.known({one["id"] for window in shown for one in window["documents"]})
        for window in shown:
            for one in window["documents"]:
                one["row"] = known.get(one["id"])
        here = {"run": run.name, "step": step}
        return {
            "run": run,
            "step": step,
            "line": log[step] if step < len(log) and log[step]["step"] == step else None,
            "windows": shown,
            "count": len(windows),
            "first": first + 1,
            "last": first + len(shown),
            "earlier": self.link(run, step - 1) if step else None,
            "later": self.link(run, step + 1) if step + 1 < run.steps else None,
            "before": urlencode({**here, "page": page - 1}) if page > 1 else None,
            "after": urlencode({**here, "page": page + 1})
            if first + len(shown) < len(windows)
            else None,
        }

    def reading(self, identity: str) -> list[dict[str, Any]]:
        """Return, for each run, at which steps it read a document."""
        found = []
        for run in self.all().values():
            log = self.log(run)
            skipped = {line["step"] for line in log if line.get("skipped")}
            told: dict[str, Any] = {"run": run, "taken": len(log), "problem": ""}
            try:
                read = read_at(self.batches(run), identity, len(log), skipped)
            except UserError as error:
                found.append({**told, "problem": str(error)})
                continue
            losses = {line["step"]: line.get("loss") for line in log}
            steps = [(step, losses.get(step), self.link(run, step)) for step in read["steps"]]
            found.append({**told, **read, "steps": steps[:READ], "count": len(steps)})
        return found

    # --- questions -------------------------------------------------------------------------------

    def batches(self, run: Run) -> Batches:
        """Return what the steps of a run read.

        Raises:
            UserError: a file of the tokens is gone; the run is one of another version.
        """
        if not (run.tokens / INDEX).exists():
            raise UserError(f"{run.tokens / INDEX}: no such file; put it back")
        try:
            gpt, train = GPT2(**run.config["model"]), Train(**run.config["train"])
        except TypeError:
            raise UserError(f"{run.path / 'config.json'}: a run of another version") from None
        windows = train.windows(gpt.context)
        return Batches(Stream(run.tokens, "train"), gpt.context, windows, train.seed, gpt.vocab)

    def known(self, identities: set[str]) -> dict[str, dict[str, Any]]:
        """Return the table's rows of some documents, by id."""
        if not identities:
            return {}
        rows = self.table.rows(
            f"SELECT * FROM documents WHERE id IN ({', '.join('?' * len(identities))}) AND passed",
            sorted(identities),
        )
        return {row["id"]: row for row in rows}

    def link(self, run: Run, step: int) -> str:
        """Return the address of a step."""
        return "/step?" + urlencode({"run": run.name, "step": step})


def finite(log: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Return a loss by step, where it is a finite number."""
    return [
        (int(line["step"]), float(line[name]))
        for line in log
        if isinstance(line.get(name), int | float) and math.isfinite(line[name])
    ]


def spikes(losses: Sequence[tuple[int, float]]) -> list[Spike]:
    """Return the steps whose loss is most above the median of the steps around them.

    Around and not before, so that the fall of a loss at the beginning is no spread. The spread of
    all rises is measured by their median absolute deviation, which the spikes themselves hardly
    change.

    >>> [one.step for one in spikes([(n, 3.0 + n % 2 / 10 + (n == 80)) for n in range(99)])][0]
    80
    """
    if len(losses) <= 2 * ASIDE:
        return []
    values = np.array([loss for _, loss in losses])
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * ASIDE + 1)
    middle = np.median(windows, axis=1)
    rises = values - np.pad(middle, ASIDE, mode="edge")
    rises[:ASIDE] = 0.0  # the first steps fall too fast to be compared with later ones
    spread = MAD * float(np.median(np.abs(rises - np.median(rises)))) or 1.0
    order = np.argsort(-rises, kind="stable")[:SPIKES]
    return [
        Spike(losses[at][0], float(values[at]), float(rises[at]), float(rises[at]) / spread)
        for at in order.tolist()
        if rises[at] > 0
    ]  # fmt: skip
