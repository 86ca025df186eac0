"""The records that were taken, in WARC files of our own, each with where it lay.

A record is stored as it was: the bytes of its gzip member. A metadata record after it names the
file and the place that it was taken from, so the files alone say what need not be fetched again.
All that is ours in them follows from the places, so two builds of one index have the same bytes.
"""

import os
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from webtext.pipeline.archive import packing, payload, warc_records
from webtext.pipeline.archive.gzip_members import members
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import sync_directory
from webtext.pipeline.crawl.commoncrawl.askers import Alone
from webtext.pipeline.crawl.commoncrawl.captures import Capture
from webtext.pipeline.crawl.commoncrawl.ranges import TOGETHER, Piece, Store, gathered

FIELDS = "application/warc-fields"
SOURCE, OFFSET, LENGTH = "taken-from", "taken-from-offset", "taken-from-length"
FIRST = "1996-01-01T00:00:00Z"  # of our own records, so that their bytes do not depend on today
GROUP = TOGETHER * 8  # records between two syncs


class Place(NamedTuple):
    """Where a record lies in our files."""

    file: str
    offset: int  # bytes
    length: int  # bytes


class Taken:
    """The records of a pages directory. Whatever a kill left of the last one is written again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.places: dict[tuple[str, int], Place] = {}  # by file and offset in Common Crawl
        self.lost: set[tuple[str, int]] = set()  # no record lies there
        self.withheld: set[tuple[str, int]] = set()  # the record names what is left out on request
        for path in sorted(home.glob("*.warc.gz")):
            self._known(path)

    def _known(self, path: Path) -> None:
        """Note the records of a file, and cut what follows the last whole one."""
        end, before = 0, None
        for member in members(path):
            if member.content is None:
                before = None
            elif member.header("warc-type") == "metadata":
                said = payload.headers(b"\n" + member.block)
                source, at = (payload.header(said, name) for name in (SOURCE, OFFSET))
                if before is not None and source and (at or "").isdigit():
                    self.places[source, int(at or 0)] = before
                end = member.end
            elif member.header("warc-type") == "warcinfo":
                end = member.end
            else:
                before = Place(path.name, member.start, member.end - member.start)
        if end < path.stat().st_size:
            with path.open("rb+") as file:
                file.truncate(end)

    def take(
        self,
        asker: Alone,
        wanted: Iterable[tuple[int, Capture]],
        gap: int,
        progress: Progress,
        refused: Callable[[Capture, str | None], bool] | None = None,
    ) -> None:
        """Fetch the records that are not here yet, each for a shard of the links.

        `refused` says of a record, by the target of its redirect, whether it is not to be kept.
        """
        asked = {(one.file, one.offset): (shard, one) for shard, one in wanted}
        done = self.places.keys() | self.lost | self.withheld
        left = sorted(place for place in asked if place not in done)
        groups = (
            ([Piece(*place, asked[place][1].length) for place in left[start : start + GROUP]], gap)
            for start in range(0, len(left), GROUP)
        )
        progress(len(asked) - len(left), len(asked))
        for number, records in enumerate(asker.each(fetched, groups), 1):
            grown: dict[int, list[tuple[Piece, bytes]]] = {}
            for piece, data in records:
                place = piece.file, piece.start
                if not whole(data):
                    self.lost.add(place)
                elif refused and refused(asked[place][1], target(data)):
                    self.withheld.add(place)
                else:
                    grown.setdefault(asked[place][0], []).append((piece, data))
            for shard, mine in sorted(grown.items()):
                self._append(shard, mine)
            progress(len(asked) - max(0, len(left) - number * GROUP), len(asked))
        progress(len(asked), len(asked))

    def _append(self, shard: int, records: list[tuple[Piece, bytes]]) -> None:
        name = f"{shard:05d}.warc.gz"
        path = self.home / name
        new = not path.exists() or not path.stat().st_size
        with path.open("ab") as file:
            if new:
                file.write(_information(name))
            for piece, data in records:
                place = Place(name, file.tell(), len(data))
                file.write(data)
                file.write(_note(piece, data))
                self.places[piece.file, piece.start] = place
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_directory(self.home)


def fetched(store: Store, group: tuple[list[Piece], int]) -> list[tuple[Piece, bytes]]:
    """Return the bytes of ranges, those that are near in one request."""
    return list(gathered(store, *group))


def whole(data: bytes) -> bool:
    """Whether bytes are exactly one gzip member with a record in it."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        start = inflater.decompress(data, len(packing.RECORD_START))
        while not inflater.eof and (inflater.unconsumed_tail or start):
            piece = inflater.decompress(inflater.unconsumed_tail, 1 << 20)
            if not piece and not inflater.unconsumed_tail and not inflater.eof:
                return False
    except zlib.error:
        return False
    return inflater.eof and not inflater.unused_data and start.startswith(packing.RECORD_START)


def target(data: bytes) -> str | None:
    """Return the target that a record of an HTTP response names, None without one."""
    start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, 1 << 16)
    return location(start.partition(b"\r\n\r\n")[2])


def location(block: bytes) -> str | None:
    """Return the target that an HTTP response names, None without one."""
    return payload.address(block.partition(b"\r\n\r\n")[0], "location")


def _key(text: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}>"


def _information(name: str) -> bytes:
    fields = [("WARC-Filename", name), ("Content-Type", FIELDS)]
    notes = [("software", "webtext"), ("description", "records taken from Common Crawl")]
    block = warc_records.warc_fields(notes)
    return warc_records.member("warcinfo", _key(name), FIRST, fields, block)


def _note(piece: Piece, data: bytes) -> bytes:
    """Return the record that says where the one before it was taken from."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    head = payload.headers(inflater.decompress(data, 1 << 16).partition(b"\r\n\r\n")[0])
    fields = [("Content-Type", FIELDS)]
    for name, ours in (
        ("warc-target-uri", "WARC-Target-URI"),
        ("warc-record-id", "WARC-Refers-To"),
    ):
        if value := payload.header(head, name):
            fields.append((ours, value))
    notes = [(SOURCE, piece.file), (OFFSET, str(piece.start)), (LENGTH, str(piece.length))]
    key = _key(f"{piece.file}#{piece.start}")
    return warc_records.member("metadata", key, FIRST, fields, warc_records.warc_fields(notes))
