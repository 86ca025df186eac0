"""What a build's documents are like, counted from the table of all documents: numbers for a page.

Nothing here reads a text. All counts are of documents unless another word stands beside them, and
each can be counted again from the shards.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from webtext.pipeline.core.directories.checked import confirm
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import Made
from webtext.pipeline.filters.measuring.measures import KEPT
from webtext.pipeline.filters.own.own_rules import recorded_rules
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.insight.figures.joined import joined
from webtext.pipeline.words.scripts import SCRIPTS

TOP = 20  # domains, hosts and languages listed
BINS = 40  # bars of a rule's histogram
FAR = 1.0  # of the measures' range: bounds beyond it are not in the picture
EDGE = 0.005  # share of the documents beyond each end of a histogram, which are in its last bars
MEMORY = "1GB"  # of the table in memory at once; the rest is in a temporary file
UNASKED = frozenset({"id", "url", "final_url", "text_digest", "digest", "source_file", "nearest"})
LENGTHS = ("bytes", "characters", "words", "lines", "tokens")
POINTS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def counted(made: Sequence[Made]) -> dict[str, Any]:
    """Return the figures of a build's documents, as plain values for JSON.

    Raises:
        UserError: there are no documents or no measures, or a file is damaged.
    """
    with TemporaryDirectory(prefix="webtext-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": MEMORY}
        with duckdb.connect(str(Path(folder, "documents.duckdb")), config=config) as connection:
            relation = joined(made, connection)
            columns = ", ".join(f'"{name}"' for name in relation.columns if name not in UNASKED)
            relation.project(columns).create("documents")
            return asked(Asker(connection), {step.name: directory for step, directory in made})


def asked(ask: "Asker", there: Mapping[str, Directory]) -> dict[str, Any]:
    """Return the figures, from a table of documents and the directories of a build."""
    return {
        "fates": fates(ask),
        "domains": {"kept": domains(ask, kept=True), "dropped": domains(ask, kept=False)},
        "languages": languages(ask),
        "scripts": scripts(ask),
        "lengths": {name: lengths(ask, name) for name in LENGTHS},
        "votes": votes(ask),
        "clusters": clusters(ask),
        "rules": list(rules(ask, there["documents"])),
        "fetching": fetching(there["pages"]) if "pages" in there else None,
    }


class Asker:
    """Asks the table of documents."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def __call__(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of an answer."""
        return self.connection.execute(query, list(values)).fetchall()


# --- documents -----------------------------------------------------------------------------------


def fates(ask: Asker) -> list[dict[str, Any]]:
    """Return how many documents and bytes of text ended in each fate, the kept ones first."""
    rows = ask(
        "SELECT fate, count(*), coalesce(sum(bytes), 0)::BIGINT FROM documents GROUP BY fate "
        "ORDER BY fate <> ?, 2 DESC, 1",
        KEPT,
    )
    return [dict(zip(("fate", "documents", "bytes"), row, strict=True)) for row in rows]


def domains(ask: Asker, kept: bool) -> list[dict[str, Any]]:
    """Return the domains with the most kept or dropped documents, each with both counts."""
    rows = ask(
        "SELECT domain, count(*) FILTER (fate = $1) AS kept, count(*) FILTER (fate <> $1) AS gone, "
        "coalesce(sum(bytes) FILTER (fate = $1), 0)::BIGINT FROM documents GROUP BY domain "
        "HAVING CASE WHEN $2 THEN kept ELSE gone END > 0 "
        "ORDER BY CASE WHEN $2 THEN kept ELSE gone END DESC, domain LIMIT $3",
        KEPT,
        kept,
        TOP,
    )
    return [dict(zip(("domain", "kept", "dropped", "bytes"), row, strict=True)) for row in rows]


def languages(ask: Asker) -> list[dict[str, Any]]:
    """Return the languages of the documents that have a text; null where none was recognised."""
    rows = ask(
        "SELECT language, count(*) FILTER (fate = $1), count(*) FILTER (fate <> $1) FROM documents "
        "WHERE bytes IS NOT NULL GROUP BY language ORDER BY count(*) DESC, language",
        KEPT,
    )
    return [dict(zip(("language", "kept", "dropped"), row, strict=True)) for row in rows]


