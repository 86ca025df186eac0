"""What trafilatura takes out of a part of a page, with fewer looks at it.

The decisions are trafilatura's: by names of classes and the like, then by how much of a block's
text is that of links. Looked for is once what stays the same (names, lengths of links), and only
where a decision can fall: in blocks that hold a link, and once more only after something was taken.
"""

from functools import cache
from typing import Any

from lxml.etree import strip_tags  # type: ignore[import-untyped]
from trafilatura import xpaths
from trafilatura.htmlprocessing import _handle_forms as handle_forms
from trafilatura.htmlprocessing import prune_html, recover_math
from trafilatura.settings import MANUALLY_CLEANED, MANUALLY_STRIPPED, Extractor
from trafilatura.utils import LINK_FARM_RATIO
from trafilatura.xml import delete_element

from webtext.pipeline.text.extraction.trafilatura.xpath import Selector, Sorter

TABLES = ("table", "td", "th", "tr")
LEAST_SHARE = 7  # boilerplate is left where that would leave no more than one part in so many
LONG = 2000  # characters; the first of so many tell that a text is longer than any limit


@cache
def sorter(*lists: str) -> Sorter:
    """Return what finds the elements of several of trafilatura's lists of expressions."""
    paths = [path.path for name in lists for path in getattr(xpaths, name)]
    return Sorter([Selector(path) for path in paths])


def clean(tree: Any, options: Extractor) -> Any:
    """Take out of a page what is never main text, as trafilatura's `tree_cleaning`; return it."""
    recover_math(tree)
    unwanted = [name for name in MANUALLY_CLEANED if name != "form"]
    if options.tables:
        for element in tree.iter("figure", "table"):
            if element.tag == "figure":
                layout = next(element.iterdescendants("table"), None) is not None
            else:
                layout = element.get("role") in ("presentation", "none")
            if layout:
                element.tag = "div"
    else:
        unwanted += TABLES
    strip_tags(tree, MANUALLY_STRIPPED)
    there = {element.tag for element in tree.iter(*unwanted)}
    for name in unwanted:
        if name in there:
            for element in tree.iter(name):
                delete_element(element)
    handle_forms(tree)
    return prune_html(tree, options.focus)


def prune(
    tree: Any, potential_tags: set[str], options: Extractor, keep_teasers: bool = False
) -> Any:
    """Take boilerplate out of a tree of converted elements; return the tree.

    The arguments are those of trafilatura's `prune_unwanted_sections`, in whose place it stands.
    """
    precise, recall = options.focus == "precision", options.focus == "recall"
    names = ["OVERALL_DISCARD_XPATH", "DISCARD_IMAGE_ELEMENTS"]
    if not recall:
        names += [] if keep_teasers else ["TEASER_DISCARD_XPATH"]
        names += ["PRECISION_DISCARD_XPATH"] if precise else []
    named, hidden, *others = sorter(*names)(tree)
    remove_unless_most(tree, named, hidden)
    for elements in others if "graphic" not in potential_tags else others[1:]:
        for element in elements:
            delete_element(element)
    links = Links(tree, precise)
    for _ in range(2):
        taken = [links.thin_out(name) for name in ("div", "list", "p")]
        if not any(taken):
            break
    if "table" in potential_tags or precise:
        for table in [table for table in tree.iter("table") if links.fill(table)]:
            delete_element(table, keep_tail=False)
        links.lengths.clear()
    if precise:
        while len(tree) and tree[-1].tag == "head":
            delete_element(tree[-1], keep_tail=False)
        links.thin_out("head")
        links.thin_out("quote")
    strip_tags(tree, "span", *(() if "ref" in potential_tags else ("ref",)))
    return tree


def remove_unless_most(tree: Any, *found: list[Any]) -> None:
    """Take elements out, unless next to nothing of the text would be left."""
    all_of_them = {element for elements in found for element in elements}
    if not all_of_them:
        return
    outer = [e for e in all_of_them if all_of_them.isdisjoint(e.iterancestors())]
    size = len(tree.text_content())
    if size - sum(len(element.text_content()) for element in outer) > size / LEAST_SHARE:
        for element in outer:
            delete_element(element)


