"""The funnel of all rows, and statistics of the corpus: as numbers, and as one page with plots.

The page is one file that loads nothing from the network: its own style sheet draws the plots. Text
of pages, hosts and links may be hostile, so the template escapes everything, links are http(s)
only, and the page's policy forbids scripts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.shards import Directory, read_batches, read_json, write_text
from webtext.pipeline.core.step import Made, Step
from webtext.pipeline.corpus.card import STATS, funnel_stages, tally
from webtext.pipeline.filters.measuring.measures import UNDER as MEASURES
from webtext.pipeline.insight.figures.drawn import drawn, likeness_rows
from webtext.pipeline.insight.figures.likeness import likeness, told
from webtext.pipeline.insight.losses import curve, losses
from webtext.pipeline.insight.render import render
from webtext.pipeline.tokens import tokens as token_shards

SAMPLED = 10  # documents shown
EXCERPT = 420  # characters of each
SIZES = ("documents", "bytes", "tokens")  # of a corpus, by their names in the steps' facts
WAYS = {  # the state of old links today, for the table of link rot; the rest is "other"
    "gone": ("crawl.http_4xx", "crawl.dns"),
    "no answer": ("crawl.connect", "crawl.tls", "crawl.timeout", "crawl.http_5xx"),
    "forbidden": ("crawl.robots_denied", "crawl.robots_unreachable", "crawl.opted_out"),
    "not a page": ("crawl.wrong_type", "crawl.empty", "crawl.too_large"),
}


# --- numbers -------------------------------------------------------------------------------------


def funnel(made: Sequence[Made]) -> dict[str, Any]:
    """Return each stage's line of the funnel, and the size of the corpus; null if not made yet.

    `made` are the complete directories of a build, in the order of its steps.
    """
    stages = [stage for stage, _ in funnel_lines(made)]
    figures = {name: value for found in facts(made).values() for name, value in found.items()}
    return {"stages": stages, "corpus": {name: figures.get(name) for name in SIZES}}


def funnel_lines(made: Sequence[Made]) -> list[tuple[dict[str, Any], Step]]:
    """Return the lines of the funnel, each with its step."""
    return [
        (stage, step)
        for step, directory in made
        for stage, _ in funnel_stages([directory.manifest()], [step])
    ]


def facts(made: Sequence[Made]) -> dict[str, dict[str, Any]]:
    """Return the figures of each step that has any, by its name."""
    found = {step.name: dict(step.facts(directory)) for step, directory in made}
    return {name: figures for name, figures in found.items() if figures}


def rot(pages: Directory) -> list[dict[str, Any]]:
    """Return the state of the links of each year: kept, or gone in one of a few ways."""
    counts: dict[int, Counter[str]] = {}
    for path in pages.shards("outcomes"):
        for batch in read_batches(path, ["linked", "dropped_by"], rows=1 << 16):
            table = pa.table({"year": pc.year(batch["linked"]), "fate": batch["dropped_by"]})
            grouped = table.group_by(["year", "fate"]).aggregate([([], "count_all")])
            for row in grouped.to_pylist():
                if row["year"] is not None:
                    ways = counts.setdefault(row["year"], Counter())
                    ways[way(row["fate"])] += row["count_all"]
    return [{"year": year, "ways": dict(counts[year])} for year in sorted(counts)]


def way(fate: str | None) -> str:
    """Return the column of the table of link rot that a fate belongs to.

    >>> way(None), way("crawl.dns"), way("crawl.bad_http")
    ('kept', 'gone', 'other')
    """
    if fate is None:
        return "kept"
    return next((name for name, fates in WAYS.items() if fate in fates), "other")


def statuses(pages: Directory) -> dict[str, int]:
    """Count the status codes of the last responses."""
    counts: Counter[int | None] = Counter()
    for path in pages.shards("outcomes"):
        for batch in read_batches(path, ["status"], rows=1 << 16):
            counts.update(tally(batch["status"]))
    found = {"no response" if code is None else str(code): n for code, n in counts.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def sample(corpus: Directory) -> list[dict[str, Any]]:
    """Return the documents with the smallest ids. Ids are hashes, so this is a random sample."""
    columns = ["url", "title", "domain", "score", "linked", "text", "bytes"]
    rows = (
        row
        for path in corpus.shards()
        for batch in read_batches(path, columns, rows=SAMPLED)
        for row in batch.to_pylist()
    )
    return [row | {"text": excerpt(row["text"] or "")} for row in islice(rows, SAMPLED)]


def excerpt(text: str) -> str:
    """Return the beginning of a text, cut at a word.

    >>> excerpt("word " * 200)[-6:]
    'word …'
    """
    if len(text) <= EXCERPT:
        return text
    return text[:EXCERPT].rsplit(None, 1)[0] + " …"


# --- plots ---------------------------------------------------------------------------------------


def bars(counts: Mapping[str, int], limit: int = 1000) -> list[dict[str, Any]]:
    """Return bars for the template: `width` is in per cent of the longest.

    >>> bars({"en": 8, "de": 4})[1]
    {'label': 'de', 'value': 4, 'width': 50.0, 'share': 0.3333333333333333}
    """
    total = sum(counts.values()) or 1
    longest = max(counts.values(), default=0) or 1
    return [
        {"label": label, "value": n, "width": round(100 * n / longest, 2), "share": n / total}
        for label, n in islice(counts.items(), limit)
    ]


def size_label(low: int) -> str:
    """Return a number of bytes in short form.

    >>> size_label(512), size_label(4096), size_label(1 << 20)
    ('512 B', '4 kB', '1 MB')
    """
    for unit, name in ((1 << 20, "MB"), (1 << 10, "kB")):
        if low >= unit:
            return f"{low // unit} {name}"
    return f"{low} B"


def grouped_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return how many clusters have each size, the large ones in groups.

    >>> grouped_sizes({"1": 5, "2": 2, "7": 1, "300": 1})
    {'1 (unique)': 5, '2': 2, '5-9': 1, '100 and more': 1}
    """
    groups = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 9), (10, 99), (100, None))
    found = {}
    for low, high in groups:
        label = f"{low} and more" if high is None else str(low) if low == high else f"{low}-{high}"
        n = sum(
            n
            for size, n in sizes.items()
            if low <= int(size) and (high is None or int(size) <= high)
        )
        if n:
            found["1 (unique)" if low == 1 else label] = n
    return found


