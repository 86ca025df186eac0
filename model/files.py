"""Files that are written atomically: complete under their name, or absent."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
