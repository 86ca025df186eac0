"""The rules that FineWeb added to Gopher's and C4's.

Source of all values: Penedo et al. 2024, "The FineWeb Datasets", arXiv 2406.17557, section 3.6,
and datatrove 0.10, `fineweb_quality_filter.py`, where the code that made the data set says more
than the paper, or something else.
"""

from dataclasses import dataclass

from webtext.pipeline.words.characters import TERMINAL
from webtext.pipeline.words.document import Document, share


@dataclass(frozen=True)
class TerminalLines:
    """Share of the lines that end in a mark that ends sentences; a closing quote is not one.

    Source: FineWeb 3.6, lines ending with punctuation <= 0.12; the code keeps 0.12 itself.
    """

    at_least: float | None = 0.12

    def __call__(self, doc: Document) -> float:
        return share(sum(line[-1] in TERMINAL for line in doc.full_lines), len(doc.full_lines))


@dataclass(frozen=True)
class ShortLines:
    """Share of the lines that have `length` characters or fewer.

    Source: FineWeb 3.6, "fraction of lines shorter than 30 characters >= 0.67"; the code keeps 0.67
    and counts lines of 30.
    """

    length: int = 30  # characters; a longer line is not short
    at_most: float | None = 0.67

    def __call__(self, doc: Document) -> float:
        return share(sum(len(x) <= self.length for x in doc.full_lines), len(doc.full_lines))


@dataclass(frozen=True)
class RepeatedCharacters:
    """Share of the characters that are in lines that occurred earlier in the text.

    Source: datatrove 0.10, 0.01, with which FineWeb was made; FineWeb 3.6 states 0.1.
    """

    at_most: float | None = 0.01

    def __call__(self, doc: Document) -> float:
        return share(doc.repeated_full_lines.characters, len(doc.text) - doc.text.count("\n"))


@dataclass(frozen=True)
class Newlines:
    """Newlines per token: lists have many.

    Source: datatrove 0.10, new_line_ratio 0.3; the paper does not name it.
    """

    at_most: float | None = 0.3

    def __call__(self, doc: Document) -> float:
        return share(doc.text.count("\n"), doc.counts.tokens)


@dataclass(frozen=True)
class FineWeb:
    """FineWeb's own rules, as its code has them, in the order in which they are asked."""

    enabled: bool = False
    terminal_lines: TerminalLines = TerminalLines()
    short_lines: ShortLines = ShortLines()
    repeated_characters: RepeatedCharacters = RepeatedCharacters()
    newlines: Newlines = Newlines()
