"""A new month against earlier ones, as a recipe says it, from WARC files to the corpus."""

import random
import shutil

import pytest

from tests.pipeline.warcfile import http, record
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories.data_directory import newest_of as latest
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import read_shard
from webtext.pipeline.insight.trace import describe
from webtext.pipeline.urls.urls import url_id

NOUNS = [
    "boat",
    "lake",
    "wood",
    "house",
    "garden",
    "letter",
    "engine",
    "winter",
    "museum",
    "signal",
    "river",
    "window",
]


def story(seed: int) -> str:
    """Return English that shares no sentence with that of another seed."""
    rng = random.Random(seed)
    sentences = [
        f"The {rng.choice(NOUNS)} of the {rng.choice(NOUNS)} was with the {rng.choice(NOUNS)} that "
        f"they have seen near the {rng.choice(NOUNS)} and {rng.choice(NOUNS)} number {seed}x{n}."
        for n in range(14)
    ]
    return " ".join(sentences)


def warc(path, pages):
    """Write a WARC file of pages by path of one site."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number, (name, text) in enumerate(pages.items()):
            body = f"<html><body><article><p>{text}</p></article></body></html>".encode()
            file.write(record(f"http://site.test/{name}", http(body), number=number))


def build(data, against=(), more=()):
    """Build a month; return its corpus' pages by name, and who is named for each dropped one."""
    overrides = [
        f"pages.warc = ['{data}.warc']",
        f"duplicates.against = {list(map(str, against))}",
        *more,
    ]
    Build(load("webtext", overrides), data).run("corpus", workers=0)
    corpus = latest(data, "corpus")
    kept = {url.rsplit("/", 1)[1] for path in corpus.shards() for url in urls_of(path)}
    duplicates = read_shard(latest(data, "duplicates").shard(0)).to_pylist()
    dropped = {row["id"]: row for row in duplicates if row["reason"]}
    return kept, dropped


def urls_of(path):
    return read_shard(path, ["url"])["url"].to_pylist()


def identity(name):
    return url_id(f"http://site.test/{name}")


@pytest.fixture
def months(tmp_path):
    """January's corpus, and what February's WARC file holds."""
    warc(tmp_path / "2016-01.warc", {"a": story(1), "b": story(2), "c": story(3)})
    february = {
        "a": story(4),  # the same URL, rewritten
        "d": story(2) + " And so it came to an end.",  # like b
        "e": story(5),
        "f": story(5),
    }
    warc(tmp_path / "2016-02.warc", february)
    kept, _ = build(tmp_path / "2016-01")
    assert kept == {"a", "b", "c"}
    for made in ("pages", "documents", "corpus"):  # signatures and duplicates are enough
        for path in (tmp_path / "2016-01").glob(f"{made}-*"):
            shutil.rmtree(path)
    return tmp_path


def test_a_new_month_leaves_out_what_an_earlier_one_kept(months):
    kept, dropped = build(months / "2016-02", [months / "2016-01"])
    assert len(kept) == 1
    assert kept < {"e", "f"}
    again, copy = dropped[identity("a")], dropped[identity("d")]
    assert (again["reason"], again["keeper"], again["snapshot"]) == (
        "dedup.url",
        identity("a"),
        "2016-01",
    )
    assert again["jaccard"] < 0.3
    assert (copy["reason"], copy["keeper"]) == ("dedup.near", identity("b"))
    assert copy["jaccard"] > 0.8
    line = Build(None, months / "2016-02").funnel()["stages"][-1]
    assert line["dropped"] == {"dedup.exact": 1, "dedup.near": 1, "dedup.url": 1}
    told = describe(Build(None, months / "2016-02").follow("http://site.test/a"))
    assert "a redirect led to the page of the document kept" in told
    assert "of the snapshot 2016-01" in told


def test_a_month_is_compared_with_what_the_scope_says(months):
    index = build(months / "2016-02", [months / "2016-01"], ["duplicates.scope = 'index'"])
    assert index[0] == {"e", "f"}
    alone = build(months / "2016-02", [months / "2016-01"], ["duplicates.scope = 'snapshot'"])
    assert alone[0] >= {"a", "d"}
    assert len(alone[0]) == 3


def test_a_month_that_is_named_no_more_gives_back_what_it_had_taken(months):
    build(months / "2016-02", [months / "2016-01"])
    signed = latest(months / "2016-02", "signatures")
    before = signed.manifest_path.stat().st_mtime_ns
    kept, _ = build(months / "2016-02")
    assert kept >= {"a", "d"}
    assert signed.manifest_path.stat().st_mtime_ns == before  # no text was read or signed again
    shutil.rmtree(months / "2016-01")
    assert build(months / "2016-02")[0] == kept


@pytest.mark.parametrize(
    ("against", "said"),
    [
        (["2015-12"], "2015-12: no whole signatures directory yet"),
        (["2016-02"], "is the data directory of this build"),
        (["2016-01", "x/2016-01"], "another snapshot is called 2016-01 too"),
    ],
)
def test_a_snapshot_that_cannot_be_compared_with_is_a_clear_error(months, against, said):
    (months / "x").mkdir()
    shutil.copytree(months / "2016-01", months / "x" / "2016-01")
    with pytest.raises(UserError, match=said):
        build(months / "2016-02", [months / name for name in against])


def test_paragraphs_that_several_pages_have_can_be_taken_out_on_the_way(tmp_path):
    notice = "This is the notice that each of the pages of the site has at its end and no other."
    pages = {name: f"{story(n)}</p><p>{notice}" for n, name in enumerate("abc")}
    warc(tmp_path / "x.warc", pages)
    kept, _ = build(
        tmp_path / "x", more=["paragraphs.enabled = true", "paragraphs.keep_words = 10"]
    )
    assert kept == {"a", "b", "c"}
    texts = read_shard(latest(tmp_path / "x", "corpus").shard(0), ["text"])["text"].to_pylist()
    assert sum(notice in text for text in texts) == 1
    stages = {line["stage"]: line for line in Build(None, tmp_path / "x").funnel()["stages"]}
    assert (stages["paragraphs"]["read"], stages["paragraphs"]["kept"]) == (3, 3)
    assert "characters that no other page has" in describe(
        Build(None, tmp_path / "x").follow("http://site.test/a")
    )
