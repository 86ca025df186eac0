"""What is left out of chosen blocks: hidden parts, menus, notices, a board's members, owners."""

import pytest

from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.notices import without_notices, without_popups
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.unseen import MOST_STYLE, hidden_names, is_hidden

TEXT = (
    "<p>The mill stands where two brooks meet, and its wheel turns the wrong way since the flood, "
    "which nobody has mended because the flour is as good as ever it was before that.</p>"
)


def left(inside, head=""):
    """Return what is left of a page of which all blocks are chosen."""
    found, _ = blocks(parse(f"<html><head>{head}</head><body>{inside}</body></html>"))
    sizes = [len(block.text.split()) for block in found]
    kept = without_notices(found, [True] * len(found), sizes)
    return [block.text for block, keep in zip(found, kept, strict=True) if keep]


ALONE = left(TEXT)
OUT = {
    "a style": "<p style='color: red; display: none'>Trap</p>",
    "no visibility": "<p style='visibility:hidden'>Trap</p>",
    "far to the left": "<p style='position:absolute; left:-9999px'>Trap</p>",
    "an attribute": "<p hidden>Trap</p>",
    "an element around it": "<div hidden><div><p>Trap</p></div></div>",
    "a menu of lines": "<a>Home</a><br><a>Walks</a><br><a>Birds</a>",
    "a menu in a line": "<p><a>Home</a> | <a>Walks</a> | <a>Birds</a></p>",
    "another sign": "<p><a>Home</a> · <a>Walks</a> · <a>Birds</a></p>",
    "links at an end": "<ul><li><a>Home</a></li><li><a>Walks</a></li></ul>",
    "a footer": "<footer><p>The Mill Press</p></footer>",
    "cookies": "<p>We use cookies. By staying you agree to our policy.</p>",
    "Cookies": "<p>Diese Seite verwendet Cookies. Mit der Nutzung sind Sie einverstanden.</p>",
    "les cookies": "<p>Nous utilisons des cookies. Accepter ?</p>",
    "las cookies": "<p>Utilizamos cookies. Si continúa, acepta su uso.</p>",
    "クッキー": "<p>クッキーの使用に同意してください。</p>",
    "an owner": "<p>© 2009 The Mill. All rights reserved.</p>",
    "a maker": "<p>Powered by MillBoard 2.1</p>",
    "куки": "<p>Мы используем файлы cookie. Продолжая, вы соглашаетесь.</p>",
    "çerez": "<p>Bu site çerez kullanmaktadır.</p>",
    "an owner elsewhere": "<p>Alle Rechte vorbehalten, Mühle Altenburg</p>",
    "no size": "<p style='font-size:0'>Trap</p>",
    "cut to nothing": "<p style='position:absolute;clip:rect(0,0,0,0)'>Trap</p>",
    "the next page": "<p>Next message: <a href=2>[mills] Brooks</a></p><p>The end</p>",
    "an order": "<ul><li><b>Messages sorted by:</b> <a>[ date ]</a> <a>[ thread ]</a></li></ul>",
    "a call": "<p><a href=#top>Back to top</a></p><p>The end</p>",
    "more of it": "<p><a href=/2>Continue reading</a></p><p>The end</p>",
    "a letter": "<div class='newsletter'><p>Sign up and get the tides.</p></div><p>The end</p>",
    "an edit": "<div class='post'><p>Last edited by ann; 3 May, 10:05.</p></div><p>The end</p>",
    "other texts": "<h3>Most read</h3><p><a>Mills of the north</a></p><p>The end</p>",
    "languages": "<p>Sprachen: de | <a>en</a> | <a>pt-br</a></p><p>The end</p>",
    "languages beside each other": "<p>言語: <a>en</a> / <a>fr</a> / ja</p><p>The end</p>",
    "parts in brackets": "<p>[<a>Anfang</a>][<a>Inhalt</a>][<a>Verzeichnis</a>]</p><p>The end</p>",
    "an arrow back": "<p>[<a> &lt; Räder und Wellen </a>]</p><p>The end</p>",
    "an arrow on": "<p><a>Roues et eaux &gt;&gt;</a></p><p>The end</p>",
    "die nächste Seite": "<p><a>Nächste Seite</a></p><p>The end</p>",
    "la suite": "<p><a>Lire la suite</a></p><p>The end</p>",
    "次のページ": "<p><a>次のページ</a></p><p>The end</p>",
    "nach oben": "<p><a>Zurück nach oben</a></p><p>The end</p>",
    "zurück und weiter": "<p><a>Zurück</a></p><p><a>Weiter</a></p><p>The end</p>",
    "teasers within": "<p><b>Related:</b></p><ul><li><a>Mills of the north</a></li></ul>"
    "<p>The end</p>",
    "a list of mails": "<pre>The end\n____________________\nmills mailing list\nhttp://m</pre>",
}


