import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import floors
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.stage import run_chain
from webtext.pipeline.text.extraction.extract import REASONS, Extract
from webtext.pipeline.text.extraction.maintext import ENGINES, Article, Page, Reading, Unread, read

WORDS = b"<p>" + b"These are some words of a page that has something to say. " * 20 + b"</p>"
PROSE = b"<html><head><title>A title</title></head><body><article>" + WORDS + b"</article></body>"
# libxml2 looks through all attributes for each one
SLOW = b"<html><body><p " + b" ".join(b"a%d" % n for n in range(100_000)) + b">x</body></html>"
QUICK = Extract(deadline=1.0, memory_mb=400, max_bytes=5_000_000)


def batch(*bodies, content_type="text/html"):
    rows = [
        {"id": f"{n:016x}", "url": f"http://a.test/{n}", "score": n, "body": body,
         "content_type": content_type}
        for n, body in enumerate(bodies)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, PAGE)


def html(inside):
    return b"<html><body>" + inside + b"</body></html>"


def test_a_page_becomes_a_document():
    page = PROSE.replace(
        b"<title>",
        b'<meta name="author" content="Ann Example"><meta property="og:site_name" content="A site">'
        b'<meta property="article:published_time" content="2016-05-04T10:00:00Z"><title>',
    )
    (row,) = QUICK(batch(page)).to_pylist()
    assert row["text"].startswith("These are some words")
    assert (row["title"], row["author"], row["date"], row["sitename"]) == (
        "A title",
        "Ann Example",
        "2016-05-04",
        "A site",
    )
    assert (row["id"], row["url"], row["score"]) == ("0" * 16, "http://a.test/0", 0)
    assert row["dropped_by"] is None


@pytest.mark.parametrize(
    ("body", "content_type", "reason", "value"),
    [
        (b"%PDF-1.7 " + WORDS, "text/html", "extract.not_html", None),
        (PROSE, "image/png", "extract.not_html", None),
        (b"words alone", None, "extract.not_html", None),
        (html(b""), "text/html", "extract.no_text", 0),
        (b"", "text/html", "extract.no_text", 0),
        (html(b"<p>x</p>" * 700_000), "text/html", "extract.too_large", 5_600_026),
        (SLOW, "text/html", "extract.timeout", 1.0),
    ],
)  # fmt: skip
def test_a_page_without_a_text_has_a_fate(body, content_type, reason, value):
    out = QUICK(batch(body, PROSE, content_type=content_type)).to_pylist()
    assert (out[0]["dropped_by"], out[0]["dropped_value"]) == (reason, value)
    assert out[0]["text"] is None
    assert reason in REASONS


HOSTILE = {
    "deep": html(b"<div>" * 100_000 + WORDS),
    "deep tables": html(b"<table><tr><td>" * 5_000 + WORDS),
    "unclosed": html(b"<i>" * 100_000 + WORDS),
    "one text node": html(b"<p>" + b"word " * 900_000),
    "one word": html(b"<p>" + b"w" * 4_500_000),
    "long attribute": html(b"<p class='" + b"a" * 1_000_000 + b"'>" + WORDS),
    "open comment": html(WORDS + b"<!-- " + b"x" * 1_000_000),
    "entities": html(b"<p>" + b"&amp;&#x41;&nbsp;&lt;" * 100_000),
    "bad entities": html(b"<p>&#999999999999;&#xD800;&#0;&#x110000;&bogus;" + WORDS),
    "nul": html(WORDS.replace(b"words", b"wo\0rds")),
    "open script": b"<script>" + b"var a='<p>';" * 100_000 + WORDS,
    "deep json": b"<script type='application/ld+json'>" + b'{"a":[' * 50_000 + b"</script>" + WORDS,
    "long title": b"<title>" + b"- | " * 200_000 + b"</title>" + html(WORDS),
    "dates": html(WORDS + b"<p>" + b"2011-02-03 1.2.2012 " * 20_000),
    "bad charset": b"<meta charset='nonsense-8'>" + PROSE + b"\xff\xfe\xfd",
    "utf-7": b"<meta charset='utf-7'>+ADw-script+AD4-" + PROSE,
    "xml": b"<?xml version='1.0' encoding='klingon'?>" + PROSE,
    "doctype": b"<!DOCTYPE html [" + b"<!ENTITY a 'aaaa'>" * 1000 + b"]>" + PROSE,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_page_has_a_text_or_a_fate_and_the_next_is_read(body):
    first, second = QUICK(batch(body, PROSE)).to_pylist()
    assert (first["text"] is None) is (first["dropped_by"] is not None)
    assert len(first["title"] or "") <= 1000
    assert second["text"].startswith("These are some words")


def test_a_pathological_page_costs_its_own_fate_only(tmp_path):
    stage = Extract(deadline=0.5)
    run_chain(
        [stage], [batch(PROSE, SLOW, PROSE)], tmp_path / "kept.parquet", tmp_path / "gone.parquet"
    )
    kept, gone = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("kept", "gone"))
    assert kept["id"].to_pylist() == ["0" * 16, "0" * 15 + "2"]
    assert gone["dropped_by"].to_pylist() == ["extract.timeout"]
    assert kept.schema.names == DOCUMENT.names


def test_memory_is_bounded():
    stage = Extract(memory_mb=64, max_bytes=50_000_000)
    out = stage(batch(html(b"<p>some words</p>" * 1_000_000), PROSE)).to_pylist()
    assert [row["dropped_by"] for row in out] == ["extract.memory", None]


