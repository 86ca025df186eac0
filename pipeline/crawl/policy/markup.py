"""The meta elements of a page: found once, for all modules that read them.

The search for them takes longer than all other work on a page before it is archived, so the
opt-outs and the refresh share one pass.
"""

import re
from typing import Final

import numpy as np

HEAD_BYTES: Final = 131_072  # bytes of a page that are searched; heads end long before

LESS, M, CASE = 0x3C, 0x6D, 0x20  # "<", "m", and the bit that turns a capital into a small letter

# Only tried where "<m" was found, which takes half the time of a search with this pattern.
_meta = re.compile(rb"<[mM][eE][tT][aA]\b([^<>]{1,4000})>")
_attribute = re.compile(
    rb"""([a-z:-]{1,40})\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)


def head(body: bytes) -> bytes:
    """Return the part of a page that is searched, in an encoding in which markup is ASCII."""
    found = body[:HEAD_BYTES]
    if found[:2] in (b"\xff\xfe", b"\xfe\xff"):
        found = found.replace(b"\0", b"")  # 16-bit characters: the markup itself is ASCII
    return found


def metas(body: bytes) -> list[bytes]:
    """Return the text within each meta element of a page.

    >>> metas(b"<p><META name=robots content=noai>")
    [b' name=robots content=noai']
    """
    found = head(body)
    if len(found) < len("<m"):
        return []
    view = np.frombuffer(found, np.uint8)
    (places,) = ((view[:-1] == LESS) & ((view[1:] | CASE) == M)).nonzero()
    return [match[1] for at in places.tolist() if (match := _meta.match(found, at))]


def attributes(meta: bytes) -> dict[bytes, bytes]:
    """Return the attributes of an element, their names in lower case.

    >>> attributes(b" Name=robots content='NoAI, noindex'")
    {b'name': b'robots', b'content': b'NoAI, noindex'}
    """
    return {
        found[1].lower(): found[2] or found[3] or found[4] or b""
        for found in _attribute.finditer(meta)
    }
