"""The rules of C4: lines that are no sentences go, and pages with too few of them left.

Source of all values: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", JMLR 21,
section 2.2. Its reference code (tensorflow_datasets `text/c4_utils.py`) wants 5 words a line and 3
sentences a page; datatrove 0.10 has them the other way round, and FineWeb was made with that.
The defaults here are datatrove's; the preset `c4-tfds` is the reference.
"""

import re
from dataclasses import dataclass

from webtext.pipeline.words.characters import TERMINAL
from webtext.pipeline.words.document import Document
from webtext.pipeline.words.tongues import ENGLISH, tongue, words_of

MORE_MARKS = (*TERMINAL, *"”’»」』")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


@dataclass(frozen=True)
class Length:
    """How many characters the page had before its lines were looked at.

    Source: the reference code, `is_valid_length`, 190,000; datatrove bounds nothing.
    """

    at_most: float | None = None

    def __call__(self, doc: Document) -> float:
        return len((doc.before or doc).text)


@dataclass(frozen=True)
class LoremIpsum:
    """How often the filler text's first words occur, in any case.

    Source: C4, "removed any page where the phrase 'lorem ipsum' appeared".
    """

    at_most: float | None = 0.0

    def __call__(self, doc: Document) -> float:
        return doc.text.lower().count("lorem ipsum")


@dataclass(frozen=True)
class CurlyBrackets:
    """How many opening curly brackets there are.

    Source: C4, "removed any pages that contained a curly bracket".
    """

    at_most: float | None = 0.0

    def __call__(self, doc: Document) -> float:
        return doc.text.count("{")


@dataclass(frozen=True)
class Sentences:
    """How many sentences the lines have, taken one by one.

    The reference code counts those of NLTK's trained splitter; whether there are 3 comes out
    otherwise on 2 of 1,385 pages (`tests/golden/punkt.json`).

    Source: datatrove 0.10 `c4_filters.py`, 5; the reference code wants 3.
    """

    at_least: float | None = 5.0

    def __call__(self, doc: Document) -> float:
        return doc.words.sentences


@dataclass(frozen=True)
class C4:
    """C4's lines and rules; a kept document is left with the kept lines.

    FineWeb was made with `terminal = false`.
    """

    enabled: bool = False
    terminal: bool = True  # drop lines that do not end in one of `marks`, or end in an ellipsis
    marks: str = ".?!\"'"  # that end a line of prose
    min_words: int = 3  # drop lines with fewer, counted between spaces
    citation_words: bool = True  # count citations among these; the reference counts what is left
    max_word_length: int = 1000  # drop lines with a longer word
    citations: bool = False  # keep Wikipedia's [1], [edit] and [citation needed]
    length: Length = Length()
    lorem_ipsum: LoremIpsum = LoremIpsum()
    curly_brackets: CurlyBrackets = CurlyBrackets()
    sentences: Sentences = Sentences()

    def edit(self, doc: Document) -> Document:
        """Return the document with the lines that C4 keeps, and those that condemn the page."""
        lines = filter(None, (self.line(line, doc.language) for line in doc.lines))
        return Document("\n".join(lines).strip(), before=doc)

    def line(self, line: str, language: str = ENGLISH) -> str | None:
        """Return a line as it is kept, or None.

        In another language than English, every mark that ends sentences in some script is one.
        """
        line = line.strip()
        words = line.split()
        if len(line) > self.max_word_length and max(map(len, words)) > self.max_word_length:
            return None
        if not self.citations and "[" in line:
            line = CITATION.sub("", line)
            words = words if self.citation_words else line.split()
        marks = (*self.marks, *(() if language == ENGLISH else MORE_MARKS))
        if self.terminal and (not line.endswith(marks) or line.endswith("...")):
            return None
        if len(words) < self.min_words and words_of(line, tongue(language)) < self.min_words:
            return None
        lower = line.lower()
        if "lorem ipsum" in lower:
            return line
        if "javascript" in lower:
            return None
        if "{" not in line and any(map(lower.__contains__, POLICIES)):
            return None
        return line
