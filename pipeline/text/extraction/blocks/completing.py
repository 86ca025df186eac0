"""What belongs to chosen blocks: the heading over them, the rest of a list or table, code, gaps.

Each block is judged by itself, and short ones have little to be judged by. A careful reader who
copies a text copies the heading over it, leaves out no row of a table and no item of a list, and
nothing short that stands in the middle of it.
"""

from collections.abc import Callable, Iterator

from webtext.pipeline.text.extraction.blocks.evidence import group_of
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.page_blocks import Block, Place
from webtext.pipeline.text.extraction.blocks.writing import data_cell, is_data

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
ELSEWHERE = (
    BIT["<nav>"] | BIT["<footer>"] | BIT["<aside>"] | BIT["<form>"] | BIT["hidden"]
    | BIT["related"] | BIT["popup"] | BIT["nav"] | BIT["footer"] | BIT["aside"]
)  # fmt: skip
# What stands in the middle of a text and is no part of it.
BETWEEN = ELSEWHERE | BIT["share"] | BIT["signup"] | BIT["ad"] | BIT["meta"] | BIT["sign"] | (
    BIT["button"] | BIT["comment"])  # fmt: skip
LINKED = 0.5  # share of linked characters; with more, a block or table is a menu
LEAST_HEADING = 0.1  # probability of a heading that is taken with the text under it
LEVELS = 3  # elements around a heading in one of which the text under it must be
NEAR = 3  # blocks before or after a table of which one must be taken
LEAST_ROWS = 2  # of a table of data
LEAST_ITEM = 0.1  # probability of an item that is taken with the others of its list
LEAST_GAP = 0.3  # probability of a block between two that are taken
LONGEST_GAP = 3  # blocks of it
MOST_GAP = 40  # words of each
LEAST_CODE = 0.2  # probability of code that is taken with the text beside it
ANNOUNCED = 0.02  # probability of a list or code after a taken line that ends in a colon
LEAST_REST = 0.05  # probability of a paragraph after a taken text in the same element
POSTS = BIT["post"] | BIT["comment"]
LEAST_POSTS = 2  # blocks of posts that have the same names around them
MOST_POSTS = 0.3  # share of their characters that are taken, where all are
LEAST_POST = 0.2  # probability of each
COLON = (":", "\uff1a")


def completed(blocks: list[Block], takes: list[bool], chances: list[float]) -> list[bool]:
    """Return which blocks are taken, with those that belong to them."""
    if not any(takes):
        return takes
    takes = list(takes)
    with_tables(blocks, takes)
    with_items(blocks, takes, chances)
    with_code(blocks, takes, chances)
    with_announced(blocks, takes, chances)
    with_gaps(blocks, takes, chances)
    with_notes(blocks, takes, chances)
    with_rests(blocks, takes, chances)
    with_posts(blocks, takes, chances)
    for at in range(len(blocks) - 2, -1, -1):
        block = blocks[at]
        if (
            not takes[at]
            and takes[at + 1]
            and block.place.tag in HEADINGS
            and chances[at] >= LEAST_HEADING
            and block.linked <= LINKED * len(block.text)
            and not block.place.bits & ELSEWHERE
        ):
            takes[at] = is_over(block.place, blocks[at + 1].place)
    return takes


def is_over(heading: Place, place: Place) -> bool:
    """Whether a place is in one of the elements close around a heading."""
    near = [around for _, around in zip(range(LEVELS + 1), heading.around(), strict=False)][1:]
    return any(around in near for around in place.around())


def stretches(
    blocks: list[Block], around: Callable[[Block], Place | None]
) -> Iterator[tuple[range, Place]]:
    """Yield the blocks in each element that `around` tells of them, and that element."""
    at = 0
    outers = list(map(around, blocks))
    while at < len(blocks):
        end = at + 1
        outer = outers[at]
        if outer is not None:
            while end < len(blocks) and outers[end] is outer:
                end += 1
            yield range(at, end), outer
        at = end


def with_tables(blocks: list[Block], takes: list[bool]) -> None:
    """Take all of each table of data that stands in the text."""
    for inside, table in stretches(blocks, lambda block: block.place.table):
        if belongs(blocks, takes, inside, table):
            takes[inside.start : inside.stop] = [True] * len(inside)


def within(place: Place, outer: Place) -> bool:
    """Whether a place is in another."""
    return any(around is outer for around in place.around())


def belongs(blocks: list[Block], takes: list[bool], inside: range, table: Place) -> bool:
    """Whether the blocks of a table are data, half of them taken or text beside them."""
    if table.bits & ELSEWHERE or table.linked > LINKED * table.chars or table.up is None:
        return False
    rows = {cell.up for at in inside if (cell := data_cell(blocks[at].place))}
    if len(rows) < LEAST_ROWS or not all(is_short(blocks[at].place) for at in inside):
        return False
    if 2 * sum(takes[at] for at in inside) >= len(inside):
        return True
    near = [*range(max(0, inside[0] - NEAR), inside[0]),
            *range(inside[-1] + 1, min(len(blocks), inside[-1] + 1 + NEAR))]  # fmt: skip
    return any(takes[at] and within(blocks[at].place, table.up) for at in near)


