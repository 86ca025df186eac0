"""What an index of Common Crawl says of a page, and which of its captures a link takes."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

import ada_url
import pyarrow as pa

from webtext.pipeline.crawl.frontier.targets import SESSIONS, host_of, surt
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.forgotten import Forgotten

REVISIT = "warc/revisit"  # the type of a record without a payload
SAFE = "!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # in a key's path and query, without percent signs
REDIRECTS = frozenset({301, 302, 303, 307, 308})
UNDER: Final = "captures"  # the folder of what the index answered
WITHHELD: Final = "about:forgotten"  # instead of a target that is left out on request

CAPTURE = pa.schema(
    [
        ("id", pa.string()),  # of the page, as in LINK
        ("url", pa.string()),  # as the index has it
        ("time", pa.int64()),  # of the request, Unix, in milliseconds
        ("status", pa.int16()),
        ("mime", pa.string()),  # detected, else as sent; null if the index says neither
        ("redirect", pa.string()),  # where it leads, if the index says so, or WITHHELD
        ("digest", pa.string()),
        ("file", pa.string()),  # the WARC file, relative to the prefix
        ("offset", pa.int64()),  # of the record, in bytes
        ("length", pa.int64()),
        ("crawl", pa.string()),
    ]
)


class Capture(NamedTuple):
    """One record of a page; the fields are those of CAPTURE."""

    id: str
    url: str
    time: int
    status: int | None
    mime: str | None
    redirect: str | None
    digest: str | None
    file: str
    offset: int
    length: int
    crawl: str


def keys(url: str) -> set[str]:
    """Return the keys by which an index may have a page: with its parameters, without tracking.

    >>> sorted(keys("http://example.com/a?utm_source=x"))
    ['com,example)/a', 'com,example)/a?utm_source=x']
    """
    return {index_key(url), index_key(urls.key(url))}


def index_key(url: str) -> str:
    """Return the key under which Common Crawl's indexes have a URL, which is in WHATWG form.

    As `surt`, which our own index has; besides, percent-encoding is undone as often as there is
    any and then done once, several slashes of a path are one, and numbers of hosts are reversed.

    Source: what the Python package surt gives, with which tests compare it.

    >>> index_key("http://www.example.com//a%3A%2528b%29/?c=%2F&b")
    'com,example)/a:(b)?b&c=/'
    """
    scheme, _, rest = url.partition("://")
    tail = rest[min([i for i in map(rest.find, "/?") if i >= 0], default=len(rest)) :]
    authority = rest[: len(rest) - len(tail)]
    name = host_of(url)
    plain = name.rstrip(".")
    if plain.replace(".", "").isdigit():
        plain = ",".join(reversed(plain.split(".")))
        host = f"{plain}{authority[len(name) :]})"
    else:
        host = surt(f"{scheme}://{plain}{authority[len(name) :]}/").removesuffix("/")
    path, mark, query = tail.partition("?")
    path = re.sub("//+", "/", _escaped_once(path)) or "/"
    path = path.lower().removesuffix("/") or "/"
    query = SESSIONS.sub("", _escaped_once(query).lower())
    if mark and query:
        query = "&".join(
            "=".join(part) for part in sorted(p.split("=", 1) for p in query.split("&"))
        )
    return f"{host}{path}{mark if query else ''}{query}"


def _escaped_once(text: str) -> str:
    if text.isascii() and "%" not in text:
        return text
    stored = text.encode()
    while (bare := unquote_to_bytes(stored)) != stored:
        stored = bare
    return quote_from_bytes(stored, safe=SAFE)


def page_of(url: str) -> str | None:
    """Return the id of the page that a URL of an index means, None if it is no page's."""
    try:
        return urls.url_id(urls.normalise(url))
    except ValueError:
        return None


def leads_to(url: str, target: str | None, forgotten: Forgotten) -> bool:
    """Whether a redirect of `url` has a target, relative or not, that is left out on request."""
    if not target or not forgotten:
        return False
    try:
        return forgotten(ada_url.join_url(url, target))
    except ValueError:
        return False


def unix(stamp: str) -> int:
    """Return a time of 14 digits as Unix time in milliseconds.

    Raises:
        ValueError: it is none.

    >>> unix("20170714024000")
    1500000000000
    """
    found = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return int(found.timestamp()) * 1000


def status_of(said: str | int | None) -> int | None:
    """Return the status that an index says, None if it is no status of HTTP.

    >>> status_of("200"), status_of(404), status_of("-"), status_of("99999")
    (200, 404, None, None)
    """
    text = str(said)
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else None


def nearest(captures: Iterable[Capture], linked: int | None) -> Capture | None:
    """Return the capture that a link takes, None without any.

    A page before a redirect before any other answer; of those the one nearest to the time of the
    link (Unix, in milliseconds), or the newest where that is not known; of equals the first in
    its archive.
    """

    def rank(one: Capture) -> tuple[int, int, str, int]:
        kind = 0 if one.status == 200 else 1 if one.status in REDIRECTS else 2
        far = -one.time if linked is None else abs(one.time - linked)
        return kind, far, one.file, one.offset

    return min(captures, key=rank, default=None)
