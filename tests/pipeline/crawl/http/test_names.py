"""The real resolver, asking a name server of ours on loopback."""

import asyncio
import socket
import struct
from functools import partial

import pytest
from aiohttp.resolver import AsyncResolver

from webtext.pipeline.crawl.http import address_guard
from webtext.pipeline.crawl.http.address_guard import BlockedError, NoAddressError, Resolver
from webtext.pipeline.crawl.settings import Crawl

NXDOMAIN, SERVFAIL = 3, 2  # Source: RFC 1035, section 4.1.1
ANSWERS = {
    "open.test": ["93.184.216.34"],
    "inside.test": ["10.0.0.1"],
    "many.test": ["10.0.0.1", "93.184.216.34"],
    "empty.test": [],
    "broken.test": SERVFAIL,
}


class NameServer(asyncio.DatagramProtocol):
    """Answers A questions from ANSWERS, and is silent about "silent.test"."""

    def __init__(self):
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name, question = ".".join(labels), data[12 : at + 5]
        wants_4 = struct.unpack("!H", data[at + 1 : at + 3])[0] == 1
        self.asked.append(name)
        answer = ANSWERS.get(name, NXDOMAIN)
        if name == "silent.test":
            return
        code, found = (answer, []) if isinstance(answer, int) else (0, answer if wants_4 else [])
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        records = [
            b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
            for address in found
        ]
        self.transport.sendto(head + question + b"".join(records), peer)


def asked(monkeypatch, name, patience=5.0):
    async def ask():
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            NameServer, local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        ours = partial(AsyncResolver, nameservers=["127.0.0.1"], udp_port=port, tries=1)
        monkeypatch.setattr(address_guard, "AsyncResolver", ours)
        resolver = Resolver(Crawl(contact="x", connect_timeout=patience))
        try:
            return await resolver.vetted(name, 80)
        finally:
            await resolver.close()
            transport.close()
            assert set(server.asked) <= {name}  # no search domain was tried

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ["open.test", "many.test"])
def test_a_name_has_its_public_addresses(monkeypatch, name):
    assert asked(monkeypatch, name) == ("93.184.216.34",)


def test_a_name_with_inner_addresses_alone_is_blocked(monkeypatch):
    with pytest.raises(BlockedError):
        asked(monkeypatch, "inside.test")


@pytest.mark.parametrize(
    ("name", "temporary"),
    [("gone.test", False), ("empty.test", False), ("broken.test", True), ("silent.test", True)],
)
def test_a_name_server_that_says_no_is_told_from_one_that_cannot_say(monkeypatch, name, temporary):
    with pytest.raises(NoAddressError) as raised:
        asked(monkeypatch, name, patience=0.5)
    assert raised.value.temporary is temporary
