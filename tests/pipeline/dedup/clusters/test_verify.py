"""How alike two texts are, by the shingles themselves."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webtext.pipeline.dedup.clusters.banding import pack
from webtext.pipeline.dedup.clusters.verify import jaccard, shingle_sets
from webtext.pipeline.dedup.signatures.folded_text import shingles


def exact(one: str, other: str, ngram: int) -> float:
    first, second = set(shingles(one, ngram)), set(shingles(other, ngram))
    return len(first & second) / max(1, len(first | second))


def all_pairs(count: int) -> np.ndarray:
    left, right = np.triu_indices(count, 0)
    return pack(left, right)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text("ab é7.語\U0001f600", max_size=40), max_size=6), st.integers(1, 6))
@example([], 5)
@example(["", "word", "Word!", "..."], 5)
@example(["a b a b a b a b", "a b a b", "b a"], 2)
def test_jaccard_is_that_of_the_sets_of_shingles(texts, ngram):
    pairs = all_pairs(len(texts))
    found = jaccard(pa.array(texts, pa.string()), pairs, ngram)
    left, right = np.triu_indices(len(texts), 0)
    wanted = [exact(texts[i], texts[j], ngram) for i, j in zip(left, right, strict=True)]
    assert found.tolist() == wanted


def test_jaccard_of_real_documents_is_that_of_their_shingles(texts):
    texts = texts[:60]
    pairs = all_pairs(len(texts))
    found = jaccard(pa.array(texts, pa.string()), pairs)
    sets = [set(shingles(text, 5)) for text in texts]
    for pair, value in zip(pairs.tolist(), found.tolist(), strict=True):
        one, other = sets[pair >> 32], sets[pair & 0xFFFFFFFF]
        assert value == pytest.approx(len(one & other) / max(1, len(one | other)))


def test_the_texts_of_a_slice_are_numbered_from_its_start():
    texts = pa.array(["nothing of the kind", "one two three four five six", "One, two: 3"])
    ends, hashes = shingle_sets(texts[1:], 1)
    assert ends.tolist() == [0, 6, 9]
    assert len(np.intersect1d(hashes[:6], hashes[6:])) == 2
