"""Signature files: one row per document, one column per permutation, and the settings used.

One column per permutation, so that a band of any width is read without the rest: clustering never
has more than a few columns in memory. Hashes do not compress, so those columns are not compressed.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import parquet, replacing

# The algorithm's name: the default of `datasketch.MinHash` (2.0) for shingles in UTF-8.
ALGORITHM = "datasketch affine32, sha1_hash32"
VERSION = 2  # of the folding and of this format
METADATA = b"webtext.signatures"
GROUP_BYTES = 28 << 20  # of permutations in a row group: 65,536 documents of 112
EXACT_BYTES = 16
ABOUT_BYTES = 50  # of a document's other columns, compressed
MEMORY_BYTES = 225  # of each document while clustering. Source: LOG.md, 1.8 GB for 8 million

ABOUT = [
    pa.field("id", pa.string()),
    pa.field("exact", pa.binary(EXACT_BYTES)),  # BLAKE2b of the folded text; null if it is empty
    pa.field("shingles", pa.int64()),  # with repetitions; 0: no words, never a duplicate
    pa.field("bytes", pa.int64()),  # of the text in UTF-8; this and the next two pick the keeper
    pa.field("score", pa.int32()),
    pa.field("linked", pa.timestamp("ms", tz="UTC")),
    pa.field("page", pa.uint64()),  # hash of the final URL's key; null if there is no URL
]


def column(permutation: int) -> str:
    """Return the name of a permutation's column.

    >>> column(7)
    'm0007'
    """
    return f"m{permutation:04d}"


def room(permutations: int, documents: int | None = None) -> str:
    """Return how much disk space signatures need, and how much memory their clustering needs.

    >>> room(112, 8_000_000)
    'signatures: 112 permutations, 4.0 GB on disk for 8,000,000 documents, 1.8 GB to cluster them'
    """
    count = 1_000_000 if documents is None else documents
    disk, memory = count * (4 * permutations + ABOUT_BYTES) / 1e9, count * MEMORY_BYTES / 1e9
    return (
        f"signatures: {permutations:,} permutations, {disk:.1f} GB on disk for {count:,} documents,"
        f" {memory:.1f} GB to cluster them"
    )


def signature_schema(ngram: int, permutations: int, seed: int) -> pa.Schema:
    """Return the schema of a signature file, with its settings in the metadata."""
    made = {
        "algorithm": ALGORITHM,
        "version": VERSION,
        "unicode": unicodedata.unidata_version,
        "ngram": ngram,
        "permutations": permutations,
        "seed": seed,
    }
    minima = [pa.field(column(k), pa.uint32()) for k in range(permutations)]
    return pa.schema([*ABOUT, *minima], metadata={METADATA: json.dumps(made).encode()})


def write_signatures(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write one signature file completely or not at all; return its number of rows."""
    rows = 0
    plain = {field.name: "NONE" for field in schema}
    with (
        replacing(path) as partial,
        pq.ParquetWriter(
            partial,
            schema,
            compression=plain
            | {"id": "ZSTD", "bytes": "ZSTD", "score": "ZSTD", "linked": "ZSTD", "page": "ZSTD"},
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
    ):
        group = max(1, GROUP_BYTES // (4 * max(1, len(schema) - len(ABOUT))))  # rows
        for table in _groups(batches, schema, group):
            writer.write_table(table, row_group_size=group)
            rows += table.num_rows
    return rows


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, group: int) -> Iterator[pa.Table]:
    """Collect batches to full row groups, whatever the sizes of the batches."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= group:
            table = pa.Table.from_batches(waiting, schema).combine_chunks()
            whole = rows - rows % group
            yield table.slice(0, whole)
            waiting = table.slice(whole).to_batches()
            rows -= whole
    if rows:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


@dataclass(frozen=True)
class Signatures:
    """Signature files as one long table, read a few columns at a time.

    Raises:
        UserError: a file is missing, damaged, not ours, or made with other settings than the rest.
    """

    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        for path, found in zip(self.paths, self._made, strict=True):
            if found != self._made[0]:
                differ = {k for k in {**found, **self._made[0]} if found.get(k) != self.made.get(k)}
                raise UserError(
                    f"{path}: signatures of another kind: "
                    + ", ".join(f"{k} is {found.get(k)}" for k in sorted(differ))
                    + f" and not {', '.join(str(self.made.get(k)) for k in sorted(differ))} as in "
                    f"{self.paths[0]}; sign both with the same settings and the same version"
                )

    @cached_property
    def _footers(self) -> list[pq.FileMetaData]:
        return [_footer(path) for path in self.paths]

    @cached_property
    def _made(self) -> list[dict[str, Any]]:
        return [_made(path, foot) for path, foot in zip(self.paths, self._footers, strict=True)]

    @property
    def made(self) -> dict[str, Any]:
        """The settings of the signatures; empty if there are none."""
        return self._made[0] if self._made else {}

    @property
    def permutations(self) -> int:
        return int(self.made.get("permutations", 0))

    @property
    def rows(self) -> int:
        return sum(footer.num_rows for footer in self._footers)

    def tables(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows) for every row group of every file."""
        start = 0
        for path, footer in zip(self.paths, self._footers, strict=True):
            with parquet(path) as file:
                for group in range(footer.num_row_groups):
                    table = file.read_row_group(group, columns=list(columns))
                    yield start, table
                    start += table.num_rows

    def read(self, name: str) -> pa.ChunkedArray:
        """Return one of the columns of ABOUT, of all documents."""
        parts = [table[name].combine_chunks() for _, table in self.tables([name])]
        field = next(field for field in ABOUT if field.name == name)
        return pa.chunked_array(parts, field.type)

    def minima(self, first: int, count: int) -> npt.NDArray[np.uint32]:
        """Return `count` permutations of all documents, as [permutation, document]."""
        names = [column(first + k) for k in range(count)]
        out = np.empty((count, self.rows), np.uint32)
        for start, table in self.tables(names):
            for k, name in enumerate(names):
                out[k, start : start + table.num_rows] = table[name].to_numpy()
        return out


def _footer(path: Path) -> pq.FileMetaData:
    with parquet(path) as file:
        return file.metadata


def _made(path: Path, footer: pq.FileMetaData) -> dict[str, Any]:
    """Read the settings that a file was made with.

    Raises:
        UserError: it has none, or some that this version cannot read.
    """
    try:
        found = cast("dict[str, Any]", json.loads((footer.metadata or {})[METADATA]))
    except (KeyError, ValueError):
        raise UserError(f"{path}: not a signature file; wanted one that `sign` made") from None
    if found.get("algorithm") != ALGORITHM or found.get("version") != VERSION:
        raise UserError(
            f"{path}: signatures by {found.get('algorithm')!r} version {found.get('version')}; "
            f"wanted {ALGORITHM!r} version {VERSION}; sign those documents again"
        )
    return found
