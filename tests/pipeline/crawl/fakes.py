"""A web that lives in memory, behind the interface of the fetcher."""

import asyncio
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pyarrow as pa
import pytest
from warcio.archiveiterator import ArchiveIterator

from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.crawl.fetch import Exchange, Fetched
from webtext.pipeline.crawl.settings import Crawl, Gate
from webtext.pipeline.urls.urls import key_id, url_id


class Death(BaseException):
    """What no handler catches, as a kill is not caught."""


@contextmanager
def dying(monkeypatch, owner, step, times):
    """Die at the `times`-th call of a step of some owner; what is inside must end by that."""
    whole, left = getattr(owner, step), times

    def counted(*args, **more):
        nonlocal left
        left -= 1
        if left == 0:
            raise Death
        return whole(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, counted)
        with pytest.raises(Death):
            yield


EAGER = Crawl(
    contact="test", delay=0, delay_per_ip=0, latency_factor=0, backoff=0, hosts_in_flight=20
)

SEEN = datetime(2017, 7, 14, tzinfo=UTC)

Answer = Callable[[str, int], Fetched]  # to a URL, the how manieth time it is asked for


def page(url: str, body: bytes = b"<p>text", **changes) -> Fetched:
    exchange = Exchange(
        url=url,
        ip="192.0.2.1",
        request=b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        head=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
        body=body,
        truncated=None,
        started=1_700_000_000.25,
        elapsed=0.125,
    )
    found = Fetched(None, None, exchange, url, (), 200, "text/html", "allow", None, False)
    told = {
        "ip": exchange.ip,
        "robots_time": 1_700_000_000.0,
        "started": exchange.started,
        "first_byte": 0.0625,
        "elapsed": exchange.elapsed,
        "wire_bytes": len(body) + 5,
        "body_bytes": len(body),
        "etag": '"v1"',
    }
    return replace(found, **{**told, **changes})


def failure(url: str, fate: str, again: bool = False, **changes) -> Fetched:
    found = Fetched(fate, None, None, url, (), None, None, "allow", None, again)
    return replace(found, **changes)


class FakeWeb:
    """Answers by a function; notes when each URL was asked for, and under which gate."""

    def __init__(
        self,
        answer: Answer = lambda url, _: page(url),
        latency: float = 0.0,
        ips: Callable[[str], tuple[str, ...]] = lambda _: (),
        hops: dict[str, str] | None = None,
        robots: bool = False,
    ) -> None:
        self.answer, self.latency, self.ips = answer, latency, ips
        self.hops = hops or {}
        self.robots = robots
        self.asked: list[tuple[float, str]] = []
        self.times: dict[str, int] = {}
        self.known: set[str] = set()
        self.most = self.now = 0

    def __call__(self, settings: Crawl, gate: Gate) -> Self:
        self.gate = gate
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def ask(self, url: str) -> None:
        await self.gate(url)
        self.asked.append((time.monotonic(), url))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.latency)
        self.now -= 1

    async def fetch(self, url: str) -> Fetched:
        host = url.split("/")[2]
        if self.robots and host not in self.known:
            await self.ask(f"http://{host}/robots.txt")
            self.known.add(host)
        self.times[url] = self.times.get(url, 0) + 1
        await self.ask(url)
        end = url
        while end in self.hops:
            end = self.hops[end]
            await self.ask(end)
        return self.answer(url, self.times[url])

    async def addresses(self, url: str) -> tuple[str, ...]:
        await asyncio.sleep(0)
        return self.ips(url)

    async def reachable(self, url: str) -> bool:
        return True

    def forget_failures(self) -> None:
        return None

    def crawl_delay(self, url: str) -> float | None:
        return None


def key(url: str) -> str:
    """Return the id of a URL; of other text, as harvests do not write it, some id."""
    try:
        return url_id(url)
    except ValueError:
        return key_id(url)


def links(path: Path, *shards: list[str]) -> Directory:
    """Write a links directory with one shard for each list of URLs, in the order given."""
    made = Directory(path)
    for number, urls in enumerate(shards):
        rows = [
            {
                "id": key(url),
                "url": url,
                "domain": url.split("/")[2],
                "score": 3,
                "submissions": [
                    {"id": "a", "subreddit": "first", "score": 3, "created": SEEN},
                    {"id": "b", "subreddit": "best", "score": 9, "created": SEEN + timedelta(1)},
                ],
            }
            for url in urls
        ]
        write_parquet(made.shard(number), [pa.RecordBatch.from_pylist(rows, LINK)], LINK)
    return made


MANY = [
    [f"http://h{i}.test/{j}" for i in range(s, 60, 3) for j in range(1 + i % 7)] for s in range(3)
]


def unsteady(url, times):
    """Answer by the URL alone, and by how often it was asked for."""
    luck = sum(url.encode()) % 10
    if luck == 0:
        return failure(url, "crawl.http_4xx", value=404.0)
    if luck == 1 and times == 1:
        return failure(url, "crawl.timeout", again=True)
    if "h13." in url:
        return failure(url, "crawl.connect", again=True)
    return page(url, url.encode() * 50)


def archived(directory):
    """Return what an independent reader finds: file, offset, URL of each response, in order."""
    found = []
    for path in sorted(directory.glob("*.warc.gz")):
        with path.open("rb") as file:
            records = ArchiveIterator(file, check_digests="raise")
            for record in records:
                body = record.content_stream().read()
                if record.rec_type == "response":
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    found.append((path.name, records.get_record_offset(), url, body))
    return found
