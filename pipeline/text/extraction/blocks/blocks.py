"""A page as the blocks of text that a reader sees, in their order, with the place of each.

A block is the text between two tags of block elements: a paragraph, an item, a cell, a line of a
menu. Inline text is joined as a browser shows it; line breaks are kept, code keeps its white space,
and an exponent is written with a caret. The walk visits each element once, and records a place for
each block element; a block has a reference to the innermost one.
"""

import re
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from webtext.pipeline.text.extraction.blocks import listings
from webtext.pipeline.text.extraction.blocks.formulas import (
    described,
    formula,
    lowered,
    note,
    raised,
)
from webtext.pipeline.text.extraction.blocks.hints import (
    BIT,
    TAGS,
    asks_consent,
    is_quote,
    is_signature,
    names,
    of_element,
)
from webtext.pipeline.text.extraction.blocks.page_blocks import Block, Place
from webtext.pipeline.text.extraction.unseen import Names, hidden_names, is_hidden, size_of

BREAK = "\x1e"  # replaces <br> until a block is done; no page's text contains it
BLANK_LINES = re.compile(r"\n\n+")
DEEPEST = 512  # levels of places; deeper elements count as on the last level
LEAST_FORM = 200  # characters of a form that may be the whole page
LEAST_NOSCRIPT = 250  # characters; a shorter one is of an image or a counter

DROPPED = names(
    "head script style svg template iframe object embed applet audio video canvas map area select "
    "option optgroup datalist textarea input link meta base param source track progress meter "
    "frame frameset noframes rp rt rtc"
)
INLINE = names(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q s "
    "samp small span strike strong sub sup time tt u var wbr ruby rb img button math picture"
)
STRONG = ("b", "strong")
THREAD = BIT["post"] | BIT["comment"]
LISTED = names("pre listing xmp plaintext table ol ul")
CELLS = ("td", "th")
LAYOUT = ("presentation", "none")  # roles of a table used for layout only
BEFORE = re.compile("[ \\xa0]*")  # what a line begins with
LONGEST_VERSE = 100  # characters of a line whose indentation is kept
ANCHORS = ("\u00b6", "#", "\u00a7")  # text of links from a heading to itself
HIDDEN = "true"  # aria-hidden of what is shown again for screen readers


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
        self.counts: list[int] = [0]  # items so far, in each open place
        self.listing: Any = None  # the open element that is one piece of code
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
                if tag not in INLINE:
                    self.begin(tag, element, walk)
                elif tag == "math":
                    walk.skip_subtree()
                    self.add(formula(element))
                elif tag == "sup" and (mark := note(element)):
                    walk.skip_subtree()
                    self.add(mark)
                elif self.is_apart(tag, element):
                    walk.skip_subtree()
                    self.skipped = element
                else:
                    self.open_inline(tag, element)
                    self.add(element.text)
            elif tag not in INLINE:
                self.end(tag, element)
                if self.listing is None or not (element.tail or "").isspace():
                    self.add(element.tail)
            else:
                if element is not self.skipped:
                    self.close_inline(tag, element)
                self.add(element.tail)
        self.flush()

    def begin(self, tag: str, element: Any, walk: Any) -> None:
        """Enter an element that is not inline."""
        if tag == "br":
            self.parts.append(BREAK)
        elif tag in DROPPED:
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
            listed = listings.is_code(tag, element) if tag in LISTED or element.get("style") else 0
            if self.place.depth < DEEPEST:
                named = "div" if tag == "form" and self.is_whole(element) else tag
                self.open(named, element.attrib)
            else:
                self.flush()
                self.deeper.append(element)
            if listed:
                self.code += tag != "pre"
                self.listing = element
                if tag not in listings.CODE and (element.text or "").isspace():
                    return
            self.add(element.text)

    def end(self, tag: str, element: Any) -> None:
        """Leave an element that is not inline."""
        if tag == "br" or tag in DROPPED or element is self.skipped:
            return
        if self.listing is not None and element is not self.listing:
            self.new_line()
            return
        self.flush()
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
        if (self.hidden or element.get("style") or element.get("hidden") is not None) and is_hidden(
            element.attrib, tag, self.hidden
        ):
            return len("".join(element.itertext())) < LEAST_NOSCRIPT  # else a script shows it later
        if tag == "span":
            return (
                element.get("aria-hidden") == HIDDEN and len(element) > 0 and told_beside(element)
            )
        if tag == "a":
            return (element.text or "").strip() in ANCHORS and len(element) == 0 and (
                element.get("href", "").startswith("#"))  # fmt: skip
        return tag == "button" and len(element) < 2 and listings.is_copier(element)

    def close_inline(self, tag: str, element: Any) -> None:
        """Leave an inline element."""
        if tag == "a":
            self.links -= 1
        elif tag in STRONG:
            self.strong -= 1
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
            self.parts.append(text)
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
            self.links += 1
            if self.touches(element):
                self.parts.append(" ")
        elif tag in ("span", "button"):
            if self.touches(element) and (element.text or "A")[0].isupper():
                self.parts.append(" ")
        elif tag in STRONG:
            self.strong += 1
        elif tag == "img":
            self.add(described(element, self.parts))
        elif tag == "sup":
            self.parts.append(raised(element, self.parts))
        elif tag == "sub":
            self.parts.append(lowered(element, self.parts))

    def set_apart(self, tag: str, element: Any, style: str) -> None:
        """Begin a line, or a piece of code, where the style of an inline element does."""
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

    def touches(self, element: Any) -> bool:
        """Whether a word would join that of a like element before it, unlike on the screen."""
        if not self.parts or not self.parts[-1][-1:].isalnum() or len(self.parts[-1]) < 2:
            return False
        before = element.getprevious()
        return before is not None and before.tag == element.tag and not before.tail

    def open(self, tag: str, attributes: Any) -> None:
        """Enter a block element."""
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
            if is_hidden(attributes, tag, self.hidden):
                self.place.unseen = True
        if tag == "pre":
            self.code += 1
        elif tag == "li":
            given = attributes.get("value", "")
            self.counts[-1] = int(given[:9]) if given.isdecimal() else self.counts[-1] + 1
            self.place.number = self.counts[-1]
        elif tag == "table":
            self.place.plain = attributes.get("role") not in LAYOUT
        self.counts.append(0)
        if tag == "ol" and (start := attributes.get("start", "")).isdecimal():
            self.counts[-1] = int(start[:9]) - 1

    def close(self) -> None:
        """Leave a block element."""
        if self.place.tag == "pre":
            self.code -= 1
        elif self.place.tag in CELLS and self.place.kids > 1:
            self.lays_out()
        self.counts.pop()
        assert self.place.up is not None
        self.place = self.place.up

    def lays_out(self) -> None:
        """Note that the table around the place is for layout."""
        table = next((around for around in self.place.around() if around.tag == "table"), None)
        if table is not None:
            table.plain = False

    def flush(self) -> None:
        """End the current line, which may give several blocks."""
        if not self.parts:
            return
        text = "".join(self.parts)
        self.parts = []
        if self.code:
            whole = text.replace(BREAK, "\n").replace("\xa0", " ").strip("\n").rstrip()
            texts = [whole] if whole else []
        elif BREAK in text:
            lines = "\n".join([indented(line) for line in text.split(BREAK)])
            texts = [part for part in BLANK_LINES.split(lines.strip("\n")) if part]
            if len(texts) > 1 and self.place.tag in CELLS:
                self.lays_out()
        else:
            text = " ".join(text.split())
            texts = [text] if text else []
        if texts:
            size = sum(map(len, texts))
            linked, bold = self.linked / size, min(1.0, self.bold / size)
            self.blocks += [
                Block(text, self.place, min(len(text), int(linked * len(text))), bold,
                      self.code > 0)
                for text in texts
            ]  # fmt: skip
        self.linked = self.bold = 0


