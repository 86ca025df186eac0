"""Which crawls of Common Crawl are asked for the pages, and how politely."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.stored_files import in_store
from webtext.pipeline.urls import urls

INDEXES = ("cdx", "columnar")
MACHINE: dict[str, Any] = {"machine": True}  # how it is read, not what is found


@dataclass(frozen=True)
class CommonCrawl:
    """Take the pages of the links from Common Crawl's archive, by its index of addresses.

    It is asked where `crawls` names some. Of the captures of a page the one nearest to the day of
    its first submission is taken. What the pages must be, the limits and the name by which we
    are known are those of the table `crawl`.

    Raises:
        UserError: a value with which nothing can be asked.
    """

    crawls: tuple[str, ...] = ()  # such as "CC-MAIN-2016-07"
    # where cc-index/ and crawl-data/ lie: https://, http://, s3:// and the like, or a folder
    prefix: str = field(default="https://data.commoncrawl.org", metadata=MACHINE)
    # Whether the links whose pages it does not have are crawled afterwards.
    then_crawl: bool = field(default=False, metadata=MACHINE)
    index: str = field(default="cdx", metadata=MACHINE)  # or "columnar"
    gap: int = field(default=65_536, metadata=MACHINE)  # bytes between two records of one request
    rate: float = field(default=5.0, metadata=MACHINE)  # requests per second, at most
    connections: int = field(default=4, metadata=MACHINE)  # at a time
    attempts: int = field(default=8, metadata=MACHINE)  # at one request, if a later one may succeed

    name: ClassVar[str] = "commoncrawl"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for crawl in self.crawls:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", crawl):
                raise UserError(
                    f'commoncrawl.crawls: found "{crawl}", wanted names such as "CC-MAIN-2016-07"'
                )
        if self.index not in INDEXES:
            raise UserError(
                f'commoncrawl.index: found "{self.index}", wanted one of {", ".join(INDEXES)}'
            )
        if in_store(self.prefix):
            parse(self.prefix)
        elif "://" in self.prefix and not _is_server(self.prefix):
            raise UserError(
                f'commoncrawl.prefix: found "{self.prefix}", wanted https://, http://, s3:// or a '
                "folder"
            )
        for key, least in (("gap", 0), ("connections", 1), ("attempts", 1)):
            if getattr(self, key) < least:
                raise UserError(
                    f"commoncrawl.{key}: found {getattr(self, key)}, wanted {least} or more"
                )
        if not self.rate > 0:
            raise UserError(f"commoncrawl.rate: found {self.rate}, wanted more than 0")


def _is_server(prefix: str) -> bool:
    """Whether an address is that of a server that could exist."""
    try:
        urls.normalise(prefix)
    except ValueError:
        return False
    return re.match(r"https?://[^/]", prefix) is not None
