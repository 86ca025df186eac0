"""Which documents a view shows: filters, search and order, read from its address and written to it.

Every view is an address, so that it can be kept, sent and gone back to. A name that an address
gives is looked up among the table's own columns, and a value is always a bound parameter.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from webtext.flows.inspector.reading.cache import Table
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.measuring.measures import KEPT

PAGE = 25  # documents a page: their beginnings are read for it, a row group each
SIDES = {
    "kept": f"fate = '{KEPT}'",
    "dropped": f"fate <> '{KEPT}'",
}
FACETS = {  # what one can choose values of: the name in an address, and the column
    "fate": "fate",
    "domain": "domain",
    "language": "language",
    "month": "month",
    "votes": "votes",
    "label": "given.label",
    "subreddit": "subreddit",
    "split": "split",
    "cluster": "cluster",
}
NUMBERS = {  # measures beside those of the rules: column, and what it is
    "score": "votes",
    "language_probability": "probability of the language",
    "tokens": "tokens",
    "characters": "characters",
    "words": "words",
    "bytes": "bytes",
    "lines": "lines",
    "similarity": "similarity to the document kept instead",
    "cluster_documents": "documents in its cluster",
    "value": "the measure that decided",
}
LABELS = "LEFT JOIN given ON given.id = documents.id"  # for whom the facet `label` is used
SPECIAL = re.compile(r"[!%_]")  # mean something in a pattern of SQL
NONE = "-"  # in an address: the documents for which a facet has no value


class Range(NamedTuple):
    """The bounds of one measure, both included; None is no bound."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Selection:
    """Which documents are shown, and in which order."""

    query: str = ""  # full-text search
    inside: str = ""  # part of the URL
    side: str = ""  # "kept", "dropped", or both
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    sort: str = ""  # a column; else by relevance, or by id, which is a random order
    down: bool = True  # the largest first
    page: int = 1

    # --- the address -----------------------------------------------------------------------------

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield names and values for an address."""
        plain = (("q", self.query), ("in", self.inside), ("side", self.side), ("sort", self.sort))
        yield from ((name, value) for name, value in plain if value)
        if self.sort and not self.down:
            yield "order", "up"
        for name, values in self.facets.items():
            yield from ((name, value) for value in values)
        for name, (low, high) in self.ranges.items():
            yield from (
                (f"{side}.{name}", f"{bound:g}" if float(f"{bound:g}") == bound else repr(bound))
                for side, bound in (("min", low), ("max", high))
                if bound is not None
            )
        if self.page > 1:
            yield "page", str(self.page)

    @property
    def address(self) -> str:
        """The address's part after the question mark."""
        return urlencode(list(self.pairs()))

    def at(self, page: int) -> "Selection":
        """Return another page of the same documents."""
        return replace(self, page=page)

    def toggled(self, facet: str, value: str | None) -> "Selection":
        """Return it with this value of a facet added, or removed if it is there."""
        value = NONE if value is None else value
        there = self.facets.get(facet, ())
        values = tuple(v for v in there if v != value) if value in there else (*there, value)
        facets = {**self.facets, facet: values} if values else self.without(facet)
        return replace(self, facets=facets, page=1)

    def without(self, facet: str) -> dict[str, tuple[str, ...]]:
        """Return the other facets."""
        return {name: values for name, values in self.facets.items() if name != facet}

    def has(self, facet: str, value: str | None) -> bool:
        """Whether this value is chosen."""
        return (NONE if value is None else value) in self.facets.get(facet, ())

    def sided(self, side: str) -> "Selection":
        """Return it for kept documents, for dropped ones, or ("") for both."""
        return replace(self, side=side, page=1)

    def chips(self, table: Table) -> Iterator[tuple[str, "Selection"]]:
        """Yield each filter in words, with the selection that lacks it."""
        if self.query:
            yield f"text: {self.query}", replace(self, query="", page=1)
        if self.inside:
            yield f"URL: {self.inside}", replace(self, inside="", page=1)
        for name, values in self.facets.items():
            for value in values:
                said = "none" if value == NONE else value
                yield f"{name}: {said}", self.toggled(name, value)
        titles = dict(numbers(table))
        for name, (low, high) in self.ranges.items():
            rest = {other: r for other, r in self.ranges.items() if other != name}
            words = [f"{low:g} ≤"] if low is not None else []
            words += [titles[name]] + ([f"≤ {high:g}"] if high is not None else [])
            yield " ".join(words), replace(self, ranges=rest, page=1)

    # --- the question ----------------------------------------------------------------------------

    def where(self, skip: str = "") -> tuple[str, list[Any]]:
        """Return the condition on a document and its values, without that of the facet `skip`."""
        parts = [SIDES[self.side]] if self.side else []
        values: list[Any] = []
        if self.inside:
            parts.append("url ILIKE ? ESCAPE '!'")
            values.append("%" + SPECIAL.sub(r"!\g<0>", self.inside) + "%")
        for name, chosen in self.facets.items():
            if name != skip:
                named = [value for value in chosen if value != NONE]
                either = [f"{FACETS[name]} IN ({', '.join('?' * len(named))})"] if named else []
                either += [f"{FACETS[name]} IS NULL"] if NONE in chosen else []
                parts.append(f"({' OR '.join(either)})")
                values += named
        for name, (low, high) in self.ranges.items():
            for sign, bound in ((">=", low), ("<=", high)):
                if bound is not None:
                    parts.append(f"{quoted(name)} {sign} ?")
                    values.append(bound)
        return " AND ".join(parts) or "true", values

    def order(self) -> str:
        """Return the order: by a column, by relevance, or as rows lie: by id, so at random."""
        if self.sort == "url":
            return f"url {'DESC' if self.down else 'ASC'}, documents.rowid"
        if self.sort:
            ways = "DESC NULLS LAST" if self.down else "ASC NULLS LAST"
            number = quoted(self.sort)
            return f"{number} {ways}, documents.rowid" if self.sort == "linked" else (
                f"CASE WHEN isnan({number}) THEN NULL ELSE {number} END {ways}, documents.rowid"
            )  # fmt: skip
        return "hits.rank" if self.query else "documents.rowid"


