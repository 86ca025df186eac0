"""Detect the language of a document and of its paragraphs, and drop unwanted ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pyarrow as pa

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import judged
from webtext.pipeline.text.langid import LONGEST, Guess, detect, languages
from webtext.pipeline.words.characters import TERMINAL
from webtext.pipeline.words.running import AROUND, CLOSING, running, sentence_words
from webtext.pipeline.words.tongues import Tongue, foreign, tongue

PARAGRAPHS = ("cut", "keep")
LONG = 60  # characters of a paragraph whose language is asked
SHORT = 20  # characters, where most letters are of a script that the document's language lacks
ENDS = TERMINAL | {":"}
LEAST_PROSE = 50  # words in sentences by which a text with code, names and tables is judged
FREQUENT = 0.08  # share of stop words that tells a language; prose has 0.2 to 0.4 (data file)

REASONS = {
    "language.undetected": "no letter that any language's profile knows, or none beats 0.1",
    "language.other": "the most probable language is not one of `keep`; the value is how probable",
    "language.uncertain": "one of `keep`, but less probable than `min_probability`; the value is "
    "how probable",
    "language.mixed": "one of `keep`, but more of its letters than `most_cut` are in paragraphs of "
    "other languages; the value is their share",
}


class Read(NamedTuple):
    """What the stage makes of a text."""

    guess: Guess
    text: str  # what is left of it
    objection: str | None = None
    value: float | None = None


@dataclass(frozen=True)
class Language:
    """Keep the documents in some languages, as langdetect tells them with seed 0.

    Both defaults are those of C4, whose corpus is English "with a probability of at least 0.99".
    Source: Raffel et al. 2020, section 2.2, and tensorflow_datasets text/c4_utils.py (seed 0).

    langdetect reads the first 10,000 characters. Of 1,385 real pages (3,750 characters on average)
    3 in 1,000 get another decision from the first 5,000, 9 from the first 1,000, which takes 85 us
    a page instead of 170: not worth it.

    On translations of the Declaration of Human Rights into the languages that it knows, it is right
    in 97.5 % of 80 whole texts and 98.1 % of 1,598 pieces of 200 characters, as langdetect itself
    is, at 37 times its speed. CLD2 at about the same speed: 97.5 and 96.3; fastText's lid.176.ftz,
    a fifth as fast: 96.2 and 95.1 (`python -m tests.bench.language`).

    A document is in the language that most of it is in, so a page may hold paragraphs in another. A
    line that reads as a sentence of a language that is not kept is cut out (`paragraphs = "cut"`),
    if it has 60 characters or is in another script, and langdetect is as sure of it as
    `min_probability`; where that is more than `most_cut` of the letters, the document is dropped.
    One that is uncertain with them is asked again without them, then its sentences alone, if they
    have 50 words: code, names and tables are in no language.
    Of 4,124 documents of the mini-web 33 lose a line or more, 150 in all, nearly all rightly: wrong
    are references to foreign books and quoted lines of a translation. 0.4 ms a document.

    Raises:
        UserError: a setting is out of its range.
    """

    keep: tuple[str, ...] = ("en",)  # ISO 639-1, as langdetect writes it ("zh-cn"); all if empty
    min_probability: float = 0.99  # of the kept language; a text with less is dropped
    max_chars: int = LONGEST  # characters of a text that are read, from its start
    paragraphs: str = "cut"  # what becomes of paragraphs in languages that are not kept; or "keep"
    most_cut: float = 0.3  # share of a document's letters in them; with more it is dropped

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 4
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __post_init__(self) -> None:
        if not 0 <= self.min_probability <= 1:
            raise UserError(
                f"language.min_probability = {self.min_probability}: use a number from 0 to 1"
            )
        if not 0 <= self.most_cut <= 1:
            raise UserError(f"language.most_cut = {self.most_cut}: use a number from 0 to 1")
        if self.paragraphs not in PARAGRAPHS:
            raise UserError(
                f"language.paragraphs = {self.paragraphs!r}: use {' or '.join(PARAGRAPHS)}"
            )
        if not 1 <= self.max_chars <= LONGEST:
            raise UserError(
                f"language.max_chars = {self.max_chars}: use 1 to {LONGEST}, langdetect's own limit"
            )
        if unknown := [name for name in self.keep if name not in languages()]:
            raise UserError(
                f"language.keep: {', '.join(unknown)} is not known, so nothing would be kept; "
                f"there are {', '.join(languages())}"
            )

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        texts = batch["text"].to_pylist()
        found = [self.read(text or "") for text in texts]
        columns = {
            "text": [one.text or old for one, old in zip(found, texts, strict=True)],
            "language": [one.guess.language for one in found],
            "language_probability": [one.guess.probability for one in found],
        }
        for name, values in columns.items():
            field = DOCUMENT.field(name)
            at = batch.schema.get_field_index(name)
            batch = batch.set_column(at, field, pa.array(values, field.type))
        return judged(batch, [one.objection for one in found], [one.value for one in found])

    def read(self, text: str) -> Read:
        """Return the language of a text, what is left of it, and why it is dropped, if it is."""
        whole = self.judged(text)
        if self.paragraphs == "keep" or whole.guess.language not in self.keep:
            return whole
        lines = text.split("\n")
        others = set(self.others(lines, tongue(whole.guess.language)))
        if not others:
            return self.by_sentences(whole) if whole.objection else whole
        share = sum(letters(lines[number]) for number in others) / letters(text)
        if share > self.most_cut:
            if whole.objection:
                return whole
            return Read(whole.guess, text, "language.mixed", share)
        left = "\n".join(line for number, line in enumerate(lines) if number not in others)
        left = left.replace("\n\n\n", "\n\n").strip()
        if not whole.objection:
            return Read(whole.guess, left)
        part = self.judged(left)  # what made the whole uncertain may be gone
        part = self.by_sentences(part) if part.objection else part
        return whole if part.objection else part

    def by_sentences(self, found: Read) -> Read:
        """Return what the sentences of a text alone are, if they are in a wanted language."""
        if found.guess.language not in self.keep:
            return found
        prose = running(found.text, tongue(found.guess.language))
        if prose.words < LEAST_PROSE:
            return found
        again = self.judged("\n".join(prose.lines))
        same = again.guess.language == found.guess.language
        return found if again.objection or not same else again._replace(text=found.text)

    def judged(self, text: str) -> Read:
        """Return the language of a text, and why that is not wanted."""
        guess = self.guess(text)
        objection = self.objection(guess)
        return Read(guess, text, objection, guess.probability if objection else None)

    def others(self, lines: list[str], mine: Tongue) -> Iterator[int]:
        """Yield which lines are sentences of a language that is not kept, in a text of `mine`.

        langdetect is asked about few: lines that end as sentences and have none of the frequent
        words of the document's language.
        """
        for number, line in enumerate(lines):
            if len(line) < SHORT or line[0].isspace() or line.rstrip(CLOSING)[-1:] not in ENDS:
                continue  # or indented, as code is
            if len(line) < LONG and (line.isascii() or foreign(line, mine.name) < 0.5):
                continue
            words = [word.strip(AROUND) for word in line.lower().split()]
            if frequent(words, mine) and foreign(line, mine.name) < 0.5:
                continue
            guess = detect(line)
            if guess.language in (None, *self.keep) or guess.probability < self.min_probability:
                continue
            theirs = tongue(guess.language)
            if sentence_words(line, theirs) and frequent(words, theirs):
                yield number

    def guess(self, text: str) -> Guess:
        """Return the most probable language of a text."""
        return detect(text, self.max_chars)

    def objection(self, guess: Guess) -> str | None:
        """Return why a document with this guess is dropped, or None."""
        if guess.language is None:
            return "language.undetected"
        if self.keep and guess.language not in self.keep:
            return "language.other"
        if guess.probability < self.min_probability:
            return "language.uncertain"
        return None


def frequent(words: list[str], known: Tongue) -> bool:
    """Whether so many of a line's words are frequent in a language that it may be in it."""
    if known.letters_a_word is not None:
        return True
    return known.frequent(words) >= FREQUENT * len(words)


def letters(text: str) -> int:
    """Return how many letters there are."""
    return sum(map(str.isalpha, text))
