"""Byte ranges of files in a folder, an object store or behind an HTTP server, near ones together.

The server is asked by the crawl's own client, with its guards: checked addresses, limits of time,
our name. What it asks for is obeyed: after 429 or a failure nobody asks until Retry-After or the
back-off is over, and there are never more requests a second than `commoncrawl.rate`.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores import seen_objects
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.stored_files import ByPlace, in_store
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.http.address_guard import Resolver
from webtext.pipeline.crawl.http.client import Client, Failed, host_and_port
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls import urls

PIECE = 4 << 20  # bytes of one request at most, unless one record is longer
TOGETHER = 32  # requests that are given out at a time
AGAIN = frozenset(
    {403, 408, 429, 500, 502, 503, 504}
)  # 403: how Common Crawl's front refuses haste
GONE = frozenset({404, 410, 416})
GO_ON = "run the same command again: it goes on from there"


class Piece(NamedTuple):
    """A range of a file."""

    file: str  # relative to the prefix
    start: int  # bytes
    length: int  # bytes


def merged(pieces: Sequence[Piece], gap: int, most: int = PIECE) -> list[tuple[Piece, list[int]]]:
    """Put ranges together that are at most `gap` bytes apart; give the places of each one's parts.

    `pieces` are sorted.

    >>> merged([Piece("a", 0, 5), Piece("a", 7, 3), Piece("a", 30, 1)], gap=2)
    [(Piece(file='a', start=0, length=10), [0, 1]), (Piece(file='a', start=30, length=1), [2])]
    """
    found: list[tuple[Piece, list[int]]] = []
    for number, piece in enumerate(pieces):
        if found:
            last, parts = found[-1]
            end = max(last.start + last.length, piece.start + piece.length)
            near = piece.file == last.file and piece.start - last.start - last.length <= gap
            if near and end - last.start <= most:
                found[-1] = (Piece(last.file, last.start, end - last.start), [*parts, number])
                continue
        found.append((piece, [number]))
    return found


class Folder:
    """The files of a local copy."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.requests = self.bytes = 0  # what was read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def size(self, file: str) -> int | None:
        """Return the size of a file in bytes, None if there is none."""
        path = self.prefix / file
        return path.stat().st_size if path.is_file() else None

    def read(self, pieces: Sequence[Piece]) -> list[bytes | None]:
        """Return the bytes of each range; fewer at a file's end, None without the file."""
        return [self._one(piece) for piece in pieces]

    def tables(self, folder: str) -> list[str]:
        """Return the names of the Parquet files under a folder."""
        found = sorted((self.prefix / folder).rglob("*.parquet"))
        return [path.relative_to(self.prefix).as_posix() for path in found]

    def _one(self, piece: Piece) -> bytes | None:
        self.requests += 1
        try:
            with (self.prefix / piece.file).open("rb") as file:
                found = os.pread(file.fileno(), piece.length, piece.start)
        except FileNotFoundError:
            return None
        self.bytes += len(found)
        return found


