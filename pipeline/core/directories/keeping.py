"""Move fetched data aside if it no longer fits, under a name that says why.

Nothing here deletes or overwrites. The files of an archive (a crawl's pages) are never removed
because inputs changed or a mark file was lost: the bookkeeping that no longer fits is moved to a
folder in the directory, the WARC files stay where they are, and the step rebuilds its bookkeeping
from both.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from webtext.pipeline.core.directories.checked import MANIFEST
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, sync_directory, write_json

log = logging.getLogger(__name__)

STARTED = "started.json"  # the inputs and versions of a directory that is not complete yet
ASIDE = "aside"  # prefix of folders with files that were moved aside

REFERENCES = "references.json"  # of a crawl: the neighbours that hold records of its outcomes

CHANGED = "inputs-changed"
DAMAGED = "damaged"


def set_aside(home: Path, reason: str, paths: Iterable[Path]) -> Path | None:
    """Move files of a directory to a new folder in it; return that, None if no such file exists.

    The folder's name has the reason: aside-1-inputs-changed.
    """
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    taken = [int(found[1]) for entry in home.iterdir() if (found := _numbered(entry.name))]
    folder = home / f"{ASIDE}-{max(taken, default=0) + 1}-{reason}"
    folder.mkdir()
    for path in there:
        # Under its own name it would make the folder count as complete.
        path.rename(folder / (path.name if path.name != MANIFEST else f"former-{MANIFEST}"))
    sync_directory(folder)
    sync_directory(home)
    return folder


def _numbered(name: str) -> re.Match[str] | None:
    return re.match(rf"{ASIDE}-(\d+)-", name)


def set_aside_folders(home: Path) -> list[Path]:
    """Return the folders of files that were moved aside, the newest first."""
    found = [entry for entry in home.iterdir() if _numbered(entry.name)] if home.is_dir() else []
    return sorted(found, key=lambda path: -int(path.name.split("-")[1]))


def keep(home: Directory, inputs: Mapping[str, str], bookkeeping: Iterable[str]) -> None:
    """Prepare an archive's directory for its step, whatever the state of its mark files.

    `bookkeeping` names the step's own files beside the manifest that hold only for these inputs.
    An archive of other inputs, or with a lost or damaged mark, keeps all its files.
    """
    mark = home.path / STARTED
    if not home.path.is_dir() or not any(home.path.iterdir()):
        write_json(mark, inputs)
        return
    if not home.whole and json_or_none(mark) == inputs:
        return
    reason, why = CHANGED, "what it was made of has been made anew since"
    lost = made_of(home) is None if home.whole else json_or_none(mark) is None
    if lost:
        reason, why = DAMAGED, "its manifest.json or started.json is lost or damaged"
    own = [home.path / name for name in bookkeeping]
    folder = set_aside(home.path, reason, [home.manifest_path, mark, *own])
    write_json(mark, inputs)
    moved = f"; what no longer fits lies in {folder.name}" if folder else ""
    log.warning(
        "%s: %s, so it is taken up again from its own files, and what they hold is not fetched "
        "again%s",
        home.path,
        why,
        moved,
    )


def note_references(home: Path, found: Mapping[str, int]) -> None:
    """Write down into which neighbouring directories the rows of one point.

    The numbers say how many of its rows were taken over from each.
    """
    if found or (home / REFERENCES).exists():
        write_json(home / REFERENCES, dict(found))


def noted_references(home: Path) -> dict[str, int]:
    """Return what `note_references` wrote, {} if that was nothing."""
    found = json_or_none(home / REFERENCES)
    return found if isinstance(found, dict) else {}


def json_or_none(path: Path) -> object:
    """Return the JSON in a file, None if there is none."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def made_of(home: Directory) -> object:
    """Return the inputs of a complete directory, None if its manifest cannot be read."""
    try:
        return home.manifest().get("inputs")
    except (UserError, AttributeError):
        return None
