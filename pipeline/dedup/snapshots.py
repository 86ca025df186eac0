"""Earlier snapshots: what a new one is compared with, without reading their texts again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.signatures import Signatures
from pipeline.shards import Directory, read_shard


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was deduplicated: leave it out of the next call, and it is forgotten."""

    signatures: Directory
    duplicates: Directory

    def __str__(self) -> str:
        return self.signatures.name


@dataclass(frozen=True)
class Compared:
    """All the signatures that are compared, those of earlier snapshots first."""

    signatures: Signatures
    earlier: int  # rows of earlier snapshots
    ignored: npt.NDArray[np.bool_]  # of all rows: those that an earlier snapshot has dropped


def compared(new: Signatures, earlier: Sequence[Snapshot]) -> Compared:
    """Put the signatures together.

    Raises:
        UserError: a snapshot was signed in another way, or is missing or damaged.
    """
    together = list(new.paths)
    ignored = [np.zeros(new.rows, np.bool_)]
    for snapshot in reversed(earlier):
        signatures = Signatures(tuple(snapshot.signatures.shards()))
        table = read_shard(snapshot.duplicates.shard(0), ["id", "keeper"])
        gone = table.filter(pc.not_equal(table["id"], table["keeper"]))["id"]
        ids = signatures.read("id")
        dropped = pc.is_in(ids, value_set=gone.combine_chunks().cast(pa.string()))
        together[:0] = signatures.paths
        ignored.insert(0, dropped.to_numpy())
    whole = Signatures(tuple(together))
    return Compared(whole, whole.rows - new.rows, np.concatenate(ignored))
