"""A trained model as a rule."""

from dataclasses import dataclass, field
from pathlib import Path

from webtext.pipeline.filters import classifier
from webtext.pipeline.filters.own import foreign_models
from webtext.pipeline.words.document import Document


@dataclass(frozen=True)
class Score:
    """How good the model thinks a document is, from 0 to 1."""

    model: str = field(metadata={"machine": True})  # a file; its content enters the digest
    at_least: float | None = 0.5

    def load(self) -> "classifier.Quality | foreign_models.Foreign":
        """Return the model in the file: one of ours, or one of others (.onnx, .skops, .bin)."""
        form = Path(self.model).suffix
        if form in foreign_models.FORMS or form in foreign_models.REFUSED:
            return foreign_models.load(self.model)
        return classifier.load(self.model)

    def __call__(self, doc: Document) -> float:
        return self.load().score(doc.text)


@dataclass(frozen=True)
class Quality:
    """Drop what a model of `webtext quality train` scores low; without a model, drop none."""

    enabled: bool = True
    score: Score | None = None
