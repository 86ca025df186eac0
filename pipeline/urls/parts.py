"""Parts of a list of links: whole sites, so that no host is in two of them."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, digest, read_batches, write_parquet
from webtext.pipeline.urls import urls

NAME = "part"  # the prefix of the directories


class Part(NamedTuple):
    """One of N parts."""

    number: int  # from 1
    of: int

    @classmethod
    def parsed(cls, text: str, where: str = "") -> Self:
        """Return the part that a text such as "2/3" names.

        Raises:
            UserError: it names none.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UserError(f"{where}{text}: wanted a part such as 2/3, the second of three")
        return cls(int(found[1]), int(found[2]))

    def has(self, domain: str) -> bool:
        """Whether a site's links are in this part, by another hash than that of the shards."""
        return self.of == 1 or dealt(domain, self.of) == self.number

    def asks(self, url: str) -> bool:
        """Whether this part may ask the host of a URL."""
        return self.of == 1 or self.has(_site(url))


@lru_cache(4096)
def _site(url: str) -> str:
    return urls.domain(url)


@lru_cache(4096)
def dealt(domain: str, of: int) -> int:
    """Return the number of the part of a site, from 1, by another hash than that of the shards."""
    return int.from_bytes(hashlib.sha256(domain.encode()).digest()[8:16], "big") % of + 1


def part_of(links: Directory, part: Part, data: Path) -> Directory:
    """Return a directory with one part of the links, in their order; it is made if it is not there.

    Raises:
        UserError: the links are not complete, or damaged.
    """
    text = f"{part.number}/{part.of}"
    found = Directory(data / f"{NAME}-{digest('part', links.fingerprint(), text)}")
    if found.whole:
        return found
    for number in links.numbers():
        batches: list[pa.RecordBatch] = []
        for batch in read_batches(links.shard(number), rows=8192):
            chosen = [part.has(domain or "") for domain in batch["domain"].to_pylist()]
            batches.append(batch.filter(pa.array(chosen)))
        write_parquet(found.shard(number), batches, LINK)
    told = {"stage": NAME, "part": text, "stages": {}, "passages": []}
    found.finish({**told, "inputs": {links.name: links.fingerprint()}})
    return found