def scripts(ask: Asker) -> list[dict[str, Any]]:
    """Return for each script how many documents have most of their letters in it."""
    cases = " ".join(f"WHEN script_{name} > 0.5 THEN '{name}'" for name in SCRIPTS)
    rows = ask(
        f"SELECT CASE {cases} WHEN script_latin IS NULL THEN 'no letters' ELSE 'mixed' END "
        "AS most, count(*) FILTER (fate = $1), count(*) FILTER (fate <> $1) FROM documents "
        "WHERE bytes IS NOT NULL GROUP BY most ORDER BY count(*) DESC, most",
        KEPT,
    )
    return [dict(zip(("script", "kept", "dropped"), row, strict=True)) for row in rows]


def lengths(ask: Asker, name: str) -> dict[str, Any] | None:
    """Return the sizes of the kept documents, and how many have each size by powers of two.

    A bar of the histogram has the documents from its number to below twice that. None where no
    document has such a size.
    """
    total, count, least, most, mean = ask(
        f"SELECT sum({name})::BIGINT, count({name}), min({name}), max({name}), avg({name}) "
        "FROM documents WHERE fate = $1",
        KEPT,
    )[0]
    if not count:
        return None
    points = ask(
        f"SELECT quantile_disc({name}, {list(POINTS)}) FROM documents WHERE fate = $1", KEPT
    )[0][0]
    bars = ask(
        f"SELECT CASE WHEN {name} < 1 THEN 0 ELSE 1::BIGINT << floor(log2({name}))::INTEGER END "
        f"AS low, count(*) FROM documents WHERE fate = $1 AND {name} IS NOT NULL "
        "GROUP BY low ORDER BY low",
        KEPT,
    )
    named = {f"p{round(100 * point)}": value for point, value in zip(POINTS, points, strict=True)}
    return {
        "documents": count,
        "sum": total,
        "mean": mean,
        "min": least,
        **named,
        "max": most,
        "histogram": {str(low): n for low, n in bars},
    }


def votes(ask: Asker) -> dict[str, Any] | None:
    """Return the scores of the links of kept documents; None where no link has one."""
    rows = ask(
        "SELECT count(score), count(*), min(score), quantile_disc(score, 0.5), max(score) "
        "FROM documents WHERE fate = $1",
        KEPT,
    )[0]
    if not rows[0]:
        return None
    return dict(zip(("with_votes", "documents", "min", "median", "max"), rows, strict=True))


def clusters(ask: Asker) -> dict[str, int]:
    """Return how many clusters there are of each size, from two documents."""
    rows = ask(
        "SELECT size, count(*) FROM (SELECT cluster, count(*) AS size FROM documents "
        "WHERE cluster IS NOT NULL GROUP BY cluster) GROUP BY size ORDER BY size"
    )
    return {str(size): n for size, n in rows}


# --- rules ---------------------------------------------------------------------------------------


def rules(ask: Asker, documents: Directory) -> Iterator[dict[str, Any]]:
    """Yield each measured rule with its bounds and the histogram of its measures.

    All documents with a text are counted, those among them that were kept beside. The outer bars
    also hold what lies beyond them; `low` and `high` are their inner edges.
    """
    recorded = documents.manifest().get("stages", {}).get(Rules.name)
    known: dict[str, Any] = {}
    if recorded and recorded["version"] == Rules.version:
        with suppress(
            TypeError, ValueError, UserError
        ):  # they fit no rules of this version: no bounds then
            chosen = recorded_rules(recorded["settings"])
            known = {line.rule: line for line in chosen.measures("")}
    names = [row[0] for row in ask("DESCRIBE documents") if "." in row[0]]
    for name in names:
        asked = known.get(name)
        bounds = {
            side: getattr(asked, side, None) if asked else None for side in ("at_least", "at_most")
        }
        yield {
            "rule": name,
            "enabled": bool(asked and asked.enabled),
            **bounds,
            "out_of_bounds": out_of_bounds(ask, name, **bounds),
            "decided": decided(ask, name),
            "histogram": histogram(ask, name, list(bounds.values())),
        }


def out_of_bounds(ask: Asker, name: str, at_least: float | None, at_most: float | None) -> int:
    """Return how many documents a rule objects to, whether it has a say or not."""
    column = f'"{name}"'
    query = (
        f"SELECT count(*) FROM documents WHERE {column} < $1 OR {column} > $2 OR isnan({column})"
    )
    if at_least is None and at_most is None:
        return 0
    low, high = at_least, at_most
    return int(
        ask(query, -math.inf if low is None else low, math.inf if high is None else high)[0][0]
    )


