"""What a working copy notes on this machine: its address, and what of it is in the store."""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from webtext.pipeline.core.directories.places import MANIFEST, about
from webtext.pipeline.core.errors import UserError

MARK = ".store.json"  # names the address, and has a number of this copy's own
BESIDE = re.compile(r".+-[0-9a-f]{8}\.beside-\d+")  # another machine was quicker to finish it
STORED = ".stored"  # folder with a file for each directory that is in the store, or on its way
NEEDED = ".needed-"  # begins the names of files that say which directories stay for now
FOLDER, BOUND = "WEBTEXT_STORES", "WEBTEXT_STORES_GB"  # variables of the environment
USUAL_BOUND = 100.0  # GB: WebText's corpus, tokens and one step's inputs, and still a common disk


def folder() -> Path:
    """Return the folder of all working copies of this user, as the environment says."""
    if named := os.environ.get(FOLDER):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "webtext" / "stores"


def bound() -> int:
    """Return how many bytes all working copies of this user may take.

    Raises:
        UserError: the environment says something else than a positive number.
    """
    said = os.environ.get(BOUND, str(USUAL_BOUND))
    try:
        found = float(said)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise UserError(f"{BOUND}: found {said!r}, wanted a number of GB above 0")
    return int(found * 1e9)


def stored(home: Path) -> bool:
    """Whether all of a directory is in the store, with the manifest that is here."""
    try:
        record = json.loads(record_of(home).read_bytes())
        return bool(record["manifest"] == sha256_of(manifest_of(home).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def manifest_of(home: Path) -> Path:
    """Return the path of a directory's manifest."""
    return about(home) / MANIFEST


def record_of(home: Path) -> Path:
    """Return the file that says that a directory is in the store."""
    return home.parent / STORED / f"{home.name}.json"


def note_stored(home: Path, content: bytes) -> None:
    """Note that a directory is in the store, with a manifest of this content."""
    if not stored(home):
        replace_file(record_of(home), json.dumps({"manifest": sha256_of(content)}).encode())


def needed(root: Path) -> set[str]:
    """Return the names of the directories that live processes keep here."""
    found: set[str] = set()
    for path in root.glob(f"{NEEDED}*"):
        try:
            said = json.loads(path.read_bytes())
            os.kill(said["pid"], 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
            continue
        except PermissionError:
            pass  # alive, of another user
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found |= set(said["names"])
    return found


def in_words(text: str) -> str:
    """Return a text for people, with addresses in place of the folders of working copies."""
    place = str(folder()) if "/" in text else ""
    if not place or place not in text:
        return text
    for mark in folder().glob(f"*/{MARK}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            text = text.replace(str(mark.parent), str(json.loads(mark.read_bytes())["address"]))
    return text


def sha256_of(content: bytes) -> str:
    """Return the sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def files_of(manifest: bytes) -> dict[str, dict[str, Any]]:
    """Return what a manifest says of its files; nothing of one that is damaged.

    A name that leads out of the directory is left out: who can write to the store must not be
    able to write elsewhere on this machine.
    """
    try:
        found = json.loads(manifest)["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        name: entry
        for name, entry in found
        if isinstance(entry, dict) and not Path(name).is_absolute() and ".." not in Path(name).parts
    }


def journal_lines(path: Path) -> list[Any]:
    """Return the JSON lines of a journal, without one that a kill has torn."""
    found = []
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
