"""All that is known of one document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from webtext.flows.inspector.bounds import Bounds
from webtext.flows.inspector.browsing import Browser
from webtext.flows.inspector.reading.search_index import patterns
from webtext.flows.inspector.reading.selection import Selection
from webtext.flows.inspector.reading.source import outcome, source
from webtext.flows.inspector.reading.texts import difference, found_in, marked, tokenised
from webtext.flows.inspector.training_steps import Runs
from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.step import measures
from webtext.pipeline.tokens import bpe
from webtext.pipeline.urls.urls import shard_of

VIEWS = {
    "text": "Text",
    "source": "Source page",
    "duplicates": "Near-duplicates",
    "tokens": "Tokens",
    "record": "Links and archive",
    "training": "Training",
}
LONGEST = 200_000  # characters of a text that are shown in tokens, and compared
MEMBERS = 50  # of a cluster that are listed


class Seen(NamedTuple):
    """A document that is looked at."""

    row: dict[str, Any]
    text: str
    selection: Selection  # the list that it is in
    other: str  # id of the document that it is compared with; "" for the one that was kept
    here: str  # the part of its address that says where in the list it is


@dataclass(frozen=True)
class Documents:
    """Answers what is known of a document."""

    browser: Browser
    bounds: Bounds
    runs: Runs

    def row(self, identity: str) -> dict[str, Any] | None:
        """Return the table's row of a document: the kept one, if two have its id."""
        found = self.browser.table.rows(
            "SELECT * FROM documents WHERE id = ? ORDER BY passed DESC LIMIT 1", [identity]
        )
        return found[0] if found else None

    def view(
        self, row: dict[str, Any], selection: Selection, at: int, show: str, other: str
    ) -> dict[str, Any]:
        """Return all that the page of a document shows."""
        text = self.browser.texts.of(row)
        stages = self.browser.table.directories["documents"].manifest().get("stages", {})
        url = row["final_url"] or row["url"] or ""
        told = measures(stages, text, url, row["language"], row)
        here = "&".join(filter(None, (urlencode({"at": at}), selection.at(1).address)))
        view: dict[str, Any] = {
            "row": row,
            "meaning": self.browser.table.meanings.get(row["fate"], ""),
            "title": self.browser.texts.title(row),
            "text": text,
            "characters": len(text),
            "words": len(text.split()),
            "note": told.get("note", ""),
            "rules": self.bounds.strips(row, told.get("measures", {})),
            "show": show,
            "tabs": [
                (name, said, f"/document/{row['id']}?{here}&show={name}")
                for name, said in VIEWS.items()
            ],
            "list": "/?" + selection.at(1 + at // 25).address,
            "selection": selection,
            **self.neighbours(selection, at, show),
        }
        seen = Seen(row, text, selection, other, here)
        shown: dict[str, Any] = getattr(self, f"_{show}")(seen)
        return view | shown

    def neighbours(self, selection: Selection, at: int, show: str) -> dict[str, Any]:
        """Return the addresses of the documents before and after this one in its list."""
        found: dict[str, Any] = {"before": None, "after": None, "at": at}
        rows = self.browser.rows(selection, 3 if at else 2, max(0, at - 1))
        for name, place in (("before", at - 1), ("after", at + 1)):
            index = place - max(0, at - 1)
            if place >= 0 and 0 <= index < len(rows):
                found[name] = self.browser.link(rows[index], place, selection) + f"&show={show}"
        return found

    # --- the views -------------------------------------------------------------------------------

    def _text(self, seen: "Seen") -> dict[str, Any]:
        return {"pieces": marked(seen.text, found_in(seen.text, patterns(seen.selection.query)))}

    def _tokens(self, seen: "Seen") -> dict[str, Any]:
        try:
            pieces = list(tokenised(seen.text[:LONGEST], bpe.encoding()))
        except UserError as error:
            return {"pieces": [], "problem": str(error)}
        return {"pieces": pieces, "cut": len(seen.text) > LONGEST}

    def _source(self, seen: "Seen") -> dict[str, Any]:
        pages = self.browser.table.directories.get("pages")
        try:
            if pages is None:
                stages = self.browser.table.directories["documents"].manifest().get("stages", {})
                raise UserError(
                    "it is a text of your own, which has no page"
                    if "documents" in stages
                    else "the pages directory is not there any more"
                )
            found = outcome(pages, seen.row["id"], seen.row["domain"])
            if found is None:
                raise UserError("no page of this id is in the pages directory")
            return {"source": source(pages, found, seen.text)}
        except (UserError, OSError) as error:
            return {"source": None, "problem": str(error)}

    def _record(self, seen: "Seen") -> dict[str, Any]:
        made = self.browser.table.directories
        pages, links = made.get("pages"), made.get("links")
        crawled = outcome(pages, seen.row["id"], seen.row["domain"]) if pages else None
        linked = None
        if links:
            hint = shard_of(links, seen.row["domain"])
            linked = first_row(links, seen.row["id"], hint=hint)
        return {
            "outcome": list(plain(crawled or {})),
            "submissions": linked[2]["submissions"] if linked else [],
        }

    def _training(self, seen: "Seen") -> dict[str, Any]:
        return {"reading": self.runs.reading(seen.row["id"]) if seen.row["passed"] else []}

    def _duplicates(self, seen: "Seen") -> dict[str, Any]:
        if seen.row["cluster"] is None:
            return {"members": [], "mine": [], "theirs": []}
        members = self.browser.table.rows(
            "SELECT * FROM documents WHERE cluster = ? AND passed "
            "ORDER BY id <> keeper, similarity DESC, id LIMIT ?",
            [seen.row["cluster"], MEMBERS],
        )
        size = self.browser.table.value(
            "SELECT count(*) FROM documents WHERE cluster = ? AND passed", [seen.row["cluster"]]
        )
        others = [member for member in members if member["id"] != seen.row["id"]]
        named = [member for member in others if member["id"] == (seen.other or seen.row["keeper"])]
        against = next(iter([*named, *others]), None)
        view: dict[str, Any] = {"size": size, "against": against, "mine": [], "theirs": []}
        start = f"/document/{seen.row['id']}?{seen.here}&show=duplicates&with="
        view["members"] = [{**member, "link": start + member["id"]} for member in members]
        if against:
            theirs = self.browser.texts.of(against)
            view["mine"], view["theirs"] = difference(seen.text[:LONGEST], theirs[:LONGEST])
            view["cut"] = max(len(seen.text), len(theirs)) > LONGEST
            view["their_title"] = self.browser.texts.title(against)
            view["their_link"] = f"/document/{against['id']}?{seen.here}&show=duplicates"
        return view


def plain(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a row says, for people; nothing of what it does not know."""
    for name, value in row.items():
        if value not in (None, [], ""):
            listed = isinstance(value, list)
            yield name, "\n".join(map(str, value)) if listed else str(value)
