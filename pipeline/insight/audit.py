"""Audit every rule: alone, together, and with other bounds.

Where the build left a table of measures, all documents that reached the rules are asked at once,
and no text is read, unless a rule must be measured that the table lacks. Else every rule is applied
to a sample of texts: the documents with the smallest ids among those. Ids are hashes, so the sample
is random, and a larger sample contains the smaller one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, parquet, read_batches, row_count
from webtext.pipeline.core.stage import settings
from webtext.pipeline.filters.measuring.measures import KEPT
from webtext.pipeline.filters.measuring.measures import UNDER as MEASURES
from webtext.pipeline.filters.rules import Asked, Rules

SAMPLE = 5000  # texts that are read where the table does not tell, or is not there
MOVES = (0.5, 0.8, 0.9, 1.1, 1.25, 2.0)  # of a bound: other values that are tried
URLS = 10  # shown for each reason

Flags = NDArray[np.bool_]


class Sampled(NamedTuple):
    """One document of the sample."""

    url: str
    text: str
    language: str | None


@dataclass(frozen=True)
class Moved:
    """The effect of another value of a bound."""

    bound: float
    objects: int  # documents that the rule would reject
    kept: int  # documents that no rule would reject


@dataclass(frozen=True)
class Verdict:
    """The result of one rule for the sample, at one of its bounds."""

    reason: str  # "group.rule.low" or ".high"
    bound: float
    enabled: bool
    objects: int  # documents that it rejects
    alone: int  # of these, those that no other enabled rule rejects
    first: int  # of these, those that it is the first to reject, and so drops
    median: float  # of the measure over the sample
    moves: tuple[Moved, ...]
    urls: tuple[str, ...]  # of documents that it rejects


@dataclass(frozen=True)
class Audit:
    """The results of the rules for a sample."""

    sampled: int
    kept: int  # documents that no enabled rule rejects
    verdicts: tuple[Verdict, ...]
    unmeasured: tuple[str, ...] = ()  # rules that are off and were not measured


def audit(
    rules: Rules, documents: Directory, count: int | None = None, progress: Progress = silent
) -> Audit:
    """Apply every rule, including those of groups that are off, to documents.

    Without `count` to all, by the table of measures, if it tells what these rules measure; else to
    the texts of a sample of so many (SAMPLE by default).

    Raises:
        UserError: no document reached the rules.
    """
    if count is None and (found := by_measures(rules, documents)) is not None:
        return found
    sample = list(sampled(documents, SAMPLE if count is None else count))
    if not sample:
        raise UserError(f"{documents}: no document came as far as the rules, so there is no sample")
    asked: list[list[Asked]] = []
    for done, (url, text, language) in enumerate(sample, start=1):
        asked.append(list(rules.measures(text, url, language)))
        progress(done, len(sample))
    values = np.array([[one.measure for one in answers] for answers in asked])
    return judged(pa.chunked_array([[document.url for document in sample]]), asked[0], values)


def by_measures(rules: Rules, documents: Directory) -> Audit | None:
    """Ask the table of measures; None if it does not tell what these rules measure.

    It does where the build had the same rules but for their bounds, and each that is on was
    measured. Lists and models are asked anew, as their files may have changed.

    Raises:
        UserError: no document reached the rules; a file is damaged.
    """
    recorded = documents.manifest().get("stages", {}).get(Rules.name) if documents.whole else None
    if not documents.numbers(MEASURES) or recorded is None:
        return None
    if recorded["version"] != Rules.version or rules.fingerprints():
        return None
    if unbounded(recorded["settings"]) != unbounded(settings(rules)):
        return None
    asked = list(rules.measures(""))
    columns = parquet_names(documents.shards(MEASURES)[0])
    if any(one.enabled and one.rule not in columns for one in asked):
        return None
    known = [one for one in asked if one.rule in columns]
    paths = documents.shards(MEASURES)
    urls: list[pa.Array] = []
    values = np.empty((len(known), sum(map(row_count, paths))))  # what no row fills takes no memory
    filled = 0
    for path in paths:
        for batch in read_batches(
            path, ["url", "fate", *(one.rule for one in known)], rows=1 << 16
        ):
            reached = pc.or_(pc.equal(batch["fate"], KEPT), pc.starts_with(batch["fate"], "rules."))
            mine = batch.filter(reached)
            urls.append(mine["url"])
            for number, one in enumerate(known):
                measures = mine[one.rule].to_numpy(zero_copy_only=False)
                values[number, filled : filled + len(mine)] = measures
            filled += len(mine)
    if not filled:
        raise UserError(f"{documents}: no document came as far as the rules, so there is no sample")
    found = judged(pa.chunked_array(urls), known, values[:, :filled].T)
    return replace(found, unmeasured=tuple(one.rule for one in asked if one.rule not in columns))


def unbounded(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of rules without what does not change their measures.

    Those are the bounds, and whether a group is on that edits nothing.
    """
    groups = {name: getattr(Rules(), name) for name in recorded if hasattr(Rules(), name)}
    return {
        name: {
            key: {k: v for k, v in value.items() if k not in {"at_least", "at_most"}}
            if isinstance(value, dict)
            else value
            for key, value in group.items()
            if key != "enabled" or hasattr(groups.get(name), "edit")
        }
        for name, group in recorded.items()
    }


def parquet_names(path: Path) -> set[str]:
    """Return the names of a file's columns."""
    with parquet(path) as file:
        return set(file.schema_arrow.names)


