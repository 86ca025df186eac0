"""A crawl whose parts are tasks of a runner fetches what one crawl does, whoever is lost."""

import gzip
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.pipeline.crawl.fakes import EAGER, FakeWeb, dying, failure, links, page, unsteady
from tests.pipeline.crawl.survival import conserved
from tests.pipeline.crawl.test_recovery import archives, noted
from webtext.pipeline.core import pool
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.division import dealing, divided, slices
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.meter import Meter, line
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink
from webtext.pipeline.urls.parts import dealt

BUSY = replace(EAGER, hosts_in_flight=5, max_delay=0)
FEW = [
    [f"http://h{i}.test/{j}" for i in range(s, 30, 3) for j in range(1 + i % 7)] for s in range(3)
]
EVERY = [url for shard in FEW for url in shard]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)
    monkeypatch.setattr(Meter, "every", 0.05)


class Hands:
    """A runner of this process, which does one item after another."""

    threads, shares = 1, True

    def __init__(self, size=3):
        self.size = size
        self.given = []

    def each(self, work, items, progress, total, lasting=None):
        figures, done = {}, [0]
        for item in items:
            self.given.append(str(item))

            def teller(units, now, item=item):
                done[0] += units
                figures[item] = now or {}
                progress(done[0], total, lasting(figures[item]))

            with pool.told(teller):
                work(item)
        assert done[0] == total
        return [None for _ in items]


def run(tmp_path, web, workers=1, settings=BUSY, progress=silent):
    out = Directory(tmp_path / "pages")
    out.path.mkdir(exist_ok=True)
    made = links(tmp_path / "links", *FEW)
    (passage,) = crawl(settings, made, out, workers, progress, web)
    assert not (out.path / schema.PARTS).exists()
    return passage


def resting(monkeypatch, *owners):
    """Rest no more; return the list of the parts that do from now on, and whether strictly."""
    rested = []
    for owner in owners:
        monkeypatch.setattr(
            owner, "rest", lambda one, strictly=False: rested.append((one.part, strictly))
        )
    return rested


def fates(rows):
    return {row["url"]: (row["dropped_by"], row["digest"], row["attempts"]) for row in rows}


def without_attempts(found):
    """Leave out what a failure that nobody wrote down changes: attempts, and a host given up."""
    return {url: row[:2] for url, row in found.items() if "h13." not in url}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "GATHER", 0.01)
        run(folder, FakeWeb(unsteady))
    return fates(conserved(folder, FEW))


def test_parts_fetch_what_one_crawl_fetches_and_each_host_is_asked_by_one(tmp_path, alone):
    web, hands, shown, of = FakeWeb(unsteady), Hands(), [], 5
    passage = run(tmp_path, web, hands, replace(BUSY, parts=of), lambda *args: shown.append(args))
    assert len(hands.given) == of
    assert fates(conserved(tmp_path, FEW)) == alone
    assert passage.read == len(EVERY)
    assert shown[-1][:2] == (len(EVERY), len(EVERY))
    assert any(re.match(rf"{of} parts: \d+\.\d pages/s, ", note) for _, _, note in shown)
    names = {path.name for path in (tmp_path / "pages").glob("*.warc.gz")}
    assert {re.sub(r"\d{5}", "", name, count=1) for name in names} == {
        f"-p{number}of{of}.warc.gz" for number in range(1, of + 1)
    }


def test_a_part_whose_worker_is_lost_goes_on_from_what_it_wrote(tmp_path, alone, monkeypatch):
    web, lost = FakeWeb(unsteady, latency=0.002), []

    class Losing(Hands):
        def each(self, work, items, *more, **how):
            with dying(monkeypatch, Sink, "write", 15):
                work(items[0])
            lost.append((len(web.asked), noted(archives(tmp_path))))
            return super().each(work, items, *more, **how)

    run(tmp_path, web, Losing())
    found = fates(conserved(tmp_path, FEW))
    assert without_attempts(found) == without_attempts(alone)
    ((asked, written),) = lost
    assert len(written) > 9
    assert not written & {url for _, url in web.asked[asked:]}


