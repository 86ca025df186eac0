"""Two builds beside each other: what came, went and changed from the one to the other, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from webtext.flows.inspector.reading.cache import Table
from webtext.flows.inspector.reading.texts import Texts, difference
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.insight.figures.compared import CAUSES, Comparison

ROWS = 50  # a page
SAMPLES = 3  # changed texts whose difference the page shows
LONGEST = 200_000  # characters of a text that are compared
SHORT = 40  # characters that are left of a stretch that both have, before and after a change
CHANGES = ("came", "went", "changed")
FILTERS = {"change": "change", "cause": "cause", "domain": "domain", "before": "a_fate",
           "after": "b_fate"}  # of the list: names in its address, and columns  # fmt: skip
ABSENT = "-"  # in an address: the build does not have the document


@dataclass(frozen=True)
class Side:
    """One of the two builds."""

    name: str  # as people know it: its folder
    table: Table
    texts: Texts

    def row(self, identity: str) -> dict[str, Any] | None:
        """Return the table's row of a document: the kept one, if two have its id."""
        found = self.table.rows(
            "SELECT * FROM documents WHERE id = ? ORDER BY passed DESC LIMIT 1", [identity]
        )
        return found[0] if found else None


@dataclass
class Compare:
    """Answers what differs between two builds; counted when it is asked for the first time."""

    a: Side
    b: Side
    _lock: Lock = field(default_factory=Lock)

    @cached_property
    def comparison(self) -> Comparison:
        """The documents of both, joined."""
        return Comparison(self.a.table.made, self.b.table.made)

    @cached_property
    def figures(self) -> dict[str, Any]:
        """What differs, as counts."""
        return self.comparison.figures()

    def view(self) -> dict[str, Any]:
        """Return all that the page of the comparison shows."""
        with self._lock:  # who asks second waits for the first one's answer
            figures = self.figures
        counts = figures["documents"]
        changed = self.comparison.rows(
            "SELECT id FROM everything WHERE change = 'changed' ORDER BY id LIMIT ?",
            ("id",),
            SAMPLES,
        )
        return {
            "a": self.a.name,
            "b": self.b.name,
            "counts": [(name, counts[name], link(change=name)) for name in CHANGES],
            "same": counts["same"],
            "neither": counts["neither"],
            "why": figures["why"],
            "causes": [
                {**row, "meaning": CAUSES[row["cause"]],
                 "link": link(change=row["change"], cause=row["cause"])}
                for row in figures["causes"]
            ],
            "moves": [
                {**row, "link": link(before=row["a"] or ABSENT, after=row["b"] or ABSENT)}
                for row in figures["moves"]
            ],
            "domains": [
                {"domain": row["domain"] or "no site",
                 "changes": [(row[name], link(domain=row["domain"] or ABSENT, change=name))
                             for name in CHANGES]}
                for row in figures["domains"]
            ],
            "sizes": figures["distributions"],
            "samples": [self.document(row["id"], brief=True) for row in changed],
        }  # fmt: skip

    def rows(self, fields: Mapping[str, str], page: int) -> dict[str, Any]:
        """Return the documents of one kind of change.

        Raises:
            UserError: a field means nothing here.
        """
        chosen = {name: value for name, value in fields.items() if name != "page" and value}
        if not chosen or (wrong := next((n for n in chosen if n not in FILTERS), "")):
            raise UserError(f"{wrong if chosen else '-'}: no such list of the comparison")
        parts, values = [], []
        for name, value in chosen.items():
            column = FILTERS[name]
            if value == ABSENT:
                parts.append(f"{column} IS NULL")
            else:
                parts.append(f"{column} = ?")
                values.append(value)
        where = " AND ".join(parts)
        with self._lock:
            asked = self.comparison
        (total,) = asked.rows(
            f"SELECT count(*) FROM everything WHERE {where}", ("documents",), *values
        )
        found = asked.rows(
            f"SELECT id, url, change, cause, a_fate, b_fate FROM everything WHERE {where} "
            "ORDER BY id LIMIT ? OFFSET ?",
            ("id", "url", "change", "cause", "before", "after"),
            *(*values, ROWS, ROWS * (page - 1)),
        )
        first = ROWS * (page - 1) + 1
        last = first + len(found) - 1
        return {
            "a": self.a.name,
            "b": self.b.name,
            "chosen": [(name, "not there" if value == ABSENT else value)
                       for name, value in chosen.items()],
            "rows": [{**row, "link": f"/compare/document/{row['id']}"} for row in found],
            "total": total["documents"],
            "first": first,
            "last": last,
            "before": urlencode({**chosen, "page": page - 1}) if page > 1 else None,
            "after": urlencode({**chosen, "page": page + 1})
            if last < total["documents"]
            else None,
        }  # fmt: skip

    def document(self, identity: str, brief: bool = False) -> dict[str, Any]:
        """Return a document in both builds, with the words that only one of them has.

        `brief` leaves out most of what both have.

        Raises:
            UserError: no build has it.
        """
        rows = [side.row(identity) for side in (self.a, self.b)]
        known = next((row for row in rows if row), None)
        if known is None:
            raise UserError(f"{identity}: no such document in either build")
        texts = [
            side.texts.of(row)[:LONGEST] if row else ""
            for side, row in zip((self.a, self.b), rows, strict=True)
        ]
        pieces = difference(*texts)
        titles = [
            side.texts.title(row) for side, row in zip((self.a, self.b), rows, strict=True) if row
        ]
        return {
            "a": self.a.name,
            "b": self.b.name,
            "id": identity,
            "url": known["url"],
            "title": titles[-1],
            "same": texts[0] == texts[1],
            "sides": [
                {"name": side.name, "row": row, "letter": letter,
                 "pieces": shortened(part) if brief else part}
                for letter, side, row, part in zip(
                    ("before", "after"), (self.a, self.b), rows, pieces, strict=True
                )
            ],
        }  # fmt: skip


def shortened(pieces: Sequence[Any]) -> list[Any]:
    """Return pieces of a difference, with only what is near a change of what both texts have."""
    found = []
    for at, piece in enumerate(pieces):
        if piece.mark or len(piece.text) <= 2 * SHORT + 5:
            found.append(piece)
            continue
        left = piece.text[:SHORT] if at else ""
        right = piece.text[-SHORT:] if at + 1 < len(pieces) else ""
        found.append(piece._replace(text=f"{left} … {right}"))
    return found


def link(**fields: str) -> str:
    """Return the address of a list."""
    return "/compare/rows?" + urlencode(fields)
