"""A network that goes away pauses the crawl, which then goes on as if nothing had been."""

import asyncio
import logging
import threading
import time

import pytest

from tests.pipeline.crawl.fakes import EAGER, FakeWeb, failure, links, page
from tests.pipeline.crawl.survival import Server, check, conserved, hosts, settings
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.http import loop, outage
from webtext.pipeline.crawl.http.outage import BLIND, FEW, LONGEST, SUSPECTS, Network

HOUR = 3600.0  # s


class Simulated:
    """A network that is gone for some seconds of a clock that only sleeping moves."""

    def __init__(self, back: float, busy: bool = False) -> None:
        self.now, self.back, self.looks = 0.0, back, 0
        self.notes: list[tuple[bool, str]] = []
        self.network = Network(self.reachable, lambda: busy, lambda: self.now, self.sleep)

    async def reachable(self, url: str) -> bool:
        self.looks += 1
        return self.now >= self.back

    async def sleep(self, seconds: float) -> None:
        self.notes.append((self.network.gone, self.network.note))
        self.now += seconds
        await asyncio.sleep(0)

    async def answer(self, *names: str, began: float = 0.0) -> None:
        for name in names:
            url = f"http://{name}.test/"
            assert not await self.network.lost(url, began, page(url))

    def fail(self, *names: str, fate: str = fates.CONNECT, again: bool = True):
        urls = [f"http://{name}.test/" for name in names]
        return [
            asyncio.ensure_future(self.network.lost(url, self.now, failure(url, fate, again)))
            for url in urls
        ]


def simulate(scenario):
    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fate", "again"),
    [
        (fates.CONNECT, True),
        (fates.DNS, True),
        (fates.TIMEOUT, True),
        (fates.TOO_SLOW, False),
        (fates.ROBOTS_UNREACHABLE, True),
    ],
)
def test_an_hour_without_a_network_counts_against_nobody(fate, again, caplog):
    async def scenario():
        web = Simulated(back=HOUR)
        await web.answer("a", "b", "c")
        found = await asyncio.gather(*web.fail("d", "e", fate=fate, again=again))
        return found, web

    with caplog.at_level(logging.WARNING):
        found, web = simulate(scenario)
    assert found == [True, True]
    assert HOUR <= web.now <= HOUR + LONGEST
    assert web.looks < 3 * 70, "it looks once a minute, at three hosts"
    assert not web.network.gone
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the network is gone",
        f"the network is back after {web.now:.0f} s; the crawl goes on",
    ]


def test_while_it_is_gone_it_is_said_and_nobody_is_to_be_asked():
    async def scenario():
        web = Simulated(back=HOUR)
        await web.answer("a", "b", "c")
        await asyncio.gather(*web.fail("d"))
        return web.notes, web.network.note

    notes, after = simulate(scenario)
    said = "the network has been gone for {} s"
    assert notes[:3] == [(True, said.format(seconds)) for seconds in (0, 5, 15)]
    assert after == ""


def test_a_dead_host_in_a_network_that_is_there_counts_at_once():
    async def scenario():
        web = Simulated(back=0.0)
        await web.answer("a")
        return await asyncio.gather(*web.fail("d")), web.now, web.looks

    assert simulate(scenario) == ([False], 0.0, 1)


def test_an_answer_to_a_later_request_makes_failures_count_and_one_to_an_earlier_does_not():
    async def scenario():
        web = Simulated(back=HOUR, busy=True)
        web.now = 10.0
        (held,) = web.fail("d")
        await asyncio.sleep(0)
        await web.answer("a", began=9.0)
        await asyncio.sleep(0)
        before = held.done()
        await web.answer("a", began=11.0)
        return before, await held, web.looks

    assert simulate(scenario) == (False, False, 0)


def test_many_failures_are_looked_into_while_others_are_still_being_asked():
    async def scenario():
        web = Simulated(back=HOUR, busy=True)
        await web.answer("a", "b", "c")
        fewer = web.fail(*(f"d{n}" for n in range(SUSPECTS - 1)))
        await asyncio.sleep(0)
        before = web.looks
        return before, await asyncio.gather(*fewer, *web.fail("e"))

    assert simulate(scenario) == (0, [True] * SUSPECTS)


