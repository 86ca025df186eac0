"""The losses of a training run, read from its log and drawn on a page of its own.

Only a run's files are read: `log.jsonl`, one JSON object per step, and `config.json`.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import write_text
from webtext.pipeline.insight.render import render

POINTS = 400  # points of a loss curve: more than a screen shows
PAGE = "index.html"


def losses(run: Path) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Return a run's training and validation losses by step; damaged lines are ignored.

    Raises:
        UserError: the run has no log.
    """
    path = run / "log.jsonl"
    train: list[tuple[int, float]] = []
    val: list[tuple[int, float]] = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --run wants a training run's directory") from None
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            continue
        for name, points in (("loss", train), ("val_loss", val)):
            if isinstance(row.get(name), (int, float)) and math.isfinite(row[name]):
                points.append((int(row["step"]), float(row[name])))
    return train, val


def curve(train: list[tuple[int, float]], val: list[tuple[int, float]]) -> dict[str, Any] | None:
    """Return two lines in a box of 1000 x 1000, and the ticks of its axes in per cent."""
    points = thinned(train)
    if not points:
        return None
    both = [loss for _, loss in points + val]
    ticks = nice_ticks(min(both), max(both))
    low, high = min([*ticks, *both]), max([*ticks, *both])
    first, last = train[0][0], train[-1][0]

    def place(step: float, loss: float) -> tuple[float, float]:
        x = 1000 * (step - first) / max(last - first, 1)
        return round(x, 1), round(1000 * (high - loss) / ((high - low) or 1), 1)

    return {
        "train": path_of(place(*point) for point in points),
        "val": path_of(place(*point) for point in val),
        "dots": [place(*point) for point in val] if len(val) <= 50 else [],
        "y": [{"at": place(first, tick)[1] / 10, "label": f"{tick:g}"} for tick in ticks],
        "x": [first, last],
        "range": [low, high],
        "ends": {"train": points[-1][1], "val": val[-1][1] if val else None},
    }


def thinned(points: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return at most POINTS means of successive points."""
    size = max(1, math.ceil(len(points) / POINTS))
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(step for step, _ in part) / len(part), sum(loss for _, loss in part) / len(part))
        for part in parts
    ]


def nice_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers from `low` to `high`.

    >>> nice_ticks(2.9, 10.8)
    [4.0, 6.0, 8.0, 10.0]
    """
    span = max(high - low, 1e-6)
    power = 10 ** math.floor(math.log10(span))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1, 2, 5) if span / (s * power) <= 5)
    first = math.ceil(low / step)
    return [round(float(n * step), 10) for n in range(first, math.floor(high / step) + 1)]


def path_of(points: Iterable[tuple[float, float]]) -> str:
    """Return an SVG path through points.

    >>> path_of([(0, 1), (2, 3)])
    'M0 1L2 3'
    """
    return "".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(points))


def write_page(run: Path) -> Path:
    """Write a run's page: its loss curve, its present state and its settings.

    Raises:
        UserError: the run has no log.
    """
    train, val = losses(run)
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{run / 'config.json'}: not to be read ({error}); put it back") from None
    steps = train[-1][0] + 1 if train else 0
    tiles = {
        "of {:,} steps".format(config["train"]["steps"]): f"{steps:,}",
        "tokens": f"{steps * config['train']['batch_tokens']:,}",
    }
    if val:
        best = min(val, key=lambda point: point[1])
        tiles[f"lowest loss on val, after step {best[0]:,}"] = f"{best[1]:.3f}"
    tables = {name: config[name] for name in ("model", "train", "tokens", "versions")}
    view = {"run": run.name, "loss": curve(train, val), "tiles": tiles, "tables": tables}
    write_text(run / PAGE, render("run.html.jinja", view))
    return run / PAGE
