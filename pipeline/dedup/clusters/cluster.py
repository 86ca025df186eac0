"""Clusters of near-duplicates: which documents are alike, and which of them is kept.

First come documents of one page, by the final URL, and exact copies, by the hash of the folded
text. Then candidate pairs are found, one band at a time, and each is verified by the whole
signatures or by the texts. What is connected then is a cluster, unless it is large (see `stars`).
Everything is decided by the content of the documents and their ids, so neither the order of the
shards nor the number of workers changes anything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, threads
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import DUPLICATE
from webtext.pipeline.core.shards import Directory, read_shard, row_count, write_json, write_parquet
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.dedup.clusters import bands
from webtext.pipeline.dedup.clusters.banding import Pairs, distinct, unpack
from webtext.pipeline.dedup.clusters.curve import PRESETS
from webtext.pipeline.dedup.clusters.exact import Copies, exact_copies
from webtext.pipeline.dedup.clusters.members import Choice, Evidence, assemble, ranks
from webtext.pipeline.dedup.clusters.pair_texts import Measure, Texts, spill, texts_of
from webtext.pipeline.dedup.clusters.same_page import Repeats, page_groups, repeats
from webtext.pipeline.dedup.clusters.snapshots import Compared, Snapshot, compared
from webtext.pipeline.dedup.nearest import NEAREST, NEIGHBOUR, neighbours
from webtext.pipeline.dedup.signatures.signature_files import Signatures

HISTOGRAM = "histogram.json"  # how many clusters there are of each size
PAIRS = "pairs"  # the folder of the candidate pairs until they are merged
VERIFIES = ("signature", "jaccard")
KEEPERS = ("score", "longest", "earliest")
SCOPES = ("global", "snapshot", "index")


@dataclass(frozen=True)
class Cluster:
    """How signatures become clusters.

    Raises:
        UserError: a setting is out of its range.
    """

    preset: str = ""  # bands and rows of a known corpus, by name: see `curve.PRESETS`
    bands: int = 14  # of a signature. Source: FineWeb (Penedo et al., 2024), 3.4, as the next
    rows: int = 8  # of a band
    verify_at: float = 0.7  # least Jaccard similarity of a pair
    # How it is measured: by the signatures, or "jaccard", by the texts' own shingles. Pairs with an
    # earlier snapshot, whose texts are not read again, are always measured by the signatures.
    verify: str = "signature"
    keeper: str = "score"  # or "longest", "earliest"; the smaller id where they are equal
    max_cluster: int = 10  # documents; in a larger cluster all must be near the keeper itself
    # Data directories of earlier snapshots. Only signatures and duplicates are read there.
    against: tuple[str, ...] = field(default=(), metadata={"machine": True})
    # What a document is compared with where there are earlier snapshots: everything, only its
    # own snapshot, or only what the earlier ones kept.
    scope: str = "global"

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        self._take_preset()
        if self.bands < 1 or self.rows < 1:
            raise UserError(
                f"duplicates.bands is {self.bands} and rows {self.rows}; wanted 1 or more of each"
            )
        if not 0 <= self.verify_at <= 1:
            raise UserError(f"duplicates.verify_at is {self.verify_at}; wanted 0 to 1")
        for name, known in (("verify", VERIFIES), ("keeper", KEEPERS), ("scope", SCOPES)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise UserError(f"duplicates.{name} is {found!r}; wanted one of {', '.join(known)}")
        if self.max_cluster < 1:
            raise UserError(f"duplicates.max_cluster is {self.max_cluster}; wanted 1 or more")

    @property
    def permutations(self) -> int:
        """How many permutations the signatures need for these bands."""
        return self.bands * self.rows

    def _take_preset(self) -> None:
        """Set bands and rows by the preset's name."""
        if not self.preset:
            return
        if self.preset not in PRESETS:
            raise UserError(
                f"duplicates.preset is {self.preset!r}; wanted one of {', '.join(PRESETS)}"
            )
        wanted = PRESETS[self.preset]
        if (self.bands, self.rows) not in {(Cluster.bands, Cluster.rows), wanted}:
            raise UserError(
                f"duplicates.preset is {self.preset!r}, {wanted[0]} bands of {wanted[1]} rows, and "
                f"bands is {self.bands} and rows {self.rows}; give one or the other"
            )
        object.__setattr__(self, "bands", wanted[0])
        object.__setattr__(self, "rows", wanted[1])


