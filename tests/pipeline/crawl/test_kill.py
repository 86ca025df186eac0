"""A crawl is stopped, killed and left to die at every step, and goes on each time."""

import asyncio
import os
import random
import signal
import threading
import time
from dataclasses import replace

import pytest

from tests.pipeline.crawl.fakes import EAGER, MANY, FakeWeb, dying, links, page, unsteady
from tests.pipeline.crawl.survival import (
    AMID,
    EARLY,
    LATE,
    Server,
    check,
    conserved,
    die_in_each,
    hosts,
)
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.division import dealing
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import outcomes
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.meter import Meter
from webtext.pipeline.crawl.sink import Sink

BUSY = replace(EAGER, hosts_in_flight=5)


def run(tmp_path, web, settings=BUSY):
    (tmp_path / "pages").mkdir(exist_ok=True)
    made = links(tmp_path / "links", *MANY)
    return crawl(settings, made, Directory(tmp_path / "pages"), fetcher=web)


@pytest.mark.parametrize(
    ("owner", "step", "times"),
    [
        (loop.Frontier, "fill_shard", 2),
        (loop.Frontier, "lease", 2),
        (Sink, "write", 30),
        (Sink, "sync", 2),
        (loop.Frontier, "commit", 2),
        (loop.Frontier, "outcomes", 2),
        (outcomes, "archived", 1),
        (loop.Frontier, "remove", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_crawl_that_dies_at_any_step_goes_on(tmp_path, monkeypatch, owner, step, times):
    monkeypatch.setattr(loop, "GATHER", 0.01)
    web = FakeWeb(unsteady, latency=0.002)
    with dying(monkeypatch, owner, step, times):
        run(tmp_path, web)
    run(tmp_path, web)
    conserved(tmp_path, MANY)


def test_a_crawl_that_is_asked_to_stop_keeps_what_it_has(tmp_path):
    def answer(url, _times):
        if len(web.asked) == 40:
            os.kill(os.getpid(), signal.SIGTERM)
        return page(url)

    web = FakeWeb(answer, latency=0.02)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, web, replace(EAGER, hosts_in_flight=4))
    asked = len(web.asked)
    assert asked < 200
    run(tmp_path, web, replace(EAGER, hosts_in_flight=50))
    rows = conserved(tmp_path, MANY)
    assert all(row["dropped_by"] is None for row in rows)
    assert len(web.asked) - len(rows) <= 4  # only what was in flight was fetched twice


def killed_and_resumed(tmp_path, urls, deaths, rng):
    """Crawl `urls`, dying in each of `deaths` in turn; return the rows and what the server saw."""
    (tmp_path / "pages").mkdir()
    links(tmp_path / "links", *urls)
    each = sum(map(len, urls)) // (len(deaths) + 1)
    with Server() as server:
        die_in_each(tmp_path, server, deaths, each, rng)
    return conserved(tmp_path, urls), server


def test_a_crawl_killed_in_every_phase_loses_and_doubles_nothing(tmp_path):
    rng = random.Random(7)
    deaths = [*EARLY, *rng.sample(AMID, len(AMID)), *LATE]
    check(*killed_and_resumed(tmp_path, hosts(100), deaths, rng))


@pytest.mark.slow
def test_two_thousand_hosts_survive_twenty_kills(tmp_path):
    rng = random.Random(8)
    amid = [*AMID, *AMID, "anywhere", "anywhere"]
    deaths = [*EARLY, *rng.sample(amid, len(amid)), *LATE]
    assert len(deaths) == 20
    check(*killed_and_resumed(tmp_path, hosts(2000), deaths, rng))


def test_what_waits_for_the_disk_when_a_stop_comes_is_kept(tmp_path, monkeypatch):
    """The thread of the disk is busy, so the results that were handed to it have not begun."""
    busy, whole = threading.Event(), loop.Frontier.parked

    def parked(self):
        busy.set()
        time.sleep(0.5)
        return whole(self)

    def answer(url, _times):
        if busy.is_set() and not stopped and len(web.asked) > 20:
            stopped.append(asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), 15))
        return page(url)

    monkeypatch.setattr(loop.Frontier, "parked", parked)
    monkeypatch.setattr(Meter, "every", 0.01)
    monkeypatch.setattr(loop, "GATHER", 0.01)
    stopped: list[asyncio.TimerHandle] = []
    web = FakeWeb(answer, latency=0.02)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, web, replace(EAGER, hosts_in_flight=4))
    assert len(web.asked) < 400
    run(tmp_path, web, replace(EAGER, hosts_in_flight=50))
    assert len(web.asked) - len(conserved(tmp_path, MANY)) <= 4


def test_signals_are_handled_after_a_crawl_as_before_it(tmp_path):
    def mine(_signal, _frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine)
    try:
        run(tmp_path, FakeWeb())
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_crawl_that_was_killed_waits_for_the_addresses_that_it_may_have_asked(
    tmp_path, monkeypatch
):
    rested = []
    monkeypatch.setattr(dealing, "pause", rested.append)
    polite = replace(BUSY, delay_per_ip=0.01)
    with dying(monkeypatch, loop.Frontier, "commit", 2):
        run(tmp_path, FakeWeb(unsteady), polite)
    assert rested == []
    run(tmp_path, FakeWeb(unsteady), polite)
    assert rested == [0.01]


def test_a_file_that_somebody_else_put_there_is_no_archive_of_ours(tmp_path, monkeypatch):
    with dying(monkeypatch, Sink, "write", 30):
        run(tmp_path, FakeWeb())
    (tmp_path / "pages" / "copy-of-00000.warc.gz").write_bytes(b"mine")
    run(tmp_path, FakeWeb())
    assert (tmp_path / "pages" / "copy-of-00000.warc.gz").read_bytes() == b"mine"
    (tmp_path / "pages" / "copy-of-00000.warc.gz").unlink()
    conserved(tmp_path, MANY)
