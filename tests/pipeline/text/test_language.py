import json

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from langdetect import DetectorFactory, LangDetectException, detect_langs

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.text.langid import LONGEST, Guess, detect, readable, shouted
from webtext.pipeline.text.language import Language

ENGLISH = "All human beings are born free and equal in dignity and rights. " * 3
FRENCH = "Tous les êtres humains naissent libres et égaux en dignité et en droits. " * 3


def batch(*texts):
    rows = [{"id": f"{n:016x}", "text": text} for n, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, DOCUMENT)


def lines(path):
    with zstandard.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def by_langdetect(text, monkeypatch):
    monkeypatch.setattr(DetectorFactory, "seed", 0)
    try:
        found = detect_langs(text)
    except LangDetectException:
        found = []
    return Guess(found[0].lang, found[0].prob) if found else Guess(None, 0.0)


SAMPLES = [
    ENGLISH,
    FRENCH,
    ENGLISH + FRENCH,
    "short",
    "WORDS IN CAPITALS Only Some Of Them",
    "Всі люди народжуються вільними і рівними у своїй гідності та правах. abc def",
    "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "人人生而自由,在尊严和权利上一律平等。 with some Latin letters among them",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm.",
    "Toate fiinţele umane se nasc libere şi egale; ș ț și",
    "see https://example.com/a/b?c=d or write to someone@example.com, or not",
    "1234 5678 !!!",
    "",
    "\U0001d400\U0001d401 \U0001f600 mathematical capitals and faces",
    ENGLISH * 200,
    ("http://x.test/" + "a" * 400 + " word ") * 100,
]


SHOUTS = [
    "KEEP OUT OF REACH OF CHILDREN. RINSE THE BRUSHES IN WARM WATER AND LEAVE THEM TO DRY.",
    "TOUS LES ÊTRES HUMAINS NAISSENT LIBRES ET ÉGAUX EN DIGNITÉ ET EN DROITS.",
    "DER MIETER HAFTET FÜR VERLORENE RUDER, ANKER UND SEILE. HUNDE DÜRFEN NICHT AN BORD.",
]


@pytest.mark.parametrize("text", SHOUTS)
def test_a_text_in_capitals_is_in_the_language_of_its_words(text):
    assert detect(text) == detect(text.lower())
    assert detect(text).probability > 0.99


@pytest.mark.parametrize("text", SAMPLES)
def test_the_answer_is_langdetects_own(text, monkeypatch):
    ours, theirs = detect(text), by_langdetect(text, monkeypatch)
    assert ours.language == theirs.language
    assert ours.probability == pytest.approx(theirs.probability, abs=1e-9)


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("abcdeABC dieuñéß ", min_size=9))
def test_the_answer_is_langdetects_own_for_any_text_that_is_not_all_capitals(text):
    assume(not shouted(np.array([ord(char) for char in text], np.uint32)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        theirs = by_langdetect(text, monkeypatch)
    assert detect(text) == (theirs.language, pytest.approx(theirs.probability, abs=1e-9))


def test_a_lone_surrogate_is_no_error():
    assert detect(ENGLISH + "\ud800").language == "en"


def test_addresses_at_a_cut_are_read_whole():
    text = "https://example.com/" + "a" * 2000
    assert "aaa" not in readable(f"{text} " * 50, 1000)


@pytest.mark.parametrize("length", [LONGEST, 200])
def test_declarations_of_human_rights_are_told_apart(real, length):
    known = [row for row in lines(real / "langid/udhr.jsonl.zst") if row["langdetect_label"]]
    right = sum(detect(row["text"][:length]).language == row["langdetect_label"] for row in known)
    assert (len(known), right) >= (80, 78)


def test_no_other_language_but_scots_passes_for_english(real):
    others = [row for row in lines(real / "langid/udhr.jsonl.zst") if row["iso639_3"] != "eng"]
    fates = Language()(batch(*(row["text"] for row in others)))["dropped_by"].to_pylist()
    kept = {row["iso639_3"] for row, fate in zip(others, fates, strict=True) if fate is None}
    assert kept <= {"sco"}


MANUAL = (
    "Une vanne se tourne à la main jusqu'au trait rouge, puis on attend que le niveau de l'eau soit"
    " le même des deux côtés de la porte.\n{}\nOn ne doit jamais forcer la roue, car la chaîne est"
    " vieille et le village n'en a pas une autre, comme on l'a vu dans les années de la crue."
)
CODE = "\n".join(f"static void open_gate_{n}(struct gate *the_gate);" for n in range(12))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (MANUAL.format(CODE), True),
        (f"Les vannes du canal et les portes de la rivière\n{CODE}", False),
        (MANUAL.format(ENGLISH * 2).replace("\n", " "), False),
    ],
)
def test_a_text_with_code_is_in_the_language_of_its_sentences(text, kept):
    assert detect(text).probability < 0.99 or not kept
    (row,) = Language(keep=("fr",))(batch(text)).to_pylist()
    assert (row["dropped_by"] is None) is kept
    assert row["text"] == text
    assert row["language_probability"] > 0.99 or not kept


