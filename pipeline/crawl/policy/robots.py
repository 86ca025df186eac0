"""What a host's robots.txt lets us do, according to RFC 9309.

The file is read by `robotstxt.py`; this module decides which file counts, what its absence or
failure means, how much of it is read and how long it is valid. Two cases that most crawlers
confuse are kept apart: no file (4xx) allows everything, a file that could not be fetched (5xx, no
connection) allows nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.policy import robotstxt
from webtext.pipeline.crawl.policy.optout import Signal, signal_reserved, usage_reserved

MAX_BYTES: Final = 512 * 1024  # read of a file. Source: RFC 9309, 2.5 asks for at least 500 KiB
MAX_REDIRECTS: Final = 5  # Source: RFC 9309, section 2.3.1.2
KNOWN_SECONDS: Final = 86_400.0  # Source: RFC 9309, section 2.4
KNOWN_BYTES: Final = 64 << 20  # of rules kept in memory, over all hosts
OVERHEAD: Final = 2048  # bytes that a host takes besides its rules
EXPANSION: Final = 8  # approximate bytes of memory per byte of rules after parsing

NOT_ASKED: Final = "not asked"


@dataclass(frozen=True)
class Rules:
    """What one origin (scheme, host, port) said, or that it said nothing."""

    state: str  # "rules", "allow" (everything), "unreachable" (nothing)
    why: str  # what decided the state, such as "status 404"
    group: robotstxt.Group | None = None  # the rules for us; None if there are none
    delay: float | None = None  # Crawl-delay in seconds, as the file says
    retry_after: float | None = None  # seconds that the host asks us to wait
    size: int = 0  # bytes of the rules
    usage: tuple[tuple[str, str, str], ...] = ()  # field, path pattern, preference
    fate: str = fates.ROBOTS_UNREACHABLE  # of the host's pages while it is unreachable
    again: bool = True  # whether a later request may succeed
    reserved: "Reservations | None" = None  # what its other files say, if they were requested
    asked: float | None = None  # Unix time at which we requested them


@dataclass(frozen=True)
class Reservations:
    """What the other files of one origin say (`wellknown.py` reads them)."""

    tdm: tuple[tuple[str, bool], ...] = ()  # path pattern, whether it is reserved
    ai: Rules | None = None


def allows_all(why: str) -> Rules:
    """Return the rules of a host without a robots.txt."""
    return Rules("allow", why)


def unreachable(
    why: str,
    retry_after: float | None = None,
    fate: str = fates.ROBOTS_UNREACHABLE,
    again: bool = True,
) -> Rules:
    """Return the rules of a host that could not deliver its robots.txt."""
    return Rules("unreachable", why, retry_after=retry_after, fate=fate, again=again)


def of_status(status: int, retry_after: float | None) -> Rules | None:
    """Return the rules that a status alone implies, None if the body decides.

    429 is the only 4xx that is not an answer: the host may have rules, but is overloaded.

    Source: RFC 9309, sections 2.3.1.3 (unavailable) and 2.3.1.4 (unreachable).
    """
    if 200 <= status < 300:
        return None
    if 400 <= status < 500 and status != 429:
        return allows_all(f"status {status}")
    return unreachable(f"status {status}", retry_after)


def parse(body: bytes, product: str) -> Rules:
    """Read a robots.txt, whatever is in it; unreadable lines are not rules."""
    text = as_utf8(cut(body))
    group = robotstxt.group(text, product)
    delay = group.delay() if group else None
    return Rules(
        "rules",
        "robots.txt",
        group,
        delay[0] if delay else None,
        size=len(text),
        usage=tuple(group.usage()) if group else (),
    )


def cut(body: bytes) -> bytes:
    """Return the lines that are completely in the part that is read."""
    if len(body) <= MAX_BYTES:
        return body
    end = max(body.rfind(b"\n", 0, MAX_BYTES), body.rfind(b"\r", 0, MAX_BYTES))
    return body[: end + 1]


def as_utf8(body: bytes) -> bytes:
    """Return the file as UTF-8, as the standard demands; some editors write UTF-16."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace").encode()
    return body.replace(b"\0", b"")


@dataclass(frozen=True)
class Verdict:
    """What the rules say about one URL."""

    allowed: bool
    why: str  # the rule, or the state that decided
    line: int | None = None  # of the rule, from 1


def judge(rules: Rules, url: str) -> Verdict:
    """Apply an origin's rules to one of its URLs."""
    if rules.state == "unreachable":
        return Verdict(False, f"unreachable: {rules.why}")
    if rules.state == "allow":
        return Verdict(True, f"allow: {rules.why}")
    group = rules.group
    if group is None:
        return Verdict(True, "allow: no group for us")
    path = robotstxt.path_of(url)
    if path == b"/robots.txt":  # Source: RFC 9309, section 2.2.2
        return Verdict(True, "allow: robots.txt itself")
    rule = group.deciding(path)
    if rule is None:
        return Verdict(True, f"allow: no rule matches ({group.name})")
    return Verdict(rule.allow, f"{rule.field}: {rule.pattern[:200]} ({group.name})", rule.line)


def usage_signals(rules: Rules, url: str) -> tuple[Signal, ...]:
    """Return the robots.txt lines about the use of `url`: for each field the longest pattern."""
    path = robotstxt.path_of(url)
    found: dict[str, Signal] = {}
    for field, pattern, preference in sorted(rules.usage, key=lambda line: -len(line[1])):
        if field not in found and robotstxt.matches(robotstxt.pattern_of(pattern.encode()), path):
            reserves = usage_reserved if field == "content-usage" else signal_reserved
            what = f"{pattern} {preference}"
            found[field] = Signal.of(f"robots.txt {field}", what, reserves(preference))
    return tuple(found.values())


class Cache:
    """The rules of the origins seen, for as long as they are valid, in bounded memory."""

    def __init__(self, failure_seconds: float, most: int = KNOWN_BYTES) -> None:
        self._failure_seconds = failure_seconds
        self._most = most
        self._size = 0
        self._known: OrderedDict[str, tuple[float, Rules]] = OrderedDict()

    def get(self, origin: str, now: float) -> Rules | None:
        """Return the rules of `origin`, None if they are unknown or too old; `now` in s."""
        until, rules = self._known.get(origin, (now, None))
        if rules is None or until <= now:
            return None
        self._known.move_to_end(origin)
        return rules

    def forget_failures(self) -> None:
        """Forget which origins could not be reached: the network was down when they were asked."""
        for origin, (_, rules) in list(self._known.items()):
            if rules.state == "unreachable":
                del self._known[origin]
                self._size -= cost(rules)

    def put(self, origin: str, rules: Rules, now: float) -> None:
        """Store the rules of `origin`, and forget the least recently used."""
        if old := self._known.pop(origin, None):
            self._size -= cost(old[1])
        seconds = KNOWN_SECONDS
        if rules.state == "unreachable":
            seconds = max(rules.retry_after or 0.0, self._failure_seconds)
        self._known[origin] = (now + seconds, rules)
        self._size += cost(rules)
        while self._size > self._most and len(self._known) > 1:
            self._size -= cost(self._known.popitem(last=False)[1][1])


def cost(rules: Rules) -> int:
    """Return about how many bytes of memory the rules take."""
    return OVERHEAD + EXPANSION * rules.size
