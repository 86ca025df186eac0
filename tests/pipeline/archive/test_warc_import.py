import gzip
import hashlib
from dataclasses import asdict
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from tests.pipeline import warcfile
from tests.pipeline.warcfile import PAGE as HTML
from tests.pipeline.warcfile import http, members, record, site, write
from webtext.pipeline.archive.replaying.page_bodies import page_batches, page_count
from webtext.pipeline.archive.step import fetched, stage_of
from webtext.pipeline.archive.warc_import import REASONS, ImportWarc, import_warc
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.records import LINK, OUTCOME, PAGE
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.core.stage import Passage, fates
from webtext.pipeline.urls import forgotten, urls
from webtext.pipeline.urls.exclusions import Exclusions


def imported(tmp_path, sources, links=None, workers=0, name="pages-0", barred=None, **settings):
    """Import files; return the directory and the line of the funnel."""
    out = Directory(tmp_path / name)
    (passage,) = import_warc(ImportWarc(**settings), sources, links, out, workers, silent, barred)
    return out, passage


def rows(out, number=0):
    return pq.read_table(out.shard(number, under="outcomes")).to_pylist()


def fate_of(tmp_path, stored, **settings):
    """Import one record, as bytes of a file; return what became of it."""
    path = tmp_path / "one.warc"
    path.write_bytes(stored)
    out, _ = imported(tmp_path, [path], **settings)
    (row,) = rows(out)
    return row["dropped_by"], row["dropped_value"]


def linked(tmp_path, found):
    """Write a links directory of (url, [(score, subreddit, created), ...])."""
    links = Directory(tmp_path / "links-0")
    for number, part in enumerate((found[::2], found[1::2])):
        table = [
            {
                "id": urls.url_id(url),
                "url": url,
                "domain": urls.domain(url),
                "score": max((score for score, _, _ in submissions), default=None),
                "submissions": [
                    {"score": score, "subreddit": subreddit, "created": created}
                    for score, subreddit, created in submissions
                ],
            }
            for url, submissions in part
        ]
        batch = LINK.empty_table().from_pylist(table, LINK)
        write_parquet(links.shard(number), [batch], LINK)
    return links


