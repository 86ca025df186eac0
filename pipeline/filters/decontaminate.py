"""Drop documents that contain a part of an evaluation set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from webtext.pipeline.core.directories.checked import sha256, while_unchanged
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import judged
from webtext.pipeline.words.evalsets import examples
from webtext.pipeline.words.ngrams import Hashes, numbered, of_words, words

Index = tuple[tuple[int, Hashes], ...]  # lengths of n-grams, and the sorted numbers of each


@dataclass(frozen=True)
class Decontaminate:
    """Drop documents that share an n-gram of words with a set that a model is to be judged by.

    A shorter example that has at least `shortest` words is looked for as a whole.
    Source: Brown et al. (2020), GPT-3, appendix C: 13-grams, and for short examples no fewer than 8
    words; there a part around the match is removed, here the document is dropped. Words are GPT-2's
    (`webtext.pipeline.words.ngrams`).
    """

    # Files: .jsonl, or any text; .zst, .gz, .xz and .bz2 as well. What is in them decides.
    against: tuple[str, ...] = field(default=(), metadata={"machine": True})
    words: int = 13  # of an n-gram that both share
    shortest: int = 8  # words; a shorter example is not looked for

    name: ClassVar[str] = "decontaminate"
    version: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one is out of its range.
        """
        if not 1 <= self.shortest <= self.words:
            raise UserError(
                f"decontaminate.shortest = {self.shortest}: use 1 to decontaminate.words = "
                f"{self.words}"
            )

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each set, for what is in them decides, not their names.

        Raises:
            UserError: one is not there.
        """
        for path in map(Path, self.against):
            if not path.is_file():
                raise UserError(
                    f"decontaminate.against: {path}: no such file; wanted evaluation sets"
                )
        found: dict[str, str] = {}
        for path in map(Path, self.against):
            alike = sum(path.name == Path(other).name for other in self.against[: len(found)])
            found[f"{path.name} ({alike + 1})" if alike else path.name] = sha256(path)
        return found

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        counts = [self.shared(text or "") for text in batch["text"].to_pylist()]
        reasons = ["decontaminate.overlap" if count else None for count in counts]
        return judged(batch, reasons, [float(count) if count else None for count in counts])

    def shared(self, text: str) -> int:
        """Return how many of a text's n-grams are in a set."""
        numbers = numbered(words(text))
        return sum(
            int(among(of_words(numbers, length), known).sum())
            for length, known in index(self.against, self.words, self.shortest)
        )


@while_unchanged(4)
def index(against: tuple[str, ...], longest: int, shortest: int) -> Index:
    """Return the n-grams of the sets, sorted, by their length in words."""
    found: dict[int, list[Hashes]] = {}
    for path in against:
        for text in examples(Path(path)):
            numbers = numbered(words(text))
            length = min(longest, len(numbers))
            if length >= shortest:
                found.setdefault(length, []).append(of_words(numbers, length))
    return tuple((length, np.unique(np.concatenate(parts))) for length, parts in found.items())


def among(numbers: Hashes, known: Hashes) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return for each number whether it is among the sorted ones."""
    places = np.searchsorted(known, numbers)
    places[places == len(known)] = 0
    return np.equal(known[places], numbers)
