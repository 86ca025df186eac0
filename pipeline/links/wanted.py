"""The links of a harvest in the form that crawls and imports need."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from webtext.pipeline.core.shards import read_batches

MILLISECONDS = pa.timestamp("ms", tz="UTC")


class Wanted(NamedTuple):
    """A link, as the frontier stores it."""

    id: str
    url: str
    domain: str | None
    score: int | None
    subreddit: str | None  # of the submission with the highest score, the oldest of equals
    linked: int | None  # Unix time of the first submission, in milliseconds


def wanted(path: Path) -> Iterator[list[Wanted]]:
    """Yield the links of a shard in order, in batches.

    Raises:
        UserError: the shard is missing or damaged.
    """
    for batch in read_batches(path, rows=8192):
        submissions = batch["submissions"]
        fields = submissions.flatten()  # of all rows, in order; null lists are empty
        scores = fields.field("score").to_pylist()
        subreddits = fields.field("subreddit").to_pylist()
        created = fields.field("created").cast(MILLISECONDS).cast(pa.int64()).to_pylist()
        ids, urls, domains, points = (
            batch[name].to_pylist() for name in ("id", "url", "domain", "score")
        )
        rows = []
        end = 0
        for i, count in enumerate(submissions.value_lengths().to_pylist()):
            start, end = end, end + (count or 0)
            top = max(range(start, end), key=partial(_rank, scores), default=None)
            subreddit = None if top is None else subreddits[top]
            times = [time for time in created[start:end] if time is not None]
            linked = min(times, default=None)
            rows.append(Wanted(ids[i], urls[i], domains[i], points[i], subreddit, linked))
        yield rows


def _rank(scores: list[int | None], position: int) -> tuple[bool, int, int]:
    """Order submissions by score, those without one last, equal scores by position."""
    score = scores[position]
    return score is not None, score or 0, -position
