"""Pages of several kinds, in the dress of menus, notices and footers that such pages wear."""

import json
from html import escape

import pytest

from webtext.pipeline.text.extraction.maintext import Article, Page, Reading, Unread, read

SAID = (
    (
        "The lock gates at the third bend have been stiff since the flood, and it takes two people "
        "to move the beam in the morning."
    ),
    (
        "You should grease the collar before you push, because the wood swells in the wet and the "
        "iron does not give at all."
    ),
    (
        "We did that last spring with tallow and it worked for a month, but then the grit came "
        "back and we had to clean everything."
    ),
    (
        "My neighbour keeps a brush on a long pole for it; she says that the grit sits on the "
        "upper side and never below the water."
    ),
    (
        "Thank you all, the brush was the answer: the beam moves with one hand now, and the collar "
        "is as bright as a spoon."
    ),
)
CHROME = (
    "Accept all cookies", "Opening hours of the shop", "Our other valleys", "Imprint and contact",
)  # fmt: skip


def dressed(inside, title="The third bend"):
    return (
        f"<!doctype html><html lang='en'><head><title>{title}</title></head><body>"
        "<div class='cookie-banner' role='dialog'><p>We use cookies to measure how this site is "
        "read.</p><button>Accept all cookies</button></div>"
        "<header><nav><ul><li><a href='/a'>Opening hours of the shop</a></li><li><a href='/b'>Maps"
        "</a></li><li><a href='/c'>Boats</a></li></ul></nav></header>"
        f"<main>{inside}</main>"
        "<aside class='sidebar'><h3>Elsewhere</h3><ul><li><a href='/d'>Our other valleys</a></li>"
        "<li><a href='/e'>Mills for sale</a></li></ul></aside>"
        "<footer><p><a href='/f'>Imprint and contact</a> © 2020 Valley Press</p></footer>"
        "</body></html>"
    )


def text(page):
    found = read(Reading(metadata=False), Page(page.encode(), "text/html", None))
    assert isinstance(found, Article)
    return found.text


def posts(pattern):
    several = (pattern.format(n=n, said=said) for n, said in enumerate(SAID, 1))
    return "<h1>The third bend</h1>" + "".join(several)


THREADS = {
    "phpbb": "<div id='p{n}' class='post bg{n}'><dl class='postprofile'><dt><a href='/u/{n}'>"
    "member{n}</a></dt><dd>Posts: 2{n}</dd></dl><div class='postbody'><div class='content'>{said}"
    "</div></div></div>",
    "xenforo": "<article class='message message--post'><div class='message-user'><a href='/m/{n}'>"
    "member{n}</a></div><div class='message-body'><div class='bbWrapper'>{said}</div></div>"
    "</article>",
    "vbulletin": "<table class='tborder' id='post{n}'><tr><td class='thead'>0{n}-05-2009</td></tr>"
    "<tr><td class='alt1' id='td_post_{n}'><div id='post_message_{n}'>{said}</div></td></tr>"
    "</table>",
    "questions": "<div class='answer' id='answer-{n}'><div class='votecell'><span "
    "class='vote-count'>{n}</span></div><div class='post-text s-prose'><p>{said}</p></div></div>",
    "discourse": "<div class='topic-body crawler-post'><div class='crawler-post-meta'><a "
    "href='/u/{n}'>member{n}</a></div><div class='post' itemprop='text'><p>{said}</p></div></div>",
    "comments": "<li class='comment' id='comment-{n}'><div class='comment-author'>member{n}</div>"
    "<div class='comment-content'><p>{said}</p></div></li>",
    "plain": "<div class='row'><b>member{n}</b><div class='text'>{said}</div></div><hr>",
    "mybb": "<div class='post classic' id='post_{n}'><div class='post_author'><a href='/u/{n}'>"
    "member{n}</a></div><div class='post_content'><div class='post_body scaleimages'>{said}</div>"
    "</div></div>",
    "flarum": "<article class='CommentPost Post'><header class='Post-header'><a href='/u/{n}'>"
    "member{n}</a></header><div class='Post-body'><p>{said}</p></div></article>",
    "mails": "<div class='message'><div class='headers'>From: member{n}</div><pre>{said}</pre>"
    "</div>",
}


