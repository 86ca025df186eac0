"""Write blocks as the text of a page: a line per block, items with their mark, table rows as rows.

A table is data if its cells are short and contain no blocks of their own; a table used for layout
gives its cells' blocks unchanged. An empty cell keeps its place in its row, unless all cells of its
column are empty.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from webtext.pipeline.text.extraction.blocks.blocks import THREAD
from webtext.pipeline.text.extraction.blocks.page_blocks import CELLS, Block, Place

BETWEEN_CELLS = " | "
# No datum, but a part of a line that a table lays out: a bracket, or the number of an equation.
BRACKETS = frozenset("()[]{}")
EQUATION = re.compile(r"\(\d{1,3}(?:\.\d{1,3})?[a-z]?\)")
# What an item may begin with beside the mark of its list.
BULLETS = "\u2022\u00b7\u25aa\u25a0\u25cf\u25e6\u2023\u25cb\u25a2\u2610\u25a1 \xa0"
PARTS = ("p", "div", "ul", "ol", "li", "span", "section")  # elements of which a cell is made
LEAST_ROWS = 2  # of a table that is no line
DEEPEST_PART = 4  # elements between a cell and its text
QUOTE = "> "  # before each line of a post that another quotes, as in mails
LONGEST_CELL = 40  # words on average in the cells of a table of data


def written(blocks: list[Block]) -> str:
    """Return the text of some blocks of a page, in their order."""
    lines: list[str] = []
    marked: set[Place] = set()
    columns = columns_of(blocks)
    ruled = tables_of(blocks)
    quotes = is_thread(blocks)
    row: Place | None = None  # the row of the last line
    cell: Place | None = None
    for block in blocks:
        its_cell = data_cell(block.place)
        its_row = its_cell.up if its_cell else None
        if its_cell is not None and its_row is not None:
            if its_row is not row:
                end_row(lines, cell, columns)
                missing = empty(columns, its_row, -1, its_cell.columns[0])
                lines.append((BETWEEN_CELLS * missing).lstrip())
            elif cell is not None and its_cell is not cell and its_row.table in ruled:
                missing = empty(columns, its_row, cell.columns[0], its_cell.columns[0])
                lines[-1] += BETWEEN_CELLS * (1 + missing)
            else:
                lines[-1] += " "
            lines[-1] += one_line(block.text)
        else:
            end_row(lines, cell, columns)
            text = block.text
            if its_mark := mark(block.place, marked):
                text = its_mark + unmarked(text)
            if quotes and (quoted := QUOTE * block.place.quoted):
                text = quoted + text.replace("\n", "\n" + quoted)
            lines.append(text)
        row, cell = its_row, its_cell
    end_row(lines, cell, columns)
    return "\n".join(lines)


def unmarked(text: str) -> str:
    """Return the text of an item without bullets before it; one that is only a bullet stays.

    >>> unmarked("\u2022 tar"), unmarked("\u25a0"), unmarked("  code")
    ('tar', '\u25a0', '  code')
    """
    begins = text.lstrip(" \xa0")[:1]
    return text.lstrip(BULLETS) or text if begins and begins in BULLETS else text


Columns = dict[Place, list[int]]  # of each table: the columns with text, in order


def columns_of(blocks: Sequence[Block]) -> Columns:
    """Return the columns that have text, of each table of data."""
    found: dict[Place, set[int]] = {}
    for block in blocks:
        if (cell := data_cell(block.place)) and cell.up and (table := cell.up.table):
            found.setdefault(table, set()).add(cell.columns[0])
    ruled = tables_of(blocks)
    return {table: sorted(columns) if table in ruled else [] for table, columns in found.items()}


def tables_of(blocks: Sequence[Block]) -> set[Place]:
    """Return the tables of data of some blocks in which a reader sees columns.

    One of few rows with a cell for a bracket, or for an equation, lays out a line.
    """
    found: set[Place] = set()
    lines: set[Place] = set()
    for block in blocks:
        if (table := block.place.table) is not None:
            of_line = (table.grid is None or table.grid.rows < LEAST_ROWS) and (
                block.text in BRACKETS or EQUATION.fullmatch(block.text)
            )
            (lines if of_line else found).add(table)
    return found - lines


def empty(columns: Columns, row: Place, after: int, before: int) -> int:
    """Return how many columns with text there are between two columns of a row."""
    table = row.table
    if table is None:
        return 0
    return max(0, bisect_left(columns[table], before) - bisect_right(columns[table], after))


def end_row(lines: list[str], cell: Place | None, columns: Columns) -> None:
    """Add the empty cells after the last cell of a row."""
    if cell is not None and cell.up is not None and cell.up.row is not None:
        missing = empty(columns, cell.up, cell.columns[1], cell.up.row.free)
        lines[-1] += (BETWEEN_CELLS * missing).rstrip()


def is_thread(blocks: Sequence[Block]) -> bool:
    """Whether some blocks quote others and are of several posts of one kind."""
    if not any(block.place.quoted for block in blocks):
        return False
    posts = {next((around for around in block.place.around() if around.own & THREAD), None)
             for block in blocks}  # fmt: skip
    kinds = [post.key for post in posts if post]
    return len(kinds) > len(set(kinds))


def one_line(text: str) -> str:
    """Return a text without line breaks."""
    return " ".join(text.split("\n"))


def mark(place: Place, marked: set[Place]) -> str:
    """Return the mark before the first block of an item, "" before other blocks."""
    for around in place.around():
        if around.tag == "li":
            if around in marked:
                return ""
            marked.add(around)
            in_order = around.up is not None and around.up.tag == "ol"
            return f"{around.label}. " if in_order else "- "
        if around.tag in ("table", "article", "section", "main", "body"):
            break
    return ""


def data_cell(place: Place) -> Place | None:
    """Return the cell of a data table that a place is, None if it is not one."""
    cell = place
    for _ in range(DEEPEST_PART):
        if cell.tag in CELLS:
            row = cell.up
            return cell if row is not None and row.tag == "tr" and is_data(row) else None
        if cell.tag not in PARTS or cell.up is None:
            return None
        cell = cell.up
    return None


def is_data(row: Place) -> bool:
    """Whether a row has several cells, in a table whose cells are short."""
    table = row.table
    if (
        table is None or row.row is None or row.kids + row.row.covered < 2
    ):  # a row of one cell is a line
        return False
    return row.words <= LONGEST_CELL * row.kids and table.plain
