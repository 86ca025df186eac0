"""Harvest: from dumps and lists to one row per page, with all submissions that link to it.

A map and a reduce. The map reads each source once, applies the rules for single submissions, and
spills its rows by shard (`spill.py`); spills are remembered, so a later harvest of these sources
and others reads only the others (`remembered.py`). The reduce takes one shard at a time, merges the
submissions of each URL key, and checks the score. The output bytes do not depend on the number of
workers.

Fates, as `links.<reason>`, in the order in which they are checked:

    line_too_long      a line of more than 16 MiB (value: its bytes)
    broken_line        not JSON, or not a row of the table, or its URL has damaged characters
    truncated_archive  one row per source: where the archive ends early; the rest is not known
    forgotten          its owner asked for that; such a row has no URL
    self_post          text on Reddit itself, not a link
    no_url             no URL, as in a Hacker News comment
    bad_url            not an absolute URL, or not a host that could be looked up
    not_http           another scheme
    over_18            marked as adult
    deleted            removed by its author, a moderator or the site
    subreddit          of an excluded subreddit
    out_of_window      linked before or after the wanted dates, or at an unknown time (value: Unix)
    url_too_long       (value: characters)
    domain             of an excluded domain or host
    extension          a path with an ending that text pages do not have
    repeated           the same submission again, from another dump (or the same one)
    low_score          of a URL whose merged score is too low (value: that score)
    duplicate          merged into an earlier submission of the same URL, and kept in its row; so
                       these are not in the files of dropped rows

A URL with dropped and with kept submissions is kept, with only the kept ones.
"""

import json
from collections.abc import Sequence
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from webtext.pipeline.core import pool
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, parquet, write_json
from webtext.pipeline.core.stage import Passage, fates
from webtext.pipeline.core.stores.store_addresses import is_address
from webtext.pipeline.core.stores.stored_files import matching
from webtext.pipeline.core.visible import as_text
from webtext.pipeline.links import merge, remembered
from webtext.pipeline.links.remembered import place
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.links.spill import spill
from webtext.pipeline.urls.forgotten import read as read_forgotten

# The Parquet column of the submissions' ids, after the columns of a link.
SUBMISSIONS = LINK.get_field_index("submissions")


def harvest(
    settings: Harvest,
    sources: Sequence[Path],
    out: Directory,
    workers: Workers = 1,
    progress: Progress = silent,
) -> list[Passage]:
    """Make LINK shards of the sources; return the funnel, counted from the files.

    If it is called again after a kill, it continues with the unfinished sources and shards.

    Raises:
        UserError: a table has no column of URLs.
        PipelineError: lines were lost or added.
    """
    ledger = out.path / "sources.json"
    begun = json.loads(ledger.read_text()) if ledger.exists() else None
    forgotten = read_forgotten(out.path.parent)
    if begun is None or waiting(out, shards_of(begun, settings)):
        places = [place(settings, out.path, n, path) for n, path in enumerate(sources)]
        items = dict(zip(places, sources, strict=True))  # copies of a source have one place
        total = sum(path.stat().st_size for path in items.values())
        work = partial(spill, settings, forgotten=forgotten)
        counts = pool.each(work, [*items.items()], workers, progress, total)
        lines = dict(zip(items, counts, strict=True))
        read = [(path.name, each) for path, each in zip(sources, places, strict=True)]
        told: list[dict[str, Any]] = [
            {"source": name, "records": lines[each]} for name, each in read
        ]
        shards = shards_of(begun, settings) if begun else enough(told, settings)
        if shards < settings.shards:
            told = [{**row, "shards": shards} for row in told]
        write_json(ledger, told)
        rows = [(name, each.rows) for name, each in read]
        reduce = partial(merge.merge, settings, out, rows, shards, forgotten=forgotten)
        pool.each(reduce, waiting(out, shards), workers, progress)
    passage = count(out, sum(row["records"] for row in json.loads(ledger.read_text())))
    merge.clear(out)
    return [passage]


def enough(ledger: Sequence[dict[str, Any]], settings: Harvest) -> int:
    """Return how many shards the records of a ledger are worth: no more than the settings ask for.

    It is a divisor of their number, so that a shard is made of whole ones of the spills, and a
    site's is found by the same hash.
    """
    read = sum(row["records"] for row in ledger)
    most, each = settings.shards, settings.shard_records
    return next(n for n in range(1, most + 1) if most % n == 0 and (n * each >= read or n == most))


def shards_of(ledger: Sequence[dict[str, Any]], settings: Harvest) -> int:
    """Return how many shards a harvest that has begun makes."""
    return next((row["shards"] for row in ledger if "shards" in row), settings.shards)


def waiting(out: Directory, shards: int) -> list[int]:
    """Return the numbers of the shards that are not made yet."""
    return [number for number in range(shards) if not out.shard(number).exists()]


def count(out: Directory, read: int) -> Passage:
    """Return the funnel of a harvest of `read` records, from its files alone.

    Raises:
        PipelineError: its numbers do not add up.
    """
    kept, submissions = 0, 0
    for path in out.shards():
        with parquet(path) as file:
            told = file.metadata
            kept += told.num_rows
            for group in map(told.row_group, range(told.num_row_groups)):
                submissions += group.column(SUBMISSIONS).num_values  # each link has at least one
    dropped = fates(out.shards("dropped"))
    if submissions > kept:
        dropped["links.duplicate"] = submissions - kept
    ordered = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
    return Passage("links", read, kept, ordered)


def resolve(patterns: Sequence[str], base: Path, setting: str = "links.sources") -> list[Path]:
    """Return the files that paths or globs name, relative to `base`, each once and sorted.

    A pattern may be an address in a store, such as s3://dumps/RS_2016-*.zst.

    `setting` is where the patterns come from, for the messages.

    Raises:
        UserError: there are no patterns, or one that names no file.
    """
    if not patterns:
        raise UserError(f"{setting} is empty; name the files to read")
    found: set[Path] = set()
    for pattern in patterns:
        if is_address(pattern):
            stored = set(matching(pattern))
            if not stored:
                raise UserError(f"{setting}: no file matches {pattern!r}")
            found |= stored
            continue
        named = Path(pattern).expanduser()
        # Path.glob takes no absolute pattern. The names of base's own folders are no patterns.
        names = glob(str(named), root_dir=base, recursive=True)  # noqa: PTH207
        files = {path for name in (*names, str(named)) if (path := base / name).is_file()}
        if not files:
            raise UserError(f"{setting}: {_no_file(pattern, base / named, base)}")
        found |= files
    return sorted(found, key=lambda path: (path.name, str(path)))


def _no_file(pattern: str, path: Path, base: Path) -> str:
    """Say what was found instead of a file, and what to do."""
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
    """Return a fingerprint of these files, for a digest, without reading them completely.

    Raises:
        UserError: a name is no UTF-8, so no table or manifest can hold it.
    """
    for path in sources:
        if (name := as_text(str(path))) != str(path):
            raise UserError(f"{name}: this name is no UTF-8; give the file or folder another one")
    return [remembered.fingerprint(path) for path in sources]
