"""Every case of the hostile web, fetched over real sockets on loopback."""

import ast
import asyncio
import re
import socket
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from aiohttp.resolver import AsyncResolver

from tests.pipeline.crawl.fakes import links
from tests.web.case import MAX_BODY, Case
from tests.web.conditions import CONDITIONS
from tests.web.fetching import nobody, serving, watch_connecting
from tests.web.names import PUBLIC
from tests.web.rows import ROWS, markdown
from tests.web.server import SECRET, Authority, Site, Web, ca_file
from tests.web.table import BESIDE, CASES, SITES
from webtext.pipeline.core.records import PAGE
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.fetch import Fetched, Fetcher
from webtext.pipeline.crawl.http import address_guard
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.urls import urls

ROOT = Path(__file__).resolve().parents[3]
HASTY = {"connect_timeout": 0.6, "first_byte_timeout": 0.6, "timeout": 1.0}  # s
BY_NAME = {case.name: case for case in CASES}


@cache
def authority() -> tuple[Authority, str]:
    ca = Authority()
    return ca, ca_file(ca)


class Reached:
    """Every address that a connection was tried to: PUBLIC is the web, others are refused."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, int]] = []
        self.web: Web

    def leads(self, address: tuple[str, int]) -> tuple[str, int]:
        self.tried.append(address[:2])
        if address[0] == PUBLIC:
            return "127.0.0.1", self.web.port
        if address[0] not in ("127.0.0.1", "::1"):
            raise ConnectionRefusedError(f"{address} is off loopback")
        return address


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Reached:
    tried = Reached()
    watch_connecting(monkeypatch, tried.leads)
    return tried


def settings(web: Web, **more) -> Crawl:
    values = {
        "contact": "mailto:crawl@demo.test",
        "connect_to": web.connect_to(),
        "ca_file": authority()[1],
        "max_body": MAX_BODY,
        "ports": (80, 443, web.trap),
        **more,
    }
    return Crawl(**values)


async def fetched(case: Case, reached: Reached, **more) -> tuple[Fetched, Web, float | None]:
    """Fetch a case's link; return what came of it, the web, and what Crawl-delay was asked."""
    hosts = {**case.sites, **BESIDE, "expired.test": SITES["expired.test"]}
    needs_tls = case.scheme == "https" or case.name == "robots-tls"
    named = any(site.names for site in case.sites.values())
    async with Web(hosts, authority()[0] if needs_tls else None) as web:
        reached.web = web
        ours = partial(AsyncResolver, nameservers=["127.0.0.1"], udp_port=web.dns_port, tries=1)
        chosen = settings(web, **case.settings, **(HASTY if case.slow else {}), **more)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(address_guard, "AsyncResolver", ours)
            async with Fetcher(chosen, lookup=None if named else nobody) as fetcher:
                found = await fetcher.fetch(case.url(web.trap))
                delay = fetcher.crawl_delay(found.final_url) if found.fate is None else None
                return found, web, delay


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.name}")
def test_each_host_meets_its_fate(case: Case, reached: Reached):
    found, web, crawl_delay = asyncio.run(fetched(case, reached))

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
    if case.crawl_delay is not None or case.number == 44:
        assert crawl_delay == case.crawl_delay
    if case.robots is not None:
        assert case.robots in found.robots
    if case.final is not None:
        assert found.final_url == case.final
    check_requests(case, web)
    assert web.trapped == []
    assert {address for address, _ in reached.tried} <= {"127.0.0.1", PUBLIC}
    check_spellings(case)
    if case.text is not None or case.then is not None:
        check_reading(case, found)


def check_requests(case: Case, web: Web) -> None:
    """Check what was asked for, and that nothing was told."""
    assert (case.host, case.never) not in web.requests
    if case.alone:
        assert set(web.requests) <= {(case.host, "/robots.txt"), (case.host, case.path)}
    for heard in web.heard:
        assert not {b"cookie", b"authorization"} & {
            line.partition(b":")[0].lower() for line in heard.split(b"\r\n")
        }


def check_spellings(case: Case) -> None:
    """Check that links which mean one page have one key."""
    if case.same:
        assert {urls.key(link) for link in case.same} == {urls.key(case.url(0))}


READER = Extract(deadline=1.0, memory_mb=1500, max_bytes=5_000_000)


def check_reading(case: Case, found: Fetched) -> None:
    """Check what becomes of the page when its text is extracted."""
    assert found.exchange is not None
    row = {"id": "0" * 16, "url": found.final_url, "score": 3, "body": found.exchange.body}
    row["content_type"] = found.content_type
    (read,) = READER(pa.RecordBatch.from_pylist([row], PAGE)).to_pylist()
    assert read["dropped_by"] == case.then
    if case.then is None:
        assert case.text in read["text"]
        assert "\0" not in read["text"]


