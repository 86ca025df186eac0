"""What is forgotten is recorded once, checked, and asked for in no way."""

import json
import pickle
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tests.pipeline.crawl.fakes import EAGER, FakeWeb, links, page
from tests.pipeline.crawl.frontier.test_held import asked, crawled
from tests.web.case import HTML, to
from tests.web.case import page as answer
from tests.web.fetching import fetched
from tests.web.server import Site
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.crawl.http import loop
from webtext.pipeline.insight.purging.searching import batches
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.urls import forgotten
from webtext.pipeline.urls.urls import url_id

ASKED = ["gone.test", "https://www.kept.test/one/#top"]


def forget(data, *names, reason="asked by mail"):
    return forgotten.record(data, [forgotten.request(name) for name in names], reason)


def test_what_is_recorded_holds_for_every_spelling_and_names_nobody(tmp_path):
    assert len(forget(tmp_path, *ASKED)) == 2
    assert forget(tmp_path, "www.gone.test", "http://kept.test/one") == []  # known already
    found = forgotten.read(tmp_path)
    for url in ("http://gone.test/", "https://a.b.gone.test:8080/x?y", "http://kept.test/one?"):
        assert found(url), url
    for url in ("http://notgone.test/", "http://kept.test/one/two", "http://test/", None, "no"):
        assert not found(url), url
    text = (tmp_path / forgotten.FILE).read_text()
    assert "gone.test" not in text
    assert "kept.test" not in text
    assert found.find("http://gone.test/").reason == "asked by mail"


def test_lines_are_only_added_and_no_edit_goes_unnoticed(tmp_path):
    path = tmp_path / forgotten.FILE
    forget(tmp_path, ASKED[0])
    before = path.read_bytes()
    forget(tmp_path, ASKED[1], reason="again")
    assert path.read_bytes().startswith(before)
    first, second = path.read_bytes().splitlines()
    edited = json.loads(first) | {"reason": "another"}
    for lines in ([second], [second, first], [json.dumps(edited).encode(), second], [first[:-9]]):
        path.write_bytes(b"\n".join(lines))
        with pytest.raises(UserError, match="line 1 is damaged"):
            forgotten.read(tmp_path)


@pytest.mark.parametrize("said", ["", "nothing", "example.com/page", "ftp://a.test/", "a b.test"])
def test_what_is_neither_page_nor_site_is_refused(said):
    with pytest.raises(UserError, match="no"):
        forgotten.request(said)


def test_www_is_the_site_itself_where_only_a_public_suffix_is_left(tmp_path):
    names = ["www.gov.uk", "www.nhs.uk", "www.gob.mx", "www.gone.test", "www.a.co.uk"]
    found = [forgotten.request(name).name for name in names]
    assert found == [*names[:3], "gone.test", "a.co.uk"]
    forget(tmp_path, *names)
    left_out = forgotten.read(tmp_path)
    assert left_out("https://www.gov.uk/tax")
    assert left_out("https://blog.a.co.uk/")
    assert not left_out("https://hmrc.gov.uk/", "https://trust.nhs.uk/", "https://b.co.uk/")


@pytest.mark.parametrize("said", ["gov.uk", "*.co.uk", "GOB.mx.", "any.ck"])
def test_what_sites_of_many_owners_are_under_is_refused(said):
    assert forgotten.request("www.ck").name == "www.ck"  # the list's exception from *.ck
    with pytest.raises(UserError, match="sites of many owners are under this public suffix"):
        forgotten.request(said)


class Walked(tuple):
    """Entries that count how often all of them are looked at."""

    __slots__ = ()
    times = 0

    def __iter__(self):
        type(self).times += 1
        return super().__iter__()

    def __hash__(self):
        type(self).times += 1
        return super().__hash__()


def test_many_urls_are_asked_about_for_one_look_at_the_requests(tmp_path):
    forget(tmp_path, *ASKED)
    found = forgotten.Forgotten(Walked(forgotten.read(tmp_path).entries))
    Walked.times = 0
    for number in range(50):
        assert found(f"http://gone.test/{number}", "http://kept.test/one")
        assert not found(f"http://{number}.test/")
    assert Walked.times <= 2  # pages, sites
    assert pickle.loads(pickle.dumps(found)).__dict__.keys() == {"entries"}


