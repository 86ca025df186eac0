"""A directory of numbered files, each complete or absent, with a manifest written last."""

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

from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.directories.checked import MANIFEST, sha256
from webtext.pipeline.core.directories.json_files import read_object
from webtext.pipeline.core.errors import UserError

GO_ON = "run the same build again: it makes what is missing"
_writer = ""  # in the names of this process's partial files; see `write_as`
_heard: list[list[Path]] = []  # see `finished_files`
PARTIAL = ".partial"  # a file with this suffix is being written, or was when the process died


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; at the end it replaces `path`, which else is unchanged.

    Raises:
        OSError: the disk is full or not writable; the partial file has been removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + _writer + PARTIAL)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        for heard in _heard:
            heard.append(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)


@contextmanager
def finished_files() -> Iterator[list[Path]]:
    """Give a list to which each file is added that becomes whole in this process, in order."""
    found: list[Path] = []
    _heard.append(found)
    try:
        yield found
    finally:
        _heard[:] = [one for one in _heard if one is not found]


def write_as(name: str) -> None:
    """Give this process's partial files names of their own.

    A worker of another machine that is believed to be lost may still write while its item is done
    again: both files are whole and the same, but only if each is written under another name.
    """
    global _writer  # noqa: PLW0603 -- one name a process
    _writer = f".{name}"


def sync_directory(path: Path) -> None:
    """Sync a directory, so that its file names survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read and diff, completely or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of a complete directory.

    Raises:
        UserError: it is missing, damaged, or not what the manifest lists.
    """
    checked.confirm(path)
    home = checked.home_of(path)
    remedy = checked.advice(home) if home else "move it elsewhere and run the same command again"
    try:
        return read_object(path, remedy)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None


def write_parquet(
    path: Path,
    batches: Iterable[pa.RecordBatch | pa.Table],
    schema: pa.Schema,
    dictionary: bool | list[str] = True,
) -> int:
    """Write one Parquet file completely or not at all; return its number of rows.

    Each batch is a row group, so the same batches give the same bytes.
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
        path,
        schema,
        compression="zstd",
        write_statistics=True,
        use_dictionary=dictionary,
        write_page_checksum=True,
    )


def digest(*parts: Any) -> str:
    """Return a digest of these values, of eight hexadecimal digits.

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

    @property
    def about(self) -> Path:
        """The folder of all files but the shards of kept rows: of a corpus, one beside `path`."""
        return checked.about(self.path)

    def shard(self, number: int, suffix: str = "parquet", under: str = "") -> Path:
        """Return the path of shard `number`.

        >>> Directory(Path("links-1c0de5aa")).shard(7).name
        '00007.parquet'
        """
        home = self.about / under if under else self.path
        return home / f"{number:05d}.{suffix}"

    def numbers(self, under: str = "") -> list[int]:
        """Return the shards' numbers, in order: of a complete directory, those in its manifest.

        So reading a lost shard raises an error, and an added one is not read.
        """
        if listed := checked.listed(self.path):
            paths = [Path(name) for name in listed]
            names = [path.name for path in paths if str(path.parent) == (under or ".")]
        else:
            names = [
                entry.name
                for entry in (self.about / under if under else self.path).glob("*.parquet")
            ]
        return sorted(int(name[:5]) for name in names if re.fullmatch(r"\d{5}\.parquet", name))

    def shards(self, under: str = "") -> list[Path]:
        """Return the paths of the shards, in order."""
        return [self.shard(number, under=under) for number in self.numbers(under)]

    @property
    def manifest_path(self) -> Path:
        return self.about / MANIFEST

    @property
    def whole(self) -> bool:
        """Whether the stage that makes this directory has finished it."""
        return self.path.is_dir() and self.manifest_path.exists()

    def manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises:
            UserError: there is none, or it is not what was written.
        """
        try:
            return checked.manifest(self.path)
        except FileNotFoundError:
            raise UserError(f"{self.about}: no {MANIFEST}, so it is not whole; {GO_ON}") from None

    def fingerprint(self) -> str:
        """Return the sha256 of the manifest, which holds the sha256 of every file."""
        return sha256(self.manifest_path)

    def sweep(self) -> None:
        """Remove the partial files of a killed process."""
        for home in {self.path, self.about}:
            for partial in home.rglob("*" + PARTIAL):
                partial.unlink()

    def finish(self, manifest: dict[str, Any], mark: Path | None = None) -> None:
        """Write the manifest, with size and sha256 of every file; this completes the directory.

        `mark` says that the directory is begun. It goes when all files are read, which may take
        minutes: a directory that is neither begun nor complete is made anew.
        """
        self.sweep()
        names = {name for name in checked.there(self.path) if not mark or name != mark.name}
        found = checked.hashed(self.path, sorted(names))
        listed = {name: {"bytes": seen[1], "sha256": seen[0]} for name, seen in found.items()}
        if mark:
            mark.unlink()
        write_json(self.manifest_path, checked.sealed({**manifest, "files": listed}))
        checked.remember(self.path, found)


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a whole shard.

    Raises:
        UserError: it is missing or damaged; names the file.
    """
    with parquet(path) as file:
        found: pa.Table = file.read(columns)
    return found


def read_batches(
    path: Path, columns: list[str] | None = None, rows: int = 1024
) -> Iterator[pa.RecordBatch]:
    """Yield a shard's rows in order, at most `rows` at a time, in bounded memory.

    Raises:
        UserError: it is missing or damaged; names the file.
    """
    with parquet(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=columns)


@contextmanager
def parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard that was checked against its manifest; each page that is read is checked too.

    Raises:
        UserError: it is missing or damaged, even if only reading shows it; names the file.
    """
    checked.confirm(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except UserError:
        raise
    except FileNotFoundError:
        home = checked.home_of(path)
        what = checked.advice(home) if home else GO_ON
        raise UserError(f"{path}: no such shard; {what}") from None
    except (pa.ArrowException, OSError, ValueError) as error:  # after a flipped bit
        raise damaged(path, error) from error


def row_count(path: Path) -> int:
    """Return the number of rows of a shard, from its footer.

    Raises:
        UserError: it is missing or damaged; names the file.
    """
    with parquet(path) as file:
        return int(file.metadata.num_rows)


def damaged(path: Path, error: Exception) -> UserError:
    """Return an error that says that a shard cannot be read, and what to do."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    home = checked.home_of(path)
    what = checked.advice(home) if home else "move it elsewhere and run the same command again"
    return UserError(f"{path}: damaged ({reason}); {what}")
