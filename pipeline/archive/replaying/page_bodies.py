"""Pages read back: the kept rows of a pages directory with their bodies, in batches."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.archive import packing
from webtext.pipeline.archive.framing import DAMAGED, TORN
from webtext.pipeline.archive.warc import MAX_BODY, Response, response_at, responses
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import PAGE
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.core.stores.stored_files import located

log = logging.getLogger(__name__)

BATCH_ROWS = 256
BATCH_BYTES = 32_000_000  # of bodies in a batch, unless a single body has more
PLACE = ("warc_file", "warc_offset", "warc_length")
ROWS = 4096  # rows that are Python's at a time


def page_count(pages: Directory, number: int) -> int:
    """Return how many pages of a shard were kept.

    Raises:
        UserError: the shard is missing or damaged.
    """
    reasons = read_shard(pages.shard(number, under="outcomes"), ["dropped_by"])["dropped_by"]
    return int(reasons.null_count)


def page_batches(
    pages: Directory,
    number: int,
    rows: int = BATCH_ROWS,
    max_bytes: int = BATCH_BYTES,
    without: pa.Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the kept pages of a shard in its order, as PAGE, with their decoded bodies.

    A batch has at most `rows` pages, and `max_bytes` of bodies unless a single one has more.
    The body of a damaged record is null, and a warning names the file. So are the bodies of pages
    with an id in `without`, which are not read; their batches are those that they are in otherwise.

    Raises:
        UserError: the shard is missing or damaged, or a WARC file is missing.
    """
    columns = [name for name in PAGE.names if name != "body"]
    no_ids = pa.array([], pa.string())
    more = ["body_bytes", *PLACE, "payload_file", "payload_offset", "payload_length", "dropped_by"]
    places = ["url", "final_url", *more]
    table = read_shard(pages.shard(number, under="outcomes"), [*columns, *more])
    kept = table.filter(pc.is_null(table["dropped_by"])).select(columns)
    left_out = pc.is_in(kept["id"], no_ids if without is None else without).to_pylist()
    bodies: list[bytes | None] = []
    held = start = 0
    for body, size in _bodies(pages, table.select(places), left_out):
        if bodies and (len(bodies) == rows or held + size > max_bytes):
            yield _page_batch(kept, start, bodies)
            start, held, bodies = start + len(bodies), 0, []
        bodies.append(body)
        held += size
    if bodies:
        yield _page_batch(kept, start, bodies)


def _page_batch(kept: pa.Table, start: int, bodies: list[bytes | None]) -> pa.RecordBatch:
    """Combine consecutive rows with their bodies."""
    part = kept.slice(start, len(bodies)).combine_chunks()
    arrays = [part[name].combine_chunks() for name in part.column_names]
    return pa.RecordBatch.from_arrays([*arrays, pa.array(bodies, pa.binary())], schema=PAGE)


def _bodies(
    pages: Directory, places: pa.Table, without: Sequence[bool]
) -> Iterator[tuple[bytes | None, int]]:
    """Yield body and size of each kept row, by its offset, or in file order without offsets.

    A damaged body is None, and so is one that is left out, which counts as it does when it is read.
    """
    places = places.append_column("place", pa.array(np.arange(places.num_rows)))
    kept = places.filter(pc.is_null(places["dropped_by"]))
    in_turn = _InTurn(pages, places) if kept["warc_offset"].null_count else None
    losses: dict[str, Losses] = {}  # by file
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for row, left_out in zip(_rows(kept), without, strict=True):
            where = "payload" if row["payload_file"] else "warc"  # of an earlier crawl, or its own
            name, offset, length = (row[f"{where}_{part}"] for part in ("file", "offset", "length"))
            path = located(pages.path, name)
            if name not in losses:
                losses[name] = Losses(path)
            by_offset = in_turn is None or where == "payload"
            if by_offset and name not in files:
                files[name] = stack.enter_context(packing.opened(path))
            if left_out:
                losses[name].good += 1
                yield None, row["body_bytes"]
                continue
            if in_turn is not None and not by_offset:
                body = losses[name].checked(row, in_turn.response(row["place"]))
                yield body, len(body or b"")
                continue
            most = max(row["body_bytes"], MAX_BODY)
            try:
                found = response_at(files[name], path, offset, length, most)
            except UserError as error:
                losses[name].damaged(str(error))
                yield None, 0
            else:
                body = losses[name].checked(row, found, elsewhere=where == "payload")
                yield body, len(body or b"")
    for loss in losses.values():
        loss.sum_up()


class _InTurn:
    """A whole WARC file, read together with its rows, one row per record."""

    def __init__(self, pages: Directory, places: pa.Table) -> None:
        names = places["warc_file"].unique().to_pylist()
        assert len(names) == 1, "only imports have rows without offset, a shard a file"
        most = max(pc.max(places["body_bytes"]).as_py(), MAX_BODY)
        self._found = responses(located(pages.path, names[0]), most)
        self._read = 0

    def response(self, number: int) -> Response | None:
        """Return the response of a row, which is behind all that were asked for; None if gone."""
        skipped, self._read = number - self._read, number + 1
        return next(islice(self._found, skipped, None), None)


class Losses:
    """The records of one WARC file that do not match their rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.good = self.lost = 0
        self.other = ""  # about the first record that is whole but a different one

    def checked(
        self, row: dict[str, Any], found: Response | None, elsewhere: bool = False
    ) -> bytes | None:
        """Return a body if it is the one that the row describes (`elsewhere`: of any URL)."""
        wanted = f"{self.path}: wanted {row['final_url']} ({row['body_bytes']} bytes)"
        if found is None or found.problem in (TORN, DAMAGED):
            self.damaged(f"{wanted}, found a damaged record")
            return None
        same = elsewhere or found.url in {row["final_url"], row["url"]}
        if not same or len(found.body) != row["body_bytes"]:
            self.other = self.other or f"{wanted}, found {found.url} ({len(found.body)} bytes)"
            self.damaged(self.other)
            return None
        self.good += 1
        return found.body

    def damaged(self, said: str) -> None:
        """Count a lost record; warn about the first."""
        self.lost += 1
        if self.lost == 1:
            log.warning("%s; it costs this page, which is dropped as extract.damaged", said)

    def sum_up(self) -> None:
        """Warn how many are lost, if more than the first.

        Raises:
            UserError: the file is not the one that was imported.
        """
        if self.other and not self.good:
            raise UserError(
                f"{self.other}; the file has changed since it was looked through: put the one of "
                "then back, or build from where the new one lies"
            )
        if self.lost > 1:
            log.warning("%s: %d records cannot be read", self.path, self.lost)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield rows one at a time, without creating all of them at once."""
    for batch in table.to_batches(ROWS):
        yield from batch.to_pylist()
