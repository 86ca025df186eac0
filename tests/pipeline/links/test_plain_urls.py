import doctest

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pipeline.urls.test_urls import ANYTHING
from webtext.pipeline.links import plain_urls
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.exclusions import extension

PIECES = ["a", "Z", "7", "/", ".", "-", "x", "n", "w", "www.", "?", "&", "=", "utm_x=1", "FBCLID=2"]
PIECES += [
    "b=1",
    "a=2",
    "a=1",
    ":",
    "'",
    ";",
    "~",
    "+",
    "%41",
    "#",
    "%2e",
    "%e2%9C",
    "%",
    "%2",
    ";j",
    "%3b",
    "é",
    ".JPG",
    "xn--",
    "@",
    "_",
]
PLAIN = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "http:/", "https:"]),
    st.sampled_from(["", "www.", "www.www.", "a.", "a-.", "xn--a."]),
    st.sampled_from(["example.com", "com", "www.com", "a.b.c1", "a.1com", "a" * 64 + ".de"]),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)
WRITTEN = st.one_of(PLAIN, PLAIN, ANYTHING.filter(lambda url: url.isascii() or url.isprintable()))


EXCLUDED = (".a.b.example.com", ".de")
FILES = frozenset({"jpg", "c", "x.7"})


def site(host):
    return urls.registrable(host), f".{host}".endswith(EXCLUDED)


def read(column):
    """Read all of a column."""
    column = column if isinstance(column, pa.Array) else pa.array(column)
    return plain_urls.read(column, np.ones(len(column), bool), site, plain_urls.ending(FILES))


def agrees(found, at, url):
    """Whether what was read of a plain URL is what the parser reads."""
    normal = urls.normalise(url)
    assert found.urls[at].as_py() == normal
    ids = plain_urls.digits(found.ids[at : at + 1], np.array([True])).to_pylist()
    assert ids == [urls.key_id(urls.key_of_normal(normal))]
    host = urls.host_of_normal(normal)
    assert found.domains[at].as_py() == urls.registrable(host)
    assert found.excluded[at] == f".{host}".endswith(EXCLUDED)
    assert found.files[at] == (extension(normal) in FILES)


@settings(max_examples=400, deadline=None)
@given(st.lists(WRITTEN, min_size=1, max_size=12))
@example(["http://www.example.com/a.b/c.PDF?b=1&a=2&&a=1&Utm_Medium=x&a"])
@example(["http://example.com/a?" + "&".join(f"{n % 7}={n}" for n in range(16))])
@example(["http://example.com#a", "http://example.com?#", "https://www.example.com/?a=1#%x"])
@example([f"http://example.com/{'a' * n}" for n in range(130)])
def test_what_is_taken_for_plain_is_read_as_the_parser_reads_it(column):
    column = [url.encode("utf-8", "replace").decode() for url in column]
    found = read(column)
    for at, url in enumerate(column):
        if found.known[at]:
            agrees(found, at, url)
        else:
            assert found.urls[at].as_py() is found.domains[at].as_py() is None


def test_usual_urls_are_plain_and_what_the_parser_would_change_is_not():
    usual = ["http://example.com/", "https://www.example.co.uk/a_b/c-d.html?id=3&utm_source=x"]
    usual += ["http://example.com", "http://example.com?a#b", "http://example.com/?b%41?%c3%A9&%"]
    usual += ["http://example.com/?#", "http://a.com/#/%zz?x", f"http://example.com/{'a' * 2000}"]
    odd = ["http://example.com/a b", "http://Example.com/", "http://1.2.3.4/", "", "http://"]
    odd += ["http://example.com/a/../b", "http://example.com:80/", "http://xn--a.com/"]
    odd += ["http://example.com/a;jsessionid=1", "http://example.com/%41", "http://a.com%"]
    odd += ["http://a.com/# b", "http://.a.com/", "http://a..com/", "http://a.com/..b"]
    assert read(usual + odd).known.tolist() == [True] * len(usual) + [False] * len(odd)


def test_urls_that_are_not_wanted_are_not_read():
    column = pa.array(["http://example.com/a"] * 3)
    found = plain_urls.read(column, np.array([True, False, True]), site, r"\z.")
    assert found.known.tolist() == [True, False, True]
    assert found.urls.to_pylist() == ["http://example.com/a", None, "http://example.com/a"]


@pytest.mark.parametrize("start", [0, 1, 3])
def test_a_part_of_a_column_is_read_like_the_whole(start):
    column = pa.array([f"http://example{n}.com/{n}" for n in range(5)])
    whole, part = read(column), read(column.slice(start))
    assert part.urls.to_pylist() == whole.urls.to_pylist()[start:]
    assert part.ids.tolist() == whole.ids.tolist()[start:]
    assert not len(read(column.slice(5)).ids)


def test_doctests():
    assert doctest.testmod(plain_urls).failed == 0
