"""Code as those show it that colour it, and formulas, verse and notes as pages mark them up."""

from html import escape

import pytest
from lxml import etree

from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.blocks.evidence import evidence
from webtext.pipeline.text.extraction.blocks.formulas import linear
from webtext.pipeline.text.extraction.blocks.reader import Wishes, chosen
from webtext.pipeline.text.extraction.blocks.writing import written
from webtext.pipeline.text.extraction.parse import parse


def lines(inside):
    found, places = blocks(parse(f"<html><body>{inside}</body></html>"))
    evidence(found, places, "")
    return written(found)


CODE = "while tide < 3:\n    if moon:\n        row()\n    wait(1)"
ROWS = [escape(line) for line in CODE.split("\n")]
SPACED = [line.replace("    ", "&nbsp; &nbsp; ") for line in ROWS]


def each(pattern, rows=ROWS, between=""):
    return between.join(pattern.format(n=n, line=line) for n, line in enumerate(rows, 1))


SHOWN = {
    "spans": "<pre><code>" + each("<span class='l'>{line}</span>\n") + "</code></pre>",
    "divs": "<pre>" + each("<div>{line}</div>") + "</pre>",
    "divs and line ends": "<pre>\n" + each("<div>{line}</div>\n") + "</pre>",
    "spans shown as blocks": "<pre>" + each("<span style='display:block'>{line}</span>") + "</pre>",
    "items": "<pre><ol>" + each("<li class='L{n}'>{line}</li>") + "</ol></pre>",
    "an item, a pre": "<ol>" + each("<li><pre>{line}</pre></li>") + "</ol>",
    "numbers beside": "<table class='hl'><tr><td><div><pre>1\n2\n3\n4</pre></div></td><td><pre>"
    + each("{line}\n") + "</pre></td></tr></table>",
    "numbers within": "<pre>" + each("<span class='lineno'>{n}</span>{line}\n") + "</pre>",
    "a row a line": "<table>\n" + each("<tr>\n<td>{n}</td>\n<td><pre>{line}</pre></td>\n</tr>\n")
    + "</table>",
    "no numbers in text": "<table>" + each("<tr><td data-n='{n}'></td><td class='blob-code'>{line}"
    "</td></tr>") + "</table>",
    "table in a pre": "<pre><table><tr><td><pre>1\n2\n3\n4\n</pre></td><td><pre>" + each("{line}\n")
    + "</pre></td></tr></table></pre>",
    "line breaks": "<code>" + each("{line}", SPACED, "<br>\n") + "</code>",
    "line breaks in a div": "<div>" + each("{line}", SPACED, "<br/>") + "</div>",
    "style": f"<div style='font-family: x; white-space: pre'>{escape(CODE)}</div>",
    "style of code": f"<code style='display:block;white-space:pre-wrap'>{escape(CODE)}</code>",
    "old elements": f"<listing>{escape(CODE)}</listing>",
    "a button": f"<pre><button>Copy</button>{escape(CODE)}</pre>",
}  # fmt: skip


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_code_is_read_line_by_line_without_its_numbers(shown):
    assert lines(f"<p>Row out so:</p>{shown}<p>Then rest.</p>") == (
        f"Row out so:\n{CODE}\nThen rest."
    )


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<pre><h2>Tides</h2><p>One.</p><p>Two.</p></pre>", "Tides\nOne.\nTwo."),
        ("<table><tr><td>1</td><td>Oak</td></tr><tr><td>2</td><td>Ash</td></tr></table>",
         "1 | Oak\n2 | Ash"),
        ("<table><tr><td>size</td><td><pre>n = 1</pre></td></tr></table>", "size\nn = 1"),
        ("<ol><li>row</li><li>rest</li></ol>", "1. row\n2. rest"),
        ("<p>Then <button>Copy</button> it.</p>", "Then it."),
        ("<p>Press <button>Copy the row</button>.</p>", "Press Copy the row."),
    ],
)  # fmt: skip
def test_what_is_no_code_is_read_as_before(inside, text):
    assert lines(inside) == text


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (("<math><semantics><mi>r</mi><annotation encoding='application/x-tex'>\\pi r"
          "</annotation></semantics></math>"), "\\pi r"),
        ("<math><mi>a</mi><mo>=</mo><msup><mi>b</mi><mn>2</mn></msup></math>", "a = b^2"),
        ("<math><mfrac><mn>1</mn><msub><mi>x</mi><mi>i</mi></msub></mfrac></math>", "1/(x_i)"),
        ("<math><msqrt><mn>2</mn></msqrt><msubsup><mi>s</mi><mn>0</mn><mi>n</mi></msubsup></math>",
         "√2s_0^n"),
        ("<script type='math/tex'>y^3</script>", "y^3"),
        ("<span><math alttext='q_1'><mi>q</mi></math></span><img class='tex' alt='q_1'>", "q_1"),
        (("<span class='katex'><span aria-hidden='true'><span>k</span>+1</span></span>"), "k+1"),
        ("<math alttext='k^2'><mi>k</mi></math><span aria-hidden='true'><i>k</i>2</span>", "k^2"),
    ],
)  # fmt: skip
def test_a_formula_is_written_once_and_in_a_line(inside, text):
    assert lines(f"<p>Let {inside} be odd.</p>") == f"Let {text} be odd."


def test_comments_in_a_formula_are_no_text():
    assert linear(etree.fromstring("<math><!-- no --><mi>a</mi></math>")) == "a"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<p>The oar is dry,<br>&nbsp;&nbsp;the boat is high,<br>and so am I.</p>",
         "The oar is dry,\n  the boat is high,\nand so am I."),
        (("<div><span style='display: block'>The oar is dry,</span>\n"
          "<span style='display: block'>the boat is high.</span></div>"),
         "The oar is dry,\nthe boat is high."),
        (f"<p>&nbsp; {'It rained on the boats. ' * 9}<br>So we stayed.</p>",
         f"{('It rained on the boats. ' * 9).strip()}\nSo we stayed."),
        ("<h2>Oars<a href='#oars'>¶</a></h2><p>Of ash.</p>", "Oars\nOf ash."),
        ("<p><a href='/tags'>#</a> of oars</p>", "# of oars"),
        ("<table><tr><td><a>Boats</a><br><br><a>Oars</a></td><td>Row on.</td></tr></table>",
         "Boats\nOars\nRow on."),
        ("<table><tr><td>" + "A long tale of boats. " * 9 + "</td><td>" + "And of oars, too. " * 12
         + "</td></tr></table>", "\n".join([("A long tale of boats. " * 9).strip(),
                                           ("And of oars, too. " * 12).strip()])),
    ],
)  # fmt: skip
def test_verse_anchors_and_columns_are_read_as_shown(inside, text):
    assert lines(inside) == text


@pytest.mark.parametrize(
    "mark", ["class='signature'", "id='sig7'", "class='postbit signature-text'", "class='sig'"]
)
def test_a_signature_under_a_post_is_left_out_and_elsewhere_is_text(mark):
    signed = f"<div {mark}>Rowing since 1980</div>"
    post = "<div class='{}'><p>The oars are dry again, and the boat is in the water.</p>{}</div>"
    for name, out in (("post", [True]), ("letter", [False])):
        found, _ = blocks(parse(post.format(name, signed)))
        assert [block.place.signed for block in found] == [False, *out]
        kept = chosen(found, [1.0, 1.0], Wishes())
        assert ("since 1980" in written(kept)) is not out[0]
