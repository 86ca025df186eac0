import doctest
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.case import HTML, page, plain
from tests.web.fetching import fetched
from tests.web.server import Site
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.policy import markup, metarefresh
from webtext.pipeline.crawl.policy.metarefresh import target

NEW = "http://a.test/new"


def meta(content, quote='"'):
    return f"<head><meta http-equiv=refresh content={quote}{content}{quote}></head>".encode()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (meta("0;url=/new"), NEW),
        (meta("0; URL = '/new'"), NEW),
        (meta(' 0.9 , url="/new" x', "'"), NEW),
        (meta("0 /new"), NEW),
        (meta(".5;/new"), NEW),
        (meta("0;url=http://b.test/a?x=1&amp;y=2"), "http://b.test/a?x=1&y=2"),
        (b"<META CONTENT='0;url=new' HTTP-EQUIV=\"Refresh\" />", NEW),
        (b"\xff\xfe" + meta("0;url=/new").decode().encode("utf-16-le"), NEW),
        (b"<!-- <b> --><title>refresh</title>" + meta("0;url=/new"), NEW),
        (meta("5;url=/new"), None),
        (meta("0"), None),
        (meta("0;"), None),
        (meta("0;url="), None),
        (meta("0;url=http://[::1"), None),
        (meta("-1;url=/new"), None),
        (b"<base href=/d/e>" + meta("0;url=new"), "http://a.test/d/new"),
        (b"<base target=x>" + meta("0;url=new"), NEW),
        (b"<base href='http://[::1'>" + meta("0;url=new"), NEW),
        (b"<!-- <base href='http://dev.test/'> -->" + meta("0;url=new"), NEW),
        (b"<title><base href='http://dev.test/'></title>" + meta("0;url=new"), NEW),
        (b"<noscript>" + meta("0;url=/new") + b"</noscript>", None),
        (b"<!-- " + meta("0;url=/new") + b" -->", None),
        (b"<script>'" + meta("0;url=/new") + b"'</script>", None),
        (b"<meta name=refresh content='0;url=/new'>", None),
        (b"<meta http-equiv=refresh>", None),
        (b"", None),
    ],
)
def test_a_page_that_sends_its_readers_on_at_once_says_where(body, where):
    assert target(body, "http://a.test/old") == where


@given(st.binary(max_size=200), st.text(max_size=80))
def test_no_page_raises(before, content):
    target(before + meta(content.replace("\ud800", "")), "http://a.test/old")


@pytest.mark.parametrize("piece", [b"<!--", b"<script ", b"<meta ", b"<meta http-equiv=refresh "])
def test_no_page_takes_long(piece):
    body = b"<meta name=refresh>" + piece * (markup.HEAD_BYTES // len(piece))
    started = time.process_time()
    assert target(body, "http://a.test/old") is None
    assert time.process_time() - started < 2  # s; a search that goes back would take minutes


def test_it_is_followed_once_with_robots_asked_and_the_way_recorded():
    first = Site(page(meta("0;url=http://b.test/x")), plain(b"User-agent: *\nAllow: /\n"))
    second = Site(page(meta("0;url=/y")), paths={"/y": page()})
    found, web = fetched({"a.test": first, "b.test": second}, "http://a.test/")
    assert found.fate is None
    assert (found.redirects, found.final_url) == (("http://a.test/",), "http://b.test/x")
    assert [path for host, path in web.requests if host == "b.test"] == ["/robots.txt", "/x"]


@pytest.mark.parametrize(
    "where", ["/", "#top", "file:///etc/passwd", "http://a.test:22/", "http://", "javascript:x()"]
)
def test_one_that_leads_nowhere_leaves_the_page_as_it_is(where):
    body = meta(f"0;url={where}") + HTML
    found, _ = fetched({"a.test": Site(page(body))}, "http://a.test/")
    assert found.fate is None
    assert found.exchange
    assert found.exchange.body == body
    assert found.redirects == ()


def test_it_counts_among_the_redirects():
    site = Site(page(meta("0;url=/new")))
    found, _ = fetched({"a.test": site}, "http://a.test/", max_redirects=0)
    assert (found.fate, found.final_url) == (None, "http://a.test/")


def test_one_into_the_crawlers_own_network_is_blocked():
    site = Site(page(meta("0;url=http://169.254.169.254/latest")))
    found, _ = fetched({"a.test": site}, "http://a.test/")
    assert found.fate == fates.BLOCKED_ADDRESS


def test_doctests():
    assert doctest.testmod(metarefresh).failed == 0
