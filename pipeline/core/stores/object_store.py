"""Requests to an object store, each repeated until it succeeds or cannot.

An object appears whole or not at all: obstore sends a small one in one request, and a large one in
parts that the store joins at the end. obstore repeats requests that were answered with 5xx, 429 or
not at all, and waits longer each time. What it cannot repeat is repeated here: a body that broke
off, and a request to write that may have succeeded.
"""

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from webtext.pipeline.core.directories.distribution import lacking
from webtext.pipeline.core.stores.store_addresses import Address
from webtext.pipeline.core.stores.store_credentials import profile
from webtext.pipeline.core.stores.store_errors import (
    StoreError,
    failed,
    not_set_up,
    of_the_bucket,
    status,
)

TRIES = 5  # of a request that obstore has already repeated
WHOLE_TRIES = 4  # of an upload of which the store kept a part
REPEATS = 6  # of one request by obstore, within its time
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # s between two tries; doubles from the first to the longest
REQUEST_SECONDS = 120.0  # s for all tries of one request
CHUNK = 16 << 20  # bytes of a part: S3 wants 5 MiB or more, and takes 10,000 parts of an object
PARTS_AT_ONCE = 4  # of one object, so at most 64 MiB of it are in memory
BLOCK = 1 << 20  # bytes that are read from the network at a time
BEYOND = 416  # HTTP status: the range begins where the object has ended

T = TypeVar("T")


class Version(NamedTuple):
    """What changes with each write of an object; S3 and Azure have the first, Google both."""

    etag: str | None
    number: str | None

    def same(self, other: "Version") -> bool:
        """Whether both are of the same write; a listing or an answer may leave the number out."""
        if self.number and other.number:
            return self.number == other.number
        return self.etag == other.etag


class Found(NamedTuple):
    """An object, as it was when it was read."""

    content: bytes
    version: Version
    changed: datetime  # by the store's clock


class Size(NamedTuple):
    """An object's size in bytes, and its version."""

    bytes: int
    version: Version
    changed: datetime  # by the store's clock


class Range(NamedTuple):
    """Some bytes of an object, and what it was when they were read."""

    content: bytes
    size: Size


