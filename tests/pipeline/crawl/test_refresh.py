"""Pages that are asked for again: what has not changed stays where it was archived."""

import asyncio
import contextlib
import io
import json
import queue
import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from tests.pipeline.crawl.fakes import links
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.replaying.recorded import Archive
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.settings import Crawl

DATE = "Fri, 14 Jul 2017 02:40:00 GMT"
PATHS = ("tagged", "dated", "plain", "stubborn", "changed", "gone", "liar", "moved", "noai")


@dataclass
class Host:
    """A server whose pages may change between two crawls."""

    later: bool = False
    port: int = 0
    heard: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    sent: Counter[int] = field(default_factory=Counter)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = request.headers
        name = request.path.strip("/")
        self.heard.append((name, asked.get("If-None-Match"), asked.get("If-Modified-Since")))
        found = self.page(name, asked.get("If-None-Match"), asked.get("If-Modified-Since"))
        self.sent[found.status] += 1
        return found

    def page(self, name: str, tag: str | None, since: str | None) -> web.Response:
        body = f"<html><p>{name} as it was"
        fields = {}
        if name == "robots.txt" or (name == "gone" and self.later):
            return web.Response(status=404)
        if name == "moved":
            return web.Response(status=302, headers={"Location": "/target"})
        if name in ("tagged", "target", "noai", "stubborn"):
            fields["ETag"] = f'"{name}"'
        if name == "dated":
            fields["Last-Modified"] = DATE
        if name == "changed":
            body += " not" * self.later
            fields["ETag"] = f'"{self.later}"'
        if name == "noai" and self.later:
            fields["X-Robots-Tag"] = "noai"
        same = (tag and tag == fields.get("ETag")) or (since and name == "dated")
        if (same and name != "stubborn") or (name == "liar" and self.later):
            return web.Response(status=304, headers=fields)
        return web.Response(text=body, content_type="text/html", charset="utf-8", headers=fields)


@pytest.fixture
def host():
    """Serve on loopback, from another thread, since a crawl has a loop of its own."""
    served, loop, stopped = Host(), asyncio.new_event_loop(), asyncio.Event()

    async def serve(ready):
        handler = web.Server(served.answer)
        async with await loop.create_server(handler, "127.0.0.1", 0) as server:
            ready.put(server.sockets[0].getsockname()[1])
            await stopped.wait()
        await handler.shutdown()

    ready = queue.Queue()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(ready),))
    thread.start()
    served.port = ready.get(timeout=10)
    yield served
    loop.call_soon_threadsafe(stopped.set)
    thread.join()
    loop.close()


def settings(host, **changes) -> Crawl:
    quick = {"delay": 0, "delay_per_ip": 0, "latency_factor": 0, "backoff": 0, "attempts": 1}
    there = (f"*:80:127.0.0.1:{host.port}",)
    return Crawl(**{"contact": "test", "connect_to": there, **quick, **changes})


def crawled(tmp_path, host, name, earlier=None, make=Fetcher, **changes) -> Directory:
    urls = [f"http://host.test/{path}" for path in PATHS]
    made = Directory(tmp_path / "links")
    if not made.path.exists():
        links(made.path, urls[:5], [url.replace("host", "other") for url in urls[5:]])
    out = Directory(tmp_path / name)
    out.path.mkdir(exist_ok=True)
    crawl(settings(host, **changes), made, out, 1, lambda *_: None, make, earlier)
    return out


def rows(pages) -> dict[str, dict]:
    found = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    told = {row["url"].rsplit("/", 1)[1]: row for row in found}
    assert list(told) == list(PATHS)
    return told


def contents(pages) -> list[dict]:
    return [row for n in pages.numbers("outcomes") for b in page_batches(pages, n)
            for row in b.to_pylist()]  # fmt: skip


