"""Hold all working copies of this machine within a bound: the least recently used file goes."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from webtext.pipeline.core.directories.places import at
from webtext.pipeline.core.stores.store_records import (
    MARK,
    bound,
    files_of,
    folder,
    manifest_of,
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
        may_go = set()
        for home in mark.parent.iterdir():
            if home.name not in keep and stored(home):
                names = files_of(manifest_of(home).read_bytes())
                may_go |= {at(home, name) for name in names}
        for path in walked(mark.parent):
            with suppress(FileNotFoundError):
                stat = path.stat()
                total += stat.st_size
                if path in may_go:
                    going.append((stat.st_atime_ns, stat.st_size, path))
    excess = total + size - most
    for _, freed, path in sorted(going):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= freed


def walked(root: Path) -> Iterator[Path]:
    """Yield all files of a working copy, except those in hidden folders."""
    for folder_, inside, names in os.walk(root):
        inside[:] = [name for name in inside if not name.startswith(".")]
        yield from (Path(folder_, name) for name in names)
