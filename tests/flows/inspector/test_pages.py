"""Every page answers, says what is so, and shows text of the web as text."""

import re
import time
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from webtext.flows.inspector.browsing import SHOWN
from webtext.flows.inspector.reading.selection import read
from webtext.flows.inspector.reading.source import aligned

# All elements that our templates have; `img`, `iframe`, `object` and the like are not among them.
KNOWN = set(
    re.findall(
        r"\w+",
        "html head meta title link script body a header nav b span button kbd main dialog h1 h2 h3 "
        "p dl div dt dd form label input select option ol ul li details summary aside fieldset svg "
        "legend section rect line mark table thead tbody tr th td pre code wbr text circle path",
    )
)


class Elements(HTMLParser):
    """All elements of a page, their attributes, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def seen(client, address):
    """Return a page's elements and text, after looking for what no page may have."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    page = Elements(answer.text)
    for tag, attributes in page.found:
        assert tag in KNOWN, (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action"):
            target = attributes.get(name) or "/"
            outside = target.startswith(("http://", "https://"))
            assert outside or target.startswith(("/", "#")), target
            assert not outside or attributes.get("rel") == "noopener noreferrer nofollow"
        if tag == "script":
            assert attributes["src"].startswith("/static/")
    return page, "".join(page.text)


def rows(client, address="/"):
    """Return the links of the documents in a list."""
    page, _ = seen(client, address)
    return [at["href"] for tag, at in page.found if tag == "a" and at.get("class") == "open"]


def total(client, address):
    """Return how many documents a list has."""
    _, text = seen(client, address)
    return int(re.search(r"([\d,]+) of [\d,]+ documents", text)[1].replace(",", ""))


def evil(client):
    """Return the address of the hostile document."""
    (link,) = rows(client, "/?q=zebra")
    return link


def test_the_list_has_every_document_once(client, app):
    links = [link for page in (1, 2) for link in rows(client, f"/?page={page}")]
    ids = {re.match(r"/document/([0-9a-f]{16})", link)[1] for link in links}
    assert len(links) == len(ids) == total(client, "/") == 38


def test_kept_and_dropped_add_up_in_counts_and_facets(client):
    kept, dropped = total(client, "/?side=kept"), total(client, "/?side=dropped")
    assert kept + dropped == 38
    assert dropped >= 6
    short = total(client, "/?fate=rules.gopher_quality.word_count.low")
    assert short == 6
    assert total(client, "/?fate=rules.gopher_quality.word_count.low&fate=kept") == kept + short
    assert total(client, "/?fate=kept&domain=site1.example") == 6
    assert (
        total(client, "/?min.score=100&side=kept") + total(client, "/?max.score=99.5&side=kept")
        == kept
    )
    assert total(client, "/?in=SITE1.example") == 6


@pytest.mark.parametrize(
    "address", ["", "side=dropped", "in=SITE1.", "domain=site1.example&min.words=100", "q=lantern"]
)
def test_facets_counted_together_are_those_counted_one_by_one(app, address):
    browser = app.state.inspector.browser
    selection = read(browser.table, address)
    names = [name for name in SHOWN if name != "label" and name not in selection.facets]
    total, found = browser.facets(selection, names)
    assert total == browser.total(selection) > 0
    assert found == {name: browser.facet(selection, name) for name in names}


@pytest.mark.parametrize("sign", ["%", "_", "!"])
def test_a_sign_of_a_pattern_is_only_a_sign_in_a_url(app, client, sign):
    urls = [
        row["url"] for row in app.state.inspector.browser.table.rows("SELECT url FROM documents")
    ]
    assert total(client, f"/?in={quote(sign)}") == sum(sign in url for url in urls)


def test_words_phrases_and_exclusions_are_found_and_marked(client):
    page, text = seen(client, "/?q=menu")
    assert "No document is like that" in text  # the menu is not in the documents
    assert total(client, "/?q=another+end") == 1
    assert total(client, "/?q=%22end+another%22") == 0
    assert total(client, "/?q=%22another+end%22") == 1
    assert total(client, "/?q=harbour+-another") == total(client, "/?q=harbour") - 1
    assert total(client, "/?q=harbour&side=kept") < total(client, "/?q=harbour")
    page, _ = seen(client, "/?q=%22another+end%22")
    assert ("mark", {"class": "hit"}) in page.found


def test_an_order_is_an_order(client):
    first = rows(client, "/?sort=score")[0]
    last = rows(client, "/?sort=score&order=up")[0]
    assert "/document/" in first
    assert first.partition("?")[0] != last.partition("?")[0]
    _, text = seen(client, first)
    assert "269" in text  # 3 + 38 * 7: the votes of the last page


def test_a_range_from_the_form_becomes_an_address(client):
    answer = client.get("/?q=harbour&measure=score&low=10&high=50", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?q=harbour&min.score=10&max.score=50"
    _, text = seen(client, answer.headers["location"])
    assert "10 ≤ votes ≤ 50" in text


@pytest.mark.parametrize(
    "address",
    ["/?side=both", "/?min.score=nan", "/?min.score=x", "/?page=0", "/?sort=id%3B", "/?nonsense=1",
     "/?min.no_such_measure=1", "/?measure=text&low=1", "/?page=99999999999999999999"],
)  # fmt: skip
def test_an_address_that_means_nothing_is_told_in_a_line(client, address):
    answer = client.get(address)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_there_is_nothing_at_other_addresses(client):
    for address in ("/document/0000000000000000", "/nothing", f"{evil(client)}&show=nothing"):
        assert client.get(address).status_code == 404


def test_a_value_from_an_address_is_no_question(client):
    assert total(client, "/?domain=%27%20OR%20true%20--") == 0
    assert (
        total(client, "/?in=%25") == 1
    )  # a percent sign, not a wildcard: the hostile URL has some


VIEWS = ("text", "source", "duplicates", "tokens", "record", "training")


@pytest.mark.parametrize("show", VIEWS)
def test_hostile_text_is_text_in_every_view(client, show):
    _, text = seen(client, f"{evil(client)}&show={show}")
    assert "<script>alert('title')</script>" in text
    assert "\u202e" not in text
    assert "\\u202e" in text
    if show in ("text", "tokens", "source"):
        assert "evil.example/y onerror" in text
    if show == "record":
        assert "<svg onload=alert(3)>" in text
        assert "\x1b" not in text


def test_hostile_titles_are_text_in_lists(client):
    _, text = seen(client, "/?q=zebra")
    assert "<img src=//evil.example/x onerror=alert(1)>" in text
    assert "\u202e" not in text


def test_every_rule_is_beside_its_bound(client):
    short = rows(client, "/?fate=rules.gopher_quality.word_count.low")[0]
    page, text = seen(client, short)
    assert "word_count dropped it" in text
    assert "≥ 50" in text
    labels = [at.get("aria-label", "") for tag, at in page.found if tag == "svg"]
    assert any(label.startswith("gopher_quality.word_count: ") for label in labels)


def test_a_page_that_says_the_same_again_and_again_is_aligned_in_linear_time():
    taken = []
    for count in (1000, 10_000):
        lines = [f"a b c a b c a b c w{n}" for n in range(count)]
        begun = time.process_time()
        spans, words, found = aligned("".join(f"<p>{one}</p>" for one in lines), "\n".join(lines))
        taken.append(time.process_time() - begun)
        assert (len(spans), words, found) == (count, 10 * count, 10 * count)
    assert taken[1] < 50 * taken[0] + 0.2, taken  # a square would be a hundred times as much


def test_the_source_shows_what_was_taken(client):
    (link,) = rows(client, "/?q=%22another+end%22")
    page, text = seen(client, f"{link}&show=source")
    taken, words = map(int, re.search(r"has of it: (\d+) of (\d+) words", text).groups())
    assert words - taken == 6 * 3 + 3  # the menu, and the title in the head
    assert ("mark", {"class": "taken"}) in page.found


def test_near_duplicates_are_compared_word_by_word(client):
    (link,) = rows(client, "/?q=%22another+end%22")
    page, text = seen(client, f"{link}&show=duplicates")
    assert "2 documents are in its cluster" in text
    assert {"gone", "new"} <= {at.get("class") for tag, at in page.found if tag == "mark"}


def test_tokens_are_shown_one_by_one(client):
    page, _ = seen(client, f"{rows(client, '/?side=kept')[0]}&show=tokens")
    colours = [at["class"] for tag, at in page.found if tag == "mark"]
    assert colours[:6] == ["t0", "t1", "t2", "t3", "t4", "t0"]


def test_links_and_votes_are_there(client):
    _, text = seen(client, f"{rows(client, '/?in=site3')[0]}&show=record")
    assert "See " in text
    assert "warc_offset" in text


def test_the_next_document_is_the_next_of_the_list(client):
    links = rows(client, "/?side=kept&sort=score")
    page, _ = seen(client, links[1])
    named = {at["id"]: at["href"] for tag, at in page.found if tag == "a" and "id" in at}
    assert named["before"].partition("?")[0] == links[0].partition("?")[0]
    assert named["after"].partition("?")[0] == links[2].partition("?")[0]
    assert named["back"] == "/?side=kept&sort=score"