def records(pages):
    """Return what an independent reader makes of the files: kind, headers, head, block."""
    for path in sorted(pages.path.glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                yield record, record.content_stream().read()


@pytest.fixture
def twice(tmp_path, host):
    first = crawled(tmp_path, host, "pages-a")
    assert {row["dropped_by"] for row in rows(first).values()} == {None}
    host.heard.clear()
    host.sent.clear()
    host.later = True
    return first, crawled(tmp_path, host, "pages-b", first)


def test_only_what_changed_is_sent_again(twice, host):
    asked = {name: (tag, since) for name, tag, since in host.heard}
    assert asked["tagged"] == ('"tagged"', None)
    assert asked["dated"] == (None, DATE)
    assert asked["plain"] == (None, None)
    assert asked["moved"] == (None, None)  # it is where it led to that may be as it was
    assert asked["target"] == ('"target"', None)
    assert host.sent[200] == 3


def test_the_outcome_says_what_has_not_changed(twice):
    first, second = map(rows, twice)
    told = {
        name: (row["dropped_by"], row["status"], row["revisit"]) for name, row in second.items()
    }
    assert told == {
        "tagged": (None, 304, "server-not-modified"),
        "dated": (None, 304, "server-not-modified"),
        "plain": (None, 200, "identical-payload-digest"),
        "stubborn": (None, 200, "identical-payload-digest"),
        "changed": (None, 200, None),
        "gone": ("crawl.http_4xx", 404, None),
        "liar": ("crawl.http_other", 304, None),
        "moved": (None, 304, "server-not-modified"),
        "noai": ("crawl.opted_out", 304, None),
    }
    assert second["tagged"]["digest"] == first["tagged"]["digest"]
    assert second["tagged"]["etag"] == '"tagged"'
    assert second["tagged"]["payload_file"] == "../pages-a/00000.warc.gz"
    assert second["tagged"]["payload_offset"] == first["tagged"]["warc_offset"]
    assert second["dated"]["content_type"] == "text/html; charset=utf-8"


def test_a_page_that_has_not_changed_is_a_revisit_record_that_leads_to_its_payload(twice):
    first, second = twice
    known = {}
    for record, block in records(first):
        fields = record.rec_headers
        known[fields.get_header("WARC-Target-URI"), fields.get_header("WARC-Date")] = (
            record.rec_type, fields.get_header("WARC-Record-ID"), block,
            fields.get_header("WARC-Payload-Digest"),
        ) if record.rec_type == "response" else known.get(
            (fields.get_header("WARC-Target-URI"), fields.get_header("WARC-Date")))  # fmt: skip
    seen = 0
    for record, block in records(second):
        if record.rec_type != "revisit":
            continue
        seen += 1
        fields = record.rec_headers
        names = ("Target-URI", "Date", "")
        uri, date, identity = (
            fields.get_header(f"WARC-Refers-To-{name}".rstrip("-")) for name in names
        )
        kind, refers, _, digest = known[uri, date]
        assert (kind, refers) == ("response", identity)
        assert digest == fields.get_header("WARC-Payload-Digest")
        profile = fields.get_header("WARC-Profile")
        assert profile.startswith("http://netpreserve.org/warc/1.1/revisit/")
        status = "304" if profile.endswith("server-not-modified") else "200"
        assert record.http_headers.get_statuscode() == status
        assert block == b""
    assert seen == 5
    for pages in twice:
        for path in pages.path.glob("*.warc.gz"):
            options = type("Options", (), {"inputs": [str(path)], "verbose": False})
            checker = Checker(options)
            with contextlib.redirect_stdout(io.StringIO()):
                checker.process_all()
            assert checker.exit_value == 0


def test_the_index_calls_a_revisit_one(twice):
    lines = (twice[1].path / "index.cdxj").read_text().splitlines()
    mimes = Counter(json.loads(line.split(" ", 2)[2])["mime"] for line in lines)
    assert mimes == {"warc/revisit": 5, "text/html": 1}


def test_refreshed_pages_are_what_a_new_crawl_would_have_brought(tmp_path, twice, host):
    """The law of `refresh`, but for a host that answers 304 where nobody asked for one."""
    anew = crawled(tmp_path, host, "pages-new")
    assert contents(twice[1]) == contents(anew)
    assert len(contents(anew)) == 6
    fates = [{name: row["dropped_by"] for name, row in rows(p).items()} for p in (twice[1], anew)]
    assert fates[0] == fates[1]


def test_a_refresh_of_a_refresh_leads_to_the_first_payload(tmp_path, twice, host):
    third = crawled(tmp_path, host, "pages-c", twice[1])
    told = rows(third)
    assert told["tagged"]["payload_file"] == "../pages-a/00000.warc.gz"
    assert told["changed"]["payload_file"] == "../pages-b/00000.warc.gz"
    assert contents(third) == contents(twice[1])


def test_a_setting_that_changed_is_asked_of_a_page_that_did_not(tmp_path, twice, host):
    third = crawled(tmp_path, host, "pages-c", twice[0], max_body=5)
    assert {rows(third)[name]["dropped_by"] for name in ("tagged", "plain")} == {"crawl.too_large"}


def test_a_refresh_that_breaks_off_goes_on(tmp_path, twice, host):
    class Breaks(Fetcher):
        left = 4

        async def fetch(self, url, earlier=None):
            Breaks.left -= 1
            if not Breaks.left:
                raise ZeroDivisionError
            return await super().fetch(url, earlier)

    with pytest.raises(ZeroDivisionError):
        crawled(tmp_path, host, "pages-c", twice[0], make=Breaks)
    third = crawled(tmp_path, host, "pages-c", twice[0])
    assert contents(third) == contents(twice[1])
    kinds = Counter(record.rec_type for record, _ in records(third))
    assert (kinds["revisit"], kinds["response"]) == (5, 1)


def test_pages_that_are_too_old_are_asked_for_as_in_a_refresh(tmp_path, host, twice):
    first = twice[0]
    host.heard.clear()
    third = crawled(tmp_path, host, "pages-c", refresh_after=0.0)
    asked = {name: (tag, since) for name, tag, since in host.heard}
    assert asked["tagged"] == ('"tagged"', None)
    told = rows(third)["tagged"]
    assert told["revisit"] == "server-not-modified"
    assert told["payload_file"] == f"../{first.path.name}/00000.warc.gz"
    assert contents(third) == contents(twice[1])
    host.heard.clear()
    crawled(tmp_path, host, "pages-d", refresh_after=1.0)
    assert host.heard == []


def test_an_archive_that_is_gone_is_said(tmp_path, twice, host):
    next(twice[0].path.glob("00000.warc.gz")).unlink()
    with pytest.raises(UserError, match=r"pages-a.00000\.warc\.gz"):
        crawled(tmp_path, host, "pages-c", twice[0])


def test_both_archives_together_can_be_replayed(twice):
    files = [path for pages in reversed(twice) for path in sorted(pages.path.glob("*.warc.gz"))]
    archive = Archive(files)
    told = {name: archive.find("http", "host.test", f"/{name}") for name in ("tagged", "changed")}
    archive.close()
    assert told["tagged"][1] == b"<html><p>tagged as it was"
    assert told["changed"][1] == b"<html><p>changed as it was not"
