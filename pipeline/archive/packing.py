"""How a WARC file is compressed, and at which offsets it can be read."""

import codecs
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import zstandard

from webtext.pipeline.core.compressed import ZSTD_STEP, ZSTD_WINDOW
from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores.stored_files import pread

SCAN = 1 << 20  # bytes read at a time when searching for a place in a file
STORED = 1 << 14  # bytes of a gzip member that are decompressed at a time

RECORD_START = b"WARC/"
ARC_START = b"filedesc:"
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"  # of a skippable frame that holds the dictionary.
# Source: https://iipc.github.io/warc-specifications/specifications/warc-zstd/


_skippable = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # Source: RFC 8878, section 3.1.2

# How the line before a record of an ARC file begins.
_arc_line = re.compile(rb"\s*(?:https?|ftp|dns|filedesc):\S", re.IGNORECASE)


def opened(path: Path) -> BinaryIO:
    """Open a WARC file, fetched first if it lies in a store.

    Raises:
        UserError: it does not exist, or may not be read.
    """
    at_hand(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; wanted a WARC file") from None


def recognised(path: Path) -> bool:
    """Whether a file is WARC or ARC, by its first bytes or by its name.

    Raises:
        UserError: it may not be read.
    """
    names = {suffix.lower() for suffix in path.suffixes}
    if names & {".warc", ".arc"}:
        return True
    with opened(path) as raw:
        try:
            kind(raw, path)
        except UserError:
            return False
        return bare(pread(raw, SCAN, 0)) != b""


def kind(raw: BinaryIO, path: Path) -> tuple[str, bool]:
    """Return the compression (plain, gzip, zstd), and whether it is ARC rather than WARC.

    Raises:
        UserError: it does not begin like one of these.
    """
    start = pread(raw, 1024, 0)
    form = "plain"
    first = start
    if start.startswith(zstandard.FRAME_HEADER) or _skippable.match(start):
        form = "zstd"
        try:
            first = zstd_stream(raw).read()
        except zstandard.ZstdError:
            first = b""  # the later reading will report the error
    elif start.startswith(GZIP_MAGIC):
        form = "gzip"
        first = _inflated(start, 64)
    first = bare(first)
    if not first.upper().startswith((RECORD_START[: len(first)], ARC_START.upper())):
        raise UserError(
            f"{path}: begins with {first[:16]!r}; wanted a WARC file, which begins with WARC/1.0 "
            "or WARC/1.1 once gzip or Zstandard is undone, or an ARC file, which with filedesc:"
        )
    return form, first.lower().startswith(ARC_START)


def _inflated(stored: bytes, length: int) -> bytes:
    """Return the first bytes of a gzip member, b"" if it is damaged."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(stored, length)
    except zlib.error:
        return b""


def zstd_stream(raw: BinaryIO) -> "Frames":
    """Return the decompressed stream, using a dictionary at the start of the file if it has one."""
    size = 0
    dictionary = None
    start = pread(raw, 8, 0)
    if len(start) == 8 and start.startswith(ZSTD_DICTIONARY):
        size = 8 + struct.unpack("<I", start[4:8])[0]
        stored = pread(raw, size - 8, 8)
        if len(stored) < size - 8:
            size, stored = 0, b""  # read again as a frame to skip, which ends early
        elif stored.startswith(zstandard.FRAME_HEADER):
            stored = zstandard.ZstdDecompressor().stream_reader(stored).read()
        dictionary = zstandard.ZstdCompressionDict(stored)
    raw.seek(size)
    return Frames(
        raw, zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=ZSTD_WINDOW)
    )


class Frames:
    """Zstandard frames in a row, decompressed while they are read.

    Not zstandard's own stream, for that does not say whether the last frame is whole.
    """

    def __init__(self, raw: BinaryIO, decompressor: zstandard.ZstdDecompressor) -> None:
        self._raw = raw
        self._decompressor = decompressor
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._stored = b""

    @property
    def whole(self) -> bool:
        """Whether what has been read ends where a frame does."""
        return self._frame is None or self._frame.eof

    def read(self, _count: int = 0) -> bytes:
        """Return some further bytes, of whatever number; b"" at the end.

        Raises:
            ZstdError: they are damaged.
        """
        while data := self._stored or self._raw.read(ZSTD_STEP):
            if self._frame is None or self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            piece = self._frame.decompress(data)
            self._stored = self._frame.unused_data if self._frame.eof else b""
            if piece:
                return piece
        return b""


def bare(first: bytes) -> bytes:
    """Return the first bytes of a file or a member without what is blank before a record."""
    return first.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n\0")


def is_record(first: bytes) -> bool:
    """Whether bytes begin with a WARC record, in whatever case."""
    return bare(first[:64]).upper().startswith(RECORD_START)


def begins_record(raw: BinaryIO, at: int) -> bool:
    """Whether a gzip member that begins with a record is at an offset."""
    start = pread(raw, 128, at)
    if not start.startswith(GZIP_MAGIC):
        return False
    first = _inflated(start, len(start))
    return is_record(first) or _arc_line.match(first) is not None


class MemberReader:
    """One gzip member, decompressed while it is read; its end is known after that.

    `joined`: with all that follow without a gap, as one.
    """

    def __init__(self, raw: BinaryIO, at: int, joined: bool = False) -> None:
        self._raw = raw
        self._joined = joined
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._stored = b""
        self.began = at  # where it begins; of several, the last one
        self.end = at  # how far the file was read; after the whole member, where it ends
        self.whole = False

    def read(self, count: int) -> bytes:
        """Return at most so many further bytes, b"" at the end."""
        while not self.whole:
            if not self._stored:
                self._stored = pread(self._raw, STORED, self.end)
                if not self._stored:
                    return b""
                self.end += len(self._stored)
            piece = self._inflater.decompress(self._stored, count)
            self._stored = self._inflater.unconsumed_tail
            if self._inflater.eof:
                self.whole = True
                self.end -= len(self._inflater.unused_data)
                if self._joined and pread(self._raw, len(GZIP_MAGIC), self.end) == GZIP_MAGIC:
                    self.whole, self._stored, self.began = False, b"", self.end
                    self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            if piece:
                return piece
        return b""
