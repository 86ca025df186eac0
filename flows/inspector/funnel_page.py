"""The funnel: how many rows each stage read and kept, and the rows behind every number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from webtext.flows.inspector.reading.cache import Table, listed
from webtext.pipeline.core.directories.checked import confirm
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.step import Step
from webtext.pipeline.insight.report import funnel_lines, stage_bars

ROWS = 50  # a page
ELSEWHERE = {"links": "dropped", "pages": "outcomes"}  # rows that are no documents: their folder
SHOWN = (  # what such a row says, where it has it
    "source", "line", "score", "status", "content_type", "robots", "final_url", "attempts",
    "elapsed_ms",
)  # fmt: skip


@dataclass(frozen=True)
class Funnel:
    """Answers where rows were lost."""

    table: Table

    def view(self) -> dict[str, Any]:
        """Return the stages, each number with the address of its documents."""
        lines = funnel_lines(self.table.made)
        stages = []
        for (_, step), bar in zip(lines, stage_bars(lines), strict=True):
            reasons = [
                {**reason, "link": self.link(step, reason["label"])} for reason in bar["reasons"]
            ]
            stages.append({**bar, "step": step.name, "reasons": reasons})
        kept = self.table.value("SELECT count(*) FROM documents WHERE fate = 'kept'")
        return {"stages": stages, "kept": kept}

    def link(self, step: Step, reason: str) -> str:
        """Return the address of the rows that were dropped for a reason."""
        if step.name in ELSEWHERE:
            return "/rows?" + urlencode({"step": step.name, "reason": reason})
        return "/?" + urlencode({"fate": reason})

    def rows(self, fields: Mapping[str, str], page: int) -> dict[str, Any]:
        """Return rows that became no document: links that were left out, pages not fetched.

        Raises:
            UserError: no such step or reason in this build.
        """
        name, reason = fields.get("step", ""), fields.get("reason", "")
        home = self.table.directories.get(name)
        counts = {
            why: count
            for stage, step in funnel_lines(self.table.made)
            if step.name == name
            for why, count in stage["dropped"].items()
        }
        if name not in ELSEWHERE or home is None or reason not in counts:
            raise UserError(f"{name or 'no step'}: no rows were dropped there for {reason or '-'}")
        for path in home.shards(ELSEWHERE[name]):
            confirm(path)
        found = self.table.elsewhere(
            f"SELECT * FROM read_parquet({listed(home.shards(ELSEWHERE[name]))}) "
            "WHERE dropped_by = ? LIMIT ? OFFSET ?",
            [reason, ROWS, ROWS * (page - 1)],
        )
        first = ROWS * (page - 1) + 1
        here = {"step": name, "reason": reason}
        return {
            "step": name,
            "reason": reason,
            "meaning": self.table.meanings.get(reason, ""),
            "total": counts[reason],
            "first": first,
            "last": first + len(found) - 1,
            "rows": [
                {
                    "url": row["url"] or "",
                    "value": row["dropped_value"],
                    "about": [
                        (key, row[key])
                        for key in SHOWN
                        if row.get(key) not in (None, "", row["url"])
                    ],
                }
                for row in found
            ],
            "before": urlencode({**here, "page": page - 1}) if page > 1 else None,
            "after": urlencode({**here, "page": page + 1})
            if first + len(found) <= counts[reason]
            else None,
        }