@pytest.mark.parametrize("more", OUT.values(), ids=OUT)
def test_what_a_reader_would_not_copy_is_left_out(more):
    assert [text for text in left(TEXT + more) if text != "The end"] == ALONE


IN = {
    "links in the text": f"<ul><li><a>Brooks</a></li></ul>{TEXT}",
    "a recipe": "<p>Grandmother uses cookies to bribe us.</p>",
    "cookies elsewhere": (
        "<div><p>We use cookies. By staying you agree.</p></div><p>Cookies are files.</p>"
    ),
    "a history of cookies": (
        "<p>A browser keeps a cookie until its policy says that it is old, and accepts another.</p>"
        * 4
    ),
    "where things are": "<p>Location: the town hall</p>" + TEXT + "<p>Location: the mill</p>",
    "a title with dashes": "<h2><a href=/x>Live - The Apollo - May 2011</a></h2>" + TEXT,
    "those with rights": TEXT + "<p>Copyright holders went to court in May.</p>",
    "an engine": TEXT + "<p>Powered by a two-litre engine with four cylinders.</p>",
    "sizes of its own": f"<ul style='font-size:0'><li style='font-size:1em'>Brook</li></ul>{TEXT}",
    "copyright within": f"<p>Copyright 1910 by the miller.</p>{TEXT * 3}",
    "shown": "<p style='display: block'>Brook</p>",
    "an answer": "<dl><dt>Free?</dt><dd style='display:none'>Yes.</dd></dl>",
    "a panel": "<h3><button>Free?</button></h3><div class='accordion-panel' hidden>Yes.</div>",
    "what is next": "<p>Next: the <a href=/w>wheel</a> turned the other way than it had ever.</p>",
    "a rule": "<p>Brook<br>____________________<br>It was late.</p>",
    "a word on letters": "<div class='newsletter'><p>Each week we write of mills.</p></div>",
    "what others said": f"<p>Last edited by the miller in 1901.</p>{TEXT}",
    "a heading of links": f"<h3>Related</h3><p>The brooks.</p>{TEXT}",
    "a title in French quotes": f"<p><a>« Nous voulons de l'eau »</a></p>{TEXT}",
    "a title in German quotes": f"<p><a>» Wir wollen Wasser «</a></p>{TEXT}",
    "what comes next in words": f"<p>Weiter: <a>der Bach</a> war nie so breit wie hier.</p>{TEXT}",
    "a word alone": f"<ul><li><a>Weiter</a></li><li>Näher</li></ul>{TEXT}",
    "short words": f"<p>Ne | <a>He</a> | Ar | Krypton</p>{TEXT}",
    "codes that lead nowhere": f"<p>Sprachen: de | en | fr</p>{TEXT}",
    "a small size": "<p style='font-size: 0.8em'>Brook</p>",
    "a bit to the left": "<p style='left:-9px'>Brook</p>",
    "until found": "<p hidden='until-found'>Brook</p>",
}


@pytest.mark.parametrize("more", IN.values(), ids=IN)
def test_what_only_looks_like_it_is_kept(more):
    both = TEXT + more
    assert len(left(both)) == len(blocks(parse(f"<html><body>{both}</body></html>"))[0])


def test_a_notice_over_the_page_counts_for_nothing_however_long():
    notice = "<div class='modal'><p>" + "We use cookies as our policy tells. " * 30 + "</p></div>"
    found, _ = blocks(parse(f"<html><body>{notice}{TEXT}</body></html>"))
    sizes = [len(block.text.split()) for block in found]
    assert without_popups(found, [0.9, 0.5], sizes) == [0.0, 0.5]
    assert without_popups(found, [0.9, 0.1], sizes) == [0.9, 0.1]  # there is no other text


def test_signatures_under_a_line_are_cut_where_there_are_several():
    post = "<div>Yes, tar it.<br>____________________<br>Sail on, says {}</div>"
    found, _ = blocks(parse(f"<body>{post.format('ann')}<p>No.</p>{post.format('ben')}</body>"))
    without_notices(found, [True] * 3, [3, 1, 3])
    assert [block.text for block in found] == ["Yes, tar it.", "No.", "Yes, tar it."]


def test_a_page_that_a_script_shows_later_is_kept():
    assert left(f"<p>Loading</p><div style='display:none'>{TEXT}</div>") == ["Loading", *ALONE]


@pytest.mark.parametrize(
    "first",
    [
        f"<article class='post category-legal'>{TEXT * 8}</article>",
        "<div class='menu-section'><p>Soup of the day</p></div>",
    ],
)
def test_names_of_menus_and_footers_alone_make_none(first):
    both = first + TEXT * 8
    assert len(left(both)) == len(blocks(parse(f"<html><body>{both}</body></html>"))[0])


