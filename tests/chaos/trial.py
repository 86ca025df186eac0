"""Change one file at a time, and hold what reads it next, and `verify`, to naming it."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.chaos.mutations import Mutation, mutations
from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.insight.verification import verify


def all_of(paths: Iterable[Path], places: int, seed: int) -> Iterator[Mutation]:
    """Yield the mutations of some files, the same for the same seed."""
    for path in paths:
        yield from mutations(path, places, random.Random(f"{seed} {path.name}"))


def missed_by_verify(data: Path, mutation: Mutation) -> str | None:
    """Return what is wrong where `verify` doesn't name what was changed."""
    mutation.do()
    try:
        found = list(verify(data))
    finally:
        mutation.undo()
    if any(each.path in mutation.seen for each in found):
        return None
    return f"{mutation}: verify names {[str(each) for each in found]}"


def missed_by_reader(mutation: Mutation) -> str | None:
    """Return what is wrong where a step that reads the directory would not name what was changed.

    Records of WARC files are looked at one by one when they are read, which other tests hold.
    """
    home = checked.home_of(mutation.path)
    assert home is not None, "every file lies in a whole directory"
    warc = mutation.path.name.endswith(checked.ARCHIVE)
    if warc and mutation.kind not in ("missing", "extra"):
        return None
    mutation.do()
    try:
        Directory(home).manifest()
        checked.check(home)
    except UserError as error:
        if any(str(path) in str(error) for path in mutation.seen):
            return None
        return f"{mutation}: told as {error}"
    finally:
        mutation.undo()
    return f"{mutation}: read without a word"
