# ruff: noqa: S608 - the statements are put together from constants, and nothing else
"""One crawl divided among the workers of a runner: each part is a task, and asks hosts of its own.

    frontier ──pending──> parts, a frontier each ──outcomes──> frontier
                              └──WARC files──> the pages directory

What is pending is dealt out by registrable domain. A part is a crawl like any other: it writes its
WARC files beside all others, under names that have its number, and acknowledges what is on disk.
So a part whose worker is lost is taken up by another from there, and once all are done the rows of
their frontiers are put into the one of the whole crawl. Redirects to hosts of other parts have no
outcome yet: the crawl itself follows them afterwards.
"""

import logging
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from webtext.pipeline.core.pool import Runner, tick
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.around_loop import collecting_seldom, opened, room_needed
from webtext.pipeline.crawl.division import slices
from webtext.pipeline.crawl.division.dealing import (
    LOOK_SECONDS,
    Portion,
    begin,
    deal,
    rest,
)
from webtext.pipeline.crawl.fetches import MakeFetcher
from webtext.pipeline.crawl.frontier import recovery, schema
from webtext.pipeline.crawl.frontier.frontier import DamagedError, Frontier, LockedError
from webtext.pipeline.crawl.frontier.rows import DONE, FOUND, PARKED
from webtext.pipeline.crawl.http.loop import Loop
from webtext.pipeline.crawl.meter import PartMeter, line
from webtext.pipeline.crawl.settings import MOST_PARTS, Crawl
from webtext.pipeline.crawl.sink import Sink

log = logging.getLogger(__name__)

LOCKED_SECONDS = 60.0  # for a worker that was believed to be lost to find out that it is


def crawl(
    settings: Crawl,
    frontier: Frontier,
    out: Directory,
    runner: Runner,
    progress: Progress,
    fetcher: MakeFetcher,
) -> None:
    """Let the workers of a runner fetch what is pending, and put down its outcomes.

    What is pending afterwards was redirected to a host of another part.

    Raises:
        UserError: a worker cannot write, or another crawl is at work in the directory.
        PipelineError: a part killed its worker twice without getting on.
    """
    asked = removed(out.path)
    every, before = frontier.total(), frontier.tally().total()
    if every == before or settings.part:
        return
    parts = settings.parts or min(max(runner.size, 1), MOST_PARTS)
    going = deal(frontier, out.path, parts, asked, not runner.shares)

    told = before

    def show(done: int, total: int | None, note: str = "") -> None:
        nonlocal told  # what a lost worker told is not known until the next one tells it
        told = min(every, max(told, before + done))
        progress(told, every if total else None, f"{parts} parts: {note}" if note else "")

    if runner.shares:
        work = partial(crawl_part, settings, fetcher)
        runner.each(work, going, show, every - before, lasting=line)
    else:
        ended: list[Path] = []
        sliced = partial(slices.crawl_slice, settings, fetcher, slices.SECONDS)
        while going:
            links = sum(portion.links for portion in going)
            found = runner.each(sliced, going, show, links, lasting=line)
            now = [
                slices.mended(settings, portion) if one.damaged else slices.taken(portion, one)
                for portion, one in zip(going, found, strict=True)
            ]
            going = []
            for portion, one in zip(now, found, strict=True):
                if one.done:
                    before += portion.links
                    ended.append(slices.frontier_of(portion))
                else:
                    going.append(portion)
        for path in ended:
            _joined(frontier, path, settings)
    join(frontier, out.path, settings)
    recovery.take_up(frontier, out.path)  # of a part whose frontier was damaged
    removed(out.path)
    if frontier.tally().total() < every:
        rest(settings, strictly=True)


def join(frontier: Frontier, home: Path, settings: Crawl) -> None:
    """Put the outcomes of all parts into the frontier of the whole crawl.

    The parts stay until `removed`: that they are there says that hosts were asked just now.

    Raises:
        UserError: one of them is still at work.
    """
    slices.left(home)
    if recovery.taken_up(frontier):  # else all WARC files are read anyway
        for path in sorted((home / schema.PARTS).glob(f"*/{schema.NAME}")):
            _joined(frontier, path, settings)


def removed(home: Path) -> bool:
    """Remove the parts, whose outcomes are joined; tell whether there were any."""
    there = (home / schema.PARTS).exists()
    shutil.rmtree(home / schema.PARTS, ignore_errors=True)
    return there


def _joined(frontier: Frontier, path: Path, settings: Crawl) -> None:
    """Put the outcomes of a part, whose frontier is at `path`, into that of the whole crawl."""
    try:
        part = claimed(path, settings)
        try:
            _put_down(frontier, part)
        finally:
            part.close()
    except DamagedError as error:
        log.warning("%s: the WARC files are read instead", str(error).split(";")[0])


def _put_down(frontier: Frontier, part: Frontier) -> None:
    columns = ", ".join(f"outcome.{name}" for name in FOUND)
    with part.explained(), frontier.transaction():
        found = part.db.execute(f"SELECT link.url, {columns} FROM outcome JOIN link USING (key)")
        recovery.put_down(frontier, recovery.ended(found), part.files(), {})
        tried = part.db.execute(
            "SELECT link.url, attempts FROM url JOIN link USING (key)"
            f" WHERE state < {DONE} AND attempts > 0"
        )
        frontier.db.execute("CREATE TABLE tried (url TEXT PRIMARY KEY, attempts) WITHOUT ROWID")
        if frontier.db.executemany("INSERT INTO tried VALUES (?, ?)", tried).rowcount > 0:
            frontier.db.execute(
                "UPDATE url SET attempts = found.attempts FROM (SELECT key, tried.attempts"
                " FROM tried JOIN link USING (url)) AS found WHERE url.key = found.key"
            )
        frontier.db.execute("DROP TABLE tried")
        hosts = part.db.execute("SELECT not_before, errors, name FROM host WHERE errors > 0")
        frontier.db.executemany(
            f"UPDATE host SET state = {PARKED}, not_before = ?, errors = ? WHERE name = ?", hosts
        )
        recovery.finish_hosts(frontier)


def crawl_part(settings: Crawl, fetcher: MakeFetcher, portion: Portion) -> None:
    """Crawl one part, or go on with it where another worker was lost.

    Raises:
        UserError: the disk is full, or another worker does not leave the part.
        KeyboardInterrupt: nobody waits for it any more; all that was fetched is written.
    """
    mine = replace(settings, part=f"{portion.part.number}/{portion.part.of}")
    path, home = portion.folder / schema.NAME, Directory(portion.home)
    again = path.exists()
    with room_needed(home):
        frontier = claimed(path, mine)
    try:
        with room_needed(home, frontier), collecting_seldom():
            begin(frontier, portion)
            recovery.take_up(frontier, portion.home, portion.tag, part=True)
            if again or portion.asked:
                rest(mine, strictly=True)
            sink = Sink(portion.home, mine, tag=portion.tag)
            meter = PartMeter()
            Loop(mine, frontier, sink, meter).run(fetcher)
            meter.end()
    finally:
        frontier.close()


def claimed(path: Path, settings: Crawl) -> Frontier:
    """Open the frontier of a part, once a worker that was lost has left it.

    Raises:
        LockedError: a worker is still there after a minute.
    """
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return opened(path, settings)
        except LockedError:
            if time.monotonic() > until:
                raise
        tick(0)
        time.sleep(LOOK_SECONDS)
