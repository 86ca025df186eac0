"""A comparison of two corpora as a page: losses by step, differences with their error bars."""

from pathlib import Path
from statistics import fmean
from typing import Any

from webtext.flows.models.ablation import Plan, number
from webtext.pipeline.core.shards import write_text
from webtext.pipeline.insight.losses import losses, nice_ticks, path_of
from webtext.pipeline.insight.render import render

LIMITS = (0.5, 1, 2, 5, 10, 20, 50, 100)  # per cent, of the scale of differences
FROM = 0.05  # share of the first steps that the curves leave out: the steep fall hides the rest


def write_page(plan: Plan, found: dict[str, Any], out: Path) -> Path:
    """Write OUT/index.html, which loads nothing from the network."""
    names = [corpus["name"] for corpus in found["corpora"]]
    view = {
        "names": names,
        "corpora": found["corpora"],
        "seeds": found["seeds"],
        "steps": found["train"]["steps"],
        "read": found["train"]["steps"] * found["train"]["batch_tokens"],
        "curves": curves(plan, out),
        **forest([bar(row) for row in found["rows"]], names),
        "rows": found["rows"],
        "number": number,
    }
    path = out / "index.html"
    write_text(path, render("ablation.html.jinja", view))
    return path


def curves(plan: Plan, out: Path) -> dict[str, Any]:
    """Return the mean training loss of each corpus by step, and its range over the seeds."""
    first = round(FROM * plan.train.steps)
    found: dict[str, list[list[tuple[float, float]]]] = {"a": [], "b": []}
    for corpus, _, run in plan.runs(out):
        letter = "a" if corpus is plan.corpora[0] else "b"
        points = [(step, loss) for step, loss in losses(run)[0] if step >= first]
        found[letter].append(smooth(points, max(1, plan.train.steps // 60)))
    every = [loss for runs in found.values() for run in runs for _, loss in run]
    ticks = nice_ticks(min(every), max(every))
    low, high = min([*ticks, *every]), max([*ticks, *every])
    last = plan.train.steps - 1

    def place(step: float, loss: float) -> tuple[float, float]:
        x = 1000 * (step - first) / max(last - first, 1)
        return round(x, 1), round(1000 * (high - loss) / ((high - low) or 1), 1)

    drawn = {}
    for letter, runs in found.items():
        columns = list(zip(*runs, strict=False))
        mean = [(column[0][0], fmean(y for _, y in column)) for column in columns]
        top = [place(column[0][0], max(y for _, y in column)) for column in columns]
        bottom = [place(column[0][0], min(y for _, y in column)) for column in columns]
        drawn[letter] = {
            "mean": path_of(place(*point) for point in mean),
            "band": path_of([*top, *bottom[::-1]]) + "Z",
            "end": mean[-1][1],
        }
    y = [{"at": place(first, tick)[1] / 10, "label": f"{tick:g}"} for tick in ticks]
    return {**drawn, "y": y, "x": [first, last]}


def smooth(points: list[tuple[int, float]], size: int) -> list[tuple[float, float]]:
    """Return means of `size` successive points.

    >>> smooth([(0, 1.0), (1, 3.0), (2, 5.0)], 2)
    [(0.5, 2.0), (2, 5.0)]
    """
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(step for step, _ in part), fmean(y for _, y in part)) for part in parts]


def bar(row: dict[str, Any]) -> dict[str, Any]:
    """Return a measure's difference in per cent of B's mean, negative where A is better."""
    scale = (1 if row["lower_is_better"] else -1) * 100 / (abs(row["b"]["mean"]) or 1.0)
    half = row["difference"]["half"]
    return {
        "measure": row["measure"],
        "middle": scale * row["difference"]["mean"],
        "half": None if half is None else abs(scale) * half,
        "dots": [scale * value for value in row["difference"]["values"]],
        "side": row["better"] or "",
    }


def forest(bars: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Place the differences on one scale from -limit to +limit, that most of them fit on.

    Larger differences are cut at the edge; the table below the plot has all figures.
    """
    reaches = sorted(abs(one["middle"]) + (one["half"] or 0.0) for one in bars)
    limit = next(
        n for n in LIMITS if n >= reaches[int(0.75 * (len(reaches) - 1))] or n == LIMITS[-1]
    )

    def place(value: float) -> float:
        return round(50 + 50 * max(-limit, min(limit, value)) / limit, 2)

    for one in bars:
        better = {"a": names[0], "b": names[1], "": ""}[one["side"]]
        one["at"] = place(one["middle"])
        one["places"] = [place(dot) for dot in one["dots"]]
        one["said"] = f"{better} by {abs(one['middle']):.2g} %" if better else "cannot be told"
        one["reach"] = None
        if one["half"] is not None:
            left, right = place(one["middle"] - one["half"]), place(one["middle"] + one["half"])
            one["reach"] = left, round(right - left, 2)
    return {"bars": bars, "limit": f"{limit:g}"}