def digests(out):
    files = sorted(path for path in out.path.rglob("*") if path.is_file())
    return {str(path.relative_to(out.path)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files}  # fmt: skip


def test_a_page_is_kept_with_all_that_is_known_of_it(tmp_path):
    stored = record("http://www.News.example.co.uk/a?b", WARC_IP_Address="192.0.2.7")
    path = write(tmp_path / "a.warc.gz", members([stored]))
    out, passage = imported(tmp_path, [path])
    (row,) = rows(out)
    assert row == dict.fromkeys(OUTCOME.names) | {
        "id": urls.url_id("http://news.example.co.uk/a?b"),
        "url": "http://www.news.example.co.uk/a?b",
        "domain": "example.co.uk",
        "final_url": "http://www.News.example.co.uk/a?b",
        "redirects": [],
        "status": 200,
        "content_type": "text/html; charset=utf-8",
        "ip": "192.0.2.7",
        "started": datetime(2017, 3, 4, 5, 6, 7, tzinfo=UTC),
        "body_bytes": len(HTML),
        "warc_file": str(path),
        "warc_offset": 0,
        "warc_length": path.stat().st_size,
    }
    assert (passage.stage, passage.read, passage.kept, passage.dropped) == ("pages", 1, 1, {})
    assert [*fetched(row)][-1] == f"{path} at byte 0"
    assert [*fetched(row | {"warc_offset": None})][-1] == str(path)  # compressed as a whole


URL = "http://h.test/"
FATES = {
    "pages.http_status": (record(URL, http(status="404 Not Found")), 404),
    "pages.not_html": (record(URL, http(headers={"Content-Type": "image/png"})), None),
    "pages.empty": (record(URL, http(b"")), None),
    "pages.too_large": (record(URL, http(b"x" * 5000)), 1000),
    "pages.not_http": (record(URL, b"<p>"), None),
    "pages.bad_encoding": (
        record(URL, http(b"\x1f\x8b\x08zzzzzzzzzzzz", headers={"Content-Encoding": "gzip",
               "Content-Type": "text/html"})), None),
    "pages.bad_url": (record("ftp://h.test/"), None),
    "pages.url_too_long": (record(URL + "a" * 200), 214),
    "pages.domain": (record("http://en.m.Wiki.test/tea"), None),
    "pages.extension": (record(URL + "film.MP4?page=1"), None),
    "pages.torn": (record(URL)[:-30], None),
    "pages.damaged": (b"WARC/1.1 nonsense", None),
    "pages.revisit": (record(URL, http(b""), kind="revisit"), None),
    "pages.conversion": (record(URL, b"words", kind="conversion"), None),
    "pages.other_record": (record(URL, b"words", kind="continuation"), None),
}  # fmt: skip


@pytest.mark.parametrize("reason", FATES)
def test_what_is_no_page_to_keep_has_its_reason(tmp_path, reason):
    stored, value = FATES[reason]
    barred = Exclusions(exclude_domains=("wiki.test",), max_url_length=200)
    assert fate_of(tmp_path, stored, max_body=1000, barred=barred) == (reason, value)


def test_an_excluded_page_goes_even_if_its_payload_is_told_elsewhere(tmp_path):
    """A revisit record is given the payload of an earlier one, but not another address."""
    url = "http://wiki.test/tea"
    again = record(url, http(b""), kind="revisit", WARC_Refers_To_Target_URI=url)
    path = write(
        tmp_path / "a.warc.gz", members([record(url), again, record("http://mywiki.test/")])
    )
    out, passage = imported(tmp_path, [path], barred=Exclusions(("*.wiki.test",)))
    assert [row["dropped_by"] for row in rows(out)] == [
        "pages.domain", "pages.duplicate_url", None]  # fmt: skip
    assert passage.dropped == {"pages.domain": 1, "pages.duplicate_url": 1}


def test_a_forgotten_record_is_counted_and_tells_of_nobody(tmp_path):
    forgotten.record(tmp_path, [forgotten.request("h.test")], "asked by mail")
    stored = [record("http://www.h.test/secret"), record("http://other.test/")]
    out, passage = imported(tmp_path, [write(tmp_path / "a.warc.gz", members(stored))])
    assert passage.dropped == {"pages.forgotten": 1}
    assert [row["url"] for row in rows(out)] == [None, "http://other.test/"]
    assert not any(b"h.test/s" in path.read_bytes() for path in out.path.rglob("*.parquet"))


def test_every_reason_is_listed_and_every_listed_one_is_tested():
    compared = {"pages.duplicate_url", "pages.not_linked", "pages.not_in_warc", "pages.forgotten"}
    assert set(FATES) | compared == set(REASONS)


@pytest.mark.parametrize(
    ("fields", "body", "kept"),
    [
        ({"Content-Type": "TEXT/HTML;charset=x"}, b"x", True),
        ({"Content-Type": "application/xhtml+xml"}, b"x", True),
        ({"Content-Type": "text/plain"}, b"<html>", False),
        ({}, b"\n <!DOCTYPE html>", True),
        ({}, b"%PDF-1.4", False),
    ],
)
def test_the_content_type_decides_or_else_the_first_bytes(tmp_path, fields, body, kept):
    reason, _ = fate_of(tmp_path, record(URL, http(body, headers=fields)))
    assert reason == (None if kept else "pages.not_html")


def test_a_resource_of_html_is_a_page(tmp_path):
    assert fate_of(tmp_path, record(URL, HTML, "resource")) == (None, None)


def test_the_first_good_record_of_a_url_stands_and_the_others_are_duplicates(tmp_path):
    first = write(
        tmp_path / "1.warc",
        [
            record("http://h.test/a", http(status="301 Moved")),
            record("https://www.h.test/a#top", http(b"<p>first")),
            record("http://h.test/b", http(status="500 Oops")),
        ],
    )
    second = write(
        tmp_path / "2.warc",
        [
            record("http://h.test/a", http(b"<p>second")),
            record("http://h.test/b", http(status="404")),
        ],
    )
    out, passage = imported(tmp_path, [second, first, first])
    assert [row["dropped_by"] for row in rows(out, 0)] == [
        "pages.duplicate_url", None, "pages.http_status"]  # fmt: skip
    assert [row["dropped_by"] for row in rows(out, 1)] == ["pages.duplicate_url"] * 2
    assert rows(out, 0)[0]["dropped_value"] is None
    assert passage.dropped == {"pages.duplicate_url": 3, "pages.http_status": 1}


def links_and_files(tmp_path):
    """Return links, and WARC files that hold some of their pages and some others."""
    day = [datetime(2017, 1, n, tzinfo=UTC) for n in range(1, 9)]
    links = linked(
        tmp_path,
        [
            ("https://www.h.test/0", [(3, "pics", day[4]), (7, "news", day[3]), (7, "x", day[2])]),
            ("http://h.test/1", [(5, "news", day[1])]),
            ("http://h.test/gone", [(None, None, None)]),
            ("http://h.test/nowhere", [(9, "news", day[1])]),
            ("http://elsewhere.test/", []),
        ],
    )
    first = write(
        tmp_path / "a.warc.gz",
        members([*site(3), record("http://h.test/gone", http(status="410 Gone"))]),
    )
    junk = [b"junk", record("ftp://h.test/"), record("http://h.test/2", http(status="404"))]
    second = write(tmp_path / "b.warc", [*site(2), *junk])
    return links, [first, second]


@pytest.mark.parametrize("done", [["pages"], ["crawl"], ["commoncrawl", "crawl"]])
def test_a_trace_calls_the_stage_as_the_funnel_does(tmp_path, done):
    pages = Directory(tmp_path)
    pages.finish({"passages": [asdict(Passage(stage, 1, 1, {})) for stage in done]})
    assert stage_of(pages, None) == done[-1]
    assert stage_of(pages, "crawl.http_4xx") == "crawl"


def test_links_decide_what_is_kept_and_give_it_their_score(tmp_path):
    links, files = links_and_files(tmp_path)
    out, _ = imported(tmp_path, files, links)
    kept = [row for row in rows(out) if row["dropped_by"] is None]
    picked = [(row["url"], row["final_url"], row["score"], row["subreddit"]) for row in kept]
    assert picked == [
        ("https://www.h.test/0", "http://h.test/0", 7, "news"),
        ("http://h.test/1", "http://h.test/1", 5, "news"),
    ]
    assert kept[0]["linked"] == datetime(2017, 1, 3, tzinfo=UTC)
    others = [row for row in rows(out, 0) + rows(out, 1) if row["dropped_by"] is not None]
    assert [row["url"] for row in others if row["linked"] or row["score"]] == []


def test_every_link_ends_in_exactly_one_row(tmp_path):
    links, files = links_and_files(tmp_path)
    out, passage = imported(tmp_path, files, links)
    assert passage.read == 5
    assert passage.kept == 2
    assert passage.dropped == {"pages.not_in_warc": 2, "pages.http_status": 1}
    assert [row["url"] for row in rows(out, 2)] == [
        "http://elsewhere.test/", "http://h.test/nowhere"]  # fmt: skip
    assert fates(out.shards("outcomes")) == {
        "kept": 2, "pages.duplicate_url": 2, "pages.not_in_warc": 2, "pages.not_linked": 2,
        "pages.bad_url": 1, "pages.damaged": 1, "pages.http_status": 1,
    }  # fmt: skip


def test_without_links_every_record_is_accounted_for(tmp_path):
    _, files = links_and_files(tmp_path)
    out, passage = imported(tmp_path, files)
    assert passage.read == 4 + 5
    assert passage.read == sum(fates(out.shards("outcomes")).values())
    assert out.numbers("outcomes") == [0, 1]


def test_workers_and_kills_change_no_byte(tmp_path):
    links, files = links_and_files(tmp_path)
    whole, passage = imported(tmp_path, files, links)
    again, same = imported(tmp_path, files, links, workers=2, name="pages-1")
    assert digests(again) == digests(whole)
    assert same == passage
    # Killed after the first file was looked through, and after the first outcomes were written.
    again.shard(1, under="outcomes").unlink()
    import_warc(ImportWarc(), files, links, again, 0, silent)
    assert digests(again) == digests(whole)


def test_a_finished_import_reads_no_file_again(tmp_path):
    files = [write(tmp_path / "a.warc", site(3))]
    out, passage = imported(tmp_path, files)
    before = digests(out)
    files[0].unlink()
    assert imported(tmp_path, files) == (out, passage)
    assert digests(out) == before


def test_a_file_that_ends_the_import_is_named(tmp_path):
    good = write(tmp_path / "a.warc", site(1))
    bad = tmp_path / "b.warc"
    bad.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"b\.warc: begins with"):
        imported(tmp_path, [good, bad])


