"""Read bytes and lines of compressed files in bounded memory, and report truncated files.

Lines are split as bytes and decoded one by one, so that no character is split at the edge of a
block. The format is known by a file's first bytes, not by its name: dumps get renamed and
recompressed.
"""

import bz2
import codecs
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

# Reddit's dumps are compressed with `zstd --long=31`: a reader must be willing to hold 2 GiB.
# Only as much of it is used as the file has decompressed bytes.
ZSTD_WINDOW = 1 << 31

# A zstd block of 4 bytes may stand for 128 KiB, so this much input is at most 128 MiB of output.
# Source: RFC 8878, section 3.1.1.2 (Block_Maximum_Size and RLE_Block)
ZSTD_STEP = 1 << 12

AT_ONCE = 1 << 18  # bytes of output at a time: enough to make the cost of the calls small

STEP = 1 << 16  # bytes of input at a time, for formats whose output can be requested in pieces
BUFFER = 1 << 20  # bytes of one read of a file, and of one progress report
PIECE = 1 << 20  # bytes of output at a time, for those
LINE_BOUND = 1 << 24  # bytes; the longest line of a real submission has some hundred thousand
CUT_SHORT = -1  # instead of a line's length

MAGIC = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"\x5d\x00\x00": "xz",  # of its forerunner, .lzma
    b"BZh": "bz2",
    b"\x1f\x8b": "gzip",
    b"PAR1": "parquet",
}
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK_BOUND = 1 << 28  # bytes of a block of .zst_blocks, decompressed; Arctic Shift's have some MB
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after a byte of 0x50 to 0x5f. Source: RFC 8878, section 3.1.2


class ArchiveError(ValueError):
    """A compressed file is truncated, or is damaged from some point on."""


class _Piecewise(Protocol):
    """The common interface of the standard library's decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def container(path: Path) -> str:
    """Return zstd, zst_blocks, xz, bz2, gzip, parquet, or "" for others, by the first bytes."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[1:4] == ZSTD_SKIPPABLE and head[0] >> 4 == 5:
        return "zstd"
    if head[4:] == ZSTD_MAGIC and not head.startswith(tuple(MAGIC)):
        return "zst_blocks"
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


