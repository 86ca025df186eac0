"""One text as the rules see it: whatever two of them count is counted once."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from webtext.pipeline.words.kernels import lengthened
from webtext.pipeline.words.words import Counts, Rows, Words, read

Grams = npt.NDArray[np.uint64]


class Repeats(NamedTuple):
    """Pieces of a text that came before already."""

    pieces: int  # all of them
    repeated: int
    characters: int  # in the repeated ones


class Chunks(NamedTuple):
    """A document's words as those take them who split at spaces."""

    numbers: npt.NDArray[np.uint64]  # the same for the same word
    lengths: npt.NDArray[np.int64]  # its characters


class Document:
    """A text and, lazily, its lines, paragraphs and words."""

    def __init__(self, text: str, before: "Document | None" = None, url: str = "") -> None:
        self.text = text
        self.before = before  # as it was before the edit of the group that asks
        self.url: str = before.url if before else url  # empty where it is not known
        self._grams: dict[int, tuple[int, Grams]] = {}  # the longest asked for, by what is between

    @cached_property
    def lines(self) -> list[str]:
        """Lines by every line end that Unicode knows, empty ones among them."""
        return self.text.splitlines()

    @cached_property
    def full_lines(self) -> list[str]:
        """Lines between newlines that hold more than white space."""
        return [line for line in self.text.split("\n") if line.strip()]

    @cached_property
    def repeated_lines(self) -> Repeats:
        """Lines between runs of newlines, the emptiness before the first and after the last too."""
        pieces = self.text.split("\n")
        inner = [piece for piece in pieces[1:-1] if piece]
        return repeats([pieces[0], *inner, *(pieces[-1:] if len(pieces) > 1 else [])])

    @cached_property
    def repeated_full_lines(self) -> Repeats:
        """Lines between newlines that hold more than white space."""
        return repeats(self.full_lines)

    @cached_property
    def repeated_paragraphs(self) -> Repeats:
        """What stands between two newlines or more."""
        pieces = self.text.strip().split("\n\n")
        return repeats([stripped for piece in pieces if (stripped := piece.strip("\n"))] or [""])

    @cached_property
    def words(self) -> Words:
        """What there is to know of its words."""
        return read(self.text)

    @property
    def counts(self) -> Counts:
        """How many tokens and words there are, and what is in them."""
        return self.words.counts

    @property
    def rows(self) -> Rows:
        """The tokens in order, as numbers."""
        return self.words.rows

    def grams(self, n: int, between: int) -> Grams:
        """Return a hash for each n-gram of tokens; `between` is kernels.NOTHING or SPACE_HASH.

        They are made of the shorter ones where these were asked for before.
        """
        rows = self.rows
        held, shorter = self._grams.get(between, (0, rows.hashes))
        if held > n or not held:
            held, shorter = 0, np.zeros_like(rows.hashes)
        grams: Grams = lengthened(shorter, rows.hashes, rows.powers, held, n, np.uint64(between))
        self._grams[between] = n, grams
        return grams

    @cached_property
    def chunks(self) -> Chunks:
        """What stands between spaces, numbered by what it is."""
        known: dict[str, int] = {}
        chunks = self.text.split()
        numbers = [known.setdefault(chunk, len(known)) for chunk in chunks]
        return Chunks(np.array(numbers, np.uint64), np.array(list(map(len, chunks)), np.int64))


def share(part: float, whole: float) -> float:
    """Return `part / whole`, and 0 of nothing.

    >>> share(1, 4), share(0, 0)
    (0.25, 0.0)
    """
    return part / whole if whole else 0.0


def repeats(pieces: Sequence[str]) -> Repeats:
    """Count the pieces, those of them that came before already, and the characters in these.

    >>> repeats(["a", "bc", "bc", "bc"])
    Repeats(pieces=4, repeated=2, characters=4)
    """
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        else:
            seen.add(piece)
    return Repeats(len(pieces), count, characters)
