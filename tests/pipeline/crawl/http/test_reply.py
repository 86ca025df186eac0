"""Responses as servers and TCP bring them, read as browsers and curl read them."""

import asyncio
import random
import socket

import aiohttp
import pytest

from tests.web.case import HTML, chunked, head, page
from webtext.pipeline.crawl.http import messages
from webtext.pipeline.crawl.http.messages import BadHeadError
from webtext.pipeline.crawl.http.plain import Plain, Watch
from webtext.pipeline.crawl.http.reply import Counted, Raw, received
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


async def reading(pieces, most=100_000, error=None):
    """Return the head and the body of a response, or the error and nothing."""
    try:
        reply = await received(Coming(pieces, error))
        return type(reply), reply.head, await reply.read(most)
    except (aiohttp.ClientError, BadHeadError, OSError) as failed:
        return type(failed), None, None


def read(*args, **more):
    return asyncio.run(reading(*args, **more))


SAID = f"Content-Length: {len(HTML)}"
LONG = head("Content-Type: text/html", SAID)
CHUNKS = head("Transfer-Encoding: chunked")
WHOLE = {  # what a body of HTML may come as
    "plain": page(),
    "no reason": page(status="200"),
    "a blank and no reason": page(status="200 "),
    "HTTP/1.0": page().replace(b"/1.1", b"/1.0", 1),
    "HTTP/2 as text": page().replace(b"/1.1", b"/2", 1),
    "Latin-1": page(HTML, "X-Name: caf\xe9"),
    "bytes after the length": page() + b"more than was said",
    "a line end after the length": page() + b"\r\n",
    "lines that end in LF": page().replace(b"\r\n", b"\n"),
    "lines of both kinds": page().replace(b"\r\n", b"\n", 2),
    "an interim head": head(status="100 Continue") + page(),
    "two interim heads": head(status="103 Early Hints") + head(status="100 Continue") + page(),
    "empty lines first": b"\r\n\r\n" + page(),
    "upgrade": page(HTML, "Upgrade: h2"),
    "a control character": page(HTML, "X-A: a\x01b"),
    "a folded line": page(HTML, "X-A: b\r\n  c"),
    "a blank in a name": page(HTML, "X A: b"),
    "a blank before the colon": page(HTML, "X-A : b"),
    "a blank before the length's colon": head(f"Content-Length : {len(HTML)}") + HTML + b"x",
    "a warning": page(HTML, "PHP Warning:  Module 'x' already loaded in Unknown on line 0"),
    "a warning in HTML": page(HTML, "<br />", "<b>Notice</b>: Undefined index in a.php"),
    "no colon": page(HTML, "nonsense"),
    "no name": page(HTML, ": nothing"),
    "the same length twice": head(SAID, SAID) + HTML + b"x",
    "the same length in a list": head(f"{SAID}, {len(HTML)}") + HTML + b"x",
    "150 headers": page(HTML, *["X-A: b"] * 150),
    "a header of 40 kB": page(HTML, "X-A: " + "b" * 40_000),
    "a colon after the status": page(status="200: OK"),
    "no blank after the status": page(status="200OK"),
    "HTTP without a version": page().replace(b"/1.1", b"", 1),
    "a signed length": head("Content-Length: +5") + HTML,
    "a length of two words": head("Content-Length: 5 5") + HTML,
    "a length of nothing": head("Content-Length:") + HTML,
    "a length and a comma": head(f"{SAID},") + HTML + b"x",
    "a length beyond 64 bits": head("Content-Length: " + "9" * 30) + HTML,
    "until the end": head("Content-Type: text/html") + HTML,
    "one chunk": chunked(HTML),
    "two chunks": chunked(HTML[:9], HTML[9:]),
    "a length beside chunks": chunked(HTML).replace(b"\r\n", b"\r\nContent-Length: 3\r\n", 1),
    "chunks with extensions": CHUNKS + b"00%X ;a=b\r\n" % len(HTML) + HTML + b"\r\n0;x\r\n\r\n",
    "chunks with twenty zeros": CHUNKS + b"%025x\r\n" % len(HTML) + HTML + b"\r\n000\r\n\r\n",
    "chunks in a list": chunked(HTML).replace(b": chunked", b": Chunked, identity", 1),
    "chunks and a parameter": chunked(HTML).replace(b": chunked", b": chunked;q=1", 1),
    "chunks and LF": CHUNKS + b"%x\n" % len(HTML) + HTML + b"\n0\n\n",
    "trailers": chunked(HTML)[:-2] + b"X-Sum: 7\r\n\r\n",
    "bytes after the chunks": chunked(HTML) + b"HTTP/1.1 200 OK\r\n\r\n",
    "chunks, and no line after the last": chunked(HTML)[:-2],
}
CUT = {  # the same, cut where it is
    "within the length": LONG + HTML[:5],
    "at once": LONG,
    "within a chunk": CHUNKS + b"99\r\n" + HTML[:50],
    "before the next size": chunked(HTML[:50], last=b""),
    "within the next size": chunked(HTML[:50], last=b"5"),
    "within a size's line end": chunked(HTML[:50], last=b"5\r"),
    "within a chunk's line end": chunked(HTML[:50], last=b"")[:-1],
    "a next size in words": chunked(HTML[:50], last=b"ten\r\n") + HTML,
    "a next size without end": chunked(HTML[:50], last=b"5" * 9000),
}
BAD = {
    "nothing but a body": HTML,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a status of four digits": page(status="2000 OK"),
    "a NUL in the head": page(HTML, "X-A: a\0b"),
    "two lengths": head("Content-Length: 5", "Content-Length: 9") + HTML,
    "two lengths in a list": head("Content-Length: 5, 9") + HTML,
    "a chunk's size in words": CHUNKS + b"ten\r\n" + HTML,
    "5,000 headers": page(HTML, *["X-A: b"] * 5000),
    "a header of 200 kB": page(HTML, "X-A: " + "b" * 200_000),
    "a head of 1 MB": page(HTML, *["X-A: " + "b" * 9_000] * 120),
}


