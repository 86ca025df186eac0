"""Byte streams that no server should send, each made by a generator of random numbers."""

import asyncio
import gzip
import itertools
import random
import zlib
from contextlib import suppress
from dataclasses import dataclass

import zstandard

from tests.web.case import HTML, chunked, page, plain, to
from tests.web.server import Peer

LIMIT = 100_000  # bytes, decoded, that the bodies which are to be too large go beyond
ENDLESS = 1 << 26  # bytes after which a flood ends: more than anybody should read

VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/1.2", "HTTP/2",
            "http/1.1", "HTTP/11.1", "ICY", "HTTP", "", "HTTP /1.1", "\0TTP/1.1")  # fmt: skip
STATUSES = ("200 OK", "200 OK", "200 OK", "200", "200 ", "200\tOK", "200 " + "O" * 40_000,
            "2000 OK", "099 ?", "000", "100 Continue", "101 Switching", "103 Early", "199 x",
            "204 None", "205 x", "206 Part", "226 x", "299 x", "300 x", "301 x", "302 x", "303 x",
            "304 x", "305 x", "307 x", "308 x", "399 x", "400 x", "401 x", "404 x", "410 x",
            "418 x", "429 x", "451 x", "499 x", "500 x", "502 x", "503 x", "520 x", "600 x",
            "999 x", "-1 x", "+200 x", "2e2 x", "abc", "", "20\xb2 x", "200 \xff\xfe", "200 OK\0",
            "200 OK\rX: y")  # fmt: skip
FIELDS = ("Content-Length: 10", "Content-Length: 0", "Content-Length: -1", "Content-Length: +5",
          "Content-Length: 5, 5", "Content-Length: 5, 6", "Content-Length: 0x10",
          "Content-Length: 1_0", "Content-Length: 99999999999999999999",
          "Content-Length: 18446744073709551617", "Content-Length:", "Content-Length : 5",
          "Content-Length: \xb2", "content-length: 4000", "Transfer-Encoding: chunked",
          "Transfer-Encoding: chunked", "transfer-encoding: CHUNKED",
          "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked",
          "Transfer-Encoding: identity", "Transfer-Encoding: xchunked",
          "Transfer-Encoding: chunked;q=1", "Transfer-Encoding:", "Transfer-Encoding: \x0bchunked",
          "Content-Encoding: gzip", "Content-Encoding: GZip ", "Content-Encoding: x-gzip",
          "Content-Encoding: deflate", "Content-Encoding: br", "Content-Encoding: zstd",
          "Content-Encoding: identity", "Content-Encoding: none", "Content-Encoding: utf-8",
          "Content-Encoding: gzip, gzip", "Content-Encoding: gzip, gzip, gzip",
          "Content-Encoding: aes128gcm", "Content-Encoding: ,,", "Content-Type: text/html",
          "Content-Type: text/html; charset=utf-16",
          "Content-Type: text/html; charset=" + "x" * 500, "Content-Type: ;", "Content-Type: /",
          "Content-Type: image/png", "Content-Type: \xff/\xfe", "Content-Type: text/html\0",
          "Content-Type: TEXT/HTML;;;=;\"", "Location: /x", "Location: //", "Location: ",
          "Location: ?", "Location: http://[::1", "Location: http://\xe9.test/",
          "Location: http://a.test:0/", "Location: javascript:1", "Location: /" + "x" * 9000,
          "Location: \x00\x01", "Location: /\ud83d", "Location: https://other.test/",
          "Location: http://127.0.0.1:22/", "Location: file:///etc/passwd", "Retry-After: 1",
          "Retry-After: -5", "Retry-After: 99999999999999999999", "Retry-After: soon",
          "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
          "Retry-After: Mon, 00 Jan 0000 99:99:99 GMT", "Retry-After: 1e400", "Retry-After: nan",
          "ETag: \"x\"", "ETag: \xff", "ETag: " + "e" * 3000, "Last-Modified: yesterday",
          "X-Robots-Tag: noai", "X-Robots-Tag: bot: noindex, :, ,", "X-Robots-Tag: \xff",
          "Content-Usage: train-ai=n", "Content-Usage: ((((", "tdm-reservation: 1",
          "Refresh: 0;url=/y", "Connection: keep-alive", "Connection: upgrade",
          "Upgrade: websocket", "Set-Cookie: " + "c" * 5000, "Trailer: Content-Length",
          "no colon at all", ": no name", " folded: x", "X-Nul: a\0b", "X-\xe9: y",
          "X-Long: " + "l" * 40_000, "X Space: 1", "(): 1", "", "X-Bare: a\rb", "HTTP/1.1 200 OK",
          "\t", "Date: " + "9" * 400, "Server: \x1b[31m")  # fmt: skip