class Server:
    """The files behind an HTTP server that answers byte ranges. Use it as a context manager.

    Raises:
        UserError: nobody is named to whom it could complain; the server refuses, fails at every
            attempt, or answers no ranges.
    """

    def __init__(self, settings: CommonCrawl, crawl: Crawl) -> None:
        self.settings = settings
        self.prefix = urls.normalise(settings.prefix.rstrip("/") + "/")
        self.crawl = replace(crawl, ports=(host_and_port(self.prefix)[1],), part="")
        self.crawl.check_contact()
        self.requests = self.bytes = 0  # what was sent and received
        self._sizes: dict[str, int] = {}
        self._next = 0.0  # the earliest time of the next request, monotonic

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        try:
            self._runner.run(self._open())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    async def _open(self) -> None:
        self._resolver = Resolver(self.crawl)
        plain = {"Accept": "*/*", "Accept-Encoding": "identity"}  # ranges are of the stored bytes
        self._client = Client(self.crawl, self._resolver, plain)
        self._slots = asyncio.Semaphore(self.settings.connections)
        await self._client.__aenter__()

    async def _close(self) -> None:
        await self._client.__aexit__()
        await self._resolver.close()

    def size(self, file: str) -> int | None:
        """Return the size of a file in bytes, None if there is none."""
        if file not in self._sizes and self.read([Piece(file, 0, 1)]) == [None]:
            return None
        return self._sizes[file]

    def tables(self, folder: str) -> list[str]:
        """Return no names: a server lists nothing."""
        del folder
        return []

    def read(self, pieces: Sequence[Piece]) -> list[bytes | None]:
        """Return the bytes of each range; fewer at a file's end, None without the file."""
        return self._runner.run(self._all(pieces))

    async def _all(self, pieces: Sequence[Piece]) -> list[bytes | None]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(piece)) for piece in pieces]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were stopped because of it
        return [task.result() for task in tasks]

    async def _one(self, piece: Piece) -> bytes | None:
        url = self.prefix + piece.file
        said = ""
        for attempt in range(self.settings.attempts):
            pause = self.crawl.backoff * 2**attempt
            async with self._slots:
                await self._turn()
                try:
                    return await self._asked(url, piece)
                except Failed as failed:
                    said = failed.fate.removeprefix("crawl.")
                    said += f", status {failed.value:g}" if failed.value else ""
                    if not failed.again:
                        break
                    wait = max(failed.retry_after or 0.0, min(pause, self.crawl.max_backoff))
                    self._next = max(self._next, time.monotonic() + wait)
        raise UserError(f"{url}: {said}, at the last of {attempt + 1} attempts; {GO_ON}")

    async def _turn(self) -> None:
        """Wait until the next request may be sent."""
        while (wait := self._next - time.monotonic()) > 0:  # noqa: ASYNC110 - later for all after a 429
            await asyncio.sleep(wait)
        self._next = time.monotonic() + 1 / self.settings.rate

    async def _asked(self, url: str, piece: Piece) -> bytes | None:
        """Return the range that a server answers with, None if it has no such file.

        Raises:
            Failed: it gives none now.
            UserError: it gives no ranges.
        """
        self.requests += 1
        last = piece.start + piece.length - 1
        with await self._client.get(url, {"Range": f"bytes={piece.start}-{last}"}) as arrived:
            status = arrived.head.status
            if status in GONE:
                return None
            if status != 206:
                if status == 200:
                    raise UserError(
                        f"{url}: answers with the whole file; wanted a server of byte ranges"
                    )
                wait = arrived.head.retry_after(self.crawl.max_backoff)
                raise Failed("crawl.refused", status, again=status in AGAIN, retry_after=wait)
            body = await arrived.read(piece.length)
        first, _, size = (arrived.head.first("Content-Range") or "").partition("/")
        expected = f"bytes {piece.start}-{piece.start + len(body.data) - 1}"
        if body.truncated or first != expected or not size.isdigit():
            raise Failed("crawl.connect", again=True)
        if len(body.data) < min(piece.length, int(size) - piece.start):
            raise Failed("crawl.connect", again=True)
        self._sizes[piece.file] = int(size)
        self.bytes += len(body.data)
        return body.data