@pytest.mark.parametrize(
    "name", ["to-loopback", "link-decimal", "link-loopback-6", "name-loopback"]
)
def test_a_crawler_without_a_guard_gets_inside(name: str, reached: Reached):
    case = replace(BY_NAME[name], fate=None)
    found, web, _ = asyncio.run(fetched(case, reached, allow_private=True))
    assert web.trapped
    assert found.exchange
    assert found.exchange.body == SECRET


def test_a_crawler_that_asks_again_for_a_vetted_name_gets_inside(reached, monkeypatch):
    monkeypatch.setattr(address_guard.Resolver, "socket", lambda _, info: socket.socket(*info[:3]))
    monkeypatch.setattr(address_guard, "blocked", lambda _: None)
    monkeypatch.setattr(address_guard, "KNOWN_SECONDS", 0.0)
    _, web, _ = asyncio.run(fetched(BY_NAME["rebind"], reached))
    assert web.trapped


def crawled(tmp_path, web: Web, monkeypatch, wanted: list[str], **more) -> dict[str, str | None]:
    """Crawl the links of `wanted` from a web that is being served; return each one's fate."""
    ours = partial(AsyncResolver, nameservers=["127.0.0.1"], udp_port=web.dns_port, tries=1)
    monkeypatch.setattr(address_guard, "AsyncResolver", ours)
    (tmp_path / "pages").mkdir()
    pages = Directory(tmp_path / "pages")
    values = {"connect_to": web.connect_to(), "contact": "me", "latency_factor": 0.0, **more}
    crawl(Crawl(**values), links(tmp_path / "links", wanted), pages)
    rows = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert [row["url"] for row in rows] == wanted
    return {row["url"]: row["dropped_by"] for row in rows}


def test_a_farm_of_names_is_asked_at_the_pace_of_its_one_address(tmp_path, reached, monkeypatch):
    wanted = [f"http://n{number}.farm.test/" for number in range(12)]
    wanted += [f"http://gzip.test/{number}" for number in range(3)]
    with serving({**BY_NAME["farm"].sites, "gzip.test": SITES["gzip.test"]}) as web:
        reached.web = web
        found = crawled(tmp_path, web, monkeypatch, wanted, delay=0.01, delay_per_ip=0.05)
    assert set(found.values()) == {None}
    farm = [at for at, (host, _) in zip(web.times, web.requests, strict=True) if "farm" in host]
    assert len(farm) == 24  # each name's robots.txt and page
    assert min(b - a for a, b in pairwise(farm)) >= 0.05


def test_a_host_that_answers_429_is_backed_off_from_and_given_up_alone(tmp_path, monkeypatch):
    sites = {**BY_NAME["gzip"].sites, "busy.test": Site(BY_NAME["always-429"].site.page)}
    wanted = [f"http://busy.test/{number}" for number in range(4)]
    wanted += [f"http://gzip.test/{number}" for number in range(4)]
    with serving(sites) as web:
        pace = {"delay": 0.01, "backoff": 0.05, "host_errors": 4}
        found = crawled(tmp_path, web, monkeypatch, wanted, **pace)
    assert {fate for url, fate in found.items() if "busy" in url} <= {
        fates.HTTP_429,
        fates.HOST_GIVEN_UP,
    }
    assert {fate for url, fate in found.items() if "gzip" in url} == {None}
    asked = [at for at, hit in zip(web.times, web.requests, strict=True) if hit[0] == "busy.test"]
    gaps = [b - a for a, b in pairwise(asked)][1:]  # after robots.txt
    assert len(gaps) == 3
    assert all(gap >= 0.05 * 2**number for number, gap in enumerate(gaps))


def test_every_row_of_the_table_has_a_case_or_a_test():
    assert list(ROWS) == list(range(1, 75))
    assert {one.number for one in (*CASES, *CONDITIONS)} == set(ROWS)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: str(condition.number))
def test_what_befalls_the_crawler_itself_is_tested_where_the_table_says(condition):
    for test in condition.tests:
        file, _, name = test.partition("::")
        names = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text()))
                 if isinstance(node, ast.FunctionDef)}  # fmt: skip
        assert name in names


def test_the_readme_shows_the_table_as_it_is():
    readme = (ROOT / "tests" / "web" / "README.md").read_text()
    shown = readme.partition("<!-- rows -->\n")[2].partition("<!-- end -->")[0]
    assert shown.splitlines() == list(markdown())


def test_the_documented_command_serves(tmp_path):
    command = [sys.executable, "-m", "tests.web"]
    for option in ("--port", "--tls-port", "--trap", "--dns-port"):
        command += [option, "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            lines = [process.stdout.readline() for _ in CASES]
            said = [process.stderr.readline() for _ in range(3)]
            port = int(re.search(r"http on 127\.0\.0\.1:(\d+)", said[2])[1])
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: short-body.test\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        finally:
            process.terminate()  # not SIGINT, which a shell's background job is deaf to
    assert all(line.count("\t") == 3 and line.endswith("\n") for line in lines)


def test_no_two_cases_share_a_host():
    hosts = [host for case in CASES for host in case.sites]
    assert len(set(hosts)) == len(hosts)
