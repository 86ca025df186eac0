"""Decode chunks of JSON lines in one call, if each line is one object of the wanted type.

One Python call per line is most of the cost of reading. If a chunk cannot be decoded this way, its
caller reads it line by line, to report the wrong line.
"""

import json
from typing import TypeVar

import msgspec

OPENS, CLOSES = b"{}"
T = TypeVar("T")


def decoded(chunk: bytes, decoder: "msgspec.json.Decoder[T]") -> list[T] | None:
    """Return the objects of whole lines, if each line is one object of the decoder's type.

    The decoder treats a line end as any other white space, and a JSON string cannot hold one. So if
    each line end is between a closing and an opening brace, and there are as many objects as lines,
    each line is one object.
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
    r"""Return a line of JSON with lone surrogates and invalid bytes replaced by U+FFFD.

    Raises:
        ValueError: it is not JSON for another reason.
        TypeError: it is not a line, but the length of one.

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
