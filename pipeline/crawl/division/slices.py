"""A part of a crawl by workers that see nothing of the command's disk: slice by slice.

A worker crawls for half an hour, and hands in what its WARC files have grown by and its frontier.
The next slice, by whichever worker, begins with that frontier; so a lost one costs one slice.
If that frontier is damaged, the command makes another from the WARC files, which it alone has.
What a slice hands in has names that no other try gives, and only what is told counts.
"""

import logging
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from webtext.pipeline.core.errors import PipelineError
from webtext.pipeline.core.shards import Directory, replacing, sync_directory
from webtext.pipeline.core.stores import working_copy
from webtext.pipeline.core.stores.store_parts import ONCE
from webtext.pipeline.crawl.around_loop import collecting_seldom, room_needed
from webtext.pipeline.crawl.division.dealing import Portion, begin, rest
from webtext.pipeline.crawl.fetches import MakeFetcher
from webtext.pipeline.crawl.frontier import recovery, schema
from webtext.pipeline.crawl.frontier.frontier import DamagedError, Frontier
from webtext.pipeline.crawl.http.loop import Loop
from webtext.pipeline.crawl.meter import PartMeter
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink

log = logging.getLogger(__name__)

# Of a slice: what a lost worker costs at most. Many times as long as the longest visit, of several
# redirects with the longest delays, for visits under way at its end are made again.
SECONDS = 1800.0
COPY = 1 << 20  # bytes at a time


class Slice(NamedTuple):
    """What a worker says of a slice that it has handed in."""

    done: bool  # whether nothing of the part is left
    token: str  # in the names of its files
    damaged: bool = False  # the frontier to begin with was, so nothing was asked or handed in


def crawl_slice(settings: Crawl, fetcher: MakeFetcher, seconds: float, portion: Portion) -> Slice:
    """Crawl a part for so long, and write what came of it into the folder of the part.

    Raises:
        UserError: the disk is full.
        KeyboardInterrupt: nobody waits for it any more.
    """
    mine = replace(settings, part=f"{portion.part.number}/{portion.part.of}")
    token = uuid4().hex[:12]
    scratch = portion.folder / token
    scratch.mkdir(parents=True)
    try:
        if portion.token:
            former = frontier_of(portion)
            working_copy.fetched(former)
            shutil.copyfile(former, scratch / schema.NAME)
            if working_copy.bringers:  # this machine's copy; another try gets it again
                former.unlink()
        try:
            frontier = _frontier(scratch, mine, portion)
        except DamagedError:
            return Slice(False, portion.token, damaged=True)
        try:
            with room_needed(Directory(scratch), frontier), collecting_seldom():
                before = {name: end for name, _, end in frontier.files()}
                for name, end in before.items():  # a hole stands for what was handed in
                    (scratch / name).touch()
                    os.truncate(scratch / name, end)
                rest(mine, strictly=True)  # a lost try, which left nothing, may have asked
                meter = PartMeter(time.monotonic() + seconds)
                try:
                    sink = Sink(scratch, mine, tag=portion.tag)
                    Loop(mine, frontier, sink, meter).run(fetcher)
                except KeyboardInterrupt:
                    if not meter.late:
                        raise
                meter.end()
            files = frontier.files()
        finally:
            frontier.close()
        for name, _, end in files:
            if end > (start := before.get(name, 0)):
                with replacing(portion.folder / f"{name}{ONCE}{start}{ONCE}{token}") as partial:
                    _copy(scratch / name, start, end, partial)
        with replacing(frontier_of(replace(portion, token=token))) as partial:
            shutil.copyfile(scratch / schema.NAME, partial)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Slice(not meter.late, token)


def _frontier(folder: Path, settings: Crawl, portion: Portion) -> Frontier:
    """Return the frontier in a folder, with the links of the part, checked from end to end.

    Raises:
        DamagedError: it cannot be read.
    """
    with room_needed(Directory(folder)):
        frontier = Frontier(folder / schema.NAME, rest=settings.delay)
        try:
            begin(frontier, portion)
            with frontier.explained():
                (said,) = frontier.db.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise DamagedError(f"{frontier.path}: damaged ({said})")
        except BaseException:
            frontier.close()
            raise
    return frontier