def test_where_nobody_ever_answered_a_few_dead_hosts_prove_nothing_and_more_cost_an_hour():
    async def scenario(count):
        web = Simulated(back=float("inf"))
        found = await asyncio.gather(*web.fail(*(f"d{n}" for n in range(count))))
        return found, web.now

    assert simulate(lambda: scenario(FEW - 1)) == ([False] * (FEW - 1), 0.0)
    found, waited = simulate(lambda: scenario(FEW))
    assert found == [False] * FEW
    assert BLIND < waited <= BLIND + LONGEST


@pytest.mark.parametrize("fate", [fates.BAD_HTTP, fates.HTTP_5XX, fates.EMPTY])
def test_what_a_host_itself_does_is_never_held(fate):
    async def scenario():
        web = Simulated(back=HOUR)
        return await asyncio.gather(*web.fail("a", fate=fate)), web.looks

    assert simulate(scenario) == ([False], 0)


def test_a_name_that_does_not_exist_is_never_held():
    async def scenario():
        web = Simulated(back=HOUR)
        return await asyncio.gather(*web.fail("a", fate=fates.DNS, again=False)), web.looks

    assert simulate(scenario) == ([False], 0)


class Lost(FakeWeb):
    """A web that cannot be reached between two of its requests."""

    def __init__(self, first: int, looks: int) -> None:
        super().__init__(self.answering)
        self.first, self.looks, self.forgotten = first, looks, 0

    @property
    def away(self) -> bool:
        return len(self.asked) > self.first and self.looks > 0

    def answering(self, url, _times):
        return failure(url, fates.CONNECT, again=True) if self.away else page(url)

    async def reachable(self, url):
        self.looks -= self.away
        return not self.away

    def forget_failures(self):
        self.forgotten += 1


def test_a_crawl_without_a_network_waits_and_marks_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(outage, "FIRST", 0.01)
    monkeypatch.setattr(loop, "GATHER", 0.01)
    urls = [[f"http://h{i}.test/{j}" for i in range(12) for j in range(3)]]
    out = Directory(tmp_path / "pages")
    out.path.mkdir()
    web = Lost(first=10, looks=20)
    (passage,) = crawl(EAGER, links(tmp_path / "links", *urls), out, fetcher=web)
    assert (passage.read, passage.kept) == (36, 36)
    rows = [row for path in out.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert {row["attempts"] for row in rows} == {1}
    assert web.forgotten


class Unplugged(Server):
    """A web on loopback whose port is closed for a while once it was asked so often."""

    def __init__(self, after: int, seconds: float) -> None:
        super().__init__()
        self.after, self.seconds, self.closed = after, seconds, 0.0
        self.listening = None

    def _serve(self):
        self.listening = self._loop.run_until_complete(
            asyncio.start_server(self._answer, "127.0.0.1", 0)
        )
        self.port = self.listening.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self.listening.close()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _answer(self, reader, writer):
        await super()._answer(reader, writer)
        if self.asked == self.after:
            self.listening.close()
            self.closed = time.monotonic()
            await asyncio.sleep(self.seconds)
            self.listening = await asyncio.start_server(self._answer, "127.0.0.1", self.port)


def test_a_web_on_loopback_that_goes_away_and_comes_back_is_crawled_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(outage, "FIRST", 0.1)
    monkeypatch.setattr(loop, "GATHER", 0.01)
    (tmp_path / "pages").mkdir()
    urls = hosts(12)  # h13.test, which fails by itself, is not among them
    made = links(tmp_path / "links", *urls)
    said = []
    with Unplugged(after=15, seconds=2.0) as server:
        crawl(
            settings(server.port),
            made,
            Directory(tmp_path / "pages"),
            progress=lambda _done, _total, note="": said.append(note),
        )
        assert server.closed
    rows = conserved(tmp_path, urls)
    check(rows, server)
    assert all(row["attempts"] == 1 for row in rows if row["status"] == 200 and not odd(row))
    assert any("the network has been gone for" in note for note in said)
    assert threading.active_count() < 20


def odd(row):
    """Whether the server asks for a second attempt at this page."""
    return sum(row["url"].removeprefix("http://").encode()) % 10 == 1
