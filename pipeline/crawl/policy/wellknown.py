"""Reservations that a host makes for all its pages in separate files, besides robots.txt.

They cost a host two more requests, whether it has the files or not, so they are requested only if
the recipe says so (`opt_out_files`). A file that cannot be fetched or read reserves nothing:
unlike for robots.txt, no standard gives its absence a meaning.
"""

import json
import re
from typing import Final

from webtext.pipeline.crawl.policy import robots, robotstxt
from webtext.pipeline.crawl.policy.optout import Signal

TDMREP: Final = "/.well-known/tdmrep.json"  # Source: W3C TDMRep, final report of 10 May 2024
AI_TXT: Final = "/ai.txt"  # Source: Spawning's ai.txt, which has the syntax of robots.txt
FILES: Final = (TDMREP, AI_TXT)
MAX_BYTES: Final = robots.MAX_BYTES
MAX_ENTRIES: Final = 1000  # of tdmrep.json


def read(bodies: dict[str, bytes], product: str) -> robots.Reservations:
    """Read the files that were found, by path; an unreadable file counts as absent."""
    ai = bodies.get(AI_TXT)
    return robots.Reservations(
        tdm=tuple(tdm_entries(bodies.get(TDMREP, b""))),
        ai=robots.parse(ai, product) if ai else None,
    )


def tdm_entries(body: bytes) -> list[tuple[str, bool]]:
    """Return the patterns of a tdmrep.json, and whether each is reserved.

    >>> tdm_entries(b'[{"location": "/blog/*", "tdm-reservation": 1}, {"location": 5}]')
    [('/blog/*', True)]
    """
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(entries, list):
        return []
    return [
        (entry["location"], entry.get("tdm-reservation") in (1, "1"))
        for entry in entries[:MAX_ENTRIES]
        if isinstance(entry, dict) and _is_text(entry.get("location"))
    ]


def _is_text(found: object) -> bool:
    """Whether it is a string that can be written down, without half a pair of UTF-16."""
    return isinstance(found, str) and not re.search("[\ud800-\udfff]", found)


def signals(found: robots.Reservations, url: str) -> tuple[Signal, ...]:
    """Return what the files say about one URL; of several patterns the longest decides."""
    said = []
    for pattern, reserved in sorted(found.tdm, key=lambda entry: -len(entry[0])):
        if matches(pattern, url):
            said.append(Signal.of("tdmrep.json", f"{pattern} {int(reserved)}", reserved))
            break
    if found.ai is not None:
        verdict = robots.judge(found.ai, url)
        if not verdict.allowed:
            said.append(Signal.of("ai.txt", verdict.why, reserves=True))
    return tuple(said)


def matches(pattern: str, url: str) -> bool:
    """Tell whether a path pattern in the syntax of robots.txt matches a URL."""
    return robotstxt.matches(robotstxt.pattern_of(pattern.encode()), robotstxt.path_of(url))
