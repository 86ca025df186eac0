"""The step `links`: from dumps and lists to one row per page, with all its submissions."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from webtext.pipeline.core.directories.lookup import Row, first_row, lookup
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import read_batches
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Fact, Outside, Planned, Sought, Step
from webtext.pipeline.links.links import fingerprint, harvest, resolve
from webtext.pipeline.links.remembered import LIBRARIES
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.urls import forgotten
from webtext.pipeline.urls.urls import shard_of

NAME = "links"
SHOWN = 10  # submissions shown to people; JSON has all

FATES = {  # in the order in which they are checked
    "links.line_too_long": "a line of more than 16 MiB; value: its bytes",
    "links.broken_line": "not JSON, or not a row of the table, or its URL has torn characters",
    "links.truncated_archive": "where a source broke off: what followed is not known",
    "links.forgotten": "left out because its owner asked for it (`webtext forget`)",
    "links.self_post": "text on Reddit itself, not a link",
    "links.no_url": "no URL, as in a comment of Hacker News",
    "links.bad_url": "no absolute URL, or no host that could be looked up",
    "links.not_http": "another scheme than http or https",
    "links.over_18": "marked as adult",
    "links.deleted": "removed by its author, a moderator or the site",
    "links.subreddit": "of an excluded subreddit",
    "links.out_of_window": "linked outside the dates wanted, or at an unknown time; value: Unix",
    "links.url_too_long": "a longer URL than allowed; value: its characters",
    "links.domain": "of an excluded domain or host",
    "links.extension": "a path that ends as no page of text does",
    "links.repeated": "the same submission, told again by another dump, or by the same one",
    "links.low_score": "the URL's merged score is too low; value: that score",
    "links.duplicate": "merged into an earlier submission of the same URL, and kept in its row",
}


def sources(recipe: Any) -> list[Path]:
    """Return the dumps and lists that a recipe names.

    Raises:
        UserError: it names none, or one that does not exist.
    """
    if not recipe.links.sources:
        raise UserError(
            "nothing to begin with: the recipe names no links.sources, no pages.warc and no "
            "documents.sources; name dumps or link lists, e.g. --set "
            "'links.sources = [\"RS_2017-*.zst\"]', or texts of your own as documents.sources"
        )
    return resolve(recipe.links.sources, Path.cwd())


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Make LINK shards from the sources."""
    (settings,) = planned.settings
    files = resolve(settings.sources, Path.cwd())
    return harvest(settings, files, planned.home, workers, progress)


def follow(sought: Sought) -> Iterator[Fact]:
    """Report who linked to it, and with what score."""
    directory = sought.made[NAME]
    if sought.id is None:  # not a URL: it is searched for as it was linked
        rows = [
            row
            for path in directory.shards("dropped")
            for batch in read_batches(path, rows=1 << 14)
            for row in batch.filter(pc.equal(batch["url"], sought.url)).to_pylist()
        ]
    elif kept := first_row(directory, sought.id, hint=shard_of(directory, sought.domain)):
        shard, place, row = kept
        told = {name: row[name] for name in ("url", "domain", "score", "submissions")}
        yield Fact(NAME, {**told, "shard": shard, "row": place}, tuple(submissions(row)))
        return
    else:
        paths = directory.shards("dropped")
        rows = [row for path in paths for _, row in lookup(path, sought.id)]
    if rows:
        yield dropped(rows, asked_for(directory.path.parent, sought.url))


def asked_for(data: Path, url: str) -> list[str]:
    """Return when and why a URL was to be forgotten, as a line; [] if it was not."""
    found = forgotten.recorded(data).find(url)
    return [f"forgotten since {found.asked[:10]}: {found.reason}"] if found else []


def dropped(rows: list[Row], why: list[str]) -> Fact:
    """Return the known facts of a URL whose submissions were all dropped; `why` comes first."""
    records = [{name: value for name, value in row.items() if name != "id"} for row in rows]
    lines = [
        f"line {record['line']:,} of {record['source']}, score {record['score']}"
        for record in records[:SHOWN]
    ]
    first = records[0]
    told = {**first, "records": records}
    if why:
        told["forgotten"] = why[0]
    return Fact(NAME, told, (*why, *lines), first["dropped_by"], first["dropped_value"])


def submissions(row: Row) -> Iterator[str]:
    """Yield a line for the score, and one for each submission."""
    given = row["submissions"] or []
    score = "no score" if row["score"] is None else f"score {row['score']:,}"
    yield f"{score}, of {len(given)} submissions" if given else score
    for one in given[:SHOWN]:
        where = f"r/{one['subreddit']}" if one["subreddit"] else one["source"]
        title = f": {one['title']}" if one["title"] else ""
        yield f"{day(one['created'])} {where}, score {one['score']}{title}"


def day(moment: datetime | None) -> str:
    """Return the day of a time.

    >>> day(datetime(2017, 12, 31, 23)), day(None)
    ('2017-12-31', 'some day')
    """
    return moment.strftime("%Y-%m-%d") if moment else "some day"


STEP = Step(
    name=NAME,
    tables={"links": Harvest},
    work=work,
    bytes_depend_on=LIBRARIES,
    fates=FATES,
    wanted=lambda recipe: (
        bool(recipe.links.sources) or not (recipe.pages.warc or recipe.documents.sources)
    ),
    outside=lambda recipe, data: Outside(
        fingerprint(sources(recipe)), forgotten=forgotten.read(data).known_by
    ),
    follow=follow,
)
