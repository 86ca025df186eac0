"""The list of documents: facets, ranges, search, order."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from webtext.flows.inspector.labelling import Labels
from webtext.flows.inspector.reading.cache import Table
from webtext.flows.inspector.reading.search_index import KEY, MOST, Search, patterns
from webtext.flows.inspector.reading.selection import (
    FACETS,
    LABELS,
    PAGE,
    Range,
    Selection,
    number,
    numbers,
    read,
)
from webtext.flows.inspector.reading.texts import Texts, excerpt, found_in, marked
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.corpus.labels import Label

SHOWN = {  # values of each facet in the list
    "fate": 14, "label": 4, "domain": 10, "language": 10, "votes": 6, "month": 12, "subreddit": 10,
}  # fmt: skip
TITLES = {"fate": "Fate", "label": "Label", "domain": "Domain", "language": "Language",
          "votes": "Votes", "month": "Month linked", "subreddit": "Subreddit"}  # fmt: skip
REMEMBERED = 64  # views whose counts are kept, for turning pages


class Value(NamedTuple):
    """One value of a facet."""

    name: str | None
    documents: int
    share: float  # of the facet's largest count
    on: bool
    link: str
    meaning: str


class Facet(NamedTuple):
    """A facet with its commonest values, under all filters but its own."""

    name: str
    title: str
    values: list[Value]
    others: int  # values that are not listed


class Hits(NamedTuple):
    """What a search found."""

    table: pa.Table | None
    matches: int  # all matches; the table has at most MOST


@dataclass
class Browser:
    """Answers what a selection shows."""

    table: Table
    search: Search
    texts: Texts
    labels: Labels
    _counts: Any = field(init=False)
    _hits: Any = field(init=False)

    def __post_init__(self) -> None:
        self._counts = lru_cache(REMEMBERED)(self._count)
        self._hits = lru_cache(8)(self._find)

    # --- questions -------------------------------------------------------------------------------

    def found(self, selection: Selection) -> Hits:
        """Return what the selection's search finds, which a small memory keeps.

        Raises:
            UserError: there is no index yet.
        """
        if not selection.query:
            return Hits(None, 0)
        if not self.search.ready:
            share = f"{self.search.share_done():.0%}"
            raise UserError(
                "the process that makes the full-text index has failed; start the inspector again"
                if self.search.failed
                else f"the full-text index is being made ({share}); search again in a while, or "
                "search in URLs meanwhile"
            )
        hits: Hits = self._hits(selection.query)
        return hits

    def _find(self, query: str) -> Hits:
        return Hits(*self.search.hits(query))

    def source(self, selection: Selection, facet: str = "") -> tuple[str, Mapping[str, pa.Table]]:
        """Return what a question is asked of: all documents, or those that the search found.

        Labels are joined only where the selection, or the facet that is counted, needs them.
        """
        source = "documents"
        tables: dict[str, pa.Table] = {}
        if (hits := self.found(selection).table) is not None:
            source, tables = f"documents JOIN hits ON hits.key = {KEY}", {"hits": hits}
        if facet == "label" or "label" in selection.facets:
            source, tables = f"{source} {LABELS}", {**tables, "given": self.labels.labelled()}
        return source, tables

    def total(self, selection: Selection) -> int:
        """Return how many documents a selection has."""
        source, tables = self.source(selection)
        where, values = selection.where()
        return int(self.table.value(f"SELECT count(*) FROM {source} WHERE {where}", values, tables))

    def rows(self, selection: Selection, count: int, skip: int) -> list[dict[str, Any]]:
        """Return rows of a selection, in its order."""
        source, tables = self.source(selection)
        where, values = selection.where()
        # First which rows, and then all their columns: a sort carries all that it returns.
        found = self.table.ask(
            f"SELECT documents.rowid FROM {source} WHERE {where} ORDER BY {selection.order()} "
            f"LIMIT {int(count)} OFFSET {int(skip)}",
            values,
            tables,
        ).fetchall()
        if not found:
            return []
        chosen = ", ".join(str(int(row)) for (row,) in found)
        rows = self.table.rows(
            f"SELECT rowid AS number, * FROM documents WHERE rowid IN ({chosen})"
        )
        by_number = {row["number"]: row for row in rows}
        return [by_number[row] for (row,) in found]

    def facet(self, selection: Selection, name: str) -> Facet:
        """Return the values of a facet, under all filters but its own."""
        source, tables = self.source(selection, name)
        where, given = selection.where(skip=name)
        order = "facet DESC" if name == "month" else "count DESC, facet"
        if name == "votes":
            order = "min(score) DESC NULLS LAST"
        found = self.table.rows(
            f"SELECT {FACETS[name]} AS facet, count(*) AS count, "
            "count(*) OVER () AS distinct_values "
            f"FROM {source} WHERE {where} GROUP BY facet ORDER BY {order} LIMIT {SHOWN[name]}",
            given,
            tables,
        )
        largest = max((row["count"] for row in found), default=1)
        return Facet(
            name,
            TITLES[name],
            [
                Value(
                    row["facet"],
                    row["count"],
                    row["count"] / largest,
                    selection.has(name, row["facet"]),
                    selection.toggled(name, row["facet"]).address,
                    self.table.meanings.get(row["facet"] or "", ""),
                )
                for row in found
            ],
            max(0, (found[0]["distinct_values"] if found else 0) - len(found)),
        )

    def _count(self, address: str, _labels: int) -> tuple[int, list[Facet]]:
        """Return a selection's size and facets; its page and order change neither, labels may."""
        selection = read(self.table, address)
        shown = [name for name in SHOWN if name != "label" or self.labels.all()]
        return self.total(selection), [self.facet(selection, name) for name in shown]

    # --- the page --------------------------------------------------------------------------------

    def view(self, selection: Selection, labels: Mapping[str, Label]) -> dict[str, Any]:
        """Return all that the page of a selection shows."""
        alike = replace(selection, page=1, sort="", down=True).address
        total, facets = self._counts(alike, hash(tuple((one.id, one.label) for one in
                                                       labels.values())))  # fmt: skip
        skip = PAGE * (selection.page - 1)
        marks = patterns(selection.query)
        rows = [
            self.listed(row, skip + place, selection, marks)
            for place, row in enumerate(self.rows(selection, PAGE, skip))
        ]
        hits = self.found(selection).matches
        sides = {side: selection.sided(side) for side in ("", "kept", "dropped")}
        return {
            "labels": labels,
            "selection": selection,
            "total": total,
            "documents": self.table.documents,
            "facets": facets,
            "rows": rows,
            "first": skip + 1,
            "last": skip + len(rows),
            "sides": [
                (side, one.address, one.side == selection.side) for side, one in sides.items()
            ],
            "chips": [(said, rest.address) for said, rest in selection.chips(self.table)],
            "numbers": numbers(self.table),
            "before": selection.at(selection.page - 1).address if selection.page > 1 else None,
            "after": selection.at(selection.page + 1).address if skip + PAGE < total else None,
            "cut": hits if hits > MOST else 0,
            "most": MOST,
            "hidden": [pair for pair in selection.pairs() if pair[0] != "page"],
        }

    def listed(
        self, row: dict[str, Any], at: int, selection: Selection, marks: list[re.Pattern[str]]
    ) -> dict[str, Any]:
        """Return a row of the list: what is known of a document, and a piece of its text."""
        title, text = self.texts.read(row, "title", "text")
        title = title or row["url"] or row["id"]
        ordered = selection.sort if selection.sort in dict(numbers(self.table)) else ""
        shown = {name for name, _ in selection.ranges.items()} | ({ordered} if ordered else set())
        if row["fate"].startswith("rules."):
            shown.add(row["fate"].removeprefix("rules.").rpartition(".")[0])
        return {
            **row,
            "title": marked(title, found_in(title, marks)),
            "link": self.link(row, at, selection),
            "excerpt": excerpt(text, marks),
            "measures": [(name, row[name]) for name in sorted(shown) if name in row],
        }

    def link(self, row: Mapping[str, Any], at: int, selection: Selection) -> str:
        """Return the address of a document, which knows the list that it is in."""
        rest = selection.at(1).address
        return f"/document/{row['id']}?at={at}" + ("&" + rest) * bool(rest)


def bounded(table: Table, fields: Mapping[str, str]) -> Selection | None:
    """Return the selection of the form that adds a range; None if it is not what was sent.

    Raises:
        UserError: no such measure, or a bound that is no number.
    """
    name = fields.get("measure")
    if not name:
        return None
    if name not in dict(numbers(table)):
        raise UserError(f"{name}: no such measure of these documents")
    rest = [(k, v) for k, v in fields.items() if k not in {"measure", "low", "high"}]
    selection = read(table, rest)
    low, high = (
        number(name, fields[side]) if fields.get(side, "").strip() else None
        for side in ("low", "high")
    )
    ranges = {other: bound for other, bound in selection.ranges.items() if other != name}
    if (low, high) != (None, None):
        ranges[name] = Range(low, high)
    return replace(selection, ranges=ranges, page=1)
