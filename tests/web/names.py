"""A name server for the hostile web: what it says of a name may change from time to time."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

# Source: RFC 1035, section 4.1.1
NXDOMAIN, SERVFAIL = 3, 2
A, AAAA = 1, 28  # Source: RFC 1035, section 3.2.2; RFC 3596, section 2.1

Said = tuple[str, ...] | int | None
"""Addresses of either family, or a response code, or silence."""

# A public address that nobody is sent to: a crawler is to be led from here to the web.
PUBLIC = "93.184.216.34"


class NameServer(asyncio.DatagramProtocol):
    """Answers from what `said` has of a name: one entry a question, the last for ever after.

    Each family's questions are counted for themselves, since most resolvers ask both at once.
    """

    def __init__(self, said: Callable[[str], Sequence[Said]]) -> None:
        self.said = said
        self.asked: Counter[tuple[str, int]] = Counter()  # name and type, how often

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name, question = ".".join(labels).lower(), data[12 : at + 5]
        (kind,) = struct.unpack("!H", data[at + 1 : at + 3])
        answers = self.said(name) or (NXDOMAIN,)
        answer = answers[min(self.asked[name, kind], len(answers) - 1)]
        self.asked[name, kind] += 1
        if answer is None:
            return
        code, found = (answer, ()) if isinstance(answer, int) else (0, answer)
        packed = [ip_address(address).packed for address in found]
        packed = [one for one in packed if (kind, len(one)) in ((A, 4), (AAAA, 16))]
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(packed), 0, 0)
        records = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(one)) + one for one in packed]
        self.transport.sendto(head + question + b"".join(records), peer)


async def answering(said: Callable[[str], Sequence[Said]], port: int = 0) -> NameServer:
    """Return a name server on loopback, whose transport is for the caller to close."""
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(
        lambda: NameServer(said), local_addr=("127.0.0.1", port), family=socket.AF_INET
    )
    return server