@pytest.mark.parametrize("pattern", THREADS.values(), ids=THREADS)
def test_all_posts_of_a_thread_are_read_in_their_order(pattern):
    found = text(dressed(posts(pattern)))
    places = [found.find(said) for said in SAID]
    assert -1 not in places
    assert places == sorted(places)
    assert not [line for line in CHROME if line in found]


def test_a_thread_that_is_data_for_scripts_is_read_from_there():
    stream = [{"username": f"m{n}", "cooked": f"<p>{said}</p>"} for n, said in enumerate(SAID)]
    topic = json.dumps({"post_stream": {"posts": stream}})
    data = escape(json.dumps({"site": "{}", "topic_7": topic}), quote=True)
    page = f"<html><body><div id='data-preloaded' data-preloaded=\"{data}\"></div></body></html>"
    assert [said in text(page) for said in SAID] == [True] * len(SAID)


LINKED = {
    "an article": {"@type": "NewsArticle", "articleBody": "{0}\n\n{1}"},
    "in a graph": {"@graph": [{"@type": "WebSite"}, {"articleBody": "<p>{0}</p><p>{1}</p>"}]},
    "with marks": {"@type": ["BlogPosting"], "articleBody": "&lt;p&gt;{0}&lt;/p&gt;&lt;p&gt;{1}"},
    "posts": {"@type": "DiscussionForumPosting", "text": "{0}",
              "comment": [{"@type": "Comment", "text": "{1}"}]},
    "answers": {"mainEntity": {"@type": "Question", "name": "Why?", "text": "{0}",
                               "acceptedAnswer": {"@type": "Answer", "text": "{1}"}}},
}  # fmt: skip


@pytest.mark.parametrize("data", LINKED.values(), ids=LINKED)
def test_a_text_that_is_data_for_search_engines_is_read_where_the_page_shows_none(data):
    script = f"<script type='application/ld+json'>{json.dumps(data)}</script>"
    script = script.replace("{0}", SAID[0]).replace("{1}", SAID[1])
    found = text(f"<html><head>{script}</head><body><div id='root'>Loading</div></body></html>")
    assert found.index(SAID[0]) < found.index(SAID[1])
    shown = text(f"<html><head>{script}</head><body><p>{SAID[2] * 9}</p></body></html>")
    assert SAID[0] not in shown


@pytest.mark.parametrize(
    ("shown", "replaced"), [(SAID[1:3], False), (SAID[:2], True), (SAID[1:2], True)]
)
def test_data_for_search_engines_replace_no_page_whose_text_they_lack(shown, replaced):
    answers = {"@type": "Answer", "text": SAID[3] * 9}
    questions = [{"@type": "Question", "name": "Why?", "acceptedAnswer": answers}]
    if SAID[0] in shown:
        questions += [{"@type": "Answer", "text": said} for said in SAID[:2]]
    data = json.dumps({"@type": "FAQPage", "mainEntity": questions})
    page = "".join(f"<p>{said}</p>" for said in shown)
    found = text(f"<body><script type='application/ld+json'>{data}</script>{page}</body>")
    assert (SAID[3] in found) is replaced
    assert (shown[0] in found) is (not replaced or SAID[0] in shown)


@pytest.mark.parametrize("data", ["{", '{"@type": [{}], "text": 3}', "[" * 9999, '"a"', "7"])
def test_broken_data_for_search_engines_is_no_text(data):
    script = f"<script type='application/ld+json'>{data}</script>"
    assert text(f"<html><body>{script}<p>{SAID[0]}</p></body></html>") == SAID[0]


@pytest.mark.parametrize("data", ["{", '{"topic_1": "{}"}', '{"topic_1": 3}', "[1]", '"a"'])
def test_broken_data_for_scripts_is_no_text(data):
    page = f"<html><body><div data-preloaded='{data}'></div><p>{SAID[0]}</p></body></html>"
    assert text(page) == SAID[0]


