"""The rules' measures against their bounds: where one document lies among all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from webtext.flows.inspector.reading.cache import Table
from webtext.flows.inspector.reading.selection import quoted

SAMPLE = 50_000  # documents whose measures the small pictures show, those with the smallest ids
BINS = 60
TAIL = 0.5  # per cent at each end that a picture's axis leaves out
WIDE = 20.0  # ratio of the axis' end to the median above which the axis is logarithmic
LONG = 1.6  # times its length that an axis may grow so that a bound is on it

Floats = npt.NDArray[np.float64]


class Bar(NamedTuple):
    """One bar of a picture, in per cent of its width and height."""

    left: float
    height: float


@dataclass(frozen=True)
class Scale:
    """Where a measure lies on a picture, from 0 to 100; what is beyond its ends is at an end."""

    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Return the place of a value in per cent of the width.

        >>> Scale(0.0, 10.0, False).place(2.5)
        25.0
        """
        if math.isnan(value):
            return 100.0
        value = min(max(value, self.low), self.high)
        ends = [self.low, self.high, value]
        if self.logarithmic:
            ends = [math.log1p(end) for end in ends]
        low, high, at = ends
        return round(100 * (at - low) / (high - low), 2) if high > low else 50.0

    def value(self, place: float) -> float:
        """Return the value at a place.

        >>> Scale(0.0, 10.0, False).value(25)
        2.5
        """
        low, high = self.low, self.high
        if self.logarithmic:
            low, high = math.log1p(low), math.log1p(high)
        at = low + (high - low) * place / 100
        return math.expm1(at) if self.logarithmic else at


def scale_of(values: Floats, bounds: Sequence[float | None]) -> Scale:
    """Return the axis on which nearly all values, and near bounds, can be seen."""
    finite = values[np.isfinite(values)]
    near = [bound for bound in bounds if bound is not None and math.isfinite(bound)]
    if not len(finite):
        return Scale(0.0, max([1.0, *near]), logarithmic=False)
    low, middle, high = np.percentile(finite, [TAIL, 50, 100 - TAIL]).tolist()
    width = (high - low) or abs(high) or 1.0
    for bound in near:
        if low - LONG * width < bound < low:
            low = bound
        if high < bound < high + LONG * width:
            high = bound
    low = 0.0 if 0 <= low < width / 4 else low
    return Scale(
        low, high if high > low else low + 1.0, low >= 0 and high > WIDE * (middle or high)
    )


def histogram(values: Floats, scale: Scale) -> list[Bar]:
    """Return the bars of some values on an axis; what is beyond its ends is in the last bars."""
    finite = np.clip(values[np.isfinite(values)], scale.low, scale.high)
    if not len(finite):
        return []
    edges = np.array([scale.value(100 * n / BINS) for n in range(BINS + 1)])
    edges[0], edges[-1] = scale.low, scale.high
    counts, _ = np.histogram(finite, np.maximum.accumulate(edges))
    # The square root: a bar of a hundredth of the highest can still be seen.
    heights = np.sqrt(counts / (counts.max() or 1)) * 100
    return [Bar(round(100 * n / BINS, 2), round(h, 1)) for n, h in enumerate(heights.tolist()) if h]


@dataclass(frozen=True)
class Bounds:
    """Answers what the measures of all documents are."""

    table: Table

    @cached_property
    def sampled(self) -> dict[str, Floats]:
        """The measures of the documents with the smallest ids; ids are hashes: a random sample."""
        if not self.table.rules:
            return {}
        columns = ", ".join(map(quoted, self.table.rules))
        measured = "FROM documents WHERE objections IS NOT NULL"
        first = f"SELECT id {measured} ORDER BY id LIMIT {SAMPLE}"  # sorted without the measures
        found = self.table.ask(
            f"SELECT {columns} {measured} AND id <= (SELECT max(id) FROM ({first}))"
        ).fetchnumpy()
        return {
            name: np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)
            for name, column in found.items()
        }

    def strips(
        self, row: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return each rule's measure of a document beside its bounds, with a picture.

        `told` is what the rules say of the document.
        """
        strips = []
        for name, asked in told.items():
            measure = asked["measure"]
            low, high = asked["at_least"], asked["at_most"]
            values = self.sampled.get(name, np.empty(0))
            scale = scale_of(values, (low, high))
            within = (low is None or measure >= low) and (high is None or measure <= high)
            strips.append(
                {
                    "name": name,
                    "group": name.partition(".")[0],
                    "measure": measure,
                    "at_least": low,
                    "at_most": high,
                    "enabled": asked["enabled"],
                    "kept": within,
                    "decided": row["fate"].startswith(f"rules.{name}."),
                    "bars": histogram(values, scale),
                    "place": scale.place(measure),
                    "lines": [
                        scale.place(b)
                        for b in (low, high)
                        if b is not None and scale.low <= b <= scale.high
                    ],
                    "low_end": scale.low,
                    "high_end": scale.high,
                }
            )
        return strips
