"""De-tokenisers: good English, and nothing lost on any text."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webtext.model.eval.detok import BILLION, CBT, MARK, PTB, WIKITEXT
from webtext.model.eval.sets import read_text

STYLES = {"wikitext": WIKITEXT, "ptb": PTB, "1bw": BILLION, "cbt": CBT}
MARKS = r""", . ; : ? ! ( ) [ ] { } " ' `` '' ` $ £ % # = @-@ @,@ @.@ - -- ... 's n't 't 'll ° -LRB-
-RRB- N <unk> \ """
words = st.sampled_from(MARKS.split()) | st.text(alphabet="aBc1.,'\"-=@\\$(é", max_size=5)
lines = st.lists(words, max_size=12).map(" ".join)
tokenised = st.lists(lines | lines.map(lambda line: f" {line} "), max_size=4).map("\n".join)


@pytest.mark.parametrize("name", STYLES)
@given(text=tokenised | st.text(max_size=60))
@example(text=" ( it 's \\ ) \n \n\n = = a @-@ b = = \n")
@example(text="\\ \n\\\\")
def test_joining_can_be_undone_on_every_text(name, text):
    style = STYLES[name]
    assert style.split_text(style.join(text)) == text


@pytest.mark.parametrize(
    ("style", "split", "joined"),
    [
        (
            WIKITEXT,
            ' It cost $ 1 @,@ 000 @.@ 50 ( 5 % ) : " That \'s a well @-@ known sum , " he said . ',
            'It cost $1,000.50 (5%): "That\'s a well-known sum," he said.',
        ),
        (WIKITEXT, " = = = Mr. J. <unk> = = = ", "=== Mr. J. <unk> ==="),
        (WIKITEXT, " The players ' goals didn 't count ... ", "The players' goals didn't count..."),
        (
            PTB,
            " mr. <unk> does n't say the company 's $ N ",
            "mr. <unk> doesn't say the company's $N",
        ),
        (BILLION, 'He said , " I don \'t know . "', 'He said, "I don\'t know."'),
        (CBT, "`` Do n't , '' said Tom -LRB- softly -RRB- .", '"Don\'t," said Tom (softly).'),
    ],
)
def test_text_is_joined_as_people_write_it(style, split, joined):
    assert style.join(split) == joined
    assert style.split_text(joined) == split


def test_what_cannot_be_told_apart_gets_a_mark_and_comes_back():
    assert WIKITEXT.join(" a-b don't ") == f"{MARK}a-b {MARK}don't"
    assert WIKITEXT.join("no blanks about it") == f"{MARK} no blanks about it"
    assert WIKITEXT.raw_lines(" right \nwrong\n \n") == 1


@pytest.mark.parametrize("name", STYLES)
def test_texts_that_people_wrote_come_back(texts, name):
    style = STYLES[name]
    for text in texts:
        split = style.split_text(text)
        assert style.split_text(style.join(split)) == split


@pytest.mark.slow
def test_wikitext2_is_joined_whole_and_hardly_a_word_of_it_needs_a_mark(shared):
    text = read_text(shared / "eval" / "wikitext2_test.txt.zst")
    joined = WIKITEXT.join(text)
    assert WIKITEXT.split_text(joined) == text
    assert WIKITEXT.raw_lines(text) == 0
    marked = re.findall(r"(?m)(?:^| )\\", joined)
    assert len(marked) < 30  # of 241,211 words
    left = re.findall(r" [,.;:!?)](?= |$)| @|[(] ", joined)
    assert len(left) < 40


def test_a_very_long_word_is_left_alone_and_quickly():
    assert WIKITEXT.join(" " + "." * 100_000 + " ") == "." * 100_000
