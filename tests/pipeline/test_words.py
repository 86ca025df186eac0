import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.words import split


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


@given(st.text() | st.text("ab.'-,:()$3 \n…’"))
def test_no_character_is_lost_but_white_space(text):
    assert "".join(split(text)) == "".join(text.split())
