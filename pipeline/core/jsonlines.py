"""Chunks of JSON lines decoded in one call, where each line is one object of the wanted kind.

A call of Python a line is most of what reading costs. What this cannot take, its caller goes
through line by line, to say which line it is.
"""

from typing import TypeVar

import msgspec

OPENS, CLOSES = b"{}"
T = TypeVar("T")


def decoded(chunk: bytes, decoder: "msgspec.json.Decoder[T]") -> list[T] | None:
    """Return what whole lines hold, if each is one object of the decoder's and nothing else.

    The decoder takes a line end for any other space, and a string cannot hold one. So where each
    line end stands between a brace that closes and one that opens, and there are as many
    objects as lines, each line is one of them.
    """
    last = len(chunk) - 1
    lines = 1
    at = chunk.find(b"\n")
    if at == 0:
        return None
    while 0 <= at < last:
        if chunk[at - 1] != CLOSES or chunk[at + 1] != OPENS:
            return None
        lines += 1
        at = chunk.find(b"\n", at + 1)
    try:
        found = decoder.decode_lines(chunk)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if len(found) == lines else None
