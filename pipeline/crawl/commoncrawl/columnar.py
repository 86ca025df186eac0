"""The columnar index of a crawl: Parquet files sorted by key, read a row group at a time.

Of each file the footer is read; of the row groups whose keys lie around one of ours the column of
keys, and of those that have one the other columns.

Source: https://github.com/commoncrawl/cc-index-table, cc-index-schema-flat.json.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.commoncrawl.captures import REVISIT, Capture, page_of, status_of
from webtext.pipeline.crawl.commoncrawl.ranges import PIECE, Piece, Ranged, Store

KEY = "url_surtkey"
SUBSETS = ("subset=warc", "subset=crawldiagnostics")  # the second has redirects and errors
COLUMNS = (
    *("url", "fetch_time", "fetch_status", "content_digest"),
    *("warc_filename", "warc_record_offset", "warc_record_length"),
)
OPTIONAL = ("fetch_redirect", "content_mime_type", "content_mime_detected")  # since 2018 or so
MILLISECONDS = pa.timestamp("ms", tz="UTC")


def captures(store: Store, crawl: str, keys: Sequence[bytes]) -> Iterator[Capture]:
    """Yield all captures of one crawl that have one of the sorted `keys`, in the index's order.

    Raises:
        UserError: the crawl has no such index, or it is damaged.
    """
    for name in tables(store, crawl):
        try:
            with pq.ParquetFile(Ranged(store, name)) as file:
                for group in groups(file, keys):
                    yield from _rows(file, group, keys, crawl)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise UserError(f"{store.prefix}: {name}: no table of an index ({error})") from error


def tables(store: Store, crawl: str) -> list[str]:
    """Return the names of a crawl's Parquet files, from their published list or the folder.

    Raises:
        UserError: there are none.
    """
    listed = f"crawl-data/{crawl}/cc-index-table.paths.gz"
    (data,) = store.read([Piece(listed, 0, PIECE)])  # the list of a crawl has some kilobytes
    if data is not None:
        try:
            names = zlib.decompress(data, zlib.MAX_WBITS | 16).decode().split()
        except (zlib.error, UnicodeDecodeError) as error:
            raise UserError(f"{store.prefix}: {listed}: damaged ({error})") from error
    else:
        names = store.tables(f"cc-index/table/cc-main/warc/crawl={crawl}")
    found = [name for name in names if any(f"/{subset}/" in name for subset in SUBSETS)]
    if not found:
        raise UserError(
            f"commoncrawl.crawls: {store.prefix}: has no columnar index of {crawl}, wanted "
            f"{listed} or, in a folder, cc-index/table/cc-main/warc/crawl={crawl}/"
        )
    return found


def groups(file: pq.ParquetFile, keys: Sequence[bytes]) -> Iterator[int]:
    """Yield the row groups that may have one of the keys."""
    column = file.schema_arrow.names.index(KEY) if KEY in file.schema_arrow.names else -1
    if column < 0:
        raise KeyError(f"no column {KEY}")
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max:
            yield group
            continue
        first, last = (_bytes(value) for value in (known.min, known.max))
        place = bisect_left(keys, first)
        if place < len(keys) and keys[place] <= last:
            yield group


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _rows(file: pq.ParquetFile, group: int, keys: Sequence[bytes], crawl: str) -> Iterator[Capture]:
    found = file.read_row_group(group, [KEY])[KEY]
    places = [
        number
        for number, key in enumerate(found.cast(pa.binary()).to_pylist())
        if (at := bisect_left(keys, key)) < len(keys) and keys[at] == key
    ]
    if not places:
        return
    there = set(file.schema_arrow.names)
    table = file.read_row_group(group, [*COLUMNS, *filter(there.__contains__, OPTIONAL)])
    rows = table.take(places)
    times = pc.cast(rows["fetch_time"], MILLISECONDS, safe=False).cast(pa.int64()).to_pylist()
    for row, time in zip(rows.drop_columns(["fetch_time"]).to_pylist(), times, strict=True):
        yield from _capture(row, time, crawl)


def _capture(row: dict[str, Any], time: int, crawl: str) -> Iterator[Capture]:
    identity = page_of(row["url"])
    if identity is None or row.get("content_mime_type") == REVISIT:
        return
    yield Capture(
        identity,
        row["url"],
        time // 1000 * 1000,
        status_of(row["fetch_status"]),
        row.get("content_mime_detected") or row.get("content_mime_type"),
        row.get("fetch_redirect"),
        row["content_digest"],
        row["warc_filename"],
        row["warc_record_offset"],
        row["warc_record_length"],
        crawl,
    )
