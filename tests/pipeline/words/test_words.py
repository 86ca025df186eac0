import json

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from tests.pipeline import plain_words
from webtext.pipeline.words.characters import NOT_IN_WORDS, TERMINAL
from webtext.pipeline.words.document import Document
from webtext.pipeline.words.words import STOP_WORDS, known_forms, split

MARKS = st.text("ab.'-,:()$3 \n…’")
FORMS = st.sampled_from(sorted(known_forms()))
PIECES = """
US$ C$ 5 42 ٣ ½ Ⅷ ² km/h kg mph % + ++ -- --- —— – ~ ... …… . .. , : / = < > * ^ ( ) )) ' ’s 'S n't
a Ab ABC é Ω ж 中 ǅ ☺ ① € § \U0001d7d8 \U00020000 \u0308 _ @ a@b. http:// x+y:// ?q #f a.test b.c.d/
:80 :123456 10.0.0.1 8.8.8.8 172.16.0.1 172.33.1.1 192.168.1.1 127.1.1.1 1.2.3.4567 -f.gh xn--a.bc
c_d.e- \ue000.ab \0 \udc80 \U000e0041
"""
SPLICED = st.lists(
    st.sampled_from(PIECES.split()) | FORMS | st.characters(codec=None), max_size=9
).map("".join)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't panic (yet).", "Do|n't|panic|(|yet|)|."),
        ("It’s what they’d’ve said", "It|’s|what|they|’d|’ve|said"),
        ("cannot gonna Let's y'all", "can|not|gon|na|Let|'s|y'|all"),
        ("its well-known U.S. policy, e.g. this", "its|well|-|known|U.S.|policy|,|e.g.|this"),
        ("Dr. Smith's 3.5kg, $10.50!", "Dr.|Smith|'s|3.5|kg|,|$|10.50|!"),
        ("wait... what?!", "wait|...|what|?|!"),
        ("see https://a.test/b?c=d.", "see|https://a.test/b?c=d|."),
        ("and/or w/o yes/no", "and/or|w/o|yes|/|no"),
        ("end.Next start", "end|.|Next|start"),
        ('"quoted" “so”', '"|quoted|"|“|so|”'),
        ("3pm 10-20 a=b x:y", "3|pm|10|-|20|a|=|b|x|:|y"),
        ("smile :) and (:", "smile|:)|and|(:"),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_tokens_are_those_of_the_public_tokenizer(text, tokens):
    assert split(text) == tokens.split("|") * bool(tokens)


@given(st.text() | MARKS)
def test_no_character_is_lost_but_white_space(text):
    assert "".join(split(text)) == "".join(text.split())


@given(st.text() | MARKS | SPLICED)
@example("x" * 1001 + ".")
@example("a." * 600 + "com " + "." * 1000 + " " + "@" * 999 + " " + "(" * 1000)
@example("a." + "b" * 63 + " a." + "b" * 64 + " " + "c" * 63 + ".de " + "c" * 64 + ".de")
def test_the_compiled_splitter_splits_as_plain_python_does(text):
    assert split(text) == plain_words.split(text)


def splits_alike(texts):
    chunks = sorted({chunk for text in texts for chunk in text.split()})
    same = split(" ".join(chunks)) == plain_words.split(" ".join(chunks))
    assert same, next(c for c in chunks if split(c) != plain_words.split(c))


def test_the_compiled_splitter_splits_real_texts_as_plain_python_does(texts):
    splits_alike(texts)


@pytest.mark.parametrize("name", ["udhr", "cld2_teststr"])
def test_the_compiled_splitter_splits_every_language_as_plain_python_does(real, name):
    with zstandard.open(real / "langid" / f"{name}.jsonl.zst") as file:
        splits_alike([json.loads(line)["text"] for line in file.read().splitlines()])


@given(st.text() | st.text("ab.'-,:()$3 \n…’the and"))
def test_counts_are_those_of_the_tokens(text):
    tokens = split(text)
    words = [token for token in tokens if not NOT_IN_WORDS.issuperset(token)]
    doc = Document(text)
    assert doc.counts.tokens == len(tokens)
    assert doc.counts.words == len(words)
    assert doc.counts.characters == sum(map(len, words))
    assert doc.counts.letter_tokens == sum(any(map(str.isalpha, token)) for token in tokens)
    assert doc.counts.letter_words == sum(any(map(str.isalpha, word)) for word in words)
    assert doc.words.stop_words == len(set(STOP_WORDS) & set(tokens))
    assert doc.rows.lengths.tolist() == list(map(len, tokens))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("One\nTwo\r\nThree\x85\u2028Four", 4),  # a line is a sentence
        ("One.\n\n. . two", 3),  # a line of marks is one, too
        ('He said: "One." Two.', 2),
        ("一。二。", 1),  # one chunk, one word
        ("", 0),
        (" \n ", 0),
    ],
)
def test_sentences_are_counted_line_by_line(text, sentences):
    assert Document(text).words.sentences == sentences


def test_the_marks_that_end_sentences_are_unicodes():
    assert len(TERMINAL) == 159
    assert TERMINAL.issuperset(".?!。！？؟।")
    assert not TERMINAL & set("\"'”»,;:…")
