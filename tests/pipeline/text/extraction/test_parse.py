import pytest
import trafilatura
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.bench.extraction import pages
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.extraction.parse import DECLARED, PROLOG, begin_body, parse

XHTML = (
    '<?xml version="1.0" encoding="iso-8859-1"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN"'
    ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n<html><head></head><body><p>é</p></body></html>'
)
WHOLE = ["<!doctype html><html><body><p>a</p></body></html>", XHTML, XHTML.partition("\n")[2],
         '<html lang="en" />\n<p>a</p><p>b</p>', "<p>a</p>\f<p>b</p>", "a<p>b<p>c",
         "<html><!-- a --><?php b ?><body>c", "<body><p>a</body><body><p>b</body>"]  # fmt: skip
NOTHING = ["", " \n", "<!-- a -->", "<?xml version='1.0' encoding='utf-8'?>", "<p>a</p>", "words"]


def seen(tree):
    return None if tree is None else etree.tostring(tree).rstrip()


@pytest.mark.parametrize("html", WHOLE)
def test_a_tree_is_the_one_that_trafilatura_would_read(html):
    assert seen(parse(html)) == seen(trafilatura.load_html(html)) is not None


@pytest.mark.parametrize("html", NOTHING)
def test_what_is_no_page_has_no_tree(html):
    assert parse(html) is None


pieces = st.sampled_from(
    ["<html>", "<html/>", "\n", "<!doctype html SYSTEM 'a/b'>", "<!DOCTYPE html>", "<head>", "<p>",
     "</p>", "<body class='a'>", "<?xml version='1.0'?>", "<!-- b -->", "text", "é", "\f", "<br/>"]
)  # fmt: skip


@given(st.lists(pieces, max_size=12).map("".join))
def test_odd_pages_give_trafilaturas_tree_or_none(html):
    html += "\n"  # which it would add to a page of one line
    whole = seen(parse(html))
    theirs = trafilatura.load_html(html)
    if DECLARED.search(html, PROLOG.match(html).end() + 1):
        return  # declared after other things, where trafilatura may not look
    assert whole == seen(theirs) or (theirs is None and whole is None)


def test_real_pages_give_trafilaturas_tree(real):
    several = list(pages(real))
    for _, body in several[:: len(several) // 100 or 1]:
        html = decode(body).text
        tail = "" if "\n" in html else "\n"  # which it adds to a page of one line
        its_tree = trafilatura.load_html(html)
        begin_body(its_tree)  # which it leaves in the head
        ours, theirs = seen(parse(html + tail)), seen(its_tree)
        # What comes after the end of the body is within it for one of them and after it for the
        # other: a line end, a script.
        mine, its = (b"".join(tree.split()).replace(b"</body>", b"") for tree in (ours, theirs))
        assert mine.startswith(its.removesuffix(b"</html>"))


@pytest.mark.parametrize(
    "html",
    [
        "<!doctype html><html lang=en><meta charset=utf-8><title>t</title><header>a</header>b",
        "<html><head><title>t</title><link rel=x href=y><div>a</div><p>b</p></html>",
        "<!doctype html><title>t</title><script>1</script><main>a</main><footer>b</footer>",
        "<html><head><title>t</title><article>a</article></head><body class=x><p>b</body></html>",
        "<html><head><title>t</title></head><body><p>a<p>b</body></html>",
        "<title>t</title><article><h1>a</h1><p>b</p></article>",
        "<title>t</title><main>a</main>b",
    ],
)
def test_a_body_begins_where_browsers_begin_it(html):
    tree = parse(html)
    text = tree.find("body").text_content()
    assert (text.index("a") < text.index("b"), tree.findtext("head/title")) == (True, "t")
    assert not tree.xpath("//head//*[self::div or self::p or self::article or self::main]")


def test_an_element_is_one_of_lxmls_html_elements():
    assert parse(WHOLE[0]).find(".//p").text_content() == "a"


DEEP = ["<div>", "<font>", "<ul><li>", "<blockquote>", "<b><i>", "<table><tr><td>", "<a href=x>",
        "<form>", "<span><div>", "<section>"]  # fmt: skip


@pytest.mark.parametrize("opened", DEEP)
@pytest.mark.parametrize("count", [100, 300, 3000])
def test_nothing_is_lost_below_many_open_elements(opened, count):
    tree = parse(f"<html><body>{(opened + 'w ') * count}<p>deep</p><p>last</p></body></html>")
    text = tree.text_content()
    assert (text.count("w "), "deep" in text, "last" in text) == (count, True, True)


@pytest.mark.parametrize(
    "html",
    [
        "<html><body><p>a</body></html><p>b",
        "<html><body><p>a</body><p>b</html>",
        "<html><body><p>a</body></html><!-- x --><div>b</div>",
        "<html><body><p>a</body></html><html><head><title>t</title></head><body><p>b</body></html>",
        "<!doctype html><body><p>a</body></html>\n<!DOCTYPE html><body><p>b</body></html>",
        "<html><body><p>a</BODY ></HTML ><p>b",
        "<html><body><p>a</body></html></body></html><p>b",
        "<html><body><script>'</body></html>'</script><p>a<p>b</body></html>",
        "<html><body><form><p>a<form><p>b</form></form></body></html>",
        "a and a server's own warning, which is long\n<!doctype html><html><body><p>b</body>",
        "<br><b>Warning</b>: a() in a.php on line 9 and more of it<html lang=en><body><p>b</body>",
        "<html><body><table><tr><td>a<table><tr><td>x</table><tr><td>b</table></body></html>",
        "<html><body><table><tfoot><tr><td>b</tfoot><tbody><tr><td>a</tbody></table></body></html>",
        "<HTML><FRAMESET><FRAME SRC=m><NOFRAMES><BODY><P>a<P>b</BODY></NOFRAMES></FRAMESET></HTML>",
        "<html><body><p>a <noframes>x</noframes> b</p></body></html>",
    ],
)
def test_what_comes_after_an_end_belongs_to_the_page(html):
    text = parse(html).find(".//body").text_content()
    assert text.index("a") < text.index("b")
