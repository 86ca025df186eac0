"""A page as the blocks of text that a reader sees, in their order, with the place of each.

A block is the text between two tags of block elements: a paragraph, an item, a cell, a line of a
menu. Inline text is joined as a browser shows it; line breaks are kept, code keeps its white space,
and an exponent is written with a caret. The walk visits each element once, and records a place for
each block element; a block has a reference to the innermost one.
"""

from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from webtext.pipeline.text.extraction.blocks import listings
from webtext.pipeline.text.extraction.blocks.formulas import MOVED, described, formula, moved
from webtext.pipeline.text.extraction.blocks.hints import (
    BIT,
    TAGS,
    asks_consent,
    is_quote,
    is_signature,
    names,
    of_element,
)
from webtext.pipeline.text.extraction.blocks.page_blocks import (
    CELLS,
    ROLES,
    Block,
    Grid,
    Place,
    Row,
    are_short,
)
from webtext.pipeline.text.extraction.inline import (
    BESIDE,
    BLOCKS,
    BREAK,
    DROPPED,
    INLINE,
    begins_large,
    in_code,
    is_link,
    is_part_of_line,
    is_unread,
    lines_of,
    pieces,
    stands_at_an_edge,
    touches,
)
from webtext.pipeline.text.extraction.unseen import Names, hidden_names, is_hidden, size_of

DEEPEST = 512  # levels of places; deeper elements count as on the last level
LEAST_FORM = 200  # characters of a form that may be the whole page
LEAST_NOSCRIPT = 250  # characters; a shorter one is of an image or a counter

STRONG = ("b", "strong")
THREAD = BIT["post"] | BIT["comment"]
LISTED = names("pre listing xmp plaintext table ol ul textarea")
QUOTE = '"'
RENAMED = names("form textarea div footer")
NOTED = names("pre li ol tr table td th")
LAYOUT = ("presentation", "none")  # roles of a table used for layout only


