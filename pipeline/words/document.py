"""One text as the rules see it: what several rules need is computed once."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from webtext.pipeline.words.kernels import lengthened
from webtext.pipeline.words.running import Running, running
from webtext.pipeline.words.tongues import ENGLISH, Tongue, spaceless, tongue
from webtext.pipeline.words.words import Counts, Rows, Words, read

Grams = npt.NDArray[np.uint64]


class Repeats(NamedTuple):
    """How many pieces of a text occurred earlier in it."""

    pieces: int  # all of them
    repeated: int
    characters: int  # in the repeated ones


class Chunks(NamedTuple):
    """The words of a document, split at white space."""

    numbers: npt.NDArray[np.uint64]  # equal words have equal numbers
    lengths: npt.NDArray[np.int64]  # of each word, in characters


class Document:
    """A text and, lazily, its lines, paragraphs and words."""

    def __init__(
        self,
        text: str,
        before: "Document | None" = None,
        url: str = "",
        language: str = ENGLISH,
    ) -> None:
        self.text = text
        self.before = before  # the text before the current group of rules edited it
        self.url: str = before.url if before else url  # empty where it is not known
        self.language: str = before.language if before else language  # as langdetect names it
        self.whole: Document | None = None  # of which this is the running text, if it is that
        self._grams: dict[int, tuple[int, Grams]] = {}  # the longest n-grams so far, by separator

    @cached_property
    def lines(self) -> list[str]:
        """Lines by every line end of Unicode, empty lines included."""
        return self.text.splitlines()

    @cached_property
    def full_lines(self) -> list[str]:
        """Lines between newlines that hold more than white space."""
        return [line for line in self.text.split("\n") if line.strip()]

    @cached_property
    def repeated_lines(self) -> Repeats:
        """Lines between runs of newlines; an empty first or last line counts too."""
        pieces = self.text.split("\n")
        inner = [piece for piece in pieces[1:-1] if piece]
        return repeats([pieces[0], *inner, *(pieces[-1:] if len(pieces) > 1 else [])])

    @cached_property
    def repeated_full_lines(self) -> Repeats:
        """Lines between newlines that hold more than white space."""
        return repeats(self.full_lines)

    @cached_property
    def repeated_paragraphs(self) -> Repeats:
        """The parts between runs of two or more newlines."""
        pieces = self.text.strip().split("\n\n")
        return repeats([stripped for piece in pieces if (stripped := piece.strip("\n"))] or [""])

    @cached_property
    def words(self) -> Words:
        """All that is known of its words."""
        return read(self.text)

    @property
    def tongue(self) -> Tongue:
        """What is known of its language."""
        return tongue(self.language)

    @cached_property
    def counts(self) -> Counts:
        """How many tokens and words there are, and of which kinds.

        In a language that sets no spaces between words, so many letters stand for a word.
        """
        if self.tongue.letters_a_word is None:
            return self.words.counts
        return spaceless(self.text, self.tongue)

    @cached_property
    def running(self) -> Running:
        """The lines that read as sentences, without bullets."""
        return running(self.text, self.tongue)

    def reading(self) -> "Document":
        """Return its running text as a document, which knows the whole."""
        found = Document("\n".join(self.running.lines), before=self)
        found.whole = self
        found.running = self.running  # of itself it is all
        return found

    @property
    def rows(self) -> Rows:
        """The tokens in order, as numbers."""
        return self.words.rows

    def grams(self, n: int, between: int) -> Grams:
        """Return a hash for each n-gram of tokens; `between` is kernels.NOTHING or SPACE_HASH.

        They are built from shorter ones where those were computed before.
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
        """The parts between spaces; equal parts have equal numbers."""
        known: dict[str, int] = {}
        chunks = self.text.split()
        numbers = [known.setdefault(chunk, len(known)) for chunk in chunks]
        return Chunks(np.array(numbers, np.uint64), np.array(list(map(len, chunks)), np.int64))


def share(part: float, whole: float) -> float:
    """Return `part / whole`, or 0 where `whole` is 0.

    >>> share(1, 4), share(0, 0)
    (0.25, 0.0)
    """
    return part / whole if whole else 0.0


def repeats(pieces: Sequence[str]) -> Repeats:
    """Count the pieces, those that occurred earlier, and the characters of those.

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