class Links:
    """How much of the text of a tree's blocks is that of links."""

    def __init__(self, tree: Any, precise: bool) -> None:
        self.tree = tree
        self.precise = precise
        self.lengths: dict[Any, int] = {}  # of links that were looked at
        self.holders: dict[Any, None] = {}  # the elements with a link in them
        for link in tree.iterdescendants("ref"):
            for element in link.iterancestors():
                if element in self.holders:
                    break
                self.holders[element] = None
                if element is tree:
                    break

    def thin_out(self, name: str) -> bool:
        """Take out the blocks of a name that are mostly links; say whether there were any."""
        doomed = [e for e in self.holders if e.tag == name and self.condemns(e)]
        for element in doomed:
            delete_element(element)
            del self.holders[element]
        if doomed:
            self.lengths.clear()
        return bool(doomed)

    def condemns(self, block: Any) -> bool:
        """Say whether a block goes."""
        mostly, short = self.judge(block)
        if not mostly and short and block.tag == "div":
            most, children = (200, 1) if self.precise else (100, 3)
            mostly = len(block) >= children and length(block) < most
        # an item or a cell would stay behind without its text
        parent = block.getparent()
        return mostly and not (
            block.tag == "p" and parent is not None and parent.tag in ("item", "td", "th")
        )

    def judge(self, block: Any) -> tuple[bool, bool]:
        """Say whether a block is mostly links, and else whether it is a short one with some."""
        links = list(block.iterdescendants("ref"))
        if not links or next(block.iterdescendants("graphic"), None) is not None:
            return False, False
        last = block.getnext() is None
        limit = (60 if last else 30) if block.tag == "p" else (300 if last else 100)
        text = block.text_content()
        if len(links) == 1:
            linked = self.length(links[0])
            if linked > (10 if self.precise else 100) and linked > 0.9 * trimmed(text):
                return True, False
        size = trimmed(text[:LONG])
        if size < limit and len(text) > LONG:
            size = trimmed(text)
        if size < limit:
            lengths = [n for n in map(self.length, links) if n]
            if not lengths:
                return True, False
            brief = sum(n < 10 for n in lengths) / len(lengths)
            return sum(lengths) > 0.8 * size or (len(lengths) > 1 and brief > 0.8), True
        return len(links) > 4 and self.is_farm(links, text), False

    def is_farm(self, links: list[Any], text: str) -> bool:
        """Say whether links run together to next to all of a text, and none is a whole card."""
        lengths = [n for n in map(self.length, links) if n]
        linked = sum(lengths)
        # the first of a long text tell that it is too long
        if not linked < 100 * len(lengths) or any(
            linked <= trimmed(text[:most]) * LINK_FARM_RATIO for most in (2 * linked + LONG, None)
        ):
            return False
        alone = (
            (parent := link.getparent()) is not None
            and parent.tag == "p"
            and sum(1 for _ in parent.iterdescendants("ref")) < 2
            for link in links
        )
        return not all(alone)

    def fill(self, table: Any) -> bool:
        """Say whether a table of some length is mostly links."""
        links = list(table.iterdescendants("ref")) if table in self.holders else []
        size = length(table) if links else 0
        if size < 200:
            return False
        return sum(map(self.length, links)) > (0.8 if size < 1000 else 0.5) * size

    def length(self, link: Any) -> int:
        """Return the characters of a link's text."""
        if link not in self.lengths:
            self.lengths[link] = length(link)
        return self.lengths[link]


def length(element: Any) -> int:
    """Return the characters of an element's text, trimmed."""
    return trimmed(element.text_content())


def trimmed(text: str) -> int:
    """Return the characters of a text with one space for any between words and none around.

    >>> trimmed("  a  bc ")
    4
    """
    return len(" ".join(text.split()))
