"""Pages directories: made from other crawlers' WARC files, and read back in batches.

An import makes one shard of outcomes for each WARC file, with a row for every response record in
it, in the file's order. Of all records of one page (one id) exactly one stands for it: the first
that is a page to keep, otherwise the first. All others are `pages.duplicate_url`.

Without links, the addresses that a harvest would not take are dropped by the same rules.
If links are given, only their pages are kept, and every link has exactly one row: the record that
stands for it, or a `pages.not_in_warc` row in one more shard after those of the files. Records
without a link have their rows, but are not part of the funnel, which then counts links.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.archive import payload, revisits, sniff
from webtext.pipeline.archive.replaying.standing import (
    DUPLICATE_URL,
    NOT_IN_WARC,
    NOT_LINKED,
    Asked,
    numbers,
    settled,
    standing,
)
from webtext.pipeline.archive.revisits import REVISITED, SCANNED
from webtext.pipeline.archive.warc import (
    BAD_ENCODING,
    LARGE,
    Response,
    responses,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, each
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import Directory, read_batches, read_shard, write_parquet
from webtext.pipeline.core.stage import Passage, fates
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.exclusions import OBJECTIONS, Exclusions
from webtext.pipeline.urls.forgotten import Forgotten
from webtext.pipeline.urls.forgotten import read as read_forgotten

log = logging.getLogger(__name__)

BATCH_ROWS = 256
BATCH_BYTES = 32_000_000  # of bodies in a batch, unless a single body has more
Barred = Exclusions | None  # the addresses that are not wanted
PLACE = ("warc_file", "warc_offset", "warc_length")
ROWS = 4096  # outcomes written at a time
TELLING = ("url", "final_url", "domain", "ip", "refers_url")  # columns that say whose page it is
SCAN = "scan"  # the rows of each WARC file, before the records of one page are compared

BAD_URL: Final = "pages.bad_url"
HTTP_STATUS: Final = "pages.http_status"
NOT_HTML: Final = "pages.not_html"
EMPTY: Final = "pages.empty"
FORGOTTEN: Final = "pages.forgotten"

REASONS: Final[dict[str, str]] = {
    "pages.torn": "the WARC file ends within the record",
    "pages.damaged": "bytes of the WARC file that no record can be read from, or a false length",
    "pages.not_http": "a response record that holds no HTTP response",
    REVISITED: "a revisit record whose payload is in none of the WARC files",
    "pages.conversion": "a conversion record: the text of a page, as WET files have it, not a page",
    "pages.other_record": "a record of a type that holds no page, such as a continuation",
    FORGOTTEN: "left out because its owner asked for it (`webtext forget`)",
    BAD_URL: "the record's target is no http or https URL",
    **{f"pages.{reason}": meaning for reason, meaning in OBJECTIONS.items()},
    HTTP_STATUS: "a status other than 200 and 203; value: the status",
    NOT_HTML: "not one of the content types asked for",
    "pages.bad_encoding": "the body's transfer or content encoding cannot be undone",
    "pages.too_large": "the body is longer than allowed; value: the most allowed, in bytes",
    EMPTY: "status 200 or 203 without a body",
    DUPLICATE_URL: "another record stands for the same page",
    NOT_LINKED: "no link leads to it",
    NOT_IN_WARC: "a link whose page is in none of the WARC files",
}
"""Every way in which a record or link can end here, other than in a page."""


@dataclass(frozen=True)
class ImportWarc:
    """Take the pages from WARC files instead of crawling for them.

    Raises:
        UserError: a limit that no page can meet.
    """

    warc: tuple[str, ...] = field(default=(), metadata={"machine": True})  # paths or globs
    # Other records are dropped.
    content_types: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    max_body: int = 10_000_000  # bytes, decoded

    name: ClassVar[str] = "pages"
    version: ClassVar[int] = 4

    def __post_init__(self) -> None:
        if self.max_body < 1:
            raise UserError(f"pages.max_body: found {self.max_body}, wanted 1 or more")

    def fate(self, response: Response) -> tuple[str | None, float | None]:
        """Return why a record is not a page to keep, with the measured value; None if it is."""
        problem = response.problem
        if problem is not None and problem not in (LARGE, BAD_ENCODING):
            return f"pages.{problem}", None
        if response.head and response.status not in payload.PAGES:
            return HTTP_STATUS, response.status
        if not sniff.fits(response.content_type, response.body, self.content_types):
            return (NOT_HTML if response.body or self._hopeless(response) else EMPTY), None
        if problem == LARGE:
            return f"pages.{problem}", float(self.max_body)
        if problem is not None:
            return f"pages.{problem}", None
        return (None, None) if response.body else (EMPTY, None)

    def _hopeless(self, response: Response) -> bool:
        return sniff.hopeless(response.content_type, self.content_types)


def import_warc(
    settings: ImportWarc,
    sources: Sequence[Path],
    links: Directory | None,
    out: Directory,
    workers: Workers,
    progress: Progress,
    exclusions: Barred = None,
) -> list[Passage]:
    """Make a pages directory from WARC files; shard N is the Nth of them, sorted by path.

    `exclusions` decide about addresses where no links have been chosen by them before.

    Raises:
        UserError: no sources, or one that is missing or too damaged to skip the damage.
        PipelineError: rows were lost.
    """
    files = sorted({source.absolute() for source in sources})
    if not files:
        raise UserError("pages.warc: names no file; wanted paths or globs of WARC files")
    shards = [*range(len(files)), *([len(files)] if links else [])]
    if any(not out.shard(number, under="outcomes").exists() for number in shards):
        missing = [
            (number, path)
            for number, path in enumerate(files)
            if not _scanned(out.shard(number, under=SCAN), path)
        ]
        forgotten = read_forgotten(out.path.parent)
        work = partial(_scan, settings, exclusions, forgotten, out)
        each(work, missing, workers, progress)
        _settle(out, len(files), links)
    for path in out.shards(SCAN):
        path.unlink()
    if (out.path / SCAN).is_dir():
        (out.path / SCAN).rmdir()
    found = _passage(out, links is not None)
    if links is None and not found.read:
        log.warning("pages.warc: no record that may be a page in %d files, such as %s",
                    len(files), files[0])  # fmt: skip
    return [found]


def _scanned(scan: Path, source: Path) -> bool:
    """Whether a scan is there and of this file: folders may be moved before an import goes on."""
    if not scan.exists():
        return False
    first = next(read_batches(scan, ["warc_file"], rows=1), None)
    return first is not None and first["warc_file"].to_pylist() == [str(source)]


def _scan(
    settings: ImportWarc,
    barred: Barred,
    forgotten: Forgotten,
    out: Directory,
    item: tuple[int, Path],
) -> None:
    """Write a row for every response record of one WARC file."""
    number, path = item
    found = responses(path, settings.max_body)
    rows = map(partial(_row, settings, barred, forgotten, path), found)
    write_parquet(out.shard(number, under=SCAN), _batches(rows), SCANNED)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Collect rows into batches."""
    gathered: list[dict[str, Any]] = []
    for row in rows:
        gathered.append(row)
        if len(gathered) == ROWS:
            yield pa.RecordBatch.from_pylist(gathered, SCANNED)
            gathered = []
    if gathered:
        yield pa.RecordBatch.from_pylist(gathered, SCANNED)


