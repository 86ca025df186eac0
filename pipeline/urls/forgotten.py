"""What a site's owner asked us to leave out: recorded beside the data, asked by all who read links.

`forgotten.jsonl` in the data directory has a line for each request, and lines are only added. It
names nobody: a page is there as its row's id, a site as the sha256 of its host, so that after a
purge no URL is left, not even here. Each line holds the sha256 of itself and of all lines
before it, so an edited or torn line is noticed; only whole lines at the end can be taken away.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from shlex import quote
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from webtext.pipeline.core.directories import places
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import digest, replacing
from webtext.pipeline.urls import urls

FILE: Final = places.FORGOTTEN
PURGING: Final = places.PURGING

Array = np.ndarray[Any, Any]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request, as its line has it."""

    kind: str  # "page" or "site"
    key: str  # the id of the page, or the sha256 of the host
    under: str | None  # the sha256 of a site's registrable domain
    reason: str
    asked: str  # when it was recorded: UTC, ISO 8601
    sha256: str  # of the line before ("" for the first) and of the values above


@dataclass(frozen=True)
class Request:
    """A page or a site to forget, as it was named."""

    kind: str  # "page" or "site"
    name: str  # a URL in normal form, or a host in lower case

    @property
    def key(self) -> str:
        """What stands for it in the file."""
        return urls.url_id(self.name) if self.kind == "page" else hashed(self.name)

    @property
    def under(self) -> str | None:
        """The sha256 of a site's registrable domain, None of a page."""
        return hashed(urls.registrable(self.name)) if self.kind == "site" else None


def request(said: str) -> Request:
    """Return the page or the site that a user named.

    >>> request("https://Example.com/a#top"), request("*.Example.com").name
    (Request(kind='page', name='https://example.com/a'), 'example.com')

    Raises:
        UserError: neither a URL nor a host name, or a suffix that many owners' sites are under.
    """
    try:
        if "://" in said:
            return Request("page", urls.normalise(said))
        host = urls.host(f"http://{said.strip().removeprefix('*.').strip('.')}/")
    except ValueError as error:
        raise UserError(f"{said!r}: no URL and no domain ({error})") from None
    if "/" in said or not ("." in host or host == "localhost"):
        raise UserError(
            f"{said!r}: found no domain and no whole URL; wanted example.com for a site with all "
            "names under it, or https://example.com/page for one page"
        )
    if urls.is_public_suffix(host):
        raise UserError(
            f"{said!r}: sites of many owners are under this public suffix; wanted one of them, "
            f"such as www.{host} or example.{host}"
        )
    return Request("site", bare(host))


def bare(host: str) -> str:
    """Return a host without `www.`: who forgets www.example.com means example.com.

    Where a public suffix would be left, `www` is the site itself.

    >>> bare("www.example.com"), bare("www.gov.uk")
    ('example.com', 'www.gov.uk')
    """
    name = host.removeprefix("www.")
    return host if "." not in name or urls.is_public_suffix(name) else name


@lru_cache(1 << 16)
def hashed(name: str) -> str:
    """Return the sha256 of a host's name, in hexadecimal."""
    return hashlib.sha256(name.encode()).hexdigest()


def parents(host: str) -> Iterator[str]:
    """Yield a host and all names that it is under.

    >>> list(parents("en.wiki.org"))
    ['en.wiki.org', 'wiki.org', 'org']
    """
    name = host.removesuffix(".")
    while name:
        yield name
        name = name.partition(".")[2]


