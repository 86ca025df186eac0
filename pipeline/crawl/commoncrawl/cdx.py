"""The CDX index of a crawl: `cluster.idx` says with which key each block of `cdx-*.gz` begins.

A block has 3,000 lines in a gzip member of its own. Both files are sorted by key, and so are our
keys: one pass over `cluster.idx` finds all blocks that may have one of them.

Source: https://pywb.readthedocs.io/en/latest/manual/indexing.html (zipnum), and Common Crawl's own
files under cc-index/collections/.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.commoncrawl.askers import Alone
from webtext.pipeline.crawl.commoncrawl.captures import REVISIT, Capture, page_of, status_of, unix
from webtext.pipeline.crawl.commoncrawl.ranges import (
    TOGETHER,
    Piece,
    Store,
    gathered,
    lines,
    merged,
)

CLUSTER = "cluster.idx"


class Line(msgspec.Struct):
    """What a line of a CDX index says of a record, after its key and its time."""

    url: str
    filename: str
    offset: str
    length: str
    status: str | None = None
    mime: str | None = None
    mime_detected: str | None = msgspec.field(name="mime-detected", default=None)
    redirect: str | None = None
    digest: str | None = None


_decoder = msgspec.json.Decoder(Line, strict=False)


class Block(NamedTuple):
    """A block of lines, and the keys between which they lie, both included."""

    piece: Piece
    first: bytes
    last: bytes | None  # the first of the next block; None: there is none


class Blocks(NamedTuple):
    """Some blocks in a row, and those of our keys that they may have."""

    crawl: str
    pieces: list[Piece]
    keys: Sequence[bytes]
    gap: int


def captures(asker: Alone, crawl: str, keys: Sequence[bytes], gap: int) -> Iterator[Capture]:
    """Yield all captures of one crawl that have one of the sorted `keys`, in the index's order.

    Raises:
        UserError: the crawl has no such index, or it is damaged.
    """
    folder = f"cc-index/collections/{crawl}/indexes"
    blocks = list(needed(lines(asker.store, f"{folder}/{CLUSTER}"), keys, folder))
    for found in asker.each(captures_of, _in_groups(blocks, crawl, keys, gap)):
        yield from found


def _in_groups(
    blocks: list[Block], crawl: str, keys: Sequence[bytes], gap: int
) -> Iterator[Blocks]:
    """Yield the blocks of so many requests together, with their keys."""
    groups = merged([block.piece for block in blocks], gap)
    for start in range(0, len(groups), TOGETHER):
        numbers = [number for _, parts in groups[start : start + TOGETHER] for number in parts]
        first, last = blocks[numbers[0]].first, blocks[numbers[-1]].last
        ends = len(keys) if last is None else bisect_right(keys, last)
        mine = keys[bisect_left(keys, first) : ends]
        yield Blocks(crawl, [blocks[number].piece for number in numbers], mine, gap)


def captures_of(store: Store, blocks: Blocks) -> list[Capture]:
    """Return the captures of some blocks.

    Raises:
        UserError: one is damaged.
    """
    captures: list[Capture] = []
    keys = blocks.keys
    for block, data in gathered(store, blocks.pieces, blocks.gap):
        try:
            found = zlib.decompress(data, zlib.MAX_WBITS | 16).splitlines()
            for line in found:
                key, _, rest = line.partition(b" ")
                place = bisect_left(keys, key)
                if place < len(keys) and keys[place] == key:
                    captures += _capture(blocks.crawl, rest)
        except (zlib.error, ValueError, msgspec.MsgspecError) as error:
            raise UserError(
                f"{store.prefix}: {block.file} at byte {block.start}: no block of an index "
                f"({error}); wanted what {CLUSTER} names: get both anew"
            ) from error
    return captures


def needed(cluster: Iterable[bytes], keys: Sequence[bytes], folder: str) -> Iterator[Block]:
    """Yield the blocks that may have one of the sorted keys.

    A block's lines lie between its own first key and that of the next block, both included.

    Raises:
        UserError: a line that names no block.
    """
    before: tuple[bytes, Piece] | None = None
    for line in cluster:
        parts = line.split(b"\t")
        try:
            first = parts[0].partition(b" ")[0]
            piece = Piece(f"{folder}/{parts[1].decode()}", int(parts[2]), int(parts[3]))
        except (IndexError, ValueError):
            raise UserError(f"{folder}/{CLUSTER}: no line of it: {line[:80]!r}") from None
        if before is not None and _within(keys, before[0], first):
            yield Block(before[1], before[0], first)
        before = first, piece
    if before is not None and _within(keys, before[0], None):
        yield Block(before[1], before[0], None)


def _within(keys: Sequence[bytes], first: bytes, last: bytes | None) -> bool:
    place = bisect_left(keys, first)
    return place < len(keys) and (last is None or keys[place] <= last)


def _capture(crawl: str, rest: bytes) -> Iterator[Capture]:
    stamp, _, said = rest.partition(b" ")
    line = _decoder.decode(said)
    identity = page_of(line.url)
    if identity is None or line.mime == REVISIT:
        return
    yield Capture(
        identity,
        line.url,
        unix(stamp.decode()),
        status_of(line.status),
        line.mime_detected or line.mime,
        line.redirect,
        line.digest,
        line.filename,
        int(line.offset),
        int(line.length),
        crawl,
    )
