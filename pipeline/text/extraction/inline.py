"""What stands in a line of text: which elements are part of it, and which readers don't see there.

A browser puts every element in a line that it does not know otherwise: names that programs for
writing leave in a text, and those of a page's own. Parts for screen readers, links to edit a
section and formulas that a script has drawn are not the text that a reader copies.
"""

import re
from functools import lru_cache
from typing import Any

from webtext.pipeline.text.extraction.blocks.hints import LONGEST_NAME, names

DROPPED = names(
    "head script style svg template iframe object embed applet audio video canvas map area select "
    "option optgroup datalist textarea input link meta base param source track progress meter "
    "frame frameset noframes rp rt rtc mjx-math"
)
INLINE = names(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q s "
    "samp small span strike strong sub sup time tt u var wbr ruby rb img button math picture "
    "output slot blink spacer basefont mjx-container mjx-assistive-mml"
)
# Source: HTML standard, 15.3 (the elements that it displays as blocks, lists and tables), and
# elements of older pages that are none of a line.
BLOCKS = DROPPED | names(
    "html body address article aside blockquote br caption center col colgroup dd details dialog "
    "dir div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr "
    "ilayer layer legend li listing main marquee menu multicol nav noscript ol p plaintext pre "
    "search section summary table tbody td tfoot th thead tr ul xmp"
)
LONGEST = 20  # elements in an unknown one that may be part of a line

# Names that style sheets of many makers give to text for screen readers, and to text that is shown
# only while a pointer is over it.
SPOKEN = names(
    "sr-only sr-text screen-reader screen-reader-text screen-reader-only screenreader-only "
    "screenreader visually-hidden visuallyhidden u-visuallyhidden visually-hidden-text "
    "element-invisible assistive-text a11y-hidden a11y-text accessible-text accessibility-hidden "
    "show-for-sr offscreen hidden-text tooltiptext tooltip-text tooltip-content"
)
LONGEST_SPOKEN = 250  # characters
EDITS = re.compile(r"(?<![a-z])(?:mw-)?edit-?section(?![a-z])", re.IGNORECASE)
LONGEST_EDIT = 40  # characters of links to edit a section
BRACKETED = re.compile(
    r"\[(?:edit|edit source|source|src|view source|permalink|link)\]", re.IGNORECASE
)
DRAWN = re.compile(r"(?:^|\s)(?:MathJax(?:_(?:Display|CHTML|SVG|Preview))?|mjx-chtml)(?:\s|$)")
TEX = "math/tex"
ANCHORS = ("\u00b6", "#", "\u00a7")  # text of links from a heading to itself
BESIDE = ("a", "span", "button", "label", "time")  # often set apart by a style alone
CODE = names("code tt kbd samp")
NEAR = 3  # elements around one that may be for code
BREAK = "\x1e"  # replaces <br> until a block is done; no page's text contains it
HYPHEN = "\xad"  # where a browser may break a word; else no reader sees it
BLANK_LINES = re.compile(r"\n\n+")
BEFORE = re.compile("[ \\xa0]*")  # what a line begins with
LONGEST_VERSE = 100  # characters of a line whose indentation is kept
# A line end in the source between two letters of Chinese or Japanese, which have no spaces
# between words. Source: CSS Text 3, 4.1.2 (segment break transformation rules)
LETTER = "[\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\uff00-\uffe6\U00020000-\U0003ffff]"
WRAPPED = re.compile(rf"(?<={LETTER})[ \t\r]*\n[^\S{BREAK}]*(?={LETTER})")
HIDDEN = "true"  # aria-hidden of what is shown again for screen readers


def is_part_of_line(element: Any) -> bool:
    """Whether an unknown element is part of a line: empty, or beside text and without blocks."""
    if len(element) == 0 and not (element.text or "").strip():
        return True
    before, parent = element.getprevious(), element.getparent()
    if parent is None:
        return False
    beside = parent.text if before is None else before.tail
    if not (beside or "").strip() and not (element.tail or "").strip():
        return False
    for number, inner in enumerate(element.iterdescendants()):
        if number == LONGEST or inner.tag in BLOCKS:
            return False
    return True


def is_link(element: Any) -> bool:
    """Whether an element <a> is a link, and not the place that one leads to."""
    return element.get("href") is not None or (
        element.get("name") is None and element.get("id") is None
    )


def is_unread(tag: str, element: Any) -> bool:
    """Whether no reader sees an inline element as text of its line."""
    if tag == "span":
        if element.get("aria-hidden") == HIDDEN and len(element) > 0 and told_beside(element):
            return True
    elif tag == "a" and is_anchor(element):
        return True
    named = element.get("class")
    if not named or len(named) > LONGEST_NAME or not (kind := kind_of(named)):
        return False
    return is_named_unread(element, kind)


