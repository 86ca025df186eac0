"""Check files against their manifest once, and remember the result.

A file of a complete directory is checked against the sha256 in its manifest before it is first
read. The result is remembered beside the directories with size, time and inode, so that a file
that still has these is not hashed again: a build hashes nothing again that it made itself.

WARC files only have to exist. Each of their records has a checksum of its own, which is checked
when it is read, and damage costs that record and no more; `webtext verify` checks the sha256 of
these files too.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, wraps
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import msgspec

from webtext.pipeline.core.directories import places
from webtext.pipeline.core.directories.json_files import Manifest
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores import working_copy

MANIFEST, ABOUT, SHARD = places.MANIFEST, places.ABOUT, places.SHARD
about, at, home_of = places.about, places.at, places.home_of
MEMORY = ".checked"  # folder beside the directories; if it is removed, files are hashed once more
SEAL = "manifest_sha256"  # key of the digest of the manifest's own content, in its last line
KEYS = {"files"}  # keys that every manifest has
FORMER = {
    *KEYS,
    "inputs",
    "stage",
    "stages",
    "sources",
    "libraries",
    "code",
    "passages",
}  # before SEAL
ARCHIVE = ".warc.gz"

T = TypeVar("T")
Seen = dict[str, list[Any]]  # by name: sha256, bytes, time of the last change in ns, inode


class DamagedError(UserError):
    """A file differs from its manifest."""


def stamp(path: Path) -> list[int]:
    """Return the values that show, without reading it, that a file is unchanged."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def while_unchanged(most: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Let a function of files keep its last `most` answers, each as long as its files are the same.

    Its first argument is a path or a tuple of paths. A process may outlive a file's content: a
    notebook, a worker of a cluster.
    """

    def decorated(function: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(most)
        def kept(_stamps: tuple[Any, ...], *given: Any) -> T:
            return function(*given)

        @wraps(function)
        def asked(paths: str | tuple[str, ...], *others: Any) -> T:
            files = (paths,) if isinstance(paths, str) else paths
            return kept(tuple(map(_stamp, files)), paths, *others)

        return asked

    return decorated


def _stamp(path: str) -> tuple[int, ...] | None:
    """Return the stamp of a file, None if it has none: whoever reads it says why."""
    try:
        return tuple(stamp(Path(path)))
    except OSError:
        return None


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with the sha256 of its own content, so that it can be checked itself."""
    said = {name: value for name, value in manifest.items() if name != SEAL}
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return {**said, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def manifest(home: Path) -> dict[str, Any]:
    """Return the manifest of a directory, after a check of its own sha256.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it has changed since it was written.
    """
    path = about(home) / MANIFEST
    return _manifest(home, path, *stamp(path))


@lru_cache(64)
def _manifest(home: Path, path: Path, *_stamp: int) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        why = "" if _as_written(found) else "it does not match its own sha256"
        msgspec.convert(found, Manifest)  # of an earlier version, without a sha256 of itself
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        found, why = {}, str(error)
    if why:
        raise DamagedError(f"{path}: damaged ({why}); {advice(home)}")
    return dict(found)


def _as_written(found: Any) -> bool:
    if not isinstance(found, dict) or not found.keys() >= KEYS:
        return False
    if SEAL not in found:  # written by an earlier version
        return found.keys() <= FORMER
    return bool(found[SEAL] == sealed(found)[SEAL])


def listed(home: Path) -> dict[str, dict[str, Any]]:
    """Return a manifest's entries for the files; {} if there is no manifest.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        found: dict[str, dict[str, Any]] = manifest(home)["files"]
    except FileNotFoundError:
        return {}
    return found


def there(home: Path) -> Iterator[str]:
    """Yield the names of the files in a directory, except the manifest and hidden ones.

    If its shards are alone, a file in the wrong one of its two folders has that folder's name too.
    """
    beside = about(home)
    for name in _walk(home):
        right = beside == home or SHARD.fullmatch(name)
        yield name if right else f"{home.name}/{name}"
    if beside != home:
        for name in _walk(beside):
            yield f"{ABOUT}/{home.name}/{name}" if SHARD.fullmatch(name) else name


def _walk(home: Path) -> Iterator[str]:
    for folder, inside, names in os.walk(home):
        inside[:] = [name for name in inside if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path != home / MANIFEST:
                yield str(path.relative_to(home))


def hashed(home: Path, names: Iterable[str]) -> Seen:
    """Return the present state of files, after reading all of them."""

    def look(name: str) -> tuple[str, list[Any]]:
        path = at(home, name)
        before = stamp(path)  # before reading: a write meanwhile is noticed next time
        return name, [sha256(path), *before]

    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        return dict(pool.map(look, names))


def remembered(home: Path) -> Seen:
    """Return the state of a directory's files when they were last read."""
    try:
        found = json.loads(_memory(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(home: Path, found: Mapping[str, list[Any]]) -> None:
    """Write down the state of files; if that is not allowed, they are read again next time."""
    path = _memory(home)
    partial = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(path)


def _memory(home: Path) -> Path:
    return home.parent / MEMORY / f"{home.name}.json"


def check(home: Path) -> int:
    """Check every file of a complete directory; return how many bytes were read for it.

    Raises:
        DamagedError: a file is missing, has changed, or is not in the manifest; names it.
    """
    wanted = listed(home)
    if copy := working_copy.of(home.parent):
        copy.fetch(home)
    found = set(there(home))
    for name in wanted:
        if name not in found:
            raise DamagedError(
                f"{at(home, name)}: is gone, though {MANIFEST} lists it; {advice(home)}"
            )
    if added := sorted(found - wanted.keys()):
        raise DamagedError(
            f"{at(home, added[0])}: not listed in {MANIFEST}, so nothing reads it; move it "
            "elsewhere"
        )
    before = remembered(home)
    names = [name for name in wanted if not name.endswith(ARCHIVE)]
    now: dict[str, list[Any]] = {
        name: [wanted[name].get("sha256"), *stamp(at(home, name))] for name in names
    }
    # Only what is right is remembered; anything else that stands there is a damaged note.
    new = [name for name in names if before.get(name) != now[name]]
    now |= hashed(home, new)
    for name in names:
        if now[name][0] != wanted[name].get("sha256") and working_copy.renewed(home, name):
            now |= hashed(home, [name])
        _compare(home, name, wanted[name], now[name])
    if new:
        remember(home, now)
    return sum(now[name][1] for name in new)


def _compare(home: Path, name: str, wanted: Mapping[str, Any], found: list[Any]) -> None:
    if found[0] != wanted.get("sha256"):
        raise DamagedError(
            f"{at(home, name)}: not the file that {MANIFEST} lists: {found[1]:,} bytes with sha256 "
            f"{found[0][:8]}…, wanted {wanted.get('bytes'):,} with "
            f"{str(wanted.get('sha256'))[:8]}…; {advice(home)}"
        )


_confirmed: dict[Path, list[int]] = {}  # by this process


def confirm(path: Path) -> None:
    """Check one file against the manifest of its directory before it is read.

    A file outside of complete directories is not checked. One that lies in a store is fetched
    first, if it is not here.

    Raises:
        DamagedError: it has changed, or is not in the manifest.
    """
    at_hand(path)
    try:
        now = stamp(path)
    except OSError:
        return  # opening it will raise the error
    if _confirmed.get(path) == now:
        return
    home = home_of(path)
    wanted = listed(home) if home else {}
    if home is None or not wanted:
        return
    manifest_path = about(home) / MANIFEST
    name = places.name_of(home, path)
    if name not in wanted:
        raise DamagedError(f"{path}: not listed in {manifest_path}; move it elsewhere")
    seen = [wanted[name].get("sha256"), *now]
    if remembered_once(home, *stamp(manifest_path)).get(name) != seen:
        seen[0] = sha256(path)
    if seen[0] != wanted[name].get("sha256") and working_copy.renewed(home, name):
        now = stamp(path)
        seen = [sha256(path), *now]
    _compare(home, name, wanted[name], seen)
    _confirmed[path] = now


def at_hand(path: Path) -> bool:
    """Whether a file is there, after it was fetched if it lies in a store; it is not read.

    Raises:
        UserError: the store refuses, cannot be reached, or has another file than the manifest.
    """
    return working_copy.fetched(path)


@lru_cache(64)
def remembered_once(home: Path, *_stamp: int) -> Seen:
    """Return what was remembered of a directory at this process's first request."""
    return remembered(home)


def advice(home: Path) -> str:
    """Return advice on how to restore a file without losing anything."""
    where = quote(str(home.parent))
    return f"put back the right one, or make it again: `webtext verify {where}` says how"
