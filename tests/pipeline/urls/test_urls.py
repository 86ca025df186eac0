import doctest
import re
import subprocess
import sys

import ada_url
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webtext.pipeline.urls import named_lists, urls

HOSTS = st.one_of(
    st.sampled_from(
        [
            "example.com",
            "www.example.com",
            "WWW.Example.co.uk",
            "www.www.com",
            "www.com",
            "bücher.de",
            "example.com.",
            "127.0.0.1",
            "[::1]",
            "0x7f.1",
            "xn--bcher-kva.de",
            "a-.b--c.org",
            "localhost",
        ]
    ),
    st.from_regex(r"\A(www\.)?[a-z0-9.-]{1,12}\.[a-z]{1,4}\.?\Z"),
)
PIECES = [
    "/",
    "a",
    "b",
    ".",
    "..",
    "%2e",
    "%41",
    "%7E",
    "%c3%a9",
    "%",
    "%%34",
    "é",
    " ",
    "&",
    "=",
    "?",
]
PIECES += [
    ";",
    "utm_source=x",
    "&b=1",
    "&a=2",
    "#",
    "'",
    "|",
    "@",
    ":",
    "\\",
    "+",
    "%26",
    "~",
    "\t",
]
TAILS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
PORTS = st.sampled_from(["", ":80", ":443", ":8080", ":", ":0"])
USERS = st.sampled_from(["", "user@", "user:pa@ss@"])


@st.composite
def addresses(draw):
    scheme = draw(st.sampled_from(["http", "https", "HTTP"]))
    return f"{scheme}://{draw(USERS)}{draw(HOSTS)}{draw(PORTS)}{draw(TAILS)}"


ANYTHING = st.one_of(
    addresses(),
    st.text(),
    st.text().map("http://".__add__),
    st.text(st.characters(codec=None)).map("https://example.com/".__add__),
)


def or_error(function, url):
    try:
        return function(url)
    except ValueError:
        return ValueError


@settings(max_examples=800, deadline=None)
@given(ANYTHING)
@example("http://www.0x7f.1../")
@example("http://h:80@h:443/")
@example("https://example.com/%%34%31")
@example("http://example.com?a//")
@example("http://example.com/\ud800")
def test_nothing_raises_but_value_error_and_both_forms_are_idempotent(url):
    normal = or_error(urls.normalise, url)
    if normal is ValueError:
        assert or_error(urls.key, url) is ValueError
        return
    key = urls.key(url)
    assert urls.normalise(normal) == normal
    assert urls.key(normal) == key
    assert urls.key(key) == key
    assert urls.url_id(url) == urls.url_id(key) == urls.key_id(key)
    assert len(urls.url_id(url)) == 16
    assert normal.isascii()
    assert urls.domain(url) == urls.domain(normal) == urls.domain(urls.host(url))


@settings(max_examples=800, deadline=None)
@given(ANYTHING)
def test_the_quick_way_and_the_parser_agree(url):
    normal = or_error(urls.normalise, url)
    if normal is ValueError:
        assert or_error(urls.forms, url) is ValueError
    else:
        expected = normal, urls.key_of_normal(normal), urls.host_of_normal(normal)
        assert urls.forms(url) == expected