def test_each_fate_says_why_and_by_what():
    out = Language()(batch(ENGLISH, FRENCH, ENGLISH + FRENCH, "123", None)).to_pylist()
    fates = [row["dropped_by"] for row in out]
    assert fates[:2] == [None, "language.other"]
    assert fates[2] in ("language.other", "language.uncertain")
    assert fates[3:] == ["language.undetected"] * 2
    assert [row["language"] for row in out] == ["en", "fr", out[2]["language"], None, None]
    assert out[0]["language_probability"] > 0.99
    assert out[0]["dropped_value"] is None
    assert out[1]["dropped_value"] > 0.99


def test_an_improbable_language_is_uncertain():
    stage = Language(min_probability=0.9)
    assert stage.objection(Guess("en", 0.89)) == "language.uncertain"
    assert stage.objection(Guess("en", 0.9)) is None


def test_several_languages_or_all_may_be_kept():
    assert Language(keep=("en", "fr"))(batch(FRENCH))["dropped_by"].to_pylist() == [None]
    assert Language(keep=())(batch(FRENCH))["dropped_by"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_probability": 1.1}, "min_probability = 1.1: use a number from 0 to 1"),
        ({"max_chars": 0}, "max_chars = 0: use 1 to 10000"),
        ({"most_cut": -0.1}, "most_cut = -0.1: use a number from 0 to 1"),
        ({"paragraphs": "drop"}, "paragraphs = 'drop': use cut or keep"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, message):
    with pytest.raises(UserError, match=message):
        Language(**setting)


PARAGRAPH = "The harbour is closed to boats of more than ten metres while the wall is being mended."
GERMAN = (
    "Der Hafen ist für Boote von mehr als zehn Metern geschlossen, während die Mauer von den "
    "Leuten der Stadt mit Steinen aus dem alten Werk gebaut wird."
)
KOREAN = "성벽이 수리되는 동안 십 미터가 넘는 배는 항구에 들어올 수 없고, 이것은 시의 결정이다."


def read(*lines, **wanted):
    return Language(**wanted).read("\n".join(lines))


@pytest.mark.parametrize("other", [GERMAN, KOREAN])
def test_a_paragraph_in_another_language_is_cut_out(other):
    kept = [PARAGRAPH, PARAGRAPH, "", PARAGRAPH, PARAGRAPH, PARAGRAPH]
    found = read(*kept[:2], "", other, *kept[2:])
    assert (found.guess.language, found.text, found.objection) == ("en", "\n".join(kept), None)
    assert read(*kept, other, paragraphs="keep").text == "\n".join([*kept, other])
    language = detect(other).language
    assert read(*kept, other, keep=("en", language)).text == "\n".join([*kept, other])
    assert read(*kept, other, keep=()).text == "\n".join([*kept, other])


def test_a_document_that_is_half_in_another_language_is_dropped_with_all_its_text():
    lines = [PARAGRAPH] * 3 + [KOREAN] * 3
    share = 3 * sum(map(str.isalpha, KOREAN)) / sum(map(str.isalpha, "".join(lines)))
    found = read(*lines)
    assert found.objection == "language.mixed"
    assert found.value == pytest.approx(share)
    assert found.text == "\n".join(lines)
    assert read(*lines, most_cut=0.5).text == "\n".join(lines[:3])
    out = Language()(batch("\n".join(lines))).to_pylist()
    assert [(row["dropped_by"], row["text"]) for row in out] == [
        ("language.mixed", "\n".join(lines))
    ]


@pytest.mark.parametrize(
    "line",
    [
        "- Müller, Weber, Krause, Lehmann: Baukunst. München 1987, Stuttgart 1991, Hamburg 1994.",
        "for (der = von; die < und; das++) { mit(dem, den, des, zur, zum, aus, bei, nach, seit); }",
        r"$$ \frac{\partial u}{\partial t} + \frac{\partial uu}{\partial x} + \frac{\pi v}{x}.$$",
        "Der Hafen ist geschlossen.",  # short: quoted in a sentence of its own
        "KEEP OUT OF REACH OF CHILDREN. RINSE THE BRUSHES IN WATER AND LEAVE THEM ALL ON THE RACK.",
    ],
)
def test_names_code_formulas_and_short_quotations_stay(line):
    assert line in read(*[PARAGRAPH] * 5, line).text


def test_a_text_that_is_uncertain_for_its_paragraphs_is_asked_again_without_them():
    lines = [PARAGRAPH] * 5 + [GERMAN] * 2
    assert Language().objection(detect("\n".join(lines))) == "language.uncertain"
    found = read(*lines, most_cut=0.5)
    assert (found.objection, found.text) == (None, "\n".join(lines[:5]))
    assert found.guess.probability > 0.99
    assert read(*lines, most_cut=0.1).objection == "language.uncertain"


def test_a_german_corpus_loses_its_english_paragraphs():
    found = read(*[GERMAN] * 5, PARAGRAPH + " " + PARAGRAPH, keep=("de",))
    assert (found.guess.language, found.text) == ("de", "\n".join([GERMAN] * 5))


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none()))
def test_every_row_is_accounted_for(texts):
    rows = batch(*texts)
    out = Language()(rows)
    assert out["id"].equals(rows["id"])
    assert out["text"].equals(rows["text"])


def test_a_language_that_is_not_known_is_refused_and_not_waited_for():
    with pytest.raises(UserError, match=r"language\.keep: english is not known.* de, el, en, es"):
        Language(keep=("de", "english"))
