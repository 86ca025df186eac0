"""The bytes of a page as text, whatever its server, its author and its bytes say of the charset.

The order is the HTML standard's: byte order mark, Content-Type header, meta tag, and then a look
at the bytes. But a label that the bytes contradict is not believed: bytes that read as UTF-8 are
hardly ever anything else, and bytes that do not are not, whatever the label says.
"""

import codecs
import re
from dataclasses import dataclass

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

SNIFF_BYTES = 1024  # how far into a page a meta tag counts. Source: HTML standard 13.2.3.2
DETECT_BYTES = 128 * 1024  # what the detector is shown, half from each end

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
IN_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
IN_META = re.compile(rb"<meta[^>]{1,500}?charset\s*=\s*[\"']?\s*([^\s\"'/>;]{1,40})", re.IGNORECASE)
IN_XML = re.compile(rb"^\s*<\?xml[^>]{1,200}?encoding\s*=\s*[\"']([^\"']{1,40})", re.IGNORECASE)

UTF8_SLIPS = 10  # good characters beyond ASCII for each bad one that UTF-8 is still believed at
BEYOND_ASCII = re.compile("[^\x00-\x7f]")

# What no text should hold: NUL, the other C0 controls but tab and line ends, DEL, lone surrogates
# (which UTF-8, and so Parquet, cannot hold) and the two code points that are no characters.
UNWANTED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
CONTROLS = bytes([*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F])  # those of them in ASCII


@dataclass(frozen=True)
class Decoded:
    """Text, and how it was read from bytes."""

    text: str
    charset: str  # Python's name of the codec
    source: str  # "bom", "header", "meta", "utf-8" (the bytes read as such) or "detected"


def decode(body: bytes, content_type: str | None = None) -> Decoded:
    """Return the text of `body`; what its charset cannot explain becomes U+FFFD.

    The text never holds a NUL, another control character or a lone surrogate.

    >>> decode("naïve".encode("latin-1"), "text/html; charset=latin-1").text
    'naïve'
    """
    for bom, wide in BOMS:
        if body.startswith(bom):
            return _decoded(body[len(bom) :], wide, "bom")
    if unmarked := utf16(body[:SNIFF_BYTES]):
        return _decoded(body, unmarked, "detected")
    text = body.decode("utf-8", "replace")
    if mostly_utf8(text) and not seven_bit_switching(body):
        return Decoded(text if _clean(body, text) else printable(text), "utf-8", "utf-8")
    for label, source in ((header(content_type), "header"), (meta(body), "meta")):
        charset = codec(label)
        if charset and charset != "utf-8":
            return _decoded(body, charset, source)
    return _decoded(body, detected(body), "detected")


def _decoded(body: bytes, charset: str, source: str) -> Decoded:
    return Decoded(printable(body.decode(charset, "replace")), charset, source)


def printable(text: str) -> str:
    r"""Return `text` without the characters that no text should hold.

    That hardly any text has one is found in a third of the time that their removal takes.

    >>> printable("a\x00b\ud800c\n")
    'abc\n'
    """
    try:
        clean = _clean(text.encode(), text)
    except UnicodeEncodeError:  # a lone surrogate
        clean = False
    return text if clean else UNWANTED.sub("", text)


def _clean(data: bytes, text: str) -> bool:
    """Whether a text, given also as UTF-8, holds none of these characters; surrogates aside."""
    whole = len(data.translate(None, CONTROLS)) == len(data)
    return whole and "\ufffe" not in text and "\uffff" not in text


def header(content_type: str | None) -> str | None:
    """Return the charset that a Content-Type header names, if it names one."""
    found = IN_HEADER.search(content_type or "")
    return found.group(1) if found else None


def meta(body: bytes) -> str | None:
    """Return the charset that a page's own meta tag or XML declaration names, if one does."""
    start = body[:SNIFF_BYTES]
    found = IN_META.search(start) or IN_XML.search(start)
    return found.group(1).decode("ascii", "replace") if found else None


def codec(label: str | None) -> str | None:
    """Return the Python codec for a label as the web uses it, or None where it means nothing.

    >>> codec("ISO-8859-1"), codec("nonsense-8"), codec(None)
    ('cp1252', None, None)
    """
    if not label:
        return None
    name = map_encoding_to_html5(label, fallback_utf8=False)
    if not name:
        return None
    name = codecs.lookup(name).name
    return "gb18030" if name in ("gb2312", "gbk") else name  # a superset, as browsers read it


def mostly_utf8(text: str) -> bool:
    """Whether bytes were UTF-8, by the text they gave: a slip or a cut end does not make it less.

    Bytes of any other charset give more replacement characters than letters beyond ASCII.
    """
    bad = text.count("\ufffd")
    if not bad:
        return True
    good = sum(1 for _ in BEYOND_ASCII.finditer(text)) - bad
    return good >= UTF8_SLIPS * bad


def seven_bit_switching(body: bytes) -> bool:
    """Whether ASCII bytes switch to Japanese by escape sequences, as ISO-2022-JP does."""
    return b"\x1b" in body and (b"\x1b$" in body or b"\x1b(" in body)


def utf16(start: bytes) -> str | None:
    """Return the UTF-16 codec of bytes whose ASCII letters have a NUL beside them, else None.

    The NULs then are many, and all on the same side.
    """
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if max(even, odd) * 20 < len(start) or min(even, odd) * 20 > max(even, odd) or len(start) < 16:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def detected(body: bytes) -> str:
    """Guess the codec from the bytes, which are known not to be UTF-8."""
    name = codec(detect_encoding(body, max_len=DETECT_BYTES, html5_compatible=True))
    return name if name and name not in ("utf-8", "ascii") else "cp1252"
