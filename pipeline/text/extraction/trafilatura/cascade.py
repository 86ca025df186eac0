"""trafilatura's main text, the same to the letter, in less than a third of its time.

What is done otherwise changes no text:

- Its XPath expressions with patterns are functions of `xpath.py`, several of them in one pass.
- Boilerplate goes by `boilerplate.py`, paragraphs are judged by `paragraphs.py`.
- The second opinion of readability is asked only where it can win. Readability returns a part of a
  page, and where trafilatura's own text is in order, a part counts only when it is more than twice
  as long; so where the page has no such amount of text, readability need not be asked. Three pages
  in four of the mini-web are of that kind.
- Where precision is favoured and comments are not wanted, as by default, `precise` goes the same
  way as trafilatura's own sequence, with fewer copies of the tree.

What is replaced is replaced in trafilatura's modules, for the whole process. `maintext.py` imports
this for the one version for which the tests hold that texts are the same.
"""

from collections.abc import Callable
from copy import copy
from functools import cache, partial
from html import unescape
from typing import Any, NamedTuple

from lxml.etree import strip_elements  # type: ignore[import-untyped]
from trafilatura import core, external, main_extractor, xpaths
from trafilatura.core import _forum_thread_page as is_forum
from trafilatura.htmlprocessing import convert_tags
from trafilatura.settings import Extractor
from trafilatura.utils import remove_control_characters, sanitize
from trafilatura.xml import SEPARATORS, delete_element, process_element, xmltotxt

from webtext.pipeline.text.extraction.justext_paragraphs import classify, stop_words
from webtext.pipeline.text.extraction.trafilatura.boilerplate import clean, prune, sorter, trimmed
from webtext.pipeline.text.extraction.trafilatura.xpath import Selector

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
    """Return the main text of a page, "" where there is none; the tree is used up.

    Comments follow the text, where the options ask for them.
    """
    bind()
    plain = options.focus == "precision" and not options.comments and not options.formatting
    try:
        if plain:
            body, text = precise(tree, options)
            return written(body) if text else ""
        bodies = core.trafilatura_sequence(tree, options)[::2]
    except (TypeError, ValueError):  # as trafilatura takes them: no text
        return ""
    return "\n".join(filter(None, (xmltotxt(body, options.formatting) for body in bodies)))


def precise(tree: Any, options: Extractor) -> tuple[Any, str]:
    """Return body and text as trafilatura finds them where precision is favoured."""
    forum = is_forum(tree)
    for elements in sorter("RAW_TREE_PRUNE_XPATH", "REMOVE_COMMENTS_AND_LISTS_XPATH")(tree):
        for element in elements:
            delete_element(element)
    strip_elements(tree, "script", "style", with_tail=False)  # sooner: there is less to copy
    page = convert_tags(clean(copy(tree), options), options)
    if not forum:
        for element in sorter("REMOVE_COMMENTS_XPATH")(page)[0]:
            delete_element(element)
    body, text = main_extractor.extract_content(page, options)
    return (body, text) if options.fast else second_opinion(tree, body, text, options)


@cache
def bind() -> None:
    """Change trafilatura's modules, once."""
    for binding in bindings():
        setattr(binding.module, binding.name, binding.ours)


@cache
def bindings() -> list[Binding]:
    """Return what is put in the place of what."""
    ours: list[tuple[Any, str, Any]] = [
        (main_extractor, "prune_unwanted_sections", prune),
        (external, "classify_paragraphs", classify),
        (external, "JT_STOPLIST", stop_words()),
    ]
    for module in (core, external, main_extractor):
        for name in filter(partial(hasattr, module), LISTS):
            paths = [selector(p.path, first=name == "BODY_XPATH") for p in getattr(xpaths, name)]
            ours.append((module, name, paths))
    return [Binding(module, name, new, getattr(module, name)) for module, name, new in ours]


@cache
def selector(path: str, *, first: bool) -> Callable[[Any], list[Any]]:
    """Return a path's function, the same for the same path."""
    return Selector(path, first=first)


def second_opinion(tree: Any, body: Any, text: str, options: Extractor) -> tuple[Any, str]:
    """Return a body and its text, or those of a second opinion where trafilatura prefers them."""
    enough = 0  # no text of this length or less can win
    if len(text) >= options.min_extracted_size and next(body.iter(*UNCLEAN), None) is None:
        enough = 2 * (len(text) if sound(body) else options.min_extracted_size)
        if shows_at_most(tree, enough):
            return body, text
    whole = copy(tree)
    for elements in sorter("OVERALL_DISCARD_XPATH")(tree):
        for element in elements:
            delete_element(element)
    if enough and shows_at_most(tree, enough):
        return body, text
    return external.compare_extraction(clean(whole, options), tree, body, text, options)


def sound(body: Any) -> bool:
    """Say whether a body has text in paragraphs, and no fewer paragraphs than tables."""
    paragraphs, tables = list(body.iter("p")), sum(1 for _ in body.iter("table"))
    return len(paragraphs) >= tables and any(any(p.itertext()) for p in paragraphs)


def shows_at_most(tree: Any, most: int) -> bool:
    """Say whether readability can make no more than so many characters of a page."""
    if next(tree.iter(*GROWING), None) is not None:
        return False
    text = tree.text_content()
    most -= FRAME * sum(1 for _ in tree.iter("iframe"))
    return len(text) <= most or trimmed(text) <= most


def written(body: Any) -> str:
    """Return the text of a body, a block a line, as trafilatura writes it without formatting."""
    if body.text or body.tag not in ("body", "div", "html"):
        return xmltotxt(body, include_formatting=False)
    parts: list[str] = []
    for block in body:
        text = block.text
        if not text or len(block) or block.tag not in ("p", "head", "quote"):
            process_element(block, parts, include_formatting=False)
            continue
        if parts and parts[-1][-1:] not in SEPARATORS:
            parts.append("\n")
        parts += (text, "\n", (block.tail or "").lstrip())
    whole = "".join(parts)
    if "&" in whole:  # there may be entities, which are the library's business
        return unescape(sanitize(whole, preserve_space=True) or "")
    lines = (
        line if line.isprintable() else remove_control_characters(line)
        for line in whole.splitlines()
    )
    return "\n".join(filter(None, lines)).replace("\u2424", "")