def test_no_files_and_no_room_for_a_body_are_mistakes(tmp_path):
    with pytest.raises(UserError, match=r"pages\.warc: names no file"):
        imported(tmp_path, [])
    with pytest.raises(UserError, match="max_body: found 0, wanted 1"):
        ImportWarc(max_body=0)


PACKINGS = {
    "by offset": lambda records: b"".join(members(records)),
    "in turn": lambda records: gzip.compress(b"".join(records)),
    "in turn, members cut anywhere": warcfile.cut_anywhere,
    "in turn, zstd": lambda records: warcfile.compressed(b"".join(records)),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_page_batches_give_the_kept_rows_in_order_with_their_bodies(tmp_path, packing):
    records = site(7)
    records[2] = record("http://h.test/2", http(status="404"))
    records[4:4] = [record("http://h.test/4", b"GET /", "request"), record("http://h.test/3")]
    packed = http(gzip.compress(HTML), headers={"Content-Encoding": "gzip",
                  "Content-Type": "text/html"})  # fmt: skip
    records.append(record("http://h.test/7", packed))
    path = write(tmp_path / "a.warc", records, PACKINGS[packing])
    out, _ = imported(tmp_path, [path])
    batches = list(page_batches(out, 0, rows=3))
    assert [batch.num_rows for batch in batches] == [3, 3, 1]
    assert {batch.schema for batch in batches} == {PAGE}
    pages = [row for batch in batches for row in batch.to_pylist()]
    assert [page["url"] for page in pages] == [f"http://h.test/{n}" for n in (0, 1, 3, 4, 5, 6, 7)]
    assert [page["body"] for page in pages] == [
        *(HTML + b"<p>%d</p>" % n for n in (0, 1, 3, 4, 5, 6)), HTML]  # fmt: skip
    assert page_count(out, 0) == 7


def test_batches_are_bounded_in_bytes_but_hold_a_page_at_least(tmp_path):
    path = write(tmp_path / "a.warc", site(5, b"x" * 1000))
    out, _ = imported(tmp_path, [path])
    sizes = [batch.num_rows for batch in page_batches(out, 0, max_bytes=2100)]
    assert sizes == [2, 2, 1]
    assert [batch.num_rows for batch in page_batches(out, 0, max_bytes=1)] == [1] * 5


def test_a_shard_without_pages_has_no_batches(tmp_path):
    path = write(tmp_path / "a.warc", [record(URL, http(status="404"))])
    out, _ = imported(tmp_path, [path])
    assert list(page_batches(out, 0)) == []
    assert page_count(out, 0) == 0


def test_crawled_files_are_found_beside_the_outcomes(tmp_path):
    path = write(tmp_path / "00000.warc.gz", members(site(2)))
    out, _ = imported(tmp_path, [path])
    table = pq.read_table(out.shard(0, under="outcomes"))
    moved = [row | {"warc_file": path.name} for row in reversed(table.to_pylist())]
    write_parquet(out.shard(0, under="outcomes"), [table.from_pylist(moved, OUTCOME)], OUTCOME)
    path.rename(out.path / path.name)
    (batch,) = page_batches(out, 0)
    assert batch["url"].to_pylist() == ["http://h.test/1", "http://h.test/0"]
    assert batch["body"].to_pylist() == [HTML + b"<p>1</p>", HTML + b"<p>0</p>"]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_file_that_changed_since_is_named(tmp_path, packing):
    path = write(tmp_path / "a.warc", site(3), PACKINGS[packing])
    out, _ = imported(tmp_path, [path])
    write(path, site(3, host="i.test"), PACKINGS[packing])
    with pytest.raises(UserError, match=r"a\.warc: wanted http://h\.test/0 .*put the one"):
        list(page_batches(out, 0))
    path.unlink()
    with pytest.raises(UserError, match=r"a\.warc: No such file"):
        list(page_batches(out, 0))


def test_the_miniweb_is_imported_in_full(real, tmp_path):
    sources = sorted((real / "miniweb").glob("*.warc.*"))
    out, passage = imported(tmp_path, sources)
    if len(sources) > 1:
        assert passage.read == 24 + 17 + 460 + 6343
        assert passage.dropped == {
            "pages.not_html": 409, "pages.bad_url": 4, "pages.duplicate_url": 4}  # fmt: skip
    else:  # the samples
        assert passage.read == 121 + 9
        assert passage.dropped == {"pages.not_html": 9}
    assert sum(page_count(out, number) for number in out.numbers("outcomes")) == passage.kept


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("203 Non-Authoritative Information", None),
        ("203", None),
        ("206 Partial Content", "pages.http_status"),
        ("2000 OK", "pages.http_status"),
    ],
)
def test_a_page_that_a_proxy_changed_is_one_as_in_a_crawl(tmp_path, status, reason):
    stored = record(URL, http(status=status))
    assert fate_of(tmp_path, stored)[0] == reason


def test_files_without_any_page_are_told(tmp_path, caplog):
    (tmp_path / "a.warc").write_bytes(b"")
    write(tmp_path / "b.warc", [record(URL, b"software: x", "warcinfo")])
    imported(tmp_path, [tmp_path / "a.warc", tmp_path / "b.warc"])
    assert "pages.warc: no record that may be a page in 2 files, such as" in caplog.text
