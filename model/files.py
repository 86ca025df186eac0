"""Files that are written atomically (complete under their name, or absent), and folders in use."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webtext.model.errors import UserError


def replace(path: Path, write: Callable[[Any], None]) -> None:
    """Let `write` fill a file; then `path` is the complete file, or unchanged after a failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # so that the name survives a power cut too
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read, completely or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    replace(path, lambda file: file.write(text.encode()))


@contextmanager
def in_use(folder: Path, who: str) -> Iterator[None]:
    """Lock a folder, which is made if it is missing; the lock ends with its process at the latest.

    Raises:
        UserError: another process has locked it; `who` says what that is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: {who} is at work there; wait for it, or stop it") from None
        except OSError:  # this disk has no locks
            pass
        yield
