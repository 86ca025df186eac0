import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.text.clean import Clean


def batch(*texts):
    rows = [{"id": f"{n:016x}", "text": text} for n, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, DOCUMENT)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("as it was", "as it was"),
        ("two\n\nparagraphs", "two\n\nparagraphs"),
        ("e\u0301te\u0301", "été"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("  a \t\u00a0 b  \n  c ", "a b\n  c"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a\x00\ud800b", "ab"),
        ("\u200b \n", ""),
    ],
)
def test_a_text_is_brought_to_one_form(text, cleaned):
    assert Clean().text(text) == cleaned


def test_code_keeps_its_indentation_unless_told_otherwise():
    code = "if a:\n    b  = c\n\td \n   \ne"
    assert Clean().text(code) == "if a:\n    b = c\n\td\n\ne"
    assert Clean(indentation=False).text(code) == "if a:\nb = c\nd\n\ne"


@pytest.mark.parametrize(
    "kept",
    [
        "C           G       Am\nHaul away the morning net",
        "Oar     Ash     7\nMast    Fir     9",
        "a   1\nbb  2\nc   3",
        "| C   G/B |\n  Haul away",
    ],
)
def test_columns_of_several_lines_and_chords_keep_their_places(kept):
    assert Clean().text(kept) == kept
    assert "  " not in Clean(indentation=False).text(kept)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("One end.  And on.\nTwo end.  And on.", "One end. And on.\nTwo end. And on."),
        ("wide  words in\nlines  of old", "wide words in\nlines of old"),
        ("Oar     Ash\n\nMast    Fir", "Oar Ash\n\nMast Fir"),
        ("A      tall tale", "A tall tale"),
        ("Oar     Ash\nMast   Fir", "Oar Ash\nMast Fir"),
    ],
)
def test_other_spaces_are_one(text, cleaned):
    assert Clean().text(text) == cleaned


def test_what_was_nothing_is_dropped():
    out = Clean()(batch("words", " \u200b\n", None))
    assert out["dropped_by"].to_pylist() == [None, "clean.no_text", "clean.no_text"]


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text):
    once = Clean().text(text)
    assert Clean().text(once) == once
    once.encode()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_row_is_accounted_for(texts):
    given_rows = batch(*texts)
    out = Clean()(given_rows)
    assert out["id"].equals(given_rows["id"])
    assert out.schema.names == [*DOCUMENT.names, "dropped_by", "dropped_value"]


MOJIBAKE = "The cafÃ© was closed â€“ so we left."


def test_text_that_was_read_by_the_wrong_charset_is_repaired_where_asked():
    assert Clean(ftfy=True).text(MOJIBAKE) == "The café was closed – so we left."
    assert Clean().text(MOJIBAKE) == MOJIBAKE


@pytest.mark.parametrize(
    "text", ["“Curly” ‘quotes’", "ＷＩＤＥ", "&lt;b&gt; is bold", "Ångström é"]
)
def test_repair_leaves_alone_what_an_author_may_have_meant(text):
    assert Clean(ftfy=True).text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("See https://a.test.com/b?c=d#e now.", "See now."),
        ("See www.example.org, or\nftp://b.org/c", "See, or"),
        ("Write to me@example.co.uk today", "Write to today"),
        ("(at 10.0.0.1:80/x)", "(at"),  # as DCLM has it: a path takes brackets
        ("It is example.com.", "It is"),
        ("It went.In the end", "It went.In the end"),
        ("e.g. the U.S. at 3 a.m.; Node.js 1.2.3", "e.g. the U.S. at 3 a.m.; Node.js 1.2.3"),
        ("http://localhost/x", "http://localhost/x"),
        ("~/.config/fish/config.fish: it", "~/.config/fish/ it"),  # .fish is a domain
        ("a.b1/c.com d", "a.b1/ d"),
    ],
)
def test_addresses_are_left_out_where_that_is_asked_for(text, left):
    assert Clean(remove_urls=True).text(text) == left
    assert Clean().text(text) == text


@given(st.text("ab.:/@ 1(com") | st.lists(st.sampled_from([".com", "http://", "a", " ", "1."])))
def test_without_addresses_a_text_is_what_it_was_in_the_same_order(parts):
    text = "".join(parts)
    left = iter(text)
    assert all(char in left for char in Clean(remove_urls=True, whitespace=False).text(text))
