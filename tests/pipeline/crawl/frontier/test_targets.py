from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.crawl.fakes import links
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import write_parquet
from webtext.pipeline.crawl.frontier.targets import busiest_host, host_of, politeness_bound, surt
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.links.wanted import wanted


def test_the_busiest_host_bounds_the_crawl(tmp_path):
    a = [f"http://a.test/{i}" for i in range(10)]
    b = [f"https://b.test:8443/{i}" for i in range(24)]
    made = links(tmp_path, a, b)
    assert busiest_host(made) == ("b.test", 24)
    assert politeness_bound(made, Crawl(delay=5)) == 24 * 5  # robots.txt, then 24 pages
    assert politeness_bound(made, Crawl(delay=5, respect_robots=False)) == 23 * 5


def test_no_links_take_no_time(tmp_path):
    assert politeness_bound(links(tmp_path, []), Crawl()) == 0


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.test", "a.test"),
        ("http://a.test?q=http://b.test/", "a.test"),
        ("http://a.test#@b.test", "a.test"),
        ("https://u:p@a.test:444/", "a.test"),
        ("http://A.test/", "a.test"),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]"),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_a_host_is_the_name_without_port_and_credentials(url, host):
    assert host_of(url) == host


@given(st.text())
def test_no_text_breaks_the_index(text):
    assert " " not in host_of("http://" + text.replace(" ", "")) or surt(text) is not None


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://www.example.com/", "com,example)/"),
        ("http://example.com", "com,example)/"),
        ("http://example.com?a#b", "com,example)/?a"),
        ("https://www3.example.com/A/B/", "com,example)/a/b"),
        ("http://example.com/?", "com,example)/"),
        ("http://example.com/p?b=2&A=1&", "com,example)/p?a=1&b=2"),
        ("http://example.com/p;jsessionid=" + "0" * 32 + "?x", "com,example)/p?x"),
        ("http://example.com/p?phpsessid=" + "a" * 32 + "&x=1", "com,example)/p?x=1"),
        ("http://192.0.2.1:81/x", "192.0.2.1:81)/x"),
        ("http://[::1]/x", "[::1])/x"),
    ],
)
def test_the_index_sorts_by_the_host_backwards(url, key):
    assert surt(url) == key


def at(day):
    return datetime(2017, 1, day, tzinfo=UTC)


def test_a_link_is_told_by_its_best_submission_and_its_first(tmp_path):
    def submission(subreddit, score, created):
        return {"subreddit": subreddit, "score": score, "created": created}

    rows = [
        {
            "id": "1",
            "submissions": [
                submission("old", 3, None),
                submission("none", None, at(2)),
                submission("best", 7, at(4)),
                submission("equal", 7, at(3)),
            ],
        },
        {"id": "2", "submissions": []},
        {"id": "3", "submissions": None},
        {"id": "4", "submissions": [submission("only", -2, at(9))]},
    ]
    path = tmp_path / "00000.parquet"
    write_parquet(path, [pa.RecordBatch.from_pylist(rows, LINK)], LINK)
    (batch,) = wanted(path)
    milliseconds = [at(2).timestamp() * 1000, None, None, at(9).timestamp() * 1000]
    assert [row.subreddit for row in batch] == ["best", None, None, "only"]
    assert [row.linked for row in batch] == milliseconds