def decided(ask: Asker, name: str) -> int:
    """Return how many documents were dropped by a rule."""
    query = "SELECT count(*) FROM documents WHERE fate IN ($1, $2)"
    return int(ask(query, f"rules.{name}.low", f"rules.{name}.high")[0][0])


def histogram(ask: Asker, name: str, bounds: Sequence[float | None]) -> dict[str, Any] | None:
    """Return the counts of a measure in BINS bars of one width; None if nothing was measured."""
    column = f'"{name}"'
    some = f"FROM documents WHERE {column} IS NOT NULL AND NOT isnan({column})"
    ends = ask(f"SELECT quantile_disc({column}, [{EDGE}, {1 - EDGE}]) {some}")[0][0]
    if ends is None:
        return None
    low, high = map(float, ends)
    far = FAR * (high - low) or math.inf  # a bound farther out would flatten the rest
    given = [bound for bound in bounds if bound is not None and math.isfinite(bound)]
    given = [bound for bound in given if low - far <= bound <= high + far]
    least, most = min([low, *given]), max([high, *given])
    width = (most - least) / BINS or 1.0
    rows = ask(
        f"SELECT least({BINS - 1}, greatest(0, floor(({column} - {least!r}) / {width!r}))) "
        f"::INTEGER AS bar, count(*), count(*) FILTER (fate = $1) {some} GROUP BY bar ORDER BY bar",
        KEPT,
    )
    everything, kept = [0] * BINS, [0] * BINS
    for bar, n, stayed in rows:
        everything[bar], kept[bar] = n, stayed
    return {"low": least, "high": least + BINS * width, "all": everything, "kept": kept}


# --- fetching ------------------------------------------------------------------------------------


def fetching(pages: Directory) -> dict[str, Any]:
    """Return why and where links gave no page, and how fast pages came."""
    connection = duckdb.connect()
    files = [str(path) for path in pages.shards("outcomes")]
    for path in files:
        confirm(Path(path))
    if not files:
        return {"failures": [], "domains": [], "throughput": None}
    connection.read_parquet(files).create_view("outcomes")
    ask = Asker(connection)
    causes = ask(
        "SELECT dropped_by, count(*) FROM outcomes WHERE dropped_by IS NOT NULL GROUP BY 1 "
        "ORDER BY 2 DESC, 1"
    )
    places = ask(
        "SELECT domain, coalesce(sum(n) FILTER (dropped_by IS NOT NULL), 0)::BIGINT AS failed, "
        "sum(n)::BIGINT, first(dropped_by ORDER BY n DESC, dropped_by) "
        "FILTER (dropped_by IS NOT NULL) FROM (SELECT domain, dropped_by, count(*) AS n "
        "FROM outcomes WHERE domain IS NOT NULL GROUP BY ALL) GROUP BY domain HAVING failed > 0 "
        "ORDER BY failed DESC, domain LIMIT $1",
        TOP,
    )
    return {
        "failures": [{"fate": fate, "links": n} for fate, n in causes],
        "domains": [
            {"domain": domain, "failed": failed, "links": links, "most_often": cause}
            for domain, failed, links, cause in places
        ],
        "throughput": throughput(ask),
    }


def throughput(ask: Asker) -> dict[str, Any] | None:
    """Return how many answers came in how long, by the times of the requests; None if unknown."""
    row = ask(
        "SELECT count(*), epoch(max(started)) - epoch(min(started)), sum(wire_bytes)::BIGINT, "
        "quantile_disc(first_byte_ms, 0.5), quantile_disc(elapsed_ms, 0.5), count(DISTINCT domain) "
        "FROM outcomes WHERE started IS NOT NULL AND status IS NOT NULL AND elapsed_ms IS NOT NULL"
    )[0]
    answers, seconds, size, first, whole, places = row
    if not answers or not seconds:
        return None
    return {
        "answers": answers,
        "seconds": seconds,
        "answers_per_second": answers / seconds,
        "wire_bytes": size,
        "median_first_byte_ms": first,
        "median_elapsed_ms": whole,
        "domains": places,
    }
