"""Whatever a link or a host says, a fetch ends in a fate of the closed list and raises nothing."""

import asyncio
import gzip
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.case import HTML, chunked, page, plain, to
from tests.web.fetching import run, watch_connecting
from tests.web.server import Peer, Site
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.settings import Crawl

few = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
hosts = st.sampled_from(
    [
        "a.test",
        "[::1]",
        "[2606:2800::1]",
        "1.1.1.1",
        "0x7f.1",
        "xn--a.test",
        "-.test",
        "a_b.test",
        "☃.test",
        "a.test.",
        "%41.test",
        "xn--.test",
        "a" * 63 + ".test",
        "..",
        "[",
        "1.1.1.1.1",
        "",
    ]
)
rest = st.text(max_size=30) | st.sampled_from(
    ["", ":80", ":443/", ":x", "?", "#", "/\ud800", "/%zz"]
)
urls = st.builds(
    "".join, st.tuples(st.sampled_from(["http://", "https://", "http:", ""]), hosts, rest)
)


@few
@given(st.lists(urls | st.text(), min_size=10, max_size=40))
def test_no_link_raises(links):
    def refused(address):
        raise ConnectionRefusedError("nobody is asked in this test")

    async def lookup(_):
        return ["93.184.216.34"]

    async def whole():
        async with Fetcher(Crawl(contact="me"), lookup=lookup) as fetcher:
            return await asyncio.gather(*map(fetcher.fetch, links))

    with pytest.MonkeyPatch.context() as patch:
        watch_connecting(patch, refused)
        ends = asyncio.run(whole())
    for found in ends:
        assert found.fate in fates.MEANING


ANSWERS = [
    page(),
    page(gzip.compress(HTML), "Content-Encoding: gzip"),
    chunked(HTML[:100], HTML[100:]),
    plain(b"User-agent: *\nDisallow: /x\n"),
    to("/elsewhere"),
    to("http://b.test/"),
]


def damaged(answer: bytes, rng: random.Random) -> bytes:
    """Return an answer with some bytes changed, removed, repeated, or cut off."""
    data = bytearray(answer)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(min(len(data), 300))
        if rng.random() < 0.5:
            data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        else:
            data[at:at] = data[at : at + rng.randint(1, 40)]
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)


def test_no_answer_raises():
    rng = random.Random(20240520)

    async def answer(peer: Peer):
        await peer.send(damaged(rng.choice(ANSWERS), rng))

    async def visit(fetcher):
        return [
            await fetcher.fetch(f"http://{rng.choice('abc')}.test/{number}")
            for number in range(300)
        ]

    async def nowhere(host):
        raise OSError(f"{host} is not known here")

    sites = {f"{name}.test": Site(answer, answer) for name in "abc"}
    found, _ = run(sites, visit, lookup=nowhere, first_byte_timeout=0.2, timeout=0.4, backoff=0.0)
    met = {one.fate for one in found}
    assert met <= {None, *fates.MEANING}
    assert len(met) >= 5
    for one in found:
        assert (one.exchange is None) == (one.fate not in (None, fates.TOO_LARGE))
