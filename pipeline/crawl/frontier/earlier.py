"""What an earlier crawl stored of a page, and how its host is asked whether it has changed.

An unchanged page is recorded as a revisit, and its payload stays where it was first archived. A
revisit of a revisit names that first place too, so a payload is never more than one step away.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webtext.pipeline.archive.warc import MAX_BODY, Response, read_response
from webtext.pipeline.core.shards import Directory, read_batches

ASKED = {  # the columns of OUTCOME that are remembered, by the names of the fields below
    "url": "final_url",
    "etag": "etag",
    "last_modified": "last_modified",
    "content_type": "content_type",
    "digest": "digest",
    "size": "body_bytes",
}
PLACE = ("file", "offset", "length")
COLUMNS = [
    *("id", "dropped_by", "truncated", *ASKED.values()),
    *(f"{where}_{part}" for where in ("warc", "payload") for part in PLACE),
]


@dataclass(frozen=True)
class Earlier:
    """A page as it was stored."""

    url: str  # the URL that answered with it, after redirects
    etag: str | None
    last_modified: str | None
    content_type: str | None
    digest: str  # "sha1:..." of its payload
    size: int  # bytes of its payload
    file: str  # the WARC file, relative to the directory of the new crawl
    offset: int
    length: int
    directory: Path  # the directory of the new crawl

    @classmethod
    def unpacked(cls, packed: str, directory: Path) -> "Earlier":
        """Unpack a page that `rows` packed."""
        return cls(**json.loads(packed), directory=directory)

    def conditions(self) -> dict[str, str]:
        """Return the headers of a conditional request: a full answer only if the page has changed.

        Source: RFC 9110, section 13.1: both may be sent, and a host that knows the first uses it.
        """
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}

    def response(self) -> Response:
        """Return the record that holds the payload.

        Raises:
            UserError: its file does not exist any more, or has changed.
        """
        path = self.directory / self.file
        return read_response(path, self.offset, self.length, max(self.size, MAX_BODY))


def rows(pages: Directory, number: int, out: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the id of every outcome of a shard, with its page packed as text if it has one.

    Paths are relative to `out`, so a data directory may be moved as a whole. A truncated page is
    fetched again, like one that was never fetched.
    """
    for batch in read_batches(pages.shard(number, under="outcomes"), COLUMNS, rows=8192):
        for row in batch.to_pylist():
            whole = row["dropped_by"] is None and row["truncated"] is None and row["digest"]
            yield row["id"], _packed(row, pages.path, out) if whole else None


def _packed(row: dict[str, Any], pages: Path, out: Path) -> str:
    where = "payload" if row["payload_file"] else "warc"
    place = {part: row[f"{where}_{part}"] for part in PLACE}
    place["file"] = os.path.relpath(pages / place["file"], out)
    return json.dumps({name: row[column] for name, column in ASKED.items()} | place)
