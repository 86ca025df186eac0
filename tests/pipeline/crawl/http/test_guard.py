"""The address guard at work: which sockets are opened, for whatever a host's name says."""

import asyncio
import socket

import pytest

from tests.web.case import page
from tests.web.fetching import fetched, run, watch_connecting
from tests.web.server import Site, Web
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.settings import Crawl


@pytest.fixture
def tried(monkeypatch):
    """Every address that a socket was connected to; none is reached."""
    addresses = []

    def refused(address):
        addresses.append(address[0])
        raise ConnectionRefusedError(f"{address} is off limits")

    watch_connecting(monkeypatch, refused)
    return addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "１２７.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "192.0.0.8",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[2001:0:1::1]",
        "[fec0::1]",
        "[fe80::1]",
        "localhost",
        "inside.test",
        "mapped.test",
    ],
)
def test_no_connection_is_tried_to_a_host_inside(host, tried):
    async def lookup(name):
        return {"inside.test": ["10.0.0.1", "fd00::1"], "mapped.test": ["::ffff:10.0.0.1"]}[name]

    found, _ = fetched({}, f"http://{host}/", lookup=lookup)
    assert found.fate == fates.BLOCKED_ADDRESS
    assert tried == []


def test_a_name_that_changes_its_answer_is_connected_to_where_it_was_vetted(tried):
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    async def lookup(_):
        return answers.pop(0)

    found, _ = fetched({}, "http://rebind.test/", lookup=lookup)
    assert found.fate == fates.CONNECT
    assert tried == ["93.184.216.34"]


def test_a_name_that_changes_its_answer_is_blocked_once_it_is_asked_about_again(tried, monkeypatch):
    monkeypatch.setattr("webtext.pipeline.crawl.http.address_guard.KNOWN_SECONDS", 0.0)
    answers = [["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]]

    async def lookup(_):
        return answers.pop(0)

    found, _ = fetched({}, "http://rebind.test/", lookup=lookup)
    assert found.fate == fates.BLOCKED_ADDRESS
    assert tried == []


def test_of_a_name_with_inner_and_outer_addresses_only_the_outer_are_tried(tried):
    async def lookup(_):
        return ["10.0.0.1", "93.184.216.34", "::1", "2606:2800:220:1::1"]

    found, _ = fetched({}, "http://both.test/", lookup=lookup)
    assert found.fate == fates.CONNECT
    assert set(tried) == {"93.184.216.34", "2606:2800:220:1::1"}


def test_a_public_address_under_connect_to_goes_where_the_recipe_says():
    async def whole():
        async with Web({"93.184.216.34": Site(page())}) as web:
            rules = (f"*:80:127.0.0.1:{web.port}",)
            async with Fetcher(Crawl(contact="me", connect_to=rules)) as fetcher:
                inside = await fetcher.fetch("http://10.0.0.1/")
                return await fetcher.fetch("http://93.184.216.34/x"), inside, web

    found, inside, web = asyncio.run(whole())
    assert found.fate is None
    assert found.final_url == "http://93.184.216.34/x"
    assert web.requests[-1] == ("93.184.216.34", "/x")
    assert inside.fate == fates.BLOCKED_ADDRESS


def test_a_web_on_this_machine_may_be_allowed():
    async def whole():
        async with Web({"127.0.0.1": Site(page())}) as web:
            settings = Crawl(allow_private=True, ports=(web.port,))
            async with Fetcher(settings) as fetcher:
                url = f"http://127.0.0.1:{web.port}/"
                return await fetcher.fetch(url), await fetcher.addresses(url)

    found, addresses = asyncio.run(whole())
    assert found.fate is None
    assert addresses == ("127.0.0.1",)


def test_the_pace_by_address_knows_vetted_addresses_and_no_test_servers():
    async def lookup(name):
        if name == "gone.test":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return ["10.0.0.1", "93.184.216.34"]

    async def visit(fetcher):
        hosts = ["open.test", "gone.test", "a.test", "10.0.0.1"]
        return [await fetcher.addresses(f"http://{host}/") for host in hosts]

    assert run({"a.test": Site(page())}, visit, lookup=lookup)[0] == [
        ("93.184.216.34",),
        (),
        (),
        (),
    ]


@pytest.mark.parametrize(
    ("error", "again"),
    [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)],
)
def test_a_name_without_an_address_is_tried_again_only_if_nobody_could_say(error, again):
    async def lookup(_):
        raise socket.gaierror(error, "no")

    found, _ = fetched({}, "http://gone.test/", lookup=lookup)
    assert (found.fate, found.again) == (fates.DNS, again)


def test_a_host_that_refuses_connections_is_not_blamed_on_its_robots_txt(tried):
    found, _ = fetched({"a.test": Site(page())}, "http://a.test/")
    assert (found.fate, found.again) == (fates.CONNECT, True)
    assert found.robots == "unreachable: crawl.connect"
