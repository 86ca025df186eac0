"""The step `corpus`: the unique documents, shuffled, in even shards with a card."""

from collections.abc import Iterator, Mapping
from typing import Any

from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, read_json
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Fact, Planned, Sought, Step
from webtext.pipeline.corpus.card import STATS
from webtext.pipeline.corpus.corpus import Corpus, corpus
from webtext.pipeline.corpus.verdicts import REASONS

NAME = "corpus"


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Write the documents that are not copies of others."""
    (settings,) = planned.settings
    texts, duplicates = planned.read["documents"], planned.read["duplicates"]
    return corpus(settings, texts, duplicates, planned.home, workers, progress, planned.steps)


def follow(sought: Sought) -> Iterator[Fact]:
    """Return where the document is."""
    if sought.id is None:
        return
    if kept := first_row(sought.made[NAME], sought.id):
        shard, place, row = kept
        sizes = {name: row[name] for name in ("bytes", "duplicates")}
        path = sought.made[NAME].shard(shard)
        told = {"shard": shard, "row": place, **sizes, "file": str(path)}
        yield Fact(NAME, told, (f"row {place:,} of {path}, {row['bytes']:,} bytes",))


def facts(directory: Directory) -> Mapping[str, Any]:
    """Return how large the corpus is."""
    found = read_json(directory.about / STATS)
    return {name: found[name] for name in ("documents", "bytes", "domains")}


STEP = Step(
    name=NAME,
    tables={"corpus": Corpus},
    work=work,
    inputs=("documents", "duplicates"),
    bytes_depend_on=(
        "Jinja2",
        "msgspec",
        "numpy",
        "pyarrow",
    ),
    fates=REASONS,
    shards_alone=True,  # pandas and Polars read every file of a folder
    follow=follow,
    facts=facts,
)