def numbers(table: Table) -> list[tuple[str, str]]:
    """Return the measures that documents can be ordered and bounded by, and what each is."""
    plain = [(name, said) for name, said in NUMBERS.items() if name in table.columns]
    scripts = [
        (name, f"share of letters: {name.partition('.')[2]}")
        for name in table.columns
        if name.startswith("script.")
    ]
    return plain + scripts + [(name, name) for name in table.rules]


def quoted(name: str) -> str:
    """Return a column's name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def read(table: Table, address: str | Sequence[tuple[str, str]]) -> Selection:
    """Return the selection of an address; what it says twice counts as it is said last.

    Raises:
        UserError: a name or a value that means nothing here.
    """
    pairs = parse_qsl(address) if isinstance(address, str) else address
    facets: dict[str, tuple[str, ...]] = {}
    bounds: dict[str, dict[str, float]] = {}
    plain: dict[str, str] = {}
    known = dict(numbers(table))
    for name, value in pairs:
        side, _, measure = name.partition(".")
        if not value.strip():
            continue
        if name in FACETS:
            facets[name] = tuple(dict.fromkeys([*facets.get(name, ()), value]))
        elif side in {"min", "max"} and measure in known:
            bounds.setdefault(measure, {})[side] = number(name, value)
        elif name in {"q", "in", "side", "sort", "order", "page"}:
            plain[name] = value
        else:
            raise UserError(f"{name}: no such filter of these documents")
    side, sort = plain.get("side", ""), plain.get("sort", "")
    if side and side not in SIDES:
        raise UserError(f"side = {side}: wanted kept or dropped")
    if sort and sort not in {*known, "linked", "url"}:
        raise UserError(f"sort = {sort}: no such measure of these documents")
    return Selection(
        plain.get("q", "").strip(),
        plain.get("in", "").strip(),
        side,
        facets,
        {name: Range(found.get("min"), found.get("max")) for name, found in bounds.items()},
        sort,
        plain.get("order") != "up",
        page_number(plain.get("page", "1")),
    )


def number(name: str, value: str) -> float:
    """Return a bound.

    Raises:
        UserError: it is not a finite number.
    """
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"{name} = {value}: wanted a number")
    return found


def page_number(value: str) -> int:
    """Return the number of a page.

    Raises:
        UserError: it is not a whole number from 1 to a million.
    """
    if not (value.isascii() and value.isdigit() and 0 < int(value[:9]) <= 1_000_000):
        raise UserError(f"page = {value}: wanted a whole number from 1 to 1,000,000")
    return int(value)
