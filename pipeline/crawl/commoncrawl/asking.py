"""Which record every link takes: the index asked for all links together, redirects round by round.

The answers of each round are a file, so a round that was asked is not asked again. Memory holds
the links, their keys and the captures of one round's pages.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ada_url
import pyarrow as pa

from webtext.pipeline.archive.payload import address
from webtext.pipeline.archive.warc import response_at
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, read_batches, write_parquet
from webtext.pipeline.crawl.commoncrawl import cdx, columnar
from webtext.pipeline.crawl.commoncrawl.askers import Alone
from webtext.pipeline.crawl.commoncrawl.captures import (
    CAPTURE,
    REDIRECTS,
    UNDER,
    WITHHELD,
    Capture,
    keys,
    leads_to,
    nearest,
    page_of,
)
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.commoncrawl.taken import Taken
from webtext.pipeline.links.wanted import Wanted, wanted
from webtext.pipeline.urls.forgotten import NOTHING, Forgotten

log = logging.getLogger(__name__)

ROWS = 8192


@dataclass(slots=True)
class Trip:
    """A link on its way through the index."""

    link: Wanted
    shard: int
    page: str  # the id of the page that is asked for: the link's, then that of a redirect's target
    url: str  # as it is asked for
    redirects: list[str] = field(default_factory=list)  # the URLs that answered with a redirect
    seen: set[str] = field(default_factory=set)  # the pages that were asked for before
    capture: Capture | None = None
    arrived: bool = False  # whether it goes no further
    withheld: bool = False  # whether it leads to what is left out on request


def trips(links: Directory) -> list[Trip]:
    """Return all links, at their beginning, in the order of their shards."""
    return [
        Trip(link, number, link.id, link.url)
        for number in links.numbers()
        for batch in wanted(links.shard(number))
        for link in batch
    ]


def follow(
    settings: CommonCrawl,
    most: int,
    asker: Alone,
    links: list[Trip],
    taken: Taken,
    progress: Progress,
    forgotten: Forgotten = NOTHING,
) -> None:
    """Give every link the capture at which its way ends, after at most `most` redirects.

    What is `forgotten` is not asked for, and what leads there is neither kept nor written down.

    Raises:
        UserError: the index cannot be read, or its server refuses.
    """
    home = taken.home / UNDER

    def refused(capture: Capture, target: str | None) -> bool:
        return capture.status in REDIRECTS and leads_to(capture.url, target, forgotten)

    for turn in range(most + 1):
        going = [trip for trip in links if not trip.arrived]
        if not going:
            break
        progress(0, len(going), f"redirects followed: {turn}" if turn else "asking the index")
        path = home / f"{turn:05d}.parquet"
        if not path.exists():
            write_parquet(path, answers(settings, asker, going, forgotten), CAPTURE)
        found: dict[str, list[Capture]] = defaultdict(list)
        for batch in read_batches(path, rows=ROWS):
            for row in batch.to_pylist():
                found[row["id"]].append(Capture(**row))
        for trip in going:
            trip.capture = nearest(found.get(trip.page, ()), trip.link.linked)
            trip.arrived = trip.capture is None or trip.capture.status not in REDIRECTS
        redirected = [trip for trip in going if not trip.arrived]
        unsaid = [
            (trip.shard, one) for trip in redirected if (one := trip.capture) and not one.redirect
        ]
        taken.take(asker, unsaid, settings.gap, progress, refused)
        for trip in redirected:
            place = trip.capture and (trip.capture.file, trip.capture.offset)
            trip.withheld = place in taken.withheld or _target(trip) == WITHHELD
            trip.arrived = trip.withheld
            if turn < most and not trip.withheld:
                _go_on(trip, taken, forgotten)


def answers(
    settings: CommonCrawl, asker: Alone, going: list[Trip], forgotten: Forgotten = NOTHING
) -> Iterator[pa.RecordBatch]:
    """Yield the captures of the pages that are asked for, of all crawls."""
    pages = {trip.page for trip in going}
    asked = sorted({key.encode() for trip in going for key in keys(trip.url)})
    for crawl in settings.crawls:
        if settings.index == "cdx":
            found = cdx.captures(asker, crawl, asked, settings.gap)
        else:
            found = columnar.captures(asker.store, crawl, asked)
        rows: list[dict[str, object]] = []
        for capture in found:
            if capture.id in pages and not forgotten(capture.url):
                if leads_to(capture.url, capture.redirect, forgotten):
                    capture = capture._replace(redirect=WITHHELD)  # noqa: PLW2901
                rows.append(capture._asdict())
            if len(rows) == ROWS:
                yield pa.RecordBatch.from_pylist(rows, CAPTURE)
                rows = []
        yield pa.RecordBatch.from_pylist(rows, CAPTURE)


def _target(trip: Trip) -> str | None:
    return trip.capture.redirect if trip.capture else None


def _go_on(trip: Trip, taken: Taken, forgotten: Forgotten) -> None:
    """Turn to the page that a redirect leads to; it stays where that is none, or known."""
    assert trip.capture is not None, "it was redirected by one"
    target = trip.capture.redirect or _location(trip.capture, taken)
    trip.arrived = True
    if not target:
        return
    try:
        url = ada_url.join_url(trip.capture.url, target).partition("#")[0]  # no index has it
    except ValueError:
        return
    if forgotten(url):  # a record that was taken before it was to be forgotten
        trip.withheld = True
        return
    page = page_of(url)
    trip.seen.add(trip.page)
    if page is None or page in trip.seen:
        return
    trip.redirects.append(trip.capture.url)
    trip.page, trip.url = page, url
    trip.capture, trip.arrived = None, False


def _location(capture: Capture, taken: Taken) -> str | None:
    """Return the target that the record of a redirect names."""
    place = taken.places.get((capture.file, capture.offset))
    if place is None:
        return None
    path = taken.home / place.file
    try:
        with path.open("rb") as raw:
            found = response_at(raw, path, place.offset, place.length)
    except UserError as error:
        log.warning("%s", error)
        return None
    return address(found.head, "location")


def paths(home: Path) -> list[Path]:
    """Return the files with the answers of the index, a round each."""
    return sorted((home / UNDER).glob("*.parquet"))
