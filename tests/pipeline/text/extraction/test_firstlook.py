import numpy as np
import pyarrow as pa
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import PAGE
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.text.extraction.extract import REASONS, Extract
from webtext.pipeline.text.extraction.firstlook import (
    first_look,
    other_language,
    visible,
    visible_text,
    walls,
)
from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, read
from webtext.pipeline.text.langid import detect

SENTENCE = b"<p>There is something here that a reader may want to read. "


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"", 0),
        (b"a b\nc", 3),
        (b"<title>A b</title><script>var x = 1 < 2</script><p>c", 3),
        (b"<SCRIPT>x</SCRIPT >y<Style>z</sTYLE>", 1),
        (b"<!-- a > b -->c<!-- open", 1),
        (b"<script>never closed", 0),
        (b"a<", 2),
        (b"1 < 2, i <3 and <- too", 15),
        (b"<p", 0),
        ("é".encode(), 2),
    ],
)
def test_only_what_a_reader_sees_is_counted(body, count):
    assert visible(body) == count


@pytest.mark.parametrize(("kind", "words"), walls())
def test_each_wall_is_known_by_its_words_and_an_article_about_it_is_none(kind, words):
    page = b"<html><body>" + words.upper() + SENTENCE
    found = first_look(page)
    assert found is not None
    assert found[0] == kind
    assert f"extract.{kind}" in REASONS
    assert first_look(page + SENTENCE * 30) is None


def test_a_page_without_text_is_told_by_its_bytes():
    assert first_look(b"<html><body><img src=x><p>Soon.") == ("no_text", 5)
    assert first_look(b"<script>{'articleBody': 'text'}</script>") is None
    assert first_look(b"<title>Robot check</title><script>{'articleBody': 'text'}</script>") is None
    assert first_look(SENTENCE * 4) is None


def test_the_stage_takes_the_look_only_where_asked():
    wall = b"<html><title>Just a moment...</title><body>" + SENTENCE * 3
    row = {"id": "0" * 16, "url": "http://a.test/", "body": wall, "content_type": "text/html"}
    batch = pa.RecordBatch.from_pylist([row], PAGE)
    assert Extract()(batch)["dropped_by"].to_pylist() == [None]
    (seen,) = Extract(first_look=True)(batch).to_pylist()
    assert (seen["dropped_by"], seen["dropped_value"]) == ("extract.bot_wall", 149)


@given(
    st.lists(st.sampled_from([b"<", b">", b"!--", b"-->", b"<script", b"</script>", b"a", b" "]))
)
def test_no_bytes_are_counted_twice(parts):
    body = b"".join(parts)
    assert visible(body) <= len(body.translate(None, b" "))


@pytest.mark.parametrize(
    ("trap", "count"),
    [
        (b"<", 1000),
        (b"<script", 0),
        (b"<!--", 0),
        (b"<!-- -->", 0),
        (b"</", 0),
        (b"<style><script>", 0),
    ],
)
def test_a_trap_is_gone_through_once(trap, count):
    assert visible(trap * 300_000) == count  # a second look at each would take hours


ENGLISH = "<p>All human beings are born free and equal in dignity and rights. "
GERMAN = "<p>Alle Menschen sind frei und gleich an Würde und Rechten geboren. "
RUSSIAN = "<p>Все люди рождаются свободными и равными в своем достоинстве и правах. "


def shown(text):
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return visible_text(codes).tobytes().decode("utf-32-le")


def test_the_visible_text_is_without_markup_and_entities():
    page = "<p>Caf&eacute; &amp bar <b>Öl</b>\n<script>a < b</script> &#1234;<!-- x -->end"
    assert shown(page) == "Caf &amp bar Öl end"


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "iso-8859-1"])
def test_a_page_in_another_language_is_told_by_all_its_parts(charset):
    page = (GERMAN * 200).encode(charset)
    kind = f"text/html; charset={charset}"
    assert other_language(page, kind, ("en",)) < 0.001
    assert other_language(page, kind, ("en", "fr")) < 0.001
    assert other_language(page, kind, ("en", "de")) is None


@pytest.mark.parametrize(
    "page",
    [
        GERMAN * 100 + ENGLISH * 100,  # the article after a menu
        ENGLISH * 100 + RUSSIAN * 100,
        RUSSIAN * 100 + ENGLISH * 60 + RUSSIAN * 100,
        GERMAN * 8,  # too little text
        "<p>" + "1234 " * 2000,  # no language
        "<p>",
    ],
)
def test_a_page_that_may_have_something_in_the_language_is_read(page):
    assert other_language(page.encode(), "text/html", ("en",)) is None


def test_the_stage_reads_no_page_in_another_language_where_asked():
    rows = [
        {"id": f"{n:016x}", "url": "http://a.test/", "body": body.encode(),
         "content_type": "text/html; charset=utf-8"}
        for n, body in enumerate((GERMAN * 200, ENGLISH * 200))
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, PAGE)
    assert Extract()(batch)["dropped_by"].to_pylist() == [None, None]
    german, english = Extract(languages=("en",))(batch).to_pylist()
    assert german["dropped_by"] == "extract.other_language"
    assert german["dropped_value"] < 0.001
    assert english["dropped_by"] is None


def test_a_language_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"no language 'english'; known: af, ar"):
        Extract(languages=("english",))


def test_no_page_that_the_rules_keep_is_lost(real_pages):
    """Under one in 200 was wanted; of the mini-web's 6,394 pages none is."""
    pages = others = lost = 0
    with zstandard.open(real_pages) as file:
        for record in ArchiveIterator(file, WarcRecordType.response, parse_http=True):
            body = record.reader.read()
            pages += 1
            foreign = other_language(body, "text/html", ("en",)) is not None
            others += foreign
            if foreign or first_look(body):
                found = read(Reading(metadata=False), Page(body, "text/html", None))
                if isinstance(found, Article) and Rules().judge(found.text)[0] is None:
                    lost += not foreign or detect(found.text).language == "en"
    assert pages > 100
    assert others > pages / 10
    assert lost == 0
