"""Chunks of JSON lines decoded in one call, where each line is one object of the wanted kind.

A call of Python a line is most of what reading costs. What this cannot take, its caller goes
through line by line, to say which line it is.
"""

import json
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


def mended(line: bytes | int) -> bytes:
    r"""Return a line of JSON again, its halves of surrogate pairs and its stray bytes as U+FFFD.

    Raises:
        ValueError: it is no JSON for another reason.
        TypeError: it is no line, but the length of one.

    >>> mended(b'{"a": "\\ud800\xff"}').decode()
    '{"a": "\ufffd\ufffd"}'
    """
    if isinstance(line, int):
        raise TypeError("a length in the place of a line")
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
