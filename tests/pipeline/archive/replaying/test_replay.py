import asyncio
import gzip
import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from urllib.parse import unquote

import aiohttp
import pytest
from yarl import URL

from tests.pipeline import warcfile
from webtext.pipeline.archive.replaying import replay as replay_module
from webtext.pipeline.archive.replaying.recorded import Archive
from webtext.pipeline.archive.replaying.replay import LOOPBACK, Replay, replaying, serve_forever
from webtext.pipeline.archive.warc import responses
from webtext.pipeline.archive.warc_import import ImportWarc
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls import urls

from tests.pipeline.warcfile import PAGE, http as page, members, record, site, write  # isort: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A plain, a gzip and a zstd file of one small web."""
    folder = tmp_path_factory.mktemp("replay")
    odd = {"X-One": "1", "Set-Cookie": "a=b", "content-TYPE": "text/html; charset=ISO-8859-1",
           "Connection": "keep-alive", "Content-Length": "99999", "X-Latin": "caf\xe9"}  # fmt: skip
    packed = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    squeezed = gzip.compress(PAGE)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(squeezed), squeezed)
    records = [
        record("https://h.test/secure", page(b"over TLS")),
        record(
            "http://h.test/secure", page(b"", "301 Moved", {"Location": "https://h.test/secure"})
        ),
        record("http://h.test/late", page(b"oops", "503 Busy")),
        record("http://h.test/late", page(b"there")),
        record("http://h.test/late", page(b"too late")),
        record("http://h.test/odd?b=1&a=%e3%82", page(PAGE, "200 Yes Sir", odd)),
        record("http://h.test/packed", page(chunks, headers=packed)),
        record("http://h.test/missing", page(b"no such page", "404 Not Here")),
        record("http://h.test/same", page(b"", "304 Not Modified", {"ETag": "x"})),
        record("http://h.test/two", page(PAGE).replace(b"HTTP/1.1", b"HTTP/2")),
        record("http://h.test/resource", b"<p>saved", "resource"),
        record("http://h.test:8080/port", page(b"on a port")),
        record("http://h.test/robots.txt", page(b"User-agent: *\nDisallow: /x\n")),
        record("https://b\u00fccher.test/", page(b"umlaut")),
        record("http://h.test/broken", b"no HTTP"),
        record("dns:h.test", b"h.test 1 IN A 192.0.2.1", "resource"),
    ]
    return [
        write(folder / "a.warc", records),
        write(folder / "b.warc.gz", members(site(3, host="i.test"))),
        write(folder / "c.warc.zst", [warcfile.compressed(b"".join(site(3, host="j.test")))]),
    ]


@pytest.fixture(scope="module")
def served(archive):
    with replaying(archive) as replay:
        yield replay


def get(replay, path, host="h.test", method="GET"):
    """Ask over HTTP; return status, reason, headers and body."""
    connection = http.client.HTTPConnection(LOOPBACK, replay.port, timeout=20)
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.reason, answer.getheaders(), body


