"""What differs between two builds: which documents came, went or changed, and why.

By the tables of both: no text is read but those of the samples. A document is one URL key, so a
page that both builds have is compared with itself. It came where the second build keeps it and the
first does not, it went the other way round, and it changed where both keep it with another text.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa

from webtext.pipeline.core.directories.checked import confirm
from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import Made
from webtext.pipeline.core.visible import on_one_line
from webtext.pipeline.filters.measuring.measures import KEPT
from webtext.pipeline.insight.figures.joined import joined

TOP = 20  # domains and moves listed
LINES = 12  # of a sample's diff
WIDTH = 160  # characters of such a line
SIZES = ("bytes", "words", "lines", "tokens")
COUNT = ("documents",)
TEXT = "text_digest"  # the column that says whether two texts are the same
OLDER = "its measures do not say which texts are the same, because an earlier version made them"

# A document's cause, from the first that holds: its page is not in the other build at all, was not
# fetched there, had other bytes; the same bytes gave another text; the same text another fate.
CAUSES = {
    "not linked": "the page is not among the links or records of the other build",
    "not fetched": "the other build got no page for it",
    "other page": "the page had other bytes: it has changed, or was fetched another way",
    "other text": "the same bytes gave another text: extraction, cleaning or edits differ",
    "other verdict": "the same text has another fate: bounds, rules or copies differ",
}

EVERYTHING = """
SELECT
    coalesce(a.id, b.id) AS id, coalesce(a.url, b.url) AS url,
    coalesce(a.domain, b.domain) AS domain, a.fate AS a_fate, b.fate AS b_fate,
    CASE
        WHEN a.fate = $kept AND b.fate = $kept THEN
            CASE WHEN a.text_digest = b.text_digest THEN 'same' ELSE 'changed' END
        WHEN b.fate = $kept THEN 'came'
        WHEN a.fate = $kept THEN 'went'
        ELSE 'neither'
    END AS change,
    CASE
        WHEN a.id IS NULL OR b.id IS NULL THEN
            CASE
                WHEN (a.id IS NULL AND a_pages.id IS NULL) OR (b.id IS NULL AND b_pages.id IS NULL)
                THEN 'not linked' ELSE 'not fetched'
            END
        WHEN a_pages.digest <> b_pages.digest THEN 'other page'
        WHEN a.text_digest IS DISTINCT FROM b.text_digest THEN 'other text'
        ELSE 'other verdict'
    END AS cause
