"""Undo a response's Content-Encoding within bounds.

A few hundred kilobytes can decode to gigabytes, so every decoder here is told how much it may put
out, and is left where it stands when it has.
"""

import io
import zlib
from collections.abc import Callable

import brotli
import zstandard

from webtext.pipeline.archive.gunzip import gunzip

MAX_LAYERS = 2  # encodings on top of one another; more is an attack, not a server
MAX_WINDOW = 8 << 20  # bytes of zstd history. Source: RFC 9659, which allows no more in HTTP

# Said by servers that mean "none". Source: RFC 9110, section 8.4.1 for identity; the others are
# misunderstandings common enough that browsers live with them.
NO_ENCODING = frozenset({"", "identity", "none", "utf-8", "utf8", "binary", "8bit"})


class EncodingError(ValueError):
    """A body that cannot be decoded."""


def layers(header: str) -> list[str]:
    """Return the encodings that a Content-Encoding header names, in the order of applying.

    >>> layers("GZip, identity"), layers("utf-8")
    (['gzip'], [])
    """
    names = [name.strip().lower().removeprefix("x-") for name in header.split(",")]
    return [name for name in names if name not in NO_ENCODING]


def decoded(body: bytes, header: str, most: int) -> tuple[bytes, bool, bool]:
    """Return `body` decoded, at most `most` bytes of it; whether it was cut; whether it was whole.

    A stream that ends too early gives what it holds and counts as not whole.

    Raises:
        EncodingError: an unknown encoding, too many of them, or bytes that are none.
    """
    names = layers(header)
    if len(names) > MAX_LAYERS:
        raise EncodingError(f"{len(names)} content encodings, at most {MAX_LAYERS} are undone")
    cut, whole = False, True
    for name in reversed(names):
        decoder = DECODERS.get(name)
        if decoder is None:
            raise EncodingError(f"content encoding {name[:40]} is not known")
        if not body:
            break  # nothing was sent, so nothing was encoded
        body, ended = decoder(body, most + 1)
        cut = cut or len(body) > most
        whole = whole and (ended or cut)
    return body[:most], cut or len(body) > most, whole


def _gzip(body: bytes, most: int) -> tuple[bytes, bool]:
    """Undo gzip, all its members; bytes after the last are ignored, as browsers do."""
    found = gunzip(body, most)
    if found.problem and not found.data:
        raise EncodingError(f"gzip: {found.problem}")
    return found.data, found.whole or found.problem is not None


def _deflate(body: bytes, most: int) -> tuple[bytes, bool]:
    """Undo deflate: with zlib's wrapping, as the standard says, or bare, as many servers do."""
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        decoder = zlib.decompressobj(bits)
        try:
            return decoder.decompress(body, most), decoder.eof
        except zlib.error as error:
            problem = error
    raise EncodingError(f"deflate: {problem}") from problem


def _brotli(body: bytes, most: int) -> tuple[bytes, bool]:
    decoder = brotli.Decompressor()
    found = bytearray()
    try:
        found += decoder.process(body, output_buffer_limit=most)
        while len(found) < most and not decoder.is_finished():
            more = decoder.process(b"", output_buffer_limit=most - len(found))
            if not more:
                break
            found += more
    except brotli.error as error:
        raise EncodingError(f"br: {error}") from error
    return bytes(found[:most]), decoder.is_finished()


def _zstd(body: bytes, most: int) -> tuple[bytes, bool]:
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        with decoder.stream_reader(io.BytesIO(body), read_across_frames=True) as stream:
            found = stream.read(most)
            return found, len(found) < most and _zstd_ended(body)
    except zstandard.ZstdError as error:
        raise EncodingError(f"zstd: {error}") from error


def _zstd_ended(body: bytes) -> bool:
    """Tell whether a frame came to its end; the reader itself keeps silent about it.

    Only asked of what is known to decode to little.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
    decoder.decompress(body)
    return decoder.eof


DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