def told_beside(element: Any) -> bool:
    """Whether an element beside one tells screen readers what it shows, as beside a formula."""
    beside = (element.getprevious(), element.getnext())
    return any(one is not None and "".join(one.itertext()).strip() for one in beside)


def lines_of(cite: Any) -> list[Any]:
    """Return the tags of the two elements around one, of which a quotation sets it apart."""
    return [around.tag for _, around in zip(range(2), cite.iterancestors(), strict=False)]


def indented(line: str) -> str:
    """Return a line between line breaks, with its spaces that a browser shows at its beginning."""
    found = " ".join(line.split())
    if "\xa0" in line and found and len(found) <= LONGEST_VERSE:
        begins = BEFORE.match(line.lstrip(" \t\r\n"))
        assert begins is not None  # it may be empty
        return " " * len(begins[0]) + found
    return found


def blocks(tree: Any) -> tuple[list[Block], list[Place]]:
    """Return the blocks of a page, and its block elements, both in their order."""
    walk = Walk(tree)
    walk.over()
    return walk.blocks, walk.places


def stands_at_an_edge(element: Any) -> bool:
    """Whether an inline element has no text before it, or none after it, where it stands.

    A source begins or ends a quotation; a title stands in a sentence of it.
    """
    before, parent = element.getprevious(), element.getparent()
    if before is None and not (parent.text or "").strip():
        return True
    return not (element.tail or "").strip() and element.getnext() is None
