"""What a process that crawls needs around the loop: an open frontier, memory, room on the disk."""

import errno
import gc
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webtext.pipeline.core.directories.keeping import DAMAGED, set_aside
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.crawl.frontier.frontier import DamagedError, Frontier
from webtext.pipeline.crawl.settings import Crawl

log = logging.getLogger(__name__)

GARBAGE = 20_000  # new objects between two runs of the garbage collector; Python's default is 700
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def opened(path: Path, settings: Crawl) -> Frontier:
    """Open the frontier; a damaged one is set aside, and a new one is made.

    Raises:
        UserError: another crawl has it open, or a later version made it.
    """
    try:
        return Frontier(path, rest=settings.delay)
    except DamagedError as error:
        parts = [path.with_name(path.name + end) for end in schema.ENDS]
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
