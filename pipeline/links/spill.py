"""The map of the harvest: one source in, its rows out by shard, each kept so far or with a reason.

The spill of a source is one Arrow file of `shards + 1` batches per chunk, so that the batches of
shard s are s, s + (shards + 1), and so on: the reduce finds them without an index. The last batch
of a chunk has the rows without a URL, which belong to no site; the reduce gives them to a shard by
the number of their source. So a spill is the same whatever other sources there are.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core import pool
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.links import plain_urls
from webtext.pipeline.links.columns import Found, batches
from webtext.pipeline.links.remembered import Place
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.exclusions import extension, listed
from webtext.pipeline.urls.forgotten import NOTHING, Forgotten

CHUNK = 1 << 16  # records in memory at a time: with fewer, calls would cost more than their work
CHUNK_PER_SHARD = 128  # ... or this many for each shard, so that batches are not mostly overhead
CODEC = "lz4"  # of buffers: half as much again on disk as zstd, a harvest a tenth faster

# The reasons to drop a single submission, in the order in which they are checked; a row has the
# place of its reason here, 0 for none.
REASONS = (
    None,
    "links.line_too_long",
    "links.broken_line",
    "links.truncated_archive",
    "links.forgotten",
    "links.self_post",
    "links.no_url",
    "links.bad_url",
    "links.not_http",
    "links.over_18",
    "links.deleted",
    "links.subreddit",
    "links.out_of_window",
    "links.url_too_long",
    "links.domain",
    "links.extension",
)
NUMBER = {reason: number for number, reason in enumerate(REASONS)}

SPILL = pa.schema(
    [
        ("id", pa.uint64()),  # null if there is no URL
        ("url", pa.string()),
        ("domain", pa.string()),
        ("line", pa.int64()),
        ("submission", pa.string()),
        ("subreddit", pa.string()),
        ("score", pa.int32()),
        ("created", pa.timestamp("s", tz="UTC")),
        ("title", pa.string()),
        ("listed", pa.bool_()),
        ("reason", pa.uint8()),
        ("value", pa.float64()),  # the value that decided it
    ]
)

TELLING = ("url", "domain", "submission", "title", "value")  # columns that say which page it is

Array = np.ndarray[Any, Any]


def spill(settings: Harvest, item: tuple[Place, Path], forgotten: Forgotten = NOTHING) -> int:
    """Read one source into its spill, unless that is already done; return its number of records.

    Raises:
        UserError: as `dumps.records`; or no record could be understood.
    """
    place, source = item
    if (known := place.records()) is not None:
        pool.tick(source.stat().st_size)
        return known
    count = 0
    understood = False  # whether any record had a URL, or stated that it has none
    chunk = max(CHUNK, CHUNK_PER_SHARD * settings.shards)
    judge = Judge(settings, forgotten)
    with (
        replacing(place.rows) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, SPILL, options=pa.ipc.IpcWriteOptions(compression=CODEC)) as writer,
    ):
        for found in batches(source, chunk, pool.tick):
            count += found.columns.num_rows
            judged, shards = judge(found)
            understood = understood or not _strange(judged["reason"])
            _write(writer, judged, shards, settings.shards)
            del found, judged, shards  # freed before the next are read, which need as much memory
        if not understood:
            raise UserError(_not_understood(source, count))
    place.finish(count)
    return count


STRANGE = ("links.line_too_long", "links.broken_line", "links.truncated_archive",
           "links.no_url", "links.bad_url")  # fmt: skip


def _strange(reasons: pa.Array) -> bool:
    """Whether none of these records could be understood; true without records."""
    return bool(np.isin(reasons.to_numpy(), [NUMBER[reason] for reason in STRANGE]).all())


def _not_understood(source: Path, count: int) -> str:
    """Say what was found in a source in which no line is a link."""
    wanted = (
        "wanted a dump of submissions, or a list of URLs that begin with http:// or https://: "
        "mend the file, or take it off links.sources"
    )
    if not count:
        return f"{source}: holds no line; {wanted}"
    with source.open("rb") as file:
        start = file.read(60).partition(b"\n")[0]
    lines = "its one line is no" if count == 1 else f"none of its {count:,} lines is a"
    return f"{source}: {lines} link; it begins with {start!r}; {wanted}"


def _write(
    writer: pa.RecordBatchFileWriter, batch: pa.RecordBatch, numbers: Array, shards: int
) -> None:
    """Write the rows of each shard and those of none, in their order, perhaps empty batches."""
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(shards + 2))
    batch = batch.take(pa.array(order))
    for start, end in pairwise(ends):
        writer.write_batch(batch.slice(start, end - start))


class Judge:
    """Applies the rules for single submissions, to many at once."""

    def __init__(self, settings: Harvest, forgotten: Forgotten = NOTHING) -> None:
        """Prepare for one source."""
        self.settings, self.forgotten = settings, forgotten
        self.subreddits = listed("subreddits", settings.lists, settings.exclude_subreddits)
        exclusions = settings.exclusions()
        self.extensions = exclusions.extensions
        self.endings = plain_urls.ending(self.extensions)
        self.site = exclusions.site

    def __call__(self, found: Found) -> tuple[pa.RecordBatch, Array]:
        """Return a row for every record, kept so far or with a reason; and its shard."""
        columns = found.columns
        reasons = np.zeros(columns.num_rows, np.uint8)
        values = np.full(columns.num_rows, np.nan)
        for at, flaw in found.flaws.items():
            reasons[at] = NUMBER[f"links.{flaw.reason}"]
            values[at] = np.nan if flaw.value is None else flaw.value
        reasons[(reasons == 0) & _flags(columns["self_post"])] = NUMBER["links.self_post"]
        read = _addresses(columns["url"], reasons, self)
        self.object(columns, read, reasons, values)
        alive = reasons == 0
        url = _cut(read.urls, ~alive, self.settings.max_url_length)
        title = columns["title"]
        if not alive.all():
            title = pc.if_else(pa.array(alive), title, pa.scalar(None, pa.string()))
        made = {
            "id": pa.array(read.ids, mask=~read.known),
            "url": url,
            "domain": read.domains,
            "created": columns["created"].cast(pa.timestamp("s", tz="UTC")),
            "title": title,
            "reason": pa.array(reasons),
            "value": pa.array(values, mask=np.isnan(values)),
        }
        arrays = [made[name] if name in made else columns[name] for name in SPILL.names]
        judged = pa.RecordBatch.from_arrays(arrays, schema=SPILL)
        if self.forgotten:
            judged = nameless(judged, reasons == NUMBER["links.forgotten"])
        return judged, self.shards(read.domains)

    def object(
        self, columns: pa.RecordBatch, read: plain_urls.Read, reasons: Array, values: Array
    ) -> None:
        """Write the first reason to drop each submission that has a URL, and the deciding value."""
        settings = self.settings
        free = reasons == 0  # rows without a reason to drop them so far; the first one counts

        def drop(reason: str, which: Array, measures: Array | None = None) -> None:
            which = which & free
            reasons[which] = NUMBER[reason]
            free[which] = False
            if measures is not None:
                values[which] = measures[which]

        if self.forgotten:
            ids = np.where(read.known, read.ids, 0)
            drop("links.forgotten", self.forgotten.chosen(ids, read.urls, read.domains))
        if not settings.keep_nsfw:
            drop("links.over_18", _flags(columns["over_18"]))
        if not settings.keep_deleted:
            drop("links.deleted", _flags(columns["deleted"]))
        if self.subreddits:
            drop("links.subreddit", self.unwanted(columns["subreddit"]))
        if settings.after is not None or settings.before is not None:
            drop("links.out_of_window", *self.outside(columns))
        lengths = pc.fill_null(pc.binary_length(read.urls), 0).to_numpy()  # all ASCII if known
        drop("links.url_too_long", lengths > settings.max_url_length, lengths)
        drop("links.domain", read.excluded)
        drop("links.extension", read.files)

    def unwanted(self, subreddits: pa.Array) -> Array:
        """Whether a submission's subreddit is excluded."""
        names = subreddits.dictionary_encode()
        listed = [name.lower() in self.subreddits for name in names.dictionary.to_pylist()]
        places: Array = pc.fill_null(names.indices, len(listed)).to_numpy()
        return np.array([*listed, False])[places]

    def outside(self, columns: pa.RecordBatch) -> tuple[Array, Array]:
        """Whether the time is outside the window, or unknown although the source should have it."""
        created = columns["created"]
        unknown = _flags(created.is_null())
        seconds = pc.fill_null(created, 0).to_numpy()
        after, before = self.settings.window()
        out = np.zeros(len(seconds), bool) if after is None else seconds < after
        if before is not None:
            out |= seconds >= before
        which = np.where(unknown, ~_flags(columns["listed"]), out)
        return which, np.where(unknown, np.nan, seconds)

    def shards(self, domains: pa.Array) -> Array:
        """Return the shard of each row, as `urls.bucket`: all rows of a site are in one.

        The rows without a URL have the number after the last one.
        """
        told = domains.dictionary_encode()
        buckets = [urls.bucket(name, self.settings.shards) for name in told.dictionary.to_pylist()]
        places: Array = pc.fill_null(told.indices, len(buckets)).to_numpy()
        small = self.settings.shards < 1 << 16  # a type that numpy sorts by counting
        kind = np.uint16 if small else np.int64
        return np.array([*buckets, self.settings.shards], kind)[places]