def cluster(
    settings: Cluster,
    signatures: Directory,
    documents: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress = silent,
    earlier: Sequence[Snapshot] = (),
) -> list[Passage]:
    """Write the clusters of all documents to one file, and their sizes to `histogram.json`.

    And to `nearest.parquet` the nearest neighbour of each document that was compared with any.

    With `earlier` snapshots, what they kept is preferred to anything new, whatever the setting
    says, and clusters have rows for the new documents only.

    Raises:
        UserError: a signature file is damaged, of another kind than the rest, or of other
            documents; names it.
    """
    path = out.shard(0)
    found = Signatures(tuple(signatures.shards()))
    _check_pairing(signatures, documents)
    pairs = out.path / PAIRS
    if not path.exists():
        texts = partial(texts_of, documents)
        near: list[pa.Table] = []
        table, sizes = clusters(
            settings, found, pairs, workers, progress, earlier, texts, near.append
        )
        write_parquet(out.path / NEAREST, near, NEIGHBOUR)
        write_json(out.path / HISTOGRAM, sizes)
        write_parquet(path, [table], DUPLICATE)
    rmtree(pairs, ignore_errors=True)
    return [passage(settings.name, found.rows, read_shard(path))]


def _check_pairing(signatures: Directory, documents: Directory) -> None:
    """Raise unless there is a signature for every document."""
    if signatures.numbers() != documents.numbers():
        raise UserError(
            f"{signatures}: has signatures of {len(signatures.numbers())} shards and {documents} "
            f"has {len(documents.numbers())}; move {signatures} elsewhere and run the same command "
            "again"
        )
    for path, given in zip(signatures.shards(), documents.shards(), strict=True):
        rows, wanted = row_count(path), row_count(given)
        if rows != wanted:
            raise UserError(
                f"{path}: has {rows} signatures and {given} has {wanted} documents; "
                f"move {signatures} elsewhere and run the same command again"
            )


def passage(stage: str, rows: int, table: pa.Table) -> Passage:
    """Count what the clusters drop of `rows` documents, by reason."""
    counted = pc.value_counts(table["reason"].drop_null()).to_pylist()
    dropped = {entry["values"]: entry["counts"] for entry in counted}
    dropped = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
    return Passage(stage, rows, rows - sum(dropped.values()), dropped)


@dataclass(frozen=True)
class Compare:
    """What the bands compare, and what is known before them."""

    given: Compared
    repeats: Repeats
    copies: Copies


def check_length(settings: Cluster, permutations: int) -> None:
    """Raise unless signatures of so many permutations do for the bands.

    Raises:
        UserError: they do not; says how many would.
    """
    if settings.permutations > permutations:
        raise UserError(
            f"duplicates: {settings.bands} bands of {settings.rows} rows need "
            f"{settings.permutations} permutations, and the signatures have {permutations}; "
            f"set signatures.permutations = {settings.permutations}"
        )


def before_bands(settings: Cluster, signatures: Signatures, earlier: Sequence[Snapshot]) -> Compare:
    """Find what is cheap to find: documents of one page, and exact copies.

    Raises:
        UserError: the signatures are too short for the bands, damaged or mixed.
    """
    if signatures.rows:
        check_length(settings, signatures.permutations)
    given = compared(signatures, earlier if settings.scope != "snapshot" else ())
    rows, pages = page_groups(given.signatures, given.ignored)
    rank = ranks(given, settings.keeper, rows)
    same = repeats(rows, pages, rank, given.earlier, settings.scope == "index")
    ignored = given.ignored.copy()
    ignored[same.gone] = True
    return Compare(given, same, exact_copies(given.signatures, ignored))


