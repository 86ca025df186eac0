"""The step `pages` from other crawlers' WARC files; and the trace of one fetched page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webtext.pipeline.archive.path_lists import is_list, listed
from webtext.pipeline.archive.warc_import import REASONS, ImportWarc, import_warc
from webtext.pipeline.core.directories.lookup import Row, first_row
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Fact, Outside, Planned, Sought, Step, changed
from webtext.pipeline.links.links import fingerprint, resolve
from webtext.pipeline.links.step import day
from webtext.pipeline.urls import forgotten
from webtext.pipeline.urls.urls import shard_of

NAME = "pages"
# Settings of links that a page in a WARC file cannot meet or fail.
OF_LINKS = (
    *("min_score", "merge", "after", "before"),
    *("keep_nsfw", "keep_deleted", "exclude_subreddits"),
)


def files(settings: ImportWarc) -> list[Path]:
    """Return the WARC files that a recipe names, itself or by lists such as `warc.paths.gz`.

    Raises:
        UserError: one does not exist, or a list names none.
    """
    named = resolve(settings.warc, Path.cwd(), "pages.warc") if settings.warc else []
    return [file for path in named for file in (listed(path) if is_list(path) else [path])]


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Make outcomes from the records of WARC files."""
    settings, *exclusions = planned.settings
    links = planned.read.get("links")
    sources = files(settings)
    return import_warc(settings, sources, links, planned.home, workers, progress, *exclusions)


def in_force(recipe: Any) -> tuple[Any, ...]:
    """Return the import's settings, and without links what these would have been chosen by."""
    return (recipe.pages,) if recipe.links.sources else (recipe.pages, recipe.links.exclusions())


def idle(recipe: Any) -> Iterator[str]:
    """Yield which settings say nothing about WARC files."""
    if crawling := changed("crawl", recipe.crawl):
        yield f"no effect on pages from WARC files, which nobody fetches: {', '.join(crawling)}"
    if not recipe.links.sources and (choosing := changed("links", recipe.links, OF_LINKS)):
        yield (
            f"no effect without links.sources, as WARC files do not say who linked to a page: "
            f"{', '.join(choosing)}"
        )


def outside(recipe: Any, data: Path) -> Outside:
    """Return a fingerprint of the WARC files."""
    return Outside(fingerprint(files(recipe.pages)), forgotten=forgotten.read(data).known_by)


def follow(sought: Sought) -> Iterator[Fact]:
    """Report how the fetch ended, or which record of a WARC file the page was."""
    if sought.id is None:
        return
    hint = shard_of(sought.made[NAME], sought.domain, "outcomes")
    if outcome := first_row(sought.made[NAME], sought.id, "outcomes", hint):
        shard, _, row = outcome
        told = {name: value for name, value in row.items() if name not in {"id", "domain"}}
        lines = tuple(fetched(row))
        stage = stage_of(sought.made[NAME], row["dropped_by"])
        yield Fact(stage, {**told, "shard": shard}, lines, row["dropped_by"], row["dropped_value"])


def stage_of(pages: Directory, fate: str | None) -> str:
    """Return the name that the funnel has for what became of a page here: `crawl`, `pages`, ..."""
    if fate is not None:
        return fate.partition(".")[0]
    passages = pages.manifest()["passages"]
    return str(passages[-1]["stage"])


def fetched(row: Row) -> Iterator[str]:
    """Yield lines that report how the fetch ended."""
    if row["status"] is not None:
        size = f"{row['body_bytes'] or 0:,} bytes"
        yield f"status {row['status']}, {row['content_type'] or 'no type'}, {size}"
    yield from (f"redirected to {hop}" for hop in [*(row["redirects"] or []), row["final_url"]][1:])
    if row["started"]:
        tries = f", attempt {row['attempts']}" if row["attempts"] else ""
        yield f"on {day(row['started'])}{tries}"
    if row["robots"]:
        yield f"robots: {row['robots']}"
    if row["warc_file"]:
        file = row["warc_file"]
        whose = ", which an earlier crawl fetched" if file.startswith("../") else ""
        at = row["warc_offset"]  # none in a file that is compressed as a whole
        place = "" if at is None else f" at byte {at}"
        yield f"{file.removeprefix('../')}{place}{whose}"
    if row.get("revisit"):
        yield f"unchanged since {row['payload_file']}"


STEP = Step(
    name=NAME,
    tables={"pages": ImportWarc},
    work=work,
    optional=("links",),
    bytes_depend_on=(
        "ada-url",
        "brotli",
        "msgspec",
        "numpy",
        "pyarrow",
        "tldextract",
        "webencodings",
        "zstandard",
    ),
    fates=REASONS,
    wanted=lambda recipe: bool(recipe.pages.warc),
    stages=in_force,
    outside=outside,
    idle=idle,
    foretell=lambda planned: "; ".join(planned.idle),
    remarks=lambda planned: planned.idle,
    follow=follow,
)
