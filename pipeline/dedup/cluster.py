"""Clusters of near copies: which documents say the same, and which of them is kept.

Exact copies first, by the hash of the folded text; then one band at a time, candidate pairs; then
every pair is verified against the whole signatures; what is left connected is a cluster, unless it
grows large (see `stars`). Everything is decided by what the documents say and their ids, so
neither the order of the shards nor the number of workers changes anything.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.banding import Pairs, candidates, distinct, pack, unpack
from pipeline.dedup.exact import Copies, exact_copies
from pipeline.dedup.signatures import Signatures, row_count
from pipeline.dedup.snapshots import Compared, Snapshot, compared
from pipeline.dedup.stars import Edges, Numbers, Stars, settle
from pipeline.dedup.verify import similarity
from pipeline.errors import UserError
from pipeline.pool import each
from pipeline.progress import Progress, silent
from pipeline.records import DUPLICATE
from pipeline.shards import Directory, read_shard, replacing, write_json, write_parquet
from pipeline.stage import Passage

KEEPERS = ("score", "longest", "earliest")
SCOPES = ("global", "snapshot", "index")
LISTED = 1000  # large clusters named in the histogram
PARALLEL_ROWS = 300_000  # below it, processes take longer to start than the bands to do


@dataclass(frozen=True)
class Cluster:
    """How signatures become clusters.

    Raises:
        UserError: a setting is out of its range.
    """

    bands: int = 14  # Source: FineWeb (Penedo et al., 2024), section 3.4, as the next
    rows: int = 8
    verify_at: float = 0.7  # least estimated Jaccard similarity of a pair
    keeper: str = "score"  # or "longest", "earliest"; the smaller id where they are equal
    max_cluster: int = 10  # documents; in a larger cluster all must be near the keeper itself
    # What a document is compared with where there are earlier snapshots: everything, its own
    # snapshot alone, or what the earlier ones kept alone.
    scope: str = "global"

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.bands < 1 or self.rows < 1:
            raise UserError(
                f"duplicates.bands is {self.bands} and rows {self.rows}; wanted 1 or more of each"
            )
        if not 0 <= self.verify_at <= 1:
            raise UserError(f"duplicates.verify_at is {self.verify_at}; wanted 0 to 1")
        if self.keeper not in KEEPERS:
            raise UserError(
                f"duplicates.keeper is {self.keeper!r}; wanted one of {', '.join(KEEPERS)}"
            )
        if self.scope not in SCOPES:
            raise UserError(
                f"duplicates.scope is {self.scope!r}; wanted one of {', '.join(SCOPES)}"
            )
        if self.max_cluster < 1:
            raise UserError(f"duplicates.max_cluster is {self.max_cluster}; wanted 1 or more")


def cluster(
    settings: Cluster,
    signatures: Directory,
    documents: Directory,
    out: Directory,
    workers: int,
    progress: Progress = silent,
    earlier: Sequence[Snapshot] = (),
    executor: Executor | None = None,
) -> list[Passage]:
    """Write the clusters of all documents to one file, and their sizes to `histogram.json`.

    With `earlier` snapshots, what they kept is preferred to anything new, whatever the setting
    says, and clusters have rows for the new documents only. The bands are tasks for `executor`
    where one is given; its workers need to see the files and nothing else.

    Raises:
        UserError: a signature file is damaged, of another kind than the rest, or of other
            documents; names it.
    """
    path = out.shard(0)
    found = Signatures(tuple(signatures.shards()))
    _check_pairing(signatures, documents)
    pairs = out.path / "pairs"
    if not path.exists():
        table, sizes = clusters(settings, found, pairs, workers, progress, earlier, executor)
        write_json(out.path / "histogram.json", sizes)
        write_parquet(path, [table], DUPLICATE)
    rmtree(pairs, ignore_errors=True)
    return [passage(settings.name, found.rows, read_shard(path))]


def _check_pairing(signatures: Directory, documents: Directory) -> None:
    """Raise unless there is a signature for every document."""
    if signatures.numbers() != documents.numbers():
        raise UserError(
            f"{signatures}: has signatures of {len(signatures.numbers())} shards and {documents} "
            f"has {len(documents.numbers())}; delete the signatures and build again"
        )
    for path, given in zip(signatures.shards(), documents.shards(), strict=True):
        rows, wanted = row_count(path), row_count(given)
        if rows != wanted:
            raise UserError(
                f"{path}: has {rows} signatures and {given} has {wanted} documents; delete the "
                "signatures and build again"
            )


def passage(stage: str, rows: int, table: pa.Table) -> Passage:
    """Count what the clusters drop of `rows` documents, for each of the two reasons."""
    gone = table.filter(pc.not_equal(table["id"], table["keeper"]))
    exact = pc.sum(gone["exact"]).as_py() or 0
    counts = {"dedup.exact": exact, "dedup.near": gone.num_rows - exact}
    dropped = {reason: n for reason, n in sorted(counts.items(), key=lambda c: -c[1]) if n}
    return Passage(stage, rows, rows - gone.num_rows, dropped)


def clusters(
    settings: Cluster,
    signatures: Signatures,
    store: Path,
    workers: int,
    progress: Progress = silent,
    earlier: Sequence[Snapshot] = (),
    executor: Executor | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the members of all clusters as DUPLICATE rows, and the histogram of sizes.

    `store` is a directory for the candidate pairs of each band, from which a killed run goes on.

    Raises:
        UserError: the signatures are too short for the bands, damaged or mixed.
    """
    if signatures.rows and settings.bands * settings.rows > signatures.permutations:
        raise UserError(
            f"duplicates: {settings.bands} bands of {settings.rows} rows need "
            f"{settings.bands * settings.rows} permutations, and the signatures have "
            f"{signatures.permutations}; set signatures.permutations to as many"
        )
    given = compared(signatures, earlier if settings.scope != "snapshot" else ())
    signatures = given.signatures
    copies = exact_copies(signatures, given.ignored)
    pairs = _all_bands(settings, signatures, copies, store, workers, progress, executor)
    pairs = _in_scope(settings, pairs, given.earlier)
    steps = settings.bands + 2
    progress(settings.bands, steps, f"{len(pairs)} candidate pairs")
    jaccard = similarity(signatures, pairs, workers)
    alike = jaccard >= settings.verify_at
    pairs, jaccard = pairs[alike], jaccard[alike]
    progress(settings.bands + 1, steps, f"{len(pairs)} pairs verified")
    done = _assemble(settings, given, copies, pairs, jaccard, workers)
    progress(steps, steps, f"{done[0].num_rows} documents in clusters")
    return done


