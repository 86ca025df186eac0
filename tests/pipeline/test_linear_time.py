"""Every parser of what strangers write takes time that grows with the input, at its worst input."""

import asyncio
import gzip
import struct
import time
import zlib

import aiohttp
import brotli
import pyarrow as pa
import pytest
import zstandard

from webtext.flows.building import settings
from webtext.pipeline.archive import payload, sniff
from webtext.pipeline.archive.warc import responses
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import pass_batch
from webtext.pipeline.crawl.http import decode
from webtext.pipeline.crawl.http.messages import BadHeadError
from webtext.pipeline.crawl.http.reply import received
from webtext.pipeline.crawl.policy import markup, metarefresh, optout, robots, wellknown
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.dolma import DolmaRepetition
from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.filters.gopher import GopherQuality, GopherRepetition
from webtext.pipeline.filters.refinedweb import RefinedWeb
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.links import dumps
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.decoding import charset
from webtext.pipeline.text.extraction import byline, firstlook
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.language import Language
from webtext.pipeline.text.pii import Pii
from webtext.pipeline.urls import urls

TIMES = 10  # how much longer the longer input is
MOST = 12.0  # how many times the CPU time it may take
SMALL = 0.3  # s of CPU for a megabyte: what takes less does no harm, and is too quick to measure
ROUNDS = 4  # measurements before one that is beyond the bound is believed
LIMIT = 100_000_000  # bytes that may come out


