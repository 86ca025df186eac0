import re

from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.words.document import Document, repeats

texts = st.text("ab \n\r\t", max_size=40)


@given(texts)
def test_lines_are_split_at_runs_of_newlines(text):
    assert Document(text).repeated_lines == repeats(re.split(r"\n+", text))


@given(texts)
def test_paragraphs_are_split_at_two_newlines_or_more(text):
    assert Document(text).repeated_paragraphs == repeats(re.split(r"\n{2,}", text.strip()))
