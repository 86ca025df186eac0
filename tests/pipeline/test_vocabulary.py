from hypothesis import given
from hypothesis import strategies as st

from pipeline.document import Document
from pipeline.vocabulary import PUNCTUATION, STOP_WORDS, TERMINAL, Vocabulary
from pipeline.words import split


@given(st.text() | st.text("ab.'-,:()$3 \n…’the and"))
def test_counts_are_those_of_the_tokens(text):
    tokens = split(text)
    words = [token for token in tokens if not PUNCTUATION.issuperset(token)]
    doc = Document(text)
    assert doc.counts.tokens == len(tokens)
    assert doc.counts.words == len(words)
    assert doc.counts.characters == sum(map(len, words))
    assert doc.counts.letter_tokens == sum(any(map(str.isalpha, token)) for token in tokens)
    assert doc.counts.letter_words == sum(any(map(str.isalpha, word)) for word in words)
    assert doc.stop_words == len(set(STOP_WORDS) & set(tokens))
    assert doc.rows.lengths.tolist() == list(map(len, tokens))


def test_a_full_vocabulary_starts_anew(monkeypatch):
    monkeypatch.setattr("pipeline.vocabulary.CHUNKS_KEPT", 10)
    vocabulary = Vocabulary()
    for turn in range(5):
        numbers = vocabulary.numbers(" ".join(f"word{chr(97 + turn * 5 + n)}" for n in range(5)))
        assert vocabulary.counts[numbers].sum(axis=0).tolist() == [5, 5, 25, 5, 5]
    assert vocabulary.size <= 15


def test_many_chunks_and_long_ones_fit():
    vocabulary = Vocabulary()
    assert len(vocabulary.numbers(" ".join(f"w{n},{n}" for n in range(5000)))) == 5000
    vocabulary.numbers("x" * 5000)
    assert "x" * 5000 not in vocabulary


def test_the_marks_that_end_sentences_are_unicodes():
    assert len(TERMINAL) == 159
    assert TERMINAL.issuperset(".?!。！？؟।")
    assert not TERMINAL & set("\"'”»,;:…")
