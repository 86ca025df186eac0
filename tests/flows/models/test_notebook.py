"""The names for a notebook do what the command line does."""

import doctest
import itertools
import json

import pytest

import webtext
from tests.pipeline.filters.own.test_own_sources import LINES, PAGE, prose
from webtext.flows.models import notebook
from webtext.pipeline.core.errors import UserError

ANY_TEXT = (
    "documents.sources = ['own.jsonl']",
    "language = {keep = [], min_probability = 0.0}",
    "extract.languages = []",
    "rules.prose.enabled = false",
    "rules.gopher_quality.stop_words.at_least = 0",
    "tokens.val_fraction = 0.0",
)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.jsonl").write_bytes(LINES)
    return webtext.build("webtext", "data", *ANY_TEXT, workers=0)


def test_a_build_gives_its_documents_funnel_and_traces(corpus):
    documents = list(corpus.documents())
    assert len(documents) == len(corpus) == 4
    assert [row["id"] for row in documents] == sorted(row["id"] for row in documents)
    assert {name for row in corpus.documents(["url"]) for name in row} == {"url"}
    assert {line["stage"] for line in corpus.funnel()["stages"]} >= {"read", "rules", "dedup"}
    assert corpus.trace("http://b.test/two").fate == "kept"
    again = webtext.build("webtext", "data", *ANY_TEXT)  # nothing is left to do
    assert list(again.documents()) == documents


def test_batches_are_those_of_a_training(corpus):
    both = list(itertools.islice(corpus.batches(context=16, size=4, seed=7), 6))
    later = next(corpus.batches(context=16, size=4, seed=7, step=5))
    for given, wanted in both:
        assert given.shape == wanted.shape == (4, 16)
        assert (given[:, 1:] == wanted[:, :-1]).all()
    assert (later[0] == both[5][0]).all()
    assert (both[0][0] != both[1][0]).any()
    with pytest.raises(UserError, match="no shard of the val split"):
        next(corpus.batches(split="val"))


def test_a_page_and_a_text_are_read_as_in_a_build():
    page = PAGE.format(prose(3))
    assert prose(3) in webtext.extract(page)
    assert webtext.extract(page.encode(), "http://a.test/") == webtext.extract(page)
    assert webtext.extract("<p>Zürich</p>" * 9).startswith("Zürich")
    assert webtext.extract("") is None
    found = webtext.judge(prose(3))
    assert found.keys() == {"language", "confidence", "dropped_by", "measures"}
    kept = webtext.judge(prose(3), overrides=ANY_TEXT[1:5])
    assert kept["dropped_by"] is None
    assert kept["measures"]["gopher_quality.word_count"]["measure"] > 50
    assert json.dumps(kept)


def test_the_examples_are_true_and_a_judge_says_what_judge_says():
    assert doctest.testmod(notebook).failed == 0
    asked = webtext.Judge(overrides=ANY_TEXT[1:5])
    assert asked(prose(3)) == webtext.judge(prose(3), overrides=ANY_TEXT[1:5])
    assert asked.keeps(prose(3))
    assert not webtext.Judge(overrides=["language.min_probability = 1.0"]).keeps(prose(3))


def test_near_duplicates_of_any_number_of_texts_are_found(monkeypatch):
    monkeypatch.setattr(notebook, "TEXTS", 2)  # several parts
    texts = [prose(1), prose(2), "", prose(1), f"{prose(2)} And one more sentence.", "Short."]
    found = webtext.dedup(iter(texts), overrides=["duplicates.keeper = 'longest'"])
    assert found == [0, 4, 2, 0, 4, 5]
    assert webtext.dedup([]) == []
    with pytest.raises(UserError, match="nonsense"):
        webtext.dedup(texts, overrides=["duplicates.nonsense = 1"])


def test_where_nothing_has_been_built_there_is_no_corpus(tmp_path):
    with pytest.raises(UserError, match="nothing has been built there"):
        webtext.Corpus(tmp_path)
