"""A trained model as a rule."""

from dataclasses import dataclass, field

from webtext.pipeline.filters import classifier
from webtext.pipeline.words.document import Document


@dataclass(frozen=True)
class Score:
    """How good the model thinks a document is, from 0 to 1."""

    model: str = field(metadata={"machine": True})  # a file; its content enters the digest
    at_least: float | None = 0.5

    def load(self) -> classifier.Quality:
        """Return the model in the file."""
        return classifier.load(self.model)

    def __call__(self, doc: Document) -> float:
        return self.load().score(doc.text)


@dataclass(frozen=True)
class Quality:
    """Drop what a model of `webtext quality train` scores low; without a model, drop none."""

    enabled: bool = True
    score: Score | None = None
