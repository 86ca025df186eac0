"""Files in an object store that are read in place, by ranges: dumps, lists and WARC files."""

import fnmatch
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from webtext.pipeline.core.stores import seen_objects
from webtext.pipeline.core.stores.object_store import Size
from webtext.pipeline.core.stores.store_addresses import SCHEMES, Address, parse

AHEAD = 8 << 20  # bytes of a request while a file is read from one end to the other
SMALL = 64 << 10  # bytes of a request at least: fewer take as long
NEAR = 1 << 20  # bytes that may be left out before reading on counts as a jump


class StoredFile(type(Path())):  # type: ignore[misc] # PosixPath, whose name mypy knows by itself
    """A file in a store, for whoever reads a file by its path: it can be opened, and has a size.

    Only what `open` gives reads it; a library that opens paths by itself does not find it.
    """

    @property
    def address(self) -> Address:
        """Where it is."""
        return parse(str(self))

    def __str__(self) -> str:
        return re.sub(r"\A([a-z0-9]+):/(?!/)", r"\1://", super().__str__())

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return StoredFile, (str(self),)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return its size; there is no more to know.

        Raises:
            FileNotFoundError: there is no such object.
            StoreError: the store refuses, or cannot be reached.
        """
        del follow_symlinks
        size = self.found().bytes
        return os.stat_result((0o100444, 0, 0, 1, 0, 0, size, 0, 0, 0))

    def found(self) -> Size:
        """Return its size and version, as this process saw them first.

        Raises:
            FileNotFoundError: there is no such object.
        """
        found = seen_objects.size(self.address)
        if found is None:
            raise FileNotFoundError(2, "no such object", str(self))
        return found

    def open(self, mode: str = "r", *_: Any, **__: Any) -> Any:
        """Open it for reading bytes.

        Raises:
            FileNotFoundError: there is no such object.
            StoreError: the store refuses, or cannot be reached.
        """
        assert mode == "rb", "sources are read as bytes"
        return RangedFile(self.address, self.found())

    def exists(self) -> bool:
        return seen_objects.size(self.address) is not None

    is_file = exists

    def is_dir(self) -> bool:
        return False

    def absolute(self) -> "StoredFile":
        return self


class ByPlace(io.RawIOBase):
    """A file of known size whose bytes are had by their place, for readers that seek."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        data = self.pread(len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def pread(self, length: int, at: int) -> bytes:
        """Return bytes of a place, fewer only at the end of the file."""
        raise NotImplementedError


class RangedFile(ByPlace):
    """The bytes of an object, in requests of a range; a read gives all that it is asked for.

    Raises:
        StoreError: the store refuses, cannot be reached, or the object has changed since.
    """

    def __init__(self, address: Address, found: Size) -> None:
        super().__init__(found.bytes)
        self.requests = 0
        self._key, self._version = address.prefix, found.version
        self._store = seen_objects.client(address.scheme, address.bucket)
        self._held, self._start = b"", 0  # the last answer, and where it lies
        self._end = -NEAR - 1  # of what was read last; a first look needs little

    def pread(self, length: int, at: int) -> bytes:
        """Return bytes of a place, fewer only at the end of the file."""
        length = min(length, self.size - at)
        if length <= 0:
            return b""
        begins = at - self._start
        if not 0 <= begins <= begins + length <= len(self._held):
            kept = self._held[begins:] if 0 <= begins < len(self._held) else b""
            onward = 0 <= at - self._end <= NEAR
            start = at + len(kept)
            wanted = max(length - len(kept), AHEAD if onward else SMALL)
            wanted = min(wanted, self.size - start)
            self.requests += 1
            more = self._store.read(self._key, start, wanted, self._version)
            assert more is not None, "of a version that was seen there are bytes, or an error"
            self._held, self._start = kept + more.content, at
        self._end = at + length
        begins = at - self._start
        return self._held[begins : begins + length]


def pread(raw: BinaryIO, length: int, at: int) -> bytes:
    """Return bytes of a place of an open file, here or in a store."""
    if isinstance(raw, RangedFile):
        return raw.pread(length, at)
    return os.pread(raw.fileno(), length, at)


def known_by(path: StoredFile) -> str:
    """Return what tells this content of a file from another, without reading it."""
    version = path.found().version
    return str(version.etag or version.number)


def size_of(raw: BinaryIO) -> int:
    """Return how many bytes an open file has, here or in a store."""
    return raw.size if isinstance(raw, RangedFile) else os.fstat(raw.fileno()).st_size


def in_store(text: str) -> bool:
    """Whether a text is the address of files in a store.

    >>> in_store("s3://dumps/RS_*.zst"), in_store("https://a.test/"), in_store("dumps/s3")
    (True, False, False)
    """
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def located(home: Path, name: str) -> Path:
    """Return the file that a name in a directory means: one in it, elsewhere, or in a store."""
    return StoredFile(name) if in_store(name) else home / name


def matching(pattern: str) -> Iterator[StoredFile]:
    """Yield the files that an address means, in which `*` stands for any part of a name.

    As in a shell, `*` does not match a slash, and `**` matches any folders.

    Raises:
        UserError: no address; the store refuses, or cannot be reached.
    """
    if "*" not in pattern:
        parse(pattern)
        found = StoredFile(pattern)
        if found.exists():
            yield found
        return
    folder = parse(pattern.partition("*")[0].rpartition("/")[0])
    rest = pattern[len(str(folder)) + 1 :]
    for address in seen_objects.listed(folder):
        key = str(address)[len(str(folder)) + 1 :]
        if _matches(key.split("/"), rest.split("/")):
            yield StoredFile(str(address))


def _matches(parts: list[str], wanted: list[str]) -> bool:
    """Whether the parts of a key are those of a pattern.

    >>> _matches(["a", "b", "c.gz"], ["**", "*.gz"]), _matches(["a", "c.gz"], ["*.gz"])
    (True, False)
    """
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_matches(parts[n:], wanted[1:]) for n in range(len(parts) + 1))
    return (
        bool(parts) and fnmatch.fnmatchcase(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])
    )
