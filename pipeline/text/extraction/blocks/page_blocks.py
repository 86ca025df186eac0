"""The blocks of a page, and the block elements that they stand in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

LISTS = ("ul", "ol", "dl")
CELLS = ("td", "th")
# Source: WAI-ARIA 1.2, the roles of tables and the elements of HTML that have them
ROLES = {"table": "table", "grid": "table", "row": "tr", "cell": "td", "gridcell": "td",
         "columnheader": "th", "rowheader": "th"}  # fmt: skip
NUMBERED = re.compile(
    r"list-style(?:-type)?\s*:[^;]*\b(lower|upper)-(alpha|latin|roman)", re.IGNORECASE
)
LETTERS = {"loweralpha": "a", "lowerlatin": "a", "upperalpha": "A", "upperlatin": "A",
           "lowerroman": "i", "upperroman": "I"}  # fmt: skip
ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
         (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
LONGEST_STYLE = 300  # characters of a style that are read
MOST_LETTERED = 3999  # items of a list that has letters or Roman numerals
WIDEST = 50  # columns that a cell may extend over; with more, a small page has a huge text
HIGHEST = 1000  # rows of it
MOST_SPANNED = 20  # columns in which cells may extend over several rows
LONGEST_PARTS = 200  # characters of a cell of data that has several blocks


class Numbers:
    """How the items of a list are numbered."""

    __slots__ = ("kind", "last", "step")

    def __init__(self) -> None:
        self.kind = "1"  # as the attribute `type` of a list tells
        self.last = 0  # number of the last item so far
        self.step = 1  # from an item's number to the next


class Grid:
    """What is known of a table so far: its rows, and cells that extend over several of them."""

    __slots__ = ("headed", "rows", "spans")

    def __init__(self) -> None:
        self.headed = False  # whether some of its cells are headings
        self.rows = 0
        self.spans: dict[int, int] = {}  # rows that a cell above still covers, by column


class Row:
    """The columns of a row of a table."""

    __slots__ = ("covered", "free")

    def __init__(self) -> None:
        self.free = 0  # the column of its next cell
        self.covered = 0  # columns that a cell above extends over


class Place:
    """A block element: its position, the hints of its names, and the size of its text."""

    __slots__ = (
        "bits", "blocks", "chars", "columns", "depth", "down", "first", "grid", "key", "kids",
        "label", "linked", "list", "long_words", "near", "numbers", "own", "plain", "quoted", "row",
        "signed", "standing", "table", "tag", "unseen", "up", "words",
    )  # fmt: skip

    def __init__(self, up: "Place | None", tag: str, own: int, key: str) -> None:
        self.up = up
        self.tag = tag
        self.key = key  # its name and its first class
        self.own = own  # hints of its own
        self.bits = own  # and of all elements around it
        self.near = own  # and of the two nearest elements around it
        self.signed: bool = up.signed if up else False  # under each post, or a program for consent
        self.quoted: int = up.quoted if up else 0  # quotations of other posts around it
        self.unseen: bool = up.unseen if up else False  # hidden by the page itself
        self.table: Place | None = self if tag == "table" else up.table if up else None
        self.list: Place | None = self if tag in LISTS else up.list if up else None
        self.depth = 0  # levels
        self.kids = 0  # block elements directly in it
        self.numbers: Numbers | None = None  # of a list, or what else has items
        self.label = ""  # of an item in its list: its number, or a letter
        self.plain = True  # of a table: no cell holds several blocks, as in a layout
        self.grid: Grid | None = None  # of a table
        self.row: Row | None = None  # of a row of one
        self.columns = (0, 0)  # of a cell: its first column and its last
        self.first = 0  # of a cell: blocks of the page before it
        self.words = self.chars = self.linked = self.blocks = self.long_words = 0
        self.down: int | None = None  # levels from the page's best place up to this one
        self.standing: list[float] | None = None
        if up is not None:
            self.bits |= up.bits
            self.near |= up.own | (up.up.own if up.up else 0)
            self.depth = up.depth + 1
            up.kids += 1

    def begin_list(self, element: Any) -> None:
        """Note how the items of an ordered list are numbered."""
        numbers = self.numbers = Numbers()
        styled = NUMBERED.search(element.get("style", "")[:LONGEST_STYLE])
        told = LETTERS["".join(styled.groups()).lower()] if styled else element.get("type", "")
        numbers.kind = told if told in ("a", "A", "i", "I") else "1"
        start = element.get("start", "")
        if element.get("reversed") is not None:
            numbers.step = -1
            numbers.last = sum(child.tag == "li" for child in element) + 1
        if start.isdecimal():
            numbers.last = int(start[:9]) - numbers.step

    def take_number(self, attributes: Mapping[str, str]) -> None:
        """Give an item the next number of its list, or the one that it tells."""
        assert self.up is not None
        numbers = self.up.numbers
        if numbers is None:
            numbers = self.up.numbers = Numbers()
        given = attributes.get("value", "")
        numbers.last = int(given[:9]) if given.isdecimal() else numbers.last + numbers.step
        self.label = numeral(numbers.last, numbers.kind)

    def take_columns(self, attributes: Mapping[str, str]) -> None:
        """Give a cell the first column of its row that is free, and as many as it extends over."""
        row = self.up.row if self.up else None
        grid = self.table.grid if self.table else None
        if row is None or grid is None:
            return
        grid.headed = grid.headed or self.tag == "th"
        pass_spans(row, grid)
        wide = extent(attributes.get("colspan"), WIDEST)
        high = extent(attributes.get("rowspan"), HIGHEST)
        self.columns = row.free, row.free + wide - 1
        row.free += wide
        if high > 1:
            for column in range(self.columns[0], min(row.free, MOST_SPANNED)):
                grid.spans[column] = high  # of which this row is the first

    def end_row(self) -> None:
        """Note that a row ends: its width, and one row less for the cells above the next."""
        grid = self.table.grid if self.table else None
        if grid is not None and self.row is not None:
            grid.rows += 1
            pass_spans(self.row, grid)
            if grid.spans:
                grid.spans = {at: left - 1 for at, left in grid.spans.items() if left > 1}

    def around(self) -> "Iterator[Place]":
        """Yield the place and all places around it, outwards."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.up


