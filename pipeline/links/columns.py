"""Submissions as columns, some thousand at a time: a fast path for usual lines.

One Python call per line would take most of the time. So a chunk of whole lines is decoded in one
call if all of them are usual submissions; any other chunk is read line by line, like in
`dumps.records`. Tests ensure that both agree.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.compressed import container, cut
from webtext.pipeline.core.jsonlines import decoded
from webtext.pipeline.links.dumps import Flaw, opened, read_json, records
from webtext.pipeline.links.submissions import (
    YEAR_10000,
    Submission,
    Usual,
    as_score,
    as_time,
    target,
    unescaped,
)

NOTHING = Submission(None)
NOT_USUAL = Usual(0, is_self=False, url=None)  # a placeholder for a record that is filled in later
FULL = 1 << 30  # bytes of lines in memory at a time; the offsets of a text column have 31 bits

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
    """Consecutive records: their columns, and by place the flaws of the unreadable ones."""

    columns: pa.RecordBatch
    flaws: dict[int, Flaw]


_usual = msgspec.json.Decoder(Usual)


def batches(path: Path, rows: int, tick: Callable[[int], None] = lambda _: None) -> Iterator[Found]:
    """Yield every record of a dump or list, in order, about `rows` at a time.

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
    held = _Lines()
    line, size = 1, 0
    for chunk in stream:
        posts = None if isinstance(chunk, int) else decoded(chunk, _usual)
        if posts is not None:
            held.posts += posts
            held.numbers.extend(range(line, line + len(posts)))
            line += len(posts)
        else:
            for one in (chunk,) if isinstance(chunk, int) else cut(chunk):
                held.add(one, line)
                line += 1
        size += 0 if isinstance(chunk, int) else len(chunk)
        if len(held.posts) >= rows or size >= FULL:
            yield held.found()
            held, size = _Lines(), 0
    if held.posts:
        yield held.found()


class _Lines:
    """The JSON lines of records, collected while reading."""

    def __init__(self) -> None:
        """Start without records."""
        self.posts: list[Usual] = []
        self.numbers: list[int] = []
        self.odd: dict[int, Submission | Flaw] = {}  # by place, all but usual submissions

    def add(self, line: bytes | int, number: int) -> None:
        """Append one line, which may be anything; a blank one is not a record."""
        try:
            post = _usual.decode(line)  # type: ignore[arg-type]  # a length is a TypeError
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError):
            record = read_json(line)
            if record is None:
                return
            self.odd[len(self.posts)] = record
            post = NOT_USUAL
        self.posts.append(post)
        self.numbers.append(number)

    def found(self) -> Found:
        """Return the records."""
        arrays = _by_column(self.posts)
        if self.odd:
            mask = np.zeros(len(self.posts), bool)
            mask[list(self.odd)] = True
            read = _by_row([(0, record) for record in self.odd.values()]).columns.columns[1:]
            arrays = [
                pc.replace_with_mask(array, pa.array(mask), other)
                for array, other in zip(arrays, read, strict=True)
            ]
        arrays.insert(0, pa.array(self.numbers, pa.int64()))
        flaws = {at: record for at, record in self.odd.items() if isinstance(record, Flaw)}
        return Found(pa.RecordBatch.from_arrays(arrays, schema=COLUMNS), flaws)


def _by_column(posts: list[Usual]) -> list[pa.Array]:
    """Convert usual submissions to common names and types, as `submissions.posted` does for one.

    Return the COLUMNS after the first.
    """
    urls = [post.url_overridden_by_dest or post.url for post in posts]
    self_posts = [post.is_self for post in posts]
    for at in [at for at, post in enumerate(posts) if post.crosspost_parent_list]:
        parent = posts[at].crosspost_parent_list[0]  # type: ignore[index]  # it has one
        if parent.url is not None:
            urls[at] = parent.url
            if parent.is_self is not msgspec.UNSET:
                self_posts[at] = parent.is_self
    urls = [
        target(url) if url is not None and ("&" in url or url[:1] == "/") else url for url in urls
    ]
    titles = [post.title for post in posts]
    titles = [unescaped(text) if text is not None and "&" in text else text for text in titles]
    deleted = [
        post.removed_by_category is not None or (post.meta is not None and post.meta.removed())
        for post in posts
    ]
    return [
        pa.array(urls, pa.string()),
        pa.array([post.id for post in posts], pa.string()),
        pa.array([post.subreddit for post in posts], pa.string()),
        _scores([post.score for post in posts]),
        _times([post.created_utc for post in posts]),
        pa.array(titles, pa.string()),
        pa.array(self_posts, pa.bool_()),
        pa.array([post.over_18 is True for post in posts], pa.bool_()),
        pa.array(deleted, pa.bool_()),
        pa.array(np.zeros(len(posts), bool)),
    ]


def _scores(cells: list[int | None]) -> pa.Array:
    """Return scores within 32 bits; those in a dump may have any size."""
    try:
        return pa.array(cells, pa.int32())
    except (pa.ArrowInvalid, OverflowError):
        return pa.array([as_score(cell) for cell in cells], pa.int32())


def _times(cells: list[Any]) -> pa.Array:
    """Return Unix times, from any spelling."""
    numbers = np.array(cells)
    if numbers.dtype.kind not in "if":
        return pa.array([as_time(cell) for cell in cells], pa.int64())
    known = (numbers >= 0) & (numbers < YEAR_10000)
    seconds = np.where(known, numbers, 0).astype(np.int64)  # an unknown time is not a number
    return pa.array(seconds, mask=None if known.all() else ~known)


def _by_row(read: list[tuple[int, Submission | Flaw]]) -> Found:
    """Turn records into columns."""
    flaws = {at: record for at, (_, record) in enumerate(read) if isinstance(record, Flaw)}
    found = [NOTHING if isinstance(record, Flaw) else record for _, record in read]
    arrays = [pa.array([line for line, _ in read], pa.int64())]
    for field in list(COLUMNS)[1:]:
        cells = [getattr(record, _FIELDS.get(field.name, field.name)) for record in found]
        arrays.append(pa.array(cells, field.type))
    return Found(pa.RecordBatch.from_arrays(arrays, schema=COLUMNS), flaws)


_FIELDS = {"submission": "id"}  # their names in a Submission