def is_named_unread(element: Any, kind: str) -> bool:
    """Whether an inline element with a name of such a kind is not text of its line."""
    if kind == "drawn":
        return is_drawn(element)
    if kind == "edits":
        return len("".join(element.itertext())) <= LONGEST_EDIT
    if any(one is not None and one.get("aria-hidden") == HIDDEN for one in around(element)):
        return False  # what is beside it is left out for it
    if len("".join(element.itertext())) > LONGEST_SPOKEN:
        return False
    before, parent = element.getprevious(), element.getparent()
    beside = parent.text if before is None else before.tail
    return bool((beside or "").strip() or (element.tail or "").strip()) or told_beside(element)


def is_drawn(element: Any) -> bool:
    """Whether the source of a formula that a script has drawn follows at once."""
    for _ in range(NEAR):
        if (element.tail or "").strip() or (element := element.getnext()) is None:
            return False
        if element.tag == "script":
            return TEX in element.get("type", "")
        if not DRAWN.search(element.get("class", "")):
            return False
    return False


@lru_cache(4096)
def kind_of(named: str) -> str:
    """Return what a class tells of an inline element: "spoken", "edits", "drawn", or ""."""
    if EDITS.search(named):
        return "edits"
    if DRAWN.search(named):
        return "drawn"
    tokens = named.lower().replace("_", "-").split()
    if not SPOKEN.isdisjoint(tokens):
        return "spoken"
    shown = any(":" in token or "-" in token for token in tokens)  # on screens of some sizes
    return "spoken" if "hidden" in tokens and not shown else ""


def is_anchor(element: Any) -> bool:
    """Whether a link leads from a heading to itself, or from a text to its source."""
    if len(element) == 0:
        text = (element.text or "").strip()
        if text in ANCHORS:
            return str(element.get("href", "")).startswith("#")
    elif len(element) > 1 or (element.text or "").strip():
        return False
    else:
        text = "".join(element.itertext()).strip()
    return text[:1] == "[" and BRACKETED.fullmatch(text) is not None


def told_beside(element: Any) -> bool:
    """Whether an element beside one tells screen readers what it shows, as beside a formula."""
    return any(one is not None and "".join(one.itertext()).strip() for one in around(element))


def around(element: Any) -> tuple[Any, Any]:
    """Return the elements before and after one, None where there is none."""
    return element.getprevious(), element.getnext()


def lines_of(cite: Any) -> list[Any]:
    """Return the tags of the two elements around one, of which a quotation sets it apart."""
    return [outer.tag for _, outer in zip(range(2), cite.iterancestors(), strict=False)]


def stands_at_an_edge(element: Any) -> bool:
    """Whether an inline element has no text before it, or none after it, where it stands.

    A source begins or ends a quotation; a title stands in a sentence of it.
    """
    before, parent = element.getprevious(), element.getparent()
    if before is None and not (parent.text or "").strip():
        return True
    return not (element.tail or "").strip() and element.getnext() is None


def touches(parts: list[str], element: Any) -> bool:
    """Whether a word would join that of the element before it, unlike on the screen."""
    if not parts or not parts[-1][-1:].isalnum() or len(parts[-1]) < 2:
        return False
    before = element.getprevious()
    return before is not None and before.tag in BESIDE and not before.tail


def begins_large(element: Any) -> bool:
    """Whether the text of an element begins with a capital letter, or it has none."""
    first = next((text for text in element.itertext() if text), "A")
    return first[0].isupper()


def in_code(element: Any) -> bool:
    """Whether an element is close within one for code."""
    return any(
        outer.tag in CODE for _, outer in zip(range(NEAR), element.iterancestors(), strict=False)
    )


def pieces(text: str, code: bool) -> list[str]:
    """Return the parts of a text between blank lines; code is one part, with its white space."""
    if code:
        whole = text.replace(BREAK, "\n").replace("\xa0", " ").strip("\n").rstrip()
        return [whole] if whole else []
    text = unwrapped(text.replace(HYPHEN, "") if HYPHEN in text else text)
    if BREAK in text:
        lines = "\n".join([indented(line) for line in text.split(BREAK)])
        return [part for part in BLANK_LINES.split(lines.strip("\n")) if part]
    text = " ".join(text.split())
    return [text] if text else []


def indented(line: str) -> str:
    """Return a line between line breaks, with its spaces that a browser shows at its beginning."""
    found = " ".join(line.split())
    if "\xa0" in line and found and len(found) <= LONGEST_VERSE:
        begins = BEFORE.match(line.lstrip(" \t\r\n"))
        assert begins is not None  # it may be empty
        return " " * len(begins[0]) + found
    return found


def unwrapped(text: str) -> str:
    r"""Return a text without the line ends of its source between letters that have no spaces.

    >>> unwrapped("渡し\n  船 a\nb")
    '渡し船 a\nb'
    """
    return text if text.isascii() or "\n" not in text else WRAPPED.sub("", text)
