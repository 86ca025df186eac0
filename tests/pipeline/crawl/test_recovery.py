"""What a crawl has fetched is kept and not fetched again, whatever else of it is lost."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.pipeline.crawl.fakes import EAGER, MANY, FakeWeb, dying, failure, links, page, unsteady
from tests.pipeline.crawl.survival import conserved
from webtext.pipeline.archive.warc_import import ImportWarc
from webtext.pipeline.build import Build, make
from webtext.pipeline.core.directories.keeping import set_aside_folders
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import outcomes
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.crawl.sink import Sink
from webtext.pipeline.crawl.step import STEP

BUSY = replace(EAGER, hosts_in_flight=5)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)


def run(tmp_path, web, urls=MANY):
    made = links(tmp_path / "links", *urls)
    out = Directory(tmp_path / "pages")
    out.path.mkdir(exist_ok=True)
    return crawl(BUSY, made, out, fetcher=web)


def half(tmp_path, monkeypatch, owner=Sink, step="write", times=60, go=run):
    """Crawl until it dies; return the web that was asked."""
    web = FakeWeb(unsteady, latency=0.002)
    with dying(monkeypatch, owner, step, times):
        go(tmp_path, web)
    return web


def archives(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "pages").glob("*.warc.gz")}


def noted(held):
    """Return the URLs whose outcome some WARC files hold, found without our reader."""
    text = b"".join(map(gzip.decompress, held.values())).decode("latin-1")
    return {json.loads(found)["url"] for found in re.findall(r"\noutcome: (.*)\r\n", text)}


def rows_of(tmp_path, pages=None):
    pages = pages or Directory(tmp_path / "pages")
    return [row for path in pages.shards("outcomes") for row in read_shard(path).to_pylist()]


def lose_frontier(tmp_path):
    for path in (tmp_path / "pages").glob("frontier.sqlite*"):
        path.unlink()


def spoil_frontier(tmp_path):
    for path in (tmp_path / "pages").glob("frontier.sqlite*"):
        path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize("loss", [lose_frontier, spoil_frontier])
def test_a_lost_frontier_costs_not_one_fetch(tmp_path, monkeypatch, loss):
    before = half(tmp_path, monkeypatch)
    held = archives(tmp_path)
    known = noted(held)
    loss(tmp_path)
    after = FakeWeb(unsteady)
    after.times.update(dict.fromkeys(before.times, 1))  # it has answered them once
    run(tmp_path, after)
    rows = conserved(tmp_path, MANY)
    assert all(archives(tmp_path)[name].startswith(was) for name, was in held.items())
    assert len(known) >= 60
    assert known.isdisjoint(url for _, url in after.asked)
    assert {None, "crawl.http_4xx"} <= {row["dropped_by"] for row in rows if row["url"] in known}


def test_a_frontier_lost_when_all_was_fetched_is_rebuilt_to_the_letter(tmp_path, monkeypatch):
    half(tmp_path, monkeypatch, owner=outcomes, step="archived", times=1)
    expected = rows_of(tmp_path)
    held = archives(tmp_path)
    lose_frontier(tmp_path)
    shutil.rmtree(tmp_path / "pages" / "outcomes")
    web = FakeWeb(unsteady)
    run(tmp_path, web)
    assert web.asked == []
    assert archives(tmp_path) == held
    rows = conserved(tmp_path, MANY)
    told = {row["url"]: row for row in expected}
    for row in rows:
        # Who was given up last is not noted URL by URL, so attempts made in vain may be fewer.
        known = told[row["url"]]
        assert row | {"attempts": 0} == known | {"attempts": 0}


def test_what_an_earlier_version_archived_is_taken_up_too(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "note", lambda url, done: ("fetchTimeMs", "5"))
    urls = [["http://a.test/", "http://b.test/", "http://c.test/"]]
    web = FakeWeb(lambda url, _: failure(url, "crawl.tls") if "c." in url else page(url))
    monkeypatch.setattr(
        "webtext.pipeline.crawl.http.results.notes", lambda item, _: [("linked", item.url)]
    )
    run(tmp_path, web, urls)
    expected = rows_of(tmp_path)
    for path in ((tmp_path / "pages") / "outcomes").iterdir():
        path.unlink()
    (tmp_path / "pages" / "index.cdxj").unlink()
    again = FakeWeb(lambda url, _: failure(url, "crawl.tls"))
    run(tmp_path, again, urls)
    assert [url for _, url in again.asked] == ["http://c.test/"]
    same = ("url", "status", "digest", "warc_offset", "warc_length", "dropped_by", "body_bytes")
    assert [[row[name] for name in same] for row in rows_of(tmp_path)] == [
        [row[name] for name in same] for row in expected
    ]


def test_a_torn_end_is_kept_beside_the_files_and_the_files_read_clean(tmp_path, monkeypatch):
    half(tmp_path, monkeypatch)
    name, was = max(archives(tmp_path).items(), key=lambda item: len(item[1]))
    tail = gzip.compress(b"WARC/1.1\r\nWARC-Type: response\r\n\r\nbegun")[:-9]
    (tmp_path / "pages" / name).write_bytes(was + tail)
    run(tmp_path, FakeWeb(unsteady))
    conserved(tmp_path, MANY)
    kept = [path.read_bytes() for path in (tmp_path / "pages" / "torn").iterdir()]
    assert any(data.endswith(tail) for data in kept)


def test_a_damaged_record_costs_itself_and_not_the_next(tmp_path, monkeypatch):
    half(tmp_path, monkeypatch, owner=outcomes, step="archived", times=1)
    rows = [row for row in rows_of(tmp_path) if row["warc_file"] == "00001.warc.gz"]
    lost = sorted(rows, key=lambda row: row["warc_offset"])[3]
    path = tmp_path / "pages" / "00001.warc.gz"
    data = bytearray(path.read_bytes())
    data[lost["warc_offset"] + 100] ^= 4
    path.write_bytes(data)
    lose_frontier(tmp_path)
    shutil.rmtree(tmp_path / "pages" / "outcomes")
    web = FakeWeb(unsteady)
    run(tmp_path, web)
    assert [url for _, url in web.asked] == [lost["url"]]
    assert path.read_bytes().startswith(bytes(data))


# --- the step ------------------------------------------------------------------------------------


def whole_links(tmp_path, urls, **more):
    made = links(tmp_path / "links-00000000", *urls)
    made.finish({"stage": "links", "inputs": {}, "passages": [], **more})
    return made


def built(tmp_path, web, urls=MANY, **more):
    """Run the crawl as a step of a build; return its directory."""
    made = whole_links(tmp_path, urls, **more)
    step = replace(STEP, work=lambda one, *_: crawl(BUSY, made, one.home, fetcher=web))
    recipe = SimpleNamespace(crawl=BUSY, pages=ImportWarc())
    build = Build(recipe, tmp_path, (step,))
    whole = build.planned(step, {"links": made})
    if not whole.done:
        make(whole, 1, silent)
    assert whole.done
    return whole.home


def names(home):
    return {path.name: path.read_bytes() for path in home.path.glob("*.warc.gz")}


def test_links_that_were_made_again_leave_every_page_in_its_place(tmp_path, caplog):
    home = built(tmp_path, FakeWeb(unsteady))
    held = names(home)
    shutil.rmtree(tmp_path / "links-00000000")
    web = FakeWeb()
    assert built(tmp_path, web, libraries={"numpy": "another"}) == home
    assert web.asked == []
    assert names(home) == held
    assert "is taken up again from its own files" in caplog.text


def test_links_that_changed_cost_only_what_is_new(tmp_path):
    home = built(tmp_path, FakeWeb(unsteady))
    held = names(home)
    more = [[*shard, f"http://new{i}.test/"] for i, shard in enumerate(MANY)]
    fewer = [more[0][3:], *more[1:]]
    web = FakeWeb(unsteady)
    built(tmp_path, web, fewer)
    assert {url for _, url in web.asked} == {f"http://new{i}.test/" for i in range(3)}
    assert all(names(home)[name].startswith(was) for name, was in held.items())
    rows = [row for path in home.shards("outcomes") for row in read_shard(path).to_pylist()]
    assert [row["url"] for row in rows] == [url for shard in fewer for url in shard]
    (folder,) = [each for each in set_aside_folders(home.path) if (each / "outcomes").exists()]
    assert "inputs-changed" in folder.name


@pytest.mark.parametrize("name", ["manifest.json", "started.json"])
@pytest.mark.parametrize("text", [None, "", '{"inputs": '])
def test_a_lost_or_damaged_mark_costs_nothing(tmp_path, name, text):
    home = built(tmp_path, FakeWeb(unsteady))
    held = names(home)
    if name == "started.json":
        mark = {"inputs": home.manifest()["inputs"]}
        home.manifest_path.unlink()
        (home.path / name).write_text(json.dumps(mark))
    if text is None:
        (home.path / name).unlink()
    else:
        (home.path / name).write_text(text)
    web = FakeWeb()
    assert built(tmp_path, web) == home
    assert web.asked == []
    assert names(home) == held


def test_half_a_crawl_whose_links_changed_goes_on_with_what_it_has(tmp_path, monkeypatch):
    half(tmp_path, monkeypatch, go=built)
    (home,) = map(Directory, tmp_path.glob("pages-*"))
    held = names(home)
    again = FakeWeb(unsteady)
    built(tmp_path, again, libraries={"numpy": "another"})
    assert all(names(home)[name].startswith(was) for name, was in held.items())
    assert len(noted(held)) >= 60
    assert noted(held).isdisjoint(url for _, url in again.asked)


def test_what_is_damaged_in_every_place_is_fetched_anew_and_nothing_else(tmp_path):
    home = built(tmp_path, FakeWeb(unsteady))
    rows = rows_of(tmp_path, home)
    lost = sorted((row for row in rows if row["warc_file"]), key=lambda row: row["warc_offset"])[9]
    for name, at in ((lost["warc_file"], lost["warc_offset"] + 90), ("outcomes/00001.parquet", 60)):
        data = bytearray((home.path / name).read_bytes())
        data[at] ^= 1
        (home.path / name).write_bytes(data)
    home.manifest_path.unlink()
    web = FakeWeb(unsteady)
    built(tmp_path, web)
    assert [url for _, url in web.asked] == [lost["url"]]
    assert [row["url"] for row in rows_of(tmp_path, home)] == [row["url"] for row in rows]
