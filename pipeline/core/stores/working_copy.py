"""The working copy of a data directory that is in an object store.

It is a folder of this machine that looks as the data directory would. A mark in it names the
address, so that every process that is given the folder knows where the rest is. Of each step that
is finished in the store, the manifest is here; its other files are fetched when they are needed,
compared with the manifest, and removed again, the least recently used first, when all copies of
this machine together take more than the bound.

A step that is made here is whole for others once its manifest is in the store, which is written
last. So what an upload that was cut off has left there is never taken for a finished step.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from webtext.pipeline.core.directories.places import (
    ABOUT,
    MANIFEST,
    about,
    at,
    home_of,
    name_of,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores import shared_notes
from webtext.pipeline.core.stores.object_store import ObjectStore, Version
from webtext.pipeline.core.stores.store_addresses import Address, parse
from webtext.pipeline.core.stores.store_bound import make_room, touch
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.store_records import (
    BOUND,
    FOLDER,
    MARK,
    NEEDED,
    STORED,
    bound,
    files_of,
    folder,
    journal_lines,
    manifest_of,
    note_stored,
    record_of,
    replace_file,
    stored,
)
from webtext.pipeline.core.stores.stored_files import in_store

log = logging.getLogger(__name__)

LATEST = "latest.json"
AT_ONCE = 8  # files under way at the same time


@dataclass(frozen=True)
class WorkingCopy:
    """A folder of this machine for a data directory in a store."""

    root: Path
    store: ObjectStore

    # --- what the store has ----------------------------------------------------------------------

    def refresh(self) -> None:
        """Fetch the manifests of all steps that are finished in the store, and `latest.json`.

        Also what is left out on request, and the plan of a purge that is under way there.

        Raises:
            StoreError: the store refuses, or cannot be reached.
        """
        shared_notes.take_over(self.root, self.store)
        inside = [name for name in self.store.folders() if not name.startswith(".")]
        keys = [f"{name}/{MANIFEST}" for name in inside if name != ABOUT]
        if ABOUT in inside:
            keys += [f"{ABOUT}/{name}/{MANIFEST}" for name in self.store.folders(ABOUT)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = zip(keys, pool.map(self.store.get, keys), strict=True)
            whole = {key: one.content for key, one in found if one}
        for key, content in whole.items():
            self.settle(self.root / key, content)
        for record in self._records():
            home = self.root / record.stem
            key = str(manifest_of(home).relative_to(self.root))
            # Asked again, as a build beside us may have finished it since the listing.
            if key not in whole and stored(home) and self.store.get(key) is None:
                record.unlink(missing_ok=True)  # removed there: what is here is not finished
                manifest_of(home).unlink(missing_ok=True)
        if latest := self.store.get(LATEST):
            replace_file(self.root / LATEST, latest.content)

    def _records(self) -> list[Path]:
        return sorted((self.root / STORED).glob("*.json"))

    def settle(self, path: Path, content: bytes) -> None:
        """Make a directory of this machine what a manifest of the store says."""
        home = self.root / path.parent.name
        before = path.read_bytes() if path.exists() else None
        if before != content:
            if not stored(home) and any(
                True for folder in (home, path.parent) if folder.is_dir() for _ in folder.iterdir()
            ):
                if shared_notes.purging(self.root) and record_of(home).exists():
                    return  # it was changed here, and is not in the store yet
                self._put_beside(home)
            elif before is not None:
                now = files_of(content)
                for name, entry in files_of(before).items():
                    if now.get(name, {}).get("sha256") != entry.get("sha256"):
                        at(home, name).unlink(missing_ok=True)
            home.mkdir(exist_ok=True)
            replace_file(path, content)
        note_stored(home, content)

    def _put_beside(self, home: Path) -> None:
        """Move a directory that was not finished here aside; another machine was quicker."""
        number = 1
        while (free := home.with_name(f"{home.name}.beside-{number}")).exists():
            number += 1
        if (beside := about(home)) != home:
            beside.rename(beside.with_name(free.name))
        if home.is_dir():
            home.rename(free)
        log.warning("%s: another machine has finished it; what was made here is %s", home, free)

    def _key(self, home: Path, name: str) -> str:
        return str(at(home, name).relative_to(self.root))

    # --- from here to the store ------------------------------------------------------------------

    def upload(self, home: Path) -> None:
        """Write a whole directory to the store, the manifest last; go on where a kill stopped it.

        Raises:
            StoreError: the store refuses, cannot be reached, or keeps other sizes than were sent.
        """
        if stored(home) or not manifest_of(home).exists():
            return
        content = manifest_of(home).read_bytes()
        listed = files_of(content)
        journal = record_of(home).with_suffix(".uploading")
        sent = {(name, sha256): Version(*v) for name, sha256, v in journal_lines(journal)}
        journal.parent.mkdir(exist_ok=True)
        last = str(manifest_of(home).relative_to(self.root))
        before = self.store.get(last)
        changed = shared_notes.purging(self.root)  # a few of its files; the others are there
        there = files_of(before.content) if before and changed else {}
        writing = threading.Lock()

        def send(name: str) -> None:
            entry, key = listed[name], self._key(home, name)
            if there.get(name, {}).get("sha256") == entry["sha256"]:
                return
            version = sent.get((name, entry["sha256"]))
            if version is None or not self.store.has(key, version, entry["bytes"]):
                version = self.store.put_whole(key, at(home, name))
            with writing:
                file.write(json.dumps([name, entry["sha256"], version]) + "\n")
                file.flush()

        with journal.open("a", encoding="utf-8") as file, ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(send, listed))
        if not self.store.swap(last, content, before.version if before else None):
            raise StoreError(
                f"{self.store.address}/{home.name}: another machine has finished it meanwhile; run "
                "the same command again: it goes on from there"
            )
        note_stored(home, content)
        journal.unlink(missing_ok=True)

    def publish(self, path: Path) -> None:
        """Write one file of the working copy to the store, such as a report.

        Raises:
            StoreError: the store refuses, or cannot be reached.
        """
        self.store.put_whole(str(path.relative_to(self.root)), path)

    def publish_latest(self) -> None:
        """Write `latest.json` to the store, if all that it names is there.

        It replaces only what was read before, so that of two builds at once none is lost unseen.

        Raises:
            StoreError: the store refuses, or cannot be reached.
        """
        try:
            content = (self.root / LATEST).read_bytes()
            names = json.loads(content).values()
        except (OSError, ValueError):
            return
        if not all(stored(self.root / str(name)) for name in names):
            return
        for _ in range(8):  # each time another one has written it meanwhile
            there = self.store.get(LATEST)
            if there and there.content == content:
                return
            if self.store.swap(LATEST, content, there.version if there else None):
                return
        raise StoreError(
            f"{self.store.address}/{LATEST}: others write it all the time; run the command again"
        )

    # --- from the store to here ------------------------------------------------------------------

    def fetch(self, home: Path, names: Iterable[str] | None = None) -> None:
        """Fetch those files of a stored directory that are not here; by default all of them.

        Raises:
            StoreError: the store refuses, cannot be reached, or has another file than the manifest
                says; names it.
        """
        if not stored(home):
            return
        listed = files_of(manifest_of(home).read_bytes())
        wanted = listed if names is None else {n: listed[n] for n in names if n in listed}
        missing = {n: e for n, e in wanted.items() if not at(home, n).exists()}
        for name in wanted.keys() - missing.keys():
            touch(at(home, name))
        if missing:
            make_room(sum(int(entry["bytes"]) for entry in missing.values()))
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda item: self._fetch_one(home, *item), missing.items()))

    def _fetch_one(self, home: Path, name: str, entry: dict[str, Any]) -> None:
        path, key = at(home, name), self._key(home, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
        try:
            found = self.store.download(key, partial)
            if found != entry["sha256"] and not shared_notes.replaced(home, name, found):
                what = "is gone from the store" if found is None else f"has sha256 {found[:8]}…"
                raise StoreError(
                    f"{self.store.address}/{key}: {what}, wanted {str(entry['sha256'])[:8]}… as "
                    f"{MANIFEST} lists it; put back the right one, or make the step again under "
                    "another prefix"
                )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def needing(self, homes: Iterable[Path]) -> Iterator[None]:
        """Keep the files of these directories here meanwhile, and fetch what is missing of them.

        Raises:
            UserError: they take more than the bound.
            StoreError: as `fetch`.
        """
        kept = [home for home in homes if stored(home)]
        total = sum(
            int(entry["bytes"])
            for home in kept
            for entry in files_of(manifest_of(home).read_bytes()).values()
        )
        if total > bound():
            raise UserError(
                f"{self.store.address}: {', '.join(home.name for home in kept)} are needed at once "
                f"and take {total / 1e9:,.3f} GB, and the working copies may take "
                f"{bound() / 1e9:,.3f}; set {BOUND} higher, or {FOLDER} to a larger disk"
            )
        path = self.root / f"{NEEDED}{os.getpid()}-{uuid4().hex}"
        replace_file(
            path, json.dumps({"pid": os.getpid(), "names": [h.name for h in kept]}).encode()
        )
        try:
            for home in kept:
                self.fetch(home)
            yield
        finally:
            path.unlink(missing_ok=True)
            make_room(0)

    def forget(self, home: Path) -> None:
        """Remove the files of a stored directory from this machine, but for the manifest."""
        if stored(home):
            for name in files_of(manifest_of(home).read_bytes()):
                at(home, name).unlink(missing_ok=True)


# --- which folder is a working copy ---------------------------------------------------------------


def working_copy(address: str | Address) -> Path:
    """Return the folder of this machine for a data directory in a store, after a look there.

    Raises:
        UserError: no address; the extra is missing; the store refuses or cannot be reached.
    """
    found = parse(address) if isinstance(address, str) else address
    digest = hashlib.sha256(str(found).encode()).hexdigest()[:8]
    root = folder() / f"{found.name or found.bucket}-{digest}"
    copy = WorkingCopy(root, ObjectStore(found))
    bound()  # before any work, is it a number?
    copy.store.folders()  # before a folder is made, may we?
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not (root / MARK).exists():
            replace_file(
                root / MARK, json.dumps({"address": str(found), "copy": uuid4().hex}).encode()
            )
    except OSError as error:
        raise UserError(
            f"{root}: cannot be written to ({error.strerror}); name another folder by {FOLDER}"
        ) from None
    of.cache_clear()
    copy.refresh()
    return root


def step_copy(address: str) -> tuple[Path, AbstractContextManager[None]]:
    """Return the folder for the directory of a step in a store, and what keeps its files there.

    Raises:
        UserError: as `working_copy`; or it is no finished step.
    """
    place = parse(address)
    root = working_copy(place.parent)
    copy = of(root)
    if copy is None or not stored(root / place.name):
        raise UserError(
            f"{place}: no finished step is there; `webtext path STEP --data {place.parent}` prints "
            "the newest of a step"
        )
    return root / place.name, copy.needing([root / place.name])


@cache
def of(root: Path) -> WorkingCopy | None:
    """Return the working copy whose folder this is, None if it is a plain folder."""
    try:
        said = json.loads((root / MARK).read_bytes())
        return WorkingCopy(root, ObjectStore(parse(said["address"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


bringers: list[Callable[[Path], None]] = []  # bring files of steps under way to this machine


def fetched(path: Path) -> bool:
    """Whether a file is here, after it was fetched if it lies in a store.

    Raises:
        StoreError: the store refuses, cannot be reached, or has another file than the manifest.
    """
    if in_store(str(path)):
        return path.exists()
    if any(map(of, path.parents[1:4])) and (home := home_of(path)) and (copy := of(home.parent)):
        copy.fetch(home, [name_of(home, path)])
    elif bringers and not path.exists():
        for bring in bringers:
            bring(path)
    return path.exists()


def renewed(home: Path, name: str) -> bool:
    """Fetch a file again that is no longer as it was fetched; False if it lies in no store.

    Raises:
        StoreError: as `fetched`.
    """
    copy = of(home.parent)
    if copy is None or not stored(home):
        return False
    at(home, name).unlink(missing_ok=True)
    copy.fetch(home, [name])
    return True


def refuse(data: Path, what: str) -> None:
    """Raise if a data directory is in a store, where something cannot be done yet.

    Raises:
        UserError: it is; says what to do instead.
    """
    if copy := of(data):
        raise UserError(
            f"{copy.store.address}: {what} works on a local data directory only; copy the prefix "
            "to one with the store's own tool"
        )