def mended(settings: Crawl, portion: Portion) -> Portion:
    """Make the frontier of a part's last slice anew, as its own is damaged; return the part.

    The WARC files have the outcomes of all slices before, so nothing of them is asked for again.
    """
    again = replace(portion, token=uuid4().hex[:12])
    mine = replace(settings, part=f"{portion.part.number}/{portion.part.of}")
    folder = portion.folder / f"{again.token}.mended"
    folder.mkdir()
    frontier = _frontier(folder, mine, portion)
    try:
        with room_needed(Directory(folder), frontier):
            recovery.take_up(frontier, portion.home, portion.tag, part=True)
    finally:
        frontier.close()
    (folder / schema.NAME).rename(frontier_of(again))
    shutil.rmtree(folder)
    log.warning(
        "%s: damaged; a new one was made from the WARC files of %s", frontier_of(portion), portion
    )
    frontier_of(portion).unlink(missing_ok=True)
    return again


def frontier_of(portion: Portion) -> Path:
    """Return where the frontier of a part's last slice is."""
    return portion.folder / f"{portion.token}.sqlite"


def _copy(source: Path, start: int, end: int, target: Path) -> None:
    with source.open("rb") as whole, target.open("wb") as piece:
        whole.seek(start)
        while start < end and (data := whole.read(min(COPY, end - start))):
            piece.write(data)
            start += len(data)


def taken(portion: Portion, found: Slice) -> Portion:
    """Append what a slice handed in to the WARC files; return the part as it is now.

    Raises:
        PipelineError: a file is shorter than the slice believes.
    """
    for path in sorted(portion.folder.glob(f"*{ONCE}{found.token}")):
        if not append(portion.home, path, strictly=True):
            raise PipelineError(f"{path}: does not begin where {portion.home} ends")
    if portion.token:
        frontier_of(portion).unlink(missing_ok=True)
    return replace(portion, token=found.token)


def append(home: Path, path: Path, strictly: bool = False) -> bool:
    """Append a slice of a WARC file where it belongs, if it is its turn; tell whether it was.

    What is there of it already, for a kill or a full disk cut it off, is not written again. Other
    bytes in its place go to `torn/` if the slice is known to be the next one (`strictly`).
    """
    name, start, _ = path.name.split(ONCE)
    target, at = home / name, int(start)
    size = target.stat().st_size if target.exists() else 0
    if size < at:
        return False
    if size > at and not _begun(target, at, path):
        if not strictly:
            return False
        size -= recovery.tear(target, at)
    with target.open("ab") as whole, path.open("rb") as piece:
        piece.seek(size - at)
        shutil.copyfileobj(piece, whole, COPY)
        whole.flush()
        os.fsync(whole.fileno())
    sync_directory(home)
    path.unlink()
    return True


def _begun(target: Path, at: int, path: Path) -> bool:
    """Whether what a file has from there on is the beginning of a slice, or all of it and more."""
    with target.open("rb") as whole, path.open("rb") as piece:
        whole.seek(at)
        while (there := whole.read(COPY)) and (mine := piece.read(COPY)):
            if there[: len(mine)] != mine[: len(there)]:
                return False
    return True


def waiting(home: Path) -> list[Path]:
    """Return the slices that a command that died has not appended."""
    return list((home / schema.PARTS).glob(f"*/*{ONCE}*{ONCE}*"))


def left(home: Path) -> None:
    """Append the slices that came before the command died; the others are moved to `torn/`.

    What came from the network is never deleted: of two tries of a slice, one has its turn.
    """
    for path in sorted(waiting(home), key=lambda path: (int(path.name.split(ONCE)[1]), path.name)):
        if not append(home, path):
            torn = home / recovery.TORN
            torn.mkdir(exist_ok=True)
            path.rename(torn / path.name)
            sync_directory(torn)
            log.warning("%s: fits to no file in %s, so it was moved to %s", path, home, torn)
