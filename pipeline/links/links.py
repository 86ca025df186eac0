"""Harvest: from dumps and lists to one row a page, with everybody who linked to it.

A map and a reduce. The map reads each source once, decides what a submission alone can decide, and
spills its rows by shard (`spill.py`). The reduce takes one shard at a time, merges the submissions
of each URL key, and asks for the score. All of it is the same bytes whatever the workers.

Fates, as `links.<reason>`, in the order in which they are asked:

    line_too_long      a line of more than 16 MiB (value: its bytes)
    broken_line        not JSON, or not a row of the table, or its URL has torn characters
    truncated_archive  one row a source: where the archive broke off; what followed is not known
    self_post          text on Reddit itself, not a link
    no_url             no URL, as in a comment of Hacker News
    bad_url            no absolute URL, or no host that could be looked up
    not_http           another scheme
    over_18            marked as adult
    deleted            removed by its author, a moderator or the site
    subreddit          of an excluded subreddit
    out_of_window      linked before or after the dates wanted, or at a time not known (value: Unix)
    url_too_long       (value: characters)
    domain             of an excluded domain or host
    extension          a path that ends as no page of text does
    repeated           the same submission, told again by another dump (or the same one)
    low_score          of a URL whose merged score is too low (value: that score)
    duplicate          merged into an earlier submission of the same URL, and kept in its row; so
                       these stand in no file of dropped rows

A URL with dropped and with kept submissions is kept, with the kept ones alone.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from webtext.pipeline.core import pool
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, parquet, write_json
from webtext.pipeline.core.stage import Passage, fates
from webtext.pipeline.links import merge
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.links.spill import spill

# The Parquet column of the ids of submissions, which come after the columns of a link.
SUBMISSIONS = LINK.get_field_index("submissions")
EDGE = 1 << 20  # bytes of each end of a source that its fingerprint reads


def harvest(
    settings: Harvest,
    sources: Sequence[Path],
    out: Directory,
    workers: int = 1,
    progress: Progress = silent,
) -> list[Passage]:
    """Make LINK shards of the sources; return the funnel, counted from the files.

    Called again after a kill, it goes on with the sources and shards that are not whole yet.

    Raises:
        UserError: a table has no column of URLs.
        PipelineError: lines were lost or made up.
    """
    todo = [n for n in range(settings.shards) if not out.shard(n).exists()]
    ledger = out.path / "sources.json"
    if todo or not ledger.exists():
        total = sum(path.stat().st_size for path in sources)
        items = list(enumerate(sources))
        work = partial(spill, settings, out)
        lines = pool.each(work, items, workers, progress, total)
        rows = [{"source": path.name, "records": n} for path, n in zip(sources, lines, strict=True)]
        write_json(ledger, rows)
        pool.each(partial(merge.merge, settings, out, rows), todo, workers, progress)
    passage = count(out, sum(row["records"] for row in json.loads(ledger.read_text())))
    merge.clear(out)
    return [passage]


def count(out: Directory, read: int) -> Passage:
    """Return the funnel of a harvest of `read` records, from its files alone.

    Raises:
        PipelineError: it does not add up.
    """
    kept, submissions = 0, 0
    for path in out.shards():
        with parquet(path) as file:
            told = file.metadata
            kept += told.num_rows
            for group in map(told.row_group, range(told.num_row_groups)):
                submissions += group.column(SUBMISSIONS).num_values  # each link has one at least
    dropped = fates(out.shards("dropped"))
    if submissions > kept:
        dropped["links.duplicate"] = submissions - kept
    ordered = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
    return Passage("links", read, kept, ordered)


def resolve(patterns: Sequence[str], base: Path, setting: str = "links.sources") -> list[Path]:
    """Return the files that paths or globs name, relative to `base`, each once and sorted.

    `setting` is where the patterns come from, for the messages.

    Raises:
        UserError: there are no patterns, or one that names no file.
    """
    if not patterns:
        raise UserError(f"{setting} is empty; name the files to read")
    found: set[Path] = set()
    for pattern in patterns:
        whole = str(base / Path(pattern).expanduser())
        names = glob(whole, recursive=True)  # noqa: PTH207 -- Path.glob takes no absolute pattern
        files = {path for name in (*names, whole) if (path := Path(name)).is_file()}
        if not files:
            raise UserError(f"{setting}: {_no_file(pattern, Path(whole), base)}")
        found |= files
    return sorted(found, key=lambda path: (path.name, str(path)))


def _no_file(pattern: str, path: Path, base: Path) -> str:
    """Say what was found in the place of a file, and what to do."""
    if path.is_dir():
        inside = str(Path(pattern) / "*.zst")
        return f"{pattern!r} is a directory; wanted files: name those in it, such as {inside!r}"
    if path.exists():
        return (
            f"{pattern!r} is a pipe or device, and a source is read more than once; wanted a file: "
            f"write it to one (cat {pattern} > dump.jsonl) and name that"
        )
    return f"no file matches {pattern!r} (looked in {base})"


def fingerprint(sources: Sequence[Path]) -> list[dict[str, Any]]:
    """Return what tells these files from others, for a digest, without reading them whole.

    It has their names without folders, sizes, and the sha256 of their first and last MiB: a folder
    that moves makes no new harvest, and a file that is edited, cut or downloaded anew does.
    """
    return [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": _edges(path)}
        for path in sources
    ]


def _edges(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        found.update(file.read(EDGE))
        size = file.seek(0, 2)
        file.seek(max(size - EDGE, 0))
        found.update(file.read(EDGE))
    return found.hexdigest()
