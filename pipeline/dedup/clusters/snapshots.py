"""Earlier snapshots, with which a new one is compared without reading their texts again.

Only two directories of a snapshot are needed: its signatures, and its duplicates, which say what
was kept. A snapshot that is no longer named is forgotten: documents that were duplicates only of
that snapshot are kept again by the next deduplication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.data_directory import newest_of
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.dedup.signatures.signature_files import Signatures


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was deduplicated: leave it out of the next call, and it is forgotten."""

    signatures: Directory
    duplicates: Directory
    name: str = ""  # as the rows of DUPLICATE call it

    def __str__(self) -> str:
        return self.name or self.signatures.name


def named_snapshots(against: Sequence[str], data: Path) -> list[Snapshot]:
    """Return the snapshots in these data directories, in the order of their names.

    `data` is the data directory of the build that asks.

    Raises:
        UserError: one was not deduplicated, is this very directory, or has another one's name.
    """
    found: dict[str, Snapshot] = {}
    for given in against:
        path = Path(given).expanduser()
        where = f"duplicates.against: {given}"
        if path.resolve() == data.resolve():
            raise UserError(f"{where} is the data directory of this build; name earlier ones")
        name = path.resolve().name
        if name in found:
            raise UserError(f"{where}: another snapshot is called {name} too; rename one directory")
        try:
            found[name] = Snapshot(
                newest_of(path, "signatures"), newest_of(path, "duplicates"), name
            )
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True)
class Compared:
    """All the signatures that are compared, those of earlier snapshots first."""

    signatures: Signatures
    earlier: int  # rows of earlier snapshots
    ignored: npt.NDArray[np.bool_]  # of all rows: those that an earlier snapshot has dropped
    starts: npt.NDArray[np.int64]  # each earlier snapshot's first row
    snapshots: tuple[str, ...]  # their names

    def names(self, rows: npt.NDArray[np.int64]) -> pa.StringArray:
        """Return the earlier snapshot that each row is in, null for this one."""
        which = np.searchsorted(self.starts, rows, "right") - 1
        here = rows >= self.earlier
        return pa.array(self.snapshots, pa.string()).take(pa.array(which, mask=here))


def compared(new: Signatures, earlier: Sequence[Snapshot]) -> Compared:
    """Put the signatures together.

    Raises:
        UserError: a snapshot was signed in another way, or is missing or damaged.
    """
    paths: list[Path] = []
    ignored, starts, total = [], [], 0
    for snapshot in earlier:
        signatures = Signatures(tuple(snapshot.signatures.shards()))
        table = read_shard(snapshot.duplicates.shard(0), ["id", "reason"])
        gone = table.filter(pc.is_valid(table["reason"]))["id"]
        ids = signatures.read("id")
        dropped = pc.is_in(ids, value_set=gone.combine_chunks().cast(pa.string()))
        paths += signatures.paths
        ignored.append(dropped.to_numpy())
        starts.append(total)
        total += signatures.rows
    whole = Signatures((*paths, *new.paths))
    ignored.append(np.zeros(new.rows, np.bool_))
    named = tuple(map(str, earlier))
    return Compared(whole, total, np.concatenate(ignored), np.array(starts, np.int64), named)
