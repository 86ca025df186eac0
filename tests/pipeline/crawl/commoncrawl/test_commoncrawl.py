import asyncio
import hashlib
import re
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from warcio.archiveiterator import ArchiveIterator

from tests.pipeline.crawl.commoncrawl.common_crawl import (
    HTML,
    linked,
    serving,
    text_of,
)
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.crawl.commoncrawl import ranges, taken
from webtext.pipeline.crawl.commoncrawl.ranges import Piece, merged
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.commoncrawl.step import REASONS, take
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls import forgotten

CRAWLS = ("CC-MAIN-2014-10", "CC-MAIN-2016-07")
NOAI = (("X-Robots-Tag", "noai"),)


def moved(url):
    return (("Location", url),)


RECORDS = {
    CRAWLS[0]: [
        ("http://a.test/one", "20140310", 200, HTML, text_of("one in 2014"), ()),
        ("http://a.test/one", "20140312", 404, HTML, b"gone", ()),
        ("http://a.test/gone", "20140310", 404, HTML, b"gone", ()),
        ("http://a.test/old?b=1&a=2", "20140310", 301, HTML, b"", moved("/middle")),
        ("http://a.test/middle", "20140310", 302, HTML, b"", moved("http://www.c.test/new")),
        ("http://b.test/loop", "20140310", 302, HTML, b"", moved("https://b.test/loop/")),
        ("http://b.test/lost", "20140310", 302, HTML, b"", moved("http://nowhere.test/")),
        ("http://b.test/file.pdf", "20140310", 200, "application/pdf", b"%PDF-1.4 text", ()),
        (
            "http://f.test/",
            "20140310",
            302,
            HTML,
            b"",
            moved("http://e.test/\xc3\xa0?utm_id=1#part"),
        ),
    ],
    CRAWLS[1]: [
        ("https://www.a.test/one/", "20160220", 200, HTML, text_of("one in 2016"), ()),
        ("http://c.test/new", "20160220", 200, HTML, text_of("new"), ()),
        ("http://c.test/noai", "20160220", 200, HTML, text_of("noai"), NOAI),
        ("http://c.test/empty", "20160220", 200, HTML, b"", ()),
        ("http://e.test/%C3%A0?utm_id=1", "20160220", 200, HTML, text_of("coffee"), ()),
        *[
            (f"http://d.test/{n}", "20160220", 200, HTML, text_of(f"page {n}"), ())
            for n in range(12)
        ],
    ],
}
LINKS = [
    ("http://a.test/one", "20140401"),
    ("http://a.test/gone", "20140401"),
    ("http://a.test/old?a=2&b=1&utm_source=feed", "20140401"),
    ("http://a.test/never", "20140401"),
    ("http://b.test/loop", "20140401"),
    ("http://b.test/lost", "20140401"),
    ("http://b.test/file.pdf", "20140401"),
    ("http://c.test/noai", "20140401"),
    ("http://c.test/empty", "20140401"),
    *[(f"http://d.test/{n}", "20140401") for n in range(0, 12, 2)],
]
FUNNEL = {
    "commoncrawl.http_status": 1,
    "commoncrawl.not_found": 1,
    "commoncrawl.redirect_lost": 2,
    "commoncrawl.not_html": 1,
    "commoncrawl.opted_out": 1,
    "commoncrawl.empty": 1,
}


def settings(port, index="cdx", **more):
    asked = CommonCrawl(CRAWLS, "http://commoncrawl.test/", index=index, rate=1e6, **more)
    crawl = Crawl(backoff=0.01, connect_to=(f"*:80:127.0.0.1:{port}",))
    return asked, crawl


def outcomes(out):
    rows = [row for path in out.shards("outcomes") for row in pq.read_table(path).to_pylist()]
    return {row["url"]: row for row in rows}


def texts(out):
    return {
        row["url"]: row["body"]
        for number in out.numbers("outcomes")
        for batch in page_batches(out, number)
        for row in batch.to_pylist()
    }