def test_a_harvest_counts_what_is_forgotten_and_writes_nothing_of_it(tmp_path):
    hosts = ["gone.test", "blog.gone.test", "kept.test", "other.test"]
    urls = [f"http://{host}/{path}" for host in hosts for path in ("one", "two")]
    dump = tmp_path / "RS.jsonl"
    records = [
        {"id": f"{n:x}", "url": url, "score": 5, "title": f"about {url}"}
        for n, url in enumerate(urls)
    ]
    dump.write_text("\n".join(map(json.dumps, records)))
    settings = Harvest(shards=3)
    for name in ("links-before", "links-after"):  # the second from what the first remembered
        (passage,) = harvest(settings, [dump], Directory(tmp_path / "data" / name), 0)
        if name == "links-before":
            assert (passage.read, passage.kept) == (8, 8)
            forget(tmp_path / "data", *ASKED)
    assert (passage.read, passage.kept, passage.dropped) == (8, 3, {"links.forgotten": 5})
    anew = Directory(tmp_path / "data" / "links-anew")  # from the dump itself
    assert harvest(replace(settings, remember=False), [dump], anew, 0) == [passage]
    for home in (tmp_path / "data" / "links-after", anew.path):
        kept = [row for path in Directory(home).shards() for row in read_shard(path).to_pylist()]
        assert {row["url"] for row in kept} == {urls[5], *urls[6:]}
        dropped = [pq.read_table(path) for path in sorted(home.glob("dropped/*.parquet"))]
        rows = [row for table in dropped for row in table.to_pylist()]
        assert {row["url"] for row in rows} == {None}
        assert {row["id"] for row in rows} == {url_id(url) for url in urls[:5]}
        assert not any(b"gone.test" in path.read_bytes() for path in home.rglob("*.parquet"))
    forget(tmp_path / "new", *ASKED)
    assert harvest(settings, [dump], Directory(tmp_path / "new" / "links-0"), 0) == [passage]
    (remembered,) = tmp_path.glob("new/.harvested/*/rows.arrow")
    told = [str(batch.to_pylist()) for batch in batches(remembered)]
    assert "other.test/one" in told[0]
    assert not [one for one in told if "gone.test" in one or "kept.test/one" in one]


def test_a_redirect_to_what_is_forgotten_is_not_followed(tmp_path):
    forget(tmp_path, "gone.test")
    sites = {"kept.test": Site(to("http://gone.test/secret")), "gone.test": Site(answer(HTML))}
    found, web = fetched(sites, "http://kept.test/", forgotten=forgotten.read(tmp_path))
    assert (found.fate, found.final_url, found.again) == (
        "crawl.forgotten", "http://kept.test/", False)  # fmt: skip
    assert not any(b"gone.test" in request for request in web.heard)
    found, web = fetched(sites, "http://kept.test/")
    assert found.fate is None  # it is the record that decides
    assert any(b"gone.test" in request for request in web.heard)


def test_earlier_archives_give_nothing_that_led_to_what_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "GATHER", 0.01)
    moved, stays = "http://moved.test/", "http://stays.test/"
    changes = {"final_url": "http://gone.test/", "redirects": (moved,)}
    first = FakeWeb(lambda url, _: page(url, **(changes if url == moved else {})))
    crawled(tmp_path, "one", [[moved, stays]], first)
    assert asked(first) == [moved, stays]
    forget(tmp_path, "gone.test")
    second = FakeWeb()
    crawled(tmp_path, "two", [[moved, stays]], second, replace(EAGER, hosts_in_flight=5))
    assert asked(second) == [moved]  # where it leads to now is another question
    assert links


def test_names_of_directories_change_with_what_is_forgotten_and_only_then(tmp_path):
    dump = tmp_path / "RS.jsonl"
    dump.write_text('{"url": "http://a.test/", "score": 9}\n')
    own = tmp_path / "own.jsonl"
    own.write_text('{"text": "a", "url": "http://a.test/"}\n')
    data = tmp_path / "data"

    def names(setting, path):
        return [
            one.home.name for one in Build(load("demo", [f"{setting} = ['{path}']"]), data).plan()
        ]

    for setting, path in (("links.sources", dump), ("documents.sources", own)):
        before = names(setting, path)
        assert names(setting, path) == before
        forget(data, f"{setting}.test")
        after = names(setting, path)
        assert not set(before) & set(after)
        assert names(setting, path) == after
