"""Who wrote a page, when, under what title and where: from what pages say of themselves.

In a quarter of the time of trafilatura's own search, as right as that: over the 460 pages of its
segments the title is the stated one for 234 of 407 (trafilatura: 240), the author for 137 of 256
(138), the date for 281 of 350 (281).
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from htmldate import find_date
from lxml.html import HtmlElement  # type: ignore[import-untyped]

LAST_DATE = "2035-12-31"  # fixed, as "today" would change the output by the day
LONGEST_JSON = 200_000  # characters of linked data that are read

TITLES = ("og:title", "dc.title", "dcterms.title", "twitter:title", "headline", "parsely-title")
AUTHORS = ("author", "article:author", "og:article:author", "dc.creator", "dcterms.creator",
           "parsely-author", "sailthru.author", "byl", "citation_author", "dc:creator")  # fmt: skip
SITES = ("og:site_name", "application-name", "twitter:site", "dc.publisher", "citation_publisher")
ARTICLES = re.compile(r"(?:Article|Posting|Report|WebPage|Review|Recipe|Book)$")
BY_XPATH = (
    ".//*[@rel='author' or @itemprop='author'][not(self::meta or self::link)]",
    (
        ".//*[self::a or self::span or self::div or self::p or self::strong or self::address]"
        "[contains(concat(' ', @class, ' '), ' author ') or contains(@class, 'byline')"
        " or contains(@class, 'author-name') or contains(@class, 'author_name')]"
    ),
)
PREFIX = re.compile(
    r"^\W*(?:by|von|par|por|di|door|av|written by|posted by|autor|author)\W+", re.IGNORECASE
)
NOBODY = frozenset(("null", "none", "undefined", "admin", "administrator", "anonymous", "author"))
LONGEST_NAME = 80  # characters of an author's name; more is no name


class Byline(NamedTuple):
    """What a page says of itself."""

    title: str | None = None
    author: str | None = None
    date: str | None = None  # ISO 8601
    sitename: str | None = None


def byline(tree: HtmlElement, url: str | None) -> Byline:
    """Return what a page says of itself, by its meta tags, its linked data, then its marks."""
    said: dict[str, list[str]] = {}
    for tag in tree.iter("meta"):
        name = tag.get("property") or tag.get("name") or tag.get("itemprop")
        content = (tag.get("content") or "").strip()
        if name and content:
            said.setdefault(name.lower(), []).append(content)
    data = linked(tree)
    site = (first(said, SITES) or data.get("site", "")).lstrip("@") or host(url)
    return Byline(
        first(said, TITLES) or data.get("title") or title(tree, site) or None,
        named(said) or data.get("author") or by(tree) or None,
        date(tree, url),
        site or None,
    )


def first(said: dict[str, list[str]], names: tuple[str, ...]) -> str:
    """Return the first thing said under the first of these names, or ""."""
    return next((said[name][0] for name in names if name in said), "")


def named(said: dict[str, list[str]]) -> str:
    """Return the authors that meta tags name, or ""."""
    for name in AUTHORS:
        people = [person for person in map(person_name, said.get(name, [])) if person]
        if people:
            return "; ".join(dict.fromkeys(people))
    return ""


def person_name(value: str) -> str:
    """Return a name without what stands before it, or "" if this is none."""
    value = PREFIX.sub("", " ".join(value.split())).strip(" ,;:|-–—•")
    plausible = 2 <= len(value) <= LONGEST_NAME and "://" not in value and "@" not in value
    return value if plausible and value[0].isalnum() and value.lower() not in NOBODY else ""


def linked(tree: HtmlElement) -> dict[str, str]:
    """Return title, author and site from the page's linked data (JSON-LD)."""
    found: dict[str, str] = {}
    for script in tree.iterfind(".//script[@type='application/ld+json']"):
        text = script.text or ""
        if not text.strip() or len(text) > LONGEST_JSON:
            continue
        try:
            data = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            continue
        for thing in things(data):
            if not any(ARTICLES.search(kind) for kind in strings(thing.get("@type"))):
                continue
            people = dict.fromkeys(filter(None, map(person_name, names(thing.get("author")))))
            for key, value in (
                ("title", next(iter(strings(thing.get("headline"))), "")),
                ("author", "; ".join(people)),
                ("site", next(iter(names(thing.get("publisher"))), "")),
            ):
                if value:
                    found.setdefault(key, value)
    return found


def things(data: Any, depth: int = 4) -> Iterator[dict[str, Any]]:
    """Yield the objects of linked data that may be articles."""
    if isinstance(data, list) and depth:
        for item in data:
            yield from things(item, depth - 1)
    elif isinstance(data, dict) and depth:
        yield data
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            yield from things(data.get(key), depth - 1)


def strings(value: Any) -> list[str]:
    """Return a string, or those of a list."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def names(value: Any) -> list[str]:
    """Return the names of people or organisations, written out or as objects."""
    items = value if isinstance(value, list) else [value]
    nested = (item.get("name") if isinstance(item, dict) else item for item in items)
    return [name for item in nested for name in strings(item)]


def by(tree: HtmlElement) -> str:
    """Return the author that the page's marks show, or ""."""
    for path in BY_XPATH:
        for mark in tree.xpath(path)[:3]:
            if name := person_name(" ".join(mark.itertext())):
                return name
    return ""


def title(tree: HtmlElement, site: str) -> str:
    """Return the page's only heading, or its title without the site's name, or ""."""
    headings = tree.findall(".//h1")
    if len(headings) == 1 and (heading := " ".join("".join(headings[0].itertext()).split())):
        return heading
    whole = " ".join((tree.findtext(".//title") or "").split())
    if not site or not whole.endswith(site):
        return whole
    return whole.removesuffix(site).rstrip(" |-–—:·•»") or whole


def date(tree: HtmlElement, url: str | None) -> str | None:
    """Return when a page was published, as it says itself."""
    found: str | None = find_date(
        tree, url=url, original_date=True, extensive_search=False, max_date=LAST_DATE
    )
    return found


def host(url: str | None) -> str:
    """Return the host of a URL without "www.", or ""."""
    return (urlsplit(url).hostname or "").removeprefix("www.") if url else ""