@dataclass(frozen=True)
class Forgotten:
    """The pages and sites that are left out. False if there are none."""

    entries: tuple[Entry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __hash__(self) -> int:
        return hash(self.entries)

    def __getstate__(self) -> dict[str, Any]:
        return {"entries": self.entries}  # what is made of them is made anew elsewhere

    @cached_property
    def _pages(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in self.entries if entry.kind == "page"}

    @cached_property
    def _sites(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in self.entries if entry.kind == "site"}

    @cached_property
    def _ids(self) -> Array:
        """The ids of the pages, as uint64."""
        return np.array([int(key, 16) for key in self._pages], np.uint64)

    @cached_property
    def _under(self) -> frozenset[str]:
        """What stands for the registrable domains of the sites."""
        return frozenset(entry.under for entry in self.entries if entry.under)

    @property
    def known_by(self) -> str | None:
        """A digest of what is left out, None if nothing is: it is part of directories' names."""
        keys = sorted({(entry.kind, entry.key) for entry in self.entries})
        return digest("forgotten", keys) if keys else None

    def find(self, url: str | None) -> Entry | None:
        """Return the request because of which a URL is left out, None if it is not."""
        if url is None or not self.entries:
            return None
        try:
            _, key, host = urls.forms(url)
        except ValueError:
            return None
        return self._pages.get(urls.key_id(key)) or self.site(host)

    def __call__(self, *addresses: str | None) -> bool:
        """Whether one of these URLs is left out."""
        return any(self.find(url) is not None for url in addresses)

    def site(self, host: str) -> Entry | None:
        """Return the request because of which all of a host is left out, None if it is not."""
        return next(filter(None, (self._sites.get(hashed(name)) for name in parents(host))), None)

    def chosen(self, ids: Array, addresses: pa.Array, domains: pa.Array) -> Array:
        """Return which rows are left out, as bools.

        Args:
            ids: uint64, as hexadecimal digits spell them; 0 if unknown.
            addresses: the rows' URLs in normal form, or null.
            domains: their registrable domains, or null; only rows of a forgotten one are looked at.
        """
        found: Array = np.isin(ids, self._ids)
        if under := self._under:
            told = domains.dictionary_encode()
            names = [
                any(hashed(one) in under for one in parents(name or ""))
                for name in told.dictionary.to_pylist()
            ]
            places = told.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
            rows = np.flatnonzero(np.array([*names, False])[places])
            for at, url in zip(rows, addresses.take(pa.array(rows)).to_pylist(), strict=True):
                found[at] |= url is not None and self(url)
        return found


NOTHING: Final = Forgotten()


# --- the file -------------------------------------------------------------------------------------


def read(data: Path) -> Forgotten:
    """Return what is left out in a data directory.

    Raises:
        UserError: the file is not what was written, or a purge has begun and not ended.
    """
    if (data / PURGING).exists():
        raise UserError(
            f"{data}: a purge was interrupted there; finish it with: webtext forget --purge --data "
            f"{quote(str(data))}"
        )
    return recorded(data)


def recorded(data: Path) -> Forgotten:
    """Return what the file in a data directory holds, also while a purge is at work.

    Raises:
        UserError: the file is not what was written.
    """
    path = data / FILE
    try:
        lines = path.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    return Forgotten(tuple(_checked(path, lines)))


def _checked(path: Path, lines: Iterable[bytes]) -> Iterator[Entry]:
    before = ""
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=Entry)
            why = "" if entry.sha256 == _sum(before, entry) else "not what was written"
        except msgspec.MsgspecError as error:
            why = str(error)
        if why:
            raise UserError(
                f"{path}: line {number} is damaged ({why}); put back the right file from a copy: "
                "without it, what was to be forgotten would be fetched again"
            )
        before = entry.sha256
        yield entry


def _sum(before: str, entry: Entry) -> str:
    values = [before, entry.kind, entry.key, entry.under, entry.reason, entry.asked]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def record(data: Path, requests: Sequence[Request], reason: str) -> list[Request]:
    """Add requests to the file, all or none; return those that were not there yet.

    Raises:
        UserError: the file is not what was written.
    """
    known = recorded(data)
    there = {(entry.kind, entry.key) for entry in known.entries}
    new = [one for one in dict.fromkeys(requests) if (one.kind, one.key) not in there]
    if not new:
        return []
    before = known.entries[-1].sha256 if known.entries else ""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    path = data / FILE
    lines = path.read_bytes() if known.entries else b""
    for one in new:
        entry = Entry(one.kind, one.key, one.under, reason, now, "")
        entry = msgspec.structs.replace(entry, sha256=_sum(before, entry))
        before = entry.sha256
        lines += msgspec.json.encode(entry) + b"\n"
    with replacing(path) as partial:
        partial.write_bytes(lines)
    return new
