"""Rules of ours, and what the published ones make of manuals and of other languages."""

import pytest

from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.gopher import GopherQuality, StopWords, WordLength
from webtext.pipeline.filters.refinedweb import RefinedWeb
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.filters.webtext import Prose, Scripts
from webtext.pipeline.words.document import Document

SENTENCES = (
    "The function returns the rows of the table that fit a condition. It keeps their order, and it "
    "drops the groups that are left empty.\n"
    "A condition is any expression that can be asked of the columns. Rows for which it is missing "
    "are dropped, unlike the rows of the base function, and that is what most people want of it."
)
OUTPUT = "\n".join(f"#> {n} {n * 7 % 13}.{n % 10} {n * 3} 0.{n} <dbl [{n}]>" for n in range(60))
CONTENTS = "\n".join(f"{n // 9}.{n}. Section {n % 7}" for n in range(60))
MENU = "\n".join(f"- Group {n} of the old club and its friends" for n in "ABCDEFGHIJKLMNOPQ")
FIXES = "\n".join(f"- The {n} setting is read again, and the log says so." for n in "abcdefghijkl")


def fate(text, language="en", **groups):
    objection, _ = Rules(**groups).judge(text, language=language)
    return objection and f"{objection.rule}.{objection.objection}"


def test_a_manual_stays_with_the_output_of_its_examples():
    manual = f"{SENTENCES}\n{OUTPUT}"
    assert fate(manual) is None
    assert fate(manual, gopher_quality=GopherQuality(running=0)) is not None
    assert fate(manual, gopher_quality=GopherQuality(running=500)) is not None  # more than it has


def test_the_kept_text_is_the_whole_text_all_the_same():
    manual = f"{SENTENCES}\n{OUTPUT}"
    objection, doc = Rules().judge(manual)
    assert (objection, doc.text) == (None, manual)


def test_a_table_of_contents_goes_as_it_went():
    assert fate(CONTENTS) == "gopher_quality.letter_words.low"
    assert fate(f"{SENTENCES.splitlines()[0]}\n{CONTENTS}") == "gopher_quality.letter_words.low"


def test_a_list_of_sentences_is_no_list_of_links():
    assert fate(FIXES) is None
    assert fate(MENU) == "gopher_quality.bullet_lines.high"


def test_a_page_without_a_sentence_goes_where_that_is_asked():
    links = MENU.replace("- ", "")
    assert fate(links) is None
    assert fate(links, prose=Prose(enabled=True)) == "prose.words.low"
    assert fate(f"{links}\n{SENTENCES}", prose=Prose(enabled=True)) is None


@pytest.mark.parametrize(("entries", "dropped"), [(0, False), (5, False), (50, True)])
def test_a_few_sentences_are_a_note_or_the_foot_of_an_index(entries, dropped):
    note = (
        "The oars of the boat are kept in the shed that stands behind the mill, and the key hangs "
        "on the door to the left of it."
    )
    index = "".join(f"the oar of the mill, {n}\n" for n in range(entries))
    found = fate(
        f"{note}\n{index}", gopher_quality=GopherQuality(enabled=False), prose=Prose(enabled=True)
    )
    assert (found == "prose.share.low") is dropped
    assert dropped or found is None


@pytest.mark.parametrize(("letters", "dropped"), [(20, False), (90, True)])
def test_much_of_another_script_makes_a_document_foreign(letters, dropped):
    text = f"{SENTENCES}\n{SENTENCES}\n{SENTENCES}\n" + "한" * letters  # of 1,100 or so letters
    assert (fate(text) == "scripts.foreign.high") == dropped
    assert fate(text, scripts=Scripts(enabled=False)) is None
    assert fate(text, language="ko") != "scripts.foreign.high"