def test_a_rest_that_a_script_shows_later_is_kept_in_a_line_too():
    rest = "and so on it went by the mill. " * 30
    page = parse(f"<style>#more{{display:none}}</style><p>It was <b id=more>{rest}</b></p>")
    (block,) = blocks(page)[0]
    assert len(block.text) > len(rest)


def test_a_title_in_a_quoted_sentence_begins_no_line():
    quoted = "<p>He wrote <cite>Hamlet</cite>, <cite>Othello</cite> and more</p>"
    found = blocks(parse(f"<body><blockquote>{quoted}</blockquote>{TEXT}</body>"))[0]
    assert found[0].text == "He wrote Hamlet, Othello and more"


def test_an_exponent_in_a_link_is_no_note():
    found = blocks(parse(f"<body><p><a href='#area'>Area in m<sup>2</sup></a></p>{TEXT}</body>"))[0]
    assert found[0].text == "Area in m^2"


@pytest.mark.parametrize("name", ["Table of contents", "Inhaltsverzeichnis", "Sommaire", "目次"])
@pytest.mark.parametrize("takes", [[True, True, True], [True, False, True]])
def test_the_line_over_the_parts_of_a_page_goes_where_they_are_not_taken(name, takes):
    page = parse(f"<body><h2>{name}</h2><p><a href='#b'>Brooks</a></p>{TEXT}</body>")
    found, _ = blocks(page)
    assert without_notices(found, takes, [3, 1, 30])[0] is takes[1]


def test_a_list_of_links_is_no_menu():
    links = "<ul><li><a>The upper mill</a></li><li><a>The lower mill</a></li></ul>"
    for inside in (links, f"<div class='toc'>{links}</div>"):
        assert left(f"<h1>Mills</h1>{inside}") == ["Mills", "The upper mill", "The lower mill"]


@pytest.mark.parametrize(("times", "whole"), [(2, True), (8, False)])
def test_the_contents_of_a_book_beside_a_page_of_it_are_left_out(times, whole):
    contents = "".join(f"<li><a>{n}. How to mend a wheel</a></li>" for n in range(60))
    found = left(f"{TEXT * times}<ul>{contents}</ul>")
    assert len(found) == times + 60 * whole


def test_the_contents_of_a_book_after_a_short_page_of_it_are_left_out():
    contents = "".join(f"<li><a>{n}. How to mend a wheel</a></li>" for n in range(60))
    after = f"<h4><a>The millers' book</a></h4><div class='toc'><ul>{contents}</ul></div>"
    assert left(TEXT + after) == ALONE
    assert len(left(f"<h1>Contents</h1><p>Of the book.</p>{after}")) == 63
    assert len(left(f"{after}{TEXT}")) == 62


def test_what_a_board_says_of_its_members_is_left_out():
    member = "<div><p>ann<br>Joined: May 2003<br>Posts: 12</p></div>"
    assert left(f"{member}{TEXT}{member}<p>Yes.</p>") == [*ALONE, "Yes."]
    assert len(left(f"{member}{TEXT}")) == 2


@pytest.mark.parametrize(
    ("style", "hidden"),
    [
        (".trap { display: none }", True),
        ("p{margin:0} .a, .trap{color:red;display:none!important}", True),
        ("#t{display:none}", True),
        ("p.trap{display:none}", True),
        ("DIV.trap{display:none}", False),
        (".trap{display:none} .trap{display:block}", False),
        (".menu .trap{display:none}", False),
        (".trap:empty{display:none}", False),
        ("@media print { .trap{display:none} }", False),
        ("@media print { p{color:red} } .trap{display:none}", True),
        ("/* .trap{display:none} */", False),
        (".trap-2{display:none}", False),
        (".trap{display:none", True),
    ],
)
def test_the_rules_of_a_page_hide_what_they_name(style, hidden):
    page = parse(f"<html><head><style>{style}</style></head><body><p>a<p>b</body></html>")
    names = hidden_names(page)
    assert is_hidden({"class": "x trap", "id": "t"}, "p", names) is hidden
    assert ("Trap" in left(f"{TEXT}<p class='trap' id=t>Trap</p>{TEXT}", f"<style>{style}</style>")
            ) is not hidden  # fmt: skip


def test_styles_are_read_up_to_a_bound():
    for much in ("{" * MOST_STYLE, "display:none{" * 20_000, ".a{display:none}" * 20_000):
        page = parse(f"<html><head><style>{much}</style></head><body><p>a<p>b</body></html>")
        assert set(hidden_names(page)) <= {".a"}
