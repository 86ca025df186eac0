"""Decompress gzip of many members in linear, not quadratic, time.

zlib returns the bytes after a member as a copy. If a body of ten million bytes has half a million
members, passing the whole rest each time copies terabytes; so it gets a little, then more.
"""

import re
import zlib
from dataclasses import dataclass

MAGIC = b"\x1f\x8b"
FIRST = 512  # bytes passed for a member at first; each further piece is twice as long
LARGEST = 1 << 20  # bytes of a piece

_padding = re.compile(rb"\0*")


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