def blocks(path: Path, tick: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file, in order; `tick` gets the compressed bytes read.

    Archives of several frames or members, as parallel compressors write, are read as one.

    Raises:
        ArchiveError: the file ends early or is damaged; all that could be read has been yielded.
    """
    kind = container(path)
    step = ZSTD_STEP if kind == "zstd" else STEP
    with path.open("rb", buffering=0) as file:
        steps = _steps(file, step, tick)
        if kind == "zstd":
            yield from _zstd(steps)
        elif kind == "zst_blocks":
            yield from _zst_blocks(steps)
        elif kind in _OPENERS:
            yield from _piecewise(steps, _OPENERS[kind])
        else:
            yield from steps


def _steps(file: BinaryIO, size: int, tick: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a file in steps; report them no more often than people look."""
    while data := file.read(BUFFER):
        for start in range(0, len(data), size):
            yield data[start : start + size]
        tick(len(data))


def _zstd(steps: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    frame = decompressor.decompressobj()
    held: list[bytes] = []  # most steps give no output; passing empty output on costs as much
    size = 0
    try:
        for step in steps:
            data = step
            while data:
                if frame.eof:
                    frame = decompressor.decompressobj()
                if piece := frame.decompress(data):
                    held.append(piece)
                    size += len(piece)
                data = frame.unused_data if frame.eof else b""
            if size >= AT_ONCE:
                yield b"".join(held)
                held, size = [], 0
    except zstandard.ZstdError as error:
        yield b"".join(held)
        raise ArchiveError(f"damaged zstd frame ({error})") from None
    yield b"".join(held)
    if not frame.eof:
        raise ArchiveError("ends within a zstd frame")


def _zst_blocks(steps: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows of blocks, one line for each.

    A block is its length and one zstd frame, which holds the number of rows, the offset and the
    length of each, and the rows; all numbers have 32 bits, little-endian.

    Source: https://github.com/ArthurHeitmann/zst_blocks_format
    """
    held = bytearray()
    for step in steps:
        held += step
        while len(held) >= 4 and len(held) >= 4 + (size := struct.unpack_from("<I", held)[0]):
            frame = bytes(held[4 : 4 + size])
            del held[: 4 + size]
            yield b"".join(row + b"\n" for row in _block_rows(frame))
    if held:
        raise ArchiveError("ends within a block")


def _block_rows(frame: bytes) -> Iterator[bytes]:
    """Yield the rows of one block.

    Raises:
        ArchiveError: it is damaged.
    """
    try:
        if zstandard.get_frame_parameters(frame).content_size > BLOCK_BOUND:
            raise ArchiveError(f"a block of more than {BLOCK_BOUND} bytes")
        data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=BLOCK_BOUND)
        (count,) = struct.unpack_from("<I", data)
        start = 4 + 8 * count
        for number in range(count):
            place, length = struct.unpack_from("<II", data, 4 + 8 * number)
            if start + place + length > len(data):
                raise ArchiveError("a row that lies outside its block")
            yield data[start + place : start + place + length].strip(b"\r\n")
    except (zstandard.ZstdError, struct.error) as error:
        raise ArchiveError(f"damaged block ({error})") from None


def utf8(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Convert a text in UTF-16, or with CR as line ends, to UTF-8 with LF as line ends.

    CR ends lines if the first block has no LF; otherwise it is an ordinary character.
    """
    blocks = iter(stream)
    first = next(blocks, b"")
    name = next((name for bom, name in WIDE if first.startswith(bom)), None)
    if name is None and _wide.match(first):
        name = "utf-16-le"
    if name is not None:
        blocks = _as_utf8(chain([first], blocks), name)
        first = next(blocks, b"")
    first = first.removeprefix(codecs.BOM_UTF8)
    bare = b"\n" not in first and _cr_ends.search(first) is not None
    yield first.replace(b"\r", b"\n") if bare else first
    first = b""  # it can be large
    yield from (block.replace(b"\r", b"\n") for block in blocks) if bare else blocks


def _as_utf8(stream: Iterable[bytes], name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(name)("replace")
    for block in stream:
        yield decoder.decode(block).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


_cr_ends = re.compile(rb"[!-~]{2}\r[!-~]{4}")
_wide = re.compile(rb"[{\[h]\0[\t\n\r -~]\0")  # the first two characters of JSON, or of a URL
WIDE = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class _Gzip:
    """zlib's decompressor, which keeps its unread input inside, as bz2's does."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_OPENERS: dict[str, Callable[[], _Piecewise]] = {
    "xz": lzma.LZMADecompressor,
    "bz2": bz2.BZ2Decompressor,
    "gzip": _Gzip,
}


def _piecewise(steps: Iterable[bytes], fresh: Callable[[], _Piecewise]) -> Iterator[bytes]:
    """Decompress one member after another."""
    member = fresh()
    for step in steps:
        data = step
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # xz pads between its streams, tapes after a gzip file
                if not data:
                    break
                member = fresh()
            yield from _outputs(member, data)
            data = member.unused_data if member.eof else b""
    if not member.eof:
        raise ArchiveError("ends within a compressed member")


def _outputs(member: _Piecewise, data: bytes) -> Iterator[bytes]:
    """Yield the output of a member for `data`, never more than a piece at a time."""
    while True:
        try:
            piece = member.decompress(data, PIECE)
        except (lzma.LZMAError, OSError, zlib.error) as error:
            raise ArchiveError(f"damaged ({error})") from None
        yield piece
        if member.eof or len(piece) < PIECE:
            return
        data = b""


def chunks(stream: Iterable[bytes], bound: int | None = None) -> Iterator[bytes | int]:
    """Split a stream after line ends, some blocks at a time; the last line may have no end.

    A line of more than `bound` bytes (by default `LINE_BOUND`) is not kept: its length in bytes
    stands in its place. If the stream raises ArchiveError, `CUT_SHORT` stands for the truncated
    line, if any, and all that would have followed.
    """
    longest = LINE_BOUND if bound is None else bound
    begun: list[bytes] = []  # pieces of a line whose end has not been read yet
    length = 0  # of that line, also if its pieces are no longer kept
    try:
        for block in stream:
            end = block.rfind(b"\n") + 1
            if end:
                first = block.find(b"\n") if length or end > longest else 0
                if length + first > longest:
                    yield length + first
                    yield from _bounded(block[first + 1 : end], longest)
                elif end > longest:
                    begun.append(block[: first + 1])
                    yield b"".join(begun)
                    yield from _bounded(block[first + 1 : end], longest)
                else:
                    begun.append(block[:end])
                    yield b"".join(begun)
                begun.clear()
                length = 0
            length += len(block) - end
            if length > longest:
                begun.clear()
            elif end < len(block):
                begun.append(block[end:])
    except ArchiveError:
        yield CUT_SHORT
        return
    if length:
        yield b"".join(begun) if length <= longest else length


def _bounded(block: bytes, longest: int) -> Iterator[bytes | int]:
    """Yield whole lines, successive ones together, and the lengths of lines that are too long."""
    if len(block) <= longest:
        if block:
            yield block
        return
    start = kept = 0
    while start < len(block):
        end = block.index(b"\n", start)
        if end - start > longest:
            if start > kept:
                yield block[kept:start]
            yield end - start
            kept = end + 1
        start = end + 1
    if kept < len(block):
        yield block[kept:]


def lines(stream: Iterable[bytes], bound: int | None = None) -> Iterator[bytes | int]:
    """Split a stream into lines, without their ends, one at a time; exceptions as in `chunks`."""
    for chunk in chunks(stream, bound):
        if isinstance(chunk, int):
            yield chunk
        else:
            yield from cut(chunk)


def cut(chunk: bytes) -> list[bytes]:
    """Return the lines of a chunk, without their ends."""
    found = chunk.split(b"\n")
    if not found[-1]:
        found.pop()
    return found
