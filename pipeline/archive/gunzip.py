"""Gzip of many members, undone in time that grows with the bytes and not with their square.

zlib hands back what follows a member as a copy. Where a body of ten million bytes is half a million
members, giving it the whole rest each time copies terabytes; so it gets a little, then more.
"""

import re
import zlib
from dataclasses import dataclass

MAGIC = b"\x1f\x8b"
FIRST = 512  # bytes that a member is given at first; each further piece is twice the last
LARGEST = 1 << 20  # bytes of a piece

_padding = re.compile(rb"\0*")


@dataclass(frozen=True, slots=True)
class Members:
    """What some members held."""

    data: bytes
    whole: bool  # whether the last one came to its end; not so where `most` was reached
    problem: str | None = None  # what zlib says of a damaged one, none of which is in `data`
    at: int = 0  # where that one begins


def gunzip(body: bytes, most: int) -> Members:
    """Return what the members of `body` hold, `most` bytes of it at the most.

    Zeros between members and whatever follows the last are passed over, as browsers do.
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