class Walk:
    """One walk over a tree, which is not changed."""

    def __init__(self, tree: Any) -> None:
        self.hidden: Names = hidden_names(tree)
        self.page = tree
        self.page_size = -1  # characters, counted where a form asks for it
        self.in_form = False  # whether a form is around the page
        self.blocks: list[Block] = []
        self.place = Place(None, "html", 0, "")
        self.places = [self.place]
        self.parts: list[str] = []
        self.links = self.strong = self.code = 0  # open elements
        self.linked = self.bold = 0  # characters of the parts
        self.skipped: Any = None  # the last element that was not entered
        self.deeper: list[Any] = []  # open elements below the deepest place
        self.listing: Any = None  # the open element that is one piece of code
        self.kept: Any = None  # the open element whose line ends browsers show
        self.unknown: list[Any] = []  # open elements that no standard knows, in a line
        self.apart: list[Any] = []  # open inline elements that have a line of their own

    def over(self) -> None:
        """Process the whole tree."""
        walk = etree.iterwalk(self.page, events=("start", "end"))
        for event, element in walk:
            tag = element.tag
            if tag.__class__ is not str:  # an entity or the like
                if event == "end":
                    self.add(element.tail)
            elif event == "start":
                if tag in BLOCKS or (tag not in INLINE and not self.in_line(element)):
                    self.begin(tag, element, walk)
                elif tag == "math":
                    walk.skip_subtree()
                    self.add(formula(element))
                elif self.is_apart(tag, element):
                    walk.skip_subtree()
                    self.skipped = element
                elif tag in MOVED and (text := moved(tag, element, self.parts)) is not None:
                    walk.skip_subtree()
                    self.skipped = element
                    self.add(text)
                else:
                    self.open_inline(tag, element)
                    self.add(element.text)
            elif tag in BLOCKS or (tag not in INLINE and not self.is_in_line(element)):
                self.end(tag, element)
                if self.listing is None or not (element.tail or "").isspace():
                    self.add(element.tail)
            else:
                self.close_inline(tag, element)
                self.add(element.tail)
        self.flush()

    def in_line(self, element: Any) -> bool:
        """Whether an element that no standard knows is part of a line."""
        if not self.unknown and not is_part_of_line(element):
            return False
        self.unknown.append(element)
        return True

    def is_in_line(self, element: Any) -> bool:
        """Whether an element that ends is the last unknown one in a line."""
        return bool(self.unknown) and element is self.unknown[-1]

    def begin(self, tag: str, element: Any, walk: Any) -> None:
        """Enter an element that is not inline."""
        if tag == "br":
            self.parts.append(BREAK)
        elif tag in DROPPED and not listings.is_shown(tag, element):
            walk.skip_subtree()
            if tag == "script" and element.get("type", "").startswith("math/tex"):
                self.add(element.text)
        elif self.listing is not None:
            if listings.is_no_code(tag, element):
                walk.skip_subtree()
                self.skipped = element
                return
            self.new_line()
            if not (element.text or "").isspace() or tag in ("td", "pre", "div"):
                self.add(element.text)
        elif tag == "noscript" and self.is_idle(element):
            walk.skip_subtree()
            self.skipped = element
        else:
            style = element.get("style")
            listed = listings.is_code(tag, element) if tag in LISTED or style else 0
            if self.place.depth < DEEPEST:
                self.open(self.named(tag, element) if tag in RENAMED else tag, element)
            else:
                self.flush()
                self.deeper.append(element)
            if style and self.kept is None and listings.KEEPS_LINES.search(style):
                self.kept = element
            if listed:
                self.code += tag != "pre"
                self.listing = element
                if tag not in listings.CODE and (element.text or "").isspace():
                    return
            self.add(element.text)

    def end(self, tag: str, element: Any) -> None:
        """Leave an element that is not inline."""
        if (
            tag == "br"
            or element is self.skipped
            or (tag in DROPPED and not listings.is_shown(tag, element))
        ):
            return
        if self.listing is not None and element is not self.listing:
            self.new_line()
            return
        self.flush()
        if element is self.kept:
            self.kept = None
        if element is self.listing:
            self.listing = None
            self.code -= tag != "pre"
        if self.deeper and element is self.deeper[-1]:
            self.deeper.pop()
        else:
            self.close()

    def new_line(self) -> None:
        """Begin a new line of code, unless one has just begun."""
        if self.parts and not self.parts[-1].endswith(("\n", BREAK)):
            self.parts.append("\n")

    def is_apart(self, tag: str, element: Any) -> bool:
        """Whether an inline element is no part of the text that it stands in."""
        if self.listing is not None:
            return listings.is_no_code(tag, element)
        if tag != "button" and tag != "a" and not element.keys():
            return False
        if (self.hidden or element.get("style") or element.get("hidden") is not None) and is_hidden(
            element.attrib, tag, self.hidden, len(element) == 0
        ):
            return len("".join(element.itertext())) < LEAST_NOSCRIPT  # else a script shows it later
        if is_unread(tag, element):
            return True
        return tag == "button" and len(element) < 2 and listings.is_copier(element)

    def close_inline(self, tag: str, element: Any) -> None:
        """Leave an inline element."""
        if self.is_in_line(element):
            self.unknown.pop()
        if element is self.skipped:
            return
        if tag == "a":
            self.links -= is_link(element)
        elif tag == "q" and not self.code:
            self.parts.append(QUOTE)
        elif tag in STRONG:
            self.strong -= 1
        if element is self.kept:
            self.kept = None
        if self.apart and element is self.apart[-1]:
            self.apart.pop()
            if element is self.listing:
                self.flush()
                self.listing = None
                self.code -= 1
            elif self.code:
                self.new_line()
            else:
                self.parts.append(BREAK)

    def is_idle(self, noscript: Any) -> bool:
        """Whether a page shows too little without scripts to be its text."""
        if self.place.bits & TAGS["noscript"]:
            return False
        return len("".join(noscript.itertext())) < LEAST_NOSCRIPT

    def named(self, tag: str, element: Any) -> str:
        """Return the tag that an element counts as."""
        if tag == "form":
            return "div" if self.is_whole(element) else tag
        if tag == "textarea":
            return "pre"
        if tag == "footer" and self.place.tag == "blockquote":
            return "p"  # the source of what is quoted
        if tag == "div" and (role := element.get("role")):
            return ROLES.get(role, tag)
        return tag

    def is_whole(self, form: Any) -> bool:
        """Whether a form is around a page and no part of it, or in a form, as in no browser."""
        if any(place.tag == "form" for place in self.place.around()):
            return True
        if len("".join(form.itertext())) < LEAST_FORM:
            return False
        if not self.in_form:
            if self.page_size < 0:
                self.page_size = size_of(self.page, DROPPED)
            self.in_form = 2 * size_of(form, DROPPED) > self.page_size
        return self.in_form

    def add(self, text: str | None) -> None:
        """Add a text to the current line."""
        if text:
            kept = self.kept is not None and not self.code
            self.parts.append(text.replace("\n", BREAK) if kept else text)
            if self.links:
                self.linked += len(text.strip())
            if self.strong:
                self.bold += len(text)

    def open_inline(self, tag: str, element: Any) -> None:
        """Enter an inline element."""
        if tag in ("span", "code") and (style := element.get("style")):
            self.set_apart(tag, element, style)
        elif tag == "cite" and stands_at_an_edge(element) and "blockquote" in lines_of(element):
            self.apart.append(element)
            self.parts.append(BREAK)
        if tag == "a":
            self.links += is_link(element)
            if touches(self.parts, element) and (
                element.getprevious().tag == "a" or begins_large(element)
            ):
                self.parts.append(" ")
        elif tag in BESIDE:
            if self.code:
                if listings.begins_line(element):
                    self.new_line()
            elif touches(self.parts, element) and begins_large(element) and not in_code(element):
                self.parts.append(" ")
        elif tag in STRONG:
            self.strong += 1
        elif tag == "img":
            self.add(described(element, self.parts))
        elif tag == "q" and not self.code:
            self.parts.append(QUOTE)

    def set_apart(self, tag: str, element: Any, style: str) -> None:
        """Begin a line, or a piece of code, where the style of an inline element does."""
        if tag == "span" and self.kept is None and listings.KEEPS_LINES.search(style):
            self.kept = element
        if tag == "code" and not self.code and listings.KEEPS_LINES.search(style):
            self.flush()
            self.listing = element
            self.code += 1
            self.apart.append(element)
        elif listings.ITS_OWN_LINE.search(style):
            self.apart.append(element)
            if self.code:
                self.new_line()
            elif self.parts and self.parts[-1] != BREAK:
                self.parts.append(BREAK)

    def open(self, tag: str, element: Any) -> None:
        """Enter a block element, which counts as one with another tag."""
        attributes = element.attrib
        self.flush()
        own, key = TAGS.get(tag, 0), tag
        if attributes:
            own = of_element(tag, attributes)
            key = f"{tag}.{attributes.get('class', '').split(' ', 1)[0]}"
        if self.links:
            own |= BIT["<link>"]
        self.place = Place(self.place, tag, own, key)
        self.places.append(self.place)
        if self.place.bits & THREAD and is_quote(tag, attributes):
            self.place.quoted += 1
        if attributes:
            if (self.place.bits & BIT["post"] and is_signature(attributes)) or (
                own & BIT["popup"] and asks_consent(tag, attributes)
            ):
                self.place.signed = True
            if is_hidden(attributes, tag, self.hidden, len(element) == 0):
                self.place.unseen = True
        if tag in NOTED:
            self.note_kind(tag, element)

    def note_kind(self, tag: str, element: Any) -> None:
        """Note what the place of an element of code, a list or a table needs to be known by."""
        if tag == "pre":
            self.code += 1
        elif tag == "li":
            self.place.take_number(element.attrib)
        elif tag == "ol":
            self.place.begin_list(element)
        elif tag == "tr":
            self.place.row = Row()
        elif tag == "table":
            self.place.grid = Grid()
            self.place.plain = element.get("role") not in LAYOUT
            if self.place.up and (outer := self.place.up.table):
                outer.plain = False  # a table in a cell
        elif tag in CELLS:
            self.place.take_columns(element.attrib)
            self.place.first = len(self.blocks)

    def close(self) -> None:
        """Leave a block element."""
        if self.place.tag == "pre":
            self.code -= 1
        elif self.place.tag == "tr":
            self.place.end_row()
        elif self.place.tag in CELLS and self.place.kids > 1:
            self.lays_out()
        assert self.place.up is not None
        self.place = self.place.up

    def lays_out(self) -> None:
        """Note that the table around a cell is for layout, if it has no headings or a long cell."""
        table, cell = self.place.table, self.place
        if table is not None and not (
            table.grid and table.grid.headed and are_short(self.blocks, cell)
        ):
            table.plain = False

    def flush(self) -> None:
        """End the current line, which may give several blocks."""
        if not self.parts:
            return
        texts = pieces("".join(self.parts), self.code > 0)
        self.parts = []
        if texts:
            if len(texts) > 1 and self.place.tag in CELLS:
                self.lays_out()
            size = sum(map(len, texts))
            linked, bold = self.linked / size, min(1.0, self.bold / size)
            self.blocks += [
                Block(text, self.place, min(len(text), int(linked * len(text))), bold,
                      self.code > 0)
                for text in texts
            ]  # fmt: skip
        self.linked = self.bold = 0


def blocks(tree: Any) -> tuple[list[Block], list[Place]]:
    """Return the blocks of a page, and its block elements, both in their order."""
    walk = Walk(tree)
    walk.over()
    return walk.blocks, walk.places