@pytest.mark.parametrize("then", [2, None], ids=str)
def test_a_crawl_that_was_stopped_goes_on_in_any_number_of_parts(
    tmp_path, alone, monkeypatch, then
):
    web = FakeWeb(unsteady, latency=0.002)
    with dying(monkeypatch, Sink, "write", 25):
        run(tmp_path, web, Hands(3))
    before = {path: path.read_bytes() for path in (tmp_path / "pages").glob("*.warc.gz")}
    run(tmp_path, web, Hands(then) if then else 1)
    found = fates(conserved(tmp_path, FEW))
    assert without_attempts(found) == without_attempts(alone)
    assert all(path.read_bytes().startswith(data) for path, data in before.items())


def test_what_a_part_is_told_to_end_it_writes_down(tmp_path, alone):
    web = FakeWeb(unsteady, latency=0.02)

    class Ending(Hands):
        def each(self, work, items, *_, **__):
            def teller(_units, figures):
                if figures and figures["kept"]:
                    raise KeyboardInterrupt

            with pool.told(teller):
                work(items[0])

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, web, Ending(), replace(BUSY, hosts_in_flight=1))
    asked = len(web.asked)
    assert 0 < asked < len(EVERY)
    run(tmp_path, web, Hands(), replace(BUSY, hosts_in_flight=1))
    # a request may be under way at the end, and what would have failed is asked for again
    assert without_attempts(fates(conserved(tmp_path, FEW))) == without_attempts(alone)
    tries = Counter(url for _, url in web.asked)
    assert sum(times - min(alone[url][2], times) for url, times in tries.items()) <= 6


def test_what_redirects_lead_to_in_another_part_is_fetched_at_the_end(tmp_path, monkeypatch):
    rested = resting(monkeypatch, divided)

    class Divided(FakeWeb):
        def __call__(self, settings, gate):
            self.part = settings.part
            return super().__call__(settings, gate)

    def answer(url, _times):
        if web.part and dealt(url.split("/")[2], 3) == 2:
            return failure(url, "crawl.other_part")
        return page(url, url.encode())

    web = Divided(answer)
    run(tmp_path, web, Hands())
    rows = conserved(tmp_path, FEW)
    assert {row["dropped_by"] for row in rows} == {None}
    tries = Counter(url for _, url in web.asked)
    twice = {url for url in EVERY if dealt(url.split("/")[2], 3) == 2}
    assert tries == Counter(EVERY) + Counter(twice)
    assert rested == [("", True)]
    assert {row["warc_file"] for row in rows if row["url"] in twice} <= {
        f"{number:05d}.warc.gz" for number in range(3)
    }


def test_a_crawl_that_goes_on_asks_nobody_until_the_delays_are_over(tmp_path, monkeypatch):
    now = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds):
            now[0] += seconds

    monkeypatch.setattr(dealing, "time", Clock)
    dealing.rest(Crawl(delay=5, delay_per_ip=2))
    assert now[0] == 5
    dealing.rest(Crawl(delay=5, delay_per_ip=2, part="1/4"))
    assert now[0] == 5 + 5
    dealing.rest(Crawl(delay=1, delay_per_ip=2, part="1/4"))
    assert now[0] == 5 + 5 + 2
    rested = resting(monkeypatch, divided)
    with dying(monkeypatch, Sink, "write", 25):
        run(tmp_path, FakeWeb(), Hands(2))
    assert rested == []
    run(tmp_path, FakeWeb(), Hands(2))
    assert rested == [("1/2", True), ("2/2", True)]


@pytest.mark.parametrize("then", [2, None], ids=str)
def test_a_command_that_died_before_it_had_a_file_may_have_asked(tmp_path, monkeypatch, then):
    rested = resting(monkeypatch, divided, dealing)
    with dying(monkeypatch, loop.Loop, "run", 1):
        run(tmp_path, FakeWeb(), Hands(2))
    assert rested == []
    run(tmp_path, FakeWeb(), Hands(then) if then else 1)
    assert rested == ([("1/2", True), ("2/2", True)] if then else [("", True)])


def test_a_part_that_a_living_worker_holds_is_not_begun_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(divided, "LOCKED_SECONDS", 0.1)
    monkeypatch.setattr(divided, "LOOK_SECONDS", 0.01)

    class Doubling(Hands):
        def each(self, work, items, *_, **__):
            held = divided.claimed(items[0].folder / schema.NAME, BUSY)
            try:
                work(items[0])
            finally:
                held.close()

    with pytest.raises(divided.LockedError, match=r"parts/1of3/frontier.sqlite: another crawl"):
        run(tmp_path, FakeWeb(), Doubling())


