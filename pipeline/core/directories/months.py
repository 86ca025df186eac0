"""The snapshots of a data directory: which directories made the corpus of each month.

A build that has made a corpus is the snapshot of its month, named after it ("2026-11"); the last
one of a month stands for it. The names are in `snapshots.json`. Directories of a named snapshot are
needed (`webtext gc` does not list them), and nothing forgets a name by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from webtext.pipeline.core.directories.data_directory import step_of
from webtext.pipeline.core.directories.json_files import read_object
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, write_json

SNAPSHOTS = "snapshots.json"
CORPUS = "corpus"  # the step whose directory makes a build a snapshot
REMEDY = "move it elsewhere: then no earlier month has a name, and gc lists their directories"


@dataclass(frozen=True)
class Retention:
    """How many snapshots `webtext gc RECIPE` leaves their directories.

    Raises:
        UserError: fewer than one.
    """

    keep: int | None = None  # the newest so many; none: all

    name: ClassVar[str] = "snapshots"

    def __post_init__(self) -> None:
        if self.keep is not None and self.keep < 1:
            raise UserError(
                f"snapshots.keep = {self.keep}: too few; use 1 or more, or leave it out"
            )


class Snapshot(msgspec.Struct, frozen=True):
    """A named snapshot."""

    name: str  # of its month, as 2026-11
    made: str  # when, ISO 8601
    directories: dict[str, str]  # names, by step


def snapshots(data: Path) -> list[Snapshot]:
    """Return the snapshots of a data directory, the oldest first.

    Raises:
        UserError: their file is damaged.
    """
    path = data / SNAPSHOTS
    try:
        found = read_object(path, REMEDY, dict[str, Any])
        known = [msgspec.convert({"name": key} | about, Snapshot) for key, about in found.items()]
    except FileNotFoundError:
        return []
    except (msgspec.ValidationError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); {REMEDY}") from None
    if any("/" in name for one in known for name in one.directories.values()):
        raise UserError(f"{path}: damaged, holds other things than names; {REMEDY}")
    return sorted(known, key=lambda one: one.made)


def note_snapshot(
    data: Path, directories: Iterable[Directory], now: datetime | None = None
) -> Snapshot | None:
    """Name the complete directories of a build after the month, if there is a corpus among them.

    The snapshot that it had, if it has the same directories, is left as it is. Returns what was
    named now, None if that is nothing new.

    Raises:
        UserError: the file of the names is damaged.
    """
    here = [each for each in directories if each.whole and each.path.parent.samefile(data)]
    names = {step_of(each): each.name for each in here}
    if CORPUS not in names:
        return None
    when = now or datetime.now(UTC)
    one = Snapshot(f"{when:%Y-%m}", when.isoformat(timespec="seconds"), names)
    known = {each.name: each for each in snapshots(data)}
    if one.name in known and known[one.name].directories == names:
        return None
    write(data, {**known, one.name: one}.values())
    return one


def write(data: Path, known: Iterable[Snapshot]) -> None:
    """Write down these snapshots, and no others."""
    ordered = sorted(known, key=lambda one: one.made)
    told = {one.name: {"made": one.made, "directories": one.directories} for one in ordered}
    write_json(data / SNAPSHOTS, told)


def directories_of(data: Path, name: str) -> dict[str, Directory]:
    """Return the complete directories of a snapshot, by the names of their steps.

    Raises:
        UserError: no snapshot has this name; lists those that there are.
    """
    known = {one.name: one for one in snapshots(data)}
    if name not in known:
        there = ", ".join(known) or "none"
        raise UserError(f"{data}: no snapshot {name}; there are: {there}")
    found = {step: Directory(data / home) for step, home in known[name].directories.items()}
    return {step: directory for step, directory in found.items() if directory.whole}


def retained(data: Path, keep: int | None) -> tuple[list[Snapshot], list[Snapshot]]:
    """Return the newest `keep` snapshots (None: all), and those that are older.

    Raises:
        UserError: the file of the names is damaged.
    """
    known = snapshots(data)
    split = 0 if keep is None else max(len(known) - keep, 0)
    return known[split:], known[:split]
