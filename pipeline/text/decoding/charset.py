"""Decode the bytes of a page, by the charset that server, author and the bytes themselves suggest.

All readers of pages use this decision: the crawl, an import of WARC files, and `webtext extract`.
The order is the HTML standard's: byte order mark, Content-Type header, meta element, and then
detection from the bytes. But a label that the bytes contradict is ignored: bytes that are valid
UTF-8 are hardly ever anything else, and other bytes are not UTF-8, whatever the label says.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final

from resiliparse.parse.encoding import detect_encoding

from webtext.pipeline.text.decoding import encodings, prescan

SNIFF_BYTES: Final = 1024  # bytes that are searched for the NULs of UTF-16
FEW: Final = 8  # ASCII characters in UTF-16 that show that the header is right: a tag or two
DETECT_BYTES: Final = 128 * 1024  # bytes for the detector, half from each end

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"),
        (codecs.BOM_UTF16_BE, "utf-16be"))  # fmt: skip
IN_HEADER = re.compile(r"(?<![\w-])charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)

WIDTHS: Final = ("utf-16le", "utf-16be")
# Multi-byte encodings in which two bytes may be valid as one character of UTF-8.
WIDE: Final = frozenset({"gbk", "gb18030", "big5", "euc-kr", "euc-jp", "shift_jis"})
BEYOND_LATIN = re.compile("[\u0100-\u07ff]")
BEYOND_TWO = re.compile("[\u0800-\ufffc\U00010000-\U0010ffff]")  # of three bytes or more in UTF-8

# Names of the detector that are not labels of the Encoding Standard.
PYTHON_NAMES: Final = {
    "euc_jp": "euc-jp",
    "euc_kr": "euc-kr",
    "cp949": "euc-kr",
    "iso8859-16": "iso-8859-16",
    "iso2022_jp": "iso-2022-jp",
    "mac-roman": "macintosh",
    "mac-cyrillic": "x-mac-cyrillic",
}

UTF8_SLIPS = 10  # UTF-8 is accepted with so many good characters beyond ASCII per bad one
BEYOND_ASCII = re.compile("[^\x00-\x7f]")

# What no text may hold: NUL, the other C0 controls except tab and line ends, DEL, lone surrogates
# (which UTF-8, and so Parquet, cannot hold) and the two code points that are not characters.
UNWANTED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
CONTROLS = bytes([*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F])  # those of them in ASCII


@dataclass(frozen=True)
class Decoded:
    """Text, and how it was decoded."""

    text: str
    charset: str  # the Encoding Standard's name, in lower case
    source: str  # "bom", "header", "meta", "utf-8" (the bytes are valid as such) or "detected"


def decode(body: bytes, content_type: str | None = None) -> Decoded:
    """Return the text of `body`; bytes that are invalid in its charset become U+FFFD.

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
    if text.isascii() and b"\x1b" not in body:
        return Decoded(text if _clean(body, text) else printable(text), "utf-8", "utf-8")
    claimed = encodings.encoding(header(content_type))
    if claimed in WIDTHS and wide_letters(body[:DETECT_BYTES], claimed) >= FEW:
        return _decoded(body, claimed, "header")
    utf8 = mostly_utf8(text) and not seven_bit_switching(body)
    if utf8 and not _doubtful(text):
        return Decoded(text if _clean(body, text) else printable(text), "utf-8", "utf-8")
    for label, source in ((header(content_type), "header"), (prescan.declared(body), "meta")):
        charset = declared(label)
        if charset and charset != "utf-8" and (not utf8 or charset in WIDE):
            return _decoded(body, charset, source)
    if utf8:
        return Decoded(printable(text), "utf-8", "utf-8")
    return _decoded(body, detected(body), "detected")


def _decoded(body: bytes, charset: str, source: str) -> Decoded:
    return Decoded(printable(encodings.decoded(body, charset)), charset, source)


def _doubtful(text: str) -> bool:
    """Whether UTF-8 may be a coincidence: all characters have two bytes and are not in Latin-1.

    Two bytes of a Chinese, Japanese or Korean encoding can be one character of UTF-8, but a text in
    these languages that really is UTF-8 always has characters of three bytes.
    """
    return BEYOND_LATIN.search(text) is not None and BEYOND_TWO.search(text) is None


def printable(text: str) -> str:
    r"""Return `text` without the characters that no text may hold.

    Hardly any text has one; this check takes a third of the time of their removal.

    >>> printable("a\x00b\ud800c\n")
    'abc\n'
    """
    try:
        clean = _clean(text.encode(), text)
    except UnicodeEncodeError:  # a lone surrogate
        clean = False
    return text if clean else UNWANTED.sub("", text)


def _clean(data: bytes, text: str) -> bool:
    """Whether a text, also given as UTF-8, has none of these characters, except surrogates."""
    whole = len(data.translate(None, CONTROLS)) == len(data)
    return whole and "\ufffe" not in text and "\uffff" not in text


def header(content_type: str | None) -> str | None:
    """Return the charset that a Content-Type header names, if it names one."""
    found = IN_HEADER.search(content_type or "")
    return found.group(1) if found else None


def declared(label: str | None) -> str | None:
    """Return the encoding that a label names, None if it names none or cannot be right.

    The bytes lack the NULs of UTF-16 here, so a label of UTF-16 is wrong.

    >>> declared("ISO-8859-1"), declared("utf-16"), declared("nonsense-8"), declared(None)
    ('windows-1252', None, None, None)
    """
    name = encodings.encoding(label)
    return None if name in WIDTHS else name


def mostly_utf8(text: str) -> bool:
    """Whether bytes were UTF-8, by the decoded text; single errors or a truncated end are accepted.

    Bytes of any other charset give more replacement characters than letters beyond ASCII.
    """
    bad = text.count("\ufffd")
    if not bad:
        return True
    good = sum(1 for _ in BEYOND_ASCII.finditer(text)) - bad
    return good >= UTF8_SLIPS * bad


def seven_bit_switching(body: bytes) -> bool:
    """Whether ASCII bytes have escape sequences to Japanese, as in ISO-2022-JP."""
    return b"\x1b" in body and (b"\x1b$" in body or b"\x1b(" in body)


def wide_letters(start: bytes, name: str) -> int:
    """Return how many ASCII characters are in bytes of UTF-16, as the markup of a page is."""
    high, low = start[name == "utf-16le" :: 2], start[name != "utf-16le" :: 2]
    return sum(not up and 0x20 <= down < 0x7F for up, down in zip(high, low, strict=False))


def utf16(start: bytes) -> str | None:
    """Return the UTF-16 encoding of bytes whose ASCII letters have a NUL beside them, else None.

    There must be many NULs, all on the same side.
    """
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if max(even, odd) * 20 < len(start) or min(even, odd) * 20 > max(even, odd) or len(start) < 16:
        return None
    return "utf-16le" if odd > even else "utf-16be"


def detected(body: bytes) -> str:
    """Guess the encoding from the bytes, which are known not to be UTF-8.

    The detector says UTF-8 for an encoding that it has no HTML name for, such as cp949; then it is
    asked for Python's name.
    """
    for html in (True, False):
        found = detect_encoding(body, max_len=DETECT_BYTES, html5_compatible=html)
        name = encodings.encoding(found and PYTHON_NAMES.get(found, found))
        if name not in (None, "utf-8", "replacement"):
            return str(name)
    return "windows-1252"
