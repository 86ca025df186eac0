"""The list of documents: facets, ranges, search, order."""

import re
from collections.abc import Mapping, Sequence
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
        found = self.table.rows(
            f"SELECT {FACETS[name]} AS facet, count(*) AS count, min(score) AS least, "
            "count(*) OVER () AS distinct_values "
            f"FROM {source} WHERE {where} GROUP BY facet {ordered(name)}",
            given,
            tables,
        )
        return self._facet(selection, name, found)

    def facets(self, selection: Selection, names: Sequence[str]) -> tuple[int, dict[str, Facet]]:
        """Return a selection's size, and facets that it does not choose by, in one reading."""
        if not names:
            return self.total(selection), {}
        source, tables = self.source(selection)
        where, given = selection.where()
        columns = ", ".join(FACETS[name] for name in names)
        sets = ", ".join(f"({FACETS[name]})" for name in names)
        # Of the columns of a group all but one are null: a set of them is known by its bits.
        every = (1 << len(names)) - 1
        parts = [
            f"(SELECT '{name}' AS name, {FACETS[name]} AS facet, count, least, "
            f"count(*) OVER () AS distinct_values FROM mine WHERE which = {every ^ (1 << at)} "
            f"{ordered(name)})"
            for at, name in enumerate(reversed(names))
        ]
        found = self.table.rows(
            f"WITH mine AS MATERIALIZED (SELECT {columns}, count(*) AS count, min(score) AS least, "
            f"grouping_id({columns}) AS which FROM {source} WHERE {where} "
            f"GROUP BY GROUPING SETS ({sets}, ())) SELECT 'total' AS name, NULL AS facet, count, "
            f"least, 1 AS distinct_values FROM mine WHERE which = {every} UNION ALL "
            + " UNION ALL ".join(parts)
            + " ORDER BY name, CASE WHEN name = 'month' THEN facet END DESC, "
            "CASE WHEN name = 'votes' THEN least END DESC NULLS LAST, count DESC, facet",
            given,
            tables,
        )
        total = next((row["count"] for row in found if row["name"] == "total"), 0)
        rows = {name: [row for row in found if row["name"] == name] for name in names}
        return total, {name: self._facet(selection, name, rows[name]) for name in names}

    def _facet(self, selection: Selection, name: str, found: list[dict[str, Any]]) -> Facet:
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
        apart = {"label", *selection.facets}
        total, found = self.facets(selection, [name for name in shown if name not in apart])
        return total, [found.get(name) or self.facet(selection, name) for name in shown]

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


def ordered(facet: str) -> str:
    """Return in which order the values of a facet are shown, and how many of them."""
    order = {"month": "facet DESC", "votes": "least DESC NULLS LAST"}
    return f"ORDER BY {order.get(facet, 'count DESC, facet')} LIMIT {SHOWN[facet]}"


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
