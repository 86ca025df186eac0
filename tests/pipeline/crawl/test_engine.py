import asyncio
import errno
import gzip
import json
import os
import threading
import time
from base64 import b32encode
from dataclasses import replace
from hashlib import sha1
from itertools import count, pairwise

import pytest

from tests.pipeline.crawl.fakes import (
    EAGER,
    MANY,
    FakeWeb,
    archived,
    failure,
    links,
    page,
    unsteady,
)
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier.address_slots import Slots
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.settings import Crawl

SMALL = [[f"http://h{i}.test/{j}" for i in range(5) for j in range(i + 1)], ["http://x.test/"]]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)


def run(tmp_path, web, urls=SMALL, settings=EAGER, progress=silent):
    made = links(tmp_path / "links", *urls)
    out = Directory(tmp_path / "pages")
    out.path.mkdir(exist_ok=True)
    return crawl(settings, made, out, 2, progress, web)


def outcomes(tmp_path):
    directory = Directory(tmp_path / "pages")
    return [read_shard(path).to_pylist() for path in directory.shards("outcomes")]


def fates_of(tmp_path):
    return {row["url"]: row["dropped_by"] for rows in outcomes(tmp_path) for row in rows}


def test_every_link_has_one_outcome_in_its_place(tmp_path):
    def answer(url, _):
        return failure(url, "crawl.http_4xx", value=404.0) if url.endswith("/1") else page(url)

    (passage,) = run(tmp_path, FakeWeb(answer))
    assert (passage.read, passage.kept, passage.dropped) == (16, 12, {"crawl.http_4xx": 4})
    assert [[row["url"] for row in rows] for rows in outcomes(tmp_path)] == SMALL


def test_an_outcome_says_where_its_response_lies(tmp_path):
    run(tmp_path, FakeWeb(lambda url, _: page(url, url.encode())))
    said = {
        (row["warc_file"], row["warc_offset"], row["url"], row["url"].encode())
        for rows in outcomes(tmp_path)
        for row in rows
    }
    assert set(archived(tmp_path / "pages")) == said
    assert {file for file, *_ in said} == {"00000.warc.gz", "00001.warc.gz"}


def test_an_outcome_says_what_the_fetch_took_and_which_robots_txt_allowed_it(tmp_path):
    run(tmp_path, FakeWeb(lambda url, _: page(url, b"<p>text")), [["http://a.test/"]])
    ((row,),) = outcomes(tmp_path)
    times = {name: row[name].timestamp() for name in ("started", "robots_time")}
    assert times == {"started": 1_700_000_000.25, "robots_time": 1_700_000_000}
    assert (row["robots"], row["ip"], row["etag"]) == ("allow", "192.0.2.1", '"v1"')
    assert (row["first_byte_ms"], row["elapsed_ms"]) == (62, 125)
    assert (row["wire_bytes"], row["body_bytes"]) == (12, 7)
    assert row["digest"] == "sha1:" + b32encode(sha1(b"<p>text").digest()).decode()
    with gzip.open(tmp_path / "pages" / row["warc_file"]) as file:
        assert b"\r\nrobots-time: 2023-11-14T22:13:20Z\r\n" in file.read()


def test_nothing_but_whole_files_is_left(tmp_path):
    run(tmp_path, FakeWeb())
    left = sorted(
        str(path.relative_to(tmp_path / "pages")) for path in (tmp_path / "pages").rglob("*.*")
    )
    assert left == [
        "00000.warc.gz",
        "00001.warc.gz",
        "index.cdxj",
        "outcomes/00000.parquet",
        "outcomes/00001.parquet",
    ]


def test_the_index_leads_to_every_response_in_the_order_of_urls(tmp_path):
    run(tmp_path, FakeWeb())
    lines = (tmp_path / "pages" / "index.cdxj").read_text().splitlines()
    keys = [line.partition(" ")[0] for line in lines]
    assert keys == sorted(keys)
    assert keys[0] == "test,h0)/0"
    fields = [json.loads(line.split(" ", 2)[2]) for line in lines]
    found = {(entry["filename"], int(entry["offset"]), entry["url"]) for entry in fields}
    assert found == {entry[:3] for entry in archived(tmp_path / "pages")}
    assert lines[0].split(" ")[1] == "20231114221320"
    assert (fields[0]["mime"], fields[0]["status"]) == ("text/html", "200")


def test_a_crawl_that_is_done_is_not_done_again(tmp_path):
    first = run(tmp_path, FakeWeb())
    web = FakeWeb()
    assert run(tmp_path, web) == first
    assert web.asked == []


def test_no_links_are_no_trouble(tmp_path):
    (passage,) = run(tmp_path, FakeWeb(), urls=[[]])
    assert (passage.read, passage.kept) == (0, 0)


