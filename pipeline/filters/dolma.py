"""Gopher's rules on repetition, as Dolma counts: all occurrences of what occurs twice.

datatrove counts what came before already, and divides by all characters (`filters.gopher`).
Here the first occurrence counts as well, and white space does not, so the same text measures about
twice as much: one line of five that occurs twice is 0.4, not 0.2.

Source of all values: Dolma 1.6, `configs/dolma-v1_6/mixing/cc-head.yaml`; the paper's are Gopher's
(Rae et al. 2021, arXiv 2112.11446, table A1). That file misspells the attributes of the most common
n-grams, so with it as it is those three rules decide nothing; here they do.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from webtext.pipeline.words.document import Chunks, Document, share
from webtext.pipeline.words.ngrams import of_words


@dataclass(frozen=True)
class DuplicateLines:
    """Share of the lines that occur more than once, empty ones among them.

    Source: Dolma 1.6, fraction_of_duplicate_lines > 0.3.
    """

    at_most: float | None = 0.3

    def __call__(self, doc: Document) -> float:
        lines = Counter(doc.text.split("\n"))
        return share(sum(n for n in lines.values() if n > 1), lines.total())


@dataclass(frozen=True)
class DuplicateLineCharacters:
    """Characters of the lines that occur more than once, by all that are no white space.

    Source: Dolma 1.6, fraction_of_characters_in_duplicate_lines > 0.3, where Gopher has 0.20.
    """

    at_most: float | None = 0.3

    def __call__(self, doc: Document) -> float:
        lines = Counter(doc.text.split("\n"))
        found = sum(n * len(line) for line, n in lines.items() if n > 1)
        return share(found, int(doc.chunks.lengths.sum()))


@dataclass(frozen=True)
class MostCommonGram:
    """Share of the characters in the most common n-gram, even if it occurs once.

    Among several, it is the one that comes first. Where its occurrences overlap, a character counts
    more than once. Source: Dolma 1.6, fraction_of_characters_in_most_common_<n>grams.
    """

    n: int
    at_most: float | None

    def __call__(self, doc: Document) -> float:
        times, lengths = grams(doc.chunks, self.n)
        if not len(times):
            return 0.0
        first = int(times.argmax())
        return share(int(times[first] * lengths[first]), int(doc.chunks.lengths.sum()))


@dataclass(frozen=True)
class DuplicateGrams:
    """Share of the n-grams that occur more than once, by their characters.

    Source: Dolma 1.6, fraction_of_characters_in_duplicate_<n>grams.
    """

    n: int
    at_most: float | None

    def __call__(self, doc: Document) -> float:
        times, lengths = grams(doc.chunks, self.n)
        return share(int(lengths[times > 1].sum()), int(lengths.sum()))


def grams(chunks: Chunks, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Return for each n-gram, in order, how often it occurs, and how many characters it has.

    >>> from webtext.pipeline.words.document import Document
    >>> times, lengths = grams(Document("a bc a bc d").chunks, 2)
    >>> times.tolist(), lengths.tolist()
    ([2, 1, 2, 1], [3, 3, 3, 3])
    """
    count = max(0, len(chunks.numbers) - n + 1)
    lengths = np.zeros(count, np.int64)
    for start in range(n):
        lengths += chunks.lengths[start : start + count]
    _, which, times = np.unique(
        of_words(chunks.numbers, n), return_inverse=True, return_counts=True
    )
    return times[which], lengths


@dataclass(frozen=True)
class DolmaRepetition:
    """Dolma's rules on repetition."""

    costly: ClassVar[bool] = True

    enabled: bool = False
    duplicate_lines: DuplicateLines = DuplicateLines()
    duplicate_line_characters: DuplicateLineCharacters = DuplicateLineCharacters()
    most_common_2_gram: MostCommonGram = MostCommonGram(2, 0.20)
    most_common_3_gram: MostCommonGram = MostCommonGram(3, 0.18)
    most_common_4_gram: MostCommonGram = MostCommonGram(4, 0.16)
    duplicate_5_grams: DuplicateGrams = DuplicateGrams(5, 0.15)
    duplicate_6_grams: DuplicateGrams = DuplicateGrams(6, 0.14)
    duplicate_7_grams: DuplicateGrams = DuplicateGrams(7, 0.13)
    duplicate_8_grams: DuplicateGrams = DuplicateGrams(8, 0.12)
    duplicate_9_grams: DuplicateGrams = DuplicateGrams(9, 0.11)
    duplicate_10_grams: DuplicateGrams = DuplicateGrams(10, 0.10)
