import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.insight.overlap import WORDS, overlaps, read_sets
from webtext.pipeline.words.ngrams import ngrams


@pytest.fixture
def corpus(tmp_path):
    rows = [fake_data.document(number) for number in range(60)]
    directory = Directory(tmp_path / "corpus-1")
    for shard, part in enumerate((rows[:20], rows[20:])):
        fake_data.write(directory.shard(shard), part, CORPUS)
    return directory


def test_the_share_found_is_that_of_the_planted_ngrams(corpus, tmp_path):
    text = fake_data.document(3)["text"]
    count = len(ngrams(text, WORDS))
    foreign = " ".join(f"foreign{number}" for number in range(count))
    (tmp_path / "half.txt").write_text(text + "\n" + foreign)
    (tmp_path / "lambada_test.txt").write_text(foreign)
    sets = read_sets([tmp_path / "half.txt", tmp_path / "lambada_test.txt"])
    half, none = overlaps(corpus, sets)
    assert half.found == count
    assert half.ngrams == 2 * count
    assert (none.found, none.percent, none.paper) == (0, 0.0, 1.2)
    assert half.paper is None


def test_an_empty_corpus_or_set_is_said(corpus, tmp_path):
    with pytest.raises(UserError, match="no corpus shards"):
        overlaps(Directory(tmp_path / "none"), [])
    (tmp_path / "few.txt").write_text("only a few words")
    with pytest.raises(UserError, match=r"few.txt: no text of 8 words or more"):
        read_sets([tmp_path / "few.txt"])


def test_an_ngram_counts_as_often_as_a_set_has_it(corpus, tmp_path):
    text = " ".join(fake_data.document(3)["text"].split()[:WORDS])
    (tmp_path / "twice.jsonl").write_text(f'{{"text": "{text}"}}\n' * 2)
    [twice] = overlaps(corpus, read_sets([tmp_path / "twice.jsonl"]))
    assert (twice.ngrams, twice.found, twice.percent) == (2, 2, 100.0)
