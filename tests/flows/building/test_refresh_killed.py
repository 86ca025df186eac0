"""A refresh that is killed at every step, and at any moment, and goes on each time."""

import hashlib
import random
import sys
from collections import Counter
from itertools import pairwise

import pytest

from tests.pipeline.crawl import survival
from tests.pipeline.crawl.fakes import archived
from tests.pipeline.crawl.survival import (
    AMID,
    DELAY,
    EARLY,
    LATE,
    Server,
    clean,
    die_in_each,
    hosts,
    luck_of,
    reply,
)
from webtext.flows.commands.command_line import cli
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.http import loop

DATE = "Fri, 14 Jul 2017 02:40:00 GMT"
# By luck: what comes of a page at the second time: its fate, its status, why it is a revisit.
TOLD = {
    0: (None, 304, "server-not-modified"),  # it has an ETag
    1: (None, 304, "server-not-modified"),  # it has a date
    2: (None, 200, "identical-payload-digest"),
    3: (None, 200, None),  # it has changed
    4: ("crawl.http_4xx", 404, None),  # it is gone
    5: (None, 304, "server-not-modified"),  # it has moved to one that has an ETag
}


class Changing(Server):
    """A web of pages that may have changed at the second crawl."""

    later = False

    def response(self, host, path, times):
        if path == "/robots.txt":
            return reply("404 Not Found", b"")
        kind = luck_of(host + path) % 6 if not path.startswith("/to") else 0
        body = f"<p>{host}{path} as it was".encode() * 20
        fields = {0: f'ETag: "{path}"\r\n', 1: f"Last-Modified: {DATE}\r\n"}.get(kind, "")
        asked = {0: f'If-None-Match: "{path}"', 1: f"If-Modified-Since: {DATE}"}.get(kind, "\0")
        if kind == 5:
            return reply("302 Found", b"", f"Location: http://{host}/to{path}\r\n")
        if self.later and kind == 4:
            return reply("404 Not Found", b"gone")
        if self.later and kind == 3:
            return reply("200 OK", b"<p>and now something else", 'ETag: "new"\r\n')
        if asked in self.head:
            return reply("304 Not Modified", b"", fields)
        return reply("200 OK", body, fields)


def first_crawl(tmp_path, urls, port) -> Directory:
    listed = tmp_path / "urls.txt"
    listed.write_text("".join(f"{url}\n" for url in urls))
    lines = [
        f"crawl.connect_to = ['*:80:127.0.0.1:{port}']",
        f"crawl.delay = {DELAY}",
        "crawl.delay_per_ip = 0",
        "crawl.contact = 'me@example.org'",
        "crawl.latency_factor = 0",
        "crawl.backoff = 0.05",
        "crawl.hosts_in_flight = 20",
        "links.shards = 4",
        "links.shard_records = 1",
    ]
    sets = [part for line in lines for part in ("--set", line)]
    data = str(tmp_path / "data")
    cli(["crawl", str(listed), "--data", data, *sets], standalone_mode=False)
    return home(tmp_path / "data")


def home(data, *but) -> Directory:
    (found,) = set(data.glob("pages-*")) - {pages.path for pages in but}
    return Directory(found)


def refresh_in(tmp_path, _port, phase=""):
    """Refresh, and die in `phase` once SIGUSR1 came, or as soon as it begins."""
    loop.GATHER = 0.01
    survival.signal.signal(survival.signal.SIGUSR1, survival.arm)
    if phase in EARLY + LATE:
        survival.arm()
    survival.doom(tmp_path, phase)
    sys.stdout = sys.stderr = (tmp_path / "said").open("a")
    pages, data = (tmp_path / "refreshed").read_text().splitlines()
    cli(["refresh", pages, "--data", data], standalone_mode=False)


def rows(pages):
    return [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]


def contents(pages):
    batches = (batch for n in pages.numbers("outcomes") for batch in page_batches(pages, n))
    return [row for batch in batches for row in batch.to_pylist()]


def prints(directory):
    """Return what tells whether a file of a directory was touched."""
    return {
        path.relative_to(directory): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in directory.rglob("*")
        if path.is_file()
    }


def told(row):
    return row["dropped_by"], row["status"], row["revisit"]


def held(pages, first, urls):
    """Check that a refresh has one outcome a URL, the right one, and leads to what was archived."""
    found = rows(pages)
    assert sorted(row["url"] for row in found) == sorted(urls)
    before = {row["url"]: row for row in rows(first)}
    for row in found:
        assert told(row) == TOLD[luck_of(row["url"].removeprefix("http://")) % 6], row
        if row["revisit"]:
            was = before[row["url"]]
            assert (pages.path / row["payload_file"]).resolve() == first.path / was["warc_file"]
            assert row["payload_offset"] == was["warc_offset"]
            assert row["payload_length"] == was["warc_length"]
            assert row["digest"] == was["digest"]
    whole = [(row["warc_file"], row["warc_offset"]) for row in found
             if row["warc_file"] and not row["revisit"]]  # fmt: skip
    assert sorted(whole) == sorted(entry[:2] for entry in archived(pages.path))
    clean(pages.path)


def killed(tmp_path, urls, deaths, seed):
    with Changing() as server:
        first = first_crawl(tmp_path, urls, server.port)
        assert {row["dropped_by"] for row in rows(first)} == {None}
        untouched = prints(first.path)
        server.later = True

        undisturbed = tmp_path / "undisturbed"
        cli(["refresh", str(first.path), "--data", str(undisturbed)], standalone_mode=False)
        server.log.clear()

        (tmp_path / "refreshed").write_text(f"{first.path}\n{tmp_path / 'data'}\n")
        each = len(urls) // (len(deaths) + 1)
        die_in_each(tmp_path, server, deaths, each, random.Random(seed), refresh_in)
        for times in server.log.values():
            assert min((b - a for a, b in pairwise(times)), default=1) >= DELAY
    whole, broken = home(undisturbed), home(tmp_path / "data", first)
    for pages in (whole, broken):
        held(pages, first, urls)
    assert Counter(map(told, rows(broken))) == Counter(map(told, rows(whole)))
    assert contents(broken) == contents(whole)
    assert prints(first.path) == untouched


def test_a_refresh_killed_at_several_moments_ends_as_one_that_was_not(tmp_path):
    urls = [url for shard in hosts(40) for url in shard]
    killed(tmp_path, urls, ["fill", "write", "anywhere", "acknowledge", "outcomes"], 3)


@pytest.mark.slow
def test_a_refresh_killed_in_every_phase_ends_as_one_that_was_not(tmp_path):
    rng = random.Random(4)
    amid = rng.sample([*AMID, *["anywhere"] * 8], len(AMID) + 8)
    urls = [url for shard in hosts(400) for url in shard]
    killed(tmp_path, urls, [*EARLY, *amid, *LATE], 4)
