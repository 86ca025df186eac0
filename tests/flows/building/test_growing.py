"""A month that adds pages: what earlier months made of the same bytes is taken, and is the same."""

import hashlib
import json
import random

import pyarrow.parquet as pq
import pytest

from tests.flows.building.test_earlier_snapshots import story
from tests.pipeline.warcfile import http, record
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build, run_all
from webtext.pipeline.core import step
from webtext.pipeline.core.directories.former import former
from webtext.pipeline.core.shards import read_shard
from webtext.pipeline.dedup.signatures import sign
from webtext.pipeline.filters.measuring import reused
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.extraction.sandbox import Death

WORDS = "the harbour and its engine that have been of winter to be with a letter in the signal"
GERMAN = "Der Hafen und seine Maschine, die im Winter nicht gelaufen ist, waren nicht zu sehen. "
EDITING = ("rules.c4.enabled = true", "pii.enabled = true")
PAGES = 40


def body(number: int, version: int = 0) -> bytes:
    """Pages that fare differently: prose, too short, German, a list, nothing."""
    rng = random.Random(number + 1000 * version)
    said = " ".join(rng.choices(WORDS.split(), k=90)).capitalize()
    kinds = (
        f"<p>{story(number + 1000 * version)} Write to ann@lake.org [1] of it.</p>",
        f"<p>{said[:60]}.</p>",
        f"<p>{GERMAN * 9}</p>",
        "<ul>" + "".join(f"<li>- the {word} of it</li>" for word in said.split()) + "</ul>",
        "",
    )
    page = f"<!doctype html><html><body><article>{kinds[number % 5]}</article></body></html>"
    return page.encode()


def one(number: int, version: int = 0, kind: str = "text/html") -> bytes:
    found = body(number, version)
    digest = "sha1:" + hashlib.sha1(found).hexdigest()
    block = http(found, headers={"Content-Type": kind})
    where = f"http://site.test/{number}"
    return record(where, block, number=number, WARC_Payload_Digest=digest)


@pytest.fixture
def crawled(monkeypatch):
    """WARC files stand for a crawl here: their digests are of the bodies as they are read."""
    monkeypatch.setattr(reused, "_crawled", lambda _pages: True)


@pytest.fixture
def read(monkeypatch):
    """The URLs of the pages that were extracted, and how many texts were signed."""
    seen = {"pages": [], "texts": 0}
    article, signatures = Extract.article, sign.signatures

    def reading(self, page):
        seen["pages"].append(page.url.rpartition("/")[2])
        return article(self, page)

    def signing(settings, texts):
        seen["texts"] += len(texts)
        return signatures(settings, texts)

    monkeypatch.setattr(Extract, "article", reading)
    monkeypatch.setattr(sign, "signatures", signing)
    return seen


def planned(data, warc, more=()):
    links = (data.parent / warc).with_name("links.json")
    sources = [f"pages.warc = ['{data.parent / warc}']", f"links.sources = ['{links}']"]
    overrides = [*sources, "links.shards = 2", "links.shard_records = 1", *more]
    return Build(load("webtext", overrides), data).plan("signatures")


def built(data, warc, more=()):
    """Build up to the signatures; return the directories of documents and signatures."""
    steps = planned(data, warc, more)
    run_all(steps, data, workers=0)
    return [one.home.path for one in steps if one.name in ("documents", "signatures")]


