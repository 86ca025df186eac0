"""Slices of a part lose no page, and ask nobody too soon, whoever dies in the middle of them."""

import errno
from collections import Counter

import pytest

from tests.pipeline.crawl.fakes import FakeWeb, dying, unsteady
from tests.pipeline.crawl.survival import conserved
from tests.pipeline.crawl.test_divided import BRIEF, EVERY, FEW, Apart, Hands, resting, run
from tests.pipeline.crawl.test_recovery import archives, noted
from webtext.pipeline.crawl.division import dealing, divided, slices
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.insight.purging import purge
from webtext.pipeline.insight.purging.searching import left
from webtext.pipeline.urls import forgotten
from webtext.pipeline.urls.parts import Part


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)


def test_a_slice_that_another_try_of_it_may_have_asked_for_rests(tmp_path, monkeypatch):
    class Losing(Apart):
        def each(self, work, items, *more, **how):
            with dying(monkeypatch, loop.Loop, "run", 1):
                work(items[0])
            return super().each(work, items, *more, **how)

    rested = resting(monkeypatch, slices)
    run(tmp_path, FakeWeb(), Losing(2), BRIEF)
    assert rested[-2:] == [("1/2", True), ("2/2", True)]


def test_no_byte_of_a_slice_is_lost_when_appending_it_is_cut_off_or_it_came_twice(
    tmp_path, monkeypatch
):
    part = dealing.Portion(tmp_path, Part(1, 2), (), asked=False)
    part.folder.mkdir(parents=True)
    name, whole, twice = "00000-p1of2.warc.gz", bytes(range(256)) * 8, b"other bytes" * 9
    (part.folder / f"{name}@0@b").write_bytes(whole)
    (part.folder / f"{name}@0@c").write_bytes(twice)

    def full(source, target, _length):
        target.write(source.read(700))
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(slices.shutil, "copyfileobj", full)
            with pytest.raises(OSError, match="No space"):
                slices.taken(part, slices.Slice(done=True, token="b"))
    assert (tmp_path / name).stat().st_size == 1400
    frontier = Frontier(tmp_path / schema.NAME)
    divided.join(frontier, tmp_path, BRIEF)
    frontier.close()
    assert (tmp_path / name).read_bytes() == whole
    assert [path.read_bytes() for path in (tmp_path / "torn").iterdir()] == [twice]


@pytest.mark.parametrize("runner", [Hands, Apart])
def test_a_part_whose_frontier_is_damaged_at_its_end_is_read_from_its_files(
    tmp_path, caplog, runner
):
    class Spoiling(runner):
        def each(self, work, items, *more, **how):
            found = super().each(work, items, *more, **how)
            (path,) = items[0].folder.glob("*.sqlite")
            path.write_bytes(b"junk" * 5000)
            return found

    web = FakeWeb()
    run(tmp_path, web, Spoiling(), BRIEF)
    conserved(tmp_path, FEW)
    assert Counter(url for _, url in web.asked) == Counter(EVERY)
    assert "which was set aside in " in caplog.text
    assert "set aside in None" not in caplog.text


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_slice_that_begins_with_a_damaged_frontier_asks_for_nothing_again(
    tmp_path, monkeypatch, caplog, all_of_it
):
    monkeypatch.setattr(slices, "SECONDS", 0.15)
    resting(monkeypatch, slices, divided)
    web, had = FakeWeb(unsteady, latency=0.01), []

    class Spoiling(Apart):
        def each(self, work, items, *more, **how):
            if self.rounds == 1:
                had.append((len(web.asked), noted(archives(tmp_path))))
                for item in items:
                    path = slices.frontier_of(item)
                    data = path.read_bytes()
                    start = 0 if all_of_it else data.rindex(b"http://") & ~4095  # a page of rows
                    path.write_bytes(data[:start] + b"junk" * 1024 + data[start + 4096 :])
            return super().each(work, items, *more, **how)

    apart = Spoiling(2)
    run(tmp_path, web, apart, BRIEF)
    conserved(tmp_path, FEW)
    ((asked, written),) = had
    assert 0 < len(written) < len(EVERY)
    assert not written & {url for _, url in web.asked[asked:]}
    assert caplog.text.count("a new one was made from the WARC files of part ") == 2
    assert apart.rounds > 2


@pytest.mark.parametrize("times", [1, 2], ids=["no WARC file yet", "one part appended"])
def test_a_purge_takes_out_of_slices_that_wait_what_is_forgotten_and_keeps_the_rest(
    tmp_path, monkeypatch, times
):
    with dying(monkeypatch, slices, "taken", times):
        run(tmp_path, FakeWeb(), Apart(2), BRIEF)
    home = tmp_path / "pages"
    assert len(slices.waiting(home)) == 3 * (3 - times)
    data = tmp_path / "data"
    data.mkdir()
    home = home.rename(data / "pages-0123abcd")
    forgotten.record(data, [forgotten.request("h7.test")], "asked by mail")
    plan = purge.plan(data, ["pages"])
    assert not plan.removed
    assert not left(purge.purge(data, plan), data)
    assert not (home / schema.PARTS).exists()
    held = {path.name: path.read_bytes() for path in home.glob("*.warc.gz")}
    assert noted(held) == {url for url in EVERY if "h7.test" not in url}


def hosts(item):
    return {url.split("/")[2] for url in noted(dict([item]))}


def test_a_purge_keeps_of_what_fits_into_no_file_the_whole_pages_of_others(tmp_path):
    run(tmp_path, FakeWeb(), Apart(2), BRIEF)
    data = tmp_path / "data"
    data.mkdir()
    home = (tmp_path / "pages").rename(data / "pages-0123abcd")
    held = {path.name: path.read_bytes() for path in sorted(home.glob("*.warc.gz"))}
    (mixed, content), *_ = [item for item in held.items() if "h7.test" in hosts(item)]
    (other, innocent), *_ = [item for item in held.items() if "h7.test" not in hosts(item)]
    torn = home / "torn"
    torn.mkdir()
    (torn / f"{mixed}@0@b").write_bytes(content + content[: len(content) // 2][:-1])
    (torn / f"{other}@0@c").write_bytes(innocent)
    (torn / f"{mixed}.77").write_bytes(content[77:200])
    forgotten.record(data, [forgotten.request("h7.test")], "asked by mail")
    assert not left(purge.purge(data, purge.plan(data, ["pages"])), data)
    assert {path.name for path in torn.iterdir()} == {f"{mixed}@0@b", f"{other}@0@c"}
    assert (torn / f"{other}@0@c").read_bytes() == innocent
    kept = noted({mixed: (torn / f"{mixed}@0@b").read_bytes()})
    assert kept == {url for url in noted({mixed: content}) if "h7.test" not in url}
