"""Find the encoding that a page names in its own markup, as browsers do.

The HTML standard scans the first 1,024 bytes before it parses, and changes the encoding if a meta
element comes later; so the whole page is scanned here, in one pass. Text in a comment, a script or
another element without markup is ignored, and so is a label that means no encoding.

Source: HTML standard, 13.2.3.2 (prescan a byte stream to determine its encoding), 2.6.5
(extracting a character encoding from a meta element) and 13.2.6.4.4 (meta in the tree).
"""

import re
from typing import Final

from webtext.pipeline.text.decoding.encodings import encoding

# One pass that never goes back. The text of these elements is not markup.
# Source: HTML standard, 13.2.6.2 and 13.2.6.4.7; noscript with scripts on, as browsers have it
_token = re.compile(
    rb"<(?:!--|(script|style|title|textarea|xmp|iframe|noembed|noframes|noscript|template)(?=[\s/>])"
    rb"|(meta)(?=[\s/])|/?[a-z][^\s/>]*|([!?/]))",
    re.IGNORECASE,
)
_attribute = re.compile(
    rb"""[\s/]*(?:(>)|([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))?)?)"""
)
_in_content = re.compile(
    rb"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"'][^\s;]*))""", re.IGNORECASE
)
_in_xml = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]{1,40})["']""", re.IGNORECASE)

MAX_LABEL: Final = 60  # bytes; the longest label of the Encoding Standard has 19


def declared(body: bytes) -> str | None:
    """Return the label in a page's meta elements or its XML declaration, None if there is none.

    >>> declared(b"<!-- <meta charset=big5> --><meta charset=nonsense-8><meta charset=koi8-r>")
    'koi8-r'
    """
    if b"charset" in body or b"charset" in body.lower():
        at = 0
        while (token := _token.search(body, at)) is not None:
            at = token.end()
            if token[0] == b"<!--":
                end = body.find(b"-->", at - 2)  # `<!-->` is a complete comment
                if end < 0:
                    break
                at = end + 3
                continue
            if token[3]:  # `<!x ...>` and `<?php ...>` are comments up to the next `>`
                if (end := body.find(b">", at)) < 0:
                    break
                at = end + 1
                continue
            found, at = _attributes(body, at)
            if found is None:
                break
            if token[1] and (at := _after(body, at, token[1].lower())) < 0:
                break
            if token[2] and (label := _label(found)) and encoding(label):
                return label
    xml = _in_xml.match(body[:1024].lstrip())
    return xml[1].decode("ascii", "replace") if xml else None


def _attributes(body: bytes, at: int) -> tuple[dict[bytes, bytes] | None, int]:
    """Return the attributes of a tag, and where it ends; None if the page ends before."""
    found: dict[bytes, bytes] = {}
    while (match := _attribute.match(body, at)) is not None:
        at = match.end()
        if match[1]:
            return found, at
        value = match[3] or match[4] or match[5] or b""
        found.setdefault(match[2].lower(), value)
    return None, at


def _after(body: bytes, at: int, name: bytes) -> int:
    """Return where the text of an element without markup ends, -1 if it never does."""
    end = re.compile(rb"</" + name + rb"(?=[\s/>])", re.IGNORECASE).search(body, at)
    return end.end() if end else -1


def _label(found: dict[bytes, bytes]) -> str | None:
    """Return the label that a meta element names, by the standard's rules."""
    label = found.get(b"charset")
    if label is None and found.get(b"http-equiv", b"").strip().lower() == b"content-type":
        match = _in_content.search(found.get(b"content", b""))
        label = next((part for part in match.groups() if part is not None), None) if match else None
    text = label.strip().decode("ascii", "replace") if label and len(label) <= MAX_LABEL else None
    return "windows-1252" if text and text.lower() == "x-user-defined" else text
