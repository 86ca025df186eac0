"""Pages that are well-behaved on the wire and hostile to whoever reads them.

`then` is the fate that they meet there (`pipeline/text/extraction`), where the reader has a second
of CPU time and 5 MB for a page.
"""

from collections.abc import Mapping
from typing import Any

from tests.web.case import TEXT, Case, kept, lost, page

WORDS = TEXT.encode()
ROOM: Mapping[str, Any] = {"max_body": 5_000_000}
WORD = "none of them hostile"


def html(inside: bytes, before: bytes = b"") -> bytes:
    return before + b"<html><body>" + inside + b"</body></html>"


def read(number: int, name: str, says: str, inside: bytes, then: str | None = None) -> Case:
    """Return a case of a page that is fetched and then has this fate, None where it has a text."""
    return kept(
        number,
        name,
        says,
        page(html(inside)),
        settings=ROOM,
        then=f"extract.{then}" if then else None,
        text=None if then else WORD,
    )


ENTITIES = b"<!DOCTYPE html [" + b'<!ENTITY a "aaaa">' * 1000 + b"]>"
ATTRIBUTES = b" ".join(b"a%d" % number for number in range(100_000))

MARKUP = (
    read(54, "deep", "100,000 nested elements", b"<div>" * 100_000 + WORDS, None),
    read(54, "deep-tables", "500 nested tables", b"<table><tr><td>" * 500 + WORDS, None),
    read(55, "many-tags", "a million tags", b"<b>x</b>" * 500_000 + WORDS, None),
    read(55, "many-attributes", "100,000 attributes", b"<p " + ATTRIBUTES + b">x", "timeout"),
    read(
        55,
        "long-attribute",
        "an attribute of 1 MB",
        b"<p class='" + b"a" * 1_000_000 + b"'>" + WORDS,
    ),
    read(55, "open-comment", "a comment without end", WORDS + b"<!-- " + b"x" * 1_000_000),
    read(
        55,
        "open-comment-first",
        "the same, before the text",
        b"<!-- " + b"x" * 1_000_000 + WORDS,
        "no_text",
    ),
    read(55, "entities", "400,000 entities", WORDS + b"<p>" + b"&amp;&#x41;&nbsp;&lt;" * 100_000),
    kept(
        55,
        "entity-declarations",
        "entities declared in a document type",
        page(html(WORDS, ENTITIES)),
        text=WORD,
    ),
    lost(
        56,
        "one-text-node",
        "20 MB of one text node",
        page(html(b"<p>" + b"word " * 4_000_000)),
        "too_large",
    ),
    kept(
        56,
        "one-text-node-whole",
        "the same, for a crawler that takes as much",
        page(html(b"<p>" + b"word " * 4_000_000)),
        settings={"max_body": 25_000_000},
        then="extract.too_large",
    ),
)
