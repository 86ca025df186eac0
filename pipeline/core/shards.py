"""A directory of numbered files that are whole or not there, under a manifest written last."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.json_files import Manifest, read_object

MANIFEST_REMEDY = "move it away and build again; what the stage made is made anew"
PARTIAL = ".partial"  # a file under this suffix is being written, or was when the process died


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; `path` gets the whole of it, or stays as it was.

    Raises:
        OSError: the disk is full or not writable; the partial file is gone by then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read and diff, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False) + "\n")


def write_parquet(
    path: Path,
    batches: Iterable[pa.RecordBatch | pa.Table],
    schema: pa.Schema,
    dictionary: bool | list[str] = True,
) -> int:
    """Write one Parquet file, whole or not at all; return its number of rows.

    Row groups are cut where the batches are, so the same batches give the same bytes.
    `dictionary` names the columns that get a dictionary of their values; by default all do.
    """
    rows = 0
    with replacing(path) as partial, parquet_writer(partial, schema, dictionary) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write(batch)
                rows += batch.num_rows
    return rows


def parquet_writer(
    path: Path, schema: pa.Schema, dictionary: bool | list[str] = True
) -> pq.ParquetWriter:
    """Open a Parquet writer with the settings that all our files share."""
    return pq.ParquetWriter(
        path, schema, compression="zstd", write_statistics=True, use_dictionary=dictionary
    )


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*parts: Any) -> str:
    """Return eight hexadecimal digits that stand for these values.

    >>> digest("links", {"min_score": 3}) == digest("links", {"min_score": 3})
    True
    """
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Directory:
    """One stage's output: numbered shards, and a manifest once all of it is there."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    def shard(self, number: int, suffix: str = "parquet", under: str = "") -> Path:
        """Return where shard `number` lies.

        >>> Directory(Path("links-1c0de5aa")).shard(7).name
        '00007.parquet'
        """
        return self.path / under / f"{number:05d}.{suffix}"

    def numbers(self, under: str = "") -> list[int]:
        """Return the numbers of the shards that are there, in order."""
        names = (entry.name for entry in (self.path / under).glob("*.parquet"))
        return sorted(int(name[:5]) for name in names if re.fullmatch(r"\d{5}\.parquet", name))

    def shards(self, under: str = "") -> list[Path]:
        """Return the paths of the shards that are there, in order."""
        return [self.shard(number, under=under) for number in self.numbers(under)]

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def whole(self) -> bool:
        """Whether the stage that makes this directory has finished it."""
        return self.manifest_path.exists()

    def manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises:
            UserError: there is none, or it is not one.
        """
        try:
            return read_object(self.manifest_path, MANIFEST_REMEDY, Manifest)
        except FileNotFoundError:
            raise UserError(f"{self.path}: no manifest.json; run the stage that makes it") from None

    def fingerprint(self) -> str:
        """Return the sha256 of the manifest, which itself holds the sha256 of every file."""
        return sha256(self.manifest_path)

    def sweep(self) -> None:
        """Remove what a killed process left half written."""
        for partial in self.path.rglob("*" + PARTIAL):
            partial.unlink()

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, with the size and sha256 of every file, and so make it whole."""
        self.sweep()
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        listed = {
            str(path.relative_to(self.path)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in files
            if path != self.manifest_path
        }
        write_json(self.manifest_path, {**manifest, "files": listed})


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a whole shard.

    Raises:
        UserError: it is missing or damaged; names the file.
    """
    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except FileNotFoundError:
        raise UserError(f"{path}: no such shard; run the stage that makes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


def read_batches(
    path: Path, columns: list[str] | None = None, rows: int = 1024
) -> Iterator[pa.RecordBatch]:
    """Yield a shard's rows in order, at most `rows` at a time, in bounded memory.

    Raises:
        UserError: it is missing or damaged; names the file.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows, columns=columns)
    except FileNotFoundError:
        raise UserError(f"{path}: no such shard; run the stage that makes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> UserError:
    """Say that a shard cannot be read, and what to do."""
    reason = str(error).splitlines()[0]
    return UserError(
        f"{path}: damaged ({reason}); delete {path.parent} and build again, only it is remade"
    )
