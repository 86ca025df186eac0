"""How what stands in a page is put into lines: the same as a reader would copy it."""

import pytest
from lxml import etree

from webtext.pipeline.text.extraction.blocks.blocks import DEEPEST, blocks
from webtext.pipeline.text.extraction.blocks.evidence import evidence
from webtext.pipeline.text.extraction.blocks.writing import written
from webtext.pipeline.text.extraction.parse import parse


def lines(inside):
    found, places = blocks(parse(f"<html><body>{inside}</body></html>"))
    evidence(found, places, "")
    return written(found)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<p>Two   words\n and\tmore</p>", "Two words and more"),
        ("<p><span></span>Text after an empty span.</p>", "Text after an empty span."),
        ("<p><a name='x'></a>Text after an <i class='icon'></i>anchor.</p>",
         "Text after an anchor."),
        ("<p>The <b>bo</b>ld part of a word</p>", "The bold part of a word"),
        ("<p><span class='cap'>O</span>nce upon a time</p>", "Once upon a time"),
        ("<div>before<p>a paragraph</p>after</div>", "before\na paragraph\nafter"),
        ("<p><a href='/a'>Sheep</a><a href='/b'>Goats</a></p>", "Sheep Goats"),
        ("<p><span>Price</span><span>Three pounds</span></p>", "Price Three pounds"),
        ("<p>an <script>var x</script>open <style>p {}</style>line</p>", "an open line"),
        ("<p>caf&eacute; &amp; bar</p>", "café & bar"),
        ("<p>می‌خواهم</p>", "می‌خواهم"),
        ("<p>a family: 👩‍👧</p>", "a family: 👩‍👧"),
        ("<p>one</br>two</BR>three</p>", "one\ntwo\nthree"),
        ("<p>in <st1:place><st1:city>Oldport</st1:city></st1:place>, <o:p></o:p>now</p>",
         "in Oldport, now"),
        ("<p><b>wed</b><o:p></o:p><i>ding</i></p>", "wedding"),
        ("<p>a <my-term>net</my-term> of <output>4</output> knots</p>", "a net of 4 knots"),
        ("<my-page>above<my-part><p>a</p></my-part>below</my-page>", "above\na\nbelow"),
        ("<p>he said <q>no</q>.</p>", 'he said "no".'),
        ("<p>渡し船は海\n  峡を\n渡る in May\nonly</p>", "渡し船は海峡を渡る in May only"),
        ("<p>나룻배는\n하루에</p>", "나룻배는 하루에"),
        ("<p>so <code><span>Net</span><span>Mender</span></code></p>", "so NetMender"),
        ("<p><a href='/1'>Birch tar</a><span>Nine pounds</span></p>", "Birch tar Nine pounds"),
        ("<p>won <img class='emoji' alt='🎉' src='a.svg'> <img class='emoji' alt='party'></p>",
         "won 🎉"),
        ("<p><img alt='T' src='t.gif'>he ferry<img alt='x' src='x.gif'></p>", "The ferry"),
        ("<p>the map<span class='sr-only'>(opens a window)</span> of it</p>", "the map of it"),
        ("<p><span class='sr-only'>Nine</span><span aria-hidden='true'>IX</span></p>", "Nine IX"),
        ("<p><a href='/m'><span class='sr-only'>Map</span></a></p>", "Map"),
        ("<h2>Tar <span class='mw-editsection'>[<a href='/e'>edit</a>]</span></h2>", "Tar"),
        ("<p>mend(x)<a href='/s'><span>[source]</span></a></p>", "mend(x)"),
        ("<p>an<svg><path d='M0'></p><p>icon</p><ul><li>of it</li></ul>", "an\nicon\n- of it"),
        ("<p>an <svg><foreignObject><p>x</p></foreignObject></svg>icon</p>", "an icon"),
        ("<p>so <span class='MathJax'>x2</span><script type='math/tex'>x^2</script></p>",
         "so x^2"),
        ("<p>a<span style='font-size:0'>b</span> <i style='font-size: 0.5em'>c</i></p>", "a c"),
        ("<div style='white-space: pre-wrap'>one\n  two\n\nthree</div>", "one\ntwo\nthree"),
        ("<div><template shadowrootmode='open'><p>a</p></template></div>", "a"),
    ],
)  # fmt: skip
def test_what_stands_in_a_line_is_read_as_it_is_shown(inside, text):
    assert lines(inside) == text


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<p>10<sup>6</sup> cells</p>", "10^6 cells"),
        ("<p>some 10<sup>-9</sup> of a metre</p>", "some 10^-9 of a metre"),
        ("<p>x<sup>2</sup> + y<sup>2</sup></p>", "x^2 + y^2"),
        ("<p>2<sup>n</sup> and x<sup>n+1</sup> and 10<sup><b>6</b></sup></p>",
         "2^n and x^(n+1) and 10^6"),
        ("<p>10<span style='vertical-align:super'>6</span> and a<sub>n+1</sub></p>",
         "10^6 and a_(n+1)"),
        ("<p>le 2<sup>e</sup> et le 1<sup>er</sup>, 5<sup>th</sup>, Tar<sup>TM</sup></p>",
         "le 2e et le 1er, 5th, TarTM"),
        ("<p>3<sup>1</sup>/<sub>2</sub> cups, <sup>1</sup>⁄<sub>4</sub> of it</p>",
         "3 1/2 cups, 1⁄4 of it"),
        ("<p>It is old.<sup>2</sup> Its owner<sup>3,4</sup> is not; 5 cm<sup>3</sup></p>",
         "It is old.[2] Its owner[3,4] is not; 5 cm^3"),
        ("<p><sup>7</sup>In the morning</p>", "7In the morning"),
        ("<p>the mill<sup><a href='p.html#n1'>1</a></sup></p>", "the mill[1]"),
        ("<p>(a + b)<sup>3</sup></p>", "(a + b)^3"),
        ("<p>the 1<sup>st</sup> of May</p>", "the 1st of May"),
        ("<p>M<sup>lle</sup> Dubois</p>", "Mlle Dubois"),
        ("<p>the mill<sup><a href='#n1'>1</a></sup> is old</p>", "the mill[1] is old"),
        ("<p>the mill<a href='#n1'><sup>[2]</sup></a> is old</p>", "the mill[2] is old"),
        ("<p>the 1<sup><a href='/st'>st</a></sup></p>", "the 1st"),
        ("<p>H<sub>2</sub>O and CO<sub>2</sub></p>", "H2O and CO2"),
        ("<p>101<sub>2</sub> is five</p>", "101_2 is five"),
        ("<p>Let <math alttext='a^2'><mi>a</mi><mn>2</mn></math> be odd</p>",
         "Let a^2 be odd"),
        ("<p>so <img class='tex' alt='\\frac{1}{2}' src='1.png'> of it</p>",
         "so \\frac{1}{2} of it"),
        ("<p>a photo <img alt='a cow' src='c.jpg'>of it</p>", "a photo of it"),
    ],
)  # fmt: skip
def test_raised_and_lowered_numbers_stay_apart_from_their_base(inside, text):
    assert lines(inside) == text


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<pre>def f(x):\n    if x:\n        return 1\n</pre>",
         "def f(x):\n    if x:\n        return 1"),
        ("<pre><code><span>for</span> n in a:\n\tprint(n)</code></pre>",
         "for n in a:\n\tprint(n)"),
        ("<pre>one\n\n    two</pre>", "one\n\n    two"),
        ("<pre>a<br>  b</pre>", "a\n  b"),
        ("<pre><span class='line'>a</span><span class='line'>  b</span></pre>", "a\n  b"),
        ("<textarea name='code'>a\n  b</textarea><textarea>c</textarea>", "a\n  b"),
        ("<textarea class='embed-code'>&lt;iframe src='v'></textarea><p>d</p>", "d"),
        ("<div class='highlight'><pre>$ ls\na  b</pre></div><p>Then  go.</p>",
         "$ ls\na  b\nThen go."),
        ("<p>call <code>f(x)</code> twice</p>", "call f(x) twice"),
        ("<pre>\n  indented from the first line on\n</pre>",
         "  indented from the first line on"),
        ("<p>The rain<br>came down<br/>all night</p>", "The rain\ncame down\nall night"),
        ("<p>one stanza<br>of two lines<br><br>and another</p>",
         "one stanza\nof two lines\nand another"),
        ("<div>no paragraph<br><br>but two</div>", "no paragraph\nbut two"),
    ],
)  # fmt: skip
def test_code_keeps_its_white_space_and_verse_its_lines(inside, text):
    assert lines(inside) == text


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<ul><li>flour</li><li>water</li></ul>", "- flour\n- water"),
        ("<ol><li>knead</li><li>wait</li></ol>", "1. knead\n2. wait"),
        ("<ol start='4'><li>bake</li><li>cool</li></ol>", "4. bake\n5. cool"),
        ("<ol><li value='7'>seven</li><li>eight</li></ol>", "7. seven\n8. eight"),
        ("<ul><li>bread<ul><li>rye</li></ul></li><li>cake</li></ul>",
         "- bread\n- rye\n- cake"),
        ("<ul><li><p>first</p><p>its second part</p></li></ul>", "- first\nits second part"),
        ("<h2>Tools</h2><ul><li>a knife</li></ul>", "Tools\n- a knife"),
        ("<dl><dt>Adze</dt><dd>A tool for wood.</dd><dt>Awl</dt><dd>One for leather.</dd></dl>",
         "Adze\nA tool for wood.\nAwl\nOne for leather."),
        ("<details><summary>May I?</summary><p>You may.</p></details>", "May I?\nYou may."),
        ("<li>no list around it</li>", "- no list around it"),
        ("<ol type='a' start='26'><li>z</li><li>aa</li></ol>", "z. z\naa. aa"),
        ("<ol style='list-style-type:upper-roman'><li>one</li></ol>", "I. one"),
        ("<ol reversed><li>two</li><li>one</li></ol>", "2. two\n1. one"),
        ("<ul><li>• tar</li><li>☐ rope</li></ul>", "- tar\n- rope"),
        ("<ul><li><div><pre>  x = 1\n  y = 2</pre></div></li></ul>", "-   x = 1\n  y = 2"),
        ("<blockquote><p>Row.</p><footer>A rower</footer></blockquote>", "Row.\nA rower"),
    ],
)  # fmt: skip
def test_items_have_their_marks_and_terms_their_lines(inside, text):
    assert lines(inside) == text


