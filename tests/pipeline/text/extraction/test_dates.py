import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.extraction import pages
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.extraction.byline import byline
from webtext.pipeline.text.extraction.dates import date_in, in_address
from webtext.pipeline.text.extraction.parse import parse

WORDS = "<p>Words of a page.</p><p>And some more of them.</p>"


def of(body, url="http://a.test/"):
    html = f"<html><body>{body}{WORDS}</body></html>"
    return byline(parse(html), url, html).date


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2016-05-04T10:00:00+02:00", "2016-05-04"),
        ("20160504", "2016-05-04"),
        ("04.05.2016", "2016-05-04"),
        ("4/5/16", "2016-05-04"),
        ("5/24/2016", "2016-05-24"),  # no month 24, so the American order
        ("4.5.97", "1997-05-04"),
        ("May 4th, 2016", "2016-05-04"),
        ("Wednesday, 4. Mai 2016", "2016-05-04"),
        ("4 de mayo de 2016", "2016-05-04"),
        ("1er août 2016", "2016-08-01"),
        ("Sept. 4, 2016", "2016-09-04"),
        ("05/2016", "2016-05-01"),
        ("version 1.2.3", None),
        ("192.168.20.16", None),
        ("May 4, 1816", None),  # not on the web
        ("31 June 2016", None),
        ("4 of the 2016 runners", None),
        ("call 0201 605 040", None),
        ("2016", None),
        ("", None),
    ],
)
def test_a_short_text_names_a_day(text, day):
    assert date_in(text) == day


@pytest.mark.parametrize(
    ("url", "day"),
    [
        ("http://a.test/2016/05/04/title", "2016-05-04"),
        ("http://a.test/news-2016-5-4.html", "2016-05-04"),
        ("http://a.test/2016/05/title", None),
        ("http://a.test/2016/14/05/", None),
        (None, None),
    ],
)
def test_an_address_may_name_the_day(url, day):
    assert in_address(url) == day


@pytest.mark.parametrize(
    ("body", "day"),
    [
        ('<meta property="og:article:published_time" content="2016-05-04">', "2016-05-04"),
        ('<meta name="DC.date.issued" content="2016-05-04">', "2016-05-04"),
        (('<meta name="last-modified" content="2016-05-05"><meta name="parsely-pub-date"'
         ' content="2016-05-04">'), "2016-05-04"),
        ('<meta itemprop="dateModified" content="2016-05-05">', "2016-05-05"),
        ('<script type="application/ld+json">{"datePublished": "2016-05-04T01:02"}</script>',
         "2016-05-04"),
        ('<p class="post-date">4 May 2016</p>', "2016-05-04"),
        ('<abbr class="published" title="2016-05-04T10:00">Wednesday</abbr>', "2016-05-04"),
        ("<footer>  Last built:\n on\n2016-05-04 </footer>", "2016-05-04"),
        ("<h1>News of May 4, 2016</h1>", "2016-05-04"),
        ('<time datetime="2016-05-05">x</time><time datetime="2016-05-04">y</time>', "2016-05-04"),
        ('<a data-at="2016-05-04T10:00:00Z">x</a>', "2016-05-04"),
        ('<meta property="og:image" content="http://a.test/2016/05/04/i.png">', "2016-05-04"),
        ("<i>Posted: 4.5.2016</i>", "2016-05-04"),
        ("<i>It was 2016-05-04 then</i>", "2016-05-04"),
        ('<script>var built = "2016-05-04"</script>', None),
        ('<a href="/2016-05-04">x</a>', None),
        ('<p class="price">Now 4.99, was 20.16</p>', None),
        ("<i>Released 4.5.2016</i>", None),
    ],
)  # fmt: skip
def test_a_page_says_when_it_was_published(body, day):
    assert of(body) == day


def test_elements_that_are_too_many_are_a_list_and_not_asked():
    assert of('<p class="date">4 May 2016</p>' * 1000) == "2016-05-04"
    assert of('<p class="date">4 May 2016</p>' * 1001) is None


@given(st.text(st.sampled_from("0123456789-/.: MayT"), max_size=40))
def test_any_figures_give_a_day_of_the_web_or_none(text):
    found = date_in(text)
    assert found is None or "1995-01-01" <= found <= "2035-12-31"


def test_posts_say_themselves_the_day_that_their_addresses_say(real):
    posts = ((in_address(url), body) for url, body in pages(real) if url.startswith("https://fb"))
    said = [(day, decode(body).text) for day, body in posts if day]
    assert len(said) >= 5
    for day, html in said:
        assert byline(parse(html), "http://a.test/", html).date == day


@pytest.mark.slow
def test_the_dates_of_real_pages_are_found_as_often_as_htmldate_finds_them(shared):
    with zstandard.open(shared / "extraction/trafilatura_segments.jsonl.zst", "rt") as file:
        stated = {row["url"]: row["date"] for row in map(json.loads, file) if row.get("date")}
    right = 0
    for url, body in pages():
        if url in stated:
            html = decode(body).text
            right += byline(parse(html), url, html).date == stated[url]
    assert right >= 281  # of 350
