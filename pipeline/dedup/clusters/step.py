"""The step `duplicates`: which documents are copies of each other, and which one is kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.directories.lookup import Row, first_row
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, read_batches, read_json
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Fact, Outside, Planned, Sought, Step
from webtext.pipeline.corpus.verdicts import REASONS
from webtext.pipeline.dedup.clusters.cluster import HISTOGRAM, Cluster, check_length, cluster
from webtext.pipeline.dedup.clusters.curve import describe
from webtext.pipeline.dedup.clusters.snapshots import Snapshot, named_snapshots

NAME = "duplicates"
TRACED = "dedup"  # its name in a trace: the corpus, which drops the copies, has this reason


def earlier(settings: Cluster, data: Path) -> list[Snapshot]:
    """Return the earlier snapshots that documents are compared with.

    Raises:
        UserError: one is not complete, is this same directory, or has the name of another.
    """
    return [] if settings.scope == "snapshot" else named_snapshots(settings.against, data)


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Cluster the documents by their signatures."""
    (settings,) = planned.settings
    return cluster(
        settings,
        planned.read["signatures"],
        planned.read["documents"],
        planned.home,
        workers,
        progress,
        earlier=earlier(settings, planned.data),
    )


def outside(recipe: Any, data: Path) -> Outside:
    """Return the inputs from earlier snapshots."""
    found = earlier(recipe.duplicates, data)
    directories = [part for one in found for part in (one.signatures, one.duplicates)]
    return Outside([one.name for one in found] or None, tuple(directories))


def remarks(planned: Planned) -> Iterator[str]:
    """Return which pairs the bands find."""
    (settings,) = planned.settings
    yield describe(settings.bands, settings.rows, settings.verify_at)


def follow(sought: Sought) -> Iterator[Fact]:
    """Return which document this one is a copy of, or its copies."""
    if sought.id is None:
        return
    directory = sought.made[NAME]
    if found := first_row(directory, sought.id):
        yield of_cluster(sought, found[2], members(directory, found[2]["cluster"]))
    elif sought.seen:  # most documents have no copies, and no row here
        yield Fact(TRACED, {"cluster": None, "copies": 0}, ("no copies",))


def members(directory: Directory, name: str) -> list[Row]:
    """Return the rows of a cluster."""
    return [
        member
        for path in directory.shards()
        for batch in read_batches(path, rows=1 << 16)
        for member in batch.filter(pc.equal(batch["cluster"], name)).to_pylist()
    ]


def of_cluster(sought: Sought, row: Row, found: list[Row]) -> Fact:
    """Return the record of a document that is in a cluster."""
    told: Row = {"cluster": row["cluster"], "documents": len(found), "keeper": row["keeper"]}
    if row["reason"] is None:
        others = [member for member in found if member["id"] != sought.id]
        copies = [{name: m[name] for name in ("id", "jaccard", "reason")} for m in others]
        ids = ", ".join(copy["id"] for copy in copies[:20])
        told |= {"copies": len(copies), "of": copies[:20]}
        return Fact(TRACED, told, (f"kept for {len(copies)} copies: {ids}",))
    texts = sought.made.get("documents")
    keeper = first_row(texts, row["keeper"]) if texts else None
    told |= {
        "keeper_url": keeper[2]["url"] if keeper else None,
        "jaccard": row["jaccard"],
        "snapshot": row["snapshot"],
        "large": row["large"],
        "dropped_by": row["reason"],
        "dropped_value": row["jaccard"],
    }
    where = f", of the snapshot {row['snapshot']}" if row["snapshot"] else ""
    lines = (
        f"one of {len(found)} documents in the cluster",
        f"kept in its stead: {told['keeper_url'] or row['keeper']}{where}",
    )
    return Fact(TRACED, told, lines, row["reason"], row["jaccard"])


def facts(directory: Directory) -> Mapping[str, Any]:
    """Return how many clusters there are."""
    path = directory.path / HISTOGRAM
    found = read_json(path) if at_hand(path) else {}
    return {name.replace("_", " "): found[name] for name in ("clusters", "large_clusters") if found}


STEP = Step(
    name=NAME,
    tables={"duplicates": Cluster},
    work=work,
    inputs=("signatures", "documents"),
    bytes_depend_on=(
        "ada-url",
        "datasketch",
        "llvmlite",
        "msgspec",
        "numba",
        "numpy",
        "pyarrow",
        "scipy",
        "tldextract",
    ),
    fates=REASONS,
    in_funnel=False,  # it only marks rows as copies; the corpus drops them
    outside=outside,
    check=lambda recipe: check_length(recipe.duplicates, recipe.signatures.permutations),
    remarks=remarks,
    follow=follow,
    facts=facts,
)