class Bucket:
    """The files in an object store, whose client repeats what fails and obeys 429 and 503.

    Raises:
        UserError: the store refuses, or cannot be reached.
    """

    def __init__(self, settings: CommonCrawl) -> None:
        self.settings = settings
        self.prefix = settings.prefix
        self.requests = self.bytes = 0  # what was asked for and received
        self._folder = parse(settings.prefix)
        self._turns = threading.Lock()
        self._next = 0.0  # the earliest time of the next request, monotonic

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def size(self, file: str) -> int | None:
        """Return the size of a file in bytes, None if there is none."""
        if not seen_objects.known(self._folder / file):
            self._turn()
        found = seen_objects.size(self._folder / file)
        return found.bytes if found else None

    def read(self, pieces: Sequence[Piece]) -> list[bytes | None]:
        """Return the bytes of each range; fewer at a file's end, None without the file."""
        with ThreadPoolExecutor(self.settings.connections) as pool:
            return list(pool.map(self._one, pieces))

    def tables(self, folder: str) -> list[str]:
        """Return the names of the Parquet files under a folder."""
        self._turn()
        found = map(str, seen_objects.listed(self._folder / folder))
        before = len(str(self._folder)) + 1
        return sorted(name[before:] for name in found if name.endswith(".parquet"))

    def _one(self, piece: Piece) -> bytes | None:
        self._turn()
        data = seen_objects.read(self._folder / piece.file, piece.start, piece.length)
        self.bytes += len(data or b"")
        return data

    def _turn(self) -> None:
        """Wait until the next request may be sent."""
        with self._turns:
            self.requests += 1
            at = max(self._next, time.monotonic())
            self._next = at + 1 / self.settings.rate
        time.sleep(max(0.0, at - time.monotonic()))


Store = Folder | Server | Bucket


def store(settings: CommonCrawl, crawl: Crawl) -> Store:
    """Return where the files of Common Crawl are read.

    Raises:
        UserError: a folder that does not exist, or a server to which nobody may go.
    """
    if in_store(settings.prefix):
        seen_objects.look_again()
        return Bucket(settings)
    if "://" in settings.prefix:
        return Server(settings, crawl)
    if not Path(settings.prefix).is_dir():
        raise UserError(
            f"commoncrawl.prefix: {settings.prefix}: no such folder; wanted the one in which "
            "cc-index/ and crawl-data/ lie, or https://data.commoncrawl.org"
        )
    return Folder(Path(settings.prefix))


def gathered(store: Store, pieces: Iterable[Piece], gap: int) -> Iterator[tuple[Piece, bytes]]:
    """Yield the bytes of sorted ranges, in order; b"" for what is not there."""
    asked = list(pieces)
    groups = merged(asked, gap)
    for start in range(0, len(groups), TOGETHER):
        batch = groups[start : start + TOGETHER]
        answers = store.read([whole for whole, _ in batch])
        for (whole, parts), data in zip(batch, answers, strict=True):
            for piece in map(asked.__getitem__, parts):
                at = piece.start - whole.start
                yield piece, (data or b"")[at : at + piece.length]


def lines(store: Store, file: str) -> Iterator[bytes]:
    """Yield the lines of a file of text, read in large pieces.

    Raises:
        UserError: as `pieces_of`.
    """
    held = b""
    for data in pieces_of(store, file):
        *full, held = (held + data).split(b"\n")
        yield from full
    if held:
        yield held


def pieces_of(store: Store, file: str) -> Iterator[bytes]:
    """Yield all bytes of a file; its size is what the answer to the first request says.

    Raises:
        UserError: there is no such file, or not all of it.
    """
    (data,) = store.read([Piece(file, 0, PIECE)])
    size = store.size(file) if data is not None else None
    if data is None or size is None:
        raise UserError(f"commoncrawl.crawls: {store.prefix}: has no {file}; is the name right?")
    yield data
    for start in range(PIECE, size, PIECE):
        piece = Piece(file, start, min(PIECE, size - start))
        (data,) = store.read([piece])
        if data is None or len(data) < piece.length:
            raise UserError(
                f"{store.prefix}: {file}: gone from byte {start + len(data or b'')} of {size} on, "
                f"while it was read; {GO_ON}"
            )
        yield data


class Ranged(ByPlace):
    """A file of a store, for readers that seek."""

    def __init__(self, store: Store, file: str) -> None:
        size = store.size(file)
        if size is None:
            raise UserError(f"{store.prefix}: has no {file}, which its list of tables names")
        super().__init__(size)
        self._store, self._file = store, file

    def pread(self, length: int, at: int) -> bytes:
        length = min(length, self.size - at)
        if length <= 0:
            return b""
        (data,) = self._store.read([Piece(self._file, at, length)])
        if data is None:
            raise UserError(f"{self._store.prefix}: {self._file} was there and is gone; {GO_ON}")
        return data
