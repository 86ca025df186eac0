"""The step `pages` by crawling: fetch every link once, politely, and archive its response."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

from webtext.pipeline.archive.step import follow
from webtext.pipeline.core.directories.keeping import noted_references
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Planned, Step, changed
from webtext.pipeline.crawl.fates import BAD_URL, BLOCKED_ADDRESS, MEANING
from webtext.pipeline.crawl.frontier.held import sources
from webtext.pipeline.crawl.frontier.schema import FILES, PARTS
from webtext.pipeline.crawl.frontier.targets import between, busiest_host, politeness_bound
from webtext.pipeline.crawl.settings import Crawl

log = logging.getLogger(__name__)


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Fetch the pages of the links, or those that changed since the previous round."""
    from webtext.pipeline.crawl.engine import crawl  # with aiohttp, which no other step needs

    (settings,) = planned.settings
    links = planned.read["links"]
    found = crawl(settings, links, planned.home, workers, progress, earlier=planned.before)
    for line in chain.from_iterable(map(refused, found)):
        log.warning("%s", line)
    return found


def refused(passage: Passage) -> Iterator[str]:
    """Yield for which links a setting was in the way, and which one allows them.

    >>> [*refused(Passage("crawl", 2, 0, {BLOCKED_ADDRESS: 2}))][0][:40]
    "2 blocked_address: the host's address is"
    """
    for fate in (BAD_URL, BLOCKED_ADDRESS):
        if count := passage.dropped.get(fate):
            yield f"{count:,} {fate.partition('.')[2]}: {MEANING[fate]}"


def idle(recipe: Any) -> Iterator[str]:
    """Yield which settings speak of WARC files, where there are none."""
    if importing := changed("pages", recipe.pages):
        yield f"no effect on a crawl without pages.warc: {', '.join(importing)}"


def foretell(planned: Planned) -> str:
    """Say the minimum time of a crawl, which host decides it, and which settings are idle."""
    (settings,) = planned.settings
    said = [politeness(settings, planned.read["links"]), *planned.idle]
    if others := [] if planned.before else sources(planned.home.path, settings):
        said.insert(1, f"less where {len(others)} earlier crawls hold pages of these links")
    return "; ".join(said)


def politeness(settings: Crawl, links: Directory) -> str:
    """Say how long a crawl of these links takes because of politeness alone."""
    host, count = busiest_host(links)
    longest = timedelta.max.total_seconds() // 1
    bound = timedelta(seconds=min(round(politeness_bound(links, settings)), longest))
    return (
        f"politeness alone makes this crawl take {bound} or more: {host} has {count:,} links, "
        f"{between(settings):g} s apart"
    )


def facts(pages: Directory) -> dict[str, int]:
    """Return how many outcomes came from other crawls, if any did."""
    taken = sum(noted_references(pages.path).values())
    return {"links that earlier crawls had fetched": taken} if taken else {}


STEP = Step(
    name="pages",
    tables={"crawl": Crawl},
    work=work,
    inputs=("links",),
    optional=("commoncrawl",),  # whose pages it takes over, and does not fetch
    bytes_depend_on=(
        "ada-url",
        "aiohappyeyeballs",
        "aiohttp",
        "brotli",
        "isal",
        "msgspec",
        "numpy",
        "orjson",
        "pyarrow",
        "tldextract",
        "webencodings",
        "zstandard",
    ),
    fates=MEANING,
    archive=True,
    bookkeeping=(*FILES, PARTS),
    wanted=lambda recipe: (
        not (recipe.pages.warc or recipe.documents.sources)
        and (not recipe.commoncrawl.crawls or recipe.commoncrawl.then_crawl)
    ),
    rounds=lambda recipe: 1 + recipe.crawl.refreshes,
    idle=idle,
    foretell=foretell,
    remarks=lambda planned: planned.idle,
    follow=follow,
    facts=facts,
)
