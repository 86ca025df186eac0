"""The results when every URL is done: its outcome, an index of the WARC files, the funnel."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from webtext.pipeline.core.directories.keeping import CHANGED, set_aside
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import Directory, read_shard, replacing, write_parquet
from webtext.pipeline.core.stage import Passage, fates
from webtext.pipeline.crawl.frontier.frontier import Frontier
from webtext.pipeline.crawl.frontier.targets import stamp, surt

UNDER = "outcomes"
INDEX = "index.cdxj"


def complete(out: Directory, links: Directory, frontier: Path) -> bool:
    """Whether a crawl has written all its results, and only the manifest is missing."""
    outcomes = out.numbers(UNDER) == links.numbers()
    written = outcomes and (out.path / INDEX).exists() and not frontier.exists()
    return written and all(fits(out, links, number) for number in links.numbers())


def fits(out: Directory, links: Directory, number: int) -> bool:
    """Whether the outcomes of a shard are readable and belong to its present links."""
    try:
        made = (out.shard(number, under=UNDER), links.shard(number))
        there, wanted = (read_shard(path, ["id", "url"]) for path in made)
    except UserError:
        return False
    return bool(there.equals(wanted))


def make_room(out: Directory, links: Directory) -> None:
    """Set aside all outcomes if those of one shard are damaged or belong to other links."""
    if not all(
        number in links.numbers() and fits(out, links, number) for number in out.numbers(UNDER)
    ):
        set_aside(out.path, CHANGED, [out.path / UNDER, out.path / INDEX])


def write_all(frontier: Frontier, links: Directory, out: Directory) -> None:
    """Write the outcomes of each shard, in the order of its links, and the index."""
    (out.path / UNDER).mkdir(exist_ok=True)
    for number in links.numbers():
        path = out.shard(number, under=UNDER)
        if not path.exists():
            write_parquet(path, frontier.outcomes(number), OUTCOME)
    with (
        replacing(out.path / INDEX) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(index(frontier))


def index(frontier: Frontier) -> Iterator[str]:
    """Yield the lines of a CDXJ index: every response record, by URL and time."""
    encoder = json.JSONEncoder(ensure_ascii=False)
    found = archived(frontier)
    for url, started, content_type, status, digest, file, offset, length, revisit in found:
        mime = (content_type or "unk").partition(";")[0].strip().lower()
        fields = {
            "url": url,
            "mime": "warc/revisit" if revisit else mime,
            "status": str(status),
            "digest": digest,
            "length": str(length),
            "offset": str(offset),
            "filename": file,
        }
        yield f"{surt(url)} {stamp(started)} {encoder.encode(fields)}\n"


def passage(out: Directory) -> Passage:
    """Return the crawl's line of the funnel, counted from the files."""
    counts = fates(out.shards(UNDER))
    kept = counts.pop("kept", 0)
    return Passage("crawl", kept + sum(counts.values()), kept, counts)


def archived(frontier: Frontier) -> Iterator[tuple[Any, ...]]:
    """Yield each response's URL, time, type, status, digest, file, offset, length, revisit."""
    frontier.db.create_function("surt", 1, surt, deterministic=True)
    batches = frontier.read(
        "SELECT coalesce(final_url, url) AS found, started, content_type, status, digest,"
        " warc_file, warc_offset, warc_length, revisit FROM outcome JOIN link USING (key)"
        " WHERE warc_file IS NOT NULL ORDER BY surt(found), started, warc_file, warc_offset"
    )
    return chain.from_iterable(batches)
