"""OpenWebText's rule on texts, in place of WebText's own unpublished cleaning; and rules of ours.

"Language Models are Unsupervised Multitask Learners", section 2.2, says only "some heuristic based
cleaning"; that Wikipedia goes is a matter of links (`links.exclude_domains`).
"""

from dataclasses import dataclass
from typing import ClassVar

from webtext.pipeline.tokens.bpe import encode
from webtext.pipeline.words.document import Document, share
from webtext.pipeline.words.tongues import foreign


@dataclass(frozen=True)
class Tokens:
    """How many of GPT-2's tokens the text has.

    Source: Gokaslan and Cohen 2019, OpenWebTextCorpus, documents with fewer than 128 removed.
    """

    at_least: float | None = 128.0

    costly: ClassVar[bool] = True

    def __call__(self, doc: Document) -> float:
        return len(encode(doc.text))


@dataclass(frozen=True)
class WebText:
    """OpenWebText's one rule on texts."""

    enabled: bool = False
    tokens: Tokens = Tokens()


@dataclass(frozen=True)
class Foreign:
    """Share of the letters that are of no script of the document's language, Latin and Greek aside.

    All languages write names and code in Latin, and formulas in Greek.

    Source: ours. Of 4,133 documents of the mini-web that were taken for English 68 have more than
    0.1, all of them pages in Korean, Chinese, Japanese or Russian with much code, and 2 less than
    that and more than 0.05.
    """

    at_most: float | None = 0.05

    def __call__(self, doc: Document) -> float:
        return foreign(doc.text, doc.language)


@dataclass(frozen=True)
class Scripts:
    """Drop documents that are partly in a script that their language is not written in."""

    enabled: bool = True
    foreign: Foreign = Foreign()


@dataclass(frozen=True)
class RunningWords:
    """How many words there are in lines that read as sentences.

    Source: ours. Of 4,133 documents of the mini-web that Gopher's rules keep, 43 have fewer; most
    are tables of contents, indexes and archives (LOG.md).
    """

    at_least: float | None = 15.0

    def __call__(self, doc: Document) -> float:
        return doc.running.words


@dataclass(frozen=True)
class RunningShare:
    """Share of the words that are in lines that read as sentences, 1 where these are not few.

    A note of fifty words may have thirty in sentences; an index of two thousand has as many.

    Source: ours. Of 623 documents of the mini-web that all other rules keep, 20 have fewer than 40
    words in sentences; 11 of these have less than a third, all but one of them indexes, contents
    and lists of links, and of the other nine eight are short notes (LOG.md).
    """

    few: int = 40  # words in sentences from which on it is 1
    at_least: float | None = 0.33

    def __call__(self, doc: Document) -> float:
        if doc.running.words >= self.few:
            return 1.0
        return min(1.0, share(doc.running.words, doc.counts.words))


@dataclass(frozen=True)
class Prose:
    """Drop documents that have next to no sentence; a corpus of code or tables leaves it off."""

    enabled: bool = False
    words: RunningWords = RunningWords()
    share: RunningShare = RunningShare()
