"""What is left out of the blocks that were chosen: what a reader sees and would not copy.

The model knows menus and notices by the names of the elements around them. On a page without such
names only their words and links show what they are.
"""

import re
from collections.abc import Sequence

from webtext.pipeline.text.extraction.blocks.completing import HEADINGS
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.page_blocks import Block

MOST_UNSEEN = 0.2  # share of hidden words; where there are more, a script shows them later
LEAST_MENU = 3  # lines of a block that is a menu, or parts of its line
MENU_LINKED = 0.8  # share of its linked characters; spaces are not linked
LONGEST_ENTRY = 40  # characters of its lines or parts
BETWEEN_ENTRIES = re.compile(r"\n|\s[|\u00b7\u2022\u00bb>:/\u2013-]+\s|[|\u2022]")

COOKIE = re.compile(r"\bcookies?\b|\u30af\u30c3\u30ad\u30fc", re.IGNORECASE)
# What such a notice says beside that, in the languages of most sites that have one.
AGREED = re.compile(
    r"\b(?:accept|agree|consent|polic(?:y|ies)|privacy|preferences"
    r"|continu(?:e|ing) to (?:use|browse)|our use of|(?:we|site|page) uses? cookies"
    r"|zustimm|akzeptier|einverstanden|datenschutz|verwende[nt]|nutzung"
    r"|accept(?:er|ez|ant)|utilis(?:e|ons|ation)|confidentialit|acept(?:a|ar|as|o)\b|utiliza(?:mos)?"
    r"|privacidad|accett|consenso|utilizza|informativa|gebruik|akkoord|zgod|u\u017cywa)"
    r"|\u540c\u610f|\u4f7f\u7528",
    re.IGNORECASE,
)
LONGEST_NOTICE = 80  # words
LEAST_TEXT = 1  # times the words of a notice that the rest of the text has at least

OWNED = re.compile(
    r"\W*(?:\u00a9|\(c\)\s*(?:19|20)\d\d|copyright\s*(?:\u00a9|\(c\)|by\b|(?:19|20)\d\d|$)"
    r"|all rights reserved\b|powered by\s+\S+(?:\s+\S+){0,3}\s*$)",
    re.IGNORECASE,
)
LONGEST_OWNED = 25  # words of the line that says whose a page is
AT_THE_END = 3  # blocks of a text among which it is

FRAME = BIT["<nav>"] | BIT["<footer>"] | BIT["nav"] | BIT["footer"]  # names of menus and footers
ELEMENTS = BIT["<nav>"] | BIT["<footer>"]
LEAST_UNLINKED = 200  # words beside its links of a text that is no list, however many links it has
MOST_LINKED = 0.3  # share of linked words of a text whose links at its edges are menus
# What a board says of a member beside a post.
MEMBER = re.compile(
    r"^(?:joined|registered|member since|posts|location|registriert|beitr\u00e4ge|wohnort"
    r"|inscription|messages|localisation|inscrit)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
PLACES = {"location:", "localisation:", "wohnort:"}  # which texts about meetings say too
LONGEST_MEMBER = 15  # words of it
LEAST_MEMBERS = 2  # blocks of it in a thread


def without_notices(
    blocks: Sequence[Block], takes: Sequence[bool], words: Sequence[int]
) -> list[bool]:
    """Return which blocks are taken, without hidden ones, menus, notices and the page's owner."""
    left = [take and not is_menu(block) for block, take in zip(blocks, takes, strict=True)]
    all_words = sum_of(words, left)
    unseen = [take and block.place.unseen for block, take in zip(blocks, left, strict=True)]
    if sum_of(words, unseen) <= MOST_UNSEEN * all_words:  # else a script shows the text later
        left = [take and not hidden for take, hidden in zip(left, unseen, strict=True)]
    told = [at for at, take in enumerate(left) if take and COOKIE.search(blocks[at].text)]
    said = sum(words[at] for at in told)  # of all of them: a text about cookies says more
    one_place = len({id(blocks[at].place.up) for at in told}) == 1
    if one_place and said <= LONGEST_NOTICE and (1 + LEAST_TEXT) * said <= all_words:
        for at in told:
            if AGREED.search(blocks[at].text):
                left[at] = False
    members = [
        at for at, take in enumerate(left)
        if take and words[at] <= LONGEST_MEMBER and MEMBER.search(blocks[at].text)
    ]  # fmt: skip
    keys = {key.lower() for at in members for key in MEMBER.findall(blocks[at].text)}
    if len(members) >= LEAST_MEMBERS and keys - PLACES:
        for at in members:
            left[at] = False
    without_edges(blocks, left, words)
    taken = [at for at, take in enumerate(left) if take]
    for at in taken[1:][-AT_THE_END:]:
        if words[at] <= LONGEST_OWNED and OWNED.match(blocks[at].text):
            left[at] = False
    return left


def without_edges(blocks: Sequence[Block], left: list[bool], words: Sequence[int]) -> None:
    """Leave out the links before the first and after the last block of a text that is no list."""
    links = [
        take and (is_link(block) or is_framed(block, size))
        for block, take, size in zip(blocks, left, words, strict=True)
    ]
    linked, all_words = sum_of(words, links), sum_of(words, left)
    if linked > MOST_LINKED * all_words and all_words - linked < LEAST_UNLINKED:
        return
    taken = [at for at, take in enumerate(left) if take]
    for ordered in (taken, taken[::-1]):
        for at in ordered:
            if not links[at]:
                break
            left[at] = blocks[at].place.tag in HEADINGS


def is_framed(block: Block, words: int) -> bool:
    """Whether a block is of a menu or a footer: by its elements, or by their names and its links.

    Names alone say little: `category-legal` is an article's, `menu-section` an inn's.
    """
    if block.place.bits & ELEMENTS and words <= LONGEST_OWNED:
        return True
    return bool(block.place.bits & FRAME) and block.linked > MOST_LINKED * len(block.text)


def is_link(block: Block) -> bool:
    """Whether a block is short links and nothing else."""
    spaces = len(block.text.split()) - 1
    return (
        block.linked >= MENU_LINKED * (len(block.text) - spaces)
        and len(block.text) <= 2 * LONGEST_ENTRY
    )


def sum_of(words: Sequence[int], takes: Sequence[bool]) -> int:
    """Return the number of words in the blocks that are taken."""
    return sum(size for size, take in zip(words, takes, strict=True) if take)


def is_menu(block: Block) -> bool:
    """Whether a block is a menu by itself: short lines, or parts of a line, each only a link."""
    if block.linked < MENU_LINKED * len(block.text) - len(block.text.split()):
        return False
    entries = [entry for entry in BETWEEN_ENTRIES.split(block.text) if entry.strip()]
    size = sum(map(len, entries))
    return (
        len(entries) >= LEAST_MENU
        and max(map(len, entries)) <= LONGEST_ENTRY
        and MENU_LINKED * size <= block.linked <= size  # a title with dashes is linked whole
    )
