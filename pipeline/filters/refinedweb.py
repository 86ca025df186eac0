"""RefinedWeb's line filter: lines that are not part of the text are removed.

Source of all values: Penedo et al. 2023, "The RefinedWeb Dataset for Falcon LLM", arXiv 2306.01116,
section 3.2 and appendix G.2; where it leaves something open, such as which counters there are, DCLM
(`baselines_configs/dclm_baseline_refinedweb.yaml`, `mappers/modifiers.py`), which rebuilt it.
"""

import re
from dataclasses import dataclass

from webtext.pipeline.words.document import Document, share
from webtext.pipeline.words.tongues import UNKNOWN, Tongue, words_of

COUNTED = (
    "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views "
    "followers"
)
COUNTER = re.compile(
    rf"\W*\d[\d,.]*[kmb]?\s+(?:{'|'.join(COUNTED.split())})\W*", re.IGNORECASE | re.ASCII
)
LEFTOVERS = re.compile(
    r"^sign-in\s?|\s?items in cart|\s?read more(?:\.\.\.|…)$", re.IGNORECASE
)  # of a page's frame, in a line of its text


@dataclass(frozen=True)
class RemovedLines:
    """How many of the lines that are not empty were removed.

    Source: ours, to be looked at; RefinedWeb bounds the words.
    """

    at_most: float | None = None

    def __call__(self, doc: Document) -> float:
        return len((doc.before or doc).full_lines) - len(doc.full_lines)


@dataclass(frozen=True)
class RemovedWords:
    """Share of the words, split at spaces, that were removed with lines or from lines.

    Source: RefinedWeb G.2, "if the flagged content represents more than 5% of the words".
    """

    at_most: float | None = 0.05

    def __call__(self, doc: Document) -> float:
        before = len((doc.before or doc).text.split())
        return share(before - len(doc.text.split()), before)


@dataclass(frozen=True)
class RefinedWeb:
    """RefinedWeb's lines; a kept document is left with the kept lines."""

    enabled: bool = False
    upper: float = 0.5  # drop lines in which more of the characters are upper case
    numbers: bool = False  # keep lines of nothing but digits
    counters: bool = False  # keep lines such as "3 likes"
    min_words: int = 2  # drop lines with fewer, counted between spaces; empty ones stay
    short: int = 10  # words; in lines with no more, drop "Sign-in", "Read more..." and the like
    removed_lines: RemovedLines = RemovedLines()
    removed_words: RemovedWords = RemovedWords()

    def edit(self, doc: Document) -> Document:
        """Return the document with the lines that RefinedWeb keeps."""
        lines = [self.line(line, doc.tongue) for line in doc.text.split("\n")]
        text = "\n".join(line for line in lines if line is not None).strip()
        return Document(text, before=doc)

    def line(self, line: str, tongue: Tongue = UNKNOWN) -> str | None:
        """Return a line as it is kept, or None."""
        if not line:
            return line
        if sum(map(str.isupper, line)) > self.upper * len(line):
            return None
        if not self.numbers and line.isdigit():
            return None
        if not self.counters and COUNTER.fullmatch(line):
            return None
        words = words_of(line, tongue)
        if words < self.min_words:
            return None
        if words > self.short:
            return line
        return LEFTOVERS.sub("", line).rstrip() or None
