"""What the crawl needs to know of its links, and how long politeness alone will take."""

from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache

from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.crawl.settings import Crawl


@lru_cache(1024)  # asked at every step of a visit
def host_of(url: str) -> str:
    """Return the name that politeness is kept towards: the host without its port.

    The URL is in WHATWG form, so nothing needs decoding; what is no such URL has the host "".

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


def surt(url: str) -> str:
    """Return a URL in the form in which indexes sort it: the host's names backwards, no scheme.

    >>> surt("https://www.example.com:8443/A/b?c=1")
    'com,example:8443)/A/b?c=1'
    """
    host = host_of(url)
    _, _, rest = url.partition("://")
    tail = rest[min([i for i in map(rest.find, "/?#") if i >= 0], default=len(rest)) :]
    port = rest[: len(rest) - len(tail)].rpartition("@")[2][len(host) :]
    if host[:1] != "[" and not host.replace(".", "").isdigit():
        host = ",".join(reversed(host.removeprefix("www.").split(".")))
    return f"{host}{port}){(tail or '/').partition('#')[0]}"


def busiest_host(links: Directory) -> tuple[str, int]:
    """Return the host with the most links, and their number; ("", 0) without links.

    All links of a host lie in one shard, so a shard's hosts are all that memory must hold.
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
    """Return the least time in seconds that a crawl of `links` takes, however fast the machine.

    A host is asked for its robots.txt and then for each link in turn, with a delay between any
    two, so the busiest host decides. Redirects, slow hosts and Crawl-delay only add to it.
    """
    _, count = busiest_host(links)
    robots = 1 if settings.respect_robots and count else 0
    return max(0, count + robots - 1) * settings.delay


def stamp(milliseconds: int) -> str:
    """Return a Unix time in milliseconds in the form of the index: 14 digits, in UTC.

    >>> stamp(1_500_000_000_123)
    '20170714024000'
    """
    return _stamp(milliseconds // 1000)


@lru_cache(1024)  # of a sorted crawl's times, many are equal
def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")
