import pytest

from webtext.pipeline.filters.c4 import C4, Length
from webtext.pipeline.words.document import Document

KEPT = "This line is kept."


def lines(text, **settings):
    return C4(**settings).edit(Document(text)).text.split("\n")


@pytest.mark.parametrize(
    "line",
    [
        "no mark at its end",
        "it trails off...",
        "Too short.",
        "Turn on JavaScript to read this.",
        "Read our privacy policy, please.",
        "This site uses cookies!",
        "One " + "w" * 1001 + " is too long.",
    ],
)
def test_lines_that_are_no_sentences_go(line):
    assert lines(f"{KEPT}\n{line}\n{KEPT}") == [KEPT, KEPT]


@pytest.mark.parametrize(
    "line", ["Is it so?", "It is so!", 'He said "no."', "They said 'no'", "Three words here."]
)
def test_lines_that_end_as_sentences_do_stay(line):
    assert lines(line) == [line]


def test_the_mark_at_the_end_may_be_left_out_of_account():
    assert lines("no mark at its end\nbut two", terminal=False) == ["no mark at its end"]


def test_citations_go():
    assert lines("It is so.[12] It was.[citation needed]") == ["It is so. It was."]
    assert lines("It is so [12] it is.", citations=True) == ["It is so [12] it is."]


def test_the_words_of_citations_count_where_they_are_counted_before_these_go():
    line = "It is so [citation needed] here."
    assert lines(line, min_words=6) == ["It is so  here."]
    assert lines(line, min_words=5, citation_words=False) == [""]
    assert lines(line, min_words=4, citation_words=False) == ["It is so  here."]


def test_a_page_is_as_long_as_it_was_before_its_lines_went():
    c4 = C4(length=Length(at_most=190_000))
    page = Document("This line is kept.\n" + "x" * 1000)
    assert c4.length(c4.edit(page)) == 1019
    assert c4.length(page) == 1019


@pytest.mark.parametrize(
    ("rule", "text", "measure"),
    [
        ("lorem_ipsum", "Lorem Ipsum dolor sit amet.", 1),
        ("lorem_ipsum", "Lorem ipsum in a line without its mark", 0),
        ("curly_brackets", "function () { return 1; }.", 1),
        ("curly_brackets", "javascript and { and more.", 0),  # the line went before
        ("sentences", "One is here. Two is here.\nThree is here.", 3),
    ],
)
def test_rules_are_asked_about_the_lines_that_are_left(rule, text, measure):
    c4 = C4()
    assert getattr(c4, rule)(c4.edit(Document(text))) == measure


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("", 0),
        ("no mark", 1),
        ("One. Two! Three?", 3),
        ("Mr. Smith stayed.", 1),
        ("He said: “No.” Then he left.", 2),
        ("Wait... what?!", 1),
    ],
)
def test_sentences_begin_after_marks_that_end_one(line, count):
    assert Document(line).words.sentences == count
