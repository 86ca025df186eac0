"""Parse HTML to the same tree as trafilatura's own parsing, but faster and complete.

Parts that libxml2 drops are kept here: elements below many open ones, and everything after the
end of the page's first document. `trafilatura.load_html` spends a quarter of its time on searches
for characters that are already removed. And lxml's own HTML parser calls a Python function for the
class of each element that it returns: a twelfth of the time of all later work on the tree.
"""

import re

import lxml.html  # type: ignore[import-untyped]
from lxml import etree
from lxml.html import HtmlElement

BEGINNING = 50  # characters in which a page may declare that it is HTML in any way
DECLARED = re.compile(r"<!doctype html\b|<html[\s>]", re.IGNORECASE)  # elsewhere in its start
PROLOG = re.compile(r"(?:\s|<[?!][^>]*>)*+")  # what usually stands before that
START = 4096  # characters that are searched for it; a server's warnings may stand before it
SLASHED_DOCTYPE = re.compile(r"< ?! ?doctype[^>\n]*/[^<>\n]*>", re.IGNORECASE)
CLOSED_HTML = re.compile(r"(<html.*?)\s*/>", re.IGNORECASE)

# Elements that may be open at once in a page with more of them than libxml2 reads, which is 256.
# Browsers too put deeper elements beside their parents, from the 512th on (Blink's
# kMaximumHTMLParserDOMTreeDepth); the time of work on a tree grows with the square of its depth.
DEEPEST = 200

# Source: HTML standard, 13.2.6.4.4 (the "in head" insertion mode)
METADATA = frozenset(
    ["base", "basefont", "bgsound", "link", "meta", "title", "noscript", "noframes", "style",
     "script", "template", "object", "isindex"]
)  # fmt: skip

# The end of a document; it is ignored if more than other end tags and comments follow it.
END = re.compile(r"</(?:body|html)\s*>", re.IGNORECASE)
NOTHING_MORE = re.compile(
    r"(?:\s+|</(?:body|html)\s*>|<!--(?:(?!-->).)*+-->)*+\Z", re.IGNORECASE | re.DOTALL
)
# Pages of frames, and what stands in one that no browser takes for them.
FRAMES = re.compile(r"<frameset\b", re.IGNORECASE)
NOFRAMES = re.compile(r"<noframes\b[^<>]*>", re.IGNORECASE)
NOFRAMES_END = re.compile(r"</noframes\b[^<>]*>", re.IGNORECASE)
BODY = re.compile(r"<body\b", re.IGNORECASE)
NOT_SHOWN = re.compile(r"<!--.*?(?:-->|\Z)|<script\b.*?(?:</script|\Z)", re.IGNORECASE | re.DOTALL)
# The start of a second document; its head's elements are read in place, as in browsers.
AGAIN = re.compile(
    r"<!doctype[^>]*(?:>|\Z)|</?(?:html|head|body)(?=[\s/>])[^>]*(?:>|\Z)", re.IGNORECASE
)

# A tag, or a part that cannot contain tags.
TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|title|textarea|xmp)(?=[\s/>]).*?(?:</\1|\Z)"
    r"|<(/?)([a-z][^\s/>]*)[^>]*(?:>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# Source: HTML standard, 13.1.2 (void elements)
VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "param",
        "frame",
    ]
)
# Elements that only format text. If they are never closed, each line of a page is inside the one
# before, and the page is too deep for this reason alone; without them its lines are siblings.
LOOKS = frozenset(
    "a b big blink center em font i nobr s small span strike strong tt u".split()  # noqa: SIM905
)
# The least number of elements that an element counts for; all others count as one.
WEIGHTS = {"table": 4, "ul": 2, "ol": 2, "dl": 2, "select": 2}
# Elements that a browser closes itself at the next one, so that none is inside another.
CLOSED_BY_THE_NEXT = frozenset(
    ["p", "li", "dt", "dd", "tr", "td", "th", "option", "thead", "tbody", "tfoot", "colgroup"]
)

BREAK_END = re.compile(r"</br\s*/?>", re.IGNORECASE)  # in browsers the same as <br>

OPTIONS = {"encoding": "utf-8", "remove_comments": True, "remove_pis": True, "collect_ids": False,
           "default_doctype": False}  # fmt: skip
PARSER = etree.HTMLParser(**OPTIONS)
DEEP = etree.HTMLParser(**OPTIONS, huge_tree=True)  # 2,048 elements may be open
for _parser in (PARSER, DEEP):
    _parser.set_element_class_lookup(etree.ElementDefaultClassLookup(element=HtmlElement))


