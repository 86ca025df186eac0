"""Describe a corpus: its statistics, and the dataset card for people and the Hugging Face hub.

Both are made from the corpus and from the manifests of its inputs, and contain no times, paths or
other facts of the machine, so the same corpus has the same card.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory, read_batches, write_json, write_text
from webtext.pipeline.core.stage import Passage, machine_facts
from webtext.pipeline.core.step import Step, maker
from webtext.pipeline.core.visible import visible

CARD = "README.md"  # the name that the hub expects
STATS = "stats.json"
TEMPLATES = Path(__file__).parents[1] / "data"

TOP_DOMAINS = 100
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
SCORES = (3, 5, 10, 30, 100, 300, 1000, 3000, 10000)  # the lower ends of the histogram's bars

COLUMNS = {
    "id": "first 16 hexadecimal digits of the sha256 of the URL's key",
    "url": "as it was linked",
    "domain": "registrable domain, or the host where there is none",
    "score": "of the submissions that linked to it, merged; null where it came from a list",
    "subreddit": "of the submission with the highest score",
    "linked": "when it was first linked",
    "final_url": "of the page that was read, after redirects",
    "title": "as the page states it",
    "author": "as the page states it",
    "date": "of publication, ISO 8601, as the page states it",
    "sitename": "as the page states it",
    "language": "ISO 639-1",
    "language_probability": "of that language",
    "pii": "personal data that was replaced, by kind; null where none was looked for",
    "text": "main text",
    "bytes": "of the text in UTF-8",
    "duplicates": "documents dropped in favour of this one",
}


def write_card(
    title: str,
    recorded: dict[str, Any],
    inputs: Sequence[Directory],
    passage: Passage,
    out: Directory,
    steps: Sequence[Step],
) -> None:
    """Write stats.json, then README.md, of a corpus with all its shards.

    `recorded` are the corpus step's own settings, `passage` is its line of the funnel; `steps` are
    those that may have made the inputs.
    """
    stats = statistics(out)
    write_json(out.about / STATS, stats)
    manifests = lineage(inputs)
    write_text(out.about / CARD, card(title, recorded, manifests, passage, stats, steps))


# --- statistics ----------------------------------------------------------------------------------


def statistics(corpus: Directory) -> dict[str, Any]:
    """Count the rows of a corpus by all columns except the text."""
    columns = ["domain", "score", "linked", "language", "bytes", "duplicates"]
    seen = {name: Counter[Any]() for name in ("domain", "language", "month", "score", "cluster")}
    lengths = [np.empty(0, np.int64)]
    for path in corpus.shards():
        for batch in read_batches(path, columns, rows=1 << 16):
            seen["domain"].update(tally(batch["domain"]))
            seen["language"].update(tally(batch["language"]))
            seen["month"].update(tally(months(batch["linked"])))
            seen["score"].update(tally(batch["score"]))
            seen["cluster"].update(tally(pc.add(pc.fill_null(batch["duplicates"], 0), 1)))
            lengths.append(batch["bytes"].to_numpy())
    sizes = np.concatenate(lengths)
    return {
        "documents": len(sizes),
        "bytes": int(sizes.sum()),
        "domains": len(seen["domain"]),
        "with_score": len(sizes) - seen["score"][None],
        "copies": copies(corpus),
        "languages": ranked(seen["language"]),
        "top_domains": dict(list(ranked(seen["domain"]).items())[:TOP_DOMAINS]),
        "scores": score_histogram(seen["score"]),
        "bytes_percentiles": percentiles(sizes),
        "bytes_histogram": size_histogram(sizes),
        "months_linked": dict(sorted(ranked(seen["month"]).items())),
        "cluster_sizes": {str(size): n for size, n in sorted(seen["cluster"].items())},
    }


def copies(corpus: Directory) -> dict[str, dict[str, float]]:
    """Return how many copies were dropped for each reason, and how similar they were measured."""
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    for path in corpus.shards("dropped"):
        for batch in read_batches(path, ["dropped_by", "dropped_value"], rows=1 << 16):
            for reason in batch["dropped_by"].unique().to_pylist():
                mine = batch.filter(pc.equal(batch["dropped_by"], reason))["dropped_value"]
                found.setdefault(reason, []).append(mine.to_numpy(zero_copy_only=False))
    counted: dict[str, dict[str, float]] = {}
    for reason, parts in sorted(found.items()):
        values = np.concatenate(parts)
        counted[reason] = {"documents": len(values)}
        if len(known := values[~np.isnan(values.astype(np.float64))]):
            points = ("min", known.min()), ("median", np.median(known)), ("max", known.max())
            counted[reason] |= {name: round(float(value), 4) for name, value in points}
    return counted


def tally(column: pa.Array) -> dict[Any, int]:
    """Count the values of a column."""
    return {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}


def months(linked: pa.Array) -> pa.Array:
    """Return timestamps as "2017-12", nulls kept."""
    known = linked.cast(pa.timestamp("s")).to_numpy(False).astype("datetime64[M]").astype(str)
    return pa.array(known, pa.string(), mask=pc.is_null(linked).to_numpy(False))


def ranked(counts: Counter[Any]) -> dict[str, int]:
    """Return counts with the largest first, equal ones by name; null is "unknown".

    >>> ranked(Counter({"b": 1, None: 2, "a": 1}))
    {'unknown': 2, 'a': 1, 'b': 1}
    """
    named = {"unknown" if name is None else str(name): count for name, count in counts.items()}
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def score_histogram(counts: Counter[Any]) -> dict[str, int]:
    """Return how many documents have a score in each bar of the histogram.

    >>> score_histogram(Counter({3: 2, 4: 1, 99999: 1, None: 5}))
    {'3-4': 3, '10000+': 1, 'unknown': 5}
    """
    edges = [*SCORES, None]
    found = {f"under {SCORES[0]}": sum(n for score, n in known(counts) if score < SCORES[0])}
    for low, high in pairwise(edges):
        label = f"{low}+" if high is None else f"{low}-{high - 1}"
        found[label] = sum(
            n for score, n in known(counts) if score >= low and (high is None or score < high)
        )
    found["unknown"] = counts[None]
    return {label: n for label, n in found.items() if n}


def known(counts: Counter[Any]) -> Iterator[tuple[Any, int]]:
    """Yield the counts of values that are not null."""
    return ((value, n) for value, n in counts.items() if value is not None)


def percentiles(sizes: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return these percentiles of the documents' sizes, and the mean."""
    if not len(sizes):
        return {}
    points = np.percentile(sizes, PERCENTILES, method="nearest")
    named = {f"p{percent}": int(size) for percent, size in zip(PERCENTILES, points, strict=True)}
    return {"min": int(sizes.min()), **named, "max": int(sizes.max()), "mean": int(sizes.mean())}