ENDS = ("\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\n\n", "\r\r\n", "\0\r\n")  # fmt: skip
SIZES = ("5", "a", "A", "0005", "5 ", " 5", "5;x=y", "5;" + "x" * 70_000, "5;\"\r\n\"", "-5", "+5",
         "0x5", "", "g", "5_0", "ffffffffffffffff", "10000000000000000", "7fffffff", "\xb2", "5\t",
         "00")  # fmt: skip
MARKUP = (b"<meta name=robots content=noai>", b"<meta http-equiv=refresh content='0;url=/z'>",
          b"<meta http-equiv=refresh content='0;url=http://[::1'>",
          b"<meta http-equiv=refresh content=;>", b"<meta name=robots content='",
          b"<!--" + b"<" * 9000, b"<meta " * 3000, b"\0" * 500, b"<meta charset=utf-7>",
          b"<base href='http://[/'>", b"<meta\xff\xfe=", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n",
          b"<?xml version='1.0' encoding='x'?>")  # fmt: skip
ROBOTS = (b"User-agent: *\nDisallow: /no\n", b"User-agent: *\nCrawl-delay: nan\nAllow: /",
          b"\xff\xfe" * 900, b"User-agent: *\nDisallow: /" + b"*" * 3000 + b"$",
          b"Disallow: /%%%\xe9\nUser-agent:\0", b"Content-Usage: train-ai=n\n" * 500, b"<html>",
          b"User-agent: *\n" * 40_000)  # fmt: skip


def body(rng: random.Random) -> bytes:
    """Return what may come as a body."""
    kind = rng.randrange(9)
    if kind < 3:
        return HTML
    if kind == 3:
        at = rng.randrange(200)
        return HTML[:at] + rng.choice(MARKUP) * rng.choice((1, 1, 30)) + HTML[at:]
    if kind == 4:
        return rng.randbytes(rng.choice((0, 1, 2, 9, 300, 5000)))
    if kind == 5:
        return rng.choice(ROBOTS)
    if kind == 6:
        return HTML.decode().encode(rng.choice(("utf-16", "utf-32", "utf-7", "cp500")))
    if kind == 7:  # a bomb
        return zeros(rng.choice((LIMIT - 1, LIMIT, LIMIT + 1, 30_000_000)), rng)
    return squeezed(squeezed(HTML, rng), rng)


