"""Stored signatures as datasketch's own objects, for use with datasketch and other tools."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from webtext.pipeline.dedup.signatures.sign import SCHEME, permutations
from webtext.pipeline.dedup.signatures.signature_files import Signatures, column

if TYPE_CHECKING:
    from datasketch import LeanMinHash, MinHash


def sketches(
    paths: Sequence[Path], *, lean: bool = False
) -> "Iterator[tuple[str, MinHash | LeanMinHash]]":
    """Yield each document's id and its signature as a MinHash; or as a LeanMinHash, if `lean`.

    A MinHash can be updated with more shingles; a LeanMinHash cannot, and takes a fraction of the
    memory. `paths` are signature files, all made in the same way.

    Raises:
        UserError: a file is missing, damaged, not ours, or made with other settings than the rest.
    """
    from datasketch import LeanMinHash, MinHash  # a third of a second

    stored = Signatures(tuple(paths))
    if not stored.paths:
        return
    seed = stored.made["seed"]
    drawn = permutations(stored.permutations, seed)
    names = [column(number) for number in range(stored.permutations)]
    for _, table in stored.tables(["id", *names]):
        values = np.stack([table[name].to_numpy() for name in names], axis=1)
        for name, row in zip(table["id"].to_pylist(), values, strict=True):
            own = row.copy()  # a view would keep all other signatures in memory
            if lean:
                yield name, LeanMinHash(seed=seed, hashvalues=own, scheme=SCHEME)
            else:
                given = {"hashvalues": own, "permutations": drawn, "scheme": SCHEME}
                yield name, MinHash(len(names), seed, **given)
