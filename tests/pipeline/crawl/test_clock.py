"""The wall clock is set, by a day either way, while a crawl runs and between two runs of it."""

import random
import threading
import time

import pytest

from tests.pipeline.crawl.fakes import links
from tests.pipeline.crawl.survival import Server, check, conserved, hosts, settings
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.rows import PARKED, Changes, HostChange
from webtext.pipeline.crawl.http import loop

DAY = 86_400.0  # s


class Jumping:
    """A wall clock that a thread sets anew every few milliseconds, by up to a day."""

    def __init__(self) -> None:
        self.right, self.ahead, self.jumps = time.time, 0.0, 0
        self.rng = random.Random(73)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.jump, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join(10)

    def __call__(self) -> float:
        return self.right() + self.ahead

    def jump(self) -> None:
        while not self.done.wait(self.rng.random() * 0.05):
            self.ahead = self.rng.choice([-DAY, 0.0, DAY])
            self.jumps += 1


def crawled_under_jumps(tmp_path, monkeypatch, urls):
    monkeypatch.setattr(loop, "GATHER", 0.01)
    (tmp_path / "pages").mkdir()
    made = links(tmp_path / "links", *urls)
    began = time.time()
    with Jumping() as clock, Server() as server, monkeypatch.context() as patch:
        patch.setattr(time, "time", clock)
        crawl(settings(server.port), made, Directory(tmp_path / "pages"))
    rows = conserved(tmp_path, urls)
    check(rows, server)
    assert clock.jumps > 10
    ended = time.time()
    asked = [row["started"].timestamp() for row in rows if row["warc_file"]]
    assert all(began - DAY - 1 <= at <= ended + DAY + 1 for at in asked)
    return ended - began


def test_a_clock_that_jumps_during_a_crawl_disturbs_nothing(tmp_path, monkeypatch):
    assert crawled_under_jumps(tmp_path, monkeypatch, hosts(100)) < 60  # s; a day would be 86,400


@pytest.mark.slow
def test_two_thousand_hosts_survive_a_clock_that_jumps(tmp_path, monkeypatch):
    assert crawled_under_jumps(tmp_path, monkeypatch, hosts(2000)) < 240


@pytest.mark.parametrize("back", [1.0, 3600.0, DAY])
def test_a_clock_set_back_between_two_crawls_parks_no_host_for_longer(tmp_path, back):
    now = 1_700_000_000.0
    first = Frontier(tmp_path / "frontier.sqlite", clock=lambda: now)
    first.fill(links(tmp_path / "links", ["http://a.test/"]))
    (row,) = first.activate(1)
    parked = HostChange(PARKED, now + 30, 1, -1, row.host)
    first.commit(Changes(hosts=[parked]))
    first.close()
    again = Frontier(tmp_path / "frontier.sqlite", clock=lambda: now - back)
    assert again.wait() == pytest.approx(30)
    again.close()
