"""Chunks of JSON lines decoded in one call, where each line is one object of the wanted kind.

A call of Python a line is most of what reading costs. What this cannot take, its caller goes
through line by line, to say which line it is.
"""

from typing import TypeVar

import msgspec
import numpy as np

NEWLINE, OPENS, CLOSES = b"\n{}"
T = TypeVar("T")


def decoded(chunk: bytes, decoder: "msgspec.json.Decoder[T]") -> list[T] | None:
    """Return what whole lines hold, if each is one object of the decoder's and nothing else.

    The decoder takes a line end for any other space, and a string cannot hold one. So where each
    line end stands between a brace that closes and one that opens, and there are as many
    objects as lines, each line is one of them.
    """
    text = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(text == NEWLINE)
    count = len(ends)
    if count and ends[-1] == len(text) - 1:
        ends = ends[:-1]
    else:
        count += 1
    if (count > 1 and ends[0] == 0) or np.any(text[ends - 1] != CLOSES):
        return None
    if np.any(text[ends + 1] != OPENS):
        return None
    try:
        found = decoder.decode_lines(chunk)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if len(found) == count else None
