"""The responses that WARC files recorded, by URL; the bodies stay on disk."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

from webtext.pipeline.archive import packing
from webtext.pipeline.archive.warc import LARGE, Response, response_at, responses
from webtext.pipeline.urls import urls

MAX_BODY = 256_000_000  # bytes; longer bodies are cut


class Place(NamedTuple):
    """The place where a response can be read again."""

    file: int  # number of the WARC file, or SPOOL
    offset: int
    length: int
    head: int  # bytes of its head, in the spool
    status: int


SPOOL = -1  # instead of a file's number


class Archive:
    """The responses of some WARC files by URL; bodies stay on disk.

    Files that cannot be read at an offset are decompressed into a temporary file, once.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        self.sources = list(sources)
        self.hosts: set[str] = set()
        self.pages = 0  # responses that can be requested
        self.skipped = 0  # records that are not a whole HTTP response, or have no http URL
        self._places: dict[str, Place] = {}
        self._stack = ExitStack()
        spool = tempfile.TemporaryFile(prefix="webtext-replay-")  # noqa: SIM115 -- the stack does
        self._spool = self._stack.enter_context(spool)
        self._files: list[BinaryIO] = []
        try:
            for number, path in enumerate(self.sources):
                self._files.append(self._stack.enter_context(packing.opened(path)))
                for response in responses(path, MAX_BODY):
                    self._add(number, response)
        except BaseException:
            self.close()
            raise
        self._spool.flush()

    def close(self) -> None:
        """Close the files; this removes the temporary one."""
        self._stack.close()

    def _add(self, number: int, response: Response) -> None:
        """Index one response by its URL, and by its URL in any scheme and spelling."""
        status = response.status if response.head else 200
        try:
            scheme, _, rest = urls.normalise(response.url).partition("://")
        except ValueError:
            self.skipped += 1
            return
        if response.problem not in {None, LARGE} or status is None or status < 200:
            self.skipped += 1
            return
        host, _, target = rest.partition("/")
        keys = [f"{scheme}://{rest}", loose(host, f"/{target}")]
        known = [self._places.get(key) for key in keys]
        # The first answer stays, but an answer with a page replaces one without.
        better = [old is None or (status == 200 and old.status != 200) for old in known]
        if any(better):
            place = self._place(number, response, status)
            self._places |= {key: place for key, new in zip(keys, better, strict=True) if new}
        self.pages += known[0] is None
        self.hosts.add(host)

    def _place(self, number: int, response: Response, status: int) -> Place:
        """Return the place of a response, and copy it into the spool if necessary."""
        if response.offset is not None and response.length is not None:
            return Place(number, response.offset, response.length, 0, status)
        head = head_of(response)
        at = self._spool.tell()
        self._spool.write(head)
        self._spool.write(response.body)
        return Place(SPOOL, at, len(head) + len(response.body), len(head), status)

    def _find(self, scheme: str, host: str, target: str) -> Place | None:
        """Look up a URL as spelt, in the other scheme, by its `loose` form, in normal form."""
        url = f"{scheme}://{host}{target}"
        other = f"{'http' if scheme == 'https' else 'https'}://{host}{target}"
        for key in (url, other, loose(host, target)):
            if (place := self._places.get(key)) is not None:
                return place
        try:
            host, _, target = urls.normalise(url).partition("://")[2].partition("/")
        except ValueError:
            return None
        return self._places.get(loose(host, f"/{target}"))

    def find(self, scheme: str, host: str, target: str) -> tuple[bytes, bytes, int] | None:
        """Return head, body and status of the recorded response of a URL, in either scheme."""
        place = self._find(scheme, host, target)
        if place is None:
            return None
        if place.file == SPOOL:
            stored = os.pread(self._spool.fileno(), place.length, place.offset)
            return stored[: place.head], stored[place.head :], place.status
        path = self.sources[place.file]
        found = response_at(self._files[place.file], path, place.offset, place.length, MAX_BODY)
        return head_of(found), found.body, place.status


def loose(host: str, target: str) -> str:
    """Return a key that is the same for all spellings of one target, whatever the scheme.

    >>> loose("example.com", "/%7Ea%e3") == loose("example.com", "/~a%E3")
    True
    """
    return host + unquote_to_bytes(target).decode("latin-1")


def head_of(response: Response) -> bytes:
    """Return the recorded head, or a new one for a resource record, which has none."""
    if response.head:
        return response.head
    kind = (response.content_type or "application/octet-stream").encode("latin-1", "replace")
    return b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n"
