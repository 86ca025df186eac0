"""The figures of a build as the report's page draws them: places and sizes in per cent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webtext.pipeline.filters.measuring.measures import KEPT

KEPT_MEANING = "no step dropped it"
HIGH = 100.0  # of a drawing, in its own units


def drawn(found: Mapping[str, Any], meanings: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page's template needs of `counted`; `meanings` are those of the fates."""
    every = sum(row["documents"] for row in found["fates"])
    return {
        **found,
        "documents": every,
        "fates": [
            {
                **row,
                "meaning": KEPT_MEANING if row["fate"] == KEPT else meanings.get(row["fate"], ""),
                "share": row["documents"] / every,
            }
            for row in found["fates"]
        ],
        "rules": list(map(rule, found["rules"])),
    }


def rule(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule with the bars of its histogram and the places of its bounds.

    >>> shown = rule({"at_least": 1.0, "at_most": None, "histogram": {
    ...     "low": 0.0, "high": 2.0, "all": [1, 4], "kept": [0, 4]}})
    >>> shown["bars"][1], shown["lines"]
    ({'x': 50.0, 'wide': 50.0, 'all': 100.0, 'kept': 100.0}, [{'x': 50.0, 'side': 'at_least'}])
    """
    histogram = found["histogram"]
    if histogram is None:
        return {**found, "bars": [], "lines": []}
    return {**found, "bars": list(bars(histogram)), "lines": list(lines(found, histogram))}


def bars(histogram: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Yield the bars of a histogram: left edge and width, height of all and of the kept ones.

    Heights grow by the square root of the counts, or the small bars would not be seen.
    """
    count = len(histogram["all"])
    most = max(histogram["all"]) or 1
    wide = round(HIGH / count, 3)
    for place, (every, kept) in enumerate(zip(histogram["all"], histogram["kept"], strict=True)):
        yield {
            "x": round(place * HIGH / count, 3),
            "wide": wide,
            "all": round(HIGH * (every / most) ** 0.5, 2),
            "kept": round(HIGH * (kept / most) ** 0.5, 2),
        }


def lines(found: Mapping[str, Any], histogram: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield where the bounds are; one that lies outside is drawn at the edge."""
    width = histogram["high"] - histogram["low"] or 1.0
    for side in ("at_least", "at_most"):
        if found[side] is not None:
            place = HIGH * (found[side] - histogram["low"]) / width
            yield {"x": round(min(HIGH, max(0.0, place)), 3), "side": side}


def shown(value: float | None, unit: str) -> str:
    """Return a figure of likeness for people.

    >>> shown(0.178, "share"), shown(4999.7, "bytes"), shown(None, "share")
    ('17.8 %', '5,000', 'not known')
    """
    if value is None:
        return "not known"
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "correlation":
        return f"{value:.2f}"
    return f"{value:,.0f}"


def likeness_rows(rows: Sequence[Any]) -> list[dict[str, str]]:
    """Return the table of likeness, as text."""
    return [
        {
            "what": row.what,
            "ours": shown(row.ours, row.unit),
            "webtext": shown(row.webtext, row.unit),
            "explained": row.explained,
        }
        for row in rows
    ]
