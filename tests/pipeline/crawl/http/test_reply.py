"""What is read without the parser is read as the parser reads it."""

import asyncio
import random
import socket

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from tests.web.case import HTML, chunked, head, page
from webtext.pipeline.crawl.http import messages
from webtext.pipeline.crawl.http.plain import Plain, Watch
from webtext.pipeline.crawl.http.reply import Counted, Parsed, Raw, received
from webtext.pipeline.crawl.http.wire import PIECE, UNREAD, Patience


class Coming:
    """A connection over which these pieces come."""

    def __init__(self, pieces, error=None):
        self.pieces = list(pieces)
        self.error = error

    async def more(self):
        if not self.pieces and self.error:
            raise self.error
        return self.pieces.pop(0) if self.pieces else b""


async def reading(pieces, most=100_000, parsed=False, error=None):
    """Return the head and the body of a response, by the parser alone or not."""
    wire = Coming(pieces, error)
    try:
        if parsed:
            reply = Parsed(wire)
            await reply.begin(await wire.more())
        else:
            reply = await received(wire)
        return type(reply), reply.head, await reply.read(most)
    except (aiohttp.ClientError, HttpProcessingError, OSError) as failed:
        return type(failed), None, None


def read(*args, **more):
    return asyncio.run(reading(*args, **more))


LONG = head("Content-Type: text/html", f"Content-Length: {len(HTML)}")
PLAIN = [
    [page()],
    [page(b"")],
    [page(HTML, "X-Odd:   two  words \t", "x-odd: again", "Empty:", status="200 Fine  day")],
    [page(status="200"), b""],
    [page(status="200 ")],
    [page(status="404 Not Found")],
    [page().replace(b"/1.1", b"/1.0", 1)],
    [page(HTML, "X-Name: caf\xe9", "Connection: close")],
    [LONG, HTML],
    [LONG + HTML[:5], HTML[5:9], HTML[9:]],
    [LONG + HTML[:5], HTML[5:] + b"more than was said"],
    [LONG + HTML[:5]],
    [LONG],
    [head("Content-Type: text/html") + HTML, HTML],
    [head("Content-Type: text/html")],
]
ODD = [
    [chunked(HTML, HTML)],
    [chunked(HTML, last=b"")],
    [page() + b"more than was said"],
    [page()[:20], page()[20:]],
    [head(status="100 Continue") + page()],
    [head(status="204 No Content")],
    [head(status="304 Not Modified")],
    [page(HTML, "Upgrade: h2")],
    [page(HTML, "X-A: a\0b")],
    [page(HTML, "X-A: a\x01b")],
    [page(HTML, "X-A: b\r\n  c")],
    [page(HTML, "X A: b")],
    [page(HTML, "X-A : b")],
    [page().replace(b"\r\n", b"\n")],
    [head("Content-Length: 5", "Content-Length: 9") + HTML],
    [head("Content-Length: +5") + HTML],
    [head("Content-Length: 5 5") + HTML],
    [page(HTML, *["X-A: b"] * 130)],
    [page(HTML, "X-A: " + "b" * 40_000)],
    [HTML],
    [b""],
    [page(status="999 Denied")],
]


@pytest.mark.parametrize("pieces", PLAIN)
def test_a_plain_response_is_read_as_by_the_parser(pieces):
    kind, *found = read(pieces)
    assert kind is Counted
    assert found == list(read(pieces, parsed=True)[1:])


@pytest.mark.parametrize("pieces", ODD)
def test_any_other_response_goes_to_the_parser(pieces):
    kind, *found = read(pieces)
    assert kind is not Counted
    assert [kind, *found] == list(read(pieces, parsed=True))


def test_damaged_responses_are_read_as_by_the_parser():
    rng = random.Random(1)

    async def compared():
        plain = 0
        for _ in range(3000):
            data = bytearray(rng.choice([*PLAIN, *ODD])[0][:2000])
            for _ in range(rng.randint(0, 2)):
                at = rng.randrange(len(data) + 1)
                other = rng.choice([b"", b"\r\n", b" ", b":", b"\0", b"Z"])
                data[at : at + rng.randint(0, 2)] = other
            kind, *found = await reading([bytes(data)])
            plain += kind is Counted
            same = list((await reading([bytes(data)], parsed=True))[1:])
            assert found == same, data
        return plain

    assert asyncio.run(compared()) > 500