FROM a FULL OUTER JOIN b ON a.id = b.id
LEFT JOIN a_pages ON a_pages.id = coalesce(a.id, b.id)
LEFT JOIN b_pages ON b_pages.id = coalesce(a.id, b.id)
"""


def compared(a: Sequence[Made], b: Sequence[Made], samples: int = 5) -> dict[str, Any]:
    """Return how the second build differs from the first, as plain values for JSON.

    Raises:
        UserError: one has no documents or no measures, or a file is damaged.
    """
    comparison = Comparison(a, b)
    return {**comparison.figures(), "samples": list(sampled(comparison, samples))}


class Comparison:
    """Two builds, each document of the one beside that of the other."""

    def __init__(self, a: Sequence[Made], b: Sequence[Made]) -> None:
        """Join the two.

        Raises:
            UserError: one has no documents or no measures, or a file is damaged.
        """
        self.a, self.b = a, b
        self.connection = duckdb.connect()
        for side, made in (("a", a), ("b", b)):
            both = joined(made, self.connection, f"{side}_")
            if TEXT not in both.columns:
                home = next(directory for step, directory in made if step.name == "documents")
                raise UserError(
                    f"{home}: {OLDER}; build it again, which makes its documents anew from the "
                    "pages and fetches nothing"
                )
            both.create_view(side, replace=True)
            pages(self.connection, side, made)
        self.connection.execute(f"CREATE TEMP TABLE everything AS {EVERYTHING}", {"kept": KEPT})
        self.lock = Lock()  # a connection answers one thread at a time

    def rows(self, query: str, names: Sequence[str], *values: Any) -> list[dict[str, Any]]:
        """Return the answer to a question about `everything` as a dict a row."""
        with self.lock:
            found = self.connection.execute(query, values).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def figures(self) -> dict[str, Any]:
        """Return what differs, as counts."""
        query = "SELECT change, count(*) FROM everything GROUP BY 1"
        totals = {row["change"]: row["documents"] for row in self.rows(query, ("change", *COUNT))}
        return {
            "documents": {
                name: totals.get(name, 0) for name in ("same", "changed", "came", "went", "neither")
            },
            "why": why(self.a, self.b),
            "causes": self.rows(
                "SELECT change, cause, count(*) FROM everything "
                "WHERE change IN ('came', 'went', 'changed') GROUP BY ALL ORDER BY 3 DESC, 1, 2",
                ("change", "cause", *COUNT),
            ),
            "moves": self.rows(
                "SELECT a_fate, b_fate, count(*) FROM everything "
                "WHERE a_fate IS DISTINCT FROM b_fate "
                f"GROUP BY ALL ORDER BY 3 DESC, 1, 2 LIMIT {TOP}",
                ("a", "b", *COUNT),
            ),
            "domains": self.rows(
                "SELECT domain, count(*) FILTER (change = 'came'), "
                "count(*) FILTER (change = 'went'), "
                "count(*) FILTER (change = 'changed') FROM everything "
                "WHERE change IN ('came', 'went', 'changed') GROUP BY domain "
                f"ORDER BY count(*) DESC, domain LIMIT {TOP}",
                ("domain", "came", "went", "changed"),
            ),
            "distributions": {
                name: {side: self.distribution(side, name) for side in ("a", "b")} for name in SIZES
            },
        }

    def distribution(self, side: str, name: str) -> dict[str, float] | None:
        """Return the sizes of a build's kept documents; None if none is known."""
        (row,) = self.rows(
            f"SELECT count({name}), avg({name}), quantile_disc({name}, [0.05, 0.5, 0.95]) "
            f"FROM {side} WHERE fate = ?",
            (*COUNT, "mean", "points"),
            KEPT,
        )
        if not row["documents"]:
            return None
        points = row.pop("points")
        return {**row, **dict(zip(("p5", "p50", "p95"), points, strict=True))}


def pages(connection: duckdb.DuckDBPyConnection, side: str, made: Sequence[Made]) -> None:
    """Name the digests of a build's pages; of one without pages, none."""
    there = {step.name: directory for step, directory in made}
    files = there["pages"].shards("outcomes") if "pages" in there else []
    for path in files:
        confirm(path)
    if files:
        connection.read_parquet([str(path) for path in files]).project("id, digest").filter(
            "id IS NOT NULL"
        ).create_view(f"every_{side}_page")
        connection.execute(
            f"CREATE TEMP VIEW {side}_pages AS SELECT id, any_value(digest) AS digest "
            f"FROM every_{side}_page GROUP BY id"
        )
    else:
        schema = pa.schema([("id", pa.string()), ("digest", pa.string())])
        connection.register(f"{side}_pages", schema.empty_table())


# --- why -----------------------------------------------------------------------------------------


def why(a: Sequence[Made], b: Sequence[Made]) -> dict[str, Any]:
    """Return in what the manifests of two builds differ: settings, code, libraries, inputs."""
    sides = [{step.name: directory.manifest() for step, directory in made} for made in (a, b)]
    names = list(dict.fromkeys(name for side in sides for name in side))
    settings: list[dict[str, Any]] = []
    code: list[str] = []
    libraries: dict[str, dict[str, Any]] = {}
    inputs: list[dict[str, Any]] = []
    for name in names:
        one, other = (side.get(name) for side in sides)
        if one is None or other is None:
            settings.append({"setting": name, "a": bool(one), "b": bool(other)})
            continue
        mine, others = flat(one), flat(other)
        settings += [
            {"setting": key, "a": mine.get(key), "b": others.get(key)}
            for key in sorted({*mine, *others})
            if mine.get(key) != others.get(key)
        ]
        if one.get("code") != other.get("code"):
            code.append(name)
        found, wanted = one.get("libraries", {}), other.get("libraries", {})
        libraries |= {
            library: {"library": library, "a": found.get(library), "b": wanted.get(library)}
            for library in sorted({*found, *wanted})
            if found.get(library) != wanted.get(library)
        }
        if one.get("sources") != other.get("sources"):
            inputs.append({"step": name, "a": one.get("sources"), "b": other.get("sources")})
    return {
        "settings": settings,
        "code": code,
        "libraries": list(libraries.values()),
        "inputs": inputs,
    }


