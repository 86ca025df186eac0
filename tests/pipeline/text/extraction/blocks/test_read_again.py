"""Ordinary pages that rules for odd ones leave as they are."""

import json
import time

import pytest

from tests.pipeline.text.extraction.blocks.test_lines import lines
from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.blocks.reader import seen
from webtext.pipeline.text.extraction.embedded import as_html
from webtext.pipeline.text.extraction.notices import COOKIE, without_notices
from webtext.pipeline.text.extraction.parse import parse
from webtext.pipeline.text.extraction.unseen import is_hidden

TEXT = "<p>The ferry of the night is late, for the river is high and the mill has no light.</p>"


def left(inside):
    found, _ = blocks(parse(f"<html><body>{inside}</body></html>"))
    takes = without_notices(found, [True] * len(found), [len(b.text.split()) for b in found])
    return [block.text for block, take in zip(found, takes, strict=True) if take]


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<p>渡し船\n<br>\n次の行です\n<br><br>\n三行目</p>", "渡し船\n次の行です\n三行目"),
        ("<p>20 feet<sup>2</sup>, meters<sup>2</sup>, Chi<sup>2</sup>, Ext<sup>1</sup>(A)</p>",
         "20 feet^2, meters^2, Chi^2, Ext^1(A)"),
        ("<p>40 feet<sup>7</sup> of rope</p>", "40 feet[7] of rope"),
        ("<p>M<sup>c</sup>Donald of the 2<sup>d</sup>, W<sup>m</sup> Smith</p>",
         "McDonald of the 2d, Wm Smith"),
        ("<p>see<sup hidden>2</sup> x<sup style='display:none'>2</sup> b</p>", "see x b"),
        ("<p>Photo by <span class='photo-credit-section'>Jane Doe</span> in 2010.</p>",
         "Photo by Jane Doe in 2010."),
        ("<p><img alt=X>Follow us</p>", "Follow us"),
    ],
)  # fmt: skip
def test_a_line_is_read_as_it_stands(inside, text):
    assert lines(inside) == text


def test_a_table_with_a_cell_for_a_bracket_keeps_its_columns():
    rows = "".join(f"<tr><td>{n}</td><td>{sign}</td><td>a sign</td></tr>"
                   for n, sign in ((40, "("), (41, ")"), (42, "*"), (43, "+")))  # fmt: skip
    assert "40 | ( | a sign" in lines(f"<table>{rows}</table>")


@pytest.mark.parametrize(
    "inside",
    [
        "<h3><a href=#next>next</a></h3>" + TEXT,
        "<p>Next: <a href=/b>the bridge of 1931</a>, which Olsen built.</p>" + TEXT,
        (
            f"{TEXT}<h2>Recommended</h2><ul><li><a href=/a>Seals</a><li><a href=/b>Berries</a></ul>"
            f"{TEXT}"
        ),
        f"<div>{'<br>____________________<br>'.join(['Name two mills of the valley.'] * 6)}</div>",
        f"<ol>{'<li>Name a mill.<br>____________<br>Hint: by the brook.</li>' * 3}</ol>{TEXT}",
        f"<div class='question'>1. Who?{'<br>____________<br><br>2. What?' * 2}</div>{TEXT}",
        f"{TEXT}{'<p>The wheel<br>____________<br>turns</p>' * 2}{TEXT}",
    ],
)
def test_what_looks_like_a_call_a_teaser_or_a_signature_is_kept(inside):
    assert left(inside) == [b.text for b in blocks(parse(f"<body>{inside}</body>"))[0]]


@pytest.mark.parametrize(
    "said",
    [
        "Edited by John Carey, this anthology has three poems on rivers.",
        "Edited by Mary Holt, Lowgate Press, 1976.",
        "Edited by Mary Holt (1976) and her two sons.",
    ],
)
def test_a_post_keeps_what_begins_like_a_note_on_a_change(said):
    assert said in left(f"<div class='post'><p>{said}</p>{TEXT}</div>")


@pytest.mark.parametrize(
    "head",
    [
        "<!-- old: <frameset><frame src=a><noframes>no frames</noframes></frameset> -->",
        "<script>document.write('<frameset><noframes>x</noframes></frameset>')</script>",
    ],
)
def test_frames_that_no_browser_shows_replace_no_page(head):
    found, _ = blocks(parse(f"<html><head>{head}</head><body>{TEXT}</body></html>"))
    assert "The ferry" in found[0].text


def test_comments_in_linked_data_do_not_stand_for_the_article():
    notes = [{"@type": "Comment", "text": "I know that mill and its brook well. " * 5}] * 8
    data = json.dumps({"@type": "NewsArticle", "comment": notes})
    script = f"<script type='application/ld+json'>{data}</script>"
    found, _ = seen(parse(f"<html><head>{script}</head><body>{TEXT * 3}</body></html>"))
    assert "The ferry" in found[0].text


def test_a_layer_that_is_shown_is_not_hidden():
    assert not is_hidden({"style": "position:absolute; clip: rect(0px, 600px, 400px, 0px)"})
    assert is_hidden({"style": "position:absolute; clip: rect(0 0 0 0)"})


def test_time_grows_with_the_text():
    def spent(size):
        begun = time.thread_time()
        COOKIE.search("файл" * size)
        as_html("<p " * size)
        lines("a <span class=MathJax>x</span>" * (size // 4))
        return time.thread_time() - begun

    spent(100)
    assert spent(8_000) < 40 * max(spent(800), 0.01)
