"""The features of each block of a page: the numbers that the model uses.

One row of numbers for each block, in the order of `NAMES`: the kind of page, the kind of its own
text, the hints of the elements around it, its neighbours, how much text of which kind those
elements contain, and whether trafilatura takes it. Every loop is over blocks, places, or the places
around a block, whose number is bounded, so the time is linear in the size of the page.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from math import log1p
from typing import NamedTuple

from webtext.pipeline.text.extraction.blocks.hints import HINTS, names
from webtext.pipeline.text.extraction.blocks.opinion import OPINION, told_of
from webtext.pipeline.text.extraction.blocks.page_blocks import Block, Place

LONG = 15  # words of a block that counts as running text
MOST_LINKED = 0.5  # share of linked characters; with more, it does not count
MOST_GAIN = 60  # words that a block may add to the score of the elements around it
PARENTS = 3  # elements around a block whose score it adds to, half as much each time
SOME = 60  # words of a block that are checked one by one
SHORT = 30  # words of a block in which single words are evidence
NEIGHBOURS = (-2, -1, 1, 2)
WINDOW = 5  # blocks to each side
AROUND = 4  # elements around a block that are described, each clearly larger than the last
GROWTH = 1.5  # times the words that make an element clearly larger
NONE = -1.0  # the value for a missing neighbour or element
FAR = 99.0  # levels to the best place if there is none
NO_HEADING = -999.0

TOKEN = re.compile(r"\w+")
TAGS = (
    "p", "div", "li", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "dt", "dd", "blockquote",
    "pre", "figcaption", "article", "section", "body", "summary", "main", "header", "footer",
    "span",
)  # fmt: skip
TAG_NUMBER = {tag: number for number, tag in enumerate(TAGS)}
OTHER_TAG = 30
MARKS = tuple('.!?。…"”')

# The most frequent words of ten languages, and words of menus, buttons and notices.
COMMON = names(
    "the of and to a in is it that for you was on are as with his they at be this have from or had "
    "by not but what all were we when your can said there use an each which she do how their if "
    "will up other about out many then them these so some her would make like him into has two "
    "more i my me der die und das ist zu den mit nicht ein im von sich auf für le la les et des en "
    "que est pour dans un une du au el los y por con para del se las il di che e non per una da do "
    "os em não na et och att som på av"
)
CALLS = names(
    "read more learn sign subscribe login log click share follow cookie cookies copyright rights "
    "reserved privacy policy terms cart view shop get started contact book download related "
    "comments comment posted tags categories previous next newsletter reply quote report edited "
    "joined posts reputation ago advertisement sponsored email password username menu skip search "
    "filter sort accept"
)

COUNTED = ("post", "card", "comment", "product", "review", "content", "fold", "code", "button",
           "meta", "sign", "related")  # fmt: skip
PAGE = (
    "blocks", "words", "long blocks", "words in long blocks", "linked words",
    *(f"elements: {name}" for name in COUNTED),
    "elements: pre", "elements: article", "elements: cells", "elements: li", "elements: p",
    "elements: h2, h3", "questions", "prices", "has main", "words of the best place",
    "share of the best place", "long words in the best place", "largest group",
    "share of the largest group", "groups",
)  # fmt: skip
OWN = (
    "own words", "own characters", "own links", "length of words", "common words", "punctuation",
    "ends a sentence", "ends in a colon", "numbers", "capitals", "begins small", "tag", "code",
    "seen before", "on the page", "told before", "calls", "price", "title", "lines", "bold",
    "words before", "after the heading", "depth", "group", "words in the group",
    "share of the group", "links of the group", "span of the group",
)  # fmt: skip
AROUND_IT = ("words", "links", "words a block", "long words", "share", "kids")
NAMES = (
    *PAGE,
    *OWN,
    "under",  # bits of HINTS, of all elements around
    "near",  # bits of HINTS, of the three nearest
    *(f"{what} at {at:+d}" for at in NEIGHBOURS for what in ("words", "links", "tag")),
    "words in the window",
    "links in the window",
    "long in the window",
    *(f"{what} around, {n}" for n in range(1, AROUND + 1) for what in AROUND_IT),
    "up to the best place's line",
    "down to the best place",
    *OPINION,
)
BITS = {NAMES.index("under"), NAMES.index("near")}


def group_of(place: Place) -> tuple[str, ...]:
    """Return the names of a place and of the two around it, which similar blocks share."""
    up = place.up
    return (place.key, up.key, up.up.key) if up and up.up else (place.key,)


class Group:
    """Blocks in elements with the same names: the cells of a column, the posts of a thread."""

    __slots__ = ("blocks", "chars", "first", "last", "linked", "words")

    def __init__(self, at: int) -> None:
        self.blocks = self.words = self.linked = self.chars = 0
        self.first = self.last = at


class Basics(NamedTuple):
    """The results of the first pass over the blocks."""

    words: int
    chars: int
    links: float  # share of linked characters
    seen: int  # times that the same text occurred before
    told: float  # share of its runs of four words that occurred before
    group: Group
    before: int  # words before it
    text: str  # its words in lower case
    price: bool
    tokens: list[str]


def evidence(
    blocks: list[Block], places: list[Place], title: str, opinion: str | None = None
) -> list[list[float]]:
    """Return a row of numbers for each block of a page, by its title and trafilatura's text."""
    page = Survey(blocks, places)
    of_title = frozenset(TOKEN.findall(title.lower()))
    shared = page.described(places)
    told = told_of([basics.tokens for basics in page.basics], opinion)
    return [
        [
            *shared,
            *page.own(number, block, of_title),
            block.place.bits,
            block.place.near,
            *page.neighbours(number),
            *(block.place.standing or page.standing(block.place)),
            *told[number],
        ]
        for number, block in enumerate(blocks)
    ]


