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
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq

from pipeline import merge, pool
from pipeline.errors import UserError
from pipeline.progress import Progress, silent
from pipeline.shards import Directory, write_json
from pipeline.spill import spill
from pipeline.stage import Passage, fates

EDGE = 1 << 20  # bytes of each end of a source that its fingerprint reads
LISTS = ("domains", "extensions", "subreddits")
MERGES = ("max", "sum", "each")


@dataclass(frozen=True)
class Harvest:
    """Which links are taken from which dumps, and how the votes of several submissions count.

    `merge` says what the score of a URL is that was submitted more than once:

    - `max`: its best submission's. Somebody's readers found it worth three votes.
    - `sum`: the sum, negative ones included, as OpenWebText2 has it. Often posted counts like
      well liked, so it lets in what many people posted and few liked.
    - `each`: every submission must reach the score alone, as in OpenWebText; those that do not are
      dropped, and the best of the others counts.

    A score means what the dump's makers saw: in months up to 2023-10 the score some days or weeks
    after the submission, from 2023-11 on that of a second look 36 hours after it. So one threshold
    is a little stricter in later months. A score that is not known counts as 0, as OpenWebText2 has
    it; a link from a list without scores is vouched for by the list, and passes, as it does the
    window of time.

    Source: 3 votes, from "Language Models are Unsupervised Multitask Learners", section 2.1
    (WebText); its list of subreddits was not published, so ours stands in.
    """

    sources: tuple[str, ...] = field(default=(), metadata={"machine": True})  # paths or globs
    min_score: int = 3
    merge: str = "max"  # or "sum", "each"
    after: date | None = None  # the first day wanted, UTC
    before: date | None = None  # the first day no longer wanted, UTC
    keep_nsfw: bool = False
    keep_deleted: bool = False
    exclude_domains: tuple[str, ...] = ()  # registrable domains or hosts, and all names under them
    exclude_subreddits: tuple[str, ...] = ()
    lists: tuple[str, ...] = LISTS  # files of pipeline/data that exclude as well
    max_url_length: int = 2083  # characters. Source: Internet Explorer's limit, as crawlers use it
    shards: int = 16  # about one a 50,000 links wanted; a shard is merged in memory

    name: ClassVar[str] = "links"
    version: ClassVar[int] = 1  # raised too when a file of pipeline/data changes

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one of them makes no sense.
        """
        if self.merge not in MERGES:
            raise UserError(f"links.merge = {self.merge!r}: wanted one of {', '.join(MERGES)}")
        if unknown := set(self.lists) - set(LISTS):
            raise UserError(f"links.lists has {sorted(unknown)}: wanted some of {', '.join(LISTS)}")
        if self.after and self.before and self.after >= self.before:
            raise UserError(
                f"links.after = {self.after} and links.before = {self.before} leave no day between"
            )
        for name, least in (("shards", 1), ("max_url_length", 20)):
            if getattr(self, name) < least:
                raise UserError(f"links.{name} = {getattr(self, name)}: wanted {least} or more")

    def window(self) -> tuple[int | None, int | None]:
        """Return the first second wanted and the first no longer wanted, as Unix time."""
        return _midnight(self.after), _midnight(self.before)


def _midnight(day: date | None) -> int | None:
    return None if day is None else int(datetime.combine(day, time(), UTC).timestamp())


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
        with pq.ParquetFile(path) as file:
            kept += file.metadata.num_rows
            for batch in file.iter_batches(columns=["submissions"]):
                submissions += len(batch["submissions"].flatten())
    dropped = fates(out.shards("dropped"))
    if submissions > kept:
        dropped["links.duplicate"] = submissions - kept
    ordered = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
    return Passage("links", read, kept, ordered)


def resolve(patterns: Sequence[str], base: Path) -> list[Path]:
    """Return the files that paths or globs name, relative to `base`, each once and sorted.

    Raises:
        UserError: there are no patterns, or one that names no file.
    """
    if not patterns:
        raise UserError("links.sources is empty; name the dumps or lists of links to harvest")
    found: set[Path] = set()
    for pattern in patterns:
        whole = str(base / Path(pattern).expanduser())
        names = glob(whole, recursive=True)  # noqa: PTH207 -- Path.glob takes no absolute pattern
        files = {path for name in (*names, whole) if (path := Path(name)).is_file()}
        if not files:
            raise UserError(f"links.sources: no file matches {pattern!r} (looked in {base})")
        found |= files
    return sorted(found, key=lambda path: (path.name, str(path)))


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
