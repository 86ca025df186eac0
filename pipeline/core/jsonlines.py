"""Decode chunks of JSON lines in one call, if each line is one object of the wanted type.

One Python call per line is most of the cost of reading. If a chunk cannot be decoded this way, its
caller reads it line by line, to report the wrong line.
"""

import json
from typing import TypeVar

import msgspec

OPENS, CLOSES = b"{}"
AROUND = " \t\r\n\0\x1e,"  # what may stand before and after an object in its line
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
    r"""Return a line of what many programs write as JSON in the form of the standard.

    Lone surrogates and invalid bytes become U+FFFD; NaN and infinities, as Python writes them,
    null; a record separator or a comma at the end is removed (RFC 7464; arrays cut into lines).

    Raises:
        ValueError: it is not JSON for another reason.
        TypeError: it is not a line, but the length of one.

    >>> mended(b'{"a": "\\ud800\xff", "b": NaN},').decode()
    '{"a": "\ufffd\ufffd", "b": null}'
    """
    if isinstance(line, int):
        raise TypeError("a length in the place of a line")
    try:
        text = line.decode("utf-8", "replace").strip(AROUND)
        value = json.loads(text, parse_constant=lambda _: None)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