ROW = "<tr><td>{}</td><td>{}</td></tr>"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<table>{ROW.format('Oak', 12)}{ROW.format('Ash', 9)}</table>", "Oak | 12\nAsh | 9"),
        ("<table><tr><th>Tree</th><th>Age</th></tr><tr><td>Oak</td><td>12</td></tr></table>",
         "Tree | Age\nOak | 12"),
        (f"<table><tbody>{ROW.format('A', 'B')}</tbody></table>", "A | B"),
        (f"<table>{ROW.format('<p>Oak</p>', '<p>12</p>')}</table>", "Oak | 12"),
        (f"<table>{ROW.format('an<br>oak', 12)}</table>", "an oak | 12"),
        ("<table><tr><td>a line of its own</td></tr></table>", "a line of its own"),
        (f"<table role='presentation'>{ROW.format('left', 'right')}</table>", "left\nright"),
        (f"<table>{ROW.format('<a>Home</a>', '<h1>Bees</h1><p>They fly.</p>')}</table>",
         "Home\nBees\nThey fly."),
        (f"<table>{ROW.format('word ' * 200, 'b')}</table>", "word " * 199 + "word\nb"),
        (f"<table>{ROW.format('Oak', '')}{ROW.format('', 9)}</table>", "Oak |\n| 9"),
        (f"<table>{ROW.format('Oak', '')}{ROW.format('Ash', '')}</table>", "Oak\nAsh"),
        (("<table><tr><td>Oak</td><td></td><td>12</td></tr><tr><td>Ash</td><td>tall</td><td></td>"
          "</tr></table>"), "Oak |  | 12\nAsh | tall |"),
        (f"<table>{ROW.format('Oak', 12)}<tr><td colspan='2'>of old</td></tr></table>",
         "Oak | 12\nof old"),
        (f"<table><caption>Trees</caption>{ROW.format('Oak', 12)}</table>", "Trees\nOak | 12"),
        (f"<table>{ROW.format('Oak', '<div><p>12</p></div>')}</table>", "Oak | 12"),
        (f"<table>{ROW.format('Mon', '<ul><li>9 to 5</li></ul>')}</table>", "Mon | 9 to 5"),
        (("<table><tr><th>Tree</th><th>For</th></tr><tr><td>Oak</td><td><ul><li>hulls</li>"
         "<li>oars</li></ul></td></tr></table>"), "Tree | For\nOak | hulls oars"),
        (f"<table>{ROW.format('Oak', '<p>hulls</p><p>oars</p>')}</table>", "Oak\nhulls\noars"),
        (("<table><tr><th>Age</th><th>Tree</th></tr><tr><td rowspan=2>12</td><td>Oak</td></tr>"
         "<tr><td>Ash</td></tr></table>"), "Age | Tree\n12 | Oak\n| Ash"),
        (("<table><tr><th>Tree</th><th colspan=2>Ages</th><th>Sum</th></tr><tr><td>Oak</td>"
         "<td>1</td><td>2</td><td>3</td></tr></table>"), "Tree | Ages |  | Sum\nOak | 1 | 2 | 3"),
        ((f"<table><tfoot>{ROW.format('All', 21)}</tfoot><tbody>{ROW.format('Oak', 21)}</tbody>"
         "</table>"), "Oak | 21\nAll | 21"),
        ("<table><tr><td>int mend</td><td>(</td><td>Net</td><td>n</td><td>)</td></tr></table>",
         "int mend ( Net n )"),
        ("<table><tr><td></td><td>E = mc</td><td>(1)</td></tr></table>", "E = mc (1)"),
        (("<div role=table><div role=row><div role=cell>Oak</div><div role=cell>12</div></div>"
         "</div>"), "Oak | 12"),
        (f"<table>{ROW.format('Oak', f'<table>{ROW.format(1, 2)}</table>')}</table>",
         "Oak\n1 | 2"),
    ],
)  # fmt: skip
def test_a_table_of_data_gives_rows_and_one_that_lays_out_gives_text(inside, text):
    assert lines(inside) == text