def sampled(documents: Directory, count: int) -> Iterator[Sampled]:
    """Yield the documents with the smallest ids that the rules kept or dropped.

    A kept one has its text after the rules' edits, a dropped one its text before them.
    """
    paths = [(path, False) for path in documents.shards()]
    paths += [(path, True) for path in documents.shards("dropped")]
    ids = [column for path, dropped in paths for column in candidate_ids(path, dropped)]
    if not ids:
        return
    everything = pa.chunked_array(ids)
    order = pc.select_k_unstable(everything, min(count, len(everything)), [("", "ascending")])
    last = everything.take(order)[-1].as_py() if len(order) else ""
    for path, dropped in paths:
        for batch in read_batches(path, columns(dropped), rows=1 << 12):
            chosen = batch.filter(pc.less_equal(batch["id"], last))
            if dropped:
                chosen = chosen.filter(pc.starts_with(chosen["dropped_by"], "rules."))
            for row in chosen.to_pylist():
                yield Sampled(row["url"], row["text"] or "", row["language"])


def columns(dropped: bool) -> list[str]:
    """Return the columns that are read from a file."""
    return ["id", "url", "text", "language", *(["dropped_by"] if dropped else [])]


def candidate_ids(path: Any, dropped: bool) -> Iterator[pa.Array]:
    """Yield the ids of a file's documents that reached the rules."""
    names = ["id", "dropped_by"] if dropped else ["id"]
    for batch in read_batches(path, names, rows=1 << 16):
        ids = batch["id"]
        yield ids.filter(pc.starts_with(batch["dropped_by"], "rules.")) if dropped else ids


def judged(urls: pa.ChunkedArray, rules: Sequence[Asked], values: NDArray[np.float64]) -> Audit:
    """Return the rules' results for documents with these URLs, whose measures are `values`.

    Those are [document, rule]; of `rules` only the names and bounds count.
    """
    tries = [
        (number, side, bound)
        for number, one in enumerate(rules)
        for side, bound in (("low", one.at_least), ("high", one.at_most))
        if bound is not None
    ]
    enabled = np.array([rules[number].enabled for number, _, _ in tries])
    flags = np.stack([objects(values[:, n], side, bound) for n, side, bound in tries], axis=1)
    counted = flags & enabled
    many = counted.sum(axis=1)
    first = np.where(many > 0, counted.argmax(axis=1), -1)
    verdicts = []
    for at, (number, side, bound) in enumerate(tries):
        others = many - counted[:, at]
        mine, measures = flags[:, at], values[:, number]
        moves = [bound * factor for factor in MOVES] if bound else []
        verdicts.append(
            Verdict(
                reason=f"{rules[number].rule}.{side}",
                bound=bound,
                enabled=bool(enabled[at]),
                objects=int(mine.sum()),
                alone=int((mine & (others == 0)).sum()),
                first=int((first == at).sum()),
                median=float(np.nanmedian(measures)) if not np.isnan(measures).all() else np.nan,
                moves=tuple(moved(measures, side, move, others) for move in moves),
                urls=tuple(urls[int(place)].as_py() for place in np.flatnonzero(mine)[:URLS]),
            )
        )
    return Audit(len(urls), int((many == 0).sum()), tuple(verdicts))


def objects(measures: NDArray[np.float64], side: str, bound: float) -> Flags:
    """Return for each measure whether it is out of a bound; NaN is out of every bound."""
    flags: Flags = ~(measures >= bound) if side == "low" else ~(measures <= bound)
    return flags


def moved(measures: NDArray[np.float64], side: str, bound: float, others: Any) -> Moved:
    """Return the effect of a rule with this bound, and the other rules unchanged."""
    flags = objects(measures, side, bound)
    return Moved(bound, int(flags.sum()), int((~flags & (others == 0)).sum()))


def describe(found: Audit) -> str:
    """Return an audit as text for people: a table, then each reason's bounds and URLs."""
    head = f"{found.sampled:,} documents, {found.kept:,} kept by all enabled rules"
    lines = [head, "", f"{'':1} {'reason':<48} {'bound':>9} {'median':>9} {'objects':>8}"]
    lines[-1] += f" {'alone':>7} {'first':>7}"
    ranked = sorted(found.verdicts, key=lambda one: (-one.enabled, -one.objects, one.reason))
    for one in ranked:
        mark = " " if one.enabled else "-"
        figures = f"{one.bound:>9.4g} {one.median:>9.4g} {one.objects:>8,}"
        lines.append(f"{mark} {one.reason:<48} {figures} {one.alone:>7,} {one.first:>7,}")
    lines.append(
        "(- is off. alone: no other rule objects; first: so the document is dropped by it)"
    )
    if found.unmeasured:
        lines.append(
            f"(not measured, as they are off and dear: {', '.join(found.unmeasured)}; --sample N "
            "measures them on the texts of N documents)"
        )
    lines += [line for one in ranked if one.objects for line in told(one)]
    return "\n".join(lines)


def told(one: Verdict) -> Iterable[str]:
    """Yield the effects of other values of a reason's bound, and documents that it rejects."""
    yield f"\n{one.reason}"
    if one.moves:
        at = "   ".join(f"{m.bound:.4g}: {m.objects:,} ({m.kept:,})" for m in one.moves)
        yield f"  at another bound, objects (and all keep): {at}"
    yield from (f"  {url}" for url in one.urls)
