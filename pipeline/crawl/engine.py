"""The crawl as a step: from links to WARC files and outcomes; a stopped crawl can be resumed."""

import errno
import gc
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from webtext.pipeline.core.directories.keeping import DAMAGED, note_references, set_aside
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.frontier import held, outcomes, recovery, schema
from webtext.pipeline.crawl.frontier.frontier import DamagedError, Frontier
from webtext.pipeline.crawl.http.loop import Loop, MakeFetcher
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink
from webtext.pipeline.urls.forgotten import read as read_forgotten

log = logging.getLogger(__name__)

FRONTIER = schema.NAME  # in the pages directory, until all outcomes are written
GARBAGE = 20_000  # new objects between two runs of the garbage collector; Python's default is 700
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def crawl(
    settings: Crawl,
    links: Directory,
    out: Directory,
    workers: Workers = 1,  # noqa: ARG001 - one event loop keeps every delay; it waits for hosts, not cores
    progress: Progress = silent,
    fetcher: MakeFetcher = Fetcher,
    earlier: Directory | None = None,
) -> list[Passage]:
    """Fetch every link, archive the answers in `out`, and write one outcome per link.

    Links of which the crawls beside `out` hold a record that fits get that one's outcome instead.
    Where `earlier` holds pages of these links, hosts are asked whether those pages have changed.

    If it is called again after it was stopped or killed, it resumes.

    Raises:
        UserError: no contact, another crawl in the same directory, a full disk.
        KeyboardInterrupt: it was asked to stop, and it has stopped.
    """
    path = out.path / FRONTIER
    if (forgotten := read_forgotten(out.path.parent)) and fetcher is Fetcher:
        fetcher = partial(Fetcher, forgotten=forgotten)
    if not outcomes.complete(out, links, path):
        settings.check_contact()
        if not path.exists():
            outcomes.make_room(out, links)
        with room_needed(out):
            frontier = opened(path, settings)
        try:
            with room_needed(out, frontier), collecting_seldom():
                frontier.fill(links, earlier)
                recovery.take_up(frontier, out.path)
                if earlier is None:
                    held.take_over(frontier, out.path, settings)
                Loop(settings, frontier, Sink(out.path, settings), progress).run(fetcher)
                note_references(out.path, held.references(frontier))
                outcomes.write_all(frontier, links, out)
            frontier.remove()
        except BaseException:
            frontier.close()
            raise
    return [outcomes.passage(out)]


def opened(path: Path, settings: Crawl) -> Frontier:
    """Open the frontier; a damaged one is set aside, and a new one is made.

    Raises:
        UserError: another crawl has it open, or a later version made it.
    """
    try:
        return Frontier(path, rest=settings.delay)
    except DamagedError as error:
        parts = [path.with_name(name) for name in schema.FILES]
        folder = set_aside(path.parent, DAMAGED, parts)
        log.warning(
            "%s, which was set aside in %s, is rebuilt now", str(error).split(";")[0], folder
        )
        return Frontier(path, rest=settings.delay)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Let the garbage collector run rarely: nearly all objects of a visit or row need none.

    Pages are not part of reference cycles, so the peak of memory stays the same.
    """
    usual = gc.get_threshold()
    gc.freeze()  # the existing objects, mostly modules, are not examined again
    gc.set_threshold(GARBAGE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


@contextmanager
def room_needed(out: Directory, frontier: Frontier | None = None) -> Iterator[None]:
    """Say what to do when the disk is full or fails.

    Raises:
        UserError: a write failed because the disk is full or broken.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        free = f"{shutil.disk_usage(out.path).free / 1e6:,.0f} MB free"
        done = (
            f", {sum(frontier.tally().values()):,} of {frontier.total():,} links done"
            if frontier
            else ""
        )
        raise UserError(
            f"{out.path}: cannot write ({error.strerror or error}) with {free}{done}; make room "
            "and run the same command again: it goes on from there"
        ) from error
