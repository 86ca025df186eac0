"""The crawl as a step: from links to WARC files and outcomes; a stopped crawl can be resumed."""

from functools import partial

from webtext.pipeline.core.directories.keeping import note_references
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.crawl.around_loop import collecting_seldom, opened, room_needed
from webtext.pipeline.crawl.division import dealing, divided
from webtext.pipeline.crawl.fetch import Fetcher
from webtext.pipeline.crawl.fetches import MakeFetcher
from webtext.pipeline.crawl.frontier import held, outcomes, recovery, schema
from webtext.pipeline.crawl.http.loop import Loop
from webtext.pipeline.crawl.meter import Meter
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.crawl.sink import Sink
from webtext.pipeline.urls.forgotten import read as read_forgotten

FRONTIER = schema.NAME  # in the pages directory, until all outcomes are written


def crawl(
    settings: Crawl,
    links: Directory,
    out: Directory,
    workers: Workers = 1,
    progress: Progress = silent,
    fetcher: MakeFetcher = Fetcher,
    earlier: Directory | None = None,
) -> list[Passage]:
    """Fetch every link, archive the answers in `out`, and write one outcome per link.

    Links of which the crawls beside `out` hold a record that fits get that one's outcome instead.
    Where `earlier` holds pages of these links, hosts are asked whether those pages have changed.

    If it is called again after it was stopped or killed, it resumes. One event loop of this process
    keeps every delay; where `workers` is a runner, each of its workers crawls a part of the hosts.

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
                divided.join(frontier, out.path, settings)
                recovery.take_up(frontier, out.path, part=bool(settings.part))
                if earlier is None:
                    held.take_over(frontier, out.path, settings)
                if not isinstance(workers, int):
                    divided.crawl(settings, frontier, out, workers, progress, fetcher)
                elif divided.removed(out.path) and frontier.tally().total() < frontier.total():
                    dealing.rest(settings, strictly=True)  # the parts had asked hosts
                elif frontier.asked:
                    dealing.pause(settings.delay_per_ip)  # their addresses may have other hosts
                sink = Sink(out.path, settings)
                Loop(settings, frontier, sink, Meter(progress)).run(fetcher)
                note_references(out.path, held.references(frontier))
                outcomes.write_all(frontier, links, out)
            frontier.remove()
        except BaseException:
            frontier.close()
            raise
    return [outcomes.passage(out)]
