"""The rules of a robots.txt, and which of them applies to a path.

Read as Google's parser reads it, for which most files are written: groups of one name are joined,
and only an Allow or Disallow line ends the names before it; a misspelt key or missing colon is
accepted if its meaning is clear. Where the standard asks for more (percent-encoded letters are
letters), the standard counts. There is no backtracking, so that no rule is slow.

Source: RFC 9309; https://github.com/google/robotstxt (robots.cc)
"""

import math
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LINE_BYTES: Final = 2083 * 8  # of a line; longer ones are cut. Source: robots.cc, kMaxLineLen

# Source: robots.cc, ParsedRobotsKey; a key only has to begin like this
KEYS: Final = (
    ("user-agent", ("user-agent", "useragent", "user agent")),
    ("allow", ("allow",)),
    ("disallow", ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw")),
    ("crawl-delay", ("crawl-delay",)),
    ("content-usage", ("content-usage",)),
    ("content-signal", ("content-signal",)),
)
_line_end = re.compile(rb"\r\n|\r|\n")
# A byte order mark, also twice or cut, and a zero-width space, which editors hide as well.
_bom = re.compile(rb"\A(?:\xef\xbb\xbf|\xe2\x80\x8b|\xef\xbb|\xef)+")
_name = re.compile(rb"[A-Za-z_-]*")
_escape = re.compile(rb"%([0-9A-Fa-f]{2})")
_unreserved = re.compile(rb"[A-Za-z0-9._~-]")  # Source: RFC 3986, section 2.3
_two_words = re.compile(rb"(\S+)[ \t]+(\S+)")
_said_of = re.compile(r"(?:(/\S*)\s+)?(.+)", re.DOTALL)

ANYBODY: Final = "*"


class Rule(NamedTuple):
    """One Allow or Disallow line."""

    allow: bool
    pattern: str  # as written
    line: int  # its number, from 1
    path: bytes  # in the form that is compared

    @property
    def field(self) -> str:
        """What the line says."""
        return "allow" if self.allow else "disallow"


class Group(NamedTuple):
    """All lines of a file for one name."""

    name: str  # as asked for, or ANYBODY
    rules: list[Rule]  # the rule with the highest priority first
    said: list[tuple[str, str, int]]  # other lines: field, value, number of the line

    def deciding(self, path: bytes) -> Rule | None:
        """Return the rule that applies to a path in the form of `compared`, None if none does.

        The longest pattern decides; of two with the same length, Allow.
        """
        return next((rule for rule in self.rules if matches(rule.path, path)), None)

    def delay(self) -> tuple[float, int] | None:
        """Return the Crawl-delay, in s, and the number of its line; the first valid one."""
        for field, value, line in self.said:
            if field == "crawl-delay":
                try:
                    seconds = float(value)
                except ValueError:
                    continue
                if math.isfinite(seconds) and seconds >= 0:
                    return seconds, line
        return None

    def usage(self) -> list[tuple[str, str, str]]:
        """Return the lines about the use of paths: field, path pattern, preference."""
        found = []
        for field, value, _ in self.said:
            if field.startswith("content-") and (match := _said_of.match(value)):
                found.append((field, match[1] or "/", match[2].strip()))
        return found


def group(body: bytes, product: str) -> Group | None:
    """Return a file's rules for `product`: the groups of its name, otherwise those of anybody.

    A group is ours if its name is ours, ignoring case and any text after the name; it is anybody's
    if its name is `*` alone or before a blank. None if there is neither.
    """
    ours, all_ = Group(product, [], []), Group(ANYBODY, [], [])
    at_ours = at_all = seen = ruled = ever = False
    for number, key, value in lines(body):
        if key == "user-agent":
            if ruled:
                at_ours = at_all = ruled = False
            if value[:1] == b"*" and (len(value) == 1 or value[1:2].isspace()):
                at_all = seen = True
            elif value and _name.match(value)[0].lower() == product.lower().encode():  # type: ignore[index]  # matches ""
                at_ours = ever = True
            continue
        if not (at_ours or at_all):
            continue
        targets = [one for one, here in ((ours, at_ours), (all_, at_all)) if here]
        if key in ("allow", "disallow"):
            ruled = True
            for one in targets:
                one.rules.extend(_rules(key == "allow", value, number))
        else:
            for one in targets:
                one.said.append((key, value.decode("utf-8", "replace"), number))
    if not (ever or seen):
        return None
    found = ours if ever else all_
    found.rules.sort(key=lambda rule: (-len(rule.path), not rule.allow, rule.line))
    return found


def _rules(allow: bool, value: bytes, number: int) -> Iterator[Rule]:
    """Yield the rules of a line; an allowed index page also allows its folder."""
    if not value:
        return  # says nothing
    shown = value.decode("utf-8", "replace")
    yield Rule(allow, shown, number, pattern_of(value))
    folder, slash, last = value.rpartition(b"/")
    if allow and slash and last.startswith(b"index.htm"):  # Source: robots.cc, HandleAllow
        yield Rule(allow, shown, number, pattern_of(folder + b"/$"))


def lines(body: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield the lines with a known key: their number from 1, one of KEYS, and the value."""
    for number, line in enumerate(_line_end.split(_bom.sub(b"", body, count=1)), 1):
        text = line[:LINE_BYTES].partition(b"#")[0].strip()
        name, colon, value = text.partition(b":")
        if not colon:
            words = _two_words.fullmatch(text)
            if words is None:
                continue
            name, value = words.groups()
        lowered = name.strip().lower().decode("latin-1")
        for key, spellings in KEYS:
            if lowered.startswith(spellings):
                yield number, key, value.strip()
                break


def compared(path: bytes) -> bytes:
    """Return a path or a pattern in the form in which the two are compared.

    Blanks and bytes beyond ASCII are percent-encoded, as in every URL that is asked for;
    unnecessary percent-encoding is removed.

    Source: RFC 9309, section 2.2.2

    >>> compared("/caf\u00e9/%7ea%2fb".encode())
    b'/caf%C3%A9/~a%2Fb'
    """
    if b"%" in path:
        path = _escape.sub(_decoded, path)
    path = path.replace(b" ", b"%20")
    if path.isascii():
        return path
    return b"".join(b"%%%02X" % byte if byte >= 0x80 else bytes([byte]) for byte in path)


def _decoded(escape: re.Match[bytes]) -> bytes:
    byte = bytes([int(escape[1], 16)])
    return byte if _unreserved.match(byte) else escape[0].upper()


def pattern_of(value: bytes) -> bytes:
    """Return a pattern in the form in which it is compared: `$` means the end there alone.

    >>> pattern_of(b"/a$b*$"), pattern_of(b"/a%2ab")
    (b'/a%24b*$', b'/a%2Ab')
    """
    found = compared(value)
    return found[:-1].replace(b"$", b"%24") + found[-1:]


def path_of(url: str) -> bytes:
    """Return the part of an absolute URL, or of a path, that rules apply to: path and query.

    The characters that mean something in a pattern are percent-encoded, since a pattern can name
    them only like that. Source: RFC 9309, section 2.2.3

    >>> path_of("http://host.test/a?b#c"), path_of("http://host.test?b"), path_of("/a")
    (b'/a?b', b'/?b', b'/a')
    """
    rest = url.partition("#")[0]
    if "://" in rest.partition("/")[0] + "//":
        rest = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?]*", "", rest)
    path = rest if rest.startswith("/") else f"/{rest}"
    found = compared(path.encode("utf-8", "surrogateescape"))  # bytes given on a command line
    return found.replace(b"*", b"%2A").replace(b"$", b"%24")


def matches(pattern: bytes, path: bytes) -> bool:
    """Whether a pattern matches the beginning of a path; `*` is any text, a final `$` the end.

    >>> matches(b"/*.gif$", b"/a.gif"), matches(b"/*.gif$", b"/a.gif?b"), matches(b"/a", b"/ab")
    (True, False, True)
    """
    if b"*" not in pattern:
        if pattern[-1:] == b"$":
            return path == pattern[:-1]
        return path.startswith(pattern)
    ends = pattern[-1:] == b"$"
    first, *middle = (pattern[:-1] if ends else pattern).split(b"*")
    if not path.startswith(first):
        return False
    at = len(first)
    last = middle.pop() if ends else b""
    for piece in middle:
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return not ends or (len(path) - at >= len(last) and path.endswith(last))