def test_no_host_is_asked_sooner_than_its_delay(tmp_path):
    settings = replace(EAGER, delay=0.1, delay_per_ip=0.05)
    hops = {"http://h1.test/0": "http://h2.test/hop", "http://h2.test/hop": "http://new.test/"}
    web = FakeWeb(ips=lambda _: ("192.0.2.2",), hops=hops, robots=True, latency=0.01)
    run(tmp_path, web, settings=settings)
    hosts = [url.split("/")[2] for _, url in web.asked]
    for host in set(hosts):
        times = [at for (at, _), name in zip(web.asked, hosts, strict=True) if name == host]
        assert min((b - a for a, b in pairwise(times)), default=1) >= 0.1
    assert min(b - a for (a, _), (b, _) in pairwise(web.asked)) >= 0.05  # one address has them all
    assert {"http://h2.test/hop", "http://new.test/"} <= {url for _, url in web.asked}


def test_hosts_are_fetched_side_by_side_up_to_the_limit(tmp_path):
    web = FakeWeb(latency=0.02)
    run(tmp_path, web, [[f"http://h{i}.test/" for i in range(60)]])
    assert web.most == EAGER.hosts_in_flight


def test_visits_that_redirect_into_each_others_hosts_do_not_block_each_other(tmp_path):
    hops = {"http://a.test/": "http://b.test/x", "http://b.test/": "http://a.test/x"}
    web = FakeWeb(hops=hops, robots=True, latency=0.01)
    started = time.monotonic()
    run(tmp_path, web, [["http://a.test/", "http://b.test/"]])
    assert time.monotonic() - started < 5


def test_what_may_do_better_is_tried_again(tmp_path):
    def answer(url, times):
        if url.endswith("/1") and times < 3:
            return failure(url, "crawl.timeout", again=True)
        return page(url)

    (passage,) = run(tmp_path, FakeWeb(answer))
    assert passage.dropped == {}
    attempts = {row["url"]: row["attempts"] for rows in outcomes(tmp_path) for row in rows}
    assert {url[-1]: count for url, count in attempts.items()} | {"1": 3} == {
        **dict.fromkeys("0234/", 1),
        "1": 3,
    }
    assert len(archived(tmp_path / "pages")) == 16


def test_attempts_run_out(tmp_path):
    web = FakeWeb(lambda url, _: failure(url, "crawl.timeout", True))
    run(tmp_path, web, [["http://a.test/"]])
    assert fates_of(tmp_path) == {"http://a.test/": "crawl.timeout"}
    assert web.times == {"http://a.test/": 3}


def test_a_host_that_fails_in_a_row_is_given_up(tmp_path):
    urls = [f"http://a.test/{i}" for i in range(40)]
    web = FakeWeb(lambda url, _: failure(url, "crawl.dns") if "a.test" in url else page(url))
    run(tmp_path, web, [[*urls, "http://b.test/"]])
    found = fates_of(tmp_path)
    assert [found[url] for url in urls] == ["crawl.dns"] * 5 + ["crawl.host_given_up"] * 35
    assert found["http://b.test/"] is None
    given_up = outcomes(tmp_path)[0][10]
    assert (given_up["dropped_value"], given_up["attempts"], given_up["status"]) == (5, 0, None)


def test_a_success_between_failures_saves_the_host(tmp_path):
    def answer(url, _):
        return page(url) if int(url.rsplit("/", 1)[1]) % 3 == 0 else failure(url, "crawl.tls")

    run(tmp_path, FakeWeb(answer), [[f"http://a.test/{i}" for i in range(40)]])
    assert set(fates_of(tmp_path).values()) == {None, "crawl.tls"}


def test_where_a_redirect_leads_to_does_not_count_against_who_redirected(tmp_path):
    def answer(url, _):
        return failure(url, "crawl.connect", again=True, final_url="http://dead.test/")

    web = FakeWeb(answer)
    run(tmp_path, web, [[f"http://short.test/{i}" for i in range(20)]])
    assert set(fates_of(tmp_path).values()) == {"crawl.connect"}
    assert set(web.times.values()) == {3}


def test_the_next_attempt_waits_as_long_as_the_host_asks(tmp_path):
    def answer(url, times):
        return (
            failure(url, "crawl.http_429", True, retry_after=0.3, value=429.0)
            if times == 1
            else page(url)
        )

    web = FakeWeb(answer)
    run(tmp_path, web, [["http://a.test/"]])
    (first, _), (second, _) = web.asked
    assert second - first >= 0.3


def test_many_hosts_of_one_address_leave_room_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CROWD", 4)
    web = FakeWeb(ips=lambda url: ("192.0.2.9",) if "farm" in url else ())
    farm = [f"http://farm{i}.test/" for i in range(20)]
    others = [f"http://o{i}.test/" for i in range(20)]
    (passage,) = run(tmp_path, web, [farm + others], replace(EAGER, delay_per_ip=0.01))
    assert passage.kept == 40


