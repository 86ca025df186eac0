"""The blocks of a page, and the block elements that they stand in."""

from collections.abc import Iterator

LISTS = ("ul", "ol", "dl")


class Place:
    """A block element: its position, the hints of its names, and the size of its text."""

    __slots__ = (
        "bits", "blocks", "chars", "depth", "down", "key", "kids", "linked", "list", "long_words",
        "near", "nth", "number", "own", "plain", "quoted", "signed", "standing", "table", "tag",
        "unseen", "up", "words",
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
        self.depth = self.nth = 0  # levels, and block elements before it in the one around it
        self.kids = 0  # block elements directly in it
        self.number = 0  # of an item in its list, from 1
        self.plain = True  # of a table: no cell holds several blocks
        self.words = self.chars = self.linked = self.blocks = self.long_words = 0
        self.down: int | None = None  # levels from the page's best place up to this one
        self.standing: list[float] | None = None
        if up is not None:
            self.bits |= up.bits
            self.near |= up.own | (up.up.own if up.up else 0)
            self.depth = up.depth + 1
            self.nth = up.kids
            up.kids += 1

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