def nameless(batch: pa.RecordBatch, which: Array) -> pa.RecordBatch:
    """Return rows of SPILL, those that are to be forgotten without what says whose they are."""
    if not which.any():
        return batch
    mask = pa.array(which)
    said: dict[str, Any] = {**dict.fromkeys(TELLING), "reason": NUMBER["links.forgotten"]}
    columns = [
        pc.if_else(mask, pa.scalar(said[field.name], field.type), batch[field.name])
        if field.name in said
        else batch[field.name]
        for field in SPILL
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SPILL)


def _addresses(column: pa.Array, reasons: Array, judge: Judge) -> plain_urls.Read:
    """Read the URLs of the rows without a reason; give invalid ones a reason."""
    wanted = reasons == 0
    known = wanted & _flags(column.is_valid())
    read = plain_urls.read(column, known, judge.site, judge.endings)
    slow = wanted & ~read.known
    places = np.flatnonzero(slow)
    if not len(places):
        return read
    forms: list[str | None] = []
    domains: list[str | None] = []
    for at, raw in zip(places, column.take(pa.array(places)).to_pylist(), strict=True):
        url, key, host, reason = _forms(raw, judge.settings.max_url_length)
        forms.append(url)
        domain, banned = judge.site(host) if host else (None, False)
        domains.append(domain)
        reasons[at] = NUMBER[reason]
        if key is not None and url is not None:
            read.known[at] = True
            read.ids[at] = plain_urls.number(key)
            read.files[at] = extension(url) in judge.extensions
            read.excluded[at] = banned
    mask = pa.array(slow)
    read.urls = pc.replace_with_mask(read.urls, mask, pa.array(forms, pa.string()))
    read.domains = pc.replace_with_mask(read.domains, mask, pa.array(domains, pa.string()))
    return read


def _forms(raw: str | None, longest: int) -> tuple[str | None, str | None, str, str | None]:
    """Return the URL to fetch, its key and host, as far as they are known, and the reason."""
    if raw is None or not raw.strip():
        return None, None, "", "links.no_url"
    try:
        return *urls.forms(raw), None
    except urls.NotHttpError:
        return raw[:longest], None, "", "links.not_http"
    except ValueError:
        return raw[:longest], None, "", "links.bad_url"


def _cut(column: pa.Array, which: Array, longest: int) -> pa.Array:
    """Shorten some URLs, if they are longer than the longest that is kept."""
    longer = pc.fill_null(pc.greater(pc.binary_length(column), longest), False)
    if not longer.true_count:
        return column
    return pc.if_else(
        pc.and_(longer, pa.array(which)), pc.utf8_slice_codeunits(column, 0, longest), column
    )


def _flags(column: pa.Array) -> Array:
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow has none
