"""Write blocks as the text of a page: a line per block, items with their mark, table rows as rows.

A table is data if its cells are short and contain no blocks of their own; a table used for layout
gives its cells' blocks unchanged.
"""

from webtext.pipeline.text.extraction.blocks.blocks import CELLS, Block, Place

BETWEEN_CELLS = " | "
LONGEST_CELL = 40  # words on average in the cells of a table of data


def written(blocks: list[Block]) -> str:
    """Return the text of some blocks of a page, in their order."""
    lines: list[str] = []
    marked: set[Place] = set()
    row: Place | None = None  # the row of the last line
    cell: Place | None = None
    for block in blocks:
        its_cell = data_cell(block.place)
        its_row = its_cell.up if its_cell else None
        if its_row is not None and its_row is row:
            lines[-1] += (" " if its_cell is cell else BETWEEN_CELLS) + one_line(block.text)
        elif its_row is not None:
            lines.append(one_line(block.text))
        else:
            lines.append(mark(block.place, marked) + block.text)
        row, cell = its_row, its_cell
    return "\n".join(lines)


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
    table = next((place for place in row.around() if place.tag == "table"), None)
    if table is None or row.kids < 2:  # a row of one cell is a line
        return False
    return row.words <= LONGEST_CELL * row.kids and table.plain
