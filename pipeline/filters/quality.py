"""A trained model as a rule."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline import classifier
from pipeline.document import Document
from pipeline.errors import UserError
from pipeline.shards import sha256


@dataclass(frozen=True)
class Score:
    """How good the model thinks a document is, from 0 to 1."""

    model: str = field(metadata={"machine": True})  # a file; what is in it decides, not its name
    at_least: float | None = 0.5

    def __call__(self, doc: Document) -> float:
        return classifier.load(self.model).score(doc.text)


@dataclass(frozen=True)
class Quality:
    """Drop what a model of `webtext quality train` scores low; without a model, nothing."""

    enabled: bool = True
    score: Score | None = None

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of the model's file.

        Raises:
            UserError: it is not there, or no model.
        """
        if not self.enabled or self.score is None:
            return {}
        if not Path(self.score.model).is_file():
            raise UserError(f"rules.quality.score.model: {self.score.model}: no such file")
        classifier.load(self.score.model)
        return {"quality model": sha256(Path(self.score.model))}