def repeated(*, part, before=b"", after=b""):
    """Return what makes `n` bytes of a part that is said again and again."""
    return lambda n: before + part * (n // len(part)) + after


# --- what is on the wire -------------------------------------------------------------------------


def brotli_pieces(n):
    packer = brotli.Compressor(quality=1)
    return b"".join(packer.process(b"a") + packer.flush() for _ in range(n // 8)) + packer.finish()


def chunks(part):
    def made(n):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head + part * (n // len(part)) + b"0\r\n\r\n"

    return made


class Wire:
    """A connection over which these bytes come, as a socket gives them."""

    def __init__(self, data):
        self.data, self.at = data, 0

    async def more(self):
        piece = self.data[self.at : self.at + (1 << 16)]
        self.at += len(piece)
        return piece


def dechunked(data):
    async def read():
        try:
            return await (await received(Wire(data))).read(LIMIT)
        except (aiohttp.ClientError, BadHeadError):
            return None

    return asyncio.run(read())


def undone(name):
    def both(body):
        payload.unpack([("Content-Encoding", name)], body, LIMIT)
        try:
            decode.decoded(body, name, LIMIT)
        except decode.EncodingError:
            return

    return both


STORED = zlib.compress(b"", 0)[:2] + b"\0\0\0\xff\xff"  # an empty block of a stream that goes on
EMPTY = gzip.compress(b"", mtime=0)
ONE = gzip.compress(b"a", mtime=0)
FRAME = zstandard.compress(b"")
SKIPPED = struct.pack("<II", 0x184D2A50, 0)

WIRE = {
    "gzip: members without content": (undone("gzip"), repeated(part=EMPTY), 300_000),
    "gzip: members of one byte": (undone("gzip"), repeated(part=ONE), 300_000),
    "gzip: zeros after a member": (undone("gzip"), repeated(part=b"\0", before=ONE), 1_000_000),
    "gzip: zeros between members": (
        undone("gzip"), repeated(part=EMPTY + bytes(99)), 600_000),
    "gzip: damaged after many members": (
        undone("gzip"), repeated(part=EMPTY, after=EMPTY[:10] + b"\xff"), 300_000),
    "gzip: a head that does not end": (
        undone("gzip"), repeated(part=b"a", before=b"\x1f\x8b\x08\x08\0\0\0\0\0\0"), 1_000_000),
    "deflate: empty blocks": (undone("deflate"), repeated(part=STORED[2:], before=STORED), 500_000),
    "deflate: none": (undone("deflate"), repeated(part=b"\xff"), 1_000_000),
    "br: pieces of one byte": (undone("br"), brotli_pieces, 300_000),
    "br: none": (undone("br"), repeated(part=b"\xff"), 1_000_000),
    "zstd: frames without content": (undone("zstd"), repeated(part=FRAME), 300_000),
    "zstd: skipped frames": (undone("zstd"), repeated(part=SKIPPED, before=FRAME), 300_000),
    "zstd: cut short": (undone("zstd"), lambda n: zstandard.compress(bytes(9 * n))[:-1], 300_000),
    "chunks of one byte": (dechunked, chunks(b"1\r\na\r\n"), 300_000),
    "chunks with extensions": (dechunked, chunks(b"1;" + b"x" * 90 + b"\r\na\r\n"), 600_000),
    "a chunk's size that does not end": (dechunked, chunks(b"0"), 600_000),
    "a head that does not end": (
        dechunked, repeated(part=b"A: b\r\n", before=b"HTTP/1.1 200 OK\r\n"), 600_000),
    "chunks of one byte, archived": (
        lambda body: payload.unpack([("Transfer-Encoding", "chunked")], body, LIMIT),
        repeated(part=b"1\r\na\r\n"), 300_000),
    "a field folded on and on": (
        payload.headers, repeated(part=b" a\r\n", before=b"HTTP/1.1 200 OK\r\nA: b\r\n"), 100_000),
}  # fmt: skip


# --- what hosts say of themselves ----------------------------------------------------------------


def permitted(body):
    rules = robots.parse(body, "webtext")
    robots.judge(rules, "http://a.test/" + "a" * 2000)
    robots.usage_signals(rules, "http://a.test/" + "a" * 2000)


HOSTS = {
    "robots: stars in one rule": (
        permitted, repeated(part=b"*a", before=b"User-agent: *\nDisallow: /"), 40_000),
    "robots: rules": (
        permitted, repeated(part=b"Disallow: /*a*b\n", before=b"User-agent: *\n"), 40_000),
    "robots: groups": (permitted, repeated(part=b"User-agent: *\nAllow: /a\n"), 40_000),
    "robots: agents": (permitted, repeated(part=b"User-agent: webtext\n"), 40_000),
    "robots: empty lines": (permitted, repeated(part=b"\r\n"), 40_000),
    "robots: one line of blanks": (
        permitted, repeated(part=b" ", before=b"User-agent:", after=b"\0"), 40_000),
    "robots: blanks before a colon": (permitted, repeated(part=b" user-agent "), 40_000),
    "robots: usage": (
        permitted, repeated(part=b"Content-Usage: / ", before=b"User-agent: *\n"), 40_000),
    "tdmrep.json nested": (wellknown.tdm_entries, repeated(part=b"["), 100_000),
    "tdmrep.json of entries": (
        wellknown.tdm_entries, repeated(part=b'{"location":"/*"},', before=b"[", after=b"{}]"),
        100_000),
}  # fmt: skip


# --- dumps ---------------------------------------------------------------------------------------


def looked_at(line):
    return dumps.read_json(line)


JSON = {
    "a line nested and closed": (
        looked_at, lambda n: b'{"title":' + b"[" * (n // 2) + b"]" * (n // 2) + b"}", 1_000_000),
    "a line nested and not closed": (looked_at, repeated(part=b'{"a":'), 1_000_000),
    "a line of escapes": (
        looked_at, repeated(part=b"\\ud800", before=b'{"title":"', after=b'"}'), 1_000_000),
    "a line of one number": (
        looked_at, repeated(part=b"1", before=b'{"score":', after=b"}"), 20_000),
    "a line of digits in a text": (
        looked_at, repeated(part=b"1", before=b'{"score":"', after=b'"}'), 1_000_000),
    "a line of one key again and again": (
        looked_at, repeated(part=b'"id":1,', before=b"{", after=b'"a":1}'), 1_000_000),
    "linked data nested": (
        lambda text: byline.linked([text.decode()]), repeated(part=b'{"author":['), 90_000),
}  # fmt: skip


# --- pages ---------------------------------------------------------------------------------------


def first_looks(body):
    sniff.kind(body)
    found = markup.metas(body)
    for meta in found:
        markup.attributes(meta)
    metarefresh.target(body, "http://a.test/", found)
    optout.in_markup(body, "webtext", found)
    firstlook.first_look(body)
    firstlook.visible(body)
    firstlook.other_language(body, "text/html", ("en",))


def tree(body):
    parse(body.decode("latin-1"))


PAGES = {
    "tags that do not end": b"<meta ",
    "metas": b'<meta name="robots" content="noai">',
    "metas that refresh": b'<meta http-equiv=refresh content="9; url=',
    "comments": b"<!--",
    "ends of comments": b"<!-- -- >",
    "quotes": b"<a b='",
    "blanks": b" \n",
    "entities": b"&#1;&amp",
    "opening": b"<div>",
    "scripts": b"<script>",
    "attributes": b" a=b",
    "brackets": b"<",
}
HTML = {
    f"{name}: {what}": (work, repeated(part=part, before=before), n)
    for name, part in PAGES.items()
    for what, work, before, n in (
        ("first looks", first_looks, b"<html><head>", 50_000),
        ("tree", tree, b"<html><body><p>text</p>", 50_000),
    )
}

CHARSET = {
    f"charset: {name}": (charset.decode, repeated(part=part, before=before), 200_000)
    for name, part, before in (
        ("labels", b"<meta charset=", b""),
        ("bytes of no charset", bytes(range(128, 256)), b""),
        ("lead bytes", b"\x81", b""),
        ("escapes", b"\x1b$B", b""),
        ("UTF-8 cut short", b"\xe2\x82", b""),
        ("UTF-16", b"\xd8\x00", b"\xfe\xff"),
        ("two ways", "é".encode() + b"\xe9", b""),
        ("zeros", b"\0", b""),
    )
}

# --- archives ------------------------------------------------------------------------------------

TINY = b"WARC/1.1\r\nWARC-Type: response\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
TORN = TINY.replace(b": 0", b": 9000000")
ARC = b"filedesc://a.arc 0.0.0.0 20170304050607 text/plain 77\n2 0 a\nURL IP-address Date\n"


@pytest.fixture
def archived(tmp_path):
    """Return what reads a WARC file of these bytes."""

    def read(data):
        path = tmp_path / "a.warc"
        path.write_bytes(data)
        try:
            for _ in responses(path):
                pass
        except UserError:
            return

    return read


ARCHIVES = {
    "records without content": repeated(part=TINY),
    "records in members of their own": lambda n: gzip.compress(TINY, mtime=0) * (n // 99),
    "members without content": repeated(part=EMPTY, before=gzip.compress(TINY, mtime=0)),
    "beginnings of records": repeated(part=b"WARC/1.1\r\n", before=TINY),
    "fields": repeated(part=b"A: b\r\n", before=b"WARC/1.1\r\nWARC-Type: response\r\n"),
    "bytes of no record": repeated(part=b"\0", before=TINY),
    "beginnings of members": repeated(part=b"\x1f\x8b\x08\0", before=gzip.compress(TINY, mtime=0)),
    "lengths": repeated(part=b"Content-Length: 9\r\n", before=TINY[:31]),
    "members within a record": repeated(part=gzip.compress(b"x"), before=gzip.compress(TORN)),
    "frames without content": repeated(part=FRAME, before=zstandard.compress(TINY)),
    "ARC": repeated(part=b"http://a.test/ 1.2.3.4 20170304050607 text/html 0\n\n", before=ARC),
}

# --- addresses, texts, settings ------------------------------------------------------------------


def told(url):
    try:
        urls.forms(url)
    except ValueError:  # urls.NotHttpError among them
        return
    urls.url_id(url)
    urls.domain(url)


ADDRESSES = {
    f"URL: {name}": (told, lambda n, part=part, before=before: before + part * (n // len(part)), n)
    for name, part, before, n in (
        ("labels", "a.", "http://", 100_000),
        ("labels that are escaped", "%61.", "http://", 100_000),
        ("labels of other scripts", "ä.", "http://", 100_000),
        ("one label of another script", "ä", "http://", 100_000),
        ("steps up", "a/../", "http://a.test/", 100_000),
        ("steps nowhere", "../", "http://a.test/", 100_000),
        ("parameters", "a=b&", "http://a.test/?", 100_000),
        ("trackers", "utm_source=b&", "http://a.test/?", 100_000),
        ("per cent", "%", "http://a.test/", 100_000),
        ("escapes", "%2e%2E/", "http://a.test/", 100_000),
        ("at signs", "@", "http://", 100_000),
        ("colons", ":", "http://a.test", 100_000),
        ("brackets", "[", "http://", 100_000),
        ("blanks", " ", "http://a.test/", 100_000),
        ("tabs", "\t", "ht", 100_000),
    )
}

RULES = Rules(
    gopher_quality=GopherQuality(enabled=True),
    gopher_repetition=GopherRepetition(enabled=True),
    c4=C4(enabled=True, terminal=False),
    refinedweb=RefinedWeb(enabled=True),
    fineweb=FineWeb(enabled=True),
    dolma_repetition=DolmaRepetition(enabled=True),
)
STAGES = (Clean(), Language(), RULES, Pii(enabled=True))


def every_stage(text):
    documents = pa.RecordBatch.from_pylist([{"id": "0" * 16, "text": text}], DOCUMENT)
    for stage in STAGES:
        pass_batch((stage,), documents, DOCUMENT)
    list(RULES.measures(text))


TEXTS = {
    f"text: {name}": (every_stage, lambda n, part=part: part * (n // len(part)), 5_000)
    for name, part in (
        ("blanks", "a" + " " * 99),
        ("empty lines", "\n \t"),
        ("one word", "w"),
        ("marks", "...(a)!?[1]"),
        ("addresses", "a.b-c_@"),
        ("links", "http://a."),
        ("links in brackets", "(http://a.test/("),
        ("numbers", "+1 (555) 010-"),
        ("IP addresses", "1.2.3."),
        ("bullets", "- • … ...\n"),
        ("braces and policies", "{lorem ipsum javascript terms of use "),
        ("combining marks", "e\u0301\u0301\u0301"),
        ("broken letters", "Ã©â€™"),
        ("one sentence", "The miller had three sons. "),
    )
}


def recipe(text):
    try:
        settings.build(settings.laid({}, [text]), "recipe")
    except UserError:
        return


TOML = {
    "TOML: nested lists": (recipe, lambda n: "a = " + "[" * n, 20_000),
    "TOML: one long key": (recipe, lambda n: ".".join("a" * (n // 2)) + " = 1", 20_000),
    "TOML: keys": (recipe, lambda n: "".join(f"a{i} = 1\n" for i in range(n // 8)), 20_000),
    "TOML: tables": (recipe, lambda n: "".join(f"[a.b{i}]\n" for i in range(n // 8)), 20_000),
    "TOML: blanks": (recipe, lambda n: "a =" + " " * n, 100_000),
    "TOML: one number": (recipe, lambda n: "a = " + "9" * n, 100_000),
}  # fmt: skip

CASES = {**WIRE, **HOSTS, **JSON, **HTML, **CHARSET, **ADDRESSES, **TEXTS, **TOML}


def spent(work, given):
    began = time.process_time()
    work(given)
    return time.process_time() - began


def check_linear(work, make, n):
    """Measure until the longer input's time is within the bound, or has been found not to be."""
    short, long = make(n), make(TIMES * n)
    spent(work, make(n // 10))  # compiles what is to be compiled
    for _ in range(ROUNDS):
        # For as long as the longer one takes: what else the machine does then slows both alike.
        few = sum(spent(work, short) for _ in range(TIMES)) / TIMES
        many = spent(work, long)
        if many <= max(MOST * few, SMALL):
            return
    pytest.fail(f"{n:,} bytes take {few:.3f} s, {TIMES} times as many {many:.3f} s")


@pytest.mark.parametrize(("work", "make", "n"), CASES.values(), ids=CASES)
def test_ten_times_the_input_takes_ten_times_the_time(work, make, n):
    check_linear(work, make, n)


@pytest.mark.parametrize("make", ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_ten_times_as_long_takes_ten_times_the_time(archived, make):
    check_linear(archived, make, 100_000)