def size_histogram(sizes: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return how many documents have a size from each power of two to below the next, in bytes.

    >>> size_histogram(np.array([100, 127, 128, 5000]))
    {'64': 2, '128': 1, '4096': 1}
    """
    powers = np.frexp(np.maximum(sizes, 1))[1] - 1
    found = np.unique(powers, return_counts=True)
    return {str(1 << int(power)): int(n) for power, n in zip(*found, strict=True)}


# --- card ----------------------------------------------------------------------------------------


def lineage(directories: Sequence[Directory]) -> list[dict[str, Any]]:
    """Return the manifests of these directories and of all their inputs, inputs first.

    A manifest names its inputs, which are directories beside it.
    """
    found: dict[str, dict[str, Any]] = {}
    for directory in directories:
        if directory.whole:
            manifest = directory.manifest()
            beside = [directory.path.parent / name for name in manifest.get("inputs", ())]
            for earlier in lineage([Directory(path) for path in beside]):
                found.setdefault(earlier["name"], earlier)
            found.setdefault(directory.name, {**manifest, "name": directory.name})
    return list(found.values())


def funnel_stages(
    manifests: Iterable[dict[str, Any]], steps: Sequence[Step]
) -> Iterator[tuple[dict[str, Any], Step | None]]:
    """Yield the passages of the steps that decide which rows are kept, as plain values.

    Each comes with its step, None if it is not one of these.
    """
    for manifest in manifests:
        step = maker(manifest, steps)
        if step is None or step.in_funnel:
            for passage in manifest.get("passages", ()):
                yield {key: passage[key] for key in ("stage", "read", "kept", "dropped")}, step


def card(
    title: str,
    recorded: dict[str, Any],
    manifests: Sequence[dict[str, Any]],
    passage: Passage,
    stats: dict[str, Any],
    steps: Sequence[Step],
) -> str:
    """Return the dataset card."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 -- Markdown; `cell` keeps a page's words in their place
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"cell": cell, "size_category": size_category, "json": plain}
    return environment.get_template("card.md.jinja").render(
        title=title,
        stats=stats,
        languages=sorted(language for language in stats["languages"] if len(language) == 2),
        stages=[
            {**stage, "why": why(stage, varying=bool(step and step.archive))}
            for stage, step in [*funnel_stages(manifests, steps), (asdict(passage), None)]
        ],
        schema=[
            {"name": field.name, "type": str(field.type), "meaning": COLUMNS[field.name]}
            for field in CORPUS
        ],
        tables=[
            ("language", list(stats["languages"].items())[:10]),
            ("domain", list(stats["top_domains"].items())[:20]),
            ("score", list(stats["scores"].items())),
        ],
        settings=[*recorded_settings(manifests, steps), setting("corpus", recorded)],
        own=any("documents" in manifest.get("stages", ()) for manifest in manifests),
        crawled=any("crawl" in manifest.get("stages", ()) for manifest in manifests),
        sources=[row for manifest in manifests for row in manifest_sources(manifest)],
        near=next(
            (
                manifest["stages"]["duplicates"]["settings"]
                for manifest in manifests
                if "duplicates" in manifest.get("stages", ())
            ),
            {},
        ),
    )


