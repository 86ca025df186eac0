"""Audit every rule on a sample of documents: alone, together, and with other bounds.

The sample is the documents with the smallest ids among all that reached the rules, kept or dropped
by them. Ids are hashes, so the sample is random, and a larger sample contains the smaller one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.filters.rules import Asked, Rules

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


def audit(
    rules: Rules, documents: Directory, count: int = 5000, progress: Progress = silent
) -> Audit:
    """Apply every rule, including those of groups that are off, to a sample of documents.

    Raises:
        UserError: no document reached the rules.
    """
    sample = list(sampled(documents, count))
    if not sample:
        raise UserError(f"{documents}: no document came as far as the rules, so there is no sample")
    asked: list[list[Asked]] = []
    for done, (url, text, language) in enumerate(sample, start=1):
        asked.append(list(rules.measures(text, url, language)))
        progress(done, len(sample))
    return judged([document.url for document in sample], asked)


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


def judged(urls: list[str], asked: list[list[Asked]]) -> Audit:
    """Return the rules' results for documents with these URLs, a list for each."""
    tries = [
        (number, side, bound)
        for number, one in enumerate(asked[0])
        for side, bound in (("low", one.at_least), ("high", one.at_most))
        if bound is not None
    ]
    values = np.array([[one.measure for one in answers] for answers in asked])
    enabled = np.array([asked[0][number].enabled for number, _, _ in tries])
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
                reason=f"{asked[0][number].rule}.{side}",
                bound=bound,
                enabled=bool(enabled[at]),
                objects=int(mine.sum()),
                alone=int((mine & (others == 0)).sum()),
                first=int((first == at).sum()),
                median=float(np.nanmedian(measures)) if not np.isnan(measures).all() else np.nan,
                moves=tuple(moved(measures, side, move, others) for move in moves),
                urls=tuple(urls[place] for place in np.flatnonzero(mine)[:URLS]),
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
    lines += [line for one in ranked if one.objects for line in told(one)]
    return "\n".join(lines)


def told(one: Verdict) -> Iterable[str]:
    """Yield the effects of other values of a reason's bound, and documents that it rejects."""
    yield f"\n{one.reason}"
    if one.moves:
        at = "   ".join(f"{m.bound:.4g}: {m.objects:,} ({m.kept:,})" for m in one.moves)
        yield f"  at another bound, objects (and all keep): {at}"
    yield from (f"  {url}" for url in one.urls)
