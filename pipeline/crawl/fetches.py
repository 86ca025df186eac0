"""What a crawl needs of whoever fetches its pages; `fetch.Fetcher` does it, and tests stand in."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from webtext.pipeline.crawl.fetch import Fetched
from webtext.pipeline.crawl.frontier.earlier import Earlier
from webtext.pipeline.crawl.settings import Crawl, Gate


class Fetches(Protocol):
    """The interface of a fetcher."""

    async def fetch(self, url: str, earlier: Earlier | None = None) -> Fetched:
        """Fetch a URL, or ask whether it changed; errors of a page or a host do not raise."""

    async def addresses(self, url: str) -> tuple[str, ...]:
        """Return the addresses of the URL's host, () where pacing by address makes no sense."""

    async def reachable(self, url: str) -> bool:
        """Tell whether the URL's host accepts connections, without sending anything."""

    def forget_failures(self) -> None:
        """Forget the failures of a network outage, so that they are retried."""

    def crawl_delay(self, url: str) -> float | None:
        """Return the Crawl-delay of the host's robots.txt, in seconds."""


MakeFetcher = Callable[[Crawl, Gate], AbstractAsyncContextManager[Fetches]]
