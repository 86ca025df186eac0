"""Bands as tasks that share only a directory: candidate pairs, found anywhere, in any order.

The directory holds what all bands need of the documents, written once, and a file of candidate
pairs for each finished band. So a killed run continues with the missing bands, and several machines
that see the same files can each do a part of them.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, each
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.dedup.clusters.banding import Pairs, candidates, distinct
from webtext.pipeline.dedup.clusters.exact import Copies
from webtext.pipeline.dedup.signatures.signature_files import Signatures

PARALLEL_ROWS = 300_000  # below it, starting processes takes longer than doing the bands


def prepare(store: Path, copies: Copies) -> None:
    """Write what every band needs, unless it is there; it is the same every time."""
    for name, values in (("alive", copies.alive), ("tie", copies.tie)):  # the last one counts
        if not (store / f"{name}.npy").exists():
            _save(store / f"{name}.npy", values)


def prepared(store: Path) -> bool:
    """Whether bands can be done here."""
    return (store / "tie.npy").exists()


def find(
    bands: int,
    rows: int,
    signatures: Signatures,
    store: Path,
    workers: Workers,
    progress: Progress,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Do the bands that are not done yet; `part` (n, of) does the bands b with b % of == n."""
    mine = range(part[0], bands, part[1])
    todo = [band for band in mine if not pairs_path(store, band).exists()]
    before = len(mine) - len(todo)

    def show(done: int, total: int | None, note: str = "") -> None:  # noqa: ARG001 -- Progress
        progress(before + done, len(mine), "bands")

    work = partial(one_band, bands, rows, signatures.paths, store)
    few = signatures.rows < PARALLEL_ROWS and isinstance(workers, int)
    each(work, todo, 0 if few else workers or 1, show)


def one_band(bands: int, rows: int, paths: tuple[Path, ...], store: Path, band: int) -> None:
    """Find the candidate pairs of one band; it needs only the files."""
    alive, tie = _load(store / "alive.npy"), _load(store / "tie.npy")
    _save(pairs_path(store, band), candidates(Signatures(paths), alive, tie, band, bands, rows))


def merged(bands: int, store: Path) -> Pairs:
    """Return the candidate pairs of all bands, each once."""
    found = np.empty(0, np.uint64)
    for band in range(bands):
        found = distinct([found, _load(pairs_path(store, band))])
    return found


def pairs_path(store: Path, band: int) -> Path:
    """Return where the candidate pairs of a band lie."""
    return store / f"{band:05d}.npy"


def _save(path: Path, values: npt.NDArray[Any]) -> None:
    with replacing(path) as partial_path, partial_path.open("wb") as file:
        np.save(file, values)


def _load(path: Path) -> npt.NDArray[Any]:
    """Read an array.

    Raises:
        UserError: it is damaged; names it.
    """
    at_hand(path)
    try:
        found: npt.NDArray[Any] = np.load(path)
    except (ValueError, EOFError) as error:
        raise UserError(
            f"{path}: damaged ({error}); move {path.parent} elsewhere and run the same command "
            "again"
        ) from None
    return found
