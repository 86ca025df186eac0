"""What was read of each source, kept beside the directories, so that no source is read twice.

A harvest of dumps that grow in number reads only the new ones; all are merged anew, which takes a
fraction of the time. What is kept is a cache: if it is removed or damaged, the source is read once
more. It holds for the same bytes (as `links.fingerprint` tells them), the same rules for single
submissions, and the same source code and libraries, whatever the source is called and wherever it
lies. Scores are merged later, so other values of `min_score` and `merge` read nothing either.
"""

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from webtext.pipeline.core.directories.checked import sha256
from webtext.pipeline.core.directories.keeping import json_or_none
from webtext.pipeline.core.directories.source_code import digest_of
from webtext.pipeline.core.shards import write_json
from webtext.pipeline.core.stage import settings as plain
from webtext.pipeline.core.stores.stored_files import StoredFile, known_by
from webtext.pipeline.links.settings import Harvest

log = logging.getLogger(__name__)

FOLDER = ".harvested"  # in the data directory, with a folder a source
NOTE = "note.json"  # written last
ROWS = "rows.arrow"
EDGE = 1 << 20  # bytes at the start and end of a source that its fingerprint reads
WHOLE = 64  # times EDGE: so long a source is read whole
PLACES = 64  # in a longer one that are read too, evenly spread: what is not there yet is a hole
AT_A_PLACE = 1 << 16  # bytes: few, as there may be thousands of WARC files
LATER = ("min_score", "merge")  # settings that the merge alone asks for

LIBRARIES = ("ada-url", "msgspec", "numpy", "pyarrow", "tldextract", "zstandard")


def fingerprint(path: Path) -> dict[str, Any]:
    """Return how a source is recognised without reading all of it.

    It has its name without folders, its size, and the sha256 of its first and last MiB and of what
    is read between them: all of it up to 64 MiB, 64 KiB at each of 64 places in a longer one. A
    moved folder makes no new harvest, but an edited, cut or newly downloaded file does, as does one
    that had its full size before it was all there. An edit of some bytes within a longer one does
    not.
    """
    found = hashlib.sha256()
    if isinstance(path, StoredFile):  # its store knows what its content is
        found.update(known_by(path).encode())
        return {"name": path.name, "bytes": path.stat().st_size, "sha256": found.hexdigest()}
    with path.open("rb") as file:
        found.update(file.read(EDGE))
        size = file.seek(0, 2)
        for start, length in _between(size):
            file.seek(start)
            found.update(file.read(length))
        file.seek(max(size - EDGE, 0))
        found.update(file.read(EDGE))
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": found.hexdigest()}


def _between(size: int) -> list[tuple[int, int]]:
    """Return where a fingerprint reads between the edges, and how many bytes, of so many in all."""
    first, last = EDGE, size - EDGE
    if size <= WHOLE * EDGE:
        return [(start, min(EDGE, last - start)) for start in range(first, last, EDGE)]
    step = (last - first) // PLACES
    return [(first + step * number, min(AT_A_PLACE, step)) for number in range(PLACES)]


def name_of(settings: Mapping[str, Any], version: int, source: Mapping[str, Any]) -> str:
    """Return the name of the folder for a source, read by these settings.

    `settings` are the plain values of a Harvest, such as a manifest has; `source` a fingerprint.
    """
    known = plain(Harvest(), identity=True).keys() - set(LATER)
    asked = {name: value for name, value in settings.items() if name in known}
    said = [version, asked, source["bytes"], source["sha256"], made_by()]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def made_by() -> list[str]:
    """Return what reads sources: the source code, and the libraries' versions."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    return [digest_of("webtext.pipeline.links.spill"), *versions]


@dataclass(frozen=True)
class Place:
    """Where the rows of a source are, or will be."""

    rows: Path
    note: Path

    def records(self) -> int | None:
        """Return how many records there are, None if the rows are not there or not whole."""
        said = json_or_none(self.note)
        if not isinstance(said, dict):
            return None
        if not self.rows.exists() or sha256(self.rows) != said.get("sha256"):
            log.warning("%s: damaged, so its source is read again", self.rows)
            return None
        return int(said["records"])

    def finish(self, records: int) -> None:
        """Note that the rows are whole."""
        write_json(self.note, {"records": records, "sha256": sha256(self.rows)})


def place(settings: Harvest, out: Path, number: int, source: Path) -> Place:
    """Return the place of source `number` of the harvest that makes the directory `out`."""
    if settings.remember:
        values = plain(settings, identity=True)
        home = out.parent / FOLDER / name_of(values, settings.version, fingerprint(source))
        return Place(home / ROWS, home / NOTE)
    home = out / "spill"
    return Place(home / f"{number:05d}.arrow", home / f"{number:05d}.json")