def get_tls(replay, path, host="h.test"):
    """Ask over HTTPS, checking the certificate; return the body."""
    context = ssl.create_default_context(cafile=str(replay.ca_file))
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection((LOOPBACK, replay.tls_port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(head.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.read()


def converse(replay, request):
    """Send raw bytes; return all that comes back before the server closes."""
    with socket.create_connection((LOOPBACK, replay.port), timeout=20) as connection:
        connection.sendall(request)
        parts = list(iter(lambda: connection.recv(1 << 16), b""))
    return b"".join(parts)


@pytest.mark.parametrize("host", ["i.test", "j.test"])
def test_pages_come_back_from_any_packing(served, host):
    for number in range(3):
        _, _, _, body = get(served, f"/{number}", host)
        assert body == PAGE + b"<p>%d</p>" % number


def test_status_line_and_headers_are_as_recorded_but_for_the_framing(served):
    status, reason, headers, body = get(served, "/odd?b=1&a=%e3%82")
    assert (status, reason, body) == (200, "Yes Sir", PAGE)
    assert headers == [
        ("X-One", "1"), ("Set-Cookie", "a=b"), ("content-TYPE", "text/html; charset=ISO-8859-1"),
        ("X-Latin", "caf\xe9"), ("Content-Length", str(len(PAGE)))]  # fmt: skip


def test_bodies_are_served_without_their_encodings(served):
    _, _, headers, body = get(served, "/packed")
    assert body == PAGE
    assert headers == [("Content-Length", str(len(PAGE)))]


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/missing", 404, b"no such page"),
        ("/same", 304, b""),
        ("/two", 200, PAGE),
        ("/resource", 200, b"<p>saved"),
        ("/robots.txt", 200, b"User-agent: *\nDisallow: /x\n"),
        ("/late", 200, b"there"),  # a page is preferred to an error, the first to later ones
    ],
)
def test_what_was_recorded_is_served(served, path, status, body):
    assert get(served, path)[::3] == (status, body)


@pytest.mark.parametrize(
    ("path", "host"), [("/never", "h.test"), ("/", "unknown.test"), ("/broken", "h.test")]
)
def test_what_was_not_recorded_is_404(served, path, host):
    status, _, _, body = get(served, path, host)
    assert (status, body) == (404, b"webtext replay: not in the archive\n")


def test_the_two_schemes_are_told_apart_where_both_were_recorded(served):
    assert get(served, "/secure")[0] == 301
    assert get_tls(served, "/secure") == b"over TLS"


def test_a_page_of_either_scheme_is_served_over_the_other(served):
    assert get_tls(served, "/late") == b"there"
    assert get(served, "/", "xn--bcher-kva.test")[3] == b"umlaut"


@pytest.mark.parametrize("host", ["h.test", "xn--bcher-kva.test", "a.b.c.unknown.test"])
def test_a_certificate_is_made_for_any_host(served, host):
    assert get_tls(served, "/late", host) == {
        "h.test": b"there",
    }.get(host, b"webtext replay: not in the archive\n")


def test_a_certificate_of_another_authority_is_not_trusted(served):
    connection = http.client.HTTPSConnection("localhost", served.tls_port, timeout=20)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")
    connection.close()


@pytest.mark.parametrize(
    "path", ["/odd?b=1&a=%E3%82", "/./odd?b=1&a=%e3%82", "/x/../odd?b=1&a=%e3%82"]
)
def test_other_spellings_of_a_path_are_found(served, path):
    assert get(served, path)[3] == PAGE


def test_ports_are_part_of_a_host_but_not_ours_or_the_default_ones(served):
    assert get(served, "/port", "h.test:8080")[3] == b"on a port"
    assert get(served, "/port", "h.test")[0] == 404
    for port in (80, 443, served.port):
        assert get(served, "/late", f"H.TEST:{port}")[3] == b"there"


def test_a_proxy_request_is_answered(served):
    request = b"GET http://h.test/late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert converse(served, request).endswith(b"\r\n\r\nthere")


def test_one_connection_serves_many_requests(served):
    request = b"GET /late HTTP/1.1\r\nHost: h.test\r\n\r\n"
    last = b"HEAD /late HTTP/1.0\r\nHost: h.test\r\n\r\n"
    answers = converse(served, request * 3 + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert answers.count(b"there") == 3
    assert answers.endswith(b"Connection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [(b"POST / HTTP/1.1", b"405"), (b"hello", b"400"), (b"GET / HTTP/2.0", b"400")],
)
def test_other_requests_are_refused(served, request_line, status):
    answer = converse(served, request_line + b"\r\nHost: h.test\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_an_endless_head_ends_the_connection(served):
    assert converse(served, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000) == b""


def test_records_that_cannot_be_served_are_counted(served):
    assert served.archive.skipped == 2
    assert served.archive.hosts == {
        "h.test", "h.test:8080", "i.test", "j.test", "xn--bcher-kva.test"}  # fmt: skip
    assert served.archive.pages == 12 + 3 + 3


def test_only_loopback_is_listened_on(served):
    with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
        socket.create_connection(("127.0.0.2", served.port), timeout=2)


def test_requests_are_logged_with_a_clock_that_never_steps(tmp_path, archive):
    log = tmp_path / "access.jsonl"
    started = time.monotonic()
    with replaying(archive, access_log=log, delay=0.05) as replay:
        get(replay, "/late")
        get(replay, "/never", "i.test")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    times = [line.pop("time") for line in lines]
    assert lines == [
        {"scheme": "http", "host": "h.test", "path": "/late", "status": 200},
        {"scheme": "http", "host": "i.test", "path": "/never", "status": 404},
    ]
    assert started < times[0] <= times[1] - 0.05 < times[1] < time.monotonic()


def test_a_port_in_use_is_named(served, archive):
    taken = replaying(archive, port=served.port)
    with pytest.raises(UserError, match=rf"port {served.port} on 127\.0\.0\.1: .*another"), taken:
        pass


def test_a_missing_archive_is_named(tmp_path):
    missing = replaying([tmp_path / "gone.warc"])
    with pytest.raises(UserError, match=r"gone\.warc: No such file"), missing:
        pass


def test_the_server_stops_although_clients_hold_on(archive, tmp_path):
    async def hold():
        async with Replay(archive, ca_file=tmp_path / "ca.pem") as replay:
            reader, writer = await asyncio.open_connection(LOOPBACK, replay.port)
            writer.write(b"GET /late HTTP/1.1\r\nHost: h.test\r\n\r\n")
            await reader.readuntil(b"there")
        assert await reader.read() == b""
        writer.close()
        assert replay.ca_file.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert replay.connect_to == (
            f"*:80:127.0.0.1:{replay.port}", f"*:443:127.0.0.1:{replay.tls_port}")  # fmt: skip

    asyncio.run(hold())


def test_serving_forever_ends_on_a_signal(archive):
    said = []

    async def serve():
        asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), signal.SIGTERM)
        await serve_forever(archive, 0, 0, announce=said.append)

    asyncio.run(asyncio.wait_for(serve(), 20))
    (line,) = said
    assert line.startswith("serving 18 URLs of 5 hosts, 2 records skipped: http on 127.0.0.1:")


async def mismatches(replay, paths, scheme, step=1):
    """Fetch every recorded page; return how many were asked for, and which came back otherwise."""
    expected = {}
    spelt = set()  # URLs with what their spellings share
    for path in paths:
        for found in responses(path):
            if ImportWarc().fate(found)[0] is None:
                url = urls.normalise(found.url)
                expected.setdefault(url, found)
                spelt.add(unquote(url))
    context = ssl.create_default_context(cafile=str(replay.ca_file))
    wrong = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=Loopback(replay), ssl=context, limit=16)
    ) as session:

        async def check(url, found):
            recorded, _, rest = url.partition("://")
            if scheme != recorded and unquote(f"{scheme}://{rest}") in spelt:
                return  # the other scheme has a record of its own
            async with session.get(URL(f"{scheme}://{rest}", encoded=True)) as answer:
                body = await answer.read()
                kind = answer.headers.get("Content-Type")
                if (answer.status, body, kind) != (200, found.body, found.content_type):
                    wrong.append((url, answer.status))

        waiting = list(expected.items())[::step]
        for start in range(0, len(waiting), 64):
            await asyncio.gather(*(check(*item) for item in waiting[start : start + 64]))
    return len(expected), wrong