POSTS = "<div class='post'><p>Tar it.</p></div><div class='post'>{}<p>I did.</p></div>"


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("<blockquote><cite>ann wrote:</cite>Tar it.</blockquote>",
         "> ann wrote:\n> Tar it.\n"),
        ("<div class='quotebox'><p>Tar it.</p></div>", "> Tar it.\n"),
        ("<blockquote><blockquote>Why?</blockquote>Tar it.</blockquote>",
         "> > Why?\n> Tar it.\n"),
        ("<div class='quote-button'>Quote</div>", "Quote\n"),
        ("<blockquote class='postcontent'>Tar it.</blockquote>", "Tar it.\n"),
    ],
)  # fmt: skip
def test_what_a_post_quotes_is_marked(quote, text):
    assert lines(POSTS.format(quote)) == f"Tar it.\n{text}I did."


def test_a_quotation_outside_a_thread_is_text():
    quoted = "<blockquote>Tar it.</blockquote><p>So he said.</p>"
    assert lines(quoted) == lines(f"<div class='post'>{quoted}</div>") == "Tar it.\nSo he said."


def test_text_is_kept_however_deep_it_stands():
    tree = parse("<html><body><p>on top</p></body></html>")
    place = tree[-1]
    for _ in range(DEEPEST + 50):  # the parser itself may stop sooner
        place.append(place.makeelement("div"))
        place = place[-1]
    place.text = "far below"
    found, _ = blocks(tree)
    assert [block.text for block in found] == ["on top", "far below"]
    assert found[1].place.depth == DEEPEST


def test_a_walk_leaves_the_tree_as_it_is():
    tree = parse("<html><body><p>a<sup>2</sup><br>d</p><noscript>e</noscript></body></html>")
    before = etree.tostring(tree)
    blocks(tree)
    assert etree.tostring(tree) == before
