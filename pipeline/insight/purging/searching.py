"""Look for URLs, texts and tokens in every file of a data directory, whatever it is packed in."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from webtext.pipeline.archive.gzip_members import members
from webtext.pipeline.crawl.frontier.recovery import TORN
from webtext.pipeline.insight.purging.needles import TOKENS, Needles
from webtext.pipeline.tokens.tokens import INDEX
from webtext.pipeline.urls.forgotten import Forgotten

PIECE: Final = 1 << 22  # bytes of a file at a time
ROWS: Final = 4096  # of a table at a time
NAMES: Final = ("url", "final_url")  # columns that say whose a row is
MISSING: Final = (OSError, pa.ArrowException, zlib.error, EOFError, zstandard.ZstdError)


Found = tuple[str, str | None]  # the kind and the page that stays, of a Hit


class Hit(NamedTuple):
    """A place where something was found."""

    path: Path
    kind: str  # "url", "text" or "tokens"
    kept: str | None  # the page whose own words these are as well, which stays; None: what is left


def search(data: Path, needles: Needles, forgotten: Forgotten, skip: Path) -> Iterator[Hit]:
    """Yield what is found below a folder, once for each file, kind and page that stays.

    What others' pages say themselves (their text, their answer as it was archived) is told with
    their URL: a page that stays may have a link to a page that goes, or the same words.
    """
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.is_symlink() and skip not in path.parents:
            found = of_file(path, needles, forgotten)
            yield from dict.fromkeys(Hit(path, *one) for one in found)


def of_file(path: Path, needles: Needles, forgotten: Forgotten) -> Iterator[Found]:
    """Yield what is found in one file, whatever it is packed in."""
    name = path.name.removesuffix(".partial")
    if name.endswith(".warc.gz") or path.parent.name == TORN:
        yield from _of_warc(path, needles, forgotten)
    elif name.endswith((".parquet", ".arrow")):
        yield from _of_table(path, needles, forgotten)
    elif name.endswith(".bin") and (path.parent / INDEX).exists():
        whose = "documents that stay" if _innocent(path.parent, forgotten) else None
        yield from ((kind, whose if kind == TOKENS else None) for kind in _of_bytes(path, needles))
    else:
        yield from ((kind, None) for kind in _of_bytes(path, needles))


def _innocent(home: Path, forgotten: Forgotten) -> bool:
    """Whether no document of a directory of tokens is forgotten."""
    urls = pq.read_table(home / INDEX, columns=["url"])["url"]
    return not any(forgotten(url) for url in urls.to_pylist())


def _of_warc(path: Path, needles: Needles, forgotten: Forgotten) -> Iterator[Found]:
    for member in members(path):
        if member.content is None:
            with path.open("rb") as file:
                file.seek(member.start)
                data = inflated(file.read(member.end - member.start))
            yield from ((kind, None) for kind, _ in needles.within(data))
            continue
        found = list(needles.within(member.content))
        if found:
            target = member.header("warc-target-uri")
            said = member.header("warc-type") in ("response", "revisit") and not forgotten(target)
            yield from ((kind, target if said else None) for kind, _ in found)


def inflated(data: bytes) -> bytes:
    """Return as much of damaged gzip data as can be read, and the data itself."""
    reader = zlib.decompressobj(31)
    pieces = [data]
    with suppress(zlib.error):
        pieces += [reader.decompress(data[at : at + 1024]) for at in range(0, len(data), 1024)]
    return b"".join(pieces)


def _of_table(path: Path, needles: Needles, forgotten: Forgotten) -> Iterator[Found]:
    try:
        for batch in batches(path):
            for column in batch.columns:
                for leaf in leaves(column):
                    data, ends = told(leaf)
                    for kind, place in needles.within(data):
                        row = int(ends.searchsorted(place, side="right"))
                        yield kind, of_others(batch, row if leaf is column else None, forgotten)
    except MISSING:  # a torn or partial file
        yield from ((kind, None) for kind in _of_bytes(path, needles))


def of_others(batch: pa.RecordBatch, row: int | None, forgotten: Forgotten) -> str | None:
    """Return the page that stays whose row this is, None if it may be what is forgotten.

    Of a nested column it is not known which row it is: then all must be of pages that stay.
    """
    columns = [batch[name] for name in NAMES if name in batch.schema.names]
    rows = range(batch.num_rows) if row is None else [row]
    urls = [column[at].as_py() for at in rows for column in columns]
    named = [url for url in urls if url]
    if not named or forgotten(*named):
        return None
    return str(named[0]) if row is not None else "a page that stays"


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table in a Parquet or an Arrow file."""
    if ".arrow" in path.suffixes:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        return
    with pq.ParquetFile(path) as table:
        yield from table.iter_batches(ROWS)


def leaves(column: pa.Array) -> Iterator[pa.Array]:
    """Yield the columns of texts and bytes in a column, nested ones too."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from leaves(column.dictionary)
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from leaves(part)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from leaves(column.flatten())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        yield column


def told(column: pa.Array) -> tuple[bytes, Any]:
    """Return the bytes of all values, one after another with a 0 between, and where each ends."""
    values = [value or b"" for value in column.cast(pa.binary()).to_pylist()]
    return b"\0".join(values), np.cumsum([len(value) + 1 for value in values])


def _of_bytes(path: Path, needles: Needles) -> Iterator[str]:
    before = b""
    for piece in pieces(path):
        data = before + piece
        for kind, _ in needles.within(data):
            yield kind
        before = data[-needles.longest :]


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, decompressed if they are; of a damaged one as they are."""
    try:
        with opened(path) as file:
            while data := file.read(PIECE):
                yield data
    except FileNotFoundError:  # it went meanwhile
        return
    except MISSING:
        with path.open("rb") as file:
            while data := file.read(PIECE):
                yield data


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading what is in it."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:3] == b"\x1f\x8b\x08":
        return cast("IO[bytes]", gzip.GzipFile(path))
    if start == b"\x28\xb5\x2f\xfd":
        large = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        return cast("IO[bytes]", zstandard.open(path, "rb", dctx=large))
    return path.open("rb")


def left(hits: list[Hit], data: Path) -> list[str]:
    """Return the files in which something is left, with what it is."""
    found: dict[str, list[str]] = {}
    for hit in hits:
        if hit.kept is None:
            found.setdefault(str(hit.path.relative_to(data)), []).append(hit.kind)
    return [f"{path}: {', '.join(dict.fromkeys(kinds))}" for path, kinds in found.items()]