class Loopback(aiohttp.abc.AbstractResolver):
    """Look every host up here."""

    def __init__(self, replay):
        self.ports = {80: replay.port, 443: replay.tls_port}

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [{"hostname": host, "host": LOOPBACK, "port": self.ports[port], "family": family,
                 "proto": 0, "flags": 0}]  # fmt: skip

    async def close(self):
        pass


def test_an_interrupt_while_the_archive_is_read_waits_for_no_end_of_the_server(
    archive, monkeypatch
):
    class Interrupted(Future):
        def result(self, timeout=None):
            if threading.current_thread() is user and not self.done():
                raise KeyboardInterrupt
            return super().result(timeout)

    def use():
        with pytest.raises(KeyboardInterrupt), replaying(archive):
            pass

    def slow(sources):
        time.sleep(0.2)
        return Archive(sources)

    monkeypatch.setattr(replay_module, "Future", Interrupted)
    monkeypatch.setattr(replay_module, "Archive", slow)
    user = threading.Thread(target=use, daemon=True)
    user.start()
    user.join(20)
    assert not user.is_alive()


def test_every_real_page_comes_back_byte_for_byte(real_pages):
    with replaying([real_pages]) as replay:
        count, wrong = asyncio.run(mismatches(replay, [real_pages], "http"))
        assert count > 100
        assert wrong == []
        assert asyncio.run(mismatches(replay, [real_pages], "https", step=9)) == (count, [])


@pytest.mark.slow
def test_every_page_of_the_miniweb_comes_back_byte_for_byte(shared):
    sources = [shared / "miniweb" / name for name in ("news.warc.zst", "sites.warc.zst")]
    with replaying(sources) as replay:
        for scheme in ("http", "https"):
            assert asyncio.run(mismatches(replay, sources, scheme)) == (6394, [])
