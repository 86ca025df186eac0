import doctest

import pytest

from webtext.pipeline.words import running as module
from webtext.pipeline.words.running import running
from webtext.pipeline.words.tongues import tongue

SENTENCE = "The pump is started before the valve is opened."


def words(text, language="en"):
    return running(text, tongue(language)).words


@pytest.mark.parametrize(
    "line",
    [
        SENTENCE,
        f"- {SENTENCE}",
        f"    • {SENTENCE}",
        SENTENCE.replace(".", ":"),
        f"({SENTENCE})",
        "O that the wind would carry to the hill,",  # verse
        "The pump is started before the valve is opened and after that " + "the next one " * 4,
    ],
)
def test_sentences_are_running_text_whatever_stands_before_them(line):
    assert words(line) == len(line.strip(" -•").split())


@pytest.mark.parametrize(
    "line",
    [
        "Home | News | About us | Contact the team",
        "12.1.2. Starting the pump and the valve",
        "F.2.1 How does the pump affect the valve?",
        "Using tmux over ssh in iTerm2 with the new shell",  # a title has no mark at its end
        "18 The Florida Fish and Wildlife Conservation Commission is...",  # a teaser
        "#> 3 setosa 4.7 3.2 1.3 0.2 and 1.1;",
        'x = cell(2, 1); in = struct("call", {x});',
        "The end.",
        "",
    ],
)
def test_titles_code_and_rows_of_figures_are_not(line):
    assert words(line) == 0


def test_the_lines_are_given_without_bullets_and_without_what_stands_between():
    text = f"Contents\n1.1 Pumps\n* {SENTENCE}\n#> [1] 2 3\n{SENTENCE}"
    assert running(text, tongue("en")).lines == [SENTENCE, SENTENCE]


@pytest.mark.parametrize(
    ("language", "sentence", "title"),
    [
        (
            "de",
            "Die Pumpe wird vor dem Ventil von Hand geöffnet.",
            "Alle Pumpen und Ventile im Werk",
        ),
        ("fr", "La pompe est mise en route avant la vanne.", "Toutes les pompes de la maison"),
        ("ja", "ポンプは弁を開ける前に始動されます。", "ポンプと弁の始動"),
        ("zh-cn", "在打开阀门之前，水泵是要启动的。", "水泵 阀门 启动"),
        ("hi", "पंप को वाल्व के खुलने से पहले चालू किया जाता है।", "पंप और वाल्व की सूची"),
        ("ru", "Насос включают до того, как на нём открыт клапан.", "Насосы и клапаны на заводе"),
        ("th", "ปั๊มจะเริ่มทำงานก่อนที่จะเปิดวาล์วและเป็นไปตามที่กำหนดไว้ในคู่มือ.", "ปั๊ม"),
    ],
)
def test_sentences_are_told_from_titles_in_other_languages(language, sentence, title):
    assert words(sentence, language) >= 5
    assert words(title, language) == 0


def test_a_language_without_data_is_judged_by_marks_alone():
    assert words("qaStaH nuq jay' tlhIngan maH je.", "tlh") == 6


def test_doctests():
    assert doctest.testmod(module).failed == 0
