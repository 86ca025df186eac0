"""Which addresses are not wanted, by host, ending and length, whoever names them.

The harvest asks this of links, and an import of WARC files without links of their records.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.named_lists import read_names

LISTS = ("domains", "extensions")

OBJECTIONS = {  # why an address is not wanted, in the order in which they are checked
    "url_too_long": "a longer URL than links.max_url_length; value: its characters",
    "domain": "of a domain or host that links.exclude_domains or a list excludes",
    "extension": "a path that ends as no page of text does",
}

# What a parser of URLs takes for a path, a port or a user, or what none of a host's names has; the
# colons of an address in brackets are part of it.
NO_HOST = re.compile(r"[/\\?#@*]|:(?![^\[]*\])")


class Objection(NamedTuple):
    """Why an address is not wanted."""

    reason: str  # one of OBJECTIONS
    value: float | None = None  # that decided, if there is one


@dataclass(frozen=True)
class Exclusions:
    """The part of `links` that asks nothing but an address."""

    exclude_domains: tuple[str, ...] = ()  # registrable domains or hosts, with all their subdomains
    lists: tuple[str, ...] = LISTS  # files of pipeline/data with more exclusions
    max_url_length: int = 2083  # characters

    name: ClassVar[str] = "exclusions"
    version: ClassVar[int] = 1  # raised when domains.txt or extensions.txt changes

    @cached_property
    def domains(self) -> frozenset[str]:
        """The hosts that are not wanted, with all names under them."""
        return listed("domains", self.lists, hosts(self.exclude_domains))

    @cached_property
    def extensions(self) -> frozenset[str]:
        """The endings of paths that text pages do not have."""
        return listed("extensions", self.lists)

    def site(self, host: str) -> tuple[str, bool]:
        """Return the registrable domain of a host, and whether the host is excluded."""
        return _site(self, host)

    def objection(self, url: str) -> Objection | None:
        """Return why a normal URL is not wanted, None if it is.

        >>> Exclusions(("wikipedia.org",)).objection("https://en.wikipedia.org/wiki/Tea").reason
        'domain'
        """
        if len(url) > self.max_url_length:
            return Objection("url_too_long", len(url))
        if self.site(urls.host_of_normal(url))[1]:
            return Objection("domain")
        return Objection("extension") if extension(url) in self.extensions else None


@lru_cache(1 << 16)
def _site(exclusions: Exclusions, host: str) -> tuple[str, bool]:
    return urls.registrable(host), is_under(host, exclusions.domains)


def extension(url: str) -> str:
    """Return the text after the last dot of a normal URL's path, in lower case; "" for none.

    >>> extension("http://example.com/a.JPG?x=1.png"), extension("http://example.com/")
    ('jpg', '')
    >>> extension("http://en.wikipedia.org/wiki/File:Flag.svg")  # a page about the file
    ''
    """
    path = url.partition("?")[0] if "?" in url else url
    last = path.rfind("/")
    dot = path.rfind(".")
    return path[dot + 1 :].lower() if dot > last and ":" not in path[last:] else ""


def listed(name: str, lists: Collection[str], more: Collection[str] = ()) -> frozenset[str]:
    """Return the names that a shipped list and the recipe exclude."""
    shipped = read_names(f"{name}.txt") if name in lists else frozenset()
    return shipped | {
        entry.lower().removeprefix("r/").removeprefix("*.").strip(".") for entry in more
    }


def hosts(entries: Collection[str]) -> tuple[str, ...]:
    """Return the hosts that entries of `links.exclude_domains` mean, as URLs have them.

    An entry that means its host without this stays as it is spelt.

    >>> hosts(["münchen.de", " example.com", "*.Wikipedia.org"])
    ('xn--mnchen-3ya.de', 'example.com', '*.Wikipedia.org')

    Raises:
        UserError: one is no host name, so no address could be of it.
    """
    return tuple(map(_host, entries))


def _host(entry: str) -> str:
    (name,) = listed("", (), [entry])
    stripped = name.strip().removeprefix("*.").strip(".")
    try:
        if mark := NO_HOST.search(stripped):
            raise ValueError(f"it has {mark[0]!r}")
        found = urls.host(f"http://{stripped}/")
    except ValueError as error:
        raise UserError(
            f"links.exclude_domains has {entry!r}: no host name ({error}); wanted one such as "
            "example.com, which stands for all names under it, too"
        ) from None
    return entry if found == name else found


def is_under(host: str, names: Collection[str]) -> bool:
    """Whether a host is one of some names, or a subdomain of one.

    >>> is_under("en.m.wiki.org", {"wiki.org"}), is_under("mywiki.org", {"wiki.org"})
    (True, False)
    """
    name = host.removesuffix(".")
    while name and name not in names:
        name = name.partition(".")[2]
    return bool(name)
