"""The rules of Gopher (MassiveText), as FineWeb's tool reads them.

A rule is called on a document and returns its measure. A document is kept where the measure is
`at_least` and `at_most` its bounds, both inclusive; None bounds nothing.

Source of all values: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from
Training Gopher", arXiv 2112.11446, appendix A.1.1 and table A1. What the paper leaves open, such
as what a word is, is as in datatrove 0.10, which made FineWeb.
"""

from dataclasses import dataclass
from typing import ClassVar

from webtext.pipeline.words.document import Document, share
from webtext.pipeline.words.kernels import NOTHING, SPACE_HASH, repeated, top
from webtext.pipeline.words.running import AROUND, AROUND_LINES
from webtext.pipeline.words.tongues import ENGLISH, tongue
from webtext.pipeline.words.words import STOP_WORDS

BULLETS = ("•", "-")
ELLIPSES = ("...", "…")


@dataclass(frozen=True)
class WordCount:
    """How many words there are, without punctuation.

    Source: Gopher A.1.1, "between 50 and 100,000 words".
    """

    at_least: float | None = 50.0
    at_most: float | None = 100_000.0

    def __call__(self, doc: Document) -> float:
        return doc.counts.words


@dataclass(frozen=True)
class WordLength:
    """The mean number of characters of a word.

    In another language it is brought to the scale of English: 3 for the shortest mean that
    data/languages.tsv has for it, 10 for the longest. Where words are not set apart by spaces the
    rule has no say, and the measure is 6.5.

    Source: Gopher A.1.1, "mean word length outside the range of 3 to 10 characters".
    """

    at_least: float | None = 3.0
    at_most: float | None = 10.0

    def __call__(self, doc: Document) -> float:
        mean = share(doc.counts.characters, doc.counts.words)
        known, english = doc.tongue, tongue(ENGLISH)
        if doc.language == ENGLISH or not known.scripts:
            return mean
        assert english.shortest is not None
        assert english.longest is not None
        if known.shortest is None or known.longest is None:
            return (english.shortest + english.longest) / 2
        place = (mean - known.shortest) / (known.longest - known.shortest)
        return max(0.0, english.shortest + place * (english.longest - english.shortest))


@dataclass(frozen=True)
class Hashes:
    """Hash signs per token.

    Source: Gopher A.1.1, "symbol-to-word ratio greater than 0.1 for the hash symbol".
    """

    at_most: float | None = 0.1

    def __call__(self, doc: Document) -> float:
        return share(doc.text.count("#"), doc.counts.tokens)


@dataclass(frozen=True)
class Ellipses:
    """Ellipses per token, in either spelling.

    Source: Gopher A.1.1, "symbol-to-word ratio greater than 0.1 for [...] the ellipsis".
    """

    at_most: float | None = 0.1

    def __call__(self, doc: Document) -> float:
        return share(sum(doc.text.count(mark) for mark in ELLIPSES), doc.counts.tokens)


@dataclass(frozen=True)
class BulletLines:
    """Share of the lines that begin with a bullet.

    Where the rules are asked of running text, it is the share of the whole document's lines, and
    sentences behind a bullet do not count: lists of links with an introduction stay lists of links.

    Source: Gopher A.1.1, "more than 90% of lines starting with a bullet point".
    """

    at_most: float | None = 0.9

    def __call__(self, doc: Document) -> float:
        lines = [line.lstrip() for line in (doc.whole or doc).lines]
        bulleted = [line for line in lines if line.startswith(BULLETS)]
        if doc.whole is not None:
            sentences = set(doc.running.lines)
            bulleted = [line for line in bulleted if line.strip(AROUND_LINES) not in sentences]
        return share(len(bulleted), len(lines))


@dataclass(frozen=True)
class EllipsisLines:
    """Share of the lines that end in an ellipsis.

    Source: Gopher A.1.1, "more than 30% ending with an ellipsis".
    """

    at_most: float | None = 0.3

    def __call__(self, doc: Document) -> float:
        found = sum(line.rstrip().endswith(ELLIPSES) for line in doc.lines)
        return share(found, len(doc.lines))


@dataclass(frozen=True)
class LetterWords:
    """Share of the words that have a letter.

    Source: Gopher A.1.1, "80% of words in a document contain at least one alphabetic character".
    datatrove counts each punctuation mark as a word without a letter; that drops technical pages.
    """

    marks: bool = False  # whether punctuation marks count among the words
    at_least: float | None = 0.8

    def __call__(self, doc: Document) -> float:
        if self.marks:
            return share(doc.counts.letter_tokens, doc.counts.tokens)
        return share(doc.counts.letter_words, doc.counts.words)


@dataclass(frozen=True)
class StopWords:
    """How many of eight English stop words occur, or of those of the document's language.

    datatrove counts those in lower case alone, and so drops all that is written in capitals.

    Source: Gopher A.1.1, "at least two of: the, be, to, of, and, that, have, with"; of other
    languages those of data/languages.tsv, anywhere in a text without spaces between words.
    """

    any_case: bool = True  # count them in capitals too
    at_least: float | None = 2.0

    def __call__(self, doc: Document) -> float:
        known = doc.tongue.stop_words
        if doc.language == ENGLISH or not known:
            found = doc.words.stop_words
            if not self.any_case or found == len(STOP_WORDS):
                return found
            known = frozenset(STOP_WORDS)
        if doc.tongue.letters_a_word is not None:
            return sum(word in doc.text for word in known)
        words = {word.strip(AROUND) for word in doc.text.lower().split()}
        if doc.tongue.name == "ko":
            return sum(any(word.endswith(ending) for word in words) for ending in known)
        return len(known & words)


