"""What a notebook or a script of one's own begins with: `import webtext` gives these names.

Each is a few lines over the objects that the command line uses; for more, use those (`Build`,
`Extract`, `Rules`).
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import read_batches, read_json, row_count
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.extraction.maintext import Page, Unread

if TYPE_CHECKING:
    from torch import Tensor

    from webtext.pipeline.insight.trace import Story


def extract(page: bytes | str, url: str | None = None) -> str | None:
    """Return the main text of a page of HTML, as a build reads it; None where it has none.

    >>> extract("<nav>Home</nav><p>Tea is made by pouring hot water over leaves.</p>")
    'Tea is made by pouring hot water over leaves.'
    """
    body, kind = page, "text/html"
    if isinstance(body, str):
        body, kind = body.encode(), "text/html; charset=utf-8"
    found = _reader().article(Page(body, kind, url))
    return None if isinstance(found, Unread) else found.text


@lru_cache(1)
def _reader() -> Extract:
    return Extract()


def judge(
    text: str, url: str = "", recipe: str | Path = "webtext", overrides: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the language of a text, what drops it if anything does, and every rule's measure.

    The keys are language, confidence, dropped_by (None: it is kept) and measures, with a dict for
    each rule. `overrides` are settings as the command line takes them.

    Raises:
        UserError: no such recipe, or a setting that nobody knows.

    >>> judge("Tea is made of the leaves of a shrub.")["dropped_by"]
    'rules.gopher_quality.word_count.low'
    """
    from webtext.flows.building.settings import load  # half a second that `extract` does without
    from webtext.pipeline.insight.judge import judge as judged

    given = load(str(recipe), tuple(overrides))
    found = judged(given.rules, given.language, "", given.clean.text(text), url)
    return {name: value for name, value in found.items() if name != "id"}


def build(
    recipe: str | Path,
    data: str | Path,
    *overrides: str,
    until: str | None = None,
    workers: int = 1,
) -> "Corpus":
    """Build a recipe in a data directory, as far as it is not built yet; return what came of it.

    Raises:
        UserError: bad input, another build at work there, or no room on the disk.
        PipelineError: rows were lost between two steps.
    """
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build

    Build(load(str(recipe), overrides), Path(data)).run(until=until, workers=workers)
    return Corpus(data)


class Corpus:
    """The newest build in a data directory, to be read."""

    def __init__(self, data: str | Path) -> None:
        """Look into a data directory.

        Raises:
            UserError: nothing has been built there.
        """
        from webtext.pipeline.build import Build

        self.made = Build(None, Path(data))
        self.made.made()  # raises

    def __len__(self) -> int:
        """Return the number of documents."""
        return sum(map(row_count, self.made.path("corpus").shards()))

    def documents(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the documents in their order (by id, so any beginning is a random sample).

        `columns` are those wanted, by default all.
        """
        for path in self.made.path("corpus").shards():
            for batch in read_batches(path, columns):
                yield from batch.to_pylist()

    def trace(self, url: str) -> "Story":
        """Return what became of a URL at each step.

        Raises:
            UserError: no step has read it.
        """
        return self.made.follow(url)

    def funnel(self) -> dict[str, Any]:
        """Return each stage's line of the funnel, and how large the corpus is."""
        return self.made.funnel()

    def batches(
        self, context: int = 1024, size: int = 8, seed: int = 0, split: str = "train", step: int = 0
    ) -> "Iterator[tuple[Tensor, Tensor]]":
        """Yield the input and the target of each training step from `step` on, without an end.

        Both are int64 of shape (size, context); the target is the input one token later. What a
        step reads follows from seed and step alone, so a run that was stopped goes on with
        `step=`: these are the batches of `webtext train`.

        Raises:
            UserError: the split has too few tokens for a window.
        """
        import torch  # it takes seconds to load

        from webtext.model.batches.data import Batches, Stream
        from webtext.model.errors import UserError as ModelError
        from webtext.pipeline.tokens.bpe import VOCABULARY
        from webtext.pipeline.tokens.tokens import STATS

        home = self.made.path("tokens").path
        told = read_json(home / STATS).get("tokenizer", {})
        vocabulary = told.get("vocabulary", VOCABULARY)  # before others were known: GPT-2's
        try:
            found = Batches(Stream(home, split), context, size, seed, vocabulary)
            while True:
                tokens = torch.from_numpy(found.tokens(found.windows(step)))
                yield tokens[:, :-1], tokens[:, 1:]
                step += 1
        except ModelError as error:  # one class for whoever imports webtext
            raise UserError(str(error)) from None
