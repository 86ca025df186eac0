import pytest

from webtext.pipeline.filters.gopher import (
    GopherQuality,
    GopherRepetition,
    LetterWords,
    StopWords,
)
from webtext.pipeline.filters.rules import Asked
from webtext.pipeline.words.document import Document

QUALITY = GopherQuality(letter_words=LetterWords(marks=True), stop_words=StopWords(any_case=False))
REPETITION = GopherRepetition()


def asked(group, rule, text):
    rule = getattr(group, rule)
    low, high = getattr(rule, "at_least", None), getattr(rule, "at_most", None)
    return Asked("rule", rule(Document(text)), low, high, enabled=True)


@pytest.mark.parametrize(
    ("rule", "text", "measure", "objection"),
    [
        ("word_count", "word " * 49 + ". ! ?", 49, "low"),
        ("word_count", "word " * 50, 50, None),
        ("word_count", "word " * 100_000, 100_000, None),
        ("word_count", "word " * 100_001, 100_001, "high"),
        ("word_length", "ab abc", 2.5, "low"),
        ("word_length", "abc abc, abc", 3, None),
        ("word_length", "abcdefghij", 10, None),
        ("word_length", "abcdefghij abcdefghijk", 10.5, "high"),
        ("hashes", "one # " + "two " * 8, 0.1, None),
        ("hashes", "one # " + "two " * 7, 1 / 9, "high"),
        ("ellipses", "one ... " + "two " * 8, 0.1, None),
        ("ellipses", "one … two ... " + "two " * 9, 2 / 13, "high"),
        ("bullet_lines", "- one\n" * 9 + "two", 0.9, None),
        ("bullet_lines", "- one\n" * 9 + " • two", 1, "high"),
        ("ellipsis_lines", "one...\n" * 3 + "two\n" * 7, 0.3, None),
        ("ellipsis_lines", "one… \n" * 4 + "two\n" * 6, 0.4, "high"),
        ("letter_words", "one two three 4th 5", 0.8, None),
        ("letter_words", "one two three 4 5", 0.6, "low"),
        ("letter_words", "one, two, three", 0.6, "low"),  # marks count, as in datatrove
        ("stop_words", "the cat and the dog", 2, None),
        ("stop_words", "the cat on the mat", 1, "low"),
        ("stop_words", "The cat AND the dog", 1, "low"),  # by the letter, as in datatrove
    ],
)
def test_quality_on_both_sides_of_its_thresholds(rule, text, measure, objection):
    found = asked(QUALITY, rule, text)
    assert (found.measure, found.objection) == (pytest.approx(measure), objection)


@pytest.mark.parametrize(
    ("rule", "text", "measure", "objection"),
    [
        ("repeated_paragraphs", "a\n\n" * 4 + "b\n\nc\n\nd\n\ne\n\nf\n\ng", 0.3, None),
        ("repeated_paragraphs", "a\n\n" * 4 + "b\n\nc\n\nd\n\ne\n\nf", 1 / 3, "high"),
        ("repeated_paragraph_characters", "abcd\n\nabcd\n\nefghijkl", 0.2, None),
        ("repeated_paragraph_characters", "abcd\n\nabcd\n\nefghijk", 4 / 19, "high"),
        ("repeated_lines", "a\n" * 4 + "b\nc\nd\ne\nf\ng", 0.3, None),
        ("repeated_lines", "a\n\n" * 4 + "b\nc\nd\ne\nf", 1 / 3, "high"),
        ("repeated_line_characters", "abcd\nabcd\nefghijklmn", 0.2, None),
        ("repeated_line_characters", "abcd\nabcd\nefghijklm", 4 / 19, "high"),
        ("top_2_gram", "a b a b " + "x" * 22, 6 / 30, None),
        ("top_2_gram", "a b a b " + "x" * 21, 6 / 29, "high"),
        ("top_3_gram", "a b c " + "x" * 22, 5 / 28, None),  # occurs once, and counts
        ("top_3_gram", "a b c " + "x" * 21, 5 / 27, "high"),
        ("top_4_gram", "a b c", 0, None),  # fewer than four words
        ("repeated_5_grams", "a b c d e a b c d e", 5 / 19, "high"),
        ("repeated_5_grams", "a b c d e f a b c d", 0, None),
        ("repeated_10_grams", "a b c d e f g h i j " * 2 + "x" * 60, 0.1, None),
        ("repeated_10_grams", "a b c d e f g h i j " * 2 + "x" * 59, 10 / 99, "high"),
    ],
)
def test_repetition_on_both_sides_of_its_thresholds(rule, text, measure, objection):
    found = asked(REPETITION, rule, text)
    assert (found.measure, found.objection) == (pytest.approx(measure), objection)


@pytest.mark.parametrize("n", range(5, 11))
def test_each_length_of_n_gram_has_its_own_threshold(n):
    rule = getattr(REPETITION, f"repeated_{n}_grams")
    assert (rule.n, rule.at_most) == (n, pytest.approx(0.2 - n / 100))


def test_punctuation_marks_are_no_words_without_letters_by_default():
    assert LetterWords()(Document("one, two, three")) == 1


def test_stop_words_count_in_capitals_too_by_default():
    assert StopWords()(Document("KEEP THE LID ON AND THE DOG OUT")) == 2
    assert StopWords()(Document("The lid That is On")) == 2
