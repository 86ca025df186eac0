"""Who asks for ranges: this process, or a runner's workers, each with its share of the rate.

What is asked for is the same in both cases, in the same order, and so are the answers.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from webtext.pipeline.core.pool import Runner, Workers
from webtext.pipeline.core.stores.stored_files import in_store
from webtext.pipeline.crawl.commoncrawl.ranges import Store, store
from webtext.pipeline.crawl.commoncrawl.settings import CommonCrawl
from webtext.pipeline.crawl.settings import Crawl

Work = Callable[[Store, Any], Any]  # a module's function of a store and an item


class Alone:
    """This process asks. Use it as a context manager, like its store."""

    def __init__(self, found: Store) -> None:
        self.store = found

    def __enter__(self) -> Self:
        self.store.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.store.__exit__(kind, error, trace)

    @property
    def requests(self) -> int:
        return self.store.requests

    @property
    def bytes(self) -> int:
        return self.store.bytes

    def each(self, work: Work, items: Iterable[Any]) -> Iterator[Any]:
        """Yield what `work` returns of each item, in their order."""
        for item in items:
            yield work(self.store, item)


class Together(Alone):
    """A runner's workers ask, so many at a time as there may be connections.

    Each has an equal share of the rate and the connections, and so has this process, which reads
    lists meanwhile.
    """

    def __init__(self, settings: CommonCrawl, crawl: Crawl, runner: Runner) -> None:
        self.runner = runner
        self.parts = max(1, min(runner.size, settings.connections - 1))
        self.share = replace(
            settings,
            rate=settings.rate / (self.parts + 1),
            connections=max(1, settings.connections // (self.parts + 1)),
        )
        self.crawl = crawl
        self._requests = self._bytes = 0  # of the workers
        super().__init__(store(self.share, crawl))

    @property
    def requests(self) -> int:
        return self.store.requests + self._requests

    @property
    def bytes(self) -> int:
        return self.store.bytes + self._bytes

    def each(self, work: Work, items: Iterable[Any]) -> Iterator[Any]:
        """Yield what `work` returns of each item, in their order; some are done ahead."""
        there = partial(_asked, self.share, self.crawl, work)
        for result, requests, size in self.runner.in_order(there, items, lambda: None, self.parts):
            self._requests += requests
            self._bytes += size
            yield result


def _asked(settings: CommonCrawl, crawl: Crawl, work: Work, item: Any) -> tuple[Any, int, int]:
    """Do an item in a worker: what it returns, and how many requests and bytes it took."""
    time.sleep(1 / settings.rate)  # this worker's last item may have asked a moment ago
    with store(settings, crawl) as found:
        return work(found, item), found.requests, found.bytes


def askers(settings: CommonCrawl, crawl: Crawl, workers: Workers) -> Alone:
    """Return who asks: a runner's workers, if they reach what is asked.

    Raises:
        UserError: as `store`.
    """
    if isinstance(workers, int) or not (in_store(settings.prefix) or "://" in settings.prefix):
        return Alone(store(settings, crawl))
    return Together(settings, crawl, workers)
