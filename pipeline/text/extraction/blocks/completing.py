"""What belongs to chosen blocks: the heading over them, and the tables of data among them.

Each block is judged by itself, and short ones have little to be judged by. A careful reader who
copies a text copies the heading over it, and leaves out no row of a table.
"""

from webtext.pipeline.text.extraction.blocks.blocks import Block, Place
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.writing import data_cell

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
ELSEWHERE = (
    BIT["<nav>"] | BIT["<footer>"] | BIT["<aside>"] | BIT["<form>"] | BIT["hidden"]
    | BIT["related"] | BIT["popup"] | BIT["nav"] | BIT["footer"] | BIT["aside"]
)  # fmt: skip
LINKED = 0.5  # share of linked characters; with more, a block or table is a menu
LEAST_HEADING = 0.1  # probability of a heading that is taken with the text under it
LEVELS = 3  # elements around a heading in one of which the text under it must be
NEAR = 3  # blocks before or after a table of which one must be taken
LEAST_ROWS = 2  # of a table of data


def completed(blocks: list[Block], takes: list[bool], chances: list[float]) -> list[bool]:
    """Return which blocks are taken, with those that belong to them."""
    if not any(takes):
        return takes
    takes = list(takes)
    with_tables(blocks, takes)
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


def with_tables(blocks: list[Block], takes: list[bool]) -> None:
    """Take all of each table of data that stands in the text."""
    at = 0
    while at < len(blocks):
        cell = data_cell(blocks[at].place)
        table = (
            next((place for place in cell.around() if place.tag == "table"), None) if cell else None
        )
        end = at + 1
        if table is not None:
            while end < len(blocks) and within(blocks[end].place, table):
                end += 1
            if belongs(blocks, takes, range(at, end), table):
                takes[at:end] = [True] * (end - at)
        at = end


def within(place: Place, outer: Place) -> bool:
    """Whether a place is in another."""
    return any(around is outer for around in place.around())


def belongs(blocks: list[Block], takes: list[bool], inside: range, table: Place) -> bool:
    """Whether the blocks of a table are data, half of them taken or text beside them."""
    if table.bits & ELSEWHERE or table.linked > LINKED * table.chars or table.up is None:
        return False
    cells = [data_cell(blocks[at].place) for at in inside]
    if None in cells or len({cell.up for cell in cells if cell}) < LEAST_ROWS:
        return False
    if 2 * sum(takes[at] for at in inside) >= len(inside):
        return True
    near = [*range(max(0, inside[0] - NEAR), inside[0]),
            *range(inside[-1] + 1, min(len(blocks), inside[-1] + 1 + NEAR))]  # fmt: skip
    return any(takes[at] and within(blocks[at].place, table.up) for at in near)
