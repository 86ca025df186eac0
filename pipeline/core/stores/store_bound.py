"""Hold all working copies of this machine within a bound: the least recently used file goes."""

import os
import time
from contextlib import suppress
from pathlib import Path

from webtext.pipeline.core.stores.store_records import (
    MANIFEST,
    MARK,
    bound,
    folder,
    needed,
    stored,
)

LOOK = 64  # the disk is measured again after each 64th of the bound that was fetched

_since = [1 << 62]  # bytes fetched by this process since the disk was measured


def touch(path: Path) -> None:
    """Note that a file was used now; its time of change stays."""
    with suppress(OSError):
        found = path.stat()
        os.utime(path, ns=(max(found.st_atime_ns + 1, time.time_ns()), found.st_mtime_ns))


def make_room(size: int) -> None:
    """Remove stored files that were not used for longest, so that `size` bytes more can come.

    Files of steps that are needed now, or that are not in a store yet, stay.
    """
    most = bound()
    if size > 0 and _since[0] + size <= most // LOOK:
        _since[0] += size
        return
    _since[0] = size
    total = 0
    going: list[tuple[int, int, Path]] = []
    for mark in folder().glob(f"*/{MARK}"):
        keep = needed(mark.parent)
        for home in mark.parent.iterdir():
            if not home.is_dir() or home.name.startswith("."):
                continue
            may_go = home.name not in keep and stored(home)
            for path in home.rglob("*"):
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    if path.is_file():
                        total += stat.st_size
                        if may_go and path != home / MANIFEST and path.name[0] != ".":
                            going.append((stat.st_atime_ns, stat.st_size, path))
    excess = total + size - most
    for _, freed, path in sorted(going):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= freed
