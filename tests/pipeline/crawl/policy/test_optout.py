import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.crawl.http.messages import Head
from webtext.pipeline.crawl.policy import optout


def header(name, value):
    head = Head(b"HTTP/1.1", 200, b"OK", ((name.encode(), value.encode()),))
    return optout.in_headers(head, "webtext")


@pytest.mark.parametrize(
    ("name", "value", "reserves"),
    [
        ("X-Robots-Tag", "noai", True),
        ("x-robots-tag", "noindex, noml", True),
        ("X-Robots-Tag", "WebText: noai", True),
        ("X-Robots-Tag", "*: noai", True),
        ("X-Robots-Tag", "otherbot: nofollow, noai", False),
        ("X-Robots-Tag", "otherbot: noai, webtext: noml", True),
        ("X-Robots-Tag", "unavailable_after: 25 Jun 2030 15:00:00 PST, noai", True),
        ("X-Robots-Tag", "unavailable_after: Sat, 25 Jul 2026 15:00:00 GMT, noai", True),
        ("X-Robots-Tag", "otherbot: unavailable_after: Sat, 25 Jul 2026 15:00:00 GMT, noai", False),
        ("X-Robots-Tag", "max-snippet: -1, noai", True),
        ("X-Robots-Tag", "noindex, noarchive", False),
        ("TDM-Reservation", "1", True),
        ("TDM-Reservation", "0", False),
        ("Content-Usage", "train-ai=n", True),
        ("Content-Usage", "train-ai=n;exp=1, search=y", True),
        ("Content-Usage", "ai=n", True),
        ("Content-Usage", "bots=n", True),
        ("Content-Usage", "train-genai=n, train-ai=y", True),
        ("Content-Usage", "search=n", False),
        ("Content-Usage", "train-ai", False),
    ],
)
def test_a_header_reserves_or_does_not(name, value, reserves):
    assert any(signal.reserves for signal in header(name, value)) is reserves


def test_what_search_engines_are_asked_is_recorded():
    assert [signal.text for signal in header("X-Robots-Tag", "noindex, nosnippet")] == [
        "x-robots-tag: noindex"
    ]


@pytest.mark.parametrize(
    ("markup", "reserves"),
    [
        (b'<meta name="robots" content="noai, noimageai">', True),
        (b"<META CONTENT='noml' NAME=Robots />", True),
        (b"<meta name=webtext content=noai>", True),
        (b"<meta name=otherbot content=noai>", False),
        (b'<meta name="robots" content="index, follow">', False),
        (b'<meta name="tdm-reservation" content="1">', True),
        (b'<meta name="tdm-reservation" content="0">', False),
        (b"\xff\xfe" + '<meta name="robots" content="noai">'.encode("utf-16-le"), True),
        (b"<p>noai</p>", False),
    ],
)
def test_a_page_reserves_or_does_not(markup, reserves):
    found = optout.in_markup(markup + b"<p>text", "webtext")
    assert any(signal.reserves for signal in found) is reserves


def test_a_page_of_meta_elements_is_read_quickly_and_recorded_briefly():
    began = time.process_time()
    assert optout.in_markup(b"<meta " * 50_000, "webtext") == ()
    many = optout.in_markup(b"<meta name=robots content=noai>" * 5000, "webtext")
    assert len(many) == optout.MAX_SIGNALS
    assert time.process_time() - began < 2.0  # s of CPU; in truth some 20 ms


@given(st.binary(max_size=300), st.text(max_size=100))
def test_nothing_raises(body, value):
    optout.in_markup(b"<meta name=robots " + body, "webtext")
    list(optout.addressed(value, "webtext"))
    optout.usage_reserved(value)


def test_no_number_of_other_signals_hides_one_that_reserves():
    many = tuple((b"X-Robots-Tag", b"noindex") for _ in range(optout.MAX_SIGNALS))
    head = Head(b"HTTP/1.1", 200, b"OK", (*many, (b"TDM-Reservation", b"1")))
    found = optout.in_headers(head, "webtext")
    assert len(found) == optout.MAX_SIGNALS
    assert found[0].reserves
    metas = b"<meta name=robots content=noindex>" * optout.MAX_SIGNALS
    found = optout.in_markup(metas + b"<meta name=robots content=noai>", "webtext")
    assert found[0].reserves