def _row(
    settings: ImportWarc, barred: Barred, forgotten: Forgotten, path: Path, response: Response
) -> dict[str, Any]:
    """Return the facts of one record, as a row of SCANNED."""
    reason, value = settings.fate(response)
    row: dict[str, Any] = {
        "url": response.url or None,
        "final_url": response.url or None,
        "redirects": [],
        "status": response.status,
        "content_type": response.content_type,
        "ip": response.ip,
        "started": response.date,
        "body_bytes": len(response.body),
        "truncated": response.truncated,
        "warc_file": str(path),
        "warc_offset": response.offset,
        "warc_length": response.length,
        "digest": response.digest,
        "record": response.record_id,
        "refers_to": response.refers_to,
        "refers_url": response.refers_url,
    }
    try:
        url = urls.normalise(response.url)
        row |= {"id": urls.url_id(url), "url": url, "domain": urls.domain(url)}
    except ValueError:
        if response.url or reason is None:
            reason, value = BAD_URL, None
    else:
        if barred and (objection := barred.objection(url)):
            reason, value = f"pages.{objection.reason}", objection.value
    if forgotten(response.url):
        reason, value = FORGOTTEN, None
        row |= dict.fromkeys(TELLING)
    return row | {"dropped_by": reason, "dropped_value": value}


def _settle(out: Directory, files: int, links: Directory | None) -> None:
    """Write the outcomes, once every file has been scanned."""
    resolved = revisits.resolve(out.shards(SCAN))
    tables = [
        revisits.applied(read_shard(path, ["id", "dropped_by"]), resolved.get(number, {}))
        for number, path in enumerate(out.shards(SCAN))
    ]
    ids = [numbers(table["id"]) for table in tables]
    stands = standing(
        np.concatenate(ids),
        np.concatenate([pc.is_null(table["dropped_by"]).to_numpy() for table in tables]),
    )
    asked = None
    if links is not None:
        asked = Asked(np.unique(np.concatenate(ids)))
        write_parquet(out.shard(files, under="outcomes"), asked.take_from(links), OUTCOME)
    start = 0
    for number, row_ids in enumerate(ids):
        chosen = stands[start : start + len(row_ids)]
        start += len(row_ids)
        scanned = read_shard(out.shard(number, under=SCAN)).combine_chunks()
        scanned = revisits.applied(scanned, resolved.get(number, {}))
        rows = settled(scanned, row_ids, chosen, asked)
        write_parquet(out.shard(number, under="outcomes"), rows.to_batches(ROWS), OUTCOME)


def _passage(out: Directory, linked: bool) -> Passage:
    """Return the line of the funnel, of records or, if there are links, of links."""
    counts = fates(out.shards("outcomes"))
    nameless: dict[str, int] = {}
    if linked:
        for reason in (DUPLICATE_URL, NOT_LINKED):
            counts.pop(reason, None)
        for path in out.shards("outcomes"):
            for batch in read_batches(path, ["id", "dropped_by"], rows=1 << 16):
                lost = batch.filter(pc.is_null(batch["id"]))
                for reason in lost["dropped_by"].to_pylist():
                    nameless[reason] = nameless.get(reason, 0) + 1
    kept = counts.pop("kept", 0)
    left = {reason: count - nameless.get(reason, 0) for reason, count in counts.items()}
    dropped = {reason: count for reason, count in left.items() if count}
    return Passage("pages", kept + sum(dropped.values()), kept, dropped)
