"""The step `paragraphs`, off by default: documents without paragraphs that others have too."""

from collections.abc import Iterator, Mapping
from typing import Any

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, read_json
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Fact, Planned, Sought, Step
from webtext.pipeline.dedup.paragraphs import REMOVED, TOO_SHORT, Paragraphs, paragraphs

NAME = "paragraphs"


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Remove from the documents the paragraphs that others have too."""
    (settings,) = planned.settings
    return paragraphs(settings, planned.read["documents"], planned.home, workers, progress)


def follow(sought: Sought) -> Iterator[Fact]:
    """Return how much of the text is left."""
    if sought.id is None:
        return
    kept = first_row(sought.made[NAME], sought.id)
    if not (document := kept or first_row(sought.made[NAME], sought.id, "dropped")):
        return
    row = document[2]
    told = {"characters": len(row["text"] or "")}
    lines = (f"{told['characters']:,} characters that no other page has",)
    if kept:
        yield Fact(NAME, told, lines)
        return
    why = {name: row[name] for name in ("dropped_by", "dropped_value")}
    yield Fact(NAME, told | why, lines, row["dropped_by"], row["dropped_value"])


def facts(directory: Directory) -> Mapping[str, Any]:
    """Return how much was removed."""
    path = directory.path / REMOVED
    found = read_json(path) if at_hand(path) else {}
    return {f"{what} paragraphs": found[what] for what in ("removed",) if found}


STEP = Step(
    name=NAME,
    tables={"paragraphs": Paragraphs},
    work=work,
    inputs=("documents",),
    makes="documents",
    bytes_depend_on=(
        "ada-url",
        "datasketch",
        "llvmlite",
        "msgspec",
        "numba",
        "numpy",
        "pyarrow",
        "tldextract",
    ),
    fates={TOO_SHORT: "too little is left of it; value: its words"},
    wanted=lambda recipe: bool(recipe.paragraphs.enabled),
    follow=follow,
    facts=facts,
)