def parse(html: str) -> HtmlElement | None:
    """Return the tree of a page without control characters, or None if there is none.

    There is none for an empty page, nor for at most one element that is not declared as HTML.
    """
    names_itself = "html" in html[:BEGINNING].lower()
    if not names_itself and DECLARED.search(html[:START], PROLOG.match(html).end() + 1):  # type: ignore[union-attr]  # matches ""
        html = "<html>" + AGAIN.sub("", html)  # as in browsers: all of it is one document
        names_itself = True
    html = joined(mended(html))
    try:
        tree = _tree(html, PARSER)
        if html.count("<") > DEEPEST and _cut_off():
            tree = _tree(shallow(html), DEEP)
    except etree.LxmlError:
        return None
    begin_body(tree)
    feet_last(tree)
    return tree if names_itself or len(tree) > 1 else None


def begin_body(tree: HtmlElement) -> None:
    """Move to the body what libxml2 leaves in the head of a page that has no <body> tag.

    HTML allows that, and browsers begin the body at the first element that is no metadata.
    """
    head = next(iter(tree), None)
    if head is None or head.tag != "head":
        return
    first = next((child for child in head if child.tag not in METADATA), None)
    if first is None:
        return
    body = next((child for child in tree if child.tag == "body"), None)
    if body is None:
        body = etree.SubElement(tree, "body")
    moved = [first, *first.itersiblings()]
    if body.text:
        moved[-1].tail = (moved[-1].tail or "") + body.text
        body.text = None
    body[:0] = moved  # at once: lxml looks for the place of a single one from the beginning


def unframed(html: str) -> str:
    """Return what a page of frames shows without them, or the page as it is.

    >>> unframed("<frameset><frame src=a><noframes>Text</noframes></frameset>")
    '<html>Text'
    """
    if FRAMES.search(html) is None:
        return html
    page = NOT_SHOWN.sub("", html)  # frames that a comment has, or that a script may write
    frames, begin, body = FRAMES.search(page), NOFRAMES.search(page), BODY.search(page)
    if not (frames and begin) or (body and body.start() < frames.start()):
        return html
    end = NOFRAMES_END.search(page, begin.end())
    inside = page[begin.end() : end.start() if end else len(page)]
    rest = page[end.end() :] if end else ""
    return "<html>" + AGAIN.sub("", inside) if inside.strip() and not BODY.search(rest) else html


def feet_last(tree: HtmlElement) -> None:
    """Move the foot of each table to its end, before which HTML 4 wanted it."""
    for foot in list(tree.iter("tfoot")):
        if foot.getnext() is not None and foot.getparent().tag == "table":
            foot.getparent().append(foot)


def _tree(html: str, parser: etree.HTMLParser) -> HtmlElement:
    # lxml refuses a string that declares a charset
    return lxml.html.fromstring(html.encode() if html[:5] == "<?xml" else html, parser=parser)


def _cut_off() -> bool:
    """Whether the parser stopped in the last page at an element that was too deep."""
    last = PARSER.error_log.last_error
    return last is not None and last.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT


def joined(html: str) -> str:
    """Return a page as one document, if more follows the end of its first one.

    >>> joined("<body><p>a</body></html><p>b")
    '<body><p>a<p>b'
    >>> joined("<body><p>a</body></html> <!-- b -->")
    '<body><p>a</body></html> <!-- b -->'
    """
    end = END.search(html)
    if end is None or NOTHING_MORE.match(html, end.start()):
        return html
    return html[: end.start()] + AGAIN.sub("", html[end.end() :])


def shallow(html: str) -> str:
    """Return a page without the tags of elements that are too deep, or that only format text.

    Their content is kept, beside the last parent that is not too deep.
    """
    depth = 0
    beyond: dict[str, int] = {}  # removed elements that are not closed yet

    def kept(tag: re.Match[str]) -> str:
        nonlocal depth
        name = (tag[3] or "").lower()
        if not name or name in VOID or name in CLOSED_BY_THE_NEXT:
            return tag[0]
        if name in LOOKS:
            return ""
        weight = WEIGHTS.get(name, 1)
        if not tag[2]:
            if depth + weight > DEEPEST:
                beyond[name] = beyond.get(name, 0) + 1
                return " "
            depth += weight
        elif beyond.get(name):
            beyond[name] -= 1
            return " "
        else:
            depth = max(depth - weight, 0)
        return tag[0]

    return TAG.sub(kept, html)


def mended(html: str) -> str:
    r"""Return a page without parts that libxml2 reads wrongly, or not at all.

    A page of frames alone is read as browsers without frames do, as its frames are other pages.

    >>> mended('<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN">\n<html lang="en" /><p>a</br>b')
    '\n<html lang="en"><p>a<br>b'
    >>> mended("<frameset><frame src=b><noframes><p>a</noframes></frameset>")
    '<html><p>a'
    """
    html = html.replace("\f", "")
    if "</br" in html or "</BR" in html:
        html = BREAK_END.sub("<br>", html)
    if "rameset" in html or "RAMESET" in html:
        html = unframed(html)
    if doctype := SLASHED_DOCTYPE.match(html):
        html = html[doctype.end() :]
    for line in html[:START].splitlines()[:4]:
        if "<html" in line and line.endswith("/>"):
            return CLOSED_HTML.sub(r"\1>", html, count=1)
    return html
