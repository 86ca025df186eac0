"""The step `pages` out of Common Crawl: every link's record by its address, archived anew."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pyarrow as pa

from webtext.pipeline.archive import sniff
from webtext.pipeline.archive.step import follow as trace
from webtext.pipeline.archive.warc import Response, response_at
from webtext.pipeline.archive.warc_import import ImportWarc
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.core.stage import Passage, fates
from webtext.pipeline.core.step import Planned, Step, changed
from webtext.pipeline.crawl.commoncrawl.captures import REDIRECTS, UNDER, page_of
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.http.messages import Head
from webtext.pipeline.crawl.policy import optout
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.links.wanted import Wanted
from webtext.pipeline.urls.forgotten import read as read_forgotten

if TYPE_CHECKING:  # with aiohttp, which no step but a crawl needs
    from webtext.pipeline.crawl.commoncrawl.asking import Trip
    from webtext.pipeline.crawl.commoncrawl.taken import Taken

log = logging.getLogger(__name__)

NAME = "commoncrawl"
ROWS = 256  # outcomes written at a time

NOT_FOUND: Final = "commoncrawl.not_found"
REDIRECT_LOST: Final = "commoncrawl.redirect_lost"
REDIRECT_LIMIT: Final = "commoncrawl.redirect_limit"
HTTP_STATUS: Final = "commoncrawl.http_status"
NOT_HTML: Final = "commoncrawl.not_html"
NO_RECORD: Final = "commoncrawl.no_record"
OPTED_OUT: Final = "commoncrawl.opted_out"
FORGOTTEN: Final = "commoncrawl.forgotten"

REASONS: Final[dict[str, str]] = {
    NOT_FOUND: "none of the crawls has the link's page",
    REDIRECT_LOST: "it was redirected to a page that none of the crawls has; value: the status",
    REDIRECT_LIMIT: "more redirects than allowed; value: their number",
    HTTP_STATUS: "no capture with status 200; value: the status of the one nearest to the link",
    NOT_HTML: "not one of the content types asked for, by the index or by its first bytes",
    NO_RECORD: "the index names a record that is not there, or not this page's",
    "commoncrawl.not_http": "the record holds no HTTP response",
    "commoncrawl.bad_encoding": "the body's transfer or content encoding cannot be undone",
    "commoncrawl.too_large": "the body is longer than allowed; value: the most allowed, in bytes",
    "commoncrawl.empty": "status 200 without a body",
    OPTED_OUT: "the page reserves its use for training",
    FORGOTTEN: "it leads to what is left out because its owner asked for it (`webtext forget`)",
}
"""Every way in which a link can end here, other than in a page."""


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Find the record of every link, fetch those that are pages, and write the outcomes."""
    settings, crawl = planned.settings
    return take(settings, crawl, planned.read["links"], planned.home, progress, workers)


def take(
    settings: CommonCrawl,
    crawl: Crawl,
    links: Directory,
    out: Directory,
    progress: Progress,
    workers: Workers = 1,
) -> list[Passage]:
    """Make a pages directory from what Common Crawl has of the links.

    One process keeps the rate, as it waits for a server, not for cores; where `workers` is a
    runner, its workers ask, each with its share of the rate.

    If it is called again after it was stopped or killed, it goes on: no answer of the index and no
    record that was written is asked for again.

    Raises:
        UserError: no such crawl, a damaged index, a server that refuses.
    """
    from webtext.pipeline.crawl.commoncrawl import asking
    from webtext.pipeline.crawl.commoncrawl.askers import askers
    from webtext.pipeline.crawl.commoncrawl.taken import Taken

    if out.numbers("outcomes") != links.numbers():
        taken = Taken(out.path)
        every = asking.trips(links)
        forgotten = read_forgotten(out.path.parent)
        with askers(settings, crawl, workers) as found:
            asking.follow(settings, crawl.max_redirects, found, every, taken, progress, forgotten)
            pages = [(trip.shard, one) for trip in every if (one := _page(trip, crawl))]
            taken.take(found, pages, settings.gap, progress)
            log.info("%s: %d requests, %d bytes read", out, found.requests, found.bytes)
        for number in links.numbers():
            ours = [trip for trip in every if trip.shard == number]
            path = out.shard(number, under="outcomes")
            write_parquet(path, _outcomes(ours, crawl, taken), OUTCOME)
    return [passage(out)]


def passage(out: Directory) -> Passage:
    """Return the line of the funnel, counted from the files."""
    counts = fates(out.shards("outcomes"))
    kept = counts.pop("kept", 0)
    return Passage(NAME, kept + sum(counts.values()), kept, counts)


def _page(trip: "Trip", crawl: Crawl) -> Any:
    """Return the capture at which a link's way ended, if it may be a page; else None."""
    one = trip.capture
    if one is None or one.status != 200 or sniff.hopeless(one.mime, crawl.content_types):
        return None
    return one