GERMAN = (
    "Die Pumpe wird vor dem Ventil geöffnet, und das Wasser fließt mit der Kraft von zwei Metern. "
    "In den Rohren steht es dann als Säule, die der Wärter des Werkes im Auge hat. Er wurde für "
    "die Anlage ausgebildet und kennt sie mit allen Donaudampfschifffahrtsgesellschaftsteilen, "
    "wie er sagt. Im Winter wird das Wasser abgelassen, denn es würde in den Rohren gefrieren."
)
FRENCH = (
    "La pompe est mise en marche avant la vanne, et l'eau monte dans les tuyaux du moulin. Le "
    "gardien la regarde par une fenêtre, car il a vu des tuyaux se rompre au mois de janvier. "
    "Dans le village, les gens ne savent rien de cela, et un jour ils seront surpris par le bruit. "
    "Il faut donc vider les tuyaux en hiver, comme le disent les règles de la maison."
)
JAPANESE = (
    "ポンプは弁を開ける前に始動されます。水は管の中を上り、番人はそれを窓から見ています。"
    "冬になると水は凍るので、管を空にしなければなりません。村の人はそのことを知らず、ある日その音に驚くでしょう。"
    "規則にもそう書いてありますが、新しい番人はまだそれを読んだことがありません。"
)


@pytest.mark.parametrize(
    ("language", "text"), [("de", GERMAN), ("fr", FRENCH), ("ja", JAPANESE * 2)]
)
def test_good_texts_of_other_languages_pass_the_default_rules(language, text):
    lines = text.replace(". ", ".\n").replace("。", "。\n")
    for running in (0, 50):
        groups = {"gopher_quality": GopherQuality(running=running), "prose": Prose(enabled=True)}
        assert fate(lines, language, **groups) is None
    assert fate(lines, "en") is not None


@pytest.mark.parametrize(("language", "text"), [("de", GERMAN), ("fr", FRENCH), ("ja", JAPANESE)])
def test_lines_of_other_languages_are_lines(language, text):
    lines = text.replace(". ", ".\n").replace("。", "。\n").strip()
    document = Document(lines, language=language)
    assert C4().edit(document).text == lines
    assert RefinedWeb().edit(document).text == lines


def test_a_list_of_names_has_no_stop_words_in_any_language():
    names = "Müller, Schulze, Weber, Krause, Lehmann, Böhm, Vogel, Winter, Sommer, Herbst. " * 9
    assert StopWords()(Document(names, language="de")) == 0
    assert StopWords()(Document(GERMAN, language="de")) > 8
    assert StopWords()(Document("東京都、大阪府、京都府、北海道。", language="ja")) == 0
    assert StopWords()(Document(GERMAN, language="en")) < 2


@pytest.mark.parametrize(
    ("language", "text", "measure"),
    [
        ("en", "abcde fghij", 5),
        ("tlh", "abcde fghij", 5),
        ("fr", "ab cd", 3),  # the shortest mean that French has
        ("fr", "abcdefghijk", 10),  # the longest
        ("fr", "abcdefghijklmnop", 13.888888888888889),
        ("ja", "ポンプは弁を開ける", 6.5),  # no words are set apart
    ],
)
def test_lengths_of_words_are_told_on_the_scale_of_english(language, text, measure):
    assert WordLength()(Document(text, language=language)) == pytest.approx(measure)


def test_rules_whose_bounds_are_for_english_are_named():
    assert Rules().for_english() == []
    strict = Rules(c4=C4(enabled=True), refinedweb=RefinedWeb(enabled=True))
    assert strict.for_english() == ["rules.c4", "rules.refinedweb"]


def test_a_document_with_enough_words_is_not_too_short_for_its_sentences():
    """Fifty chunks of running text may be fewer than fifty words, where some are formulas."""
    chunks = "the axis of the quaternion = is equal to the versor ( part ) - that we have here. "
    text = chunks * 3 + "\n" + "Matrix Vector Scalar Tensor\n" * 20
    document = Document(text)
    assert document.running.words >= 50 > document.reading().counts.words
    assert fate(text) is None


def test_each_document_of_a_mixed_corpus_is_judged_in_its_own_language():
    from tests.pipeline.filters.test_rules import batch

    rows = batch(GERMAN, GERMAN).to_pylist()
    rows[0]["language"], rows[1]["language"] = "de", "en"
    out = Rules()(type(batch()).from_pylist(rows, batch().schema))
    assert out["dropped_by"].to_pylist() == [None, "rules.gopher_quality.stop_words.low"]
