"""A purge of a data directory in an object store: there too everything goes, and is looked for.

The working copy is purged as any data directory is, with the files of one directory fetched at a
time; what that has changed is sent, what it has removed is removed, and at the end every object is
read again and searched.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from pathlib import Path
from typing import Final

from webtext.pipeline.core.directories.data_directory import LATEST
from webtext.pipeline.core.directories.places import ABOUT, MANIFEST, PURGING
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stores import shared_notes, working_copy
from webtext.pipeline.core.stores.store_parts import PARTS
from webtext.pipeline.core.stores.store_records import BESIDE, files_of, manifest_of, record_of
from webtext.pipeline.core.stores.working_copy import WorkingCopy
from webtext.pipeline.insight.purging.needles import Needles
from webtext.pipeline.insight.purging.searching import Hit, of_file
from webtext.pipeline.tokens.tokens import INDEX
from webtext.pipeline.urls.forgotten import Forgotten

OBJECTS: Final = "objects"  # in PURGING: the object that is searched


def at_hand(home: Directory) -> AbstractContextManager[None]:
    """Keep all files of a directory here meanwhile, and fetch those that lie in a store alone.

    Raises:
        UserError: they take more than the bound; the store refuses or cannot be reached.
    """
    copy = working_copy.of(home.path.parent)
    return copy.needing([home.path]) if copy else nullcontext()


def sent(home: Directory) -> None:
    """Send a directory that was changed, and remove objects of it that it no longer has.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    copy = working_copy.of(home.path.parent)
    if copy is None or not home.whole or BESIDE.fullmatch(home.name):
        return
    shared_notes.share_manifest(home.path, copy.store)
    copy.upload(home.path)
    listed = {*files_of(manifest_of(home.path).read_bytes()), MANIFEST}
    for key in copy.store.keys(home.name):
        if key.removeprefix(f"{home.name}/") not in listed:
            copy.store.delete(key)


def removed(data: Path, names: Iterable[str]) -> None:
    """Remove directories from the store, the manifest first: without it none is a finished step.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    if (copy := working_copy.of(data)) is None:
        return
    names = list(names)
    _unnamed(copy, names)
    for name in names:
        keys = [*copy.store.keys(name), *copy.store.keys(f"{ABOUT}/{name}")]
        for key in sorted(keys, key=lambda key: (not key.endswith(f"/{MANIFEST}"), key)):
            copy.store.delete(key)
        record = record_of(data / name)
        for path in (record, record.with_suffix(".uploading")):
            path.unlink(missing_ok=True)


def _unnamed(copy: WorkingCopy, names: list[str]) -> None:
    """Take directories out of the store's list of the newest ones."""
    if there := copy.store.get(LATEST):
        named = json.loads(there.content)
        kept = {step: name for step, name in named.items() if name not in names}
        if kept != named:
            copy.store.swap(LATEST, json.dumps(kept).encode(), there.version)


def search(data: Path, needles: Needles, forgotten: Forgotten, progress: Progress) -> Iterator[Hit]:
    """Yield what is found in the objects of the store, read one after another, as `search` does.

    A part of a directory whose upload was cut off is removed if something is found in it: the
    machine that made it has it, and sends it again when it goes on.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    if (copy := working_copy.of(data)) is None:
        return
    for key in copy.store.keys(PARTS):  # of a build that was killed: this one holds the lock
        copy.store.delete(key)
    keys = sorted(key for key in copy.store.keys("") if not key.startswith(f"{PURGING}/"))
    whole = {key.removesuffix(f"/{MANIFEST}") for key in keys if key.endswith(f"/{MANIFEST}")}
    done = 0
    for folder, group in groupby(keys, key=lambda key: key.rpartition("/")[0]):
        there = sorted(group, key=lambda key: key.rpartition("/")[2] != INDEX)
        for key in there:
            progress(done, len(keys), key)
            done += 1
            path = data / PURGING / OBJECTS / key
            path.parent.mkdir(parents=True, exist_ok=True)
            copy.store.download(key, path)
            found = list(dict.fromkeys(of_file(path, needles, forgotten)))
            if any(kept is None for _, kept in found) and _cut_off(folder, whole):
                copy.store.delete(key)
            else:
                yield from (Hit(data / key, *one) for one in found)
            if path.name != INDEX:
                path.unlink(missing_ok=True)  # a lock of another machine may be gone by now
        (data / PURGING / OBJECTS / folder / INDEX).unlink(missing_ok=True)


def _cut_off(folder: str, whole: set[str]) -> bool:
    """Whether a folder is of a directory of a step that has no manifest in the store."""
    parts = folder.removeprefix(f"{ABOUT}/").split("/")
    name, number = parts[0].rpartition("-")[::2]
    return (
        bool(name)
        and len(number) == len("0123abcd")
        and not ({parts[0], f"{ABOUT}/{parts[0]}"} & whole)
    )


def ended(data: Path) -> None:
    """Let all machines build again.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    if copy := working_copy.of(data):
        for key in copy.store.keys(PURGING):
            copy.store.delete(key)