def _outcomes(ours: "list[Trip]", crawl: Crawl, taken: "Taken") -> Iterator[pa.RecordBatch]:
    limits = ImportWarc(content_types=crawl.content_types, max_body=crawl.max_body)
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for start in range(0, len(ours), ROWS):
            rows = []
            for trip in ours[start : start + ROWS]:
                place = trip.capture and taken.places.get((trip.capture.file, trip.capture.offset))
                found: Response | None = None
                if place and trip.capture and trip.capture.status == 200:
                    path = taken.home / place.file
                    if place.file not in files:
                        files[place.file] = stack.enter_context(path.open("rb"))
                    try:
                        found = response_at(
                            files[place.file], path, place.offset, place.length, limits.max_body
                        )
                    except UserError as error:
                        log.warning("%s", error)
                row = _known(trip)
                if found is not None:
                    row |= _record(found, place.file if place else "")
                row["signals"], why, value = _fate(trip, found, limits, crawl)
                rows.append(row | {"dropped_by": why, "dropped_value": value})
            yield pa.RecordBatch.from_pylist(rows, OUTCOME)


def _known(trip: "Trip") -> dict[str, Any]:
    """Return what a link and its capture in the index say."""
    link: Wanted = trip.link
    row = link._asdict() | {"redirects": trip.redirects, "final_url": trip.url}
    if (one := trip.capture) is not None:
        row |= {
            "final_url": one.url,
            "status": one.status,
            "content_type": one.mime,
            "started": one.time,
        }
    return row


def _record(found: Response, file: str) -> dict[str, Any]:
    """Return what a record says of itself."""
    return {
        "final_url": found.url,
        "status": found.status,
        "content_type": found.content_type,
        "ip": found.ip,
        "started": found.date,
        "body_bytes": len(found.body),
        "truncated": found.truncated,
        "digest": found.digest,
        "warc_file": file,
        "warc_offset": found.offset,
        "warc_length": found.length,
    }


Fate = tuple[list[str], str | None, float | None]


def _fate(trip: "Trip", found: Response | None, limits: ImportWarc, crawl: Crawl) -> Fate:
    """Return the signals of a page, why it is not kept, and the measure; None if it is kept."""
    one = trip.capture
    if trip.withheld:
        return [], FORGOTTEN, None
    if one is None:
        return [], REDIRECT_LOST if trip.redirects else NOT_FOUND, None
    if one.status in REDIRECTS:
        beyond = len(trip.redirects) >= crawl.max_redirects
        return [], *(
            (REDIRECT_LIMIT, len(trip.redirects) + 1) if beyond else (REDIRECT_LOST, one.status)
        )
    if one.status != 200:
        return [], HTTP_STATUS, one.status
    if _page(trip, crawl) is None:
        return [], NOT_HTML, None
    if found is None or page_of(found.url) != one.id:
        return [], NO_RECORD, None
    why, value = limits.fate(found)
    if why is not None:
        return [], f"{NAME}.{why.partition('.')[2]}", value
    signals = _signals(found, crawl.product)
    if crawl.enforce_opt_out and any(signal.reserves for signal in signals):
        return [signal.text for signal in signals], OPTED_OUT, None
    return [signal.text for signal in signals], None, None


def _signals(found: Response, product: str) -> tuple[optout.Signal, ...]:
    status = found.status or 0
    head = Head.of(status, [(name, value) for name, value in found.headers() if name.isascii()])
    return (*optout.in_headers(head, product), *optout.in_markup(found.body, product))


def check(recipe: Any) -> None:
    """Refuse a recipe that names two places of its pages.

    Raises:
        UserError: it names WARC files or own texts too.
    """
    others = {"pages.warc": recipe.pages.warc, "documents.sources": recipe.documents.sources}
    if recipe.commoncrawl.crawls and (both := [name for name, value in others.items() if value]):
        raise UserError(
            f"commoncrawl.crawls and {both[0]} are both named; a build has its pages from one of "
            "them: make two builds, and the second with duplicates.against the first"
        )


def idle(recipe: Any) -> Iterator[str]:
    """Yield which settings speak of WARC files, where there are none."""
    if importing := changed("pages", recipe.pages):
        yield f"no effect on pages from Common Crawl: {', '.join(importing)}"


def asked(recipe: Any) -> bool:
    """Whether pages of this recipe come from Common Crawl, all or the first of them."""
    elsewhere = recipe.pages.warc or recipe.documents.sources
    return bool(recipe.commoncrawl.crawls) and not elsewhere


STEP = Step(
    name="pages",
    tables={NAME: CommonCrawl},
    work=work,
    inputs=("links",),
    bytes_depend_on=(
        "ada-url",
        "aiohappyeyeballs",
        "aiohttp",
        "brotli",
        "isal",
        "msgspec",
        "numpy",
        "pyarrow",
        "tldextract",
        "webencodings",
        "zstandard",
    ),
    fates=REASONS,
    archive=True,
    bookkeeping=("outcomes", UNDER),
    wanted=lambda recipe: asked(recipe) and not recipe.commoncrawl.then_crawl,
    stages=lambda recipe: (recipe.commoncrawl, recipe.crawl),
    check=check,
    idle=idle,
    foretell=lambda planned: "; ".join(planned.idle),
    remarks=lambda planned: planned.idle,
    follow=trace,
)

# What a crawl takes over: it decides no row, for the crawl has a fate for every link.
FIRST = replace(
    STEP,
    tables={},
    makes=NAME,
    in_funnel=False,
    wanted=lambda recipe: asked(recipe) and recipe.commoncrawl.then_crawl,
)
