"""Documents of one page: different links whose redirects ended at the same URL.

The key of the final URL is compared, as for links. rel=canonical is not used: sites name their
front page there, or one article for all its parts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.dedup.clusters.banding import repeated
from webtext.pipeline.dedup.signatures.signature_files import Signatures
from webtext.pipeline.urls import urls

Rows = npt.NDArray[np.int64]


def page_keys(ids: pa.StringArray, linked: pa.StringArray, final: pa.StringArray) -> pa.UInt64Array:
    """Return the hash of each final URL's key, null where there is no URL.

    A document that was not redirected has it in its id already.
    """
    same = pc.fill_null(pc.equal(linked, final), False).to_pylist()
    keys = [
        None if url is None else _key(identity if unmoved else None, url)
        for identity, url, unmoved in zip(ids.to_pylist(), final.to_pylist(), same, strict=True)
    ]
    return pa.array(keys, pa.uint64())


def _key(identity: str | None, url: str) -> int | None:
    try:
        return int(identity or urls.url_id(url), 16)
    except ValueError:  # no URL after all
        return None


@dataclass(frozen=True)
class Repeats:
    """Rows that are dropped because another row is of the same page, and which that is."""

    gone: Rows  # sorted
    kept: Rows  # in the same order


def page_groups(
    signatures: Signatures, ignored: npt.NDArray[np.bool_]
) -> tuple[Rows, npt.NDArray[np.uint64]]:
    """Return the rows whose page another row is of too, by page, and those pages."""
    column = signatures.read("page")
    known = column.is_valid().to_numpy() & ~ignored
    pages = column.fill_null(0).to_numpy()
    rows = repeated(pages, known)
    values = pages[rows]
    if not len(rows):
        return rows, values
    first = np.concatenate(([True], values[1:] != values[:-1]))
    size = np.diff(np.append(np.flatnonzero(first), len(rows)))
    many = np.repeat(size, size) > 1  # `repeated` may mark a few too many
    return rows[many], values[many]


def repeats(
    rows: Rows, pages: npt.NDArray[np.uint64], rank: Rows, earlier: int, index_only: bool
) -> Repeats:
    """Return which of these rows are dropped, in favour of the lowest `rank` of the same page.

    Rows before `earlier` are another snapshot's and stay as they are; `index_only`: only in favour
    of such a row.
    """
    order = np.lexsort((rank, pages))
    rows, pages = rows[order], pages[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = pages[1:] != pages[:-1]
    kept = rows[np.flatnonzero(first)][np.cumsum(first) - 1]
    chosen = ~first & (rows >= earlier)
    if index_only:
        chosen &= kept < earlier
    gone, kept = rows[chosen], kept[chosen]
    by_row = np.argsort(gone)
    return Repeats(gone[by_row], kept[by_row])
