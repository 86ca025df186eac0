import pyarrow as pa
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract import REASONS, Extract
from pipeline.filters.rules import Rules
from pipeline.firstlook import first_look, visible, walls
from pipeline.maintext import Article, Page, Reading, read
from pipeline.records import PAGE

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
        (b"a<", 1),
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
        (b"<", 0),
        (b"<script", 0),
        (b"<!--", 0),
        (b"<!-- -->", 0),
        (b"</", 0),
        (b"<style><script>", 0),
    ],
)
def test_a_trap_is_gone_through_once(trap, count):
    assert visible(trap * 300_000) == count  # a second look at each would take hours


def test_no_page_that_the_rules_keep_is_lost(shared):
    """Under one in 200 was wanted; of the mini-web's 6,394 pages none is."""
    pages = lost = 0
    with zstandard.open(shared / "miniweb/news.warc.zst") as file:
        for record in ArchiveIterator(file, WarcRecordType.response, parse_http=True):
            body = record.reader.read()
            pages += 1
            if first_look(body):
                found = read(Reading(), Page(body, "text/html", None))
                lost += isinstance(found, Article) and Rules().judge(found.text)[0] is None
    assert pages == 460
    assert lost == 0
