"""What a host's robots.txt lets us do, as RFC 9309 has it.

The file is read by protego; which file counts, what its absence or failure means, how much of it is
read and how long it is believed is decided here. What most crawlers get wrong is kept apart on
purpose: no file (4xx) allows everything, a file that could not be had (5xx, no connection) allows
nothing.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from protego import Protego
from protego._utils import _quote_path

from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.policy.optout import Signal, usage_reserved

MAX_BYTES: Final = 512 * 1024  # read of a file. Source: RFC 9309, 2.5 asks for at least 500 KiB
MAX_REDIRECTS: Final = 5  # Source: RFC 9309, section 2.3.1.2
KNOWN_SECONDS: Final = 86_400.0  # Source: RFC 9309, section 2.4
KNOWN_BYTES: Final = 64 << 20  # of rules kept in memory, over all hosts
OVERHEAD: Final = 2048  # bytes that a host costs beside its rules
EXPANSION: Final = 8  # bytes of memory that a byte of rules takes once parsed, about

NOT_ASKED: Final = "not asked"


@dataclass(frozen=True)
class Rules:
    """What one origin (scheme, host, port) said, or that it said nothing."""

    state: str  # "rules", "allow" (everything), "unreachable" (nothing)
    why: str  # what decided the state, such as "status 404"
    parser: Protego | None = None
    delay: float | None = None  # Crawl-delay in seconds, as asked for
    retry_after: float | None = None  # seconds that the host wants to be left alone
    size: int = 0  # bytes of the rules
    usage: tuple[tuple[str, str], ...] = ()  # path pattern, preference: lines of Content-Usage
    fate: str = fates.ROBOTS_UNREACHABLE  # of the host's pages while it is unreachable
    again: bool = True  # whether asking again later may do better
    reserved: "Reservations | None" = None  # what its other files say, where they were asked for
    asked: float | None = None  # Unix time at which we asked for them


@dataclass(frozen=True)
class Reservations:
    """What the other files of one origin say (`wellknown.py` reads them)."""

    tdm: tuple[tuple[str, bool], ...] = ()  # path pattern, whether it is reserved
    ai: Rules | None = None


def allows_all(why: str) -> Rules:
    """Return the rules of a host that has none."""
    return Rules("allow", why)


def unreachable(
    why: str,
    retry_after: float | None = None,
    fate: str = fates.ROBOTS_UNREACHABLE,
    again: bool = True,
) -> Rules:
    """Return the rules of a host that could not say which they are."""
    return Rules("unreachable", why, retry_after=retry_after, fate=fate, again=again)


def of_status(status: int, retry_after: float | None) -> Rules | None:
    """Return what a status says by itself, None where the body says it.

    429 is the one 4xx that is no answer: the host has rules perhaps, and no time now.

    Source: RFC 9309, sections 2.3.1.3 (unavailable) and 2.3.1.4 (unreachable).
    """
    if 200 <= status < 300:
        return None
    if 400 <= status < 500 and status != 429:
        return allows_all(f"status {status}")
    return unreachable(f"status {status}", retry_after)


def parse(body: bytes, product: str) -> Rules:
    """Read a robots.txt, whatever is in it; what cannot be read as rules is none."""
    text = groups_for(as_text(cut(body)), product.lower())
    parser = Protego.parse(text)
    return Rules(
        "rules",
        "robots.txt",
        parser,
        parser.crawl_delay(product),
        size=len(text),
        usage=tuple(usage_lines(text, product.lower())),
    )


def cut(body: bytes) -> bytes:
    """Return the lines that lie wholly in the part that is read."""
    if len(body) <= MAX_BYTES:
        return body
    end = max(body.rfind(b"\n", 0, MAX_BYTES), body.rfind(b"\r", 0, MAX_BYTES))
    return body[: end + 1]


def as_text(body: bytes) -> str:
    """Return the file as text. It is UTF-8 by the standard, and UTF-16 from some editors."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    return body.decode("utf-8-sig", "replace").replace("\0", "")


_agent = re.compile(
    r"^[ \t]*user[- ]?agent[ \t]*:[ \t]*(\*|[a-z_-]*).*$", re.IGNORECASE | re.MULTILINE
)


