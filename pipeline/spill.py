"""The map of the harvest: one source in, its rows out by shard, each kept so far or with a reason.

The spill of a source is one Arrow file of `shards` batches a chunk, so that the batches of shard s
are s, s + shards, s + 2 shards, and so on: the reduce finds them without an index.
"""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import pool, urls
from pipeline.dumps import records
from pipeline.harvest import Harvest
from pipeline.lists import read_names
from pipeline.shards import Directory, replacing, write_json
from pipeline.submissions import Submission

CHUNK = 1 << 14  # records held at a time: few enough to stay near the processor
CHUNK_PER_SHARD = 128  # ... or this many for each shard, lest batches become mere overhead

SPILL = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("domain", pa.string()),
        ("line", pa.int64()),
        ("submission", pa.string()),
        ("subreddit", pa.string()),
        ("score", pa.int32()),
        ("created", pa.timestamp("s", tz="UTC")),
        ("title", pa.string()),
        ("listed", pa.bool_()),
        ("dropped_by", pa.string()),
        ("dropped_value", pa.float64()),
    ]
)

Row = tuple[Any, ...]  # the shard, then the columns of SPILL
WIDTH = 1 + len(SPILL)


def paths(out: Directory, number: int) -> tuple[Path, Path]:
    """Return where the spill of source `number` lies, and the note that is written once it is."""
    return out.shard(number, "arrow", "spill"), out.shard(number, "json", "spill")


def spill(settings: Harvest, out: Directory, item: tuple[int, Path]) -> int:
    """Read one source into its spill, unless that has been done; return its number of records.

    Raises:
        UserError: a table without a column of URLs.
    """
    number, source = item
    rows, note = paths(out, number)
    if note.exists():
        pool.tick(source.stat().st_size)
        return int(json.loads(note.read_text())["records"])
    count = 0
    chunk = max(CHUNK, CHUNK_PER_SHARD * settings.shards)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        replacing(rows) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, SPILL, options=options) as writer,
    ):
        for held in _chunks(judged(settings, source, number), chunk):
            count += len(held) // WIDTH
            for batch in _by_shard(held, settings.shards):
                writer.write_batch(batch)
    write_json(note, {"records": count})
    return count


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Any]]:
    """Yield the cells of some rows, row after row.

    One flat list holds them, because a million tuples that live for a while are a million things
    for the garbage collector to look at.
    """
    held: list[Any] = []
    for row in rows:
        held += row
        if len(held) >= size * WIDTH:
            yield held
            held = []
    if held:
        yield held


def _by_shard(cells: list[Any], shards: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each shard, in their order; empty batches where there are none."""
    columns = (cells[at::WIDTH] for at in range(1, WIDTH))
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SPILL.types, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=SPILL)
    numbers = np.array(cells[::WIDTH], np.int64)
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(shards + 1))
    batch = batch.take(pa.array(order))
    for start, end in pairwise(ends):
        yield batch.slice(start, end - start)


def judged(settings: Harvest, source: Path, number: int) -> Iterator[Row]:
    """Yield a row for every record of a source: kept so far, or why not."""
    judge = Judge(settings)
    home = number % settings.shards  # of rows without a URL, which belong to no site
    for line, record in records(source, pool.tick):
        if isinstance(record, Submission):
            yield judge(record, line, home)
        else:
            yield _homeless(home, line, f"links.{record.reason}", value=record.value)


def _homeless(
    home: int,
    line: int,
    reason: str,
    found: Submission | None = None,
    url: str | None = None,
    value: float | None = None,
) -> Row:
    """Return the row of what belongs to no site."""
    name, score = (None, None) if found is None else (found.id, found.score)
    return (home, None, url, None, line, name, None, score, None, None, False, reason, value)


class Judge:
    """Decides what a submission alone can decide."""

    def __init__(self, settings: Harvest) -> None:
        self.longest = settings.max_url_length
        self.nsfw_too = settings.keep_nsfw
        self.deleted_too = settings.keep_deleted
        self.subreddits = excluded(settings, "subreddits", settings.exclude_subreddits)
        self.extensions = excluded(settings, "extensions", ())
        self.after, self.before = settings.window()
        self.always = self.after is None and self.before is None
        domains = excluded(settings, "domains", settings.exclude_domains)
        self.site = _sites(domains, settings.shards)

    def __call__(self, found: Submission, line: int, home: int) -> Row:
        """Return the row of a submission, with its shard; one without a URL goes to `home`."""
        raw = found.url
        if found.self_post:
            return _homeless(home, line, "links.self_post", found)
        if raw is None or not raw.strip():
            return _homeless(home, line, "links.no_url", found)
        try:
            url, key, host = urls.forms(raw)
        except urls.NotHttpError:
            return _homeless(home, line, "links.not_http", found, raw[: self.longest])
        except ValueError:
            return _homeless(home, line, "links.bad_url", found, raw[: self.longest])
        domain, shard, excluded_site = self.site(host)
        reason, value = self.objection(found, url, excluded_site)
        title = found.title
        if reason is not None:
            url, title = url[: self.longest], None
        return (
            shard,
            urls.key_id(key),
            url,
            domain,
            line,
            found.id,
            found.subreddit,
            found.score,
            found.created,
            title,
            found.listed,
            reason,
            value,
        )

    def objection(
        self, found: Submission, url: str, excluded_site: bool
    ) -> tuple[str | None, float | None]:
        """Return the first reason against a submission that has a URL, and what decided it."""
        if found.over_18 and not self.nsfw_too:
            return "links.over_18", None
        if found.deleted and not self.deleted_too:
            return "links.deleted", None
        if found.subreddit is not None and found.subreddit.lower() in self.subreddits:
            return "links.subreddit", None
        if not self.always and self.outside(found):
            return "links.out_of_window", found.created
        if len(url) > self.longest:
            return "links.url_too_long", len(url)
        if excluded_site:
            return "links.domain", None
        if extension(url) in self.extensions:
            return "links.extension", None
        return None, None

    def outside(self, found: Submission) -> bool:
        """Whether the time is not known to lie within the window, and ought to be known."""
        created = found.created
        if created is None:
            return not found.listed
        if self.after is not None and created < self.after:
            return True
        return self.before is not None and created >= self.before


def extension(url: str) -> str:
    """Return what follows the last dot of a normal URL's path, in lower case; "" for none.

    >>> extension("http://example.com/a.JPG?x=1.png"), extension("http://example.com/")
    ('jpg', '')
    >>> extension("http://en.wikipedia.org/wiki/File:Flag.svg")  # a page about the file
    ''
    """
    path = url.partition("?")[0] if "?" in url else url
    last = path.rfind("/")
    dot = path.rfind(".")
    return path[dot + 1 :].lower() if dot > last and ":" not in path[last:] else ""


def excluded(settings: Harvest, file: str, more: tuple[str, ...]) -> frozenset[str]:
    """Return the names that a list and the recipe exclude."""
    shipped = read_names(f"{file}.txt") if file in settings.lists else frozenset()
    return shipped | {
        entry.lower().removeprefix("r/").removeprefix("*.").strip(".") for entry in more
    }


def _sites(excluded: frozenset[str], shards: int) -> Callable[[str], tuple[str, int, bool]]:
    """Return a function from a host to its domain, its shard, and whether it is excluded."""

    @lru_cache(1 << 17)
    def site(host: str) -> tuple[str, int, bool]:
        domain = urls.registrable(host)
        labels = host.removesuffix(".").split(".")
        parents = (".".join(labels[start:]) for start in range(len(labels)))
        return domain, urls.bucket(domain, shards), any(name in excluded for name in parents)

    return site