def zeros(size: int, rng: random.Random) -> bytes:
    """Return this many bytes of nothing, compressed."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, rng.choice((31, 15, -15)))
    piece = bytes(1 << 16)
    parts = [squeeze.compress(piece) for _ in range(size >> 16)]
    return b"".join([*parts, squeeze.compress(bytes(size % (1 << 16))), squeeze.flush()])


def squeezed(data: bytes, rng: random.Random) -> bytes:
    """Return a body compressed in one way or another, perhaps spoilt."""
    kind = rng.randrange(6)
    if kind == 0:
        data = zlib.compress(data)
    elif kind == 1:
        data = zlib.compress(data)[2:-4]
    elif kind == 2:
        data = zstandard.compress(data)
    elif kind == 3:
        data = gzip.compress(data, mtime=0) * 2
    else:
        data = gzip.compress(data, mtime=0)
    return data[: rng.randrange(len(data))] if rng.random() < 0.2 else data


def framed(data: bytes, rng: random.Random) -> bytes:
    """Return a body in chunks, some of which are odd."""
    parts = []
    while data:
        size = rng.choice((1, 5, 100, 4000))
        piece, data = data[:size], data[size:]
        said = rng.choice(SIZES) if rng.random() < 0.05 else f"{len(piece):x}"
        parts += [said.encode("latin-1"), line_end(rng, 0.01), piece, line_end(rng, 0.01)]
    if rng.random() < 0.8:
        parts += [b"0", line_end(rng, 0.1)]
        parts += [f"{rng.choice(FIELDS)}\r\n".encode("latin-1", "replace")] * rng.choice(
            (0, 0, 1, 300)
        )
        parts += [line_end(rng, 0.1)]
    return b"".join(parts)


def line_end(rng: random.Random, odd: float) -> bytes:
    return rng.choice(ENDS).encode() if rng.random() < odd else b"\r\n"


def composed(rng: random.Random) -> bytes:
    """Return an answer that is put together from odd parts."""
    odd = rng.choice((0.0, 0.0, 0.0, 0.1, 0.5))
    lines = [" ".join((rng.choice(VERSIONS) if rng.random() < odd else "HTTP/1.1",
                       rng.choice(STATUSES) if rng.random() < 0.25 else "200 OK"))]  # fmt: skip
    lines += rng.choices(FIELDS, k=rng.choice((0, 0, 1, 1, 2, 5)))
    lines += [rng.choice(FIELDS)] * rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 2, 200))
    sent = body(rng)
    if rng.random() < 0.4:
        lines.append("Content-Type: text/html")
    if rng.random() < 0.3:
        lines.append("Transfer-Encoding: chunked")
        sent = framed(sent, rng)
    elif rng.random() < 0.5:
        lines.append(f"Content-Length: {len(sent) + rng.choice((0, 0, 0, 0, -1, 1, 1000))}")
    rng.shuffle(tail := lines[1:])
    ends = itertools.chain.from_iterable(
        (line.encode("latin-1", "replace"), line_end(rng, odd / 5))
        for line in [lines[0], *tail, ""]
    )
    return b"".join([*ends, sent])


WHOLE = (
    page(),
    page(gzip.compress(HTML, mtime=0), "Content-Encoding: gzip"),
    page(zstandard.compress(HTML), "Content-Encoding: zstd"),
    chunked(HTML[:100], HTML[100:]),
    plain(ROBOTS[0]),
    to("/elsewhere"),
    to("http://other.test/"),
)


def spoilt(answer: bytes, rng: random.Random) -> bytes:
    """Return an answer with some bytes changed, removed, repeated, or cut off."""
    data = bytearray(answer)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(min(len(data), rng.choice((40, 300, len(data)))) or 1)
        kind = rng.randrange(4)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            data[at : at + rng.randint(1, 5)] = rng.randbytes(rng.randint(0, 5))
        elif kind == 2:
            data[at:at] = data[at : at + rng.randint(1, 60)] * rng.choice((1, 1, 50))
        else:
            data[at:at] = rng.choice((b"\r\n", b"\n", b"\0", b"\r\n\r\n", b": ", b",", b"\xff"))
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data)


@dataclass(frozen=True)
class Stream:
    """What a connection brings: bytes, a piece that may follow without end, and how it ends."""

    data: bytes
    flood: bytes  # sent again and again after `data`
    cuts: tuple[int, ...]  # where a packet ends
    end: str  # "close", "reset", "half" or "silence"


def stream(rng: random.Random) -> Stream:
    """Return what one connection brings."""
    kind = rng.randrange(10)
    flood = b""
    if kind < 4:
        data = composed(rng)
    elif kind < 7:
        data = spoilt(rng.choice(WHOLE), rng)
    elif kind == 7:
        data = rng.randbytes(rng.choice((0, 1, 4, 100, 5000)))
        data = rng.choice((b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n\r\n")) + data
    elif kind == 8:  # answers before and after the answer
        first = rng.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n"))
        data = first * rng.choice((1, 2, 200)) + composed(rng) + rng.choice((b"", page(), b"junk"))
    else:
        data, flood = rng.choice(ENDLESSLY)
    if rng.random() < 0.1:
        cuts = tuple(range(1, min(len(data), 300)))
    else:
        cuts = tuple(sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 1, 3, 12)))))
    end = rng.choices(("close", "reset", "half", "silence"), (80, 8, 7, 5))[0]
    return Stream(data, flood, cuts, end)


_CHUNKS = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESSLY = (
    (b"", b"\r\n"),
    (b"", b"H" * 4096),
    (b"HTTP/1.1 200 ", b"O" * 4096),
    (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 500),
    (b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 4096),
    (b"HTTP/1.1 200 OK\r\nX-A: b", b"\r\n " * 500),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + HTML, b" " * 65_536),
    (_CHUNKS, b"1\r\nx\r\n" * 1000),
    (_CHUNKS + b"5;", b"x" * 4096),
    (_CHUNKS, b"0" * 4096),
    (_CHUNKS + b"0\r\n", b"X-A: b\r\n" * 500),
    (_CHUNKS + b"0\r\n", b"x" * 4096),
    (to("/x", "302 Found"), b"x" * 65_536),
    (page(status="404 Gone"), b"x" * 65_536),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(1 << 20), mtime=0)),
)


async def bring(peer: Peer, what: Stream) -> None:
    """Send a stream and end the connection."""
    start = 0
    for cut in (*what.cuts, len(what.data)):
        await peer.send(what.data[start:cut], pause=0.0 if cut % 3 else 0.001)
        start = cut
    for _ in range(ENDLESS // len(what.flood) if what.flood else 0):
        await peer.send(what.flood)
    if what.end == "reset":
        with suppress(AttributeError):  # the client is the first to go
            await peer.reset()
    elif what.end == "silence":
        await asyncio.sleep(3600)
    elif what.end == "half" and peer.writer.can_write_eof():
        peer.writer.write_eof()
        await asyncio.sleep(3600)