@dataclass(frozen=True)
class ObjectStore:
    """The objects under one address; keys are relative to it."""

    address: Address

    @cached_property
    def _obstore(self) -> Any:
        try:
            import obstore
        except ModuleNotFoundError:
            raise StoreError(f"{self.address}: {lacking('obstore')}") from None
        return obstore

    @cached_property
    def _store(self) -> Any:
        obstore = self._obstore
        address = self.address
        how: dict[str, Any] = {
            "prefix": address.prefix or None,
            "retry_config": {
                "max_retries": REPEATS,
                "backoff": {
                    "init_backoff": timedelta(seconds=FIRST_WAIT),
                    "max_backoff": timedelta(seconds=LONGEST_WAIT),
                    "base": 2,
                },
                "retry_timeout": timedelta(seconds=REQUEST_SECONDS),
            },
        }
        try:
            if address.scheme == "gs":
                return obstore.store.GCSStore(address.bucket, **how)
            if address.scheme == "az":
                return obstore.store.AzureStore(address.bucket, **how)
            return obstore.store.S3Store(address.bucket, **how, **profile())
        except (obstore.exceptions.BaseError, ValueError, OSError):
            raise not_set_up(address) from None

    # --- reading ---------------------------------------------------------------------------------

    def get(self, key: str) -> Found | None:
        """Return a small object, None if there is none.

        Raises:
            StoreError: the store refuses, or cannot be reached.
        """

        def ask() -> Found | None:
            try:
                found = self._obstore.get(self._store, key)
                said = found.meta
                return Found(bytes(found.bytes()), _version(said), said["last_modified"])
            except FileNotFoundError as error:
                self._absent(error)
                return None

        return self._again(ask)

    def size(self, key: str) -> Size | None:
        """Return an object's size, None if there is none.

        Raises:
            StoreError: as `get`.
        """

        def ask() -> Size | None:
            try:
                return _size(self._obstore.head(self._store, key))
            except FileNotFoundError as error:
                self._absent(error)
                return None

        return self._again(ask)

    def download(self, key: str, path: Path) -> str | None:
        """Write an object to a file; return its sha256, None if there is no such object.

        If it fails, there may be a part of the file; the caller removes it.

        Raises:
            StoreError: as `get`.
            OSError: the disk is full or not writable.
        """

        def ask() -> str | None:
            try:
                found = self._obstore.get(self._store, key)
            except FileNotFoundError as error:
                self._absent(error)
                return None
            digest = hashlib.sha256()
            with path.open("wb") as file:
                for block in found.stream(min_chunk_size=BLOCK):
                    digest.update(block)
                    file.write(block)
                if file.tell() != found.meta["size"]:
                    raise self._obstore.exceptions.GenericError("the body broke off")
            return digest.hexdigest()

        return self._again(ask)

    def read(
        self, key: str, start: int, length: int, version: Version | None = None
    ) -> "Range | None":
        """Return a range of an object, fewer bytes only at its end; None if there is no object.

        With a `version`, the object must still be of it.

        Raises:
            StoreError: as `get`; or the object has changed, or is gone.
        """
        said = self._obstore.exceptions
        how: dict[str, Any] = {"range": (start, start + length)}
        if version is not None and version.etag:
            how["if_match"] = version.etag

        def ask() -> Range | None:
            try:
                answer = self._obstore.get(self._store, key, options=how)
                data, size = bytes(answer.bytes()), _size(answer.meta)
            except (FileNotFoundError, said.PreconditionError) as error:
                if isinstance(error, FileNotFoundError):
                    self._absent(error)
                    if version is None:
                        return None
                raise StoreError(
                    f"{self.address}/{key}: has changed or is gone since it was looked at; run the "
                    "same command again"
                ) from None
            except said.BaseError as error:
                # A server may also answer with none of the bytes, which obstore takes for an error.
                there = self.size(key) if status(str(error)) in {BEYOND, None} else None
                if there and start >= there.bytes:
                    return Range(b"", there)
                raise
            if len(data) != min(length, size.bytes - start):
                raise said.GenericError("the body broke off")
            return Range(data, size)

        return self._again(ask)

    def folders(self, under: str | None = None) -> list[str]:
        """Return the names of what would be folders in a file system, under a key or the address.

        Raises:
            StoreError: as `get`; also if there is no such bucket.
        """
        found = self._again(lambda: self._obstore.list_with_delimiter(self._store, under))
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])

    def keys(self, under: str) -> dict[str, int]:
        """Return the keys that begin with `under` and a slash, and their sizes in bytes.

        Raises:
            StoreError: as `get`.
        """
        return {key: size.bytes for key, size in self.listed(under).items()}

    def listed(self, under: str) -> dict[str, Size]:
        """Return the keys that begin with `under` and a slash, and what their objects are.

        Raises:
            StoreError: as `get`.
        """

        def ask() -> dict[str, Size]:
            pages = self._obstore.list(self._store, prefix=under)
            return {one["path"]: _size(one) for page in pages for one in page}

        return self._again(ask)

    # --- writing ---------------------------------------------------------------------------------

    def put(self, key: str, content: bytes | Path) -> Version:
        """Write an object, whole or not at all; return its version.

        Raises:
            StoreError: as `get`.
        """

        def ask() -> Version:
            return _version(
                self._obstore.put(
                    self._store, key, content, chunk_size=CHUNK, max_concurrency=PARTS_AT_ONCE
                )
            )

        return self._again(ask)

    def put_whole(self, key: str, content: bytes | Path) -> Version:
        """Write an object, and look whether all of it has arrived; if not, write it again.

        Raises:
            StoreError: as `get`; or the store keeps other sizes than were sent.
        """
        for _ in range(WHOLE_TRIES):
            version = self.put(key, content)
            if self.has(key, version, _length(content)):
                return version
        raise self._cut(key)

    def has(self, key: str, version: Version, size: int) -> bool:
        """Whether an object is still of this version, and has so many bytes."""
        there = self.size(key)
        return there is not None and there.bytes == size and there.version.same(version)

    def swap(self, key: str, content: bytes, before: Version | None) -> Version | None:
        """Write an object only if it still is of this version (None: if there is none).

        Of several that try, exactly one succeeds. Content that nobody else writes, as a random
        number is in it, is recognised as one's own when only the answer was lost.

        Returns:
            Its new version; None if another was quicker.

        Raises:
            StoreError: as `put_whole`.
        """
        for _ in range(WHOLE_TRIES):
            version = self._swap_once(key, content, before)
            if version is None:
                return None
            there = self.size(key)
            if not there or not there.version.same(version) or there.bytes == len(content):
                return version  # also if others have written it since
            before = version
        raise self._cut(key)

    def _swap_once(self, key: str, content: bytes, before: Version | None) -> Version | None:
        said = self._obstore.exceptions
        parts = {} if before is None else {"e_tag": before.etag, "version": before.number}
        mode = {name: part for name, part in parts.items() if part is not None} or "create"

        def ask() -> Version | None:
            try:
                return _version(self._obstore.put(self._store, key, content, mode=mode))
            except (said.AlreadyExistsError, said.PreconditionError, FileNotFoundError) as error:
                if isinstance(error, FileNotFoundError):
                    self._absent(error)
            now = self.get(key)
            return now.version if now and now.content == content else None

        return self._again(ask)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there.

        Raises:
            StoreError: as `get`.
        """

        def ask() -> None:
            try:
                self._obstore.delete(self._store, key)
            except FileNotFoundError as error:
                self._absent(error)

        self._again(ask)

    # --- errors ----------------------------------------------------------------------------------

    def _again(self, ask: Callable[[], T]) -> T:
        """Ask; repeat what may succeed later, and turn what cannot into one line."""
        for number in range(TRIES):
            try:
                return ask()
            except self._obstore.exceptions.BaseError as error:
                said = str(error)
            except (FileNotFoundError, PermissionError) as error:
                if error.filename is not None:  # of this machine's disk
                    raise
                said = str(error)
            except TimeoutError as error:
                said = str(error)
            code = status(said)
            if (code and code < 500 and code not in (408, 409, 429)) or number == TRIES - 1:
                raise failed(self.address, said)
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2**number)
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 -- so that not all come at once
        raise AssertionError("the last try returns or raises")

    def _cut(self, key: str) -> StoreError:
        return StoreError(
            f"{self.address}/{key}: the store does not have the bytes that were sent, so the step "
            "is not finished there; run the same command again"
        )

    def _absent(self, error: Exception) -> None:
        """Raise if not the object is missing, but the bucket."""
        if of_the_bucket(str(error)):
            raise failed(self.address, str(error)) from None


def _version(said: Mapping[str, Any]) -> Version:
    # "null" is the number of whatever a bucket without versions has now; some answers leave it out.
    etag, number = said["e_tag"], said["version"]
    if etag and not etag.endswith('"'):  # Azure's listings have it bare; a condition wants quotes
        etag = f'"{etag}"'
    return Version(etag, None if number == "null" else number)


def _length(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _size(said: Mapping[str, Any]) -> Size:
    return Size(said["size"], _version(said), said["last_modified"])
