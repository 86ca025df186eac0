"""Code as pages show it: which elements are one piece of code, and what of them is not code.

Programs that colour code make a list, a table of two columns or a block a line of it. Such a piece
is read as one block, line by line, without the numbers of its lines and the button that copies it.
"""

import re
from typing import Any

CODE = ("pre", "listing", "xmp", "plaintext")
KEEPS_SPACE = re.compile(r"white-space\s*:\s*pre\s*(?:;|!|$)", re.IGNORECASE)
KEEPS_LINES = re.compile(r"white-space\s*:\s*pre\b", re.IGNORECASE)  # pre-wrap as well
ITS_OWN_LINE = re.compile(r"display\s*:\s*(?:block|table-row)\b", re.IGNORECASE)
# Elements that show that the whole page, and not only code, is in an element for code.
PROSE = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "article", "section", "form", "hr", "dl")
ROWS = 3  # of a table or list that are looked at
NAMED = re.compile(r"(?:^|[\W_])(?:code|source)(?:$|[\W_])", re.IGNORECASE)
LINE_NUMBER = re.compile(
    r"line-?n(?:o|r|um)|gutter|hljs-ln-n|blob-num|(?:^|\s)lnt?(?:$|\s)", re.IGNORECASE
)
LINE = re.compile(r"(?:^|[\s_-])line(?:$|\s)", re.IGNORECASE)
AREA = re.compile(r"(?:^|[\W_])code(?:$|[\W_])", re.IGNORECASE)
# Source: HTML standard, 13.2.6.5 (elements that end foreign content), the most frequent of them.
OUTSIDE = ("p", "h1", "h2", "h3", "ul", "ol", "table", "blockquote", "pre")
SHADOWS = ("shadowrootmode", "shadowroot")  # of a template that browsers show in place
COPIES = re.compile(
    r"cop(?:y|ied)!?(?: (?:code|link|url|page|text|snippet|command|item path|to clipboard))?",
    re.IGNORECASE,
)


def is_shown(tag: str, element: Any) -> bool:
    """Whether an element is shown that is not shown as a rule: code to copy, a shadow tree.

    A drawing that is never closed has the rest of the page in it; browsers close it before that.
    """
    if tag == "svg":
        first = next(element.iter(*OUTSIDE, "foreignobject"), None)
        return first is not None and first.tag != "foreignobject"
    if tag == "template":
        return any(element.get(name) is not None for name in SHADOWS)
    if tag == "textarea":
        named = f"{element.get('name', '')} {element.get('class', '')}"
        return AREA.search(named) is not None and not (element.text or "<").lstrip().startswith("<")
    return False


def is_code(tag: str, element: Any) -> bool:
    """Whether an element is one piece of code."""
    if tag in ("table", "ol", "ul"):
        return is_numbered(tag, element)
    if tag in CODE or tag == "textarea" or KEEPS_SPACE.search(element.get("style", "")):
        return next(element.iter(*PROSE), element) is element
    return False


def is_numbered(tag: str, element: Any) -> bool:
    """Whether a table is code beside the numbers of its lines, or a list has a line an item."""
    seen = 0
    for row in element.iter("tr" if tag == "table" else "li"):
        cells = [cell for cell in row if cell.tag.__class__ is str]
        if tag != "table":
            if len(cells) != 1 or cells[0].tag != "pre" or (row.text or "").strip():
                return False
        elif len(cells) != 2 or not is_gutter(cells[0]) or not has_code(cells[1]):
            return False
        seen += 1
        if seen == ROWS:
            break
    return seen > 0


def has_code(cell: Any) -> bool:
    """Whether a cell is for code, by its name or what is in it."""
    if NAMED.search(cell.get("class", "")):
        return True
    return next(cell.iter("pre"), None) is not None and next(cell.iter(*PROSE), None) is None


def is_gutter(element: Any) -> bool:
    """Whether an element holds numbers of lines, one after the other, and nothing else."""
    last = None
    for text in element.itertext():
        for word in text.split():
            if not word.isdecimal() or (last is not None and int(word[:9]) != last + 1):
                return False
            last = int(word[:9])
    return True


def is_no_code(tag: str, element: Any) -> bool:
    """Whether an element in a piece of code is a line's number or a button."""
    if tag == "button":
        return True
    if tag in ("td", "th"):
        return element.getnext() is not None and is_gutter(element)
    return bool(LINE_NUMBER.search(element.get("class", ""))) and is_gutter(element)


def begins_line(element: Any) -> bool:
    """Whether an element in code is a line after another, by its name, with nothing between."""
    named = element.get("class")
    if not named or not LINE.search(named):
        return False
    before = element.getprevious()
    return before is not None and before.get("class") == named and not before.tail


def is_copier(button: Any) -> bool:
    """Whether a button copies the code beside it."""
    return COPIES.fullmatch(" ".join("".join(button.itertext()).split())) is not None