def _in_scope(settings: Cluster, pairs: Pairs, earlier: int) -> Pairs:
    """Leave out pairs that are both earlier, and as `scope` says those that are both new."""
    left, right = unpack(pairs)
    wanted = right >= earlier
    if settings.scope == "index":
        wanted &= left < earlier
    return pairs[wanted]


def _all_bands(
    settings: Cluster,
    signatures: Signatures,
    copies: Copies,
    store: Path,
    workers: int,
    progress: Progress,
    executor: Executor | None,
) -> Pairs:
    """Return the candidate pairs of all bands, each once."""
    todo = [band for band in range(settings.bands) if not _pairs_path(store, band).exists()]
    for name, values in (("alive", copies.alive), ("tie", copies.tie)):
        _save(store / f"{name}.npy", values)
    before = settings.bands - len(todo)

    def show(done: int, total: int | None, note: str = "") -> None:  # noqa: ARG001 -- Progress
        progress(before + done, settings.bands + 2, "bands")

    work = partial(_one_band, settings, signatures.paths, store)
    few = signatures.rows < PARALLEL_ROWS and executor is None
    each(work, todo, 0 if few else max(workers, 1), show, executor=executor)
    found = np.empty(0, np.uint64)
    for band in range(settings.bands):
        found = distinct([found, np.load(_pairs_path(store, band))])
    return found


def _one_band(settings: Cluster, paths: tuple[Path, ...], store: Path, band: int) -> None:
    """Find the candidate pairs of one band: needs the store and nothing else."""
    alive, tie = np.load(store / "alive.npy"), np.load(store / "tie.npy")
    signatures = Signatures(paths)
    pairs = candidates(signatures, alive, tie, band, settings.bands, settings.rows)
    _save(_pairs_path(store, band), pairs)


def _pairs_path(store: Path, band: int) -> Path:
    return store / f"{band:05d}.npy"


def _save(path: Path, values: npt.NDArray[Any]) -> None:
    with replacing(path) as partial_path, partial_path.open("wb") as file:
        np.save(file, values)


