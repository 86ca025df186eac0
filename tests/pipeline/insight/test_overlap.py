import numpy as np
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.insight.bloom import Bloom
from webtext.pipeline.insight.overlap import WORDS, corpus_filter, overlaps, read_sets, verify
from webtext.pipeline.words.ngrams import ngrams


@pytest.fixture
def corpus(tmp_path):
    rows = [fake_data.document(number) for number in range(60)]
    directory = Directory(tmp_path / "corpus-1")
    for shard, part in enumerate((rows[:20], rows[20:])):
        fake_data.write(directory.shard(shard), part, CORPUS)
    return directory


def test_a_filter_holds_all_that_was_added():
    numbers = np.random.default_rng(1).integers(2**64, size=5000, dtype=np.uint64)
    bloom = Bloom(5000)
    bloom.add(numbers)
    assert bloom.holds(numbers).all()
    assert 0.45 < bloom.filled < 0.55


def test_a_filter_takes_others_for_its_own_as_seldom_as_it_was_asked_to():
    rng = np.random.default_rng(2)
    bloom = Bloom(20_000, rate=0.01)
    bloom.add(rng.integers(2**64, size=20_000, dtype=np.uint64))
    wrong = bloom.holds(rng.integers(2**64, size=100_000, dtype=np.uint64)).mean()
    assert 0.007 < wrong < 0.013


def test_a_million_made_up_strings_are_not_found(corpus):
    assert verify(corpus_filter(corpus)) == 0


def test_the_share_found_is_that_of_the_planted_ngrams(corpus, tmp_path):
    text = fake_data.document(3)["text"]
    count = len(ngrams(text, WORDS))
    foreign = " ".join(f"foreign{number}" for number in range(count))
    (tmp_path / "half.txt").write_text(text + "\n" + foreign)
    (tmp_path / "lambada_test.txt").write_text(foreign)
    bloom = corpus_filter(corpus)
    half, none = overlaps(bloom, read_sets([tmp_path / "half.txt", tmp_path / "lambada_test.txt"]))
    assert half.found == count
    assert half.ngrams == 2 * count
    assert (none.found, none.percent, none.paper) == (0, 0.0, 1.2)
    assert half.paper is None


def test_an_empty_corpus_or_set_is_said(corpus, tmp_path):
    with pytest.raises(UserError, match="no corpus shards"):
        corpus_filter(Directory(tmp_path / "none"))
    (tmp_path / "few.txt").write_text("only a few words")
    with pytest.raises(UserError, match=r"few.txt: no text of 8 words or more"):
        read_sets([tmp_path / "few.txt"])
