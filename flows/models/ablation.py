"""Compare two corpora by training the same model on each.

The models start from the same weights and see the same number of tokens, once for each seed;
then all are measured on the held-out text of both corpora and on evaluation sets. Each run is a
directory like any other, so a comparison that was stopped continues where it was.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from webtext.flows.building.terminal import anew
from webtext.flows.models import run_tokenizer
from webtext.flows.models.evaluation import Spelling
from webtext.model.batches.data import Stream
from webtext.model.batches.token_shards import fingerprint
from webtext.model.eval.heldout import held_out
from webtext.model.eval.sets import find
from webtext.model.eval.zero_shot import evaluate, figures
from webtext.model.files import write_json
from webtext.model.settings import GPT2, Train
from webtext.model.training.checkpoint import Checkpoints
from webtext.model.training.run import begin
from webtext.model.training.train import train
from webtext.model.training.trained import load
from webtext.pipeline.core.errors import UserError

HELD_OUT = 262_144  # tokens of each val split that are scored

Show = Callable[[str], Callable[..., None]]  # from the name of a task to its progress


@dataclass(frozen=True)
class Corpus:
    """One of the two corpora: its name, and its tokens."""

    name: str
    tokens: Path


@dataclass(frozen=True)
class Plan:
    """What is compared, and on what."""

    corpora: tuple[Corpus, Corpus]
    gpt: GPT2
    train: Train
    seeds: int
    sets: Path | None  # the directory of the evaluation sets
    tasks: tuple[str, ...] = ()
    limit: int | None = None

    def runs(self, out: Path) -> list[tuple[Corpus, int, Path]]:
        """Return each run's corpus, seed and directory, the pairs of a seed side by side."""
        return [
            (corpus, seed, out / f"{letter}-{corpus.name}-seed{seed}")
            for seed in range(self.seeds)
            for letter, corpus in zip("ab", self.corpora, strict=True)
        ]


class StoppedError(Exception):
    """A run was asked to stop; the same command continues it."""


def compare(plan: Plan, out: Path, device: str | None, show: Show) -> dict[str, Any]:
    """Train what is not trained yet, measure what is not measured yet, and compare.

    Raises:
        UserError: a run there was made with other settings; sets or tokens are missing; the corpora
            are not of the same tokens, so that no model could read both.
        StoppedError: a run was asked to stop.
    """
    a, b = (corpus.tokens for corpus in plan.corpora)
    known = [(said.get("sha256"), said.get("end")) for said in map(run_tokenizer.told, (a, b))]
    if known[0] != known[1]:
        raise UserError(
            f"{a} and {b}: have different tokenizers; wanted the same tokens.tokenizer for both"
        )
    for name in plan.tasks:
        find(name, plan.sets or Path())
    measured: dict[str, list[dict[str, float]]] = {"a": [], "b": []}
    for corpus, seed, run in plan.runs(out):
        train_one(plan, corpus, seed, run, device, show)
        letter = "a" if corpus is plan.corpora[0] else "b"
        measured[letter].append(measure(plan, run, device, show))
    rows = [
        row(name, [m[name] for m in measured["a"]], [m[name] for m in measured["b"]])
        for name in measured["a"][0]
    ]
    found = {
        "corpora": [described(plan, corpus) for corpus in plan.corpora],
        "model": asdict(plan.gpt),
        "train": asdict(plan.train),
        "seeds": plan.seeds,
        "limit": plan.limit,
        "rows": rows,
    }
    write_json(out / "ablation.json", found)
    return found


def train_one(
    plan: Plan, corpus: Corpus, seed: int, run: Path, device: str | None, show: Show
) -> None:
    """Train one model, or go on with it.

    Raises:
        UserError: it was begun with other tokens or settings, also where it is trained already.
    """
    settings = replace(plan.train, seed=seed)
    if (run / "config.json").exists():
        begin(run, corpus.tokens, plan.gpt, settings)
    if (Checkpoints(run / "checkpoints").last() or 0) < settings.steps:
        tell = show(run.name)

        def watch(line: dict[str, Any]) -> None:
            tell(line["step"] + 1, settings.steps, f"loss {line['loss'] or math.nan:.3f}")

        last = train(run, corpus.tokens, plan.gpt, settings, device, watch)
        run_tokenizer.keep(corpus.tokens, run)
        if last != Checkpoints(run / "checkpoints").path(settings.steps):
            raise StoppedError


