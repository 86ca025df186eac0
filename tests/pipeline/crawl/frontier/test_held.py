"""A page that some crawl of the data directory holds is fetched by no other one again."""

import shutil
from dataclasses import asdict, replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tests.pipeline.crawl.fakes import EAGER, FakeWeb, dying, failure, links, page, unsteady
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc
from webtext.pipeline.build import Build, make
from webtext.pipeline.core.directories.keeping import DAMAGED, noted_references, set_aside
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.records import LINK_DROPPED
from webtext.pipeline.core.shards import read_shard, write_json, write_parquet
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.crawl import sink
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import held
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.step import STEP
from webtext.pipeline.insight.unreached import unreached
from webtext.pipeline.insight.verification import verify

BUSY = replace(EAGER, hosts_in_flight=5)
FEW = [
    [f"http://h{i}.test/{j}" for i in range(s, 18, 3) for j in range(1 + i % 4)] for s in range(3)
]
ONE = ["http://a.test/1", "http://a.test/2", "http://b.test/1", "http://c.test/1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)


def crawled(data, name, urls, web, settings=BUSY):
    """Crawl a list of this name as a step of a build; return the pages directory."""
    made = links(data / f"links-{name}", *urls)
    if not made.whole:
        count = sum(map(len, urls))  # each with two submissions
        write_json(made.path / "sources.json", [{"source": "dump", "records": 2 * count}])
        merged = Passage("links", 2 * count, count, {"links.duplicate": count})
        told = {"stage": "links", "stages": {}, "inputs": {}, "passages": [asdict(merged)]}
        for number in made.numbers():
            write_parquet(made.shard(number, under="dropped"), [], LINK_DROPPED)
        made.finish(told)

    def work(one, *_):
        return crawl(settings, made, one.home, fetcher=web)

    build = Build(
        SimpleNamespace(crawl=settings, pages=ImportWarc()), data, (replace(STEP, work=work),)
    )
    planned = build.planned(build.steps[0], {"links": made})
    if not planned.done:
        make(planned, 1, silent)
    assert planned.done
    return planned.home


def rows(pages):
    found = [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]
    return {row["url"]: row for row in found}


def asked(web):
    return sorted(url for _, url in web.asked)


def bodies(pages):
    batches = [b for n in pages.numbers("outcomes") for b in page_batches(pages, n)]
    return {row["id"]: row["body"] for b in batches for row in b.to_pylist()}


def files(data):
    return {path: path.read_bytes() for path in data.glob("pages-*/*.warc.gz")}


def other_name(urls, _):
    return urls, BUSY


def other_shards(urls, _):
    every = [url for shard in urls for url in shard]
    hosts = sorted({url.split("/")[2] for url in every})
    return [[u for u in every if u.split("/")[2] in hosts[n::5]] for n in range(5)], BUSY


def excluded(urls, _):
    return [[url for url in shard if "h7." not in url] for shard in urls], BUSY


def other_agent(urls, _):
    return urls, replace(BUSY, user_agent="webtext/9.9 (another sentence, {contact})")


def other_product(urls, _):
    return urls, replace(BUSY, user_agent="somebody/1.0")


def more_patience(urls, _):
    return urls, replace(BUSY, timeout=5.0, attempts=9)


@pytest.mark.parametrize(
    "change", [other_name, other_shards, excluded, other_agent, other_product, more_patience]
)
def test_nothing_that_was_fetched_is_fetched_again(tmp_path, change):
    first = crawled(tmp_path, "first", FEW, FakeWeb(lambda url, _: page(url, url.encode() * 9)))
    held = files(tmp_path)
    web = FakeWeb()
    urls, settings = change(FEW, None)
    second = crawled(tmp_path, "secnd", urls, web, settings)
    assert second.path != first.path
    assert web.asked == []
    assert files(tmp_path) == held
    found, known = rows(second), rows(first)
    assert list(found) == [url for shard in urls for url in shard]
    away = {"warc_file"}
    for url, row in found.items():
        assert {k: v for k, v in row.items() if k not in away} == {
            k: v for k, v in known[url].items() if k not in away
        }
        assert row["warc_file"] == f"../{first.name}/{known[url]['warc_file']}"
    assert bodies(second) == {i: body for i, body in bodies(first).items() if i in bodies(second)}
    assert len(bodies(second)) == len(found)


def test_a_list_that_grows_costs_what_is_new(tmp_path):
    crawled(tmp_path, "first", FEW, FakeWeb(unsteady))
    web = FakeWeb(unsteady)
    web.times.update({url: 1 for shard in FEW for url in shard})
    more = [[*shard, f"http://new{n}.test/"] for n, shard in enumerate(FEW)]
    second = crawled(tmp_path, "secnd", more, web)
    fresh = {f"http://new{n}.test/" for n in range(3)}
    assert fresh <= set(asked(web))
    again = set(asked(web)) - fresh
    assert all("h13." in url for url in again), "only failures that may pass are tried again"
    found = rows(second)
    assert [row["dropped_by"] for url, row in found.items() if sum(url.encode()) % 10 == 0]
    assert noted_references(second.path)
    assert [one for one in verify(tmp_path) if one.home != tmp_path] == []


@pytest.mark.parametrize(
    ("fate", "status", "again"),
    [
        ("crawl.http_4xx", 404, False),
        ("crawl.http_4xx", 408, True),
        ("crawl.http_5xx", 500, True),
        ("crawl.http_429", 429, True),
        ("crawl.wrong_type", 200, False),
        ("crawl.robots_denied", None, False),
        ("crawl.robots_unreachable", None, True),
        ("crawl.timeout", None, True),
        ("crawl.dns", None, True),
    ],
)
def test_a_final_failure_is_taken_over_and_one_that_may_pass_is_not(tmp_path, fate, status, again):
    crawled(tmp_path, "first", [ONE], FakeWeb(lambda url, _: failure(url, fate, status=status)))
    web = FakeWeb()
    second = crawled(tmp_path, "secnd", [ONE], web)
    assert asked(web) == (ONE if again else [])
    assert {row["dropped_by"] for row in rows(second).values()} == {None if again else fate}


def test_a_failure_belongs_to_the_spelling_and_a_page_to_the_key(tmp_path):
    one = ["http://a.test/", "http://b.test/"]
    other = ["https://www.a.test/?utm_source=x", "https://www.b.test/?utm_source=x"]

    def answer(url, _):
        return failure(url, "crawl.http_4xx", status=404) if "b.test" in url else page(url)

    crawled(tmp_path, "first", [one], FakeWeb(answer))
    web = FakeWeb()
    second = crawled(tmp_path, "secnd", [other], web)
    assert asked(web) == [other[1]]
    row = rows(second)[other[0]]
    assert (row["final_url"], row["dropped_by"]) == (one[0], None)
    assert len(bodies(second)) == 2


def laxer(**changes):
    return replace(BUSY, **changes)


@pytest.mark.parametrize(
    ("before", "now", "again"),
    [
        (laxer(respect_robots=False), BUSY, True),
        (BUSY, laxer(respect_robots=False), False),
        (laxer(enforce_opt_out=False), BUSY, True),
        (BUSY, laxer(enforce_opt_out=False), False),
        (BUSY, laxer(opt_out_files=True), True),
        (laxer(content_types=("text/html", "text/plain")), laxer(content_types=("text/html",)),
         True),
        (BUSY, laxer(content_types=(*BUSY.content_types, "text/plain")), False),
        (BUSY, laxer(max_body=5), True),
        (BUSY, laxer(max_body=50), False),
        (laxer(allow_private=True), BUSY, True),
        (laxer(ports=(80, 8080)), BUSY, True),
        (laxer(connect_to=("*:80:127.0.0.1:1",)), BUSY, True),
    ],
)  # fmt: skip
def test_a_stricter_crawl_uses_no_page_of_a_laxer_one(tmp_path, before, now, again):
    crawled(tmp_path, "first", [ONE], FakeWeb(), before)
    web = FakeWeb()
    crawled(tmp_path, "secnd", [ONE], web, now)
    assert asked(web) == (ONE if again else [])


def test_failures_by_other_settings_are_not_taken_over(tmp_path):
    denied = FakeWeb(lambda url, _: failure(url, "crawl.robots_denied"))
    crawled(tmp_path, "first", [ONE], denied)
    web = FakeWeb()
    crawled(tmp_path, "secnd", [ONE], web, replace(BUSY, user_agent="somebody/1.0"))
    assert asked(web) == ONE


def test_the_record_requested_last_is_taken(tmp_path):
    def at(day, answer):
        return lambda url, _: replace(answer(url), started=1_700_000_000.0 + 86_400 * day)

    crawled(tmp_path, "first", [ONE[:2]], FakeWeb(at(0, lambda url: page(url, b"<p>old"))))
    newer = FakeWeb(at(5, lambda url: page(url, b"<p>new")))
    strict = replace(BUSY, opt_out_files=True)
    crawled(tmp_path, "secnd", [ONE[:2]], newer, strict)
    third = crawled(tmp_path, "third", [ONE[:2], ONE[3:]], FakeWeb())
    assert sorted(bodies(third).values()) == [b"<p>new", b"<p>new", b"<p>text"]
    assert list(noted_references(third.path).values()) == [2]


def test_a_kill_while_outcomes_are_taken_over_loses_no_count(tmp_path, monkeypatch):
    crawled(tmp_path, "first", [ONE], FakeWeb())
    monkeypatch.setattr(held, "ROWS", 1)
    with dying(monkeypatch, held, "_offer", 3):
        crawled(tmp_path, "secnd", [ONE], FakeWeb())
    second = crawled(tmp_path, "secnd", [ONE], FakeWeb())
    assert list(noted_references(second.path).values()) == [len(ONE)]


# --- unfinished crawls, and those of earlier versions --------------------------------------------


def half(data, monkeypatch, owner, step, times, urls=FEW):
    """Crawl until it dies; return the URLs whose outcome is on the disk for certain."""
    web = FakeWeb(lambda url, _: page(url, url.encode() * 9), latency=0.002)
    with dying(monkeypatch, owner, step, times):
        crawled(data, "first", urls, web)
    return web


def lose_nothing(home):
    return None


def lose_frontier(home):
    for path in home.glob("frontier.sqlite*"):
        path.unlink()


@pytest.mark.parametrize("loss", [lose_nothing, lose_frontier])
@pytest.mark.parametrize("before", [False, True], ids=["now", "earlier version"])
def test_half_a_crawl_is_used_as_far_as_it_came(tmp_path, monkeypatch, loss, before):
    with monkeypatch.context() as patch:
        if before:
            patch.setattr(sink.Profile, "note", lambda _: ("format", "nothing said of settings"))
        web = half(tmp_path, patch, sink.Sink, "write", 20)
    (home,) = tmp_path.glob("pages-*")
    loss(home)
    held = files(tmp_path)
    more = FakeWeb(lambda url, _: page(url, url.encode() * 9))
    second = crawled(tmp_path, "secnd", FEW, more)
    assert len(more.asked) + 19 == sum(map(len, FEW))
    assert {path: data for path, data in files(tmp_path).items() if path in held} == held
    again = FakeWeb(lambda url, _: page(url, url.encode() * 9))
    first = crawled(tmp_path, "first", FEW, again)  # and it goes on with what the other one has
    assert again.asked == []
    assert len(web.asked) > 0
    assert bodies(first) == bodies(second)


def test_a_stopped_crawl_whose_settings_nobody_knows_is_left_alone(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sink.Profile, "note", lambda _: ("format", "nothing said of settings"))
        half(tmp_path, patch, sink.Sink, "write", 20)
    web = FakeWeb()
    crawled(tmp_path, "secnd", FEW, web, replace(BUSY, max_body=50_000))
    assert len(web.asked) == sum(map(len, FEW))


def test_a_crawl_that_dies_while_it_takes_over_goes_on(tmp_path, monkeypatch):
    from webtext.pipeline.crawl.frontier import held

    crawled(tmp_path, "first", FEW, FakeWeb(lambda url, _: page(url, url.encode() * 9)))
    monkeypatch.setattr(held, "ROWS", 8)
    for step, times in (("_named", 1), ("_offer", 1), ("_offer", 4), ("finish_hosts", 1)):
        owner = held if step.startswith("_") else held.recovery
        with dying(monkeypatch, owner, step, times):
            crawled(tmp_path, "secnd", FEW, FakeWeb())
    web = FakeWeb()
    second = crawled(tmp_path, "secnd", FEW, web)
    assert web.asked == []
    assert len(bodies(second)) == sum(map(len, FEW))
    assert not list(second.path.glob("*.partial"))


def test_its_own_records_come_before_those_of_others(tmp_path, monkeypatch):
    half(tmp_path, monkeypatch, sink.Sink, "write", 20)
    (home,) = tmp_path.glob("pages-*")
    crawled(tmp_path, "secnd", FEW, FakeWeb(), replace(BUSY, respect_robots=False))
    held = files(tmp_path)
    lose_frontier(home)
    first = crawled(tmp_path, "first", FEW, FakeWeb())
    own = [row for row in rows(first).values() if not row["warc_file"].startswith("..")]
    assert len(own) == sum(map(len, FEW))  # a laxer crawl's pages are of no use to it
    assert all(files(tmp_path)[path].startswith(data) for path, data in held.items())


# --- what stands on others -----------------------------------------------------------------------


def test_gc_keeps_what_is_pointed_into(tmp_path):
    first = crawled(tmp_path, "first", [ONE], FakeWeb())
    second = crawled(tmp_path, "secnd", [[*ONE, "http://d.test/"]], FakeWeb())
    left = {one.path.name for one in unreached(tmp_path, [second.name], [])}
    assert first.name not in left
    third = crawled(tmp_path, "third", [["http://e.test/"]], FakeWeb())
    left = {one.path.name for one in unreached(tmp_path, [third.name], [])}
    assert {first.name, second.name} <= left


def test_a_chain_of_months_points_at_the_first_record(tmp_path):
    first = crawled(tmp_path, "first", [ONE], FakeWeb())
    crawled(tmp_path, "secnd", [[*ONE, "http://d.test/"]], FakeWeb())
    web = FakeWeb()
    third = crawled(tmp_path, "third", [[*ONE, "http://d.test/", "http://e.test/"]], web)
    assert asked(web) == ["http://e.test/"]
    assert rows(third)[ONE[0]]["warc_file"] == f"../{first.name}/00000.warc.gz"


def doubted(home):
    """Do what `verify --remake` does to a directory whose records are damaged."""
    set_aside(home, DAMAGED, [home / name for name in ("manifest.json", "outcomes", "index.cdxj")])


def beside_a_damaged_one(data):
    """Return a crawl that took over another one's records, of which one is damaged since."""
    first = crawled(data, "first", [ONE], FakeWeb())
    second = crawled(data, "secnd", [[*ONE, "http://d.test/"]], FakeWeb())
    path = first.path / "00000.warc.gz"
    damaged = bytearray(path.read_bytes())
    damaged[rows(first)[ONE[2]]["warc_offset"] + 60] ^= 4
    path.write_bytes(damaged)
    return second


def test_verify_reads_the_records_that_are_pointed_at(tmp_path):
    second = beside_a_damaged_one(tmp_path)
    wrong = [one for one in verify(tmp_path) if one.home == second.path]
    assert len(wrong) == 1
    assert "00000.warc.gz" in wrong[0].said


def test_a_neighbour_that_is_gone_costs_its_pages_alone(tmp_path):
    first = crawled(tmp_path, "first", [ONE], FakeWeb())
    second = crawled(tmp_path, "secnd", [[*ONE, "http://d.test/"]], FakeWeb())
    shutil.rmtree(first.path)
    doubted(second.path)
    web = FakeWeb()
    assert crawled(tmp_path, "secnd", [[*ONE, "http://d.test/"]], web) == second
    assert asked(web) == ONE
    assert len(bodies(second)) == 5
    assert noted_references(second.path) == {}


def test_a_damaged_neighbour_record_is_fetched_when_the_crawl_is_made_again(tmp_path):
    second = beside_a_damaged_one(tmp_path)
    doubted(second.path)
    web = FakeWeb()
    crawled(tmp_path, "secnd", [[*ONE, "http://d.test/"]], web)
    assert asked(web) == [ONE[2]]


def test_old_records_are_asked_for_again_when_told(tmp_path):
    crawled(tmp_path, "first", [ONE], FakeWeb())  # fetched in 2023
    web = FakeWeb()
    web.fetch = lambda url, earlier=None, go=web.fetch: go(url)
    crawled(tmp_path, "secnd", [ONE], web, replace(BUSY, refresh_after=30.0))
    assert asked(web) == ONE
    web = FakeWeb()
    century = timedelta(days=36_525).days
    crawled(tmp_path, "third", [ONE], web, replace(BUSY, refresh_after=float(century)))
    assert web.asked == []