def years(months: Mapping[str, int]) -> dict[str, int]:
    """Return counts by year.

    >>> years({"2012-11": 1, "2013-01": 2, "2013-02": 3, "unknown": 1})
    {'2012': 1, '2013': 5, 'unknown': 1}
    """
    found: Counter[str] = Counter()
    for month, n in months.items():
        found[month.partition("-")[0]] += n
    return dict(sorted(found.items()))


# --- page ----------------------------------------------------------------------------------------


def write_report(made: Sequence[Made], path: Path, run: Path | None = None) -> None:
    """Write the funnel, the statistics and (given a run) the loss curve as one HTML page.

    Raises:
        UserError: the run has no log.
    """
    write_text(path, render("report.html.jinja", view(made, run)))


def view(made: Sequence[Made], run: Path | None) -> dict[str, Any]:
    """Return all that the page shows; None for parts that are not made yet."""
    there = {step.name: (step, directory) for step, directory in made}
    figures = facts(made)
    return {
        "size": funnel(made)["corpus"],
        "stages": list(stage_bars(funnel_lines(made))),
        "made": [
            {"step": step.name, "directory": directory.name, "facts": figures.get(step.name, {})}
            for step, directory in made
        ],
        "crawl": crawl_view(*there["pages"]) if "pages" in there else None,
        "corpus": corpus_view(there["corpus"][1]) if "corpus" in there else None,
        "splits": split_bars(there["tokens"][1]) if "tokens" in there else None,
        "figures": figures_view(made),
        "likeness": likeness_rows(likeness(made)),
        "loss": curve(*losses(run)) if run else None,
        "run": run.name if run else None,
    }


def figures(made: Sequence[Made]) -> dict[str, Any]:
    """Return what is counted of all documents, and the likeness to WebText, as plain values.

    `figures` is None if the documents are not made yet or have no measures.
    """
    return {"figures": of_documents(made), "likeness": told(likeness(made))}


def of_documents(made: Sequence[Made]) -> dict[str, Any] | None:
    """Return what is counted of all documents; None where nothing can be counted."""
    from webtext.pipeline.insight.figures.counted import counted  # with DuckDB

    documents = next((home for step, home in made if step.name == "documents"), None)
    return counted(made) if documents is not None and documents.numbers(MEASURES) else None


def figures_view(made: Sequence[Made]) -> dict[str, Any] | None:
    """Return the figures as the page draws them."""
    found = of_documents(made)
    meanings = {fate: meaning for step, _ in made for fate, meaning in step.fates.items()}
    return drawn(found, meanings) if found else None


def stage_bars(lines: list[tuple[dict[str, Any], Step]]) -> Iterator[dict[str, Any]]:
    """Yield the stages with the widths of their bars, in per cent of the most rows read."""
    most = max((stage["read"] for stage, _ in lines), default=0) or 1
    for stage, step in lines:
        lost = stage["read"] - stage["kept"]
        yield {
            **stage,
            "lost": lost,
            "kept_width": round(100 * stage["kept"] / most, 2),
            "lost_width": round(100 * lost / most, 2),
            "share": stage["kept"] / stage["read"] if stage["read"] else 0.0,
            "reasons": explained(stage["dropped"], step),
        }


def explained(dropped: Mapping[str, int], step: Step) -> list[dict[str, Any]]:
    """Return bars of the dropped rows, each with the meaning of its reason."""
    return [{**bar, "meaning": step.fates.get(bar["label"], "")} for bar in bars(dropped)]


def crawl_view(step: Step, pages: Directory) -> dict[str, Any]:
    """Return the statistics of the fetching."""
    dropped = {
        reason: count
        for stage, _ in funnel_lines([Made(step, pages)])
        for reason, count in stage["dropped"].items()
    }
    return {
        "fates": explained(dropped, step),
        "statuses": bars(statuses(pages), 12),
        "rot": rot(pages),
        "ways": ["kept", *WAYS, "other"],
    }


def corpus_view(corpus: Directory) -> dict[str, Any]:
    """Return the corpus' statistics as bars, and the sampled documents."""
    stats = read_json(corpus.about / STATS)
    lengths = {size_label(int(low)): n for low, n in stats["bytes_histogram"].items()}
    return {
        "stats": stats,
        "lengths": bars(lengths),
        "languages": bars(stats["languages"], 12),
        "domains": bars(stats["top_domains"], 20),
        "scores": bars(stats["scores"]),
        "years": bars(years(stats["months_linked"])),
        "clusters": bars(grouped_sizes(stats["cluster_sizes"])),
        "sample": sample(corpus),
    }


def split_bars(tokens: Directory) -> dict[str, Any]:
    """Return the size of each split, and the notes about them."""
    found = token_shards.counts(tokens)
    splits = found["splits"]
    drawn = bars({name: split["tokens"] for name, split in splits.items()})
    return {"bars": [{**bar, **splits[bar["label"]]} for bar in drawn], "notes": found["notes"]}
