"""Verify a data directory: recompute the content of its manifests from the files themselves.

First every file's sha256, and that every file is in a manifest. If those are right, the invariant
of each step (`laws`): its counts are recounted, and its rows compared with those of its inputs.
Everything is read in full, whatever was remembered; nothing is changed. Which steps there are is
said by the caller (`Build.verify`), because this room lies below the list of steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.directories.data_directory import LATEST, step_of
from webtext.pipeline.core.directories.keeping import json_or_none
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stores import working_copy
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.insight import laws
from webtext.pipeline.urls.parts import NAME as PART

NAMES = tuple(laws.LAWS)  # of the steps that have a law, in their order


@dataclass(frozen=True)
class Difference:
    """A difference that was found."""

    path: Path
    said: str
    home: Path  # the directory that holds it, or is it

    def __str__(self) -> str:
        return f"{self.path}: {self.said}"


def directories(data: Path, names: Sequence[str] = NAMES) -> list[Directory]:
    """Return the directories of the steps of these names, complete or not, in the steps' order."""
    found = [Directory(path) for path in sorted(data.iterdir()) if path.is_dir()]
    # Parts of links are no step's: what crawls one of them makes it, before its pages.
    order = [PART, *names]
    return sorted(
        (each for each in found if step_of(each) in order),
        key=lambda one: order.index(step_of(one)),
    )


def verify(
    data: Path, progress: Progress = silent, names: Sequence[str] = NAMES
) -> Iterator[Difference]:
    """Yield what differs in a data directory, in the order of the steps of these names.

    Raises:
        UserError: no step has a directory there.
    """
    there = directories(data, names) if data.is_dir() else []
    if not there:
        raise UserError(f"{data}: no directory of a step lies there; name another one with --data")
    named = json_or_none(data / LATEST)
    if not isinstance(named, dict):
        yield Difference(data / LATEST, "is gone or damaged; the next build writes it anew", data)
    else:
        for step, name in named.items():
            home = Directory(data / str(name))
            if home.path.is_dir() and not home.whole:
                said = f"is gone, though {LATEST} names the directory"
                yield Difference(home.manifest_path, said, home.path)
            elif step != step_of(home) or step not in names or not home.whole:
                said = f"names {name} as the newest {step}; the next build writes it anew"
                yield Difference(data / LATEST, said, data)
    total = sum(_size(home.path) for home in there)
    done = 0
    wrong: set[str] = set()
    for home in there:
        if not home.whole:
            done += _size(home.path)
            continue
        progress(done, total, home.name)
        found = list(_sums(home))
        if not found and not wrong & set(_inputs(home)):
            found = list(_law(home, {one.name: one for one in there if one.whole}))
        if found:
            wrong.add(home.name)
        yield from found
        done += _size(home.path)
    progress(total, total)


def _size(home: Path) -> int:
    return sum(checked.at(home, name).stat().st_size for name in checked.there(home))


def _inputs(home: Directory) -> dict[str, str]:
    found: dict[str, str] = home.manifest().get("inputs", {})
    return found


def _sums(home: Directory) -> Iterator[Difference]:
    """Yield the files that differ from the manifest; all files are read."""
    try:
        manifest = home.manifest()
    except UserError as error:
        yield Difference(home.manifest_path, str(error).partition(": ")[2], home.path)
        return
    wanted = manifest["files"]
    wrong = _from_store(home.path, wanted)
    there = set(checked.there(home.path))
    for name in sorted(wanted.keys() - there):
        said = wrong.get(name, "is gone, though the manifest lists it")
        yield Difference(checked.at(home.path, name), said, home.path)
    for name in sorted(there - wanted.keys()):
        yield Difference(
            checked.at(home.path, name), "is there, though no manifest names it", home.path
        )
    found = checked.hashed(home.path, sorted(there & wanted.keys()))
    right = {}
    for name, seen in found.items():
        told = wanted[name]["sha256"]
        if seen[0] == told:
            right[name] = seen
            continue
        twin = next((other for other, what in wanted.items() if what.get("sha256") == seen[0]), "")
        what = f"holds what {twin} should hold" if twin else "is another than the manifest lists"
        said = f"{what} ({seen[1]:,} bytes, sha256 {seen[0][:8]}…, wanted {str(told)[:8]}…)"
        yield Difference(checked.at(home.path, name), said, home.path)
    checked.remember(home.path, right)


def _from_store(home: Path, names: Iterable[str]) -> dict[str, str]:
    """Fetch all files of a directory anew, if it is in a store; return what is wrong with which."""
    copy = working_copy.of(home.parent)
    if copy is None:
        return {}
    copy.forget(home)
    try:
        copy.fetch(home)
    except StoreError:
        found = {}
        for name in names:
            try:
                copy.fetch(home, [name])
            except StoreError as error:
                found[name] = str(error).partition(": ")[2]
        return found
    return {}


def _law(home: Directory, others: dict[str, Directory]) -> Iterator[Difference]:
    """Yield what is wrong with the rows of a directory whose files match its manifest."""
    manifest = home.manifest()
    for name, told in manifest.get("inputs", {}).items():
        if name in others and others[name].fingerprint() != told:
            said = f"was made of {name} as it was before it was made again"
            yield Difference(home.path, said, home.path)
            return
    given = {
        step_of(others[name]): others[name] for name in manifest.get("inputs", {}) if name in others
    }
    law = {PART: laws.part, **laws.LAWS}.get(step_of(home), laws.counts)
    try:
        for said in law(laws.Case(home, manifest, given)):
            yield Difference(home.path, said, home.path)
    except (UserError, PipelineError) as error:
        yield Difference(home.path, str(error), home.path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield Difference(home.path, f"its manifest or files lack something ({error!r})", home.path)
