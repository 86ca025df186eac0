"""What a build and workers that share only a store with it send each other (`store_parts`)."""

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from webtext.pipeline.core.directories.places import ABOUT
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Work
from webtext.pipeline.core.shards import PARTIAL, sync_directory
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.store_parts import (
    ONCE,
    PARTS,
    Away,
    Done,
    OnlyHereError,
    Written,
    manifests,
    packed,
)
from webtext.pipeline.core.stores.working_copy import WorkingCopy

AT_ONCE = 8  # items whose files are on their way at the same time


class Lacking(str):
    """The name of a file that an item needs; the item is to be done again."""

    __slots__ = ()


class Exchange:
    """The files of one run of a build that go to its workers, and come from them."""

    def __init__(self, copy: WorkingCopy) -> None:
        self.copy = copy
        self.run = uuid4().hex
        self.absent: set[str] = set()
        self._sent: dict[Path, tuple[int, int]] = {}  # by file, its size and time of change
        self._begun = False
        self._lock = threading.Lock()

    def away(self) -> Away:
        """Return what a worker must know of the data directory now."""
        root = self.copy.root
        if not self._begun:  # a build holds the lock by now, so nobody else's are there
            self._begun = True
            self._clear()
        beside = root / ABOUT
        folders = [f"{ABOUT}/{one.name}" for one in beside.iterdir()] if beside.is_dir() else []
        address = str(self.copy.store.address)
        return Away(address, self.run, manifests(root), tuple(folders), frozenset(self.absent))

    def packed(self, work: Work, item: Any) -> bytes:
        """Return an item as workers take it.

        Raises:
            OnlyHereError: it is about a file that only this machine has.
        """
        return packed(self.copy.root, work, item)

    def only_here(self, work: Work, items: Iterable[Any]) -> Path | None:
        """Return a file that only this machine has, and an item is about; None if there is none."""
        try:
            packed(self.copy.root, work, list(items))  # one pickle: it looks at `work` once
        except OnlyHereError as error:
            return Path(error.args[0])
        return None

    def take(self, said: Done | Lacking) -> tuple[bool, Any]:
        """Fetch the files that an item wrote, or send those that it lacks.

        Returns:
            Whether it is done, and what it returned.

        Raises:
            StoreError: the store refuses, cannot be reached, or has other bytes than were sent.
        """
        if isinstance(said, Lacking):
            self._give(said)
            return False, None
        for written in said.files:
            self._fetch(written)
        return True, said.result

    def _fetch(self, written: Written) -> None:
        if Path(written.name).is_absolute() or ".." in Path(written.name).parts:
            raise UserError(f"{written.name}: a worker wrote outside of the data directory")
        path = self.copy.root / written.name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid4().hex}{PARTIAL}")
        try:
            found = self.copy.store.download(self._key(written.name), partial)
            if found != written.sha256:
                raise StoreError(
                    f"{self.copy.store.address}/{self._key(written.name)}: is not what a worker "
                    "has sent; run the same command again"
                )
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # a name says that all of a file is on the disk
            partial.replace(path)
            sync_directory(path.parent)
            self._sent[path] = _stamp(path)
        finally:
            partial.unlink(missing_ok=True)
        if ONCE in path.name:
            self.copy.store.delete(self._key(written.name))

    def _give(self, name: str) -> None:
        """Send a file, and the others of its folder: most items lack those too."""
        folder = (self.copy.root / name).parent
        asked = self.copy.root / name
        with self._lock:
            found = [
                one
                for one in _files(folder)
                if self._sent.get(one) != _stamp(one) or (one == asked and self._gone(name))
            ]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._send, found))
            if not asked.exists():
                self.absent.add(name)

    def _gone(self, name: str) -> bool:
        """Whether a file that was sent is not there; many ask for one before it has come."""
        return self.copy.store.size(self._key(name)) is None

    def _send(self, path: Path) -> None:
        before = _stamp(path)
        self.copy.store.put_whole(self._key(str(path.relative_to(self.copy.root))), path)
        self._sent[path] = before

    def _key(self, name: str) -> str:
        return f"{PARTS}/{self.run}/{name}"

    def close(self) -> None:
        """Remove what was on its way; if that fails, the next run does it.

        Another build may be at work there, if this one was refused the lock.
        """
        with suppress(StoreError):
            self._clear(f"{PARTS}/{self.run}")

    def _clear(self, folder: str = PARTS) -> None:
        for key in self.copy.store.keys(folder):
            self.copy.store.delete(key)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.endswith(PARTIAL):
                yield path


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


class Coming:
    """Items whose workers are done, and whose files are on their way."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._futures: dict[Future[tuple[bool, Any]], tuple[int, Any]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, number: int, item: Any, said: Done | Lacking) -> None:
        """Take what a worker said of an item."""
        self._futures[self._pool.submit(self._exchange.take, said)] = (number, item)

    def wait(self, seconds: float) -> Iterator[tuple[int, Any, bool, Any]]:
        """Yield number, item, whether it is done, and its result, of those that have come."""
        for future in wait(self._futures, seconds, FIRST_COMPLETED).done:
            number, item = self._futures.pop(future)
            yield number, item, *future.result()

    def close(self) -> None:
        """Fetch no more."""
        self._pool.shutdown(cancel_futures=True)