PARAGRAPHS = "".join(f"<p>{said}</p>" for said in SAID)
KINDS = {
    "article": (f"<article><h1>The beam</h1>{PARAGRAPHS}</article>", SAID),
    "no article": ((f"<h1>The beam</h1>{PARAGRAPHS}<h2>Tools</h2><ul><li>a brush on a long pole "
                   f"for the upper side</li><li>tallow, a pound of it at the least</li></ul>"
                   f"<p>{SAID[0]} Again.</p>"), ("Tools", "- a brush on", "- tallow, a pound")),
    "manual": ((f"<div class='document'><h1>beam(1)</h1><p>{SAID[0]}</p><dl><dt>--grease</dt><dd>"
               f"{SAID[1]}</dd></dl><pre>beam --grease\n    collar\n</pre><p>{SAID[2]}</p></div>"),
               ("beam --grease\n    collar", SAID[1], SAID[2])),
    "poem": ((f"<article><h1>Bend</h1><p>{SAID[3]}</p><p>The gate is shut,<br>the beam is still,"
             f"<br>the water waits below the mill.</p><p>{SAID[4]}</p></article>"),
             ("The gate is shut,\nthe beam is still,\nthe water waits",)),
    "table": ((f"<article><p>{SAID[0]}</p><table><tr><th>Lock</th><th>Rise in feet</th></tr><tr>"
              f"<td>First</td><td>7</td></tr><tr><td>Second</td><td>9</td></tr></table><p>{SAID[1]}</p>"
              "</article>"), ("Lock | Rise in feet\nFirst | 7\nSecond | 9",)),
    "quotation": ((f"<article><p>{SAID[0]}</p><blockquote><p>{SAID[1]}</p></blockquote><p>{SAID[2]}"
                  "</p></article>"), (SAID[1],)),
    "recipe": ((f"<article><h1>Tallow</h1><p>{SAID[2]}</p><h2>You need</h2><ul><li>two pounds of "
               "suet, cut small</li><li>half a pint of water</li></ul><h2>How to</h2><ol><li>Melt "
               f"the suet slowly in the water.</li><li>{SAID[3]}</li></ol></article>"),
               ("- two pounds of suet, cut small", "1. Melt the suet", "2. My neighbour")),
    "questions": ("<section class='faq'><h2>Questions</h2>" + "".join(
        f"<div class='accordion-item'><h3>Who asks question {n}?</h3><div class='panel'><p>{said}"
        "</p></div></div>" for n, said in enumerate(SAID)) + "</section>", SAID),
    "goods": ((f"<div class='product'><h1>A brush</h1><div class='product-description'><p>{SAID[3]}"
              f"</p><p>{SAID[4]}</p></div></div>"), SAID[3:]),
    "layout": ((f"<table><tr><td><a href='/1'>One</a><br><a href='/2'>Two</a><br><a href='/3'>Three"
               f"</a></td><td><h2>Beam</h2>{PARAGRAPHS}</td></tr></table>"), SAID),
}  # fmt: skip


@pytest.mark.parametrize(("inside", "wanted"), KINDS.values(), ids=KINDS)
def test_a_page_is_read_as_its_kind_is_made(inside, wanted):
    found = text(dressed(inside))
    assert [line for line in wanted if line not in found] == []
    assert [line for line in CHROME if line in found] == []


def test_a_page_of_menus_and_notices_has_no_text():
    found = read(Reading(metadata=False), Page(dressed("").encode(), "text/html", None))
    assert found == Unread("no_text", 0)


def test_comments_are_left_out_and_tables_may_be():
    comment = f"<div class='comments-list'><p>{SAID[4]}</p></div>"
    table = "<table><tr><td>Lock</td><td>7</td></tr></table>"
    page = dressed(f"<article>{PARAGRAPHS[: -len(SAID[4]) - 7]}{table}</article>{comment}")
    found = read(Reading(metadata=False, include_tables=False), Page(page.encode(), None, None))
    assert isinstance(found, Article)
    assert "Lock | 7" not in found.text


def test_favouring_precision_takes_a_part_of_what_is_taken_else():
    page = Page(dressed(posts(THREADS["phpbb"])).encode(), "text/html", None)
    precise, plain, generous = (
        read(Reading(metadata=False, **wish), page).text.splitlines()
        for wish in ({"favor_precision": True}, {}, {"favor_recall": True})
    )
    assert set(precise) <= set(plain) <= set(generous)
    assert set(SAID) <= set(precise)
