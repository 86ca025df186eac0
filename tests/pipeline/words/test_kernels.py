from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.words.document import Document
from webtext.pipeline.words.kernels import NOTHING, SPACE_HASH, repeated, top
from webtext.pipeline.words.words import split


def plain_top(words, n):
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def plain_repeated(words, n):
    seen, characters, start = set(), 0, 0
    while start < len(words) - n + 1:
        gram = "".join(words[start : start + n])
        if gram in seen:
            characters += len(gram)
            start += n
        else:
            seen.add(gram)
            start += 1
    return characters


def measured(doc, n):
    lengths = doc.rows.lengths
    return (
        top(doc.grams(n, SPACE_HASH), lengths, n),
        repeated(doc.grams(n, NOTHING), lengths, n),
    )


@pytest.mark.parametrize(
    ("text", "n", "most", "again"),
    [
        ("a b a b", 2, 6, 2),
        ("a b a b a b", 2, 9, 4),
        ("a b c d", 5, 0, 0),
        ("", 2, 0, 0),
        ("a bc ab c", 2, 4, 3),  # the same characters, wherever the space lies
        ("x x x x x", 2, 12, 4),
    ],
)
def test_worked_examples(text, n, most, again):
    assert measured(Document(text), n) == (most, again)


@given(st.text("ab .,'\n", max_size=200) | st.text(max_size=60), st.integers(2, 10))
def test_the_kernels_count_as_plain_python_does(text, n):
    words = split(text)
    assert measured(Document(text), n) == (plain_top(words, n), plain_repeated(words, n))


def test_n_grams_are_the_same_in_whatever_order_they_are_asked_for():
    text = "one two three one two three four one two three four five one two " * 3
    doc = Document(text)
    for n in (2, 5, 3, 3, 90, 4):
        assert measured(doc, n) == measured(Document(text), n)