def measure(plan: Plan, run: Path, device: str | None, show: Show) -> dict[str, float]:
    """Return what a trained model scores; it is measured once and written down in its run."""
    prints = [fingerprint(corpus.tokens) for corpus in plan.corpora]
    asked = {"tokens": prints, "tasks": list(plan.tasks), "limit": plan.limit, "most": HELD_OUT}
    path = run / "measures.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["asked"] == asked:
            return dict(found["measures"])
    model = load(run, device, plan.train.steps)
    tell = show(f"{run.name}, held out")
    measures = {}
    for corpus in plan.corpora:
        measures[held_out_name(corpus)], _ = held_out(model, corpus.tokens, HELD_OUT, tell)
    if plan.tasks and plan.sets:
        watch = anew(lambda task: show(f"{run.name}, {task}"))
        spelling = Spelling(run_tokenizer.of(run))
        rows = evaluate(model, spelling, plan.sets, plan.tasks, limit=plan.limit, watch=watch)
        measures |= figures(rows)
    write_json(path, {"asked": asked, "measures": measures})
    return measures


def held_out_name(corpus: Corpus) -> str:
    """Return the name of the loss on the val split of a corpus."""
    return f"loss on {corpus.name}, held out"


def described(plan: Plan, corpus: Corpus) -> dict[str, Any]:
    """Return what a corpus is, and how often it was read."""
    count = len(Stream(corpus.tokens, "train"))
    read = plan.train.steps * plan.train.batch_tokens
    return {
        "name": corpus.name,
        "tokens": str(corpus.tokens),
        "sha256": fingerprint(corpus.tokens),
        "train_tokens": count,
        "epochs": read / count,
    }


def row(name: str, a: Sequence[float], b: Sequence[float]) -> dict[str, Any]:
    """Compare one measure over the seeds, pair by pair.

    >>> found = row("copa/lm-eval/acc", [50.0, 52.0, 54.0], [49.0, 52.0, 52.0])
    >>> found["difference"]["mean"], found["better"]
    (1.0, None)
    """
    pairs = [x - y for x, y in zip(a, b, strict=True)]
    difference = summary(pairs)
    half = difference["half"]
    lower_is_better = not name.partition("/")[2].rpartition("/")[2].startswith("acc")
    better = None
    if half is not None and abs(difference["mean"]) > half:
        better = "a" if (difference["mean"] < 0) == lower_is_better else "b"
    return {
        "measure": name,
        "lower_is_better": lower_is_better,
        "a": summary(a) | {"values": list(a)},
        "b": summary(b) | {"values": list(b)},
        "difference": difference | {"values": pairs},
        "better": better,
    }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean, its standard error, and half the width of its 95 % interval (Student's t).

    >>> found = summary([1.0, 2.0, 3.0])
    >>> found["mean"], round(found["error"], 4), round(found["half"], 3)
    (2.0, 0.5774, 2.484)
    """
    if len(values) < 2:
        return {"mean": fmean(values), "error": None, "half": None}
    from scipy.special import stdtrit

    error = stdev(values) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 0.975)) * error
    return {"mean": fmean(values), "error": error, "half": half}


def table(found: dict[str, Any]) -> str:
    """Return a comparison as text."""
    a, b = (corpus["name"] for corpus in found["corpora"])
    head = ("measure", a, "+-", b, "+-", "difference", "95 % within", "better")
    lines = [head, *(cells(one, a, b) for one in found["rows"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < place < len(head) - 1 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def cells(one: dict[str, Any], a: str, b: str) -> tuple[str, ...]:
    """Return a row of the table as text."""
    better = {"a": a, "b": b, None: "cannot be told"}[one["better"]]
    mine, theirs, difference = one["a"], one["b"], one["difference"]
    return (
        one["measure"],
        number(mine["mean"]),
        number(mine["error"]),
        number(theirs["mean"]),
        number(theirs["error"]),
        f"{difference['mean']:+.4g}",
        number(difference["half"]),
        better,
    )


def number(value: float | None) -> str:
    """Return a figure, or nothing.

    >>> number(5.43210), number(None)
    ('5.432', '')
    """
    return "" if value is None else f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"
