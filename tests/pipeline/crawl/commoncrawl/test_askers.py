"""Who asks for ranges, and for how many: a store, and a runner's workers."""

import pickle

import pytest

from tests.pipeline.crawl.commoncrawl.common_crawl import linked, serving
from tests.pipeline.crawl.commoncrawl.test_commoncrawl import (
    CRAWLS,
    LINKS,
    digests,
    settings,
    taken_by_server,
)
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.crawl.commoncrawl import askers, taken
from webtext.pipeline.crawl.commoncrawl.asking import answers, trips
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.commoncrawl.step import take
from webtext.pipeline.crawl.settings import Crawl


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_a_store_is_asked_for_ranges_alone(tmp_path, home, s3, index):
    """A size is known by the answer to the first range, or by a listing."""
    store = ObjectStore(parse(f"s3://{s3.bucket()}/copy"))
    for path in home.rglob("*"):
        if path.is_file() and "paths.gz" not in path.name:
            store.put(str(path.relative_to(home)), path.read_bytes())
    s3.faults.count.clear()
    asked = CommonCrawl(CRAWLS, str(store.address), index=index, rate=1e6)
    with askers.askers(asked, Crawl(), 1) as found:
        links = linked(tmp_path / "links-0", LINKS)
        every = [trip for trip in trips(links) if not trip.arrived]
        assert sum(batch.num_rows for batch in answers(asked, found, every))
        assert found.requests == s3.faults.count["GET"]
    assert set(s3.faults.count) == {"GET"}


class Hands:
    """A runner of this process; what it is given went through a pickle."""

    size = 3

    def __init__(self):
        self.most = []

    def in_order(self, work, items, waiting, most=None):
        self.most.append(most)
        for item in items:
            yield pickle.loads(pickle.dumps(work))(pickle.loads(pickle.dumps(item)))


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_workers_of_a_runner_take_the_same_bytes_each_at_its_share_of_the_rate(
    tmp_path, home, index, monkeypatch
):
    alone, passage, one = taken_by_server(tmp_path, home, index)
    shares = []
    monkeypatch.setattr(askers.time, "sleep", shares.append)
    monkeypatch.setattr(taken, "GROUP", 3)
    hands = Hands()
    given, out = Directory(tmp_path / "links-0"), Directory(tmp_path / "pages-1")
    out.path.mkdir()
    with serving(home) as (port, log):
        (found,) = take(*settings(port, index, connections=3), given, out, silent, hands)
    assert (found, digests(out)) == (passage, digests(alone))
    assert set(hands.most) == {2}  # no more than there may be connections
    assert {round(1 / pause) for pause in shares} == {333_333}  # of the rate of the tests, a third
    assert len(shares) > 3
    assert {name for name, *_ in log} == {name for name, *_ in one}
