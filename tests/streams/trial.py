"""Fetch from a web on loopback that answers each host with a byte stream of its own."""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from tests.pipeline.crawl.survival import clean
from tests.streams.said import LIMIT, ROBOTS, bring, stream
from tests.web.case import page, plain
from tests.web.fetching import nobody
from tests.web.server import Authority, Peer, Site, Web, ca_file
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.fetch import Fetched, Fetcher
from webtext.pipeline.crawl.frontier.rows import FOUND, LISTS, Item
from webtext.pipeline.crawl.http.results import notes, outcome
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink

AT_A_TIME = 32
TLS_HOSTS = 20  # few, since a server's certificates cost more memory than all that is measured
ABSENT = page(status="404 No")
MAX_HEAD = 128 * 32_768 + 4096  # bytes: as many fields as are read, of the largest size
PATIENCE = {"connect_timeout": 1.0, "first_byte_timeout": 0.4, "timeout": 0.8}  # s
# s: a page, 5 redirects and their robots.txt, each as slow as it may be, on a machine three times
# as busy as it should be.
BOUND = 2 * (5 + 1) * PATIENCE["timeout"] * 3


async def answer(peer: Peer) -> None:
    """Answer with the stream of this host and path."""
    rng = random.Random(f"{peer.host}{peer.path}")
    if peer.path == "/robots.txt" and rng.random() < 0.9:
        await peer.send(plain(rng.choice(ROBOTS)) if rng.random() < 0.1 else ABSENT)
    else:
        await bring(peer, stream(rng))


def link(seed: int) -> str:
    """Return the URL that a seed makes: a host of its own, or every tenth time a path over TLS."""
    return (
        f"https://{seed % TLS_HOSTS}.tls.test/{seed}" if seed % 10 == 9 else f"http://{seed}.test/"
    )


def judge(seed: int, found: Fetched, sink: Sink) -> None:
    """Check that a fetch has found what may be found, and that it fits where it is to be kept.

    Raises:
        AssertionError: it does not.
    """
    assert found.fate is None or found.fate in fates.MEANING, found.fate
    assert (found.exchange is None) == (found.fate not in (None, fates.TOO_LARGE)), found.fate
    item = Item(seed, seed, link(seed), 0)
    done = outcome(item, found, time.time())
    if exchange := found.exchange:
        assert len(exchange.body) <= LIMIT, len(exchange.body)
        assert len(exchange.head) <= MAX_HEAD, len(exchange.head)
        place = sink.write(0, exchange, notes(item, found))
        done = replace(done, warc_file=place.file, warc_offset=place.offset, digest=place.digest)
    row = dict(zip(FOUND, done.row()[1:], strict=True))
    row |= {name: list(getattr(done, name)) for name in LISTS}
    columns = [name for name in OUTCOME.names if name in row]
    schema = pa.schema([OUTCOME.field(name) for name in columns])
    batch = pa.RecordBatch.from_pylist([{name: row[name] for name in columns}], schema)
    batch.validate(full=True)


async def fetch(fetcher: Fetcher, seed: int, sink: Sink, met: Counter[str]) -> list[str]:
    """Fetch from one host; return what was wrong about it."""
    started = time.monotonic()
    try:
        found = await asyncio.wait_for(fetcher.fetch(link(seed)), BOUND)
        judge(seed, found, sink)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        took = time.monotonic() - started
        return [f"seed {seed}, {link(seed)}, {took:.1f} s: {type(error).__name__}: {error}"]
    met[found.fate or "kept"] += 1
    return []


async def trial(seeds: range, directory: Path) -> tuple[Counter[str], list[str]]:
    """Fetch from the hosts of these seeds; return the fates met, and what was wrong."""
    met: Counter[str] = Counter()
    wrong: list[str] = []
    ca = Authority()
    sites = {
        "other.test": Site(page(), ABSENT),
        "*.test": Site(answer, answer),
        **{f"{number}.tls.test": Site(answer, ABSENT) for number in range(TLS_HOSTS)},
    }
    async with Web(sites, ca) as web:
        settings = Crawl(
            contact="me",
            connect_to=(f"*:80:127.0.0.1:{web.port}", f"*:443:127.0.0.1:{web.tls_port}"),
            ca_file=ca_file(ca),
            max_body=LIMIT,
            **PATIENCE,
        )
        sink = Sink(directory, settings)
        left: Iterator[int] = iter(seeds)
        async with Fetcher(settings, None, nobody) as fetcher:

            async def visitor() -> None:
                for seed in left:
                    wrong.extend(await fetch(fetcher, seed, sink, met))

            await asyncio.gather(*(visitor() for _ in range(AT_A_TIME)))
        sink.sync()
    with suppress(AssertionError):
        clean(directory)
        return met, wrong
    return met, [*wrong, f"warcio check objects to {directory}"]


def run(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """Fetch from `count` hosts; return the fates met, and what was wrong."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(trial(range(first, first + count), Path(directory)))