def groups_for(text: str, product: str) -> str:
    """Return the file with all groups but ours and the general one addressed to "/", to nobody.

    A group is ours if its name is ours, letter case aside. protego alone would take one for a
    shorter name that ours begins with, and none where the line adds a version to our name.

    Source: RFC 9309, section 2.2.1.
    """

    def addressed(match: re.Match[str]) -> str:
        name = match[1].lower()
        return f"User-agent: {name if name in ('*', product) else '/'}"

    return _agent.sub(addressed, text.replace("\r\n", "\n").replace("\r", "\n"))


_usage = re.compile(r"\s*content-usage\s*:\s*(?:(/\S*)\s+)?([^#]+)", re.IGNORECASE)


def usage_lines(text: str, product: str) -> list[tuple[str, str]]:
    """Return the Content-Usage lines for us, each with the path pattern that it is for.

    Source: draft-ietf-aipref-attach, section on robots.txt.
    """
    if "content-usage" not in text.lower():
        return []
    found: dict[str, list[tuple[str, str]]] = {}
    names: list[str] = []
    in_rules = False
    for line in text.splitlines():
        if match := _agent.match(line):
            names = [*([] if in_rules else names), match[1].lower()]
            in_rules = False
            found.update((name, []) for name in names if name not in found)
        elif line.strip():
            in_rules = True
            if match := _usage.match(line):
                for name in names:
                    found[name].append((match[1] or "/", match[2].strip()))
    return found.get(product, found.get("*", []))


@dataclass(frozen=True)
class Verdict:
    """What the rules say of one URL."""

    allowed: bool
    why: str  # the rule, or the state that decided


def judge(rules: Rules, url: str, product: str) -> Verdict:
    """Apply an origin's rules to one of its URLs."""
    if rules.state == "unreachable":
        return Verdict(False, f"unreachable: {rules.why}")
    if rules.parser is None:
        return Verdict(True, f"allow: {rules.why}")
    why = deciding(rules.parser, url, product)
    allowed = why.startswith("allow") or bool(rules.parser.can_fetch(url, product))
    return Verdict(allowed, why)


def deciding(parser: Protego, url: str, product: str) -> str:
    """Return the rule that decides about `url`, with the group that it stands in."""
    # protego tells what was decided but not by which rule, and would look for it once more.
    group = parser._get_matching_rule_set(product)  # noqa: SLF001
    if group is None:
        return "allow: no group for us"
    path = _quote_path(url)
    for rule in group._rules:  # noqa: SLF001
        if rule.value.match(path):
            return f"{rule.field}: {rule.value._pattern[:200]} ({group.user_agent})"  # noqa: SLF001
    return f"allow: no rule matches ({group.user_agent})"


def usage_signals(rules: Rules, url: str) -> tuple[Signal, ...]:
    """Return what robots.txt says of the use of `url`: the longest pattern that matches it."""
    for pattern, preference in sorted(rules.usage, key=lambda line: -len(line[0])):
        single = Protego.parse(f"User-agent: *\nDisallow: {pattern}")
        if not single.can_fetch(url, "*"):
            what = f"{pattern} {preference}"
            return (Signal.of("robots.txt content-usage", what, usage_reserved(preference)),)
    return ()


class Cache:
    """The rules of the origins seen, for as long as they may be believed, in bounded memory."""

    def __init__(self, failure_seconds: float, most: int = KNOWN_BYTES) -> None:
        self._failure_seconds = failure_seconds
        self._most = most
        self._size = 0
        self._known: OrderedDict[str, tuple[float, Rules]] = OrderedDict()

    def get(self, origin: str, now: float) -> Rules | None:
        """Return the rules of `origin`, None where they are unknown or too old; `now` in s."""
        until, rules = self._known.get(origin, (now, None))
        if rules is None or until <= now:
            return None
        self._known.move_to_end(origin)
        return rules

    def forget_failures(self) -> None:
        """Forget which origins could not be reached: the network was gone when they were asked."""
        for origin, (_, rules) in list(self._known.items()):
            if rules.state == "unreachable":
                del self._known[origin]
                self._size -= cost(rules)

    def put(self, origin: str, rules: Rules, now: float) -> None:
        """Keep the rules of `origin`, forgetting those that were used least lately."""
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
