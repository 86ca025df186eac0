import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.crawl.http.address_guard import (
    BlockedError,
    ConnectTo,
    NoAddressError,
    Resolver,
    blocked,
    temporary,
)
from webtext.pipeline.crawl.settings import Crawl

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:a9fe:a9fe::",
        "2001:0:1::1",
        "2001:db8::1",
        "2001:2::1",
        "2001:10::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
        "3fff::1",
        "5f00::1",
        "3ffe::1",
        "4000::1",
    ],
)
def test_an_address_that_is_not_public_is_blocked(address):
    assert blocked(address)


@pytest.mark.parametrize(
    "address",
    f"{PUBLIC} 1.1.1.1 172.15.0.1 172.32.0.1 100.63.255.255 100.128.0.1 223.255.255.255 "
    "169.253.1.1 2606:2800:220:1::1 2a00:1450::1 2001:4860:4860::8888 2001:200::1".split(),
)
def test_a_public_address_is_not_blocked(address):
    assert blocked(address) is None


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_never_less_blocked(address):
    for shape in ("::ffff:{}", "::{}", "64:ff9b::{}"):
        assert blocked(shape.format(address))


def test_a_rule_of_connect_to_matches_its_host_and_port():
    rule = ConnectTo("Example.test:80:[::1]:8080")
    assert (rule.address, rule.port) == ("::1", 8080)
    assert rule.matches("example.test.", 80)
    assert not rule.matches("example.test", 443)
    assert ConnectTo("*:*:localhost:1").matches("anything", 7)


def asked(answers, host="host.test", times=1, **settings):
    """What a resolver says of a host `times` times, and how often it asked a name server."""
    questions = []

    async def lookup(name):
        questions.append(name)
        answer = answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask():
        resolver = Resolver(Crawl(contact="x", **settings), lookup)
        try:
            return await asyncio.gather(*(resolver.vetted(host, 80) for _ in range(times)))
        finally:
            await resolver.close()

    return asyncio.run(ask()), questions


def test_a_name_is_asked_about_once_for_all_who_want_it():
    answers, questions = asked({"host.test": [PUBLIC]}, times=5)
    assert answers == [(PUBLIC,)] * 5
    assert questions == ["host.test"]


def test_the_private_addresses_of_a_name_that_has_both_are_dropped():
    answers, _ = asked({"host.test": ["10.0.0.1", PUBLIC, "::1"]})
    assert answers == [(PUBLIC,)]


def test_a_name_with_private_addresses_alone_is_blocked():
    with pytest.raises(BlockedError, match=r"10\.0\.0\.1 private"):
        asked({"host.test": ["10.0.0.1"]})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]"])
def test_this_machine_is_blocked_without_asking_anybody(host):
    with pytest.raises(BlockedError):
        asked({}, host)


def test_a_recipe_may_allow_private_addresses():
    assert asked({"host.test": ["10.0.0.1"]}, allow_private=True)[0] == [("10.0.0.1",)]


@pytest.mark.parametrize(
    ("error", "later"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), False),
        (socket.gaierror(socket.EAI_AGAIN, "servfail"), True),
        (OSError("who knows"), True),
    ],
)
def test_a_name_server_that_says_no_is_told_from_one_that_says_nothing(error, later):
    with pytest.raises(NoAddressError) as raised:
        asked({"host.test": error})
    assert raised.value.temporary is later


def test_answers_of_the_asynchronous_resolver_are_told_apart_too():
    error = OSError(None, "Domain name not found")
    error.__cause__ = Exception(4, "Domain name not found")
    assert not temporary(error)
    error.__cause__ = Exception(12, "Timeout while contacting DNS servers")
    assert temporary(error)


def test_a_name_server_that_does_not_answer_stalls_nobody_else():
    async def lookup(name):
        if name == "slow.test":
            await asyncio.sleep(3600)
        return [PUBLIC]

    async def ask():
        resolver = Resolver(Crawl(contact="x", connect_timeout=0.1), lookup)
        slow = asyncio.ensure_future(resolver.vetted("slow.test", 80))
        await asyncio.sleep(0)
        assert await resolver.vetted("quick.test", 80) == (PUBLIC,)
        with pytest.raises(NoAddressError):
            await slow
        with pytest.raises(NoAddressError):  # remembered
            await asyncio.wait_for(resolver.vetted("slow.test", 80), 0.05)
        await resolver.close()

    asyncio.run(ask())


def test_one_who_asked_first_and_left_does_not_take_the_answer_along():
    going = asyncio.Event()

    async def lookup(_):
        await going.wait()
        return [PUBLIC]

    async def ask():
        resolver = Resolver(Crawl(contact="x"), lookup)
        first = asyncio.ensure_future(resolver.vetted("host.test", 80))
        second = asyncio.ensure_future(resolver.vetted("host.test", 80))
        await asyncio.sleep(0)
        first.cancel()
        going.set()
        assert await second == (PUBLIC,)
        await resolver.close()

    asyncio.run(ask())


def test_no_socket_is_opened_to_an_address_that_nobody_vetted():
    async def open_one():
        resolver = Resolver(Crawl(contact="x", connect_to=("a.test:80:127.0.0.1:8080",)))
        with pytest.raises(BlockedError):
            resolver.socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)))
        resolver.socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 8080))).close()

    asyncio.run(open_one())
