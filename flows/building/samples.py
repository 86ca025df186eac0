"""A few documents that a build has kept and dropped, as Markdown for a page of Prefect's.

The texts are strangers': everything in them that Markdown or HTML could take for its own is
escaped.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from webtext.pipeline.core.shards import read_batches
from webtext.pipeline.core.step import Made
from webtext.pipeline.core.visible import visible

SHOWN = 6  # documents of each kind
FILES = 4  # whose beginnings are read; a site is in one file
ROWS = 512  # rows of each beginning
EXCERPT = 240  # characters of each text
MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~=:@])")
KEPT = ("id", "url", "title", "text")
DROPPED = (*KEPT, "dropped_by", "dropped_value")


def samples(made: Sequence[Made]) -> str:
    """Return the newest documents' samples as two lists; empty if there are no documents yet.

    Of the first rows of a few files, those with the smallest ids are shown: ids are hashes, so
    these are drawn by chance, and the same each time.
    """
    found = {step.name: directory for step, directory in made}
    if (documents := found.get("documents")) is None:
        return ""
    lines = ["**Kept by the rules**", ""]
    lines += [shown(row) for row in drawn(documents.shards(), KEPT)] or ["nothing"]
    lines += ["", "**Dropped**", ""]
    lines += [shown(row) for row in drawn(documents.shards("dropped"), DROPPED)] or ["nothing"]
    return "\n".join(lines)


def more(data: Path, report: str | None) -> str:
    """Return, as Markdown, where else there is something to see of a data directory.

    `report` is the address of its report, None if no server of ours shows it.
    """
    shown = f"[The report, with plots]({report}), as the last scheduled run left it"
    where = shlex.quote(str(data))
    lines = [
        shown if report else f"The report, with plots: `webtext report --data {where}`",
        f"Every document, kept or dropped, in the inspector: `webtext inspect --data {where}`",
        f"Why one page was kept or dropped: `webtext trace URL --data {where}`",
        f"The events of all runs, a line each: `{where}/events.jsonl`",
    ]
    return "\n".join([f"**{plain(str(data))}**", "", *(f"- {line}" for line in lines)])


def drawn(paths: Sequence[Path], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows with the smallest ids, of the first rows of a few files."""

    def rows() -> Iterator[dict[str, Any]]:
        for path in paths[:FILES]:
            for batch in islice(read_batches(path, list(columns), rows=ROWS), 1):
                least = batch.take(pc.sort_indices(batch["id"])[:SHOWN])
                yield from least.to_pylist()

    return sorted(rows(), key=lambda row: row["id"])[:SHOWN]


def shown(row: dict[str, Any]) -> str:
    """Return a document as an item of a list; tables of Prefect's pages do not wrap lines."""
    parts = [plain(row["url"]), excerpt(row["text"])]
    if title := excerpt(row["title"]):
        parts[0] = f"{title}, {parts[0]}"
    if fate := row.get("dropped_by"):
        value = row["dropped_value"]
        measure = "" if value is None else f" ({plain(f'{value:.3g}')})"
        parts.insert(0, f"**{plain(fate)}**{measure}")
    return "- " + "<br>".join(parts)


def excerpt(text: str | None) -> str:
    """Return the beginning of a text, on one line."""
    words = " ".join((text or "").split())
    cut = words if len(words) <= EXCERPT else words[:EXCERPT] + " …"
    return plain(cut)


def plain(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line.

    >>> print(plain("[a](javascript:b) <i>|"))
    \[a\]\(javascript\:b\) &lt;i&gt;\|
    """
    line = " ".join(visible(text).split())
    return MARKUP.sub(r"\\\1", escape(line, quote=False))


def report_of(made: Sequence[Made], path: Path) -> bool:
    """Write the report's page, if there is a corpus to report of; return whether it was."""
    from webtext.pipeline.insight.report import write_report  # with its template and plots

    if not any(step.name == "corpus" for step, _ in made):
        return False
    try:
        write_report(made, path, None)
    except Exception:  # noqa: BLE001 -- also of a step of the user's own
        return False  # a page that could not be written fails no build
    return True