def test_a_strangers_web_needs_a_contact(tmp_path):
    with pytest.raises(UserError, match=r"crawl\.contact: empty"):
        run(tmp_path, FakeWeb(), settings=Crawl())


def test_an_error_of_ours_stops_the_crawl(tmp_path):
    def answer(url, _):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, FakeWeb(answer))
    (passage,) = run(tmp_path, FakeWeb())
    assert passage.kept == 16


def test_a_full_disk_is_said_and_mended(tmp_path, monkeypatch):
    write, left = os.write, 6

    def full(descriptor, data):
        nonlocal left
        left -= 1
        if left < 0:
            write(descriptor, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(UserError, match=r"pages: cannot write \(No space left .* of 16 links"):
            run(tmp_path, FakeWeb(latency=0.02))
    (passage,) = run(tmp_path, FakeWeb())
    assert passage.kept == 16
    assert len(archived(tmp_path / "pages")) == 16


def test_progress_says_what_goes_on(tmp_path):
    said = []
    web = FakeWeb(lambda url, _: failure(url, "crawl.dns"), latency=0.4)
    settings = replace(EAGER, hosts_in_flight=3)
    run(tmp_path, web, settings=settings, progress=lambda *args: said.append(args))
    assert said[0][:2] == (0, 16)
    assert "pages/s" in said[-1][2]
    assert "in flight" in said[-1][2]
    assert "dns " in said[-1][2]


def test_progress_says_how_many_hosts_are_parked(tmp_path):
    def once_busy(url, attempt):
        if attempt > 1 or "well" in url:
            return page(url)
        return failure(url, "crawl.http_429", again=True)

    said = []
    wanted = [["http://busy.test/", "http://full.test/", "http://well.test/"]]
    settings = replace(EAGER, backoff=1.6, max_backoff=1.6)  # s; figures come each second
    (passage,) = run(
        tmp_path, FakeWeb(once_busy), wanted, settings, lambda *args: said.append(args)
    )
    assert passage.kept == 3
    figures = [note.split(", ") for *_, note in said[1:]]
    assert any("2 hosts parked" in shown for shown in figures)
    assert not any("parked" in figure for figure in figures[-1])


def test_what_is_kept_does_not_depend_on_time(tmp_path):
    found = []
    for name, latency, hosts in (("a", 0.0, 50), ("b", 0.003, 3)):
        (tmp_path / name).mkdir()
        run(
            tmp_path / name, FakeWeb(unsteady, latency), MANY, replace(EAGER, hosts_in_flight=hosts)
        )
        found.append(fates_of(tmp_path / name))
    assert found[0] == found[1]


def test_a_step_of_the_clock_disturbs_nothing(tmp_path, monkeypatch):
    clock, hours = time.time, count()
    monkeypatch.setattr(time, "time", lambda: clock() - 3600 * next(hours))
    started = time.monotonic()
    (passage,) = run(tmp_path, FakeWeb(unsteady), MANY, replace(EAGER, backoff=0.01))
    assert passage.read == sum(map(len, MANY))
    assert time.monotonic() - started < 60


def test_it_runs_where_signals_cannot_be_caught(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.extend(run(tmp_path, FakeWeb())))
    thread.start()
    thread.join(20)
    assert found[0].kept == 16


def test_bodies_wait_for_the_writer_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "UNWRITTEN", 100_000)
    most = 0

    class Watched(FakeWeb):
        async def fetch(self, url):
            nonlocal most
            fetched = await super().fetch(url)
            await asyncio.sleep(0)
            most = max(most, self.gate.__self__.unwritten)
            return fetched

    run(tmp_path, Watched(lambda url, _: page(url, os.urandom(40_000))), MANY)
    assert 0 < most <= 100_000 + EAGER.hosts_in_flight * 40_000


def test_a_part_whose_look_up_takes_too_long_asks_in_its_next_slot(tmp_path):
    class Slow(FakeWeb):
        waited = False

        async def addresses(self, url):
            if self.known and not self.waited:  # robots.txt was asked for, and a turn came
                self.waited = True
                await asyncio.sleep(0.7)
            return await super().addresses(url)

    web = Slow(ips=lambda _: ("192.0.2.1",), robots=True)
    settings = replace(EAGER, delay_per_ip=1.0, part="1/2")
    run(tmp_path, web, [["http://a.test/"]], settings)
    slots, ahead = Slots.of_crawl(settings), time.time() - time.monotonic()
    assert web.waited
    assert len(web.asked) == 2
    assert [slots.wait("192.0.2.1", at + ahead, share=0.5) for at, _ in web.asked] == [0.0, 0.0]
