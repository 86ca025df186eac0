"""Every case of the hostile web, fetched over real sockets on loopback."""

import asyncio
from functools import cache

import pytest

from pipeline.crawl import fates
from pipeline.crawl.fetch import Fetched, Fetcher
from pipeline.crawl.settings import Crawl
from tests.web.case import MAX_BODY, Case
from tests.web.fetching import nobody
from tests.web.server import Authority, Web, ca_file
from tests.web.table import BESIDE, CASES, SITES


@cache
def authority() -> tuple[Authority, str]:
    ca = Authority()
    return ca, ca_file(ca)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address that a connection was tried to; those off loopback are refused."""
    tried: list[tuple[str, int]] = []
    connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect

    async def watched(loop, sock, address):
        tried.append(address[:2])
        if address[0] not in ("127.0.0.1", "::1"):
            raise ConnectionRefusedError(f"{address} is off loopback")
        return await connect(loop, sock, address)

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", watched)
    return tried


def settings(web: Web, **more) -> Crawl:
    values = {
        "contact": "mailto:crawl@demo.test",
        "connect_to": web.connect_to(),
        "ca_file": authority()[1],
        "max_body": MAX_BODY,
        **more,
    }
    return Crawl(**values)


HASTY = {"connect_timeout": 0.6, "first_byte_timeout": 0.6, "timeout": 1.0}  # s


async def fetched(case: Case) -> tuple[Fetched, Web]:
    hosts = {case.host: case.site, **BESIDE, "expired.test": SITES["expired.test"]}
    needs_tls = case.scheme == "https" or case.name == "robots-tls"
    async with (
        Web(hosts, authority()[0] if needs_tls else None) as web,
        Fetcher(
            settings(web, **case.settings, **(HASTY if case.slow else {})), lookup=nobody
        ) as fetcher,
    ):
        return await fetcher.fetch(case.url), web


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.name}")
def test_each_host_meets_its_fate(case: Case, reached: list[tuple[str, int]]):
    found, web = asyncio.run(fetched(case))

    assert found.fate == case.fate, found
    assert found.fate is None or found.fate in fates.MEANING
    if case.body is not None:
        assert found.exchange is not None
        assert found.exchange.body == case.body
    if found.exchange is not None:
        assert found.exchange.truncated == case.truncated
        assert found.exchange.request in web.heard
        assert found.exchange.ip == "127.0.0.1"
    assert (found.exchange is None) == (found.fate not in (None, fates.TOO_LARGE))
    if case.value is not None:
        assert found.value == case.value
    if case.again is not None:
        assert found.again is case.again
    if case.retry_after is not None or case.number == 45:
        assert found.retry_after == case.retry_after
    if case.robots is not None:
        assert case.robots in found.robots
    if case.final is not None:
        assert found.final_url == case.final
    assert (case.host, case.never) not in web.requests
    assert {address for address, _ in reached} <= {"127.0.0.1"}


def test_no_two_cases_share_a_host():
    assert len({case.host for case in CASES}) == len(CASES)
