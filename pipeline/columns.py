"""Submissions as columns, some thousand at a time, the quick way where lines are as usual.

Reading is most of a harvest, and a call of Python a line would be most of the reading. So a chunk
of whole lines is decoded in one call, where all of them are usual submissions; a chunk in which any
line is not is gone through line by line, as `dumps.records` would. Tests hold the two together.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.archives import container, cut
from pipeline.dumps import Flaw, opened, read_json, records
from pipeline.jsonlines import decoded
from pipeline.submissions import (
    YEAR_10000,
    Submission,
    Usual,
    as_score,
    as_time,
    target,
    unescaped,
)

NOTHING = Submission(None)
NOT_USUAL = Usual(0, is_self=False)  # stands where another record will

COLUMNS = pa.schema(
    [
        ("line", pa.int64()),
        ("url", pa.string()),
        ("submission", pa.string()),
        ("subreddit", pa.string()),
        ("score", pa.int32()),
        ("created", pa.int64()),  # Unix time, in seconds
        ("title", pa.string()),
        ("self_post", pa.bool_()),
        ("over_18", pa.bool_()),
        ("deleted", pa.bool_()),
        ("listed", pa.bool_()),
    ]
)


class Found(NamedTuple):
    """Records in a row: their columns, and the flaws of those that could not be read, by place."""

    columns: pa.RecordBatch
    flaws: dict[int, Flaw]


_usual = msgspec.json.Decoder(Usual)


def batches(path: Path, rows: int, tick: Callable[[int], None] = lambda _: None) -> Iterator[Found]:
    """Yield every record of a dump or list, in order, some `rows` at a time.

    Raises:
        UserError: as `dumps.records`.
    """
    if container(path) != "parquet":
        kind, stream = opened(path, tick)
        if kind == "json":
            yield from _json(stream, rows)
            return
    read = records(path, tick)
    while held := list(islice(read, rows)):
        yield _by_row(held)


def _json(stream: Iterable[bytes | int], rows: int) -> Iterator[Found]:
    """Read chunks of JSON lines."""
    posts: list[Usual] = []
    lines: list[int] = []
    odd: dict[int, Submission | Flaw] = {}
    line = 1
    for chunk in stream:
        found = None if isinstance(chunk, int) else usual(chunk)
        if found is not None:
            posts += found
            lines.extend(range(line, line + len(found)))
            line += len(found)
        else:
            for one in (chunk,) if isinstance(chunk, int) else cut(chunk):
                _one_by_one(one, line, posts, lines, odd)
                line += 1
        if len(posts) >= rows:
            yield _by_column(posts, lines, odd)
            posts, lines, odd = [], [], {}
    if posts:
        yield _by_column(posts, lines, odd)


def usual(chunk: bytes) -> list[Usual] | None:
    """Return what whole lines hold, if each is one usual submission and nothing else."""
    return decoded(chunk, _usual)


def _one_by_one(
    line: bytes | int,
    number: int,
    posts: list[Usual],
    lines: list[int],
    odd: dict[int, Submission | Flaw],
) -> None:
    """Append one line, which may be anything."""
    try:
        post = _usual.decode(line)  # type: ignore[arg-type]  # a length is a TypeError
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        record = read_json(line)
        if record is None:
            return
        odd[len(posts)] = record
        post = NOT_USUAL
    posts.append(post)
    lines.append(number)


def _by_column(posts: list[Usual], lines: list[int], odd: dict[int, Submission | Flaw]) -> Found:
    """Bring usual submissions to common names and types, as `submissions.posted` does one."""
    urls = [post.url_overridden_by_dest or post.url for post in posts]
    self_posts = [post.is_self for post in posts]
    for at in [at for at, post in enumerate(posts) if post.crosspost_parent_list]:
        parent = posts[at].crosspost_parent_list[0]  # type: ignore[index]  # it has one
        if parent.url is not None:
            urls[at] = parent.url
            if parent.is_self is not msgspec.UNSET:
                self_posts[at] = parent.is_self
    titles = [post.title for post in posts]
    values = {
        "url": [
            url if url is not None and "&" not in url and url[:1] != "/" else target(url)
            for url in urls
        ],
        "submission": [post.id for post in posts],
        "subreddit": [post.subreddit for post in posts],
        "score": [post.score for post in posts],
        "created": [post.created_utc for post in posts],
        "title": [
            title if title is None or "&" not in title else unescaped(title) for title in titles
        ],
        "self_post": self_posts,
        "over_18": [post.over_18 is True for post in posts],
        "deleted": [
            post.removed_by_category is not None or (post.meta is not None and post.meta.removed())
            for post in posts
        ],
        "listed": [False] * len(posts) if odd else None,
    }
    flaws = {}
    for at, record in odd.items():
        if isinstance(record, Flaw):
            flaws[at] = record
        known = NOTHING if isinstance(record, Flaw) else record
        for name, cells in values.items():
            cells[at] = getattr(known, _FIELDS.get(name, name))  # type: ignore[index]
    return Found(_batch(lines, values), flaws)


def _by_row(read: list[tuple[int, Submission | Flaw]]) -> Found:
    """Turn records into columns."""
    flaws = {at: record for at, (_, record) in enumerate(read) if isinstance(record, Flaw)}
    found = [NOTHING if isinstance(record, Flaw) else record for _, record in read]
    values = {
        name: [getattr(record, _FIELDS.get(name, name)) for record in found]
        for name in COLUMNS.names[1:]
    }
    return Found(_batch([line for line, _ in read], values), flaws)


_FIELDS = {"submission": "id"}  # what a Submission calls them


def _batch(lines: list[int], values: dict[str, Any]) -> pa.RecordBatch:
    makers = {"score": _scores, "created": _times}
    arrays = [pa.array(lines, pa.int64())]
    for field in COLUMNS:
        if field.name in values:
            cells = values[field.name]
            if cells is None:
                arrays.append(pa.array(np.zeros(len(lines), bool)))
            elif field.name in makers:
                arrays.append(makers[field.name](cells))
            else:
                arrays.append(pa.array(cells, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=COLUMNS)


def _scores(cells: list[Any]) -> pa.Array:
    """Return scores, which a dump may state of any size."""
    try:
        return pa.array(cells, pa.int32())
    except (pa.ArrowInvalid, OverflowError):
        return pa.array([as_score(cell) for cell in cells], pa.int32())


def _times(cells: list[Any]) -> pa.Array:
    """Return Unix times, whatever they are spelt as."""
    numbers = np.array([-1 if cell is None else cell for cell in cells] if None in cells else cells)
    if numbers.dtype.kind not in "if":
        return pa.array([as_time(cell) for cell in cells], pa.int64())
    known = (numbers >= 0) & (numbers < YEAR_10000)
    seconds = np.where(known, numbers, 0).astype(np.int64)  # what is not known is no number
    return pa.array(seconds, mask=None if known.all() else ~known)
