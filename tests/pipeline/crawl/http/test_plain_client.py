"""What the crawl's client brings is what aiohttp's own brings, of every page that both can read.

`Client` is all that the rest of the crawl knows of connections. Here aiohttp's session, which is
the plain way, stands beside it: the same pages of the hostile web, asked for by both.
"""

import asyncio

import aiohttp

from tests.web.case import MAX_BODY, Case
from tests.web.fetching import nobody
from tests.web.server import Web
from tests.web.table import CASES
from webtext.pipeline.crawl.http.address_guard import Resolver
from webtext.pipeline.crawl.http.client import Client
from webtext.pipeline.crawl.settings import Crawl

PAGES = [
    case for case in CASES
    if case.fate is None and case.scheme == "http" and not (case.slow or case.link or case.hosts)
]  # fmt: skip


# What aiohttp's session refuses or gives in another form, and the crawl keeps on purpose.
OURS_ALONE = {
    "no-last-chunk": "a body that was cut short is kept, and marked so",
    "short-body": "as above",
    "reset-in-body": "as above",
    "zstd": "aiohttp undoes it only where another package is installed",
    "x-gzip": "aiohttp hands it on packed",
    "two-layers": "aiohttp undoes the outer one",
    "bytes-after-length": "what comes after the length is left, as in browsers",
    "length-and-chunks": "the chunks count, as in browsers",
    "length-said-twice": "the same length twice is that length, as in browsers",
    "folded-header": "aiohttp keeps the line end within the value",
    "no-colon": "a line that is not a header is left out, as in curl",
    "php-warning": "as above",
    "space-colon": "blanks before a colon are left out, as in browsers",
    "chunk-size-nonsense": "chunks before one without a size are kept",
    "chunk-size-nonsense-late": "as above; aiohttp waits for ever",
    "length-decoded": "a coded body is whole where its stream is, as in Chrome",
    "length-word": "a length that is no number counts as none, as in browsers",
    "length-negative": "as above",
    "length-none": "as above",
    "length-huge": "as above",
    "status-colon": "three digits are a status, as in Chrome",
    "status-glued": "as above",
    "no-version": "as above",
    "not-gzip": "what is plainly text is not coded",
    "not-br": "as above",
    "not-zstd": "as above",
    "not-deflate": "as above",
    "encoding-parameter": "parameters and the codings of uploads are left out",
    "transfer-gzip": "aiohttp does not undo other transfer codings than chunks",
}


async def ours(web: Web, case: Case) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    settings = Crawl(contact="me", connect_to=web.connect_to(), max_body=MAX_BODY)
    resolver = Resolver(settings, nobody)
    async with Client(settings, resolver) as client:
        with await client.get(case.url(0)) as arrived:
            body = await arrived.read(MAX_BODY)
            return arrived.head.status, arrived.head.fields, body.data


async def theirs(web: Web, case: Case) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{web.port}{case.path}"
        asked = session.get(url, headers={"Host": case.host}, allow_redirects=False)
        async with asked as answer:
            return answer.status, answer.raw_headers, (await answer.read())[:MAX_BODY]


async def differing() -> set[str]:
    """Return the names of pages of which the two do not bring the same, or aiohttp nothing."""
    found = set()
    async with Web({host: site for case in PAGES for host, site in case.sites.items()}) as web:
        for case in PAGES:
            wanted = await ours(web, case)
            if "waits for ever" in OURS_ALONE.get(case.name, ""):
                continue
            try:
                if await theirs(web, case) != wanted:
                    found.add(case.name)
            except aiohttp.ClientError:
                found.add(case.name)
    return found


def test_both_bring_the_same_of_every_page_that_both_can_read():
    assert len(PAGES) > 60
    assert asyncio.run(differing()) - OURS_ALONE.keys() == set()
