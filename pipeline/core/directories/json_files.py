"""Read JSON files that we wrote ourselves, and that a disk or an editor may have damaged since."""

import json
from pathlib import Path
from typing import Any

import msgspec

from webtext.pipeline.core.errors import UserError


class Counts(msgspec.Struct):
    """A line of the funnel, as stored in manifests."""

    stage: str
    read: int
    kept: int
    dropped: dict[str, int]


class Manifest(msgspec.Struct):
    """The types of a manifest's entries, which are checked when it is read."""

    passages: list[Counts] = []
    files: dict[str, dict[str, Any]] = {}
    inputs: dict[str, str] = {}
    stages: dict[str, dict[str, Any]] = {}


def read_object(path: Path, remedy: str, shape: Any = dict[str, Any]) -> dict[str, Any]:
    """Return the object in a file; `remedy` says how the file is made again.

    `shape` is a msgspec type that it must match; additional keys are ignored.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); {remedy}") from None
    try:
        msgspec.convert(found, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error}); {remedy}") from None
    return dict(found)


def names_in(path: Path, remedy: str) -> dict[str, str]:
    """Return an object whose values are names, such as `latest.json`.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, or holds something else.
    """
    found = read_object(path, remedy, dict[str, str])
    if any("\0" in name or "/" in name for name in found.values()):
        raise UserError(f"{path}: damaged, holds other things than names; {remedy}")
    return found