@dataclass(frozen=True)
class GopherQuality:
    """Gopher's rules on quality, in the order in which they are asked.

    Written for prose, they drop manuals with code and tables, and lists of whole sentences. So
    where the lines of a document that read as sentences have as many words as `running` says, the
    rules are asked of these lines alone; with 0, always of the whole. Of 99 documents of the
    mini-web that `letter_words` dropped, 59 were good; it now keeps 54 of these, and 2 of the 32
    bad ones (LOG.md).
    """

    enabled: bool = True
    running: int = 50  # words. Source: Gopher A.1.1, the shortest document
    word_count: WordCount = WordCount()
    word_length: WordLength = WordLength()
    hashes: Hashes = Hashes()
    ellipses: Ellipses = Ellipses()
    bullet_lines: BulletLines = BulletLines()
    ellipsis_lines: EllipsisLines = EllipsisLines()
    letter_words: LetterWords = LetterWords()
    stop_words: StopWords = StopWords()

    def lens(self, doc: Document) -> Document:
        """Return the document that the rules are asked of: the running text, if there is enough."""
        if not self.running or doc.running.words < self.running:
            return doc
        part = doc.reading()
        return part if part.counts.words >= self.running else doc


@dataclass(frozen=True)
class RepeatedParagraphs:
    """Share of the paragraphs that occurred earlier in the text.

    Source: Gopher table A1, duplicate paragraph fraction 0.30.
    """

    at_most: float | None = 0.3

    def __call__(self, doc: Document) -> float:
        return share(doc.repeated_paragraphs.repeated, doc.repeated_paragraphs.pieces)


@dataclass(frozen=True)
class RepeatedParagraphCharacters:
    """Share of the characters that are in paragraphs that occurred earlier in the text.

    Source: Gopher table A1, duplicate paragraph character fraction 0.20.
    """

    at_most: float | None = 0.2

    def __call__(self, doc: Document) -> float:
        return share(doc.repeated_paragraphs.characters, len(doc.text))


@dataclass(frozen=True)
class RepeatedLines:
    """Share of the lines that occurred earlier in the text.

    Source: Gopher table A1, duplicate line fraction 0.30.
    """

    at_most: float | None = 0.3

    def __call__(self, doc: Document) -> float:
        return share(doc.repeated_lines.repeated, doc.repeated_lines.pieces)


@dataclass(frozen=True)
class RepeatedLineCharacters:
    """Share of the characters that are in lines that occurred earlier in the text.

    Source: Gopher table A1, duplicate line character fraction 0.20.
    """

    at_most: float | None = 0.2

    def __call__(self, doc: Document) -> float:
        return share(doc.repeated_lines.characters, len(doc.text))


@dataclass(frozen=True)
class TopGram:
    """Share of the characters that are in the most frequent n-gram, even if it occurs once.

    Source: Gopher table A1, top n-gram character fraction.
    """

    n: int
    at_most: float | None

    costly: ClassVar[bool] = True

    def __call__(self, doc: Document) -> float:
        return share(top(doc.grams(self.n, SPACE_HASH), doc.rows.lengths, self.n), len(doc.text))


@dataclass(frozen=True)
class RepeatedGrams:
    """Share of the characters in n-grams that occurred earlier; no character counts twice.

    Source: Gopher table A1, duplicate n-gram character fraction.
    """

    n: int
    at_most: float | None

    costly: ClassVar[bool] = True

    def __call__(self, doc: Document) -> float:
        return share(repeated(doc.grams(self.n, NOTHING), doc.rows.lengths, self.n), len(doc.text))


@dataclass(frozen=True)
class GopherRepetition:
    """Gopher's rules on repetition, in the order in which they are asked."""

    enabled: bool = False
    repeated_paragraphs: RepeatedParagraphs = RepeatedParagraphs()
    repeated_paragraph_characters: RepeatedParagraphCharacters = RepeatedParagraphCharacters()
    repeated_lines: RepeatedLines = RepeatedLines()
    repeated_line_characters: RepeatedLineCharacters = RepeatedLineCharacters()
    top_2_gram: TopGram = TopGram(2, 0.20)
    top_3_gram: TopGram = TopGram(3, 0.18)
    top_4_gram: TopGram = TopGram(4, 0.16)
    repeated_5_grams: RepeatedGrams = RepeatedGrams(5, 0.15)
    repeated_6_grams: RepeatedGrams = RepeatedGrams(6, 0.14)
    repeated_7_grams: RepeatedGrams = RepeatedGrams(7, 0.13)
    repeated_8_grams: RepeatedGrams = RepeatedGrams(8, 0.12)
    repeated_9_grams: RepeatedGrams = RepeatedGrams(9, 0.11)
    repeated_10_grams: RepeatedGrams = RepeatedGrams(10, 0.10)
