"""The demo's web: a table from host and path to answers, and the submissions that link to it.

It depends only on what is installed: the same installation gives the same bytes.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import zstandard

from webtext.flows.demo.docstrings import Text, sources
from webtext.flows.demo.pages import render
from webtext.pipeline.core.shards import replacing

ABOUT = Path(__file__).parent / "about"  # the demo's own words in other languages
PAGES = 3_000  # texts at most, shared evenly among the hosts
MIRRORED = 25  # pages of a host that its mirror serves too
FIRST_SECOND = 1_420_070_400  # 2015-01-01: submissions lie within two years of it
SUBREDDITS = ("programming", "Python", "learnpython", "datascience", "coding")


@dataclass(frozen=True)
class Answer:
    """What a host answers to a path."""

    body: bytes
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    location: str = ""
    wait: float = 0.0  # seconds before the first byte
    repeat: int = 1  # times that the body is sent


Web = dict[tuple[str, str], Answer]


def web(pages: int = PAGES, only: frozenset[str] = frozenset()) -> Web:
    """Return the demo web: about so many pages, of all distributions or of some."""
    table: Web = {}
    listed = []
    for name, texts in share_out(list(sources(only)), pages):
        host = f"{name}.demo.test"
        table |= dict(_host(host, texts))
        listed.append((f"http://{host}/", name))
        if name in {"numpy", "python"}:
            copies = texts[:MIRRORED]
            table |= dict(_host(f"{name}-mirror.demo.test", copies))
    table["www.demo.test", "/"] = _page("www.demo.test", "All packages", "What is here.", listed)
    table |= _troubles()
    return table


def share_out(found: list[tuple[str, list[Text]]], most: int) -> list[tuple[str, list[Text]]]:
    """Cut each host's texts at the same number, so that all of them together are about `most`.

    >>> [len(texts) for _, texts in share_out([("a", [1] * 9), ("b", [1] * 2)], 6)]
    [4, 2]
    """
    each = 0
    while sum(min(len(texts), each + 1) for _, texts in found) <= most and each < most:
        each += 1
    return [(name, texts[:each]) for name, texts in found if texts]


def _host(host: str, texts: list[Text]) -> Iterator[tuple[tuple[str, str], Answer]]:
    """Yield the pages of one host, its index and its robots.txt."""
    links = [(text.path, text.title) for text in texts]
    yield (
        (host, "/robots.txt"),
        Answer(b"User-agent: *\nDisallow: /private/\n", content_type="text/plain"),
    )
    yield (host, "/"), _page(host, f"Index of {host}", "Everything on this site.", links)
    for number, text in enumerate(texts):
        near = links[max(0, number - 5) : number + 6]
        yield (host, text.path), _page(host, text.title, text.body, near)


def _page(
    host: str, title: str, text: str, links: list[tuple[str, str]], lang: str = "en"
) -> Answer:
    """Return an ordinary page."""
    return Answer(render(host, title, text, links, lang).encode())


def _troubles() -> Web:
    """Return the pages of a host on which everything goes wrong that can."""
    host = "troubles.demo.test"
    table = {
        (host, "/robots.txt"): Answer(
            b"User-agent: *\nDisallow: /private/\n", content_type="text/plain"
        ),
        (host, "/private/account.html"): _page(host, "Account", "Nobody should read this.", []),
        (host, "/moved.html"): Answer(b"", 301, location="http://python.demo.test/"),
        (host, "/loop.html"): Answer(b"", 302, location="/loop.html"),
        (host, "/gone.html"): Answer(b"<p>Gone.</p>", 410),
        (host, "/broken.html"): Answer(b"<p>Sorry.</p>", 500),
        (host, "/slow.html"): Answer(b"<p>At last.</p>", wait=30.0),
        (host, "/huge.html"): Answer(b"<p>All work and no play.</p>" * 40_000, repeat=20),
        (host, "/paper.pdf"): Answer(b"%PDF-1.4\n%demo\n", content_type="application/pdf"),
        (host, "/empty.html"): _page(host, "", "", []),
    }
    for path in sorted(ABOUT.glob("*.txt")):
        title, _, text = path.read_text(encoding="utf-8").partition("\n\n")
        table[host, f"/{path.stem}.html"] = _page(host, title, text, [], path.stem)
    return table


def submissions(table: Web) -> Iterator[bytes]:
    """Yield a dump's lines that link to every page, as Pushshift's dumps have them."""
    urls = [f"http://{host}{path}" for host, path in table if path != "/robots.txt"]
    urls += [f"http://python.demo.test/missing-{number}.html" for number in range(20)]
    urls += ["http://nowhere.invalid/page.html", "https://en.wikipedia.org/wiki/Python"]
    for number, url in enumerate(sorted(urls)):
        liked = "//troubles." in url or _drawn(url, 0, 10)
        yield _line(number, url, 3 + _drawn(url, 1, 60) if liked else 1)
        if _drawn(url, 2, 12) == 0:  # posted again, as people do, with a tracking parameter
            yield _line(number + 500_000, f"{url}?utm_source=reddit", _drawn(url, 3, 30))
        if _drawn(url, 4, 25) == 0:
            yield _line(number + 700_000, "", 5, is_self=True)
    yield b'{"id": "cut off", "url": "http://python.demo.test/'


def _drawn(url: str, salt: int, below: int) -> int:
    """Return a number below `below` that a URL always draws."""
    return int.from_bytes(hashlib.sha256(f"{salt} {url}".encode()).digest()[:8]) % below


def _line(number: int, url: str, score: int, is_self: bool = False) -> bytes:
    """Return one submission as a line of JSON."""
    name = f"d{number:06x}"
    subreddit = SUBREDDITS[number % len(SUBREDDITS)]
    permalink = f"/r/{subreddit}/comments/{name}/"
    record: dict[str, Any] = {
        "id": name,
        "url": f"https://www.reddit.com{permalink}" if is_self else url,
        "title": f"What {url or 'everyone'} says",
        "score": score,
        "subreddit": subreddit,
        "created_utc": FIRST_SECOND + number * 17_291 % 63_000_000,
        "is_self": is_self,
        "over_18": False,
        "permalink": permalink,
        "num_comments": number % 17,
    }
    return orjson.dumps(record)


def write_dump(table: Web, path: Path) -> None:
    """Write the submissions as a zstd dump, whole or not at all."""
    lines = b"\n".join(submissions(table))
    with replacing(path) as partial:
        partial.write_bytes(zstandard.ZstdCompressor().compress(lines))
