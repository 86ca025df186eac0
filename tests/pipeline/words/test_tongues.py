import doctest
import json

import numpy as np
import pytest
import zstandard

from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.langid import languages
from webtext.pipeline.words import tongues as module
from webtext.pipeline.words.document import Document
from webtext.pipeline.words.tongues import (
    NO_LETTER,
    OTHER,
    SPACE,
    foreign,
    scripts,
    tongue,
    tongues,
)


def test_there_are_data_for_every_language_that_can_be_kept():
    assert set(tongues()) == set(languages())
    for one in tongues().values():
        assert one.scripts
        assert len(one.stop_words) >= 8
        assert (one.shortest is None) == (one.longest is None) == (one.letters_a_word is not None)


def test_each_letter_is_of_one_script_and_signs_are_of_none():
    names, table = scripts()
    for script, letters in {
        "Latn": "aÉßằ", "Cyrl": "яЇ", "Grek": "λ", "Hani": "東々", "Hira": "の", "Kana": "ン",
        "Hang": "한", "Thai": "ก", "Deva": "क", "Arab": "گ", "Hebr": "ש",
    }.items():  # fmt: skip
        assert {int(table[ord(letter)]) for letter in letters} == {names.index(script)}
    assert {int(table[ord(sign)]) for sign in "1.-€𝑥़"} == {
        NO_LETTER
    }  # 𝑥 is any script's, by Unicode
    assert {int(table[ord(letter)]) for letter in "Աაꦄ"} == {OTHER}
    assert {int(table[ord(blank)]) for blank in " \n\u2003"} == {SPACE}
    assert np.count_nonzero(table < NO_LETTER) > 100_000


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("plain words", "en", 0),
        ("naïve café, 1 µm, λ = 3", "en", 0),
        ("한국어 text", "en", 3 / 7),
        ("한국어 text", "ko", 0),
        ("漢字とかな", "ja", 0),
        ("ひらがな", "zh-cn", 1),
        ("кот", "de", 1),
        ("кот", "tlh", 0),  # nothing is known of it
        ("12345", "ja", 0),
        ("", "en", 0),
    ],
)
def test_the_share_of_foreign_letters(text, language, share):
    assert foreign(text, language) == pytest.approx(share)


def test_declarations_of_human_rights_are_in_the_scripts_of_their_languages(shared):
    found = shared / "langid" / "udhr.jsonl.zst"
    with zstandard.open(found) as file:
        rows = [json.loads(line) for line in file.read().splitlines()]
    known = [row for row in rows if row["langdetect_label"] in tongues()]
    assert len(known) > 70
    english = next(len(r["text"].split()) for r in known if r["langdetect_label"] == "en")
    for row in known:
        name = row["langdetect_label"]
        row["text"] = Clean().text(row["text"])
        if row["code"] not in {"azb", "ron_1953", "ron_1993", "ron_2006"}:
            assert foreign(row["text"], name) < 0.02, (name, row["code"])
        document = Document(row["text"], language=name)
        assert sum(word in row["text"].lower() for word in tongue(name).stop_words) >= 2, name
        assert 0.4 < document.counts.words / english < 2, name


def test_doctests():
    assert doctest.testmod(module).failed == 0
