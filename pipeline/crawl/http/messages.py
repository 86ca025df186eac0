"""HTTP messages as bytes: the request, the response, and the meaning of its headers."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache

Field = tuple[bytes, bytes]

MAX_HEAD = 512 << 10  # bytes of a head; Chrome takes 256 KiB, curl 300 kB
MAX_FIELD = 100 << 10  # bytes of one header. Source: curl, CURL_MAX_HTTP_HEADER
MAX_FIELDS = 1000  # headers of one response

SIMPLE_HEAD = 32_768  # bytes of a head above which `simple` does not read it

# A head that all parsers read alike: no folded lines, no odd bytes, no line end except CRLF.
# Source: RFC 9110, section 5.6.2 for the characters of a name
_simple = re.compile(
    rb"(HTTP/1\.[01]) ([2-5]\d\d)(?: ([!-~]*(?: +[!-~]+)*))?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n){1,128})\r\n"
)


# Other forms of a head, read as browsers and curl read them.
_end = re.compile(rb"\n\r?\n")
_status = re.compile(
    rb"(HTTP(?:/\d+(?:\.\d+)?)?)[ \t]+(\d{3})(?!\d)[ \t]*([^\r\n]*?)[ \t\r]*\Z", re.IGNORECASE
)
_name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadHeadError(ValueError):
    """Bytes that no browser accepts as the head of a response."""


def lines(fields: Mapping[str, str]) -> str:
    r"""Return headers as they are sent.

    >>> lines({"Accept": "text/html"})
    'Accept: text/html\r\n'
    """
    return "".join([f"{name}: {value}\r\n" for name, value in fields.items()])


def request(path: str, authority: str, fields: str, more: Mapping[str, str] | None = None) -> bytes:
    r"""Return a GET request as it is sent; `fields` are headers in the form of `lines`.

    >>> request("/a", "example.com", "", {"A": "b"})
    b'GET /a HTTP/1.1\r\nHost: example.com\r\nA: b\r\n\r\n'
    """
    fields += lines(more) if more else ""
    return f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n".encode()


@dataclass(frozen=True)
class Head:
    """Status line and headers of a response, names and values byte for byte as received.

    Only parts without meaning in HTTP are lost: the blanks around a value and folded lines.
    """

    version: bytes  # such as b"HTTP/1.1"
    status: int
    reason: bytes
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, status: int, fields: Iterable[tuple[str, str]]) -> "Head":
        """Make a head from fields in text, as archives return them."""
        return cls(
            b"HTTP/1.1", status, b"", tuple((a.encode(), b.encode("latin-1")) for a, b in fields)
        )

    @property
    def raw(self) -> bytes:
        """The whole head as bytes, ending in an empty line."""
        first = b"%s %03d %s" % (self.version, self.status, self.reason)
        fields = [name + b": " + value for name, value in self.fields]
        return b"\r\n".join([first, *fields, b"", b""])

    def every(self, name: str) -> list[str]:
        """Return each value of the header `name`, an empty list if it was not sent."""
        found = self._values.get(_key(name))
        return [text(value) for value in found] if found else []

    @cached_property
    def _values(self) -> dict[bytes, list[bytes]]:
        """The values of each header, by its name in lower case."""
        found: dict[bytes, list[bytes]] = {}
        for name, value in self.fields:
            key = name.lower()
            if key in found:
                found[key].append(value)
            else:
                found[key] = [value]
        return found

    def first(self, name: str) -> str | None:
        """Return the first value of the header `name`, None if it was not sent."""
        found = self._values.get(_key(name))
        return text(found[0]) if found else None

    def address(self, name: str) -> str | None:
        """Return the first value of a header that holds a URL, bytes beyond ASCII percent-encoded.

        The bytes are sent back as received, in whatever charset, as browsers do.
        """
        found = self._values.get(_key(name))
        if not found:
            return None
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in found[0])

    def retry_after(self, most: float) -> float | None:
        """Return how many seconds the host asks us to wait, at most `most`; None if it does not."""
        return retry_after(self.first("Retry-After"), time.time(), most)


def simple(data: bytes) -> tuple[Head, int] | None:
    r"""Return the head at the start of `data` and where it ends, if all of it is plain.

    >>> simple(b"HTTP/1.1 200 OK\r\nServer: a \r\n\r\n<p>")
    (Head(version=b'HTTP/1.1', status=200, reason=b'OK', fields=((b'Server', b'a'),)), 31)
    """
    found = _simple.match(data, 0, SIMPLE_HEAD)
    if found is None:
        return None
    version, status, reason, lines = found.groups()
    fields = [line.partition(b":") for line in lines[:-2].split(b"\r\n")]
    head = Head(
        version,
        int(status),
        (reason or b"").lstrip(b" "),
        tuple([(name, value.strip(b" \t")) for name, _, value in fields]),
    )
    return head, found.end()


def head_end(data: bytes | bytearray, start: int = 0) -> int:
    r"""Return where the head at the start of `data` ends, 0 if its end was not received yet.

    The search begins at `start`.

    Raises:
        BadHeadError: it is longer than the limit.

    >>> head_end(b"HTTP/1.1 200 OK\n\n<p>")
    17
    """
    found = _end.search(data, max(start - len(b"\r\n\r"), 0))
    if (found.end() if found else len(data)) > MAX_HEAD:
        raise BadHeadError(f"a head of more than {MAX_HEAD} bytes")
    return found.end() if found else 0


def tolerant(data: bytes) -> Head:
    r"""Return a head read as browsers and curl read it.

    Lines may end in LF alone, and continue if the next begins with a blank; blanks may precede a
    colon; a line that is not a header, such as a warning of PHP, is left out. Of a status line
    only "HTTP" and three digits are wanted.

    Raises:
        BadHeadError: there is no status line, there are too many headers, or there is a NUL.

    >>> tolerant(b"HTTP/1.1 200\nA : b\n c\nWarning: in x.php\nin line: 1\n\n").fields
    ((b'A', b'b c'), (b'Warning', b'in x.php'))
    """
    first, *rest = data.lstrip(b"\r\n").replace(b"\r\n", b"\n").split(b"\n")
    found = _status.match(first)
    if found is None or b"\0" in data:
        raise BadHeadError(f"a response that begins with {data[:40]!r}")
    pieces: list[tuple[bytes, list[bytes]]] = []  # joined once: a line may be folded for long
    for line in rest:
        if line[:1] in (b" ", b"\t") and pieces and line.strip():
            pieces[-1][1].append(line.strip(b" \t\r"))
            continue
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and _name.fullmatch(name):
            pieces.append((name, [value.strip(b" \t\r")]))
    fields = [(name, b" ".join(parts)) for name, parts in pieces]
    if len(fields) > MAX_FIELDS or any(len(value) > MAX_FIELD for _, value in fields):
        raise BadHeadError("more headers, or longer ones, than any that are read")
    version, status, reason = found.groups()
    return Head(version.upper(), int(status), reason or b"", tuple(fields))


@lru_cache(128)  # a few names, looked up for every response
def _key(name: str) -> bytes:
    return name.lower().encode()


def text(value: bytes) -> str:
    """Return a header's value as text: UTF-8 if it is valid, otherwise Latin-1 as in HTTP."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def retry_after(value: str | None, now: float, most: float) -> float | None:
    """Return how many seconds a Retry-After header asks to wait, at most `most`.

    `now` is Unix time. A date in the past asks for no wait: 0. A value that is neither a number
    of seconds nor a date counts as no header: None.

    >>> retry_after("120", 0, 3600), retry_after("99999999", 0, 3600), retry_after("-1", 0, 60)
    (120.0, 3600.0, None)
    >>> retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 0, 3600)
    60.0
    """
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return float(min(float(value), most))
    try:
        moment = parsedate_to_datetime(value)
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return float(min(max(seconds, 0.0), most))
