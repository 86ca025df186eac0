import hashlib
import json
import shutil
from collections import Counter
from itertools import chain

import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.records import CORPUS, CORPUS_DROPPED
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.corpus import card
from webtext.pipeline.corpus.croissant import write_croissant
from webtext.pipeline.steps import STEPS


@pytest.fixture
def corpus(tmp_path):
    rows = [
        fake_data.document(number) | {"bytes": 1000 + number, "duplicates": number % 3}
        for number in range(30)
    ]
    rows[0] |= {"language": None, "domain": "we|ird<b>.example", "score": None, "linked": None}
    directory = Directory(tmp_path / "corpus-1")
    fake_data.write(directory.shard(0), rows[:20], CORPUS)
    fake_data.write(directory.shard(1), rows[20:], CORPUS)
    return directory


def test_every_column_of_the_corpus_is_explained():
    assert list(card.COLUMNS) == CORPUS.names


def test_statistics_count_every_document_in_each_table(corpus):
    found = card.statistics(corpus)
    assert (found["documents"], found["bytes"]) == (30, sum(range(1000, 1030)))
    for name in ("languages", "scores", "months_linked", "cluster_sizes", "bytes_histogram"):
        assert sum(found[name].values()) == 30
    assert found["languages"] == {"en": 29, "unknown": 1}
    assert found["cluster_sizes"] == {"1": 10, "2": 10, "3": 10}
    assert found["bytes_histogram"] == {"512": 24, "1024": 6}
    assert found["months_linked"]["2013-02"] == 3  # days 33, 44 and 55 of the year
    assert found["bytes_percentiles"]["p50"] in {1014, 1015}
    assert next(iter(found["top_domains"])) == "site1.example"


def test_an_empty_corpus_has_statistics_and_a_card(tmp_path):
    directory = Directory(tmp_path / "corpus-1")
    fake_data.write(directory.shard(0), [], CORPUS)
    card.write_card(
        "nothing", {"version": 1, "settings": {}}, [], Passage("dedup", 0, 0, {}), directory, STEPS
    )
    assert "0 documents, 0 bytes" in (directory.path / "README.md").read_text()


def made(corpus, inputs=()):
    passage = Passage("dedup", 33, 30, {"dedup.near": 2, "dedup.exact": 1})
    recorded = {"version": 1, "settings": {"shard_bytes": 10}}
    card.write_card("a `title`: with: colons", recorded, list(inputs), passage, corpus, STEPS)
    return (corpus.path / "README.md").read_text()


def test_the_head_is_yaml_that_the_hub_reads(corpus):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    found = huggingface_hub.DatasetCard(made(corpus)).data.to_dict()
    assert found["pretty_name"] == "a `title`: with: colons"
    assert (found["license"], found["size_categories"]) == ("other", ["n<1K"])
    assert found["language"] == ["en"]
    (config,) = found["configs"]
    assert config["data_files"] == [{"split": "train", "path": "*.parquet"}]


def test_votes_are_claimed_only_where_links_have_them(corpus, tmp_path):
    scores = [pq.read_table(path)["score"].to_pylist() for path in corpus.shards()]
    count = sum(score is not None for score in chain(*scores))
    assert 0 < count < 30
    assert f"The links of {count} have a score" in made(corpus)
    rows = [fake_data.document(n, score=None) | {"bytes": 1, "duplicates": 0} for n in range(3)]
    lists = Directory(tmp_path / "corpus-2")
    fake_data.write(lists.shard(0), rows, CORPUS)
    told = made(lists)
    assert "nobody's votes chose these pages" in told
    assert "people's votes" not in told
    fake_data.write(lists.shard(0), [row | {"score": 3} for row in rows], CORPUS)
    assert "The link of each has a score" in made(lists)


def test_copies_are_told_with_the_similarity_measured_and_the_bound(corpus, tmp_path):
    rows = [fake_data.document(100 + n) | {"keeper": "0" * 16} for n in range(4)]
    for row, value in zip(rows, (None, 0.75, 0.8, 0.95), strict=True):
        row |= {"dropped_by": "dedup.near" if value else "dedup.exact", "dropped_value": value}
    fake_data.write(corpus.shard(0, under="dropped"), rows, CORPUS_DROPPED)
    copies = card.statistics(corpus)["copies"]
    assert copies["dedup.near"] == {"documents": 3, "min": 0.75, "median": 0.8, "max": 0.95}
    assert copies["dedup.exact"] == {"documents": 1}
    duplicates = Directory(tmp_path / "duplicates-1")
    stage = {"version": 2, "settings": {"verify_at": 0.7, "verify": "signature"}}
    fake_data.finish(duplicates, "duplicates", [], stages={"duplicates": stage})
    told = made(corpus, [duplicates])
    assert "| dedup.near | 3 | 0.75 | 0.8 | 0.95 |" in told
    assert "`duplicates.verify_at = 0.7`" in told
    assert "as the signatures estimate it" in told


