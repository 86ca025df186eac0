from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.filters.dolma import DolmaRepetition
from webtext.pipeline.filters.gopher import GopherRepetition
from webtext.pipeline.filters.rules import Asked
from webtext.pipeline.words.document import Document

RULES = DolmaRepetition()
TWICE = "one line\nit is here twice\nanother\nit is here twice\nthe last"


@pytest.mark.parametrize(
    ("rule", "text", "measure", "objection"),
    [
        ("duplicate_lines", TWICE, 0.4, "high"),
        ("duplicate_lines", "a\na\na\n" + "\n".join("bcdefgh"), 0.3, None),
        ("duplicate_lines", "a\n\nb\n\nc", 0.4, "high"),  # empty lines are lines
        ("duplicate_line_characters", "a b\na b\n" + "c" * 16, 0.3, None),  # spaces above only
        ("duplicate_line_characters", "a b\na b\n" + "c" * 15, 6 / 19, "high"),
        ("most_common_2_gram", "a b a b " + "x" * 16, 4 / 20, None),
        ("most_common_2_gram", "a b a b " + "x" * 15, 4 / 19, "high"),
        ("most_common_2_gram", "a bb ccc", 3 / 6, "high"),  # the first of those that occur once
        ("most_common_3_gram", "a a a a", 6 / 4, "high"),  # occurrences that overlap
        ("most_common_4_gram", "a b c", 0, None),  # fewer than four words
        ("duplicate_5_grams", "a b c d e a b c d e", 10 / 30, "high"),
        ("duplicate_5_grams", "a b c d e f a b c d", 0, None),
        ("duplicate_5_grams", "", 0, None),
    ],
)
def test_repetition_on_both_sides_of_its_thresholds(rule, text, measure, objection):
    rule = getattr(RULES, rule)
    found = Asked("rule", rule(Document(text)), None, rule.at_most, enabled=True)
    assert (found.measure, found.objection) == (pytest.approx(measure), objection)


def test_the_two_readings_of_the_same_rule_differ():
    assert GopherRepetition().repeated_lines(Document(TWICE)) == pytest.approx(0.2)
    assert RULES.duplicate_lines(Document(TWICE)) == pytest.approx(0.4)


@given(st.lists(st.sampled_from(["a", "b", "cc", "a,"]), max_size=40), st.integers(5, 10))
def test_duplicate_grams_are_those_that_a_plain_count_finds(words, n):
    counts = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
    every = sum(times * len("".join(gram)) for gram, times in counts.items())
    twice = sum(times * len("".join(gram)) for gram, times in counts.items() if times > 1)
    rule = getattr(RULES, f"duplicate_{n}_grams")
    assert rule(Document(" ".join(words))) == pytest.approx(twice / every if every else 0)


@given(st.lists(st.sampled_from(["a", "b", "cc", "a,"]), max_size=40), st.integers(2, 4))
def test_the_most_common_gram_is_the_one_that_a_plain_count_finds(words, n):
    counts = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
    gram, times = counts.most_common(1)[0] if counts else ((), 0)
    rule = getattr(RULES, f"most_common_{n}_gram")
    expected = times * len("".join(gram)) / len("".join(words)) if counts else 0
    assert rule(Document(" ".join(words))) == pytest.approx(expected)
