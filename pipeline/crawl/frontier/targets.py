"""Host names, index keys and times of links, and how long politeness alone will take."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.crawl.settings import Crawl


@lru_cache(1024)  # called at every step of a visit
def host_of(url: str) -> str:
    """Return the name to which the politeness rules apply: the host without its port.

    The URL is in WHATWG form, so nothing needs decoding; any other text has the host "".

    >>> host_of("https://user:word@www.example.com:8443/a?b")
    'www.example.com'
    >>> host_of("http://[::1]:80/")
    '[::1]'
    >>> host_of("mailto:someone")
    ''
    """
    _, found, rest = url.partition("://")
    if not found:
        return ""
    for end in "/?#":
        rest = rest.partition(end)[0]
    rest = rest.rpartition("@")[2].lower()
    if rest.startswith("["):
        return rest.partition("]")[0] + "]"
    return rest.partition(":")[0]


# Session ids, which give one page many URLs.
# Source: the Python package surt, IAURLCanonicalizer, which pywb and the Wayback Machine use
SESSIONS = re.compile(
    r"(?:^|(?<=[&?]))(?:(?:jsessionid|phpsessid|sid)=[0-9a-z]{32}"
    r"|aspsessionid[a-z]{8}=[a-z]{24}|cfid=[^&]+&cftoken=[^&]+)(?:&|$)"
)
PATH_SESSION = re.compile(r";jsessionid=[0-9a-z]{32}")


def surt(url: str) -> str:
    """Return a URL as the key by which indexes sort it: the host's labels reversed, no scheme.

    All is in lower case; query parameters are sorted; `www.`, session ids, a final slash and an
    empty query are left out, so that all spellings of one page have one key.

    >>> surt("https://www2.Example.com:8443/A/b/?d=1&C=2")
    'com,example:8443)/a/b?c=2&d=1'
    """
    host = host_of(url)
    _, _, rest = url.partition("://")
    tail = rest[min([i for i in map(rest.find, "/?#") if i >= 0], default=len(rest)) :]
    port = rest[: len(rest) - len(tail)].rpartition("@")[2][len(host) :]
    if host[:1] != "[" and not host.replace(".", "").isdigit():
        host = ",".join(reversed(re.sub(r"\Awww\d*\.", "", host).split(".")))
    path, _, query = tail.lower().partition("#")[0].partition("?")
    path = PATH_SESSION.sub("", path)
    path = path.rstrip("/") or "/"
    query = "&".join(sorted(SESSIONS.sub("", query).strip("&").split("&")))
    return f"{host}{port}){path}" + (f"?{query}" if query else "")


def busiest_host(links: Directory) -> tuple[str, int]:
    """Return the host with the most links, and their number; ("", 0) without links.

    All links of a host are in one shard, so memory only has to hold the hosts of one shard.
    """
    best = ("", 0)
    for path in links.shards():
        counts: Counter[str] = Counter()
        for batch in read_batches(path, ["url"], rows=1 << 16):
            counts.update(map(host_of, batch["url"].to_pylist()))
        for host, count in counts.most_common(1):
            best = max(best, (host, count), key=lambda found: found[1])
    return best


def politeness_bound(links: Directory, settings: Crawl) -> float:
    """Return the minimum time in seconds of a crawl of `links`, however fast the machine is.

    A host is asked for its robots.txt and then for each link, with a delay between any two
    requests, so the busiest host decides. Redirects, slow hosts and Crawl-delay only add to it. Of
    several parts each has the host's address only in its slots.
    """
    _, count = busiest_host(links)
    robots = 1 if settings.respect_robots and count else 0
    return max(0, count + robots - 1) * between(settings)


def between(settings: Crawl) -> float:
    """Return the seconds between two requests to one host that has an address of its own."""
    if settings.parts > 1 and not settings.part:
        settings = replace(settings, part=f"1/{settings.parts}")
    return max(settings.delay, settings.pace_per_ip if settings.part else 0.0)


def stamp(milliseconds: int) -> str:
    """Return a Unix time in milliseconds in the form of the index: 14 digits, in UTC.

    >>> stamp(1_500_000_000_123)
    '20170714024000'
    """
    return _stamp(milliseconds // 1000)


@lru_cache(1024)  # many times in a sorted crawl are equal
def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")
