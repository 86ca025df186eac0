import pytest

from webtext.pipeline.text.extraction.byline import Byline, byline, person_name
from webtext.pipeline.text.extraction.parse import parse

URL = "https://www.a-site.test/2016/an-article"


def of(head="", body="<p>Words.</p>"):
    html = f"<html><head>{head}</head><body>{body}</body></html>"
    return byline(parse(html), URL, html)


def linked(json):
    return f'<script type="application/ld+json">{json}</script>'


def test_meta_tags_are_believed_first():
    head = (
        '<title>Longer title | A site</title><meta property="og:title" content="A title">'
        '<meta name="author" content="By Ann Example"><meta name="Author" content="Bo Sample">'
        '<meta property="og:site_name" content="A site">'
        '<meta property="article:published_time" content="2016-05-04T10:00:00+02:00">'
    )
    assert of(head) == Byline("A title", "Ann Example; Bo Sample", "2016-05-04", "A site")


def test_linked_data_is_read_where_tags_are_silent():
    graph = (
        '{"@graph": [{"@type": "Organization", "name": "No article"}, {"@type": ["NewsArticle"],'
        ' "headline": "A headline", "author": [{"name": "Ann Example"}, "Bo Sample"],'
        ' "publisher": {"name": "A paper"}}]}'
    )
    found = of(linked(graph))
    assert found[:2] == ("A headline", "Ann Example; Bo Sample")
    assert found.sitename == "A paper"


@pytest.mark.parametrize(
    "json",
    [
        "",
        "{",
        "[" * 100_000,
        "3",
        "null",
        '{"@type": 3}',
        '{"@type": "Article", "author": 1}',
        '{"@type": "Article", "headline": ["", {}], "author": {"name": {"a": []}}}',
    ],
)
def test_broken_linked_data_says_nothing(json):
    assert of(linked(json))[:2] == (None, None)


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>A page - a-site.test</title>", "", "A page"),
        ("<title>Whole title</title>", "<h1>The only heading</h1>", "The only heading"),
        ("<title>Whole title</title>", "<h1>One</h1><h1>Two</h1>", "Whole title"),
        ("", "", None),
    ],
)
def test_the_title_is_the_pages_own(head, body, title):
    assert of(head, body + "<p>Words.</p>").title == title


def test_a_mark_in_the_page_names_the_author():
    assert of(body='<p class="byline">by Ann Example</p><p>Words.</p>').author == "Ann Example"
    assert of(body='<a rel="author" href="/">Bo Sample</a><p>Words.</p>').author == "Bo Sample"
    assert of(body='<p class="authority">The Crown</p><p>Words.</p>').author is None
    both = '<p class="author">Ann Example</p><b itemprop="author">Bo Sample</b>'
    assert of(body=both).author == "Bo Sample"


def test_the_host_stands_for_a_site_without_a_name():
    assert of().sitename == "a-site.test"
    html = "<html><body><p>a</p><p>b</p></body></html>"
    assert byline(parse(html), None, html).sitename is None


@pytest.mark.parametrize("value", ["", "x", "null", "https://a.test", "a@b.test", "w" * 99, "?!"])
def test_what_is_no_name_is_no_author(value):
    assert person_name(value) == ""
