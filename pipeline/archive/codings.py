"""Undo content codings within limits, as far as their bytes are valid.

A body that is cut by a broken connection or a wrong server is still the beginning of a page; bytes
after the end of a stream are ignored. A few hundred kilobytes can decode to gigabytes, so each
decoder has an output limit, and stops when it is reached.

gzip of many members takes linear time here. zlib returns the bytes after a member as a copy: if a
body of ten million bytes has half a million members, passing the whole rest each time copies
terabytes. So it gets a little, then more.

Source: RFC 9110, section 8.4.1; RFC 9659 for zstd's window
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

import brotli
import webencodings
import zstandard

MAX_WINDOW: Final = 8 << 20  # bytes of zstd history. Source: RFC 9659, which allows no more in HTTP
STEP: Final = 64  # bytes given at a time to a decoder that must stop just before an error

MAGIC: Final = b"\x1f\x8b"
FIRST: Final = 512  # bytes passed for a member at first; each further piece is twice as long
LARGEST: Final = 1 << 20  # bytes of a piece
_padding = re.compile(rb"\0*")
LOOKED_AT: Final = 1024  # bytes of a body; coded ones have a hundred control characters in them
_control = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f]")

# Sent by servers that mean "none". Source: RFC 9110, section 8.4.1 for identity; the others are
# errors so common that browsers tolerate them.
NONE: Final = frozenset(
    {"identity", "none", "binary", "8bit", "7bit", "text", "html", "chunked", "aws-chunked"}
)


class Undone(NamedTuple):
    """The decoded bytes of a coded body."""

    data: bytes
    ended: bool  # whether the stream reached its end
    broken: bool = False  # whether invalid bytes ended it; `data` has the bytes before them


class _Decoder(Protocol):
    def decompress(self, data: bytes, most: int, /) -> bytes: ...

    def over(self) -> bool: ...


def listed(header: str) -> list[str]:
    """Return the members of a header that is a list, in lower case and without parameters.

    >>> listed("gzip;q=1, Chunked,")
    ['gzip', 'chunked']
    """
    members = (part.partition(";")[0].strip(' \t"').lower() for part in header.split(","))
    return [member for member in members if member]


def names(header: str) -> list[str]:
    """Return the codings that a header names, in the order of application, without `x-`.

    The name of a charset is not a coding, though servers send it here. Chunks are not among them.

    >>> names("GZip, identity, chunked"), names("utf-8"), names("ISO-8859-1, x-gzip")
    (['gzip'], [], ['gzip'])
    """
    found = [name.removeprefix("x-") for name in listed(header)]
    return [name for name in found if name not in NONE and webencodings.lookup(name) is None]


def plain(body: bytes) -> bool:
    r"""Whether a body is certainly not coded: no control character in as much as is looked at.

    >>> plain(b"<!doctype html>\n"), plain(b"\x1f\x8b\x08")
    (True, False)
    """
    return not _control.search(body, 0, LOOKED_AT)


def undone(body: bytes, name: str, most: int) -> Undone:
    """Undo one coding of `DECODERS`, to at most `most` bytes."""
    if not body:
        return Undone(b"", True)  # an empty body is not coded
    return DECODERS[name](body, most)


def _gzip(body: bytes, most: int) -> Undone:
    """Undo gzip, all its members; bytes after the last are ignored."""
    found = gunzip(body, most)
    if found.problem is None:
        return Undone(found.data, found.whole)
    make = partial(_Inflater, zlib.MAX_WBITS | 16)
    rest = _in_steps(make, body[found.at :], most - len(found.data))
    return Undone(found.data + rest.data, False, broken=True)


def _deflate(body: bytes, most: int) -> Undone:
    """Undo deflate: in zlib's format, as the standard says, or raw, as many servers send it."""
    wrapped = _inflated(body, most, zlib.MAX_WBITS)
    if wrapped.data or not wrapped.broken:
        return wrapped
    return _inflated(body, most, -zlib.MAX_WBITS)


