"""A crawl in parts: each host is asked by one of them, and together they are one crawl."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.pipeline.crawl.fakes import FakeWeb, links, unsteady
from tests.pipeline.crawl.frontier.test_held import crawled, rows
from tests.pipeline.warcfile import http, members, record, write
from tests.realdata.pace import pace_of
from tests.web.case import page, to
from tests.web.fetching import fetched as fetched_from
from tests.web.server import Site
from webtext.pipeline.archive.replaying.replay import replaying
from webtext.pipeline.core.directories.data_directory import LATEST
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, read_shard, write_json, write_parquet
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.insight.unreached import unreached
from webtext.pipeline.insight.verification import directories, verify
from webtext.pipeline.urls.parts import Part, dealt, part_of

URLS = [
    [f"http://h{i}.test/{j}" for i in range(s, 24, 3) for j in range(1 + i % 5)] for s in range(3)
]
EVERY = [url for shard in URLS for url in shard]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)


def whole(path, *urls):
    made = links(path, *urls)
    made.finish({"stage": "links", "stages": {}, "inputs": {}, "passages": []})
    return made


def lists(tmp_path, of):
    every = whole(tmp_path / "links-0", *URLS)
    found = [part_of(every, Part(number, of), tmp_path) for number in range(1, of + 1)]
    return [
        [read_shard(path)["url"].to_pylist() for path in directory.shards()] for directory in found
    ]


def hosts(urls):
    return {url.split("/")[2] for url in urls}


def test_each_link_is_in_one_part_and_no_host_in_two(tmp_path):
    parts = [[url for shard in part for url in shard] for part in lists(tmp_path, 3)]
    assert sorted(url for part in parts for url in part) == sorted(EVERY)
    assert all(parts)
    assert sum(len(hosts(part)) for part in parts) == len(hosts(EVERY))


def test_what_the_parts_fetched_is_what_one_crawl_fetches(tmp_path):
    web = FakeWeb(unsteady)
    for number, urls in enumerate(lists(tmp_path / "made", 2), 1):
        crawled(tmp_path / f"machine{number}", f"{number}", urls, web)
    first = Counter(url for _, url in web.asked)
    together = tmp_path / "together"
    together.mkdir()
    for machine in tmp_path.glob("machine*"):
        for home in machine.glob("pages-*"):
            shutil.copytree(home, together / home.name)
    again = FakeWeb(unsteady)
    again.times.update(dict.fromkeys(EVERY, 1))
    joined = rows(crawled(together, "all", URLS, again))
    alone = rows(crawled(tmp_path / "alone", "all", URLS, FakeWeb(unsteady)))
    assert list(joined) == list(alone)
    assert {u: (r["dropped_by"], r["digest"]) for u, r in joined.items()} == {
        u: (r["dropped_by"], r["digest"]) for u, r in alone.items()
    }
    kept = {url for url, row in joined.items() if row["dropped_by"] is None}
    assert kept
    assert not kept & {url for _, url in again.asked}
    assert set(first) == set(EVERY)


def test_a_redirect_leads_to_no_host_of_another_part():
    mine = "a.test"
    theirs = next(f"{c}.test" for c in "bcdefgh" if dealt(f"{c}.test", 2) != dealt(mine, 2))
    part = f"{dealt(mine, 2)}/2"
    sites = {mine: Site(to(f"http://{theirs}/page")), theirs: Site(page())}
    found, web = fetched_from(sites, f"http://{mine}/", part=part)
    assert (found.fate, found.again) == ("crawl.other_part", False)
    assert {host for host, _ in web.requests} == {mine}
    sites[mine] = Site(page(), robots=to(f"http://{theirs}/robots.txt"))
    found, web = fetched_from(sites, f"http://{mine}/", part=part)
    assert (found.fate, found.again) == ("crawl.other_part", False)
    assert {host for host, _ in web.requests} == {mine}
    assert fetched_from(sites, f"http://{mine}/")[0].fate is None


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(UserError, match="wanted a part such as 2/3"):
        Crawl(part=text)


# --- as processes, one of which is killed for good -----------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_parts_at_once_ask_no_host_too_soon_and_a_lost_one_is_taken_up(tmp_path):
    urls = [f"http://h{i}.test/{j}" for i in range(8) for j in range(6)]
    pages = [record(url, http(b"<p>" + url.encode() * 99), number=n) for n, url in enumerate(urls)]
    archive = write(tmp_path / "web.warc.gz", members(pages))
    every = whole(tmp_path / "links-1", urls)
    log = tmp_path / "log"
    delay = 0.4

    def started(part, data, given, web):
        sets = [f"delay = {delay}", "delay_per_ip = 0", "latency_factor = 0", "backoff = 1"]
        sets += [f"connect_to = {json.dumps(list(web.connect_to))}", f"ca_file = '{web.ca_file}'"]
        sets = [word for line in sets for word in ("--set", f"crawl.{line}")]
        words = ["crawl", str(given), "--data", str(data), "--contact", "me@example.org", *sets]
        words += ["--part", part] if part else []
        return subprocess.Popen([sys.executable, "-m", "webtext", *words], stderr=subprocess.PIPE)

    with replaying([archive], access_log=log) as web:
        one = started("1/2", tmp_path / "one", every.path, web)
        two = started("2/2", tmp_path / "two", every.path, web)
        mine = {url for url in urls if Part(1, 2).asks(url)}
        while len([u for u in fetched(log) if u in mine]) < len(mine) // 3:
            time.sleep(0.05)
        one.send_signal(signal.SIGKILL)
        one.communicate()
        said = two.communicate()[1]
        assert two.returncode == 0, said
        before = fetched(log)
        shutil.copytree(tmp_path / "one", tmp_path / "three")
        shutil.rmtree(tmp_path / "one")
        other = started("1/2", tmp_path / "three", every.path, web)
        said = other.communicate()[1]
        assert other.returncode == 0, said
        assert pace_of(log, delay).smallest >= 1
        asked = Counter(fetched(log))
        assert set(asked) == set(urls)
        lost = [url for url, times in asked.items() if times > 1]
        assert len(lost) <= len(mine & set(before))
        assert all(Part(1, 2).asks(url) for url in lost)
        print(f"{len(before)} fetched before the kill, {len(lost)} of them again")
        for home in (tmp_path / "two").glob("pages-*"):
            shutil.copytree(home, tmp_path / "three" / home.name)
        joined = started("", tmp_path / "three", every.path, web)
        said = joined.communicate()[1]
        assert joined.returncode == 0, said
        assert Counter(fetched(log)) == asked


def fetched(log):
    """Return the pages that a server was asked for, in order."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [
        f"http://{line['host'].removesuffix(':80')}{line['path']}"
        for line in lines
        if line["path"] != "/robots.txt"
    ]


