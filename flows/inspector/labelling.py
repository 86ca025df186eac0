"""Labels that people give, documents drawn for them at random, and what follows for all others.

Documents are drawn in the order of their ids, which are hashes and say nothing of a document. So
the first n of a stratum are a random sample of it, and the labels of these, and of these only, say
with a known confidence what holds for the whole stratum. Labels given elsewhere disturb nothing:
such a document counts when its turn in the order has come.
"""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pyarrow as pa

from webtext.flows.inspector.reading.cache import Table
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.corpus import labels as stored
from webtext.pipeline.corpus.labels import DROP, KEEP, UNSURE, Label, Share, share
from webtext.pipeline.filters.measuring.measures import KEPT

DROPPED = "dropped"  # the stratum of all dropped documents; others are fates
LATEST = 20  # labels that are listed


class Stratum(NamedTuple):
    """A part of the documents, and what its labelled sample says of it."""

    name: str
    documents: int
    drawn: int  # documents of the sample: the first ones by id, all of them labelled
    unsure: int  # of these
    wrong: Share  # bad ones among the kept, good ones among the dropped; unsure ones left out
    draw: str  # the address of the next document of the sample


@dataclass
class Labels:
    """The labels of a data directory, read anew when another process has added some."""

    data: Path
    table: Table
    _read: dict[str, Label] = field(default_factory=dict)
    _stamp: tuple[int, int] = (0, 0)
    _lock: Lock = field(default_factory=Lock)

    def all(self) -> dict[str, Label]:
        """Return the label of each labelled document."""
        path = self.data / stored.FILE
        with self._lock:
            stat = path.stat() if path.exists() else None
            stamp = (stat.st_size, stat.st_mtime_ns) if stat else (0, 0)
            if stamp != self._stamp:
                self._read, self._stamp = stored.read(self.data), stamp
            return self._read

    def add(self, identity: str, label: str, reason: str) -> Label:
        """Label a document.

        Raises:
            UserError: no such document or label; the file cannot be written.
        """
        found = self.table.rows("SELECT url, fate FROM documents WHERE id = ? LIMIT 1", [identity])
        if not found:
            raise UserError(f"{identity}: no such document")
        return stored.add(self.data, Label(identity, label, reason.strip(), **found[0]))

    def labelled(self) -> pa.Table:
        """Return the labels as a table for a question."""
        given = self.all().values()
        return pa.table(
            {
                "id": pa.array([one.id for one in given], pa.string()),
                "label": pa.array([one.label for one in given], pa.string()),
            }
        )

    def next(self, name: str) -> str | None:
        """Return the id of the next document of a stratum's sample; None if all are labelled."""
        where, values = condition(name)
        found = self.table.rows(
            f"SELECT id FROM documents ANTI JOIN labels USING (id) WHERE {where} "
            "ORDER BY id LIMIT 1",
            values,
            {"labels": self.labelled()},
        )
        return found[0]["id"] if found else None

    def _strata(self, name: str, where: str) -> list[Stratum]:
        """Return the strata that an expression divides some documents into."""
        found = self.table.rows(
            f"""
            WITH mine AS (SELECT {name} AS stratum, id FROM documents WHERE {where}),
            sizes AS (SELECT stratum, count(*) AS documents FROM mine GROUP BY stratum),
            ends AS (
                SELECT stratum, min(id) AS until FROM mine ANTI JOIN labels USING (id)
                GROUP BY stratum
            ),
            given AS (
                SELECT stratum, label FROM mine JOIN labels USING (id) LEFT JOIN ends
                USING (stratum) WHERE until IS NULL OR mine.id < until
            )
            SELECT stratum, any_value(documents) AS documents, count(label) AS drawn,
                count(*) FILTER (label = '{UNSURE}') AS unsure,
                count(*) FILTER (label = '{KEEP}') AS good,
                count(*) FILTER (label = '{DROP}') AS bad
            FROM sizes LEFT JOIN given USING (stratum)
            GROUP BY stratum ORDER BY stratum <> '{KEPT}', documents DESC, stratum
            """,
            (),
            {"labels": self.labelled()},
        )
        return [
            Stratum(
                row["stratum"],
                row["documents"],
                row["drawn"],
                row["unsure"],
                share(row["bad" if row["stratum"] == KEPT else "good"], row["bad"] + row["good"]),
                "/draw?" + urlencode({"from": row["stratum"]}),
            )
            for row in found
        ]

    def view(self) -> dict[str, Any]:
        """Return all that the page of the labels shows."""
        given = sorted(self.all().values(), key=lambda one: one.time, reverse=True)
        return {
            "overall": self._strata(
                f"CASE WHEN fate = '{KEPT}' THEN fate ELSE '{DROPPED}' END", "true"
            ),
            "reasons": self._strata("fate", f"fate <> '{KEPT}'"),
            "latest": given[:LATEST],
            "count": len(given),
            "file": str(self.data / stored.FILE),
            "said": stored.SAID,
        }


def condition(name: str) -> tuple[str, list[str]]:
    """Return the condition on the documents of a stratum."""
    if name == DROPPED:
        return f"fate <> '{KEPT}'", []
    return "fate = ?", [name]