class Survey:
    """Counts of a page's blocks."""

    def __init__(self, blocks: list[Block], places: list[Place]) -> None:
        self.blocks = blocks
        self.basics: list[Basics] = []
        self.groups: dict[tuple[str, ...], Group] = {}
        self.times: dict[str, int] = {}
        self.words = 0
        self.linked_words = 0.0
        self.heading = -1
        self.scores: dict[Place, float] = {}
        runs: set[tuple[str, ...]] = set()
        for number, block in enumerate(blocks):
            self.count(number, block, runs)
        for place in reversed(places):  # the content of a place is in those around it too
            if (up := place.up) is not None:
                up.words += place.words
                up.chars += place.chars
                up.linked += place.linked
                up.blocks += place.blocks
                up.long_words += place.long_words
        self.best = self.best_place()
        if self.best is not None:
            for down, place in enumerate(self.best.around()):
                place.down = down
        self.all_words, self.all_blocks = self.words or 1, len(blocks) or 1
        self.tags = [float(TAG_NUMBER.get(block.place.tag, OTHER_TAG)) for block in blocks]
        self.long = [basics.words >= LONG for basics in self.basics]
        self.sums = [  # sums of words, linked words and long blocks before each block
            list(accumulate(values, initial=0.0))
            for values in (
                [basics.words for basics in self.basics],
                [basics.words * basics.links for basics in self.basics],
                self.long,
            )
        ]

    def count(self, number: int, block: Block, runs: set[tuple[str, ...]]) -> None:
        """Add a block to the counts."""
        text, place = block.text, block.place
        tokens = TOKEN.findall(text.lower())
        words, chars = len(tokens), len(text)
        links = block.linked / chars
        if words >= LONG and links < MOST_LINKED:
            long_words = words
            gain = min(words, MOST_GAIN) * (1 - links)
            up = place.up
            for _ in range(PARENTS):
                if up is not None:
                    self.scores[up] = self.scores.get(up, 0.0) + gain
                    up, gain = up.up, gain / 2
        else:
            long_words = 0
        place.words += words
        place.chars += chars
        place.linked += block.linked
        place.blocks += 1
        place.long_words += long_words
        same = " ".join(tokens)
        seen = self.times.get(same, 0)
        self.times[same] = seen + 1
        told = 0.0
        if words > 3:
            fours = list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
            told = sum(map(runs.__contains__, fours)) / len(fours)
            runs.update(fours)
        key = group_of(place)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(number)
        group.blocks += 1
        group.words += words
        group.linked += block.linked
        group.chars += chars
        group.last = number
        price = "$" in text or "€" in text or "£" in text
        self.basics.append(
            Basics(words, chars, links, seen, told, group, self.words, same, price, tokens)
        )
        self.words += words
        self.linked_words += words * links
        if self.heading < 0 and place.tag == "h1":
            self.heading = number

    def best_place(self) -> Place | None:
        """Return the element with most running text directly in it, counted as in readability."""
        best, top = None, 0.0
        for place, score in self.scores.items():
            unlinked = score * (1 - place.linked / (place.chars or 1))
            if unlinked > top:
                best, top = place, unlinked
        return best

    def described(self, places: list[Place]) -> list[float]:
        """Return the features of the page."""
        hints = dict.fromkeys(HINTS, 0)
        tags: dict[str, int] = {}
        for place in places:
            tags[place.tag] = tags.get(place.tag, 0) + 1
            bits = place.own
            while bits:
                lowest = bits & -bits
                hints[HINTS[lowest.bit_length() - 1]] += 1
                bits ^= lowest
        long_words = sum(b.words for b, long in zip(self.basics, self.long, strict=True)
                         if long and b.links < MOST_LINKED)  # fmt: skip
        count = sum(b.words >= LONG and b.links < MOST_LINKED for b in self.basics)
        best = self.best
        tag = tags.get
        return [
            log1p(len(self.blocks)),
            log1p(self.words),
            count / self.all_blocks,
            long_words / self.all_words,
            self.linked_words / self.all_words,
            *(log1p(hints[name]) for name in COUNTED),
            tag("pre", 0),
            tag("article", 0),
            tag("td", 0) + tag("th", 0),
            log1p(tag("li", 0)),
            log1p(tag("p", 0)),
            log1p(tag("h2", 0) + tag("h3", 0)),
            sum(block.text[-1] == "?" for block in self.blocks) / self.all_blocks,
            sum(basics.price for basics in self.basics) / self.all_blocks,
            float("main" in tags),
            log1p(best.words) if best else 0.0,
            best.words / self.all_words if best else 0.0,
            best.long_words / (long_words or 1) if best else 0.0,
            log1p(max((group.blocks for group in self.groups.values()), default=0)),
            max((group.words for group in self.groups.values()), default=0) / self.all_words,
            len(self.groups) / self.all_blocks,
        ]

    def own(self, number: int, block: Block, title: frozenset[str]) -> list[float]:
        """Return the features of a block's own text and of similar blocks."""
        basics = self.basics[number]
        words, chars, tokens, group = basics.words, basics.chars, basics.tokens, basics.group
        text = block.text
        some = tokens[:SOME]
        size = len(some) or 1
        calls = titled = 0.0
        if words < SHORT:
            if not CALLS.isdisjoint(some):
                calls = sum(map(CALLS.__contains__, some)) / size
            if title:
                titled = len(title.intersection(tokens)) / len(title)
        marks = sum(map(text.count, ".,!?:"))
        return [
            words,
            chars,
            basics.links,
            chars / (words or 1),
            sum(map(COMMON.__contains__, some)) / size,
            marks / (words or 1),
            text.endswith(MARKS),
            text[-1] == ":",
            sum(map(str.isdigit, some)) / size,
            text.isupper(),
            text[0].islower(),
            self.tags[number],
            block.code,
            basics.seen,
            self.times[basics.text],
            basics.told,
            calls,
            basics.price,
            titled,
            "\n" in text,
            block.strong,
            basics.before / self.all_words,
            number - self.heading if self.heading >= 0 else NO_HEADING,
            block.place.depth,
            group.blocks,
            group.words / group.blocks,
            group.words / self.all_words,
            group.linked / group.chars,
            (group.last - group.first) / self.all_blocks,
        ]

    def neighbours(self, number: int) -> list[float]:
        """Return the features of the blocks before and after one."""
        told: list[float] = []
        size = len(self.basics)
        for step in NEIGHBOURS:
            at = number + step
            if 0 <= at < size:
                basics = self.basics[at]
                told += (basics.words, basics.links, self.tags[at])
            else:
                told += (NONE, NONE, NONE)
        begin, end = max(0, number - WINDOW), min(size, number + WINDOW + 1)
        words, linked, long = (sums[end] - sums[begin] for sums in self.sums)
        told += (words, linked / (words or 1), long)
        return told

    def standing(self, place: Place) -> Sequence[float]:
        """Return the features of the elements around a place, and cache them there."""
        told: list[float] = []
        size = place.words
        up = place.up
        left = AROUND
        while left and up is not None:
            if up.words >= size * GROWTH + 3 or up.up is None:
                told += (
                    up.words,
                    up.linked / (up.chars or 1),
                    up.words / (up.blocks or 1),
                    up.long_words / (up.words or 1),
                    up.words / self.all_words,
                    up.kids,
                )
                size = up.words
                left -= 1
            up = up.up
        told += [NONE] * (left * len(AROUND_IT))
        steps = 0
        line = place
        while line.down is None and line.up is not None:
            steps += 1
            line = line.up
        told += (steps, FAR if line.down is None else line.down)
        place.standing = told
        return told
