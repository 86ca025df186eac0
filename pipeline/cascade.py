"""trafilatura's main text, the same to the letter, in a third of its time.

Two things are done otherwise than trafilatura does them, none of which changes a text:

- Its XPath expressions with patterns are `pipeline.xpath`'s functions.
- The second opinion of readability is asked only where it can win. Readability returns a part of a
  page, and where trafilatura's own text is in order, a part counts only when it is more than twice
  as long; so where the page has no such amount of text, readability need not be asked. Three pages
  in four of the mini-web are of that kind.

What is replaced is replaced in trafilatura's modules, for the whole process, and only in the
version for which `tests/pipeline/test_cascade.py` holds that texts are the same; with any other,
trafilatura is left alone.
"""

from collections.abc import Callable
from copy import copy
from functools import cache, partial
from typing import Any, NamedTuple

import trafilatura
from lxml.etree import strip_elements  # type: ignore[import-untyped]
from trafilatura import core, external, main_extractor, xpaths
from trafilatura.core import trafilatura_sequence
from trafilatura.settings import Document, Extractor
from trafilatura.utils import trim
from trafilatura.xml import xmltotxt

from pipeline.xpath import Selector

CHECKED = "2.3.1"  # the version whose modules are changed
LISTS = (
    "BODY_XPATH",
    "COMMENTS_DISCARD_XPATH",
    "COMMENTS_XPATH",
    "DISCARD_IMAGE_ELEMENTS",
    "OVERALL_DISCARD_XPATH",
    "PRECISION_DISCARD_XPATH",
    "RAW_TREE_PRUNE_XPATH",
    "REMOVE_COMMENTS_AND_LISTS_XPATH",
    "REMOVE_COMMENTS_XPATH",
    "TEASER_DISCARD_XPATH",
)
# Elements that make trafilatura doubt its own text.
UNCLEAN = tuple(external.SANITIZED_XPATH.replace(".//", "").split("|"))
UNREAD = ("fencedframe", "script", "style")  # what readability takes out at first
# Elements whose text may grow when readability writes and reads it: what stands in them is no
# markup, so that "&" comes back as "&amp;".
GROWING = ("listing", "noembed", "noframes", "plaintext", "xmp")
FRAME = len("VIDEO")  # what readability writes for a frame


class Binding(NamedTuple):
    """What is put in the place of something in one of trafilatura's modules."""

    module: Any
    name: str
    ours: Any
    theirs: Any


def main_text(tree: Any, options: Extractor) -> str:
    """Return the main text of a page, "" where there is none; the tree is used up."""
    if not bound():
        found = trafilatura.bare_extraction(tree, options=options)
        return found.text or "" if isinstance(found, Document) else ""
    try:
        body, text, *_ = trafilatura_sequence(tree, options)
    except (TypeError, ValueError):  # as trafilatura takes them: no text
        return ""
    return xmltotxt(body, options.formatting) if text else ""


@cache
def bound() -> bool:
    """Change trafilatura's modules, once; False if theirs is another version."""
    if trafilatura.__version__ != CHECKED:
        return False
    for binding in bindings():
        setattr(binding.module, binding.name, binding.ours)
    return True


@cache
def bindings() -> list[Binding]:
    """Return what is put in the place of what."""
    ours: list[tuple[Any, str, Any]] = [(core, "_extract_and_compare", compared)]
    for module in (core, external, main_extractor):
        for name in filter(partial(hasattr, module), LISTS):
            paths = [
                selector(path.path, first=name == "BODY_XPATH") for path in getattr(xpaths, name)
            ]
            ours.append((module, name, paths))
    return [Binding(module, name, new, getattr(module, name)) for module, name, new in ours]


@cache
def selector(path: str, *, first: bool) -> Callable[[Any], list[Any]]:
    """Return a path's function, the same for the same path."""
    return Selector(path, first=first)


def compared(cleaned: Any, backup: Any, tree: Any, options: Extractor) -> tuple[Any, str]:
    """Return body and text by trafilatura's rules, or by a second opinion where it is better."""
    body, text = main_extractor.extract_content(cleaned, options)
    if options.fast or (options.focus == "precision" and settled(tree, body, text, options)):
        return body, text
    return external.compare_extraction(backup, copy(tree), body, text, options)


def settled(tree: Any, body: Any, text: str, options: Extractor) -> bool:
    """Say whether no second opinion can win over a text and the body that it is of.

    The page's tree is changed, in ways that the second opinions would change it.
    """
    if len(text) < options.min_extracted_size or next(body.iter(*UNCLEAN), None) is not None:
        return False
    paragraphs, tables = list(body.iter("p")), sum(1 for _ in body.iter("table"))
    sound = len(paragraphs) >= tables and any(any(p.itertext()) for p in paragraphs)
    enough = 2 * len(text) if sound else 2 * options.min_extracted_size
    strip_elements(tree, *UNREAD, with_tail=False)
    if next(tree.iter(*GROWING), None) is not None:
        return False
    if longest(tree) <= enough:
        return True
    for select in boilerplate():
        for element in select(tree):
            element.drop_tree()
    return longest(tree) <= enough


def boilerplate() -> list[Callable[[Any], list[Any]]]:
    """Return what finds the boilerplate that trafilatura hides from readability."""
    return [selector(path.path, first=False) for path in xpaths.OVERALL_DISCARD_XPATH]


def longest(tree: Any) -> int:
    """Return the most characters that readability can make of a page."""
    frames = sum(1 for _ in tree.iter("iframe"))
    return len(trim(tree.text_content())) + FRAME * frames
