import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.archive import sniff

WANTED = ("text/html", "application/xhtml+xml")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "text/plain"),
        (b"words and more words", "text/plain"),
        (b"\xef\xbb\xbf \n<HTML lang=en>", "text/html"),
        (b"<!DOCTYPE html>", "text/html"),
        (b"<!-- a comment -->", "text/html"),
        (b'<?xml version="1.0"?>\n<!-- x --><html xmlns="x">', "text/html"),
        (b'<?xml version="1.0"?><rss>', "text/plain"),
        ("<html><p>caf\xe9".encode("utf-16"), "text/html"),
        ("<html><p>some words".encode("utf-16-be"), "text/html"),
        (b"a\0b" + b"words " * 50, "text/plain"),
        (bytes(500), "application/octet-stream"),
        (b"\x1f\x8b\x08\0", "application/gzip"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
        (b"RIFFraff and other words", "text/plain"),
    ],
)
def test_the_first_bytes_show_what_a_body_is(body, what):
    assert sniff.kind(body) == what


@pytest.mark.parametrize(
    ("declared", "body", "fits"),
    [
        ("text/html", b"just words", True),
        ("TEXT/HTML;charset=x", b"<p>", True),
        ("text/html", b"%PDF-1.4", False),
        (None, b"<html>", True),
        (None, b"just words", False),
        ("application/octet-stream", b"<html>", True),
        ("application/xml", b"<html>", True),
        ("application/xml", b"<rss>", False),
        ("text/plain", b"<html>", False),
        ("html", b"<html>", True),
        ('"text/html"', b"<html>", True),
        ("text", b"just words", False),
        ("text/plain, text/html", b"<p>", True),
        ("text/html, text/plain", b"<p>", False),
        ("*/*, image/png", b"<html>", False),
        (";charset=utf-8", b"<html>", True),
        ("image/png", b"<html>", False),
    ],
)
def test_header_and_bytes_together_decide(declared, body, fits):
    assert sniff.fits(declared, body, WANTED) is fits


def test_plain_text_is_kept_where_it_is_wanted():
    assert sniff.fits("text/plain", b"just words", ("text/plain",))
    assert sniff.fits(None, b"just words", ("text/plain",))
    assert not sniff.fits("text/plain", b"PK\x03\x04", ("text/plain",))


@given(st.none() | st.text(), st.binary(max_size=200))
def test_nothing_raises(declared, body):
    sniff.fits(declared, body, WANTED)
