"""Earlier snapshots of a corpus, as a recipe names them: by their data directories."""

from collections.abc import Sequence
from pathlib import Path

from webtext.flows.building.data_directory import latest
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.dedup.clusters.cluster import Cluster
from webtext.pipeline.dedup.clusters.snapshots import Snapshot


def earlier_snapshots(settings: Cluster, data: Path) -> list[Snapshot]:
    """Return the snapshots that `duplicates.against` names, in the order of their names.

    Raises:
        UserError: one was not deduplicated, is this very directory, or has another one's name.
    """
    if settings.scope == "snapshot":
        return []
    found: dict[str, Snapshot] = {}
    for given in settings.against:
        path = Path(given).expanduser()
        where = f"duplicates.against: {given}"
        if path.resolve() == data.resolve():
            raise UserError(f"{where} is the data directory of this build; name earlier ones")
        name = path.resolve().name
        if name in found:
            raise UserError(f"{where}: another snapshot is called {name} too; rename one directory")
        try:
            found[name] = Snapshot(latest(path, "signatures"), latest(path, "duplicates"), name)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    for snapshot in found.values():
        for directory in (snapshot.signatures, snapshot.duplicates):
            if not directory.whole:
                raise UserError(
                    f"duplicates.against: {directory} is not there or not whole; build that "
                    "snapshot again, or leave it out of duplicates.against"
                )
    return [found[name] for name in sorted(found)]


def directories(snapshots: Sequence[Snapshot]) -> list[Directory]:
    """Return all that is read of some snapshots."""
    return [part for found in snapshots for part in (found.signatures, found.duplicates)]