def test_an_extractor_that_raises_is_the_pages_fate(monkeypatch):
    def fail(*args, **kwargs):
        raise RecursionError

    monkeypatch.setattr("webtext.pipeline.text.extraction.maintext.reader.main_text", fail)
    assert read(Reading(), Page(PROSE, None, None)) == Unread("error")


def test_the_same_page_gives_the_same_text_whatever_was_read_before():
    pages = [html(b"<h1>A</h1>" + WORDS * n) for n in range(1, 5)]
    forth = QUICK(batch(*pages, *pages))["text"].to_pylist()
    back = QUICK(batch(*reversed(pages)))["text"].to_pylist()
    assert forth[:4] == forth[4:] == back[::-1]


def test_all_engines_make_the_same_document_of_a_plain_page():
    page = PROSE.replace(b"<article>", b"<nav><a href='/'>Home</a></nav><article>")
    first, *others = (read(Reading(engine=engine), Page(page, None, None)) for engine in ENGINES)
    assert isinstance(first, Article)
    assert others == [first, first]


def test_hostile_pages_cost_the_fast_engine_no_more_than_their_fate():
    stage = Extract(engine="resiliparse", deadline=1.0, memory_mb=400, max_bytes=5_000_000)
    *rows, last = stage(batch(*HOSTILE.values(), PROSE)).to_pylist()
    assert all((row["text"] is None) is (row["dropped_by"] is not None) for row in rows)
    assert last["text"].startswith("These are some words")


def test_comments_follow_the_text_where_they_are_wanted():
    said = b"<div class='comments-list'><p>What a reader has to say about it, at length.</p></div>"
    page = Page(PROSE.replace(b"</body>", said + b"</body>"), None, None)
    without, with_them = (
        read(Reading(include_comments=wanted), page).text for wanted in (False, True)
    )
    assert with_them == without + "\nWhat a reader has to say about it, at length."
    assert read(Reading(include_comments=True, favor_precision=False), page).text == with_them


def test_a_text_under_the_least_length_is_none():
    page = Page(html(b"<p>A short text, but a text.</p>"), None, None)
    found = read(Reading(min_chars=100), page)
    assert isinstance(read(Reading(), page), Article)
    assert isinstance(found, Unread)
    assert found.reason == "no_text"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"deadline": 0.0}, "extract.deadline = 0.0: too small; use 0.05 or more"),
        ({"memory_mb": 1}, "extract.memory_mb = 1: too small"),
        (
            {"engine": "lynx"},
            "extract.engine = 'lynx': use one of blocks, trafilatura, resiliparse",
        ),
        ({"favor_precision": True, "favor_recall": True}, "choose one"),
    ],
)
def test_settings_that_leave_no_room_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        Extract(**setting)


mark_up = st.lists(
    st.sampled_from(
        [b"<html>", b"<body>", b"<p>", b"</p>", b"<div>", b"<a href='x'>", b"<!--", b"-->", b"<td>",
         b"<![CDATA[", b"<script>", b"</script>", b"&#0;", b"&amp", b"<", b">", b"\0", b"\xff",
         b"<meta charset=", b"words and words, ", b"<li>", b"<title>", b"<svg>", b"<?php", b"'"]
    ),
    max_size=60,
).map(b"".join)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=500) | mark_up | mark_up.map(lambda body: PROSE + body))
def test_any_bytes_give_a_text_or_a_fate(engine, body):
    found = read(Reading(engine=engine), Page(body, "text/html", "http://a.test/"))
    if isinstance(found, Article):
        for value in filter(None, found):
            value.encode()
            assert "\0" not in value
    else:
        assert f"extract.{found.reason}" in REASONS


WANTED = {"scrapinghub": 958, "segments": 920}  # of the engine that is the default
PARTS = {"scrapinghub": 4, "segments": 10, "rendered": 1}  # one page in so many, to be quick
PUBLIC = [name for name in floors.SETS if name != "rendered"]  # whose pages are their publishers'
AT_HAND = [name for name in floors.SETS if name not in PUBLIC or floors.WHOLE.is_dir()]
SLACK = 0.016  # that a part of a set may fall below the whole's floor


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", AT_HAND)
def test_articles_are_found_as_well_as_they_were(name, engine):
    floor = floors.floors()[name][engine] / 1000
    slack = SLACK if PARTS[name] > 1 else 0
    assert floors.SETS[name](floors.WHOLE, engine, PARTS[name]) >= floor - slack


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PUBLIC)
def test_articles_of_whole_sets_are_found_as_well_as_they_were(shared, name, engine):
    assert floors.SETS[name](shared, engine, 1) * 1000 >= floors.floors()[name][engine]


def test_the_floors_of_the_default_are_no_lower_than_was_wanted():
    for name, wanted in WANTED.items():
        assert floors.floors()[name][Reading().engine] >= wanted


def test_a_floor_rises_by_itself_and_falls_only_where_asked():
    old, measured = {"a": {"x": 900, "y": 900}}, {"a": {"x": 0.8999, "y": 0.9019}}
    assert floors.settled(old, measured, lower=False) == ({"a": {"x": 900, "y": 901}}, ["a.x"])
    assert floors.settled(old, measured, lower=True) == ({"a": {"x": 899, "y": 901}}, ["a.x"])
