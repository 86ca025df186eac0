"""A machine that does items of a build whose data directory is in a store, and shares only that.

It has a working copy of its own for each run of a build. What a finished step has is fetched as in
any working copy. Files of a step that is under way go from machine to machine through the folder
`.parts/` of the store: an item's files are there before the item counts as done, and a file that is
not there is asked for. No file gets its final key from here, so what a machine that was believed
to be lost still writes is never a part of a step.
"""

import fcntl
import hashlib
import io
import json
import os
import pickle
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from webtext.pipeline.core.directories.checked import sha256
from webtext.pipeline.core.shards import finished_files
from webtext.pipeline.core.stores import working_copy
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.store_records import (
    MARK,
    folder,
    manifest_of,
    replace_file,
    sha256_of,
    stored,
)
from webtext.pipeline.core.stores.stored_files import in_store
from webtext.pipeline.core.stores.working_copy import WorkingCopy

PARTS = ".parts"  # folder of the store with the files of steps under way, a folder a run in it
# Of this machine: several may have one folder for their copies, and no other's processes are known.
NODE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
ONCE = "@"  # in the name of a file that the build alone reads: it goes once it was fetched
USED = ".used-"  # begins the names of files that say which processes use a copy


_settled: set[tuple[Path, str, str]] = set()  # what this process has; a folder is of one run


class LackingError(Exception):
    """A file of a step under way is not in the store; its name follows."""


class OnlyHereError(Exception):
    """An item is about a file that other machines do not have; its path follows."""


class Written(NamedTuple):
    """A file that an item wrote."""

    name: str  # relative to the data directory
    sha256: str
    bytes: int


class Done(NamedTuple):
    """What came of an item."""

    result: Any
    files: list[Written]  # in the order in which they became whole: the last ones count


