"""HTML as a tree: the one that trafilatura's own reading gives, made and walked sooner.

A quarter of the time of `trafilatura.load_html` goes into searches for characters that are gone
already. And lxml's own HTML parser asks a Python function for the class of each element that it
hands out: a twelfth of all that is then done with the tree.
"""

import re

import lxml.html  # type: ignore[import-untyped]
from lxml import etree
from lxml.html import HtmlElement

BEGINNING = 50  # characters in which a page names itself HTML
START = 4096  # characters in which `<html` is looked for
SLASHED_DOCTYPE = re.compile(r"< ?! ?doctype[^>\n]*/[^<>\n]*>", re.IGNORECASE)
CLOSED_HTML = re.compile(r"(<html.*?)\s*/>", re.IGNORECASE)

PARSER = etree.HTMLParser(
    encoding="utf-8",
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
    default_doctype=False,
)
PARSER.set_element_class_lookup(etree.ElementDefaultClassLookup(element=HtmlElement))


def parse(html: str) -> HtmlElement | None:
    """Return the tree of a page without control characters, or None where there is none.

    There is none in nothing, nor in one element or less that does not begin by naming HTML.
    """
    names_itself = "html" in html[:BEGINNING].lower()
    html = mended(html)
    try:
        # lxml refuses a string that declares a charset
        tree = lxml.html.fromstring(html.encode() if html[:5] == "<?xml" else html, parser=PARSER)
    except etree.LxmlError:
        return None
    return tree if names_itself or len(tree) > 1 else None


def mended(html: str) -> str:
    r"""Return a page without what libxml2 stumbles over.

    >>> mended('<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN">\n<html lang="en" /><p>a')
    '\n<html lang="en"><p>a'
    """
    html = html.replace("\f", "")
    if doctype := SLASHED_DOCTYPE.match(html):
        html = html[doctype.end() :]
    for line in html[:START].splitlines()[:4]:
        if "<html" in line and line.endswith("/>"):
            return CLOSED_HTML.sub(r"\1>", html, count=1)
    return html