def _inflated(body: bytes, most: int, bits: int) -> Undone:
    """Inflate one stream."""
    inflater = zlib.decompressobj(bits)
    try:
        data = inflater.decompress(body, most)
    except zlib.error:
        return _in_steps(partial(_Inflater, bits), body, most)
    return Undone(data, inflater.eof)


class _Inflater:
    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)

    def over(self) -> bool:
        return self._inner.eof


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decompress(self, data: bytes, most: int) -> bytes:
        found: bytes = self._inner.process(data, output_buffer_limit=most)
        while len(found) < most and not self._inner.is_finished():
            more = self._inner.process(b"", output_buffer_limit=most - len(found))
            if not more:
                break
            found += more
        return found

    def over(self) -> bool:
        return bool(self._inner.is_finished())


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(data)[:most]  # a step is 2 MiB at most

    def over(self) -> bool:
        return self._inner.eof


def _brotli(body: bytes, most: int) -> Undone:
    decoder = _Brotli()
    try:
        data = decoder.decompress(body, most)
    except brotli.error:
        return _in_steps(_Brotli, body, most)
    return Undone(data[:most], decoder.over() and len(data) < most)


def _zstd(body: bytes, most: int) -> Undone:
    """Undo Zstandard, all its frames."""
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        with decoder.stream_reader(body, read_across_frames=True) as stream:
            found = bytearray()
            while len(found) < most and (piece := stream.read(most - len(found))):
                found += piece
        if len(found) >= most:
            return Undone(bytes(found), False)
    except zstandard.ZstdError:
        return _in_steps(_Zstd, body, most)
    # The reader keeps silent about a stream that is cut; it is known now to decode to little.
    return Undone(bytes(found), _frames_end(decoder, body))


def _frames_end(decoder: zstandard.ZstdDecompressor, body: bytes) -> bool:
    """Whether the last frame came to its end; each is given little at first, as in `gunzip`."""
    at = 0
    while True:
        frame, step = decoder.decompressobj(), FIRST
        while not frame.eof:
            piece = body[at : at + step]
            if not piece:
                return False
            at += len(piece)
            step = min(2 * step, LARGEST)
            frame.decompress(piece)
        at -= len(frame.unused_data)
        if at == len(body):
            return True


def _in_steps(make: Callable[[], _Decoder], body: bytes, most: int) -> Undone:
    """Decode up to an error; bytes after the end of a stream are not an error."""
    fine = len(body)  # the place from which each byte is given separately
    while True:
        decoder, data, at = make(), bytearray(), 0
        try:
            while at < len(body) and len(data) < most and not decoder.over():
                step = STEP if at < fine else 1
                data += decoder.decompress(body[at : at + step], most - len(data))
                at += step
        except (zlib.error, brotli.error, zstandard.ZstdError):
            if at < fine:  # a decoder returns nothing for the step in which the error occurs
                fine = at
                continue
            return Undone(bytes(data[:most]), False, broken=True)
        return Undone(bytes(data[:most]), decoder.over() and len(data) < most)


DECODERS: Final[dict[str, Callable[[bytes, int], Undone]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


@dataclass(frozen=True, slots=True)
class Members:
    """The content of some members."""

    data: bytes
    whole: bool  # whether the last one is complete; false if `most` was reached
    problem: str | None = None  # zlib's error for a damaged one, which is not in `data`
    at: int = 0  # where the damaged one begins


def gunzip(body: bytes, most: int) -> Members:
    """Return the content of the members of `body`, at most `most` bytes.

    Zeros between members and any bytes after the last are ignored, as in browsers.
    """
    found = bytearray()
    at = 0
    while True:
        begins, before = at, len(found)
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        step = FIRST
        while not decoder.eof:
            piece = body[at : at + step]
            if not piece:
                return Members(bytes(found), False)
            at += len(piece)
            step = min(2 * step, LARGEST)
            try:
                found += decoder.decompress(piece, most - len(found))
            except zlib.error as error:
                return Members(bytes(found[:before]), False, str(error), begins)
            if len(found) >= most:
                return Members(bytes(found), False)
        at -= len(decoder.unused_data)
        padding = _padding.match(body, at)
        at = padding.end() if padding else at
        if not body.startswith(MAGIC, at):
            return Members(bytes(found), True)