def test_a_body_over_its_bound_is_read_no_further():
    for pieces in ([LONG, *[HTML[i : i + 1] for i in range(len(HTML))]], [chunked(b"x" * 99)]):
        _, _, raw = read(pieces, most=10)
        assert len(raw.data) > 10
    assert len(read([LONG, *[HTML[i : i + 1] for i in range(50)]], most=10)[2].data) == 11


@pytest.mark.parametrize("parsed", [False, True])
def test_a_reset_within_a_body_ends_it(parsed):
    reset = aiohttp.ClientOSError(104, "reset")
    assert read([LONG + b"<p>"], parsed=parsed, error=reset)[2] == Raw(b"<p>", whole=False)
    until = head("Content-Type: text/html")
    assert read([until + b"<p>"], parsed=parsed, error=reset)[2] == Raw(b"<p>", whole=True)
    assert read([LONG[:-3]], parsed=parsed, error=reset)[0] is aiohttp.ClientOSError


def test_a_head_is_plain_up_to_a_bound():
    fits = page(HTML, "X-A: " + "b" * (messages.SIMPLE_HEAD - 200))
    assert messages.simple(fits)
    assert not messages.simple(page(HTML, "X-A: " + "b" * messages.SIMPLE_HEAD))


# ---- the connection itself


def over(use, request=b"GET / HTTP/1.1\r\n\r\n", **patience):
    """Hand a connection and the socket at its other end to `use`."""

    async def whole():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        watch = Watch()
        bounds = Patience(**{"connect": 5, "silence": 5, "whole": 5, **patience})
        with theirs, Plain(watch, ours, request, bounds) as wire:
            wire.begin()
            found = await use(wire, theirs)
        watch.close()
        return found

    return asyncio.run(whole())


def test_a_long_request_is_sent_whole():
    request = b"x" * 3_000_000

    async def take(wire, theirs):
        loop, found = asyncio.get_running_loop(), bytearray()
        while len(found) < len(request):
            found += await loop.sock_recv(theirs, 1 << 20)
        return bytes(found)

    assert over(take, request) == request


def test_what_nobody_takes_is_not_read():
    async def flood(wire, theirs):
        loop = asyncio.get_running_loop()
        sending = loop.create_task(loop.sock_sendall(theirs, b"x" * 8_000_000))
        await asyncio.sleep(0.1)
        assert wire._unread <= UNREAD + PIECE
        assert not sending.done()
        size = 0
        while size < 8_000_000:
            size += len(await wire.more())
        await sending
        return size

    assert over(flood) == 8_000_000


@pytest.mark.parametrize(
    ("patience", "error"),
    [
        ({"silence": 0.05}, aiohttp.SocketTimeoutError),
        ({"whole": 0.05}, TimeoutError),
    ],
)
def test_a_silent_host_is_waited_for_no_longer_than_was_said(patience, error):
    async def wait(wire, theirs):
        started = asyncio.get_running_loop().time()
        with pytest.raises(error) as found:
            await wire.more()
        assert asyncio.get_running_loop().time() - started < 4
        return found.type

    assert over(wait, **patience) is error


def test_a_host_that_goes_on_is_not_silent_but_may_be_too_slow():
    async def drip(wire, theirs):
        found = b""
        try:
            while True:
                theirs.send(b"x")
                found += await wire.more()
                await asyncio.sleep(0.05)
        except TimeoutError as error:
            return found, type(error)

    found, error = over(drip, silence=0.15, whole=0.5)
    assert len(found) >= 5
    assert error is TimeoutError


def test_the_end_and_a_closed_connection_are_told_apart_from_bytes():
    async def end(wire, theirs):
        theirs.send(b"last")
        theirs.shutdown(socket.SHUT_WR)
        return [await wire.more(), await wire.more(), await wire.more()]

    assert over(end) == [b"last", b"", b""]
