"""Rules from lists that the user provides: words, domains or parts of URLs.

A file has one entry a line; " #" begins a comment. The digest is of the content, not of the name.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from webtext.pipeline.core.directories.checked import while_unchanged
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.urls.urls import host
from webtext.pipeline.words.document import Document, share

COMMENT = re.compile(r"(?:^|\s)#.*")


@while_unchanged(8)
def entries(file: str) -> frozenset[str]:
    """Read a list, and make it lower case.

    Raises:
        UserError: there is none, or nothing in it.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as a list ({error})") from None
    found = frozenset(entry for line in lines if (entry := COMMENT.sub("", line).strip().lower()))
    if not found:
        raise UserError(f"{file}: an empty list; give an entry a line")
    return found


@while_unchanged(8)
def pattern(file: str) -> re.Pattern[str]:
    """Return what finds a list's words and phrases, the longest at each place."""
    longest_first = sorted(entries(file), key=lambda entry: (-len(entry), entry))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


@dataclass(frozen=True)
class ListedWords:
    """How often words and phrases of the list occur, in any case; or what share of words that is.

    Source: C4, section 2.2, "removed any page that contained any word on the List of Dirty,
    Naughty, Obscene or Otherwise Bad Words" (LDNOOBW); the list is the user's to choose.
    """

    file: str = field(metadata={"machine": True})
    of_words: bool = False  # measure the share of the words, counted between spaces
    at_most: float | None = 0.0

    def load(self) -> re.Pattern[str]:
        """Return what finds the words and phrases of the file."""
        return pattern(self.file)

    def __call__(self, doc: Document) -> float:
        found = len(self.load().findall(doc.text.lower()))
        return share(found, len(doc.text.split())) if self.of_words else found


@dataclass(frozen=True)
class ListedDomains:
    """Whether the list has the host of the page, or a domain above it: 1 or 0.

    Source: RefinedWeb, G.1, and FineWeb, 3.1, drop the pages of listed domains.
    """

    file: str = field(metadata={"machine": True})
    at_most: float | None = 0.0

    def load(self) -> frozenset[str]:
        """Return the domains of the file."""
        return entries(self.file)

    def __call__(self, doc: Document) -> float:
        return float(not names_above(doc.url).isdisjoint(self.load()))


def names_above(url: str) -> set[str]:
    """Return the host of a URL and all domains above it; none where it is not a URL.

    >>> sorted(names_above("https://news.example.org/a"))
    ['example.org', 'news.example.org', 'org']
    """
    try:
        labels = host(url).split(".")
    except ValueError:
        return set()
    return {".".join(labels[start:]) for start in range(len(labels))}


@dataclass(frozen=True)
class ListedPieces:
    """How many strings of the list occur in the page's URL, in any case.

    Source: RefinedWeb, G.1: one that is always bad is enough (at_most 0), or two that only hint at
    it (at_most 1).
    """

    file: str = field(metadata={"machine": True})
    at_most: float | None = 0.0

    def load(self) -> frozenset[str]:
        """Return the strings of the file."""
        return entries(self.file)

    def __call__(self, doc: Document) -> float:
        url = doc.url.lower()
        return sum(piece in url for piece in self.load())


@dataclass(frozen=True)
class Words:
    """Drop documents by a list of words; without a list, drop none."""

    enabled: bool = True
    listed: ListedWords | None = None


@dataclass(frozen=True)
class Urls:
    """Drop documents by lists of domains and of parts of URLs; without a list, drop none.

    Where a page was redirected, its last URL counts. `links.exclude_domains` keeps pages
    from being fetched at all.
    """

    enabled: bool = True
    domains: ListedDomains | None = None
    pieces: ListedPieces | None = None