def prepare_bands(
    settings: Cluster,
    signatures: Directory,
    documents: Directory,
    out: Directory,
    earlier: Sequence[Snapshot] = (),
) -> Signatures:
    """Write what all bands need to know, and return the signatures that they read.

    Raises:
        UserError: as `cluster`.
    """
    _check_pairing(signatures, documents)
    given = Signatures(tuple(signatures.shards()))
    store = out.path / PAIRS
    if bands.prepared(store):
        return compared(given, earlier if settings.scope != "snapshot" else ()).signatures
    found = before_bands(settings, given, earlier)
    bands.prepare(store, found.copies)
    return found.given.signatures


def clusters(
    settings: Cluster,
    signatures: Signatures,
    store: Path,
    workers: Workers,
    progress: Progress = silent,
    earlier: Sequence[Snapshot] = (),
    texts: Callable[[], Iterable[pa.RecordBatch]] | None = None,
    note: Callable[[pa.Table], None] | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the members of all clusters as DUPLICATE rows, and the histogram of sizes.

    `store` is a directory for the candidate pairs of each band, so that a killed run can continue.
    `texts` gives the documents' texts in their order, where they are to be verified by those.
    `note` is given the nearest neighbour of each document that has one.

    Raises:
        UserError: the signatures are too short for the bands, damaged or mixed.
    """
    found = before_bands(settings, signatures, earlier)
    signatures = found.given.signatures
    bands.prepare(store, found.copies)
    steps = settings.bands + 2

    def show(done: int, total: int | None, note: str = "") -> None:  # noqa: ARG001 -- Progress
        progress(done, steps, note)

    bands.find(settings.bands, settings.rows, signatures, store, workers, show)
    pairs = _in_scope(settings, bands.merged(settings.bands, store), found.given.earlier)
    progress(settings.bands, steps, f"{len(pairs)} candidate pairs")
    chosen = _texts(found, pairs, texts, store) if settings.verify == "jaccard" else None
    measured = Measure(signatures, threads(workers), chosen)
    jaccard = measured(pairs)
    if note:
        note(neighbours(signatures, found.copies, pairs, jaccard, found.given.earlier))
    alike = jaccard >= settings.verify_at
    pairs, jaccard = pairs[alike], jaccard[alike]
    progress(settings.bands + 1, steps, f"{len(pairs)} pairs verified")
    evidence = Evidence(found.given, found.copies, found.repeats, pairs, jaccard)
    choice = Choice(
        settings.keeper, settings.max_cluster, settings.verify_at, settings.scope == "index"
    )
    done = assemble(choice, evidence, measured)
    progress(steps, steps, f"{done[0].num_rows} documents in clusters")
    return done


def _texts(
    found: Compare, pairs: Pairs, texts: Callable[[], Iterable[pa.RecordBatch]] | None, store: Path
) -> Texts:
    """Copy the texts of all documents that may have to be compared."""
    assert texts is not None, "who sets verify to jaccard also says where the texts are"
    first, same = found.copies.first.astype(np.int64), found.repeats
    rows = distinct([*unpack(pairs), first[same.gone], first[same.kept]]).astype(np.int64)
    start = found.given.earlier
    rows = rows[rows >= start]
    path = store / "texts.arrow"
    if not path.exists():
        spill(texts(), rows - start, path)
    return Texts(path, rows, start, int(found.given.signatures.made.get("ngram", 1)))


def _in_scope(settings: Cluster, pairs: Pairs, earlier: int) -> Pairs:
    """Leave out pairs of two earlier documents, and, as `scope` says, of two new ones."""
    left, right = unpack(pairs)
    wanted = right >= earlier
    if settings.scope == "index":
        wanted &= left < earlier
    return pairs[wanted]