@dataclass(frozen=True)
class Away:
    """What a machine must know of the data directory to do an item."""

    address: str
    run: str  # of the build, unlike all others
    whole: dict[str, str]  # the sha256 of each finished step's manifest, by its key
    folders: tuple[str, ...]  # that unfinished steps have, relative to the data directory
    absent: frozenset[str]  # files that are nowhere

    @property
    def root(self) -> Path:
        """This machine's folder for it."""
        digest = hashlib.sha256(self.address.encode()).hexdigest()[:8]
        return folder() / f"worker-{NODE}-{digest}-{self.run}"

    def do(self, packed: bytes) -> Done:
        """Do an item, which `packed` has, and send its files to the store.

        Raises:
            LackingError: it needs a file of this step that is not in the store.
            StoreError: the store refuses, cannot be reached, or keeps other bytes than were sent.
        """
        copy = self.prepared()
        with _at(copy.root), _bringing(self, copy), finished_files() as paths:
            work, item = pickle.loads(packed)  # noqa: S301 -- from the client, as all functions are
            result = work(item)
        files = list({path: None for path in paths if path.is_relative_to(copy.root)})
        return Done(result, [self._send(copy, path) for path in files])

    def prepared(self) -> WorkingCopy:
        """Return this machine's working copy, with the manifests of all finished steps."""
        root = self.root
        copy = WorkingCopy(root, ObjectStore(parse(self.address)))
        root.mkdir(parents=True, exist_ok=True)
        with (root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of this machine have one copy
            (root / f"{USED}{os.getpid()}").touch()
            if not (root / MARK).exists():
                replace_file(root / MARK, json.dumps({"address": self.address}).encode())
            if working_copy.of(root) is None:
                working_copy.of.cache_clear()
            for key, digest in self.whole.items():
                if (root, key, digest) not in _settled or not (root / key).exists():
                    self._settle(copy, key, digest)
                    _settled.add((root, key, digest))
            for name in self.folders:
                (root / name).mkdir(parents=True, exist_ok=True)
        return copy

    def _settle(self, copy: WorkingCopy, key: str, digest: str) -> None:
        home = copy.root / Path(key).parent.name
        if stored(home) and sha256_of(manifest_of(home).read_bytes()) == digest:
            return
        found = copy.store.get(key)
        if found is None or sha256_of(found.content) != digest:
            raise StoreError(f"{self.address}/{key}: is not the one that the build has seen")
        for begun in {home, (copy.root / key).parent}:  # what was here is a part of it by now
            shutil.rmtree(begun, ignore_errors=True)
        copy.settle(copy.root / key, found.content)

    def key(self, name: str) -> str:
        """Return the key of a file of a step under way."""
        return f"{PARTS}/{self.run}/{name}"

    def bring(self, copy: WorkingCopy, path: Path) -> None:
        """Fetch a file of a step under way.

        Raises:
            LackingError: it is not in the store.
        """
        name = str(path.relative_to(copy.root))
        if name in self.absent:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
        try:
            if copy.store.download(self.key(name), partial) is None:
                raise LackingError(name)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _send(self, copy: WorkingCopy, path: Path) -> Written:
        """Send a file to the store, and remove it here."""
        name = str(path.relative_to(copy.root))
        written = Written(name, sha256(path), path.stat().st_size)
        copy.store.put_whole(self.key(name), path)
        path.unlink(missing_ok=True)
        return written


_place: Path | None = None  # where the data directory of the item that is at work is


@contextmanager
def _at(root: Path) -> Iterator[None]:
    global _place  # noqa: PLW0603 -- one item a process at a time
    _place = root
    try:
        yield
    finally:
        _place = None


def placed(name: str) -> Path:
    """Return this machine's path of a file of the data directory."""
    assert _place is not None, "no item of a build is unpacked"
    return _place / name


@contextmanager
def _bringing(away: Away, copy: WorkingCopy) -> Iterator[None]:
    """Let readers of files that are not here ask the store for them."""

    def bring(path: Path) -> None:
        if path.is_relative_to(copy.root):
            away.bring(copy, path)

    working_copy.bringers.append(bring)
    try:
        yield
    finally:
        working_copy.bringers.remove(bring)


def reached(address: str) -> str:
    """Return why a store cannot be reached from this machine, "" if it can; sweep what is left."""
    sweep()
    try:
        ObjectStore(parse(address)).folders()
    except StoreError as error:
        return str(error)
    return ""


def sweep(run: str = "") -> None:
    """Remove this machine's copies for a run, and those whose processes have all ended."""
    for root in folder().glob(f"worker-{NODE}-????????-*"):
        used = [path.name.removeprefix(USED) for path in root.glob(f"{USED}*")]
        if (run and root.name.endswith(run)) or not any(map(_alive, used)):
            shutil.rmtree(root, ignore_errors=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True  # another user's
    return True


class _Packer(pickle.Pickler):
    """Names the paths of the data directory by their place in it."""

    def __init__(self, root: Path, file: io.BytesIO) -> None:
        super().__init__(file)
        self.root = root

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Path) or in_store(str(value)):
            return NotImplemented
        if value.is_relative_to(self.root):
            return placed, (str(value.relative_to(self.root)),)
        if value.is_file():
            raise OnlyHereError(value)
        return NotImplemented


def packed(root: Path, work: Callable[[Any], Any], item: Any) -> bytes:
    """Return an item for another machine: the paths of the data directory are that one's there.

    Raises:
        OnlyHereError: it is about a file of this machine that is not in the data directory.
    """
    file = io.BytesIO()
    _Packer(root, file).dump((work, item))
    return file.getvalue()


def manifests(root: Path) -> dict[str, str]:
    """Return the sha256 of the manifest of each directory that is in the store, by its key."""
    found = {}
    for home in sorted(root.iterdir()):
        if home.is_dir() and not home.name.startswith(".") and stored(home):
            path = manifest_of(home)
            found[str(path.relative_to(root))] = sha256_of(path.read_bytes())
    return found