def content(homes):
    return {
        f"{home.name}/{path.relative_to(home)}": path.read_bytes()
        for home in homes
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def february(january):
    """January's pages, of which some changed and one is gone, and new ones between them."""
    pages = dict(january)
    del pages[12]
    pages |= {0: one(0, version=1), 5: one(5, kind="application/xhtml+xml"), 15: one(15, version=1)}
    pages |= {n: one(n) for n in range(1, 2 * PAGES, 9)}
    return dict(sorted(pages.items()))


def link(number: int, month: str) -> str:
    """A submission, which has other people's scores each month."""
    score = 3 + (number * 7 + ord(month)) % 50
    said = {"id": f"p{number}", "url": f"http://site.test/{number}", "score": score,
            "subreddit": f"of_{month}", "created_utc": 1_400_000_000 + ord(month)}  # fmt: skip
    return json.dumps(said | {"title": "A page", "is_self": False, "over_18": False}) + "\n"


@pytest.fixture
def months(tmp_path):
    january = {n: one(n) for n in range(PAGES)}
    for name, pages in (("a", january), ("b", february(january))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pages.warc").write_bytes(b"".join(pages.values()))
        (folder / "links.json").write_text("".join(link(n, name) for n in pages))
    new = {str(n) for n in february(january) if n >= PAGES}
    return tmp_path, new | {"0", "5", "15"}


def test_a_month_reads_only_what_is_new_and_has_the_bytes_of_a_build_of_all(months, crawled, read):
    folder, new = months
    once = content(built(folder / "once", "b/pages.warc", EDITING))
    signed = read["texts"]
    built(folder / "grown", "a/pages.warc", EDITING)
    read["pages"].clear()
    read["texts"] = 0
    homes = built(folder / "grown", "b/pages.warc", EDITING)
    assert set(read["pages"]) == new
    assert len(read["pages"]) == len(new)
    assert 0 < read["texts"] < signed / 2
    assert content(homes) == once
    assert set(pq.read_table(homes[0] / "00000.parquet")["subreddit"].to_pylist()) == {"of_b"}
    fates = pq.read_table(homes[0] / "measures")["fate"].to_pylist()
    assert {fate.partition(".")[0] for fate in fates} >= {"kept", "extract", "language", "rules"}


def test_nothing_is_taken_from_what_was_made_in_another_way(months, monkeypatch):
    folder, _ = months
    data = folder / "data"
    homes = built(data, "a/pages.warc")
    *before, documents, _ = planned(data, "b/pages.warc")
    run_all(before, data, workers=0)
    # The digests in others' WARC files are what those files say, and nobody has checked them.
    assert reused.former_documents(documents) is None
    found = former(documents)
    assert found
    assert found.home.path == homes[0]
    others = planned(data, "b/pages.warc", ["rules.gopher_quality.word_count.at_least = 40"])
    assert [former(one) for one in others if one.name == "documents"] == [None]
    with monkeypatch.context() as patch:
        by = step.made_by(documents.step)
        patch.setattr("webtext.pipeline.core.directories.former.made_by",
                      lambda _step: by | {"code": "another"})  # fmt: skip
        assert former(documents) is None
    (data / found.inputs[0].name / "manifest.json").unlink()
    assert former(documents) is None


def test_a_page_whose_reading_failed_for_want_of_time_is_read_again(
    months, crawled, read, monkeypatch
):
    folder, _ = months
    data = folder / "data"
    with monkeypatch.context() as patch:
        patch.setattr(Extract, "_sandbox", with_timeouts(Extract._sandbox))
        built(data, "a/pages.warc")
    read["pages"].clear()
    (folder / "a" / "pages.warc").rename(folder / "a" / "again.warc")
    built(data, "a/again.warc")
    assert set(read["pages"]) == {"3", "4"}


def with_timeouts(sandbox):
    """Return what reads pages as `sandbox` does, but for two."""
    late = ("/3", "/4")
    return lambda self: (
        lambda page: Death.TIMEOUT if page.url.endswith(late) else sandbox(self)(page)
    )


def test_a_damaged_file_of_an_earlier_month_costs_only_time(months, crawled, read, caplog):
    folder, _ = months
    once = content(built(folder / "once", "b/pages.warc"))
    documents, signatures = built(folder / "grown", "a/pages.warc")
    for path in (documents / "dropped" / "00000.parquet", signatures / "00000.parquet"):
        spoilt = bytearray(path.read_bytes())
        spoilt[len(spoilt) // 2] ^= 1
        path.write_bytes(spoilt)
    read["pages"].clear()
    homes = built(folder / "grown", "b/pages.warc")
    assert len(read["pages"]) == len(read_shard(homes[0] / "measures" / "00000.parquet"))
    assert "read again" in caplog.text
    assert "signed again" in caplog.text
    assert content(homes) == once