def test_sources_are_named_as_the_manifests_list_them(corpus, tmp_path):
    links = Directory(tmp_path / "links-1")
    links.path.mkdir()
    sources = [{"name": "RS_2013-01.zst", "bytes": 12345, "sha256": "a" * 64}]
    links.finish({"stage": "links", "stages": {}, "inputs": {}, "sources": sources, "passages": []})
    assert "| links | RS_2013-01.zst | 12,345 |" in made(corpus, [links])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, by mlcroissant
@pytest.mark.parametrize("alone", [False, True], ids=["one-folder", "shards-alone"])
def test_the_croissant_is_valid_and_reads_the_documents(corpus, alone):
    mlcroissant = pytest.importorskip("mlcroissant")
    if alone:
        (corpus.path.parent / "about" / corpus.name).mkdir(parents=True)
    stats = card.statistics(corpus)
    write_croissant("a corpus", stats, corpus)
    path = corpus.path / "croissant.json"
    if alone:  # a published corpus is both folders as one
        shutil.copy(corpus.about / path.name, path)
    found = mlcroissant.Dataset(jsonld=path)
    assert not found.metadata.ctx.issues.errors
    records = list(found.records("documents"))
    assert len(records) == stats["documents"]
    shards = [pq.read_table(shard)["id"].to_pylist() for shard in corpus.shards()]
    assert sorted(row["documents/id"].decode() for row in records) == sorted(chain(*shards))
    assert {name.partition("/")[2] for name in records[0]} == set(CORPUS.names) - {"pii"}
    told = json.loads(path.read_text())
    for one in told["distribution"][:-1]:
        shard = path.parent / one["contentUrl"]
        assert one["sha256"] == hashlib.sha256(shard.read_bytes()).hexdigest()
        assert one["contentSize"] == f"{shard.stat().st_size} B"
    assert f"{stats['bytes']:,} bytes" in told["description"]


def test_what_a_host_is_called_stays_in_its_cell(corpus):
    assert "| we\\|ird&lt;b>.example | 1 |" in made(corpus)


def test_the_funnel_and_the_settings_come_from_the_manifests(corpus, tmp_path):
    links = Directory(tmp_path / "links-1")
    passages = [{"stage": "links", "read": 90, "kept": 70, "dropped": {"links.score": 20}}]
    stage = {"version": 3, "settings": {"min_score": 3, "sources": ["/home/me"]}}
    stages = {"links": stage | {"machine": ["sources"]}}
    fake_data.finish(links, "links", passages, stages=stages)
    pages = Directory(tmp_path / "pages-1")
    reasons = {"crawl.dns": 20, "crawl.timeout": 10}
    passages = [{"stage": "crawl", "read": 70, "kept": 40, "dropped": reasons}]
    stages = {"crawl": {"version": 1, "settings": {"connect_to": ["*:80:127.0.0.1:8080"]}}}
    fake_data.finish(pages, "pages", passages, [links], stages=stages)
    documents = Directory(tmp_path / "documents-1")
    passages = [{"stage": "rules", "read": 40, "kept": 33, "dropped": {"rules.length": 7}}]
    stages = {"rules": {"version": 2, "settings": {"length": {"min_words": 50}}}}
    fake_data.finish(documents, "documents", passages, [pages], stages=stages)
    duplicates = Directory(tmp_path / "duplicates-1")
    passages = [{"stage": "duplicates", "read": 33, "kept": 33, "dropped": {}}]
    fake_data.finish(duplicates, "duplicates", passages, [documents])

    text = made(corpus, [documents, duplicates])
    funnel = [line for line in text.split("\n") if line.startswith("| ")][1:6]
    assert funnel[:4] == [
        "| links | 90 | 70 | 20 links.score |",
        "| crawl | 70 | 40 | 30 |",  # why a page was not had may change, and the corpus not
        "| rules | 40 | 33 | 7 rules.length |",
        "| dedup | 33 | 30 | 2 dedup.near, 1 dedup.exact |",
    ]
    assert "- `links`, version 3\n  - `min_score = 3`\n" in text
    assert "/home/me" not in text
    assert "127.0.0.1" not in text
    assert '  - `length = {"min_words": 50}`' in text
    assert text.index("`links`") < text.index("`rules`") < text.index("`corpus`")


@pytest.mark.parametrize(
    ("documents", "category"),
    [
        (0, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (10**8, "100M<n<1B"),
        (10**10, "n>1B"),
    ],
)
def test_size_categories_are_the_hubs(documents, category):
    assert card.size_category(documents) == category


def test_scores_fall_into_one_bar_each():
    counts = Counter({-5: 1, 0: 1, 2: 1, 3: 1, 9: 1, 10: 1, 9999: 1, 10000: 1})
    assert card.score_histogram(counts) == {
        "under 3": 3,
        "3-4": 1,
        "5-9": 1,
        "10-29": 1,
        "3000-9999": 1,
        "10000+": 1,
    }
