"""A rule's bound moved: what would come in and what would go, counted over all documents at once.

The verdicts of all other rules are kept: a document comes in if this bound alone keeps it out, and
goes if no rule but this one would object. Documents that were dropped before the rules, for their
language for example, are in no count; later steps, such as deduplication, are not done again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from webtext.flows.inspector.bounds import BINS, Bounds, Scale, scale_of
from webtext.flows.inspector.reading.cache import Bound, Table, objects
from webtext.flows.inspector.reading.selection import number, quoted
from webtext.flows.inspector.reading.texts import Texts
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.rules import reasons

EXAMPLES = 10
SIDES = {"low": "at_least", "high": "at_most"}
STEPS = 1000  # of the slider
REMEMBERED = 256  # bounds whose counts are kept


class Column(NamedTuple):
    """One bar of the picture: documents on which this rule decides, and the others."""

    left: float
    mine: float
    others: float


@dataclass(frozen=True)
class Mover:
    """Answers what another bound would do."""

    table: Table
    bounds: Bounds
    texts: Texts

    @cached_property
    def moved(self) -> Any:
        """What `_moved` returns, kept in memory."""
        return lru_cache(REMEMBERED)(self._moved)

    @cached_property
    def columns(self) -> Any:
        """What `_columns` returns, kept in memory."""
        return lru_cache(REMEMBERED)(self._columns)

    @cached_property
    def meanings(self) -> dict[str, str]:
        """What each bound is about, by its reason."""
        return {
            reason: said.partition(": ")[2].rpartition("; ")[0]
            for reason, said in reasons().items()
        }

    def view(self) -> dict[str, Any]:
        """Return all bounds, with what they do."""
        total = self.table.value("SELECT count(objections) FROM documents")
        found = self.table.rows("SELECT * FROM bounds ORDER BY NOT enabled, place")
        return {
            "bounds": [
                {**row, "reason": f"rules.{row['rule']}.{row['side']}",
                 "meaning": self.meanings.get(f"rules.{row['rule']}.{row['side']}", ""),
                 "sign": "≥" if row["side"] == "low" else "≤"}
                for row in found
            ],
            "total": total,
        }  # fmt: skip

    def bound(self, rule: str, side: str) -> Bound:
        """Return a bound as the build had it.

        Raises:
            UserError: the build has no such bound.
        """
        found = self.table.rows(
            "SELECT rule, side, bound, enabled FROM bounds WHERE rule = ? AND side = ?",
            [rule, side],
        )
        if not found:
            raise UserError(f"{rule}.{side}: no such bound among those of this build")
        return Bound(**found[0])

    def of(self, fields: Mapping[str, str]) -> tuple[Bound, float]:
        """Return the bound of an address, and the value that it is moved to.

        Raises:
            UserError: no such bound, or a value that is no number.
        """
        bound = self.bound(fields.get("rule", ""), fields.get("side", ""))
        return bound, number("at", fields["at"]) if fields.get("at") else bound.bound

    def slider(self, bound: Bound, at: float) -> dict[str, Any]:
        """Return all that the page of a bound shows."""
        scale = self.scale(bound)
        sides = self.table.rows(
            "SELECT side, bound FROM bounds WHERE rule = ? ORDER BY side DESC", [bound.rule]
        )
        return {
            "bound": bound,
            "at": at,
            "sides": [row["side"] for row in sides],
            "meaning": self.meanings.get(f"rules.{bound.rule}.{bound.side}", ""),
            "sign": "≥" if bound.side == "low" else "≤",
            "scale": scale,
            "place": scale.place(at),
            "was": scale.place(bound.bound),
            "steps": STEPS,
            "columns": self.columns(bound),
            **self.told(bound, at),
        }

    def told(self, bound: Bound, at: float) -> dict[str, Any]:
        """Return what a moved bound does, for the page and for its script."""
        counts: dict[str, Any] = self.moved(bound, at)
        return {**counts, "line": self.line(bound, at)}

    def line(self, bound: Bound, at: float) -> str:
        """Return the line of a recipe that moves the bound."""
        group = bound.rule.partition(".")[0]
        line = f"rules.{bound.rule}.{SIDES[bound.side]} = {at:.6g}"
        return line if bound.enabled else f"rules.{group}.enabled = true\n{line}"

    def scale(self, bound: Bound) -> Scale:
        """Return the axis of a bound's picture."""
        values = self.bounds.sampled.get(bound.rule, np.empty(0))
        return scale_of(values, (bound.bound,))

    # --- questions -------------------------------------------------------------------------------

    def _moved(self, bound: Bound, at: float) -> dict[str, Any]:
        """Count what comes in and what goes, and name some of each."""
        now = f"({objects(bound)})" if bound.enabled else "false"
        then = f"({objects(bound._replace(bound=at))})"
        alone = f"objections = {now}::INTEGER"
        comes, goes = f"{alone} AND {now} AND NOT {then}", f"{alone} AND NOT {now} AND {then}"
        (counts,) = self.table.rows(
            f"SELECT count(*) FILTER (objections = 0) AS kept, "
            f"count(*) FILTER ({then}) AS objects, "
            f"count(*) FILTER ({comes}) AS comes, count(*) FILTER ({goes}) AS goes, "
            f"coalesce(sum(words) FILTER ({comes}), 0)::BIGINT AS words_come, "
            f"coalesce(sum(words) FILTER ({goes}), 0)::BIGINT AS words_go "
            "FROM documents WHERE objections IS NOT NULL"
        )
        examples = {
            side: self.table.rows(
                f"SELECT *, {quoted(bound.rule)} AS measure FROM documents "
                f"WHERE objections IS NOT NULL AND {which} ORDER BY id LIMIT {EXAMPLES}"
            )
            for side, which in (("coming", comes), ("going", goes))
            if counts["comes" if side == "coming" else "goes"]
        }
        for row in [*examples.get("coming", []), *examples.get("going", [])]:
            row["title"] = self.texts.title(row)
        counts["kept_then"] = counts["kept"] + counts["comes"] - counts["goes"]
        return {**counts, "coming": examples.get("coming", []), "going": examples.get("going", [])}

    def _columns(self, bound: Bound) -> list[Column]:
        """Return the picture of a measure over all documents that reached the rules."""
        scale, column = self.scale(bound), quoted(bound.rule)
        low, high, value = scale.low, scale.high, f"greatest(least({column}, ?), ?)"
        if scale.logarithmic:
            low, high, value = np.log1p(low), np.log1p(high), f"ln(1 + {value})"
        now = f"({objects(bound)})::INTEGER" if bound.enabled else "0"
        found = self.table.rows(
            f"SELECT least({BINS - 1}, floor(({value} - ?) / ? * {BINS}))::INTEGER AS bin, "
            f"count(*) FILTER (objections = {now}) AS mine, count(*) AS documents "
            f"FROM documents WHERE objections IS NOT NULL AND {column} IS NOT NULL "
            f"AND NOT isnan({column}) GROUP BY bin ORDER BY bin",
            [scale.high, scale.low, float(low), float(high - low) or 1.0],
        )
        most = max((row["documents"] for row in found), default=1)
        columns = []
        for row in found:
            height = 100 * (row["documents"] / most) ** 0.5  # as in the small pictures
            mine = height * row["mine"] / row["documents"]
            columns.append(
                Column(round(100 * row["bin"] / BINS, 2), round(mine, 2), round(height - mine, 2))
            )
        return columns