def flat(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a manifest by their names in a recipe, but no machine facts."""
    found: dict[str, Any] = {}
    for stage, recorded in manifest.get("stages", {}).items():
        found[f"{stage} (version)"] = recorded.get("version")
        hidden = set(recorded.get("machine", ()))
        for key, value in leaves(recorded.get("settings", {})):
            if key.partition(".")[0] not in hidden:
                found[f"{stage}.{key}"] = value
    return found


def leaves(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested settings with their full names.

    >>> list(leaves({"a": {"b": 1}, "c": [2]}))
    [('a.b', 1), ('c', [2])]
    """
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from leaves(item, f"{before}{name}.")
        else:
            yield f"{before}{name}", item


# --- samples -------------------------------------------------------------------------------------


def sampled(comparison: Comparison, count: int) -> Iterator[dict[str, Any]]:
    """Yield the documents with changed texts that have the smallest ids, each with a diff.

    Ids are hashes, so this is a random sample.
    """
    homes = [texts_of(made) for made in (comparison.a, comparison.b)]
    query = "SELECT id, url FROM everything WHERE change = 'changed' ORDER BY id LIMIT $1"
    for sample in comparison.rows(query, ("id", "url"), count):
        found = [first_row(home, sample["id"]) for home in homes]
        texts = [row[2]["text"] or "" if row else "" for row in found]
        yield {**sample, "diff": list(diff(*texts))}


def texts_of(made: Sequence[Made]) -> Directory:
    """Return the directory of the documents of a build, as its corpus has them."""
    found = [directory for step, directory in made if step.called == "documents"]
    if not found:
        raise UserError("no documents have been made yet; run `webtext build` first")
    return found[-1]


def diff(one: str, other: str) -> Iterator[str]:
    r"""Yield the first lines that differ, as `diff -U0` marks them.

    >>> list(diff("a\nb", "a\nc"))
    ['-b', '+c']
    """
    lines = list(difflib.unified_diff(one.split("\n"), other.split("\n"), n=0, lineterm=""))
    changed = [line for line in lines[2:] if not line.startswith("@@")]  # without the two names
    yield from (line if len(line) <= WIDTH else f"{line[:WIDTH]}…" for line in changed[:LINES])
    if len(changed) > LINES:
        yield f"… and {len(changed) - LINES:,} more lines"


# --- output --------------------------------------------------------------------------------------


def describe(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines for people."""
    counts = found["documents"]
    yield (
        f"documents: {counts['came']:,} came, {counts['went']:,} went, "
        f"{counts['changed']:,} changed, {counts['same']:,} are the same"
    )
    yield from reasons(found["why"])
    for row in found["causes"]:
        yield f"{row['documents']:>9,} {row['change']}: {row['cause']} ({CAUSES[row['cause']]})"
    if found["moves"]:
        yield "fates, before and after:"
    for row in found["moves"]:
        yield f"{row['documents']:>9,} {row['a'] or 'not there'} -> {row['b'] or 'not there'}"
    if found["domains"]:
        yield "domains:"
    for row in found["domains"]:
        kinds = [name for name in ("came", "went", "changed") if row[name]]
        moved = ", ".join(f"{row[name]:,} {name}" for name in kinds)
        yield f"  {row['domain'] or 'no site'}: {moved}"
    for name, sides in found["distributions"].items():
        if sides["a"] and sides["b"]:
            shown = " -> ".join(
                f"{one['p5']:,} / {one['p50']:,} / {one['p95']:,}" for one in sides.values()
            )
            yield f"{name} of a kept document (5 %, half, 95 %): {shown}"
    for sample in found["samples"]:
        yield on_one_line(sample["url"])
        yield from (f"  {on_one_line(line)}" for line in sample["diff"])


def reasons(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what the two builds differ."""
    for row in found["settings"]:
        yield f"setting {row['setting']}: {row['a']} -> {row['b']}"
    if found["code"]:
        yield f"code of {', '.join(found['code'])}"
    for row in found["libraries"]:
        yield f"library {row['library']}: {row['a']} -> {row['b']}"
    for row in found["inputs"]:
        yield f"sources of {row['step']} differ"
    if not any(found.values()):
        yield "settings, code, libraries and sources are the same; fetched pages may differ"
