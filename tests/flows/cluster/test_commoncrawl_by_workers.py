"""Common Crawl asked by Dask's workers: its rate is kept, and a lost worker changes no byte."""

import pytest

from tests.flows.cluster.test_crawl_by_workers import killing
from tests.pipeline.crawl.commoncrawl.common_crawl import (
    HTML,
    indexed,
    linked,
    serving,
    text_of,
    written,
)
from tests.pipeline.crawl.commoncrawl.test_commoncrawl import digests
from webtext.flows.cluster.connecting import opened
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.commoncrawl import taken
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.commoncrawl.step import take
from webtext.pipeline.crawl.settings import Crawl

CRAWL = "CC-MAIN-2016-07"
RATE = 40.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_rate_is_kept_by_all_together_and_a_lost_worker_changes_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(taken, "GROUP", 64)
    records = [
        (f"http://d{n % 40}.test/{n}", "20160220", 200, HTML, text_of(f"page {n}"), ())
        for n in range(1200)
    ]
    home = tmp_path / "commoncrawl"
    for number in range(6):
        path = home / f"crawl-data/{CRAWL}/segments/1/warc/{number}.warc.gz"
        written(path, records[number::6])
    indexed(home, CRAWL, lines=20)
    given = linked(tmp_path / "links-0", [(url, day) for url, day, *_ in records[::4]])
    found = []
    with opened(None, 2, tmp_path / "data", [].append) as runner:
        for workers, rate in ((1, 1e6), (runner, RATE)):
            out = Directory(tmp_path / f"pages-{len(found)}")
            out.path.mkdir()
            asked = CommonCrawl(
                (CRAWL,), "http://commoncrawl.test/", gap=0, rate=rate, connections=8
            )
            with serving(home) as (port, log):
                crawl = Crawl(backoff=0.01, connect_to=(f"*:80:127.0.0.1:{port}",))
                due = 100 if workers is runner else 10**9
                with killing(runner, lambda log=log, due=due: len(log) > due) as killed:
                    (passage,) = take(asked, crawl, given, out, silent, workers)
            found.append((passage, digests(out)))
            seconds = log.times[-1] - log.times[0]
            print(f"{len(log)} requests in {seconds:.1f} s, {len(log) / seconds:.1f} a second")
            assert len(log) <= rate * seconds + 3  # of each that asks, the first one
    assert killed
    assert found[0][0].kept == 300
    assert found[0] == found[1]