def cuts(data):
    """Return some ways in which TCP may cut what comes."""
    rng = random.Random(len(data))
    places = sorted(rng.sample(range(1, len(data)), min(6, len(data) - 1)))
    yield [data]
    if len(data) < 2000:
        yield [data[at : at + 1] for at in range(len(data))]
    yield [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_comes_whole_wherever_tcp_cuts_it(name):
    for pieces in cuts(WHOLE[name]):
        _, found, raw = read(pieces)
        assert raw is not None
        # Nobody reads on for what comes behind a body, but it may have come with it.
        assert (found.status, raw) == (200, Raw(HTML, whole=True))


@pytest.mark.parametrize("name", CUT)
def test_a_body_that_is_cut_is_what_came_of_it(name):
    for pieces in cuts(CUT[name]):
        raw = read(pieces)[2]
        assert HTML.startswith(raw.data)
        assert not raw.whole
        assert len(raw.data) == (0 if name == "at once" else 5 if "length" in name else 50)


@pytest.mark.parametrize("name", BAD)
def test_what_no_browser_reads_is_no_response(name):
    for pieces in cuts(BAD[name]):
        assert read(pieces)[0] is BadHeadError


def test_both_ways_of_reading_a_head_agree():
    rng = random.Random(1)
    plain = 0
    for _ in range(2000):
        data = bytearray(rng.choice(list(WHOLE.values()))[:2000])
        for _ in range(rng.randint(0, 2)):
            at = rng.randrange(min(len(data), 200))
            other = rng.choice([b"", b"\r\n", b" ", b":", b"Z"])
            data[at : at + rng.randint(0, 2)] = other
        if (found := messages.simple(bytes(data))) is not None:
            plain += 1
            end = messages.head_end(data)
            assert found == (messages.tolerant(bytes(data[:end])), end), data
    assert plain > 300


def test_a_plain_head_in_one_piece_takes_the_quick_way(monkeypatch):
    monkeypatch.setattr(messages, "tolerant", None)
    assert read([page()])[0] is Counted


def test_no_body_belongs_to_these():
    for status in ("204 No Content", "304 Not Modified"):
        assert read([head(status=status) + HTML])[2] == Raw(b"", whole=True)


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 2"], [head()[:-2]], [head(status="100 A")]])
def test_a_head_that_does_not_come_whole_is_no_answer(pieces):
    assert read(pieces)[0] is aiohttp.ServerDisconnectedError


def test_a_head_without_end_is_read_no_further():
    pieces = [head()[:-2], *[b"X-A: b\r\n" * 1000] * 200]
    assert read(pieces)[0] is BadHeadError


def test_a_body_over_its_bound_is_read_no_further():
    for pieces in ([LONG, *[HTML[i : i + 1] for i in range(len(HTML))]], [chunked(b"x" * 99)]):
        _, _, raw = read(pieces, most=10)
        assert len(raw.data) > 10
    assert len(read([LONG, *[HTML[i : i + 1] for i in range(50)]], most=10)[2].data) == 11


def test_a_reset_within_a_body_ends_it():
    reset = aiohttp.ClientOSError(104, "reset")
    assert read([LONG + b"<p>"], error=reset)[2] == Raw(b"<p>", whole=False)
    assert read([CHUNKS + b"9\r\n<p>"], error=reset)[2] == Raw(b"<p>", whole=False)
    until = head("Content-Type: text/html")
    assert read([until + b"<p>"], error=reset)[2] == Raw(b"<p>", whole=True)
    assert read([LONG[:-3]], error=reset)[0] is aiohttp.ClientOSError


def test_a_head_is_plain_up_to_a_bound():
    fits = page(HTML, "X-A: " + "b" * (messages.SIMPLE_HEAD - 200))
    assert messages.simple(fits)
    assert not messages.simple(page(HTML, "X-A: " + "b" * messages.SIMPLE_HEAD))


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        (b"/caf\xe9", "/caf%E9"),
        ("/café".encode(), "/caf%C3%A9"),
        ("/q?a=é".encode("latin-1"), "/q?a=%E9"),
        (b"/plain%20path", "/plain%20path"),
        (None, None),
        (b"", ""),
    ],
)
def test_an_address_is_asked_for_byte_by_byte(sent, asked):
    fields = () if sent is None else ((b"Location", sent),)
    assert messages.Head(b"HTTP/1.1", 302, b"", fields).address("location") == asked


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
