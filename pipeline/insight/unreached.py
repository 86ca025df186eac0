"""Find directories that no recipe, newest build or run needs, directly or through other steps."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.directories.data_directory import LATEST, step_of
from webtext.pipeline.core.directories.keeping import (
    STARTED,
    json_or_none,
    made_of,
    noted_references,
)
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.insight.verification import NAMES, directories
from webtext.pipeline.links import remembered
from webtext.pipeline.urls.parts import NAME as PART

PAGES = "pages"
REPLACED = re.compile(r".+-[0-9a-f]{8}\.damaged-\d+")  # moved aside by `verify --remake`


@dataclass(frozen=True)
class Unreached:
    """A directory that could be removed."""

    path: Path
    bytes: int
    fetched: bool  # whether its files were fetched from the network


def unreached(
    data: Path, wanted: Iterable[str], fingerprints: Iterable[str], names: Sequence[str] = NAMES
) -> list[Unreached]:
    """Return the directories that nothing reaches, in the order of the steps of these names.

    `wanted` are names of directories that recipes make; `fingerprints` are the sha256 of manifests
    that runs were trained on. All inputs of these and of the newest build are reached too.
    """
    there = {home.name: home for home in directories(data, names)}
    named = json_or_none(data / LATEST)
    waiting = [*wanted, *(map(str, named.values()) if isinstance(named, dict) else ())]
    prints = set(fingerprints)
    waiting += [home.name for home in there.values() if home.whole and home.fingerprint() in prints]
    # An archive stays, and the part of the links that it is of lets its crawl go on.
    waiting += [
        name
        for home in there.values()
        for name in (inputs_of(home) if step_of(home) == PAGES else ())
        if step_of(Directory(data / name)) == PART
    ]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in there and name not in reached:
            reached.add(name)
            waiting += inputs_of(there[name])
            waiting += noted_references(there[name].path)
    left = [home.path for name, home in there.items() if name not in reached]
    left += sorted(path for path in data.iterdir() if REPLACED.fullmatch(path.name))
    left += _left_beside(data, wanted)
    left += _forgotten(data, [home for name, home in there.items() if name in reached])
    return [_measured(path, names) for path in left]


def inputs_of(home: Directory) -> list[str]:
    """Return the names of a directory's inputs, recorded before it is complete too."""
    inputs = made_of(home)
    if not isinstance(inputs, dict):
        inputs = json_or_none(home.about / STARTED)
        if isinstance(inputs, dict):
            inputs = inputs.get("inputs", inputs)
    return list(inputs) if isinstance(inputs, dict) else []


def _left_beside(data: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the folders in `about/` whose directory is gone."""
    found = sorted((data / checked.ABOUT).glob("*"))
    kept = {*wanted}
    return [path for path in found if path.name not in kept and not (data / path.name).exists()]


def _forgotten(data: Path, homes: Iterable[Directory]) -> list[Path]:
    """Return what was remembered of sources that none of these directories was made of."""
    needed = set()
    for home in homes:
        if step_of(home) == "links" and home.whole:
            manifest = home.manifest()
            made = manifest["stages"].get("links", {})
            for source in manifest.get("sources", ()):
                needed.add(remembered.name_of(made["settings"], made["version"], source))
    found = (data / remembered.FOLDER).glob("*")
    return sorted(path for path in found if path.is_dir() and path.name not in needed)


def _measured(path: Path, names: Sequence[str]) -> Unreached:
    files = list(checked.there(path))
    size = sum(checked.at(path, name).stat().st_size for name in files)
    archived = any(name.endswith(checked.ARCHIVE) for name in files)
    return Unreached(path, size, archived and step_of(Directory(path)) in names)