def _assemble(
    settings: Cluster,
    given: Compared,
    copies: Copies,
    pairs: Pairs,
    jaccard: npt.NDArray[np.float32],
    workers: int,
) -> tuple[pa.Table, dict[str, Any]]:
    """Make clusters of verified pairs and exact copies."""
    left, right = unpack(pairs)
    repeats = np.flatnonzero(copies.first != np.arange(len(copies.first)))
    nodes = distinct([left, right, copies.first[repeats]])  # each the first of its copies
    node = np.full(len(copies.first), -1, np.int32)
    node[nodes] = np.arange(len(nodes))
    members: Numbers = distinct([nodes.astype(np.int64), repeats])
    mine = node[copies.first[members]].astype(np.int64)  # each member's node
    rank, ids = _ranks(settings, given, members)
    best = np.full(len(nodes), len(members))
    np.minimum.at(best, mine, rank)
    weight = np.bincount(mine, minlength=len(nodes))

    def measure(one: Numbers, other: Numbers) -> npt.NDArray[np.float32]:
        return similarity(given.signatures, pack(nodes[one], nodes[other]), workers)

    edges = Edges(node[left].astype(np.int64), node[right].astype(np.int64), jaccard)
    stars = settle(edges, best, weight, measure, settings.max_cluster, settings.verify_at)
    member_of_rank = np.argsort(rank)
    keeper: Numbers = member_of_rank[best[stars.keeper[mine]]]  # number among members
    shown = members >= given.earlier
    if settings.scope == "index":
        shown &= members[keeper] < given.earlier
    return _table(stars, mine, keeper, ids, shown), _histogram(
        stars, weight, best, member_of_rank, ids
    )


def _ranks(settings: Cluster, given: Compared, members: Numbers) -> tuple[Numbers, pa.StringArray]:
    """Return the members' places in the order in which they would be kept, and their ids."""
    signatures = given.signatures
    chosen = pa.array(members)
    ids = signatures.read("id").take(chosen).combine_chunks()
    if settings.keeper == "score":
        low = pa.scalar(np.iinfo(np.int32).min, pa.int32())
        key = -signatures.read("score").fill_null(low).to_numpy().astype(np.int64)
    elif settings.keeper == "longest":
        key = -signatures.read("bytes").to_numpy()
    else:
        linked = signatures.read("linked").cast(pa.int64())
        key = linked.fill_null(np.iinfo(np.int64).max).to_numpy()
    by_id = _place(pc.sort_indices(ids).to_numpy())
    return _place(np.lexsort((by_id, key[members], members >= given.earlier))), ids


def _place(order: npt.NDArray[Any]) -> Numbers:
    """Return each one's place in an order.

    >>> _place(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def _table(
    stars: Stars,
    mine: Numbers,
    keeper: Numbers,
    ids: pa.StringArray,
    shown: npt.NDArray[np.bool_],
) -> pa.Table:
    """Return DUPLICATE rows, by cluster and id; documents that ended alone are not among them."""
    size = np.bincount(keeper, minlength=len(ids))
    rows = np.flatnonzero(size[keeper] > 1)
    by_id = _place(pc.sort_indices(ids).to_numpy())
    smallest = np.full(len(ids), len(ids))
    np.minimum.at(smallest, keeper[rows], by_id[rows])
    name = np.argsort(by_id)[np.minimum(smallest, len(ids) - 1)]  # by keeper: the smallest id's
    rows = rows[shown[rows]]
    rows = rows[np.lexsort((by_id[rows], smallest[keeper[rows]]))]
    head = keeper[rows]
    columns = [
        ids.take(pa.array(rows)),
        ids.take(pa.array(name[head])),
        ids.take(pa.array(head)),
        pa.array(stars.jaccard[mine[rows]]),
        pa.array(mine[rows] == mine[head]),
    ]
    return pa.Table.from_arrays(columns, schema=DUPLICATE)


def _histogram(
    stars: Stars, weight: Numbers, best: Numbers, member_of_rank: Numbers, ids: pa.StringArray
) -> dict[str, Any]:
    """Return how many clusters there are of each size, and the large ones that were looked into."""
    size = np.bincount(stars.keeper, weights=weight, minlength=len(weight)).astype(np.int64)
    sizes, counts = np.unique(size[size > 1], return_counts=True)
    large = sorted(stars.large, key=lambda found: (-found[1], int(best[found[0]])))
    return {
        "clusters": int(counts.sum()),
        "documents": int((sizes * counts).sum()),
        "sizes": dict(zip(map(str, sizes.tolist()), counts.tolist(), strict=True)),
        "large_clusters": len(large),
        "largest": [
            {
                "keeper": ids[int(member_of_rank[best[head]])].as_py(),
                "connected": connected,
                "near_the_keeper": near,
            }
            for head, connected, near in large[:LISTED]
        ],
    }
