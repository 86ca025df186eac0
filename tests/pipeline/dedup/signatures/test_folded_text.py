"""Folding: what counts as the same text."""

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.dedup.clusters import banding, cluster, curve
from webtext.pipeline.dedup.signatures import folded_text, signature_files
from webtext.pipeline.dedup.signatures.folded_text import fold, shingles


@pytest.mark.parametrize("module", [folded_text, banding, cluster, curve, signature_files])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello  world"),
        ("café", "cafe\u0301"),
        ("Straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("it’s", "it's"),
        ("12 apples", "7,000 apples".replace(",", "")),
        ("soft\u00adhyphen", "softhyphen"),
        ("\ufeffmark", "mark"),
        ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
        ("한국어", unicodedata.normalize("NFD", "한국어")),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("日本、語", "日本 語"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_spellings_of_one_text_fold_alike(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("word", "ward"), ("naïve art", "native art"), ("दिन", "दान"), ("日本", "日木"), ("и", "й а")],
)
def test_other_words_stay_other_words(one, other):
    assert fold(one) != fold(other)


def test_letters_of_scripts_without_spaces_are_words():
    assert fold("東京タワーへ行く") == "東 京 タ ワ ー へ 行 く"
    assert shingles("東京タワーへ", 5) == ["東 京 タ ワ ー", "京 タ ワ ー へ"]


def test_numbers_count_as_one_sign_but_their_number_stays():
    assert fold("1 of 20, 3.14 x2 ½") == "0 of 0 0 0 x0 0 0"


def test_text_shorter_than_a_shingle_is_one_shingle():
    assert shingles("Only four words here", 5) == ["only four words here"]
    assert shingles("…", 5) == []


@given(st.text())
def test_folding_again_changes_nothing(drawn):
    assert fold(fold(drawn)) == fold(drawn)


@given(st.text())
def test_canonically_equal_texts_fold_alike(drawn):
    forms = {fold(unicodedata.normalize(form, drawn)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert forms == {fold(drawn)}


@given(st.text())
def test_folded_text_is_words_with_one_space_between(drawn):
    assert fold(drawn).split() == [word for word in fold(drawn).split(" ") if word]