def is_short(place: Place) -> bool:
    """Whether a block in a table stands in a row of data, in a row of one cell or over the rows."""
    row = next((around for around in place.around() if around.tag in ("tr", "table")), None)
    return row is not None and (row.tag == "table" or row.kids < 2 or is_data(row))


def with_items(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take the other items of a list of which some are taken."""
    for inside, outer in lists_of(blocks):
        words = sum(len(blocks[at].text) for at in inside)
        linked = sum(blocks[at].linked for at in inside)
        taken = [at for at in inside if takes[at]]
        if not taken or outer.bits & BETWEEN or linked > LINKED * words:
            continue
        for at in inside:
            takes[at] = takes[at] or (
                chances[at] >= LEAST_ITEM and not blocks[at].place.bits & BETWEEN
            )


def lists_of(blocks: list[Block]) -> list[tuple[list[int], Place]]:
    """Return the blocks of each list, without those in lists inside it, and the list."""
    found: dict[Place, list[int]] = {}
    for at, block in enumerate(blocks):
        if (outer := block.place.list) is not None:
            found.setdefault(outer, []).append(at)
    return [(inside, outer) for outer, inside in found.items()]


def with_code(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take code beside a block that is taken."""
    for at, block in enumerate(blocks):
        if takes[at] or not block.code or chances[at] < LEAST_CODE or block.place.bits & BETWEEN:
            continue
        beside = [other for other in (at - 1, at + 1) if 0 <= other < len(blocks)]
        takes[at] = any(takes[other] and is_over(block.place, blocks[other].place)
                        for other in beside)  # fmt: skip


def with_announced(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take the list, or the code, that a taken line with a colon at its end announces.

    A list in the same element as the line before it needs no colon.
    """
    for at in range(1, len(blocks)):
        before, block = blocks[at - 1], blocks[at]
        if takes[at] or not takes[at - 1]:
            continue
        outer = block.place if block.code else block.place.list
        if outer is None:
            continue
        told = before.text.endswith(COLON) and is_over(outer, before.place)
        if not told and not (outer.up is before.place and outer is block.place.list):
            continue
        end = at
        while (
            end < len(blocks)
            and within(blocks[end].place, outer)
            and (chances[end] >= ANNOUNCED and may_belong(blocks[end]))
        ):
            takes[end] = True
            end += 1


def may_belong(block: Block, allowed: int = 0) -> bool:
    """Whether nothing shows that a block is a menu or the like, hints of others taken aside."""
    odd = block.place.bits & BETWEEN & ~allowed
    return not odd and block.linked <= LINKED * len(block.text)


def with_notes(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take the notes under a text."""
    for at, block in enumerate(blocks):
        place = block.place
        if place.bits & BIT["note"] and not takes[at] and chances[at] >= ANNOUNCED:
            others = BETWEEN & ~(BIT["<aside>"] | BIT["aside"])
            takes[at] = not place.bits & others and block.linked <= LINKED * len(block.text)


def with_rests(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take the paragraphs that follow a taken text within its own element."""
    texts = {block.place for at, block in enumerate(blocks) if takes[at]}
    for at, block in enumerate(blocks):
        if not takes[at] and block.place.up in texts and chances[at] >= LEAST_REST:
            takes[at] = may_belong(block, block.place.up.bits)


def with_posts(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take the other posts of a thread of which some are taken, however short they are."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, block in enumerate(blocks):
        if block.place.bits & POSTS:
            groups.setdefault(group_of(block.place), []).append(at)
    for inside in groups.values():
        words = sum(len(blocks[at].text) for at in inside)
        taken = sum(len(blocks[at].text) for at in inside if takes[at])
        if len(inside) < LEAST_POSTS or taken < MOST_POSTS * words:
            continue
        allowed = next(blocks[at].place.bits for at in inside if takes[at])
        for at in inside:
            if not takes[at] and chances[at] >= LEAST_POST:
                takes[at] = may_belong(blocks[at], allowed)


def with_gaps(blocks: list[Block], takes: list[bool], chances: list[float]) -> None:
    """Take the few short blocks between two that are taken, in the same element as these."""
    last = None
    for at, take in enumerate(takes):
        if not take:
            continue
        gap = range(last + 1, at) if last is not None else range(0)
        if 0 < len(gap) <= LONGEST_GAP and all(fills(blocks[n], chances[n]) for n in gap):
            before, after = blocks[gap.start - 1].place, blocks[at].place
            if all(
                is_over(blocks[n].place, before) and is_over(blocks[n].place, after) for n in gap
            ):
                takes[gap.start : gap.stop] = [True] * len(gap)
        last = at


def fills(block: Block, chance: float) -> bool:
    """Whether a block may be a part of the text that stands around it."""
    return chance >= LEAST_GAP and may_belong(block) and len(block.text.split()) <= MOST_GAP
