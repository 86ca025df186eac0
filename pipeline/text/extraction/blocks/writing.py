"""Write blocks as the text of a page: a line per block, items with their mark, table rows as rows.

A table is data if its cells are short and contain no blocks of their own; a table used for layout
gives its cells' blocks unchanged. An empty cell keeps its place in its row, unless all cells of its
column are empty.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from webtext.pipeline.text.extraction.blocks.blocks import CELLS, THREAD
from webtext.pipeline.text.extraction.blocks.page_blocks import Block, Place

BETWEEN_CELLS = " | "
QUOTE = "> "  # before each line of a post that another quotes, as in mails
LONGEST_CELL = 40  # words on average in the cells of a table of data


def written(blocks: list[Block]) -> str:
    """Return the text of some blocks of a page, in their order."""
    lines: list[str] = []
    marked: set[Place] = set()
    columns = columns_of(blocks)
    quotes = is_thread(blocks)
    row: Place | None = None  # the row of the last line
    cell: Place | None = None
    for block in blocks:
        its_cell = data_cell(block.place)
        its_row = its_cell.up if its_cell else None
        if its_cell is not None and its_row is not None:
            if its_row is not row:
                end_row(lines, cell, columns)
                missing = empty(columns, its_row, -1, its_cell.nth)
                lines.append((BETWEEN_CELLS * missing).lstrip())
            elif cell is not None and its_cell is not cell:
                lines[-1] += BETWEEN_CELLS * (1 + empty(columns, its_row, cell.nth, its_cell.nth))
            else:
                lines[-1] += " "
            lines[-1] += one_line(block.text)
        else:
            end_row(lines, cell, columns)
            text = mark(block.place, marked) + block.text
            if quotes and (quoted := QUOTE * block.place.quoted):
                text = quoted + text.replace("\n", "\n" + quoted)
            lines.append(text)
        row, cell = its_row, its_cell
    end_row(lines, cell, columns)
    return "\n".join(lines)


Columns = dict[Place, list[int]]  # of each table: the columns with text, in order


def columns_of(blocks: Sequence[Block]) -> Columns:
    """Return the columns that have text, of each table of data."""
    found: dict[Place, set[int]] = {}
    for block in blocks:
        if (cell := data_cell(block.place)) and cell.up and (table := cell.up.table):
            found.setdefault(table, set()).add(cell.nth)
    return {table: sorted(columns) for table, columns in found.items()}


def empty(columns: Columns, row: Place, after: int, before: int) -> int:
    """Return how many columns with text there are between two columns of a row."""
    table = row.table
    if table is None:
        return 0
    return max(0, bisect_left(columns[table], before) - bisect_right(columns[table], after))


def end_row(lines: list[str], cell: Place | None, columns: Columns) -> None:
    """Add the empty cells after the last cell of a row."""
    if cell is not None and cell.up is not None:
        missing = empty(columns, cell.up, cell.nth, cell.up.kids)
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
            return f"{around.number}. " if in_order else "- "
        if around.tag in ("table", "article", "section", "main", "body"):
            break
    return ""


def data_cell(place: Place) -> Place | None:
    """Return the cell of a data table that a place is, None if it is not one."""
    if place.tag in CELLS or (place.up is not None and place.up.tag in CELLS and place.tag == "p"):
        cell = place if place.tag in CELLS else place.up
        row = cell.up if cell else None
        if row is not None and row.tag == "tr" and is_data(row):
            return cell
    return None


def is_data(row: Place) -> bool:
    """Whether a row has several cells, in a table whose cells are short."""
    table = row.table
    if table is None or row.kids < 2:  # a row of one cell is a line
        return False
    return row.words <= LONGEST_CELL * row.kids and table.plain
