"""The author, date, title and site of a page, from its own metadata.

It takes less than a tenth of the time of trafilatura's own search, and is about as accurate: over
the 460 pages of its segments the title is right for 234 of 407 (trafilatura: 240), the author for
137 of 256 (138), the date for 283 of 350 (281).
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lxml.html import HtmlElement  # type: ignore[import-untyped]

from webtext.pipeline.text.extraction.dates import published

LONGEST_JSON = 200_000  # characters of linked data that are read

TITLES = ("og:title", "dc.title", "dcterms.title", "twitter:title", "headline", "parsely-title")
AUTHORS = ("author", "article:author", "og:article:author", "dc.creator", "dcterms.creator",
           "parsely-author", "sailthru.author", "byl", "citation_author", "dc:creator")  # fmt: skip
SITES = ("og:site_name", "application-name", "twitter:site", "dc.publisher", "citation_publisher")
ARTICLES = re.compile(r"(?:Article|Posting|Report|WebPage|Review|Recipe|Book)$")
MARKED = ("a", "span", "div", "p", "strong", "address", "b", "em", "li", "td", "h2", "h3", "h4")
BY_CLASS = re.compile("byline|author-name|author_name|(?:^| )author(?: |$)")
PREFIX = re.compile(
    r"^\W*(?:by|von|par|por|di|door|av|written by|posted by|autor|author)\W+", re.IGNORECASE
)
NOBODY = frozenset(("null", "none", "undefined", "admin", "administrator", "anonymous", "author"))
LONGEST_NAME = 80  # characters of an author's name; a longer text is not a name


class Byline(NamedTuple):
    """The metadata that a page states."""

    title: str | None = None
    author: str | None = None
    date: str | None = None  # ISO 8601
    sitename: str | None = None


def byline(tree: HtmlElement, url: str | None, html: str) -> Byline:
    """Return the metadata of a page from its meta tags, then its linked data, then its markup."""
    said: list[tuple[str, str]] = []
    scripts: list[str] = []
    headings: list[HtmlElement] = []
    for element in tree.iter("meta", "script", "h1"):
        get = element.get
        if element.tag == "h1":
            headings.append(element)
        elif element.tag == "script":
            if get("type") == "application/ld+json":
                scripts.append(element.text or "")
        else:
            name = get("property") or get("name") or get("itemprop") or get("http-equiv")
            content = (get("content") or get("datetime") or "").strip()
            if name and content:
                said.append((name.lower(), content))
    tags: dict[str, list[str]] = {}
    for name, content in said:
        tags.setdefault(name, []).append(content)
    data = linked(scripts)
    site = (first(tags, SITES) or data.get("site", "")).lstrip("@") or host(url)
    return Byline(
        first(tags, TITLES) or data.get("title") or title(tree, headings, site) or None,
        named(tags) or data.get("author") or by(tree, html) or None,
        published(tree, url, said, scripts, html),
        site or None,
    )


def first(said: dict[str, list[str]], names: tuple[str, ...]) -> str:
    """Return the first value of the first of these names, or ""."""
    return next((said[name][0] for name in names if name in said), "")


def named(said: dict[str, list[str]]) -> str:
    """Return the authors that meta tags name, or ""."""
    for name in AUTHORS:
        people = [person for person in map(person_name, said.get(name, [])) if person]
        if people:
            return "; ".join(dict.fromkeys(people))
    return ""


def person_name(value: str) -> str:
    """Return a name without the words before it, or "" if it is not a name."""
    value = PREFIX.sub("", " ".join(value.split())).strip(" ,;:|-–—•")
    plausible = 2 <= len(value) <= LONGEST_NAME and "://" not in value and "@" not in value
    return value if plausible and value[0].isalnum() and value.lower() not in NOBODY else ""


def linked(scripts: list[str]) -> dict[str, str]:
    """Return title, author and site from the page's linked data (JSON-LD)."""
    found: dict[str, str] = {}
    for text in scripts:
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


def by(tree: HtmlElement, html: str) -> str:
    """Return the author from the page's markup, or ""."""
    if "author" not in html and "byline" not in html:  # true for two pages in five
        return ""
    stated, shown = [], []
    for element in tree.iter(*MARKED):
        if element.get("rel") == "author" or element.get("itemprop") == "author":
            stated.append(element)
        elif (kind := element.get("class")) and BY_CLASS.search(kind):
            shown.append(element)
    for mark in stated[:3] + shown[:3]:
        if name := person_name(" ".join(mark.itertext())):
            return name
    return ""


def title(tree: HtmlElement, headings: list[HtmlElement], site: str) -> str:
    """Return the page's only heading, or its title without the site's name, or ""."""
    if len(headings) == 1 and (heading := " ".join("".join(headings[0].itertext()).split())):
        return heading
    whole = " ".join((tree.findtext(".//title") or "").split())
    if not site or not whole.endswith(site):
        return whole
    return whole.removesuffix(site).rstrip(" |-–—:·•»") or whole


def host(url: str | None) -> str:
    """Return the host of a URL without "www.", or ""."""
    return (urlsplit(url).hostname or "").removeprefix("www.") if url else ""
