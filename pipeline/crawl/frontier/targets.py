"""What the crawl needs to know of its links, and how long politeness alone will take."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.crawl.settings import Crawl

MILLISECONDS = pa.timestamp("ms", tz="UTC")


class Wanted(NamedTuple):
    """A link, as the frontier holds it."""

    id: str
    url: str
    domain: str | None
    score: int | None
    subreddit: str | None  # of the submission with the highest score, the oldest of equals
    linked: int | None  # Unix time of the first submission, in milliseconds


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


def wanted(path: Path) -> Iterator[list[Wanted]]:
    """Yield the links of a shard in order, a batch at a time.

    Raises:
        UserError: the shard is missing or damaged.
    """
    for batch in read_batches(path, rows=8192):
        submissions = batch["submissions"]
        fields = submissions.flatten()  # of all rows, one after the other; null lists are empty
        scores = fields.field("score").to_pylist()
        subreddits = fields.field("subreddit").to_pylist()
        created = fields.field("created").cast(MILLISECONDS).cast(pa.int64()).to_pylist()
        ids, urls, domains, points = (
            batch[name].to_pylist() for name in ("id", "url", "domain", "score")
        )
        rows = []
        end = 0
        for i, count in enumerate(submissions.value_lengths().to_pylist()):
            start, end = end, end + (count or 0)
            top = max(range(start, end), key=partial(_rank, scores), default=None)
            subreddit = None if top is None else subreddits[top]
            times = [time for time in created[start:end] if time is not None]
            linked = min(times, default=None)
            rows.append(Wanted(ids[i], urls[i], domains[i], points[i], subreddit, linked))
        yield rows


def _rank(scores: list[int | None], position: int) -> tuple[bool, int, int]:
    """Order submissions by score, those without one last, the earlier of equals first."""
    score = scores[position]
    return score is not None, score or 0, -position


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
