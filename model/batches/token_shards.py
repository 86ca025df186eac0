"""The files of a tokens directory: which of them are shards, and whether they have changed.

A run depends on every token of its shards, so each start compares their sha256 with those in the
manifest and with those of the previous start. Reading all of 20 GB takes half a minute or more, so
each sha256 is stored with the file's size, time and inode; a file for which these are unchanged is
not read again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from webtext.model.errors import UserError
from webtext.model.files import write_json

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Seen:
    """A file as it was when it was read: its sha256, and the values that show a later change."""

    sha256: str
    bytes: int
    mtime_ns: int
    inode: int

    def still(self, path: Path) -> bool:
        """Whether size, time and inode say that the file at `path` is unchanged."""
        found = path.stat()
        return (self.bytes, self.mtime_ns, self.inode) == (
            found.st_size, found.st_mtime_ns, found.st_ino
        )  # fmt: skip


def look(folder: Path, before: Mapping[str, Seen] | None = None) -> dict[str, Seen]:
    """Return the records of the shards of all splits; files unchanged since `before` are not read.

    Raises:
        UserError: a shard has another sha256 than the manifest says.
    """
    known = before or {}
    paths = [folder / name for split in SPLITS for name in names(folder, split)]
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        found = dict(
            zip(
                (p.name for p in paths),
                pool.map(_seen, paths, map(known.get, (p.name for p in paths))),
                strict=True,
            )
        )
    listed = manifest(folder) or {}
    for name, seen in found.items():
        wanted = listed.get(name, {}).get("sha256", seen.sha256)
        if wanted != seen.sha256:
            raise UserError(
                f"{folder / name}: not the shard that manifest.json lists: its sha256 is "
                f"{seen.sha256[:8]}…, wanted {wanted[:8]}…; it was changed or swapped: put the "
                "right one back, or make the tokens again"
            )
    return found


def _seen(path: Path, before: Seen | None) -> Seen:
    if before is not None and before.still(path):
        return before
    found = path.stat()  # before reading, so that a write during it is noticed at the next start
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Seen(digest, found.st_size, found.st_mtime_ns, found.st_ino)


def remembered(path: Path) -> dict[str, Seen] | None:
    """Return the records that a run has of its shards; None if they are missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: Seen(**seen) for name, seen in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def remember(path: Path, found: Mapping[str, Seen]) -> None:
    """Write the records of a run's shards."""
    write_json(path, {name: asdict(seen) for name, seen in found.items()})


def differences(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> list[str]:
    """Return the changes since `before`, one line for each changed shard.

    >>> a, b = Seen("aaaaaaaaaa", 1, 1, 1), Seen("bbbbbbbbbb", 1, 1, 1)
    >>> differences({"val-0.bin": a}, {"train-1.bin": a})
    ['val-0.bin is gone', 'train-1.bin is new']
    >>> differences({"val-0.bin": a}, {"val-0.bin": b})
    ['val-0.bin is another (its sha256 was aaaaaaaa…, is bbbbbbbb…)']
    """
    lines = []
    for name, seen in before.items():
        if name not in now:
            lines.append(f"{name} is gone")
        elif now[name].sha256 != seen.sha256:
            lines.append(
                f"{name} is another (its sha256 was {seen.sha256[:8]}…, is {now[name].sha256[:8]}…)"
            )
    return lines + [f"{name} is new" for name in now if name not in before]


def fingerprint(folder: Path, found: Mapping[str, Seen] | None = None) -> str:
    """Return a sha256 that identifies all tokens of a directory.

    It is that of the manifest, which contains those of the files; without a manifest, it is made
    from those of all *.bin files, taken from `found` if they are there.
    """
    path = folder / "manifest.json"
    if path.exists():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    known = found or {}
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.bin")):
        seen = known.get(path.name) or _seen(path, None)
        whole.update(f"{path.name} {seen.sha256}\n".encode())
    return whole.hexdigest()


def names(folder: Path, split: str) -> list[str]:
    """Return the names of a split's shards, in order.

    If a manifest lists the files of the directory, others are ignored. A name belongs to at most
    one split: "train-00000.bin" as a build writes it, "fineweb_train_000001.bin" or
    "tiny_train.bin" as llm.c's scripts do; "retrieval_train.bin" is not val.

    Raises:
        UserError: a shard of the manifest is missing.
    """
    listed = manifest(folder)
    there = [path.name for path in folder.glob("*.bin")] if listed is None else listed
    found = sorted(name for name in there if split_of(name) == split)
    for name in found:
        if not (folder / name).exists():
            raise UserError(
                f"{folder / name}: no such file, though manifest.json lists it; put it back, or "
                "make the tokens again"
            )
    return found


def split_of(name: str) -> str | None:
    """Return the split to which a file of this name belongs, if any.

    >>> [split_of(name) for name in ("val-00000.bin", "edu_train_000001.bin", "retrieval.bin")]
    ['val', 'train', None]
    """
    found = re.fullmatch(r"(?:.*[_-])?(train|val)(?:[_-]\d+)?\.bin", name)
    return found[1] if found else None


def manifest(folder: Path) -> dict[str, Any] | None:
    """Return what the manifest of a directory says about each file; None without a manifest.

    Raises:
        UserError: it is not JSON.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return None
    try:
        listed = json.loads(path.read_text(encoding="utf-8")).get("files")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: no manifest ({error}); make the tokens again") from None
    return listed if isinstance(listed, dict) else None