def test_figures_are_told_in_words_with_the_most_frequent_failures():
    figures = {"pages/s": 1234.56, "hosts parked": 0, "kept": 0, "unchanged": 3}
    figures |= {
        f"crawl.{name}": count for name, count in zip("abcde", (3, 0, 9, 1, 5), strict=True)
    }
    assert line(figures) == "1,234.6 pages/s, 0 kept, 3 unchanged, c 9, e 5, a 3"
    assert line({"kept": 1}, "the network is gone") == "the network is gone, 1 kept"


def test_whom_a_host_wanted_to_be_left_alone_by_is_known_to_its_next_part(tmp_path):
    def answer(url, _times):
        alone = "h7." in url
        return failure(url, "crawl.timeout", again=True) if alone else page(url)

    class Ending(Hands):
        def each(self, work, items, *_, **__):
            def teller(_units, figures):
                if figures and figures.get("hosts parked") and not figures["hosts"]:
                    raise KeyboardInterrupt

            self.seen = {}
            for item in items:
                with pool.told(teller), suppress(KeyboardInterrupt):
                    work(item)
                part = Frontier(item.folder / schema.NAME)
                query = "SELECT name, not_before, errors FROM host WHERE name LIKE 'h7.%'"
                self.seen |= {name: told for name, *told in part.db.execute(query)}
                part.close()
            raise KeyboardInterrupt

    slow, found = replace(BUSY, backoff=1000), []
    for size in (2, 3):
        hands = Ending(size)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, FakeWeb(answer), hands, slow)
        found.append(hands.seen)
    ((until, errors),) = found[0].values()
    assert until > time.time() + 900
    assert errors == 1
    assert found[1] == {"h7.test": [pytest.approx(until, abs=1), 1]}


class Apart(Hands):
    """A runner whose workers do not see the data directory."""

    shares = False
    rounds = 0

    def each(self, work, items, progress, total, lasting=None):
        self.rounds += 1
        figures, done = {}, {}
        results = []
        for item in items:

            def teller(units, now, item=item):
                done[item] = done.get(item, 0) + units
                figures[item] = now or {}
                progress(sum(done.values()), total, lasting(figures[item]))

            with pool.told(teller):
                results.append(work(item))
        return results


BRIEF = replace(BUSY, hosts_in_flight=2)


def test_workers_that_see_no_directory_crawl_slice_by_slice(tmp_path, alone, monkeypatch):
    monkeypatch.setattr(slices, "SECONDS", 0.15)
    web, apart, shown, lost = FakeWeb(unsteady, latency=0.01), Apart(2), [], []
    whole = slices.crawl_slice

    def losing(settings, fetcher, seconds, portion):
        if apart.rounds == 2 and not lost:
            with dying(monkeypatch, Sink, "write", 2):
                whole(settings, fetcher, seconds, portion)
            lost.append((len(web.asked), noted(archives(tmp_path))))
        return whole(settings, fetcher, seconds, portion)

    monkeypatch.setattr(slices, "crawl_slice", losing)
    run(tmp_path, web, apart, BRIEF, lambda *args: shown.append(args[:2]))
    assert without_attempts(fates(conserved(tmp_path, FEW))) == without_attempts(alone)
    assert apart.rounds > 2
    ((asked, written),) = lost
    assert written
    assert not written & {url for _, url in web.asked[asked:]}
    assert shown[-1] == (len(EVERY), len(EVERY))
    assert [done for done, _ in shown] == sorted(done for done, _ in shown)


def test_slices_that_came_before_the_command_died_are_kept(tmp_path, alone, monkeypatch):
    monkeypatch.setattr(slices, "SECONDS", 0.15)
    web, apart = FakeWeb(unsteady, latency=0.01), Apart(2)
    with dying(monkeypatch, slices, "taken", 3):  # one part's second slice is not appended yet
        run(tmp_path, web, apart, BRIEF)
    asked = len(web.asked)
    came = {path: path.read_bytes() for path in (tmp_path / "pages" / schema.PARTS).glob("*/*@*@*")}
    assert came
    run(tmp_path, web, 1)
    assert without_attempts(fates(conserved(tmp_path, FEW))) == without_attempts(alone)
    held = b"".join(archives(tmp_path).values())
    assert all(data in held for data in came.values())
    text = b"".join(map(gzip.decompress, came.values())).decode()
    had = set(re.findall(r"WARC-Target-URI: (\S+)", text))
    assert not had & {url for _, url in web.asked[asked:]}
