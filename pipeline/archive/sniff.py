"""The type of a body, by its header and by its first bytes.

Servers send wrong types: pages as application/octet-stream, archives as text/html. A header is
believed unless the bytes clearly contradict it.

Source: WHATWG MIME Sniffing, sections 6 and 7, for the signatures.
"""

import re
from functools import lru_cache

SNIFFED = 1445  # bytes examined. Source: WHATWG MIME Sniffing, section 5.2

HTML = "text/html"
PLAIN = "text/plain"
BINARY = "application/octet-stream"

# Types that mean that the server does not know. Source: WHATWG MIME Sniffing, section 5.3;
# the last two are sent by download scripts.
UNKNOWN = frozenset(
    {
        "",
        "unknown/unknown",
        "application/unknown",
        "*/*",
        BINARY,
        "binary/octet-stream",
        "application/force-download",
        "application/x-download",
    }
)
XML = frozenset({"text/xml", "application/xml"})  # old XHTML is sent with these types

MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"RIFF", "image/webp"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\0\0\0\x18ftyp", "video/mp4"),
    (b"\0\0\0\x20ftyp", "video/mp4"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"Rar!\x1a\x07", "application/x-rar"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x7fELF", "application/x-elf"),
    (b"MZ\x90\0", "application/x-msdownload"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
)

_type = re.compile(r"[!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+", re.ASCII)
_html = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|iframe|table|div|font|link|"
    rb"h1|br|p|a|b|span|center|article|section|header|main)(?=[\s/>])|<!--",
    re.IGNORECASE,
)
_xml_lead = re.compile(rb"<\?xml[^>]*>\s*(?:<!--.*?-->\s*)*", re.DOTALL)
_control = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_magics = tuple(magic for magic, _ in MAGIC)
_boms = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@lru_cache(256)  # few types, looked up for every page
def essence(content_type: str | None) -> str:
    """Return the type of a Content-Type header, without parameters, "" if it names none.

    Of several types the last one counts; what is no type at all, as `html`, does not.
    Source: Fetch standard, 2.2.2, "extract a MIME type"

    >>> essence("Text/HTML; charset=utf-8"), essence("text/plain, text/html, html"), essence(None)
    ('text/html', 'text/html', '')
    """
    several = (one.partition(";")[0].strip() for one in (content_type or "").split(","))
    named = [one for one in several if one != "*/*" and _type.fullmatch(one)]
    return named[-1].lower() if named else ""


def kind(body: bytes) -> str:
    """Return the type that the first bytes of `body` show.

    >>> kind(b"%PDF-1.7"), kind(b"  <!doctype html>"), kind(b"plain words")
    ('application/pdf', 'text/html', 'text/plain')
    """
    head = body[:SNIFFED]
    for magic, what in MAGIC if head.startswith(_magics) else ():
        if head.startswith(magic) and (
            magic != b"RIFF" or head[8:12] in (b"WEBP", b"WAVE", b"AVI ")
        ):
            return what
    if wide(head):
        head = head.replace(b"\0", b"")  # enough of ASCII for the signatures
    for bom in _boms:
        head = head.removeprefix(bom)
    text = _xml_lead.sub(b"", head.lstrip(), count=1)
    if _html.match(text):
        return HTML
    # Real pages have a few wrong control characters; a tenth of all bytes means it is not text.
    if len(_control.findall(head)) * 10 > len(head):
        return BINARY
    return PLAIN


def wide(head: bytes) -> bool:
    """Tell whether these are 16-bit characters, with a byte order mark or without one."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    sample = head[:64]
    return (
        len(sample) >= 8
        and (
            sample[::2].count(0) * 10 >= len(sample) * 4
            or sample[1::2].count(0) * 10 >= len(sample) * 4
        )
        and not (sample[::2].count(0) and sample[1::2].count(0))
    )


@lru_cache(256)
def hopeless(content_type: str | None, wanted: tuple[str, ...]) -> bool:
    """Tell from the header alone whether a body need not be read."""
    declared = essence(content_type)
    return declared not in wanted and declared not in UNKNOWN and declared not in XML


def fits(content_type: str | None, body: bytes, wanted: tuple[str, ...]) -> bool:
    """Tell whether `body` has a wanted type, by header and first bytes together."""
    if hopeless(content_type, wanted):
        return False
    found = kind(body)
    if essence(content_type) in wanted:
        return found in (HTML, PLAIN)
    return found in wanted or (found == HTML and "application/xhtml+xml" in wanted)
