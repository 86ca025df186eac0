"""Small files that all working copies of a store must know: what is forgotten, and a purge.

`forgotten.jsonl` grows by lines only, so of two versions the longer one counts. The plan of a purge
is in the store from before its first change until the proof, so no machine builds meanwhile, and
another one can end it.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from webtext.pipeline.core.directories.places import FORGOTTEN, PLAN, PURGING
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_records import files_of, manifest_of, replace_file


def take_over(root: Path, store: ObjectStore) -> None:
    """Make a working copy know what the store says.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    said, path = store.get(FORGOTTEN), root / FORGOTTEN
    if said and not (path.exists() and path.read_bytes().startswith(said.content)):
        replace_file(path, said.content)
    keys = store.keys(PURGING)
    for key in keys:
        if there := store.get(key):
            replace_file(root / key, there.content)
    if purging(root) and f"{PURGING}/{PLAN}" not in keys:
        shutil.rmtree(root / PURGING)


def purging(root: Path) -> bool:
    """Whether a purge has begun in a data directory and not ended."""
    return (root / PURGING).is_dir()


def share_plan(root: Path, store: ObjectStore, plan: Mapping[str, Any]) -> None:
    """Let every working copy know that a purge begins, and what it does.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    content = json.dumps(plan).encode()
    store.put_whole(f"{PURGING}/{PLAN}", content)
    replace_file(root / PURGING / PLAN, content)


def share_manifest(home: Path, store: ObjectStore) -> None:
    """Let every working copy know what a directory will be, before its first file is replaced.

    Raises:
        StoreError: the store refuses, or cannot be reached.
    """
    store.put_whole(f"{PURGING}/{home.name}.json", manifest_of(home).read_bytes())


def replaced(home: Path, name: str, sha256: str | None) -> bool:
    """Whether a file that is not as its manifest says is one that an interrupted purge has sent."""
    with suppress(OSError):
        listed = files_of((home.parent / PURGING / f"{home.name}.json").read_bytes())
        return sha256 is not None and listed.get(name, {}).get("sha256") == sha256
    return False