def digests(out):
    paths = sorted(path for path in out.path.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def taken_by_server(tmp_path, home, index="cdx", name="pages-0", links=LINKS, **more):
    given = linked(tmp_path / "links-0", links)
    out = Directory(tmp_path / name)
    out.path.mkdir(exist_ok=True)
    with serving(home) as (port, log):
        (passage,) = take(*settings(port, index, **more), given, out, silent)
    return out, passage, log


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_every_link_gets_one_fate_and_the_pages_are_those_of_the_archive(tmp_path, home, index):
    out, passage, _ = taken_by_server(tmp_path, home, index)
    assert dict(passage.dropped) == FUNNEL
    assert (passage.read, passage.kept) == (len(LINKS), len(LINKS) - sum(FUNNEL.values()))
    assert set(FUNNEL) <= set(REASONS)
    found = outcomes(out)
    assert found["http://a.test/gone"]["dropped_value"] == 404
    assert found["http://a.test/gone"]["status"] == 404
    old = found["http://a.test/old?a=2&b=1&utm_source=feed"]
    assert old["redirects"] == ["http://a.test/old?b=1&a=2", "http://a.test/middle"]
    assert old["final_url"] == "http://c.test/new"
    assert found["http://b.test/lost"]["status"] == 302 or found["http://b.test/lost"]["redirects"]
    bodies = texts(out)
    assert bodies["http://a.test/one"] == text_of("one in 2014")
    assert bodies["http://a.test/old?a=2&b=1&utm_source=feed"] == text_of("new")
    assert bodies["http://d.test/4"] == text_of("page 4")


def test_the_capture_nearest_to_the_submission_is_taken_and_the_newest_without_one(tmp_path, home):
    out, _, _ = taken_by_server(tmp_path, home, links=[("http://a.test/one", "20160101")])
    assert texts(out) == {"http://a.test/one": text_of("one in 2016")}
    shutil.rmtree(tmp_path / "links-0")
    out, _, _ = taken_by_server(tmp_path, home, name="pages-1", links=[("http://a.test/one", None)])
    assert texts(out) == {"http://a.test/one": text_of("one in 2016")}


def test_a_folder_a_server_and_both_indexes_give_the_same_bytes(tmp_path, home):
    by_server, _, log = taken_by_server(tmp_path, home)
    wanted = digests(by_server)
    columnar, _, _ = taken_by_server(tmp_path, home, "columnar", "pages-1")
    out = Directory(tmp_path / "pages-2")
    out.path.mkdir()
    local = CommonCrawl(CRAWLS, str(home))
    take(local, Crawl(), Directory(tmp_path / "links-0"), out, silent)
    assert digests(out) == wanted
    same = {name: value for name, value in digests(columnar).items() if "warc" in name}
    assert same == {name: value for name, value in wanted.items() if "warc" in name}
    records = log.ranges(r"\.warc\.gz")
    assert 0 < len(records) < len(LINKS)  # near ones in one request


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_a_store_that_fails_at_times_gives_the_bytes_of_a_folder(tmp_path, home, s3, index):
    """Of the list of tables, the index and the records."""
    store = ObjectStore(parse(f"s3://{s3.bucket()}/copy"))
    for path in home.rglob("*"):
        if path.is_file():
            store.put(str(path.relative_to(home)), path.read_bytes())
    s3.faults.share, s3.faults.cut_answers = 0.1, 2
    links, made = linked(tmp_path / "links-0", LINKS), []
    for prefix in (str(home), str(store.address)):
        out = Directory(tmp_path / f"pages-{len(made)}")
        out.path.mkdir()
        asked = CommonCrawl(CRAWLS, prefix, index=index, rate=1e6)
        (passage,) = take(asked, Crawl(), links, out, silent)
        assert dict(passage.dropped) == FUNNEL
        made.append(digests(out))
    assert made[0] == made[1]
    assert s3.faults.count["failed"]


def test_a_server_is_asked_no_more_often_than_the_rate(monkeypatch):
    now, waits = [100.0], []

    async def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    async def turns(server):
        for _ in range(4):
            await server._turn()

    monkeypatch.setattr(ranges, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(ranges.asyncio, "sleep", sleep)
    asked, crawl = settings(1)
    asyncio.run(turns(ranges.Server(replace(asked, rate=2.0), crawl)))
    assert waits == [0.5, 0.5, 0.5]


def test_an_answer_that_is_another_range_is_not_taken(home):
    (file,) = [path for path in (home / "cc-index").rglob("cluster.idx") if CRAWLS[0] in str(path)]
    name = str(file.relative_to(home))
    with serving(home) as (port, log), ranges.Server(*settings(port, attempts=2)) as server:
        log.wrong = 1
        assert server.read([Piece(name, 0, 9)]) == [file.read_bytes()[:9]]
        assert len(log) == 2
        log.wrong = 2
        with pytest.raises(UserError, match="connect, at the last of 2 attempts"):
            server.read([Piece(name, 0, 9)])


def test_after_a_refusal_nobody_asks_until_the_time_that_it_named(home):
    with serving(home) as (port, log):
        log.refuse, log.retry_after = 1, "30"
        asked, crawl = settings(port, attempts=1)
        with ranges.Server(asked, replace(crawl, max_backoff=50)) as server:
            with pytest.raises(UserError, match="429"):
                server.size("any")
            assert server._next - time.monotonic() > 20


def test_a_store_is_asked_no_more_often_than_the_rate(monkeypatch):
    waits = []
    monkeypatch.setattr(
        ranges, "time", SimpleNamespace(monotonic=lambda: 100.0, sleep=waits.append)
    )
    bucket = ranges.Bucket(CommonCrawl(CRAWLS, "s3://bucket", rate=2.0))
    for _ in range(4):
        bucket._turn()
    assert [round(wait, 1) for wait in waits] == [0.0, 0.5, 1.0, 1.5]


def test_each_record_says_where_it_was_taken_from(tmp_path, home):
    out, passage, _ = taken_by_server(tmp_path, home)
    found = 0
    for path in out.path.glob("*.warc.gz"):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                if record.rec_type == "metadata":
                    said = record.content_stream().read().decode()
                    named = dict(re.findall(r"(\S+): (\S+)", said))
                    start, length = int(named["taken-from-offset"]), int(named["taken-from-length"])
                    there = (home / named["taken-from"]).read_bytes()[start : start + length]
                    assert there in path.read_bytes()
                    found += 1
    assert found >= passage.kept


@pytest.mark.parametrize("stop", [3, 7, 9])
def test_what_was_fetched_before_a_death_is_not_fetched_again(tmp_path, home, stop, monkeypatch):
    whole, _, _ = taken_by_server(tmp_path, home, gap=0)
    given, out = Directory(tmp_path / "links-0"), Directory(tmp_path / "pages-1")
    out.path.mkdir()
    monkeypatch.setattr(taken, "GROUP", 1)
    with serving(home) as (port, again):
        again.stop_after = stop
        with pytest.raises(UserError, match=r"refused, status 418.*run the same command again"):
            take(*settings(port, gap=0, connections=1), given, out, silent)
        for path in out.path.glob("*.warc.gz"):  # torn, as a kill leaves it
            path.write_bytes(path.read_bytes() + (home / again[-2][0][1:]).read_bytes()[:50])
        first = again.ranges(r"\.warc\.gz")
        again.stop_after = None
        again.clear()
        take(*settings(port, gap=0), given, out, silent)
    assert not set(first) & set(again.ranges(r"\.warc\.gz"))
    assert digests(out) == digests(whole)


def test_a_server_that_asks_for_patience_gets_it_and_one_that_never_answers_is_named(
    tmp_path, home
):
    given = linked(tmp_path / "links-0", LINKS)
    out = Directory(tmp_path / "pages-0")
    out.path.mkdir()
    with serving(home) as (port, log):
        log.refuse = 3
        (passage,) = take(*settings(port, connections=1), given, out, silent)
        assert dict(passage.dropped) == FUNNEL
        shutil.rmtree(out.path)
        out.path.mkdir()
        log.refuse = 10**6
        with pytest.raises(UserError, match="refused, status 429, at the last of 2 attempts"):
            take(*settings(port, attempts=2), given, out, silent)


def test_nobody_asks_before_the_time_is_over_that_a_server_named(tmp_path, home):
    asked, crawl = settings(1)
    slow = replace(crawl, backoff=5, max_backoff=50)
    server = ranges.Server(asked, slow)
    with server:
        before = server._next
        with serving(home) as (port, log):
            log.refuse = 10**6
            quick = replace(slow, connect_to=(f"*:80:127.0.0.1:{port}",), backoff=0.001)
            with ranges.Server(replace(asked, attempts=1), quick) as other:
                with pytest.raises(UserError, match="429"):
                    other.size("any")
                assert other.requests == 1
                assert other._next > 0
    assert before == 0


def test_a_damaged_record_costs_its_own_page(tmp_path, home):
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    clean, _, _ = taken_by_server(tmp_path, home)
    row = outcomes(clean)["http://d.test/4"]
    (source,) = (copy / f"crawl-data/{CRAWLS[1]}").rglob("*-00001.warc.gz")
    member = (clean.path / row["warc_file"]).read_bytes()[row["warc_offset"] :][
        : row["warc_length"]
    ]
    data = source.read_bytes()
    at = data.index(member) + len(member) // 2
    source.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    out, passage, _ = taken_by_server(tmp_path, copy, name="pages-1")
    assert dict(passage.dropped) == FUNNEL | {"commoncrawl.no_record": 1}
    assert outcomes(out)["http://d.test/4"]["dropped_by"] == "commoncrawl.no_record"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"crawls": ("../x",)}, "wanted names such as"),
        ({"index": "warc"}, "wanted one of cdx, columnar"),
        ({"prefix": "ftp://commoncrawl"}, "wanted https://, http://, s3:// or a folder"),
        ({"prefix": "s3://"}, "names no bucket"),
        ({"prefix": "https://data..commoncrawl.org"}, "prefix: found .*, wanted https://"),
        ({"prefix": "https://data commoncrawl.org"}, "prefix: found .*, wanted https://"),
        ({"prefix": "http://commoncrawl.test:99999"}, "prefix: found .*, wanted https://"),
        ({"rate": 0}, "wanted more than 0"),
        ({"gap": -1}, "wanted 0 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, said):
    with pytest.raises(UserError, match=said):
        CommonCrawl(**given)


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_a_crawl_that_is_not_there_is_named(tmp_path, home, index):
    given = linked(tmp_path / "links-0", LINKS)
    asked = CommonCrawl(("CC-MAIN-2099-01",), str(home), index=index)
    with pytest.raises(UserError, match="CC-MAIN-2099-01"):
        take(asked, Crawl(), given, Directory(tmp_path / "pages-0"), silent)
    with pytest.raises(UserError, match="no such folder"):
        take(replace(asked, prefix=str(tmp_path / "no")), Crawl(), given,
             Directory(tmp_path / "pages-1"), silent)  # fmt: skip


def test_ranges_of_one_file_are_read_together_up_to_the_gap_and_the_size():
    pieces = [Piece("a", 0, 5), Piece("a", 10, 5), Piece("a", 16, 5), Piece("b", 21, 5)]
    assert [parts for _, parts in merged(pieces, 5)] == [[0, 1, 2], [3]]
    assert [parts for _, parts in merged(pieces, 4)] == [[0], [1, 2], [3]]
    assert [parts for _, parts in merged(pieces, 5, most=15)] == [[0, 1], [2], [3]]


def test_a_record_that_was_taken_before_leads_nowhere_once_its_target_is_forgotten(tmp_path, home):
    out, _, _ = taken_by_server(tmp_path, home)
    shutil.rmtree(out.path / "outcomes")
    forgotten.record(tmp_path, [forgotten.request("c.test")], "asked by mail")
    with serving(home) as (port, log):
        take(*settings(port), Directory(tmp_path / "links-0"), out, silent)
    row = outcomes(out)["http://a.test/old?a=2&b=1&utm_source=feed"]
    assert row["dropped_by"] == "commoncrawl.forgotten"
    assert "c.test" not in str([row["redirects"], row["final_url"]])
    assert log.ranges(r"\.warc\.gz") == []


def test_a_redirect_may_name_a_part_of_a_page_and_letters_beyond_ascii(tmp_path, home):
    """As UTF-8, which HTTP does not allow and browsers follow."""
    out, _, _ = taken_by_server(tmp_path, home, links=[("http://f.test/", "20140401")])
    assert texts(out) == {"http://f.test/": text_of("coffee")}
    assert outcomes(out)["http://f.test/"]["final_url"] == "http://e.test/%C3%A0?utm_id=1"


def test_a_target_in_letters_beyond_ascii_can_be_forgotten(tmp_path, home):
    forgotten.record(tmp_path, [forgotten.request("http://e.test/%C3%A0")], "asked by mail")
    out, passage, _ = taken_by_server(tmp_path, home, links=[("http://f.test/", "20140401")])
    assert dict(passage.dropped) == {"commoncrawl.forgotten": 1}
    assert not any(b"e.test" in path.read_bytes() for path in out.path.rglob("*") if path.is_file())
