"""OpenWebText's rule on texts, in place of WebText's own unpublished cleaning.

"Language Models are Unsupervised Multitask Learners", section 2.2, says only "some heuristic based
cleaning"; that Wikipedia goes is a matter of links (`links.exclude_domains`).
"""

from dataclasses import dataclass
from typing import ClassVar

from webtext.pipeline.tokens.bpe import encode
from webtext.pipeline.words.document import Document


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
