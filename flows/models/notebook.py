"""What a notebook or a script of one's own begins with: `import webtext` gives these names.

Each is a few lines over the objects that the command line uses; for more, use those (`Build`,
`Extract`, `Rules`).
"""

import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import read_batches, read_json, row_count
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.extraction.maintext import Page, Unread

if TYPE_CHECKING:
    from torch import Tensor

    from webtext.pipeline.insight.trace import Story

TEXTS = 4096  # texts in memory at a time


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
    return Judge(recipe, overrides)(text, url)


class Judge:
    """What a recipe makes of texts: their language, every rule's measure, and what drops them.

    It reads the recipe once, so for more than a few texts it is faster than `judge`.

    Raises:
        UserError: no such recipe, or a setting that nobody knows.

    >>> asked = Judge("webtext", ["rules.gopher_quality.word_count.at_least = 5"])
    >>> asked("Tea is made of the leaves of a shrub.")["language"]
    'en'
    >>> asked.keeps("Tea is made.")
    False
    """

    def __init__(self, recipe: str | Path = "webtext", overrides: Iterable[str] = ()) -> None:
        """Take the rules of a recipe; `overrides` are settings as the command line takes them."""
        from webtext.flows.building.settings import load  # half a second `extract` does without

        self.recipe = load(str(recipe), tuple(overrides))

    def __call__(self, text: str, url: str = "") -> dict[str, Any]:
        """Return what `judge` returns; the text is cleaned first, as in a build."""
        from webtext.pipeline.insight.judge import judge as judged

        given = self.recipe
        found = judged(given.rules, given.language, "", given.clean.text(text), url)
        return {name: value for name, value in found.items() if name != "id"}

    def keeps(self, text: str, url: str = "") -> bool:
        """Whether a build would keep a text, as far as its language and the rules decide."""
        return self(text, url)["dropped_by"] is None


def dedup(
    texts: Iterable[str],
    recipe: str | Path = "webtext",
    overrides: Iterable[str] = (),
    workers: int = 1,
) -> list[int]:
    """Return for each text the place of the one that stays of its near-duplicates.

    A text that has none stays itself, so those left are
    `[text for at, text in enumerate(texts) if found[at] == at]`. Which one of several stays, the
    bands and the threshold are the recipe's (`duplicates`). Texts and signatures are in temporary
    files, and not in memory. For files of your own there is `dedup_files`.

    Raises:
        UserError: no such recipe, or a setting that nobody knows.

    >>> tea = "Tea is made by pouring hot water over the leaves of a shrub, and drunk everywhere."
    >>> dedup([tea, "Coffee is made of beans, which somebody has to roast first.", f"{tea} Today."])
    [0, 1, 0]
    """
    import pyarrow as pa

    from webtext.flows.building.settings import load
    from webtext.pipeline.core.shards import read_shard, write_parquet
    from webtext.pipeline.dedup.files.file import dedup_files

    given = load(str(recipe), tuple(overrides))
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    numbered = enumerate(texts)
    with tempfile.TemporaryDirectory(prefix="webtext-") as folder:
        path, out = Path(folder) / "texts.parquet", Path(folder) / "clusters.parquet"
        parts = iter(lambda: list(islice(numbered, TEXTS)), [])
        rows = (pa.table([*map(list, zip(*part, strict=True))], schema=schema) for part in parts)
        write_parquet(path, rows, schema)
        dedup_files([path], out, given.signatures, given.duplicates, workers=workers)
        keepers: list[int] = read_shard(out)["keeper"].to_pylist()
    return keepers


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
