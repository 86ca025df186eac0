import gzip
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.web.case import HTML, chunked, head, page, to
from tests.web.fetching import fetched, watch_connecting
from tests.web.server import Peer, Site
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.http import client
from webtext.pipeline.urls import urls


def test_the_exchange_holds_the_bytes_that_went():
    answer = page(HTML, "X-Odd:   two  words ", "x-odd: again", status="200 Fine")
    found, web = fetched({"a.test": Site(answer)}, "http://a.test/x?y=%41")
    assert found.exchange
    assert found.exchange.request == web.heard[-1]
    assert found.exchange.request.startswith(b"GET /x?y=%41 HTTP/1.1\r\nHost: a.test\r\n")
    assert found.exchange.head == page(
        HTML, "X-Odd: two  words", "x-odd: again", status="200 Fine"
    ).removesuffix(HTML)
    assert abs(found.exchange.started - time.time()) < 60
    assert 0 < found.exchange.elapsed < 60


def test_a_request_says_who_asks_and_carries_nothing_else():
    site = Site(page(HTML, "Set-Cookie: a=b; Domain=a.test"), paths={"/": to("/second")})
    _, web = fetched({"a.test": site}, "http://user:secret@a.test/", contact="https://e.test/bot")
    *_, last = web.heard
    names = [line.split(b":")[0] for line in last.split(b"\r\n")[1:-2]]
    assert names == [b"Host", b"User-Agent", b"Accept", b"Accept-Encoding", b"Connection"]
    assert b"webtext/0.1 (+https://e.test/bot)" in last
    assert not any(b"secret" in heard for heard in web.heard)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "//a.test/",
        "ftp://a.test/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://a.test:0/",
        "http://a.test:22/",
        "http://a.test:99999/",
        "http://a.test:80:80/",
        "http://a..test/",
        "http://" + "a" * 64 + ".test/",
        "http://a b.test/",
        "http://a.test/" + "x" * 64_000,
        "http://\ud800.test/",
    ],
)
def test_what_is_no_url_to_fetch_is_never_asked_for(url):
    found, web = fetched({"a.test": Site(page())}, url)
    assert found.fate == fates.BAD_URL
    assert web.requests == []


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("HTTP://A.Test:80/b#c", "/b"),
        ("http://a.test", "/"),
        ("http://a.test/a/../b c", "/b%20c"),
        ("http://a.test\\x\\y", "/x/y"),
        (" http://a.test/\t\n ", "/"),
        ("http://a.test./", "/"),
        ("http://a.test/?", "/?"),
    ],
)
def test_odd_spellings_are_read_as_browsers_read_them(url, asked):
    found, web = fetched({"a.test": Site(page()), "a.test.": Site(page())}, url)
    assert found.fate is None
    assert web.requests[-1][1] == asked


@settings(max_examples=500, deadline=None)
@given(st.from_regex(client._normal, fullmatch=True))
@example("http://a.b-.co/~x;y=1,2/b..")
@example("http://www.example.com:59999//a//@b:c?d=%zz/../e")
def test_what_is_taken_for_normal_the_parser_gives_back(url):
    try:
        found = urls.normalise(url)
    except ValueError:
        assert "xn--" in url
    else:
        assert found == url


def test_a_host_spelt_in_another_script_is_asked_by_its_ascii_name():
    found, web = fetched({"xn--80ak6aa92e.test": Site(page())}, "http://аррӏе.test/")
    assert found.final_url == "http://xn--80ak6aa92e.test/"
    assert web.requests[-1] == ("xn--80ak6aa92e.test", "/")


@pytest.mark.parametrize("answer", [page(), page()[:-9], chunked(HTML), b"nonsense", b""])
def test_a_system_without_epoll_fetches_the_same(answer, monkeypatch):
    sites, url = {"a.test": Site(answer)}, "http://a.test/x"
    usual, _ = fetched(sites, url)
    monkeypatch.setattr(client, "AVAILABLE", False)
    found, web = fetched(sites, url)
    assert (found.fate, found.status, found.ip) == (usual.fate, usual.status, usual.ip)
    if found.exchange:
        assert found.exchange.request == web.heard[-1]
        assert found.exchange.head == usual.exchange.head
        assert found.exchange.body == usual.exchange.body
        assert found.exchange.truncated == usual.exchange.truncated


# ---- ours, not the host's


def test_a_machine_out_of_files_is_not_blamed_on_the_host(monkeypatch):
    def full(address):
        raise OSError(24, "Too many open files")

    watch_connecting(monkeypatch, full)
    with pytest.raises(PipelineError, match="hosts_in_flight"):
        fetched({"a.test": Site(page())}, "http://a.test/")


def test_a_missing_authority_file_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"crawl\.ca_file: .*absent\.pem"):
        client.tls_context(str(tmp_path / "absent.pem"))


def test_a_body_is_read_no_further_than_its_bound():
    sent = 0

    async def endless(peer: Peer):
        nonlocal sent
        await peer.send(head("Content-Type: text/html"), HTML)
        while True:
            await peer.send(b" " * 65_536)
            sent += 65_536

    found, _ = fetched({"a.test": Site(endless)}, "http://a.test/", max_body=200_000)
    assert found.fate == fates.TOO_LARGE
    assert found.exchange
    assert len(found.exchange.body) == 200_000
    assert sent < 20_000_000  # bytes: what the system's socket buffers hold, and little more


def test_what_a_fetch_took_is_told_whatever_came_of_it():
    body = gzip.compress(HTML)
    fields = (
        "Content-Encoding: gzip",
        'ETag: "v1"',
        "Last-Modified: Fri, 14 Jul 2017 02:40:00 GMT",
    )
    found, _ = fetched({"a.test": Site(page(body, *fields))}, "http://a.test/")
    assert found.robots == "allow: status 404"
    assert abs(found.robots_time - time.time()) < 60
    assert found.robots_time <= found.started
    assert 0 < found.first_byte <= found.elapsed < 60
    assert (found.wire_bytes, found.body_bytes) == (len(body), len(HTML))
    assert (found.etag, found.last_modified) == ('"v1"', "Fri, 14 Jul 2017 02:40:00 GMT")

    found, _ = fetched({"a.test": Site(page(status="404 Gone"))}, "http://a.test/")
    assert found.fate == fates.HTTP_4XX
    assert 0 < found.first_byte <= found.elapsed
    assert (found.wire_bytes, found.body_bytes) == (0, None)


def test_a_validator_that_could_not_be_sent_back_is_not_kept():
    fields = ("ETag: " + '"' + "x" * 5000 + '"', "Last-Modified: \xe9t\xe9")
    found, _ = fetched({"a.test": Site(page(HTML, *fields))}, "http://a.test/")
    assert (found.etag, found.last_modified) == (None, None)
