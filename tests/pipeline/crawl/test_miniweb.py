"""Real sites, served from recordings over HTTP and HTTPS, with their real robots.txt files."""

import csv
import json
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO

import pyarrow as pa
import pytest
import zstandard
from warcio.checker import Checker

from tests.realdata.pace import pace, pace_of
from webtext.pipeline.archive.replaying.replay import replaying
from webtext.pipeline.archive.warc import responses
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, read_shard, write_parquet
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.urls import urls

SHARDS = 4
DELAY = 0.1  # s


def recorded(archive):
    """Return the URLs of the pages of a WARC file."""
    return [page.url for page in responses(archive) if "html" in (page.content_type or "")]


def listed(miniweb, part):
    with zstandard.open(miniweb / "urls.tsv.zst", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [row for row in rows if row["part"] == part]


def crawled(tmp_path, sources, wanted):
    """Crawl `wanted` from a replay of `sources`; return the outcomes and the server's log."""
    shards = defaultdict(dict)
    for url in wanted:
        found = urls.normalise(url)
        domain = urls.domain(found)
        row = {"id": urls.url_id(found), "url": found, "domain": domain, "submissions": []}
        shards[urls.bucket(domain, SHARDS)][row["id"]] = row
    links, out = Directory(tmp_path / "links"), Directory(tmp_path / "pages")
    out.path.mkdir()
    for number in range(SHARDS):
        rows = [row for _, row in sorted(shards[number].items())]
        write_parquet(links.shard(number), [pa.RecordBatch.from_pylist(rows, LINK)], LINK)
    with replaying(sources, access_log=tmp_path / "log") as web:
        settings = Crawl(
            delay=DELAY,
            latency_factor=0,
            backoff=1,
            connect_to=web.connect_to,
            ca_file=str(web.ca_file),
        )
        (passage,) = crawl(settings, links, out)
    outcomes = [row for path in out.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert passage.read == len(outcomes) == sum(map(len, shards.values()))
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    return outcomes, log


def check(tmp_path):
    """Check that no host was hit sooner than its delay, and that every WARC file is clean."""
    seen = pace_of(tmp_path / "log", DELAY)
    print(seen)
    assert seen.smallest >= 1
    paths = sorted(map(str, (tmp_path / "pages").glob("*.warc.gz")))
    checker = Checker(type("Options", (), {"inputs": paths, "verbose": False}))
    with redirect_stdout(StringIO()) as said:
        checker.process_all()
    assert (checker.exit_value, said.getvalue()) == (0, "")


def test_a_host_that_is_hit_too_soon_shows_in_the_log():
    hits = [("a", 0.0), ("b", 0.01), ("a:80", 0.25), ("b", 0.06)]
    lines = [json.dumps({"host": host, "time": at}) for host, at in hits]
    assert pace(lines, DELAY) == (2, 4, pytest.approx(0.5))


def test_real_pages_are_crawled_politely_over_http_and_https(tmp_path, real_pages):
    found = recorded(real_pages)
    wanted = found[:: len(found) // 60][:60]
    wanted += [url.replace("https://", "http://") for url in wanted[:10]]  # the same page again
    outcomes, log = crawled(tmp_path, [real_pages], wanted)
    check(tmp_path)
    kept = [row for row in outcomes if row["dropped_by"] is None]
    assert len(kept) >= 55
    assert {entry["scheme"] for entry in log} == {"http", "https"}


@pytest.mark.slow
def test_every_page_of_the_mini_web_is_crawled_politely(tmp_path, shared):
    miniweb = shared / "miniweb"
    rows = listed(miniweb, "sites") + listed(miniweb, "news")
    sources = [miniweb / "sites.warc.zst", miniweb / "news.warc.zst"]
    outcomes, _ = crawled(tmp_path, sources, [row["url"] for row in rows])
    check(tmp_path)
    # Some pages are no more than a refresh to one that nobody recorded, so that is a 404 here.
    gone = [row for row in outcomes if row["dropped_by"] == "crawl.http_4xx"]
    assert all(row["redirects"] for row in gone)
    assert len(gone) < 10
    fates = {row["dropped_by"] for row in outcomes if row not in gone}
    assert fates <= {None, "crawl.wrong_type", "crawl.robots_denied", "crawl.opted_out"}
    assert sum(row["dropped_by"] is None for row in outcomes) > 5000