def manifest_sources(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the files that a step read from outside of the build, as its manifest lists them."""
    listed = manifest.get("sources")
    for row in listed if isinstance(listed, list) else ():
        if isinstance(row, dict) and {"name", "bytes"} <= row.keys():
            yield {"step": manifest.get("stage", ""), "name": row["name"], "bytes": row["bytes"]}


def why(stage: dict[str, Any], varying: bool) -> str:
    """Return a stage's drops, by reason unless reasons may vary while the same rows are kept."""
    lost = stage["read"] - stage["kept"]
    if varying:
        return f"{lost:,}" if lost else ""
    return ", ".join(f"{count:,} {reason}" for reason, count in stage["dropped"].items())


def recorded_settings(
    manifests: Iterable[dict[str, Any]], steps: Sequence[Step]
) -> Iterator[dict[str, Any]]:
    """Yield every stage's version and settings, without facts of the machine.

    The manifest lists those, or else the settings' class.
    """
    for manifest in manifests:
        step = maker(manifest, steps)
        for name, stage in manifest.get("stages", {}).items():
            kind = step.tables.get(name) if step else None
            yield setting(name, stage, stage.get("machine", machine_facts(kind) if kind else ()))


def setting(name: str, stage: dict[str, Any], hidden: Collection[str] = ()) -> dict[str, Any]:
    """Return a stage's version and settings, except some."""
    pairs = [(key, value) for key, value in stage["settings"].items() if key not in hidden]
    return {"name": name, "version": stage["version"], "pairs": pairs}


def plain(value: Any) -> str:
    """Return a setting's value as JSON, on one line, that cannot end a code span.

    >>> plain(("a", "b"))
    '["a", "b"]'
    """
    return json.dumps(value, ensure_ascii=False).replace("`", "\\u0060")


def cell(value: Any) -> str:
    r"""Return a table's cell; text of a page or a host cannot break out of it.

    >>> cell(12345), cell("a|b")
    ('12,345', 'a\\|b')
    """
    if isinstance(value, int):
        return f"{value:,}"
    shown = " ".join(visible(str(value)).split())
    return re.sub(r"[\\|]", r"\\\g<0>", shown).replace("<", "&lt;")


def size_category(documents: int) -> str:
    """Return the hub's name for a number of rows.

    >>> size_category(999), size_category(8_013_769)
    ('n<1K', '1M<n<10M')
    """
    if documents < 1000:
        return "n<1K"
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
    for number, (low, high) in enumerate(pairwise(names)):
        if documents < 10 ** (number + 4):
            return f"{low}<n<{high}"
    return "n>1B"