class Block:
    """A piece of a page's text.

    `text` has the line breaks of the page; `linked` is the number of its characters in links,
    `strong` the share of them in bold, `code` says whether its white space is kept.
    """

    __slots__ = ("code", "linked", "place", "strong", "text")

    def __init__(self, text: str, place: Place, linked: int, strong: float, code: bool) -> None:
        self.text = text
        self.place = place
        self.linked = linked
        self.strong = strong
        self.code = code


def pass_spans(row: Row, grid: Grid) -> None:
    """Pass the columns of a row that a cell above extends over."""
    while row.free in grid.spans:
        row.free += 1
        row.covered += 1


def numeral(number: int, kind: str) -> str:
    """Return the number of an item as its list shows it.

    >>> numeral(28, "a"), numeral(1904, "I"), numeral(7, "1")
    ('ab', 'MCMIV', '7')
    """
    if kind == "1" or not 0 < number <= MOST_LETTERED:
        return str(number)
    found, left = "", number
    if kind in "iI":
        for value, letters in ROMAN:
            found += letters * (left // value)
            left %= value
    else:
        while left:
            left, rest = divmod(left - 1, 26)
            found = chr(ord("a") + rest) + found
    return found.upper() if kind.isupper() else found


def extent(told: str | None, most: int) -> int:
    """Return how many rows or columns a cell extends over, as an attribute tells."""
    return min(max(int(told), 1), most) if told and told.isdecimal() and len(told) < 5 else 1


def are_short(blocks: list[Block], cell: Place) -> bool:
    """Whether the last blocks of a page, those of a cell, are short and in no table of its own."""
    left = LONGEST_PARTS
    for block in blocks[cell.first :]:
        left -= len(block.text)
        if left < 0 or block.place.table is not cell.table:
            return False
    return True