def test_a_part_is_verified_and_stays_as_long_as_its_pages_do(tmp_path):
    every = links(tmp_path / "links-00000000", *URLS)
    write_json(every.path / "sources.json", [])
    told = {"stage": "links", "read": 0, "kept": 0, "dropped": {}}
    every.finish({"stage": "links", "stages": {}, "inputs": {}, "passages": [told]})
    one, two = (part_of(every, Part(number, 2), tmp_path) for number in (1, 2))
    told = {"stage": "pages", "stages": {}, "passages": [], "inputs": {one.name: "x"}}
    pages = Directory(tmp_path / "pages-00000000")
    pages.path.mkdir()
    pages.finish(told)
    write_json(tmp_path / LATEST, {"links": every.name})
    assert [home.name for home in directories(tmp_path)] == [
        *sorted((one.name, two.name)), every.name, pages.name,
    ]  # fmt: skip
    assert {left.path for left in unreached(tmp_path, [], [])} == {two.path, pages.path}
    wrong = [said for said in verify(tmp_path) if said.home in {one.path, two.path}]
    assert wrong == []
    (first, *_) = two.shards()
    table = read_shard(first)
    manifest = two.manifest()
    write_parquet(first, [table.slice(1)], LINK)
    two.finish({name: value for name, value in manifest.items() if name != "files"})
    (said,) = [said for said in verify(tmp_path) if said.home == two.path]
    assert "shard 0 does not have the links of part 2/2" in said.said
    first.write_bytes(b"x" + first.read_bytes()[1:])
    assert any("is another than" in said.said for said in verify(tmp_path) if said.path == first)
