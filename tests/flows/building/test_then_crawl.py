"""Pages out of Common Crawl first, and then a live crawl of what it does not have."""

import json
from contextlib import contextmanager

import pytest

from tests.loopback import Quiet, listening
from tests.pipeline.crawl.commoncrawl.common_crawl import HTML, indexed, text_of, written
from webtext.flows.building.settings import load
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories.data_directory import newest
from webtext.pipeline.core.shards import read_shard
from webtext.pipeline.insight.verification import verify

CRAWL, DAY = "CC-MAIN-2016-07", "20160220"
ARCHIVED = [
    ("http://a.test/kept", DAY, 200, HTML, text_of("archived"), ()),
    ("http://a.test/old", DAY, 301, HTML, b"", (("Location", "http://b.test/new"),)),
    ("http://b.test/new", DAY, 200, HTML, text_of("moved"), ()),
    ("http://b.test/gone", DAY, 404, HTML, b"gone", ()),
    ("http://b.test/empty", DAY, 200, HTML, b"", ()),
]
URLS = [
    "http://a.test/kept", "http://a.test/old", "http://b.test/gone", "http://b.test/empty",
    "http://c.test/live", "http://c.test/dead",
]  # fmt: skip


@contextmanager
def live():
    """Serve a page at every address that is not dead; give the port, and what was asked for."""
    asked = []

    class Handler(Quiet):
        def do_GET(self):  # noqa: N802 -- as the library calls it
            url = f"http://{self.headers['Host']}{self.path}"
            missing = self.path in {"/dead", "/robots.txt"} or "well-known" in self.path
            if not missing or self.path == "/dead":
                asked.append(url)
            body = b"" if missing else text_of(f"live {self.path}")
            self.answer(404 if missing else 200, body, {"Content-Type": HTML})

    with listening(Handler) as port:
        yield port, asked


@pytest.fixture
def recipe(tmp_path):
    """The shipped recipe, with one crawl that lies in a folder, and links of some sites."""
    home = tmp_path / "cc"
    written(home / f"crawl-data/{CRAWL}/segments/1/warc/{CRAWL}-00000.warc.gz", ARCHIVED)
    indexed(home, CRAWL)
    dump = tmp_path / "RS.jsonl"
    rows = [
        {"id": f"{n:x}", "url": u, "score": 9, "created_utc": 1456000000}
        for n, u in enumerate(URLS)
    ]
    dump.write_text("\n".join(map(json.dumps, rows)))

    def of(port, *more):
        return load(
            "commoncrawl",
            [
                f"links.sources = ['{dump}']",
                "links.shards = 2",
                "links.shard_records = 1",
                f"commoncrawl.crawls = ['{CRAWL}']",
                f"commoncrawl.prefix = '{home}'",
                f"crawl.connect_to = ['*:80:127.0.0.1:{port}']",
                "crawl.allow_private = true",
                "crawl.contact = 'https://example.org/tests'",
                "crawl.delay = 0.01",
                "crawl.attempts = 1",
                *more,
            ],
        )

    return of


def bodies(pages):
    return {
        row["url"]: row["body"]
        for number in pages.numbers("outcomes")
        for batch in page_batches(pages, number)
        for row in batch.to_pylist()
    }


def test_only_what_the_archive_does_not_have_is_asked_for(recipe, tmp_path):
    data = tmp_path / "data"
    with live() as (port, asked):
        build = Build(recipe(port), data)
        build.run("pages", workers=0)
        assert sorted(asked) == [f"http://{u}" for u in ("b.test/empty", "b.test/gone",
                                                         "c.test/dead", "c.test/live")]  # fmt: skip
        build.run("pages", workers=0)
        assert len(asked) == 4
    pages = newest(data)["pages"]
    assert bodies(pages) == {
        "http://a.test/kept": text_of("archived"),
        "http://a.test/old": text_of("moved"),
        "http://b.test/empty": text_of("live /empty"),
        "http://b.test/gone": text_of("live /gone"),
        "http://c.test/live": text_of("live /live"),
    }
    rows = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert {row["url"]: row["dropped_by"] for row in rows if row["dropped_by"]} == {
        "http://c.test/dead": "crawl.http_4xx"
    }
    moved = next(row for row in rows if row["url"] == "http://a.test/old")
    assert moved["redirects"] == ["http://a.test/old"]
    assert moved["final_url"] == "http://b.test/new"
    funnel = build.funnel()
    assert funnel["stages"][-1] | {"dropped": 0} == {
        "stage": "crawl", "read": 6, "kept": 5, "dropped": 0,
    }  # fmt: skip
    assert build.follow("http://a.test/kept").fate == "kept"
    assert list(verify(data)) == []
    assert build.unreached([], []) == []


def test_without_it_the_directories_have_the_names_that_they_had(recipe, tmp_path):
    alone = recipe(9, "commoncrawl.then_crawl = false")
    both = recipe(9)
    (links, pages) = Build(alone, tmp_path).plan("pages")
    (_, first, then) = Build(both, tmp_path).plan("pages")
    assert first.home == pages.home
    assert then.read.keys() == {"links", "commoncrawl"}
    live_alone = recipe(9, "commoncrawl.crawls = []")
    (_, crawled) = Build(live_alone, tmp_path).plan("pages")
    assert crawled.read.keys() == {"links"}
    assert links.home == first.read["links"]