@settings(max_examples=500, deadline=None)
@given(addresses())
def test_what_is_fetched_is_what_the_parser_read_less_credentials_and_fragment(url):
    normal = or_error(urls.normalise, url)
    if normal is not ValueError:
        whole, ours = ada_url.URL(url), ada_url.URL(normal)
        whole.username = whole.password = whole.hash = ""
        assert whole.href.removesuffix("#") == ours.href == normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.com/a", "https://example.com/a"),
        ("http://example.com/a", "http://www.example.com/a"),
        ("http://example.com/a", "HTTP://EXAMPLE.com:80/a"),
        ("http://example.com/a", "https://example.com:443/a#part"),
        ("http://example.com/a", "http://example.com./a/"),
        ("http://example.com/a", "http://example.com/b/../a"),
        ("http://example.com/a", "http://user:word@example.com/a"),
        ("http://example.com", "http://example.com/?"),
        ("http://example.com/?a=1&b=2", "http://example.com?b=2&a=1"),
        ("http://example.com/?a=1", "http://example.com/?UTM_Source=x&a=1&fbclid=y&utm%5Fterm=z"),
        ("http://example.com/~a/é", "http://example.com/%7Ea/%c3%A9"),
        ("http://example.com/a?b=1", "http://example.com/a;jsessionid=0A.n1?b=1&PHPSESSID=ff"),
        ("http://example.com/a/b", "http://example.com/a;JSESSIONID=1;jsessionid=2/b"),
        ("http://127.0.0.1/", "http://0x7f.1/"),
        ("http://bücher.de/", "http://xn--bcher-kva.de/"),
    ],
)
def test_spellings_of_one_page_share_a_key(one, other):
    assert urls.key(one) == urls.key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.com/a", "http://example.com/A"),
        ("http://example.com/a", "http://m.example.com/a"),
        ("http://example.com/a", "http://example.com:8080/a"),
        ("http://www.com/", "http://com/"),
        ("http://example.com/?flag", "http://example.com/"),
        ("http://example.com/?ref=a", "http://example.com/"),
        ("http://example.com/?a=1&a=2", "http://example.com/?a=2&a=1"),
        ("http://example.com/a%2Fb", "http://example.com/a/b"),
        ("http://example.com/?a=b%26c", "http://example.com/?a=b&c"),
        ("http://example.com/a b", "http://example.com/ab"),
        ("http://example.com/a;v=1", "http://example.com/a"),
    ],
)
def test_two_pages_have_two_keys(one, other):
    assert urls.key(one) != urls.key(other)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/a",
        "//example.com",
        "http://",
        "http://a..b/",
        "http://.com/",
        "http://ex ample/",
        "http://1.2.3.256/",
        "http://xn--a.com\ud800/",
        f"http://{'a' * 64}.com/",
        f"http://{'a.' * 130}com",
    ],
)
def test_what_has_no_host_that_could_be_looked_up_is_no_url(url):
    with pytest.raises(ValueError, match=r".+"):
        urls.normalise(url)


@pytest.mark.parametrize(
    "url", ["ftp://h/a", "mailto:a@b.c", "javascript:alert(1)", "file:///etc/passwd"]
)
def test_other_schemes_are_told_apart_from_nonsense(url):
    with pytest.raises(urls.NotHttpError, match="wanted a scheme of http or https"):
        urls.normalise(url)


def test_a_url_that_is_all_backslashes_and_at_signs_has_one_host():
    assert urls.host("http://example.com\\@evil.com") == "example.com"
    assert urls.normalise("http://a@b@example.com/") == "http://example.com/"


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.example.co.uk", "example.co.uk"),
        ("someone.github.io", "github.io"),
        ("example.com.", "example.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("[::1]", "[::1]"),
        ("localhost", "localhost"),
        ("numpy.demo.test", "numpy.demo.test"),
        ("co.uk", "co.uk"),
        ("News.Example.COM", "example.com"),
    ],
)
def test_the_domain_is_what_one_registers(host, domain):
    assert urls.domain(host) == domain
    assert urls.domain(f"http://{host}:8080/a") == domain


def test_buckets_do_not_move_between_runs_and_cover_all():
    assert urls.bucket("example.com", 1000) == 309
    assert {urls.bucket(f"{n}.com", 8) for n in range(200)} == set(range(8))


def test_the_suffix_list_neither_asks_the_network_nor_writes_a_cache(tmp_path):
    program = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('went to the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from webtext.pipeline.urls import urls\n"
        "print(urls.domain('a.example.co.uk'))\n"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert out.stdout == "example.co.uk\n"
    assert list(tmp_path.rglob("*")) == []


def test_parameters_that_may_choose_the_page_are_not_tracking():
    names, beginnings = urls.tracking_parameters()
    assert "fbclid" in names
    assert beginnings == ("aspsessionid", "at_custom", "mtm_", "utm_")
    assert not {"ref", "source", "id", "page", "p", "v", "q", "s"} & names


@pytest.mark.parametrize("file", sorted(path.name for path in named_lists.DATA.glob("*.txt")))
def test_every_list_has_a_version_and_a_reason_above_each_group(file):
    text = (named_lists.DATA / file).read_text(encoding="utf-8")
    head, *groups = text.split("\n\n")
    assert any(re.fullmatch(r"# version: \d+", line) for line in head.splitlines())
    assert all(line.startswith("#") for line in head.splitlines())
    for group in groups:
        assert group.startswith("# "), f"no reason above {group[:40]!r}"
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert entries == [entry.lower() for entry in entries]
    assert len(entries) == len(set(entries))


def test_doctests():
    assert doctest.testmod(urls).failed == 0
    assert doctest.testmod(named_lists).failed == 0
