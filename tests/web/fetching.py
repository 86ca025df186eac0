"""Fetch from a web made for the occasion."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import contextmanager

import pytest

from tests.web.server import Web
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.http import plain
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls.forgotten import NOTHING


async def nobody(host):
    """Stand in for the name servers, where none should be asked."""
    raise AssertionError(f"a name server was asked about {host}")


def run(sites, visit, gate=None, lookup=nobody, forgotten=NOTHING, **settings):
    """Serve `sites`, hand a fetcher to `visit`, and return what it found and the web."""

    async def whole():
        async with Web(sites) as web:
            values = {"contact": "me", "connect_to": web.connect_to(), "first_byte_timeout": 2.0}
            chosen = Crawl(**{**values, **settings})
            async with Fetcher(chosen, gate, lookup, forgotten) as fetcher:
                return await visit(fetcher), web

    return asyncio.run(whole())


def fetched(sites, url, **more):
    return run(sites, lambda fetcher: fetcher.fetch(url), **more)


@contextmanager
def serving(sites):
    """Serve `sites` from a thread while the block runs, for callers that are not asynchronous."""
    loop, web, ready = asyncio.new_event_loop(), Web(sites), threading.Event()

    def serve():
        loop.run_until_complete(web.__aenter__())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(web.__aexit__())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield web
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def watch_connecting(
    monkeypatch: pytest.MonkeyPatch, leads: Callable[[tuple[str, int]], tuple[str, int]]
) -> None:
    """Let `leads` say where a connection to an address goes, or raise."""
    loop = asyncio.selector_events.BaseSelectorEventLoop
    one_of_many, only = loop.sock_connect, plain.reach

    async def watched(loop, sock, address):
        return await one_of_many(loop, sock, leads(address))

    monkeypatch.setattr(loop, "sock_connect", watched)
    monkeypatch.setattr(plain, "reach", lambda sock, address: only(sock, leads(address)))
