"""Which documents are dropped as duplicates and which are kept instead, as arrays on disk.

Workers map them into memory and share it: 21 bytes per dropped document for all workers together.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.shards import Directory, read_batches, replacing

Ids = npt.NDArray[np.uint64]

REASONS = {  # all reasons for which a document is dropped for another one
    "dedup.url": "a redirect led to the page of the document kept in its stead; value: Jaccard",
    "dedup.exact": "its normalised text equals that of the document kept in its stead",
    "dedup.near": "it is much like the document kept in its stead; value: Jaccard",
}


def numbers_of(ids: pa.Array) -> Ids:
    """Return ids as 64-bit numbers, from their hexadecimal digits, in the same order.

    >>> numbers_of(pa.array(["00000000000000ff"]))
    array([255], dtype=uint64)
    """
    return np.array([int(digits, 16) for digits in ids.to_pylist()], np.uint64)


@dataclass(frozen=True)
class Verdicts:
    """Which documents are dropped and which are kept instead; arrays sorted by id, on disk."""

    ids: Ids  # of the dropped documents
    keepers: Ids  # of those, in the same order
    jaccard: npt.NDArray[np.float32]
    reason: npt.NDArray[np.int8]  # its number in REASONS

    def of(self, ids: Ids) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Return which of these documents are dropped, and their indices in these arrays."""
        if not len(self.ids):
            return np.zeros(len(ids), np.bool_), np.empty(0, np.int64)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        gone = self.ids[places] == ids
        return gone, places[gone]

    def copies(self, ids: Ids, keepers: Ids) -> npt.NDArray[np.int64]:
        """Return how many documents are dropped for each of these; `keepers` is sorted."""
        left = np.searchsorted(keepers, ids, "left")
        return np.searchsorted(keepers, ids, "right") - left


def gather(duplicates: Directory, folder: Path) -> None:
    """Write the verdicts of all duplicates as arrays that workers map into memory."""
    batches = [
        batch.filter(pc.is_valid(batch["reason"]))
        for path in duplicates.shards()
        for batch in read_batches(path, ["id", "keeper", "jaccard", "reason"], rows=1 << 16)
    ]
    ids = joined([numbers_of(batch["id"]) for batch in batches], np.uint64)
    order = np.argsort(ids, kind="stable")
    keepers = joined([numbers_of(batch["keeper"]) for batch in batches], np.uint64)
    jaccard = joined([batch["jaccard"].to_numpy(False) for batch in batches], np.float32)
    names = pa.array(REASONS, pa.string())
    reason = joined([pc.index_in(batch["reason"], names).to_numpy() for batch in batches], np.int8)
    save(folder / "ids.npy", ids[order])
    save(folder / "keepers.npy", keepers[order])
    save(folder / "jaccard.npy", jaccard[order])
    save(folder / "reason.npy", reason[order])
    save(folder / "copies.npy", np.sort(keepers))  # last: if it exists, so do the others


def joined(arrays: list[npt.NDArray[Any]], kind: type) -> npt.NDArray[Any]:
    """Concatenate arrays; there may be none."""
    return np.concatenate([np.empty(0, kind), *arrays]).astype(kind, copy=False)


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array completely or not at all."""
    with replacing(path) as partial_path, partial_path.open("wb") as file:
        np.save(file, array)


def load(path: Path) -> npt.NDArray[Any]:
    """Map an array into memory."""
    at_hand(path)
    found: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    return found


def verdicts(folder: Path) -> Verdicts:
    """Return the verdicts that `gather` wrote."""
    return Verdicts(
        *(load(folder / f"{name}.npy") for name in ("ids", "keepers", "jaccard", "reason"))
    )
