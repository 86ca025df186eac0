"""The main text of one page, as a plain function of its bytes, for a sandbox to run.

This module does not import Arrow or NumPy, so that the sandbox's supervisor has one thread and can
fork. Measurements of the settings are at `Reading`; `tests/floors.toml` has their lower bounds.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import trafilatura
from resiliparse.extract.html2text import extract_plain_text
from trafilatura.settings import Document, Extractor

from webtext.pipeline.text.decoding.charset import decode, printable
from webtext.pipeline.text.extraction.blocks import reader
from webtext.pipeline.text.extraction.blocks.reader import Wishes
from webtext.pipeline.text.extraction.byline import Byline, byline
from webtext.pipeline.text.extraction.parse import parse

ENGINES = ("blocks", "trafilatura", "resiliparse")
LONGEST_LINE = 1000  # characters of a title or another line of metadata

# A page that the supervisor reads before it forks, so that children share filled caches; it is an
# article, so that trafilatura fills its own.
SAMPLE = (
    b"<html><head><meta property='og:type' content='article'></head><body>"
    b"<article><h1>A page</h1><p>"
    + b"A sentence of some words. " * 40
    + (b"</p></article></body></html>")
)


@dataclass(frozen=True)
class Reading:
    """How pages are read.

    Word F1 over WCXB's 1,476 pages of seven kinds (`python -m tests.bench.wcxb`), F1 of 4-grams
    over scrapinghub's 181 pages and readability's 130, F1 of the strings of trafilatura's 460
    pages:

        engine                         WCXB   scrapinghub   readability   segments
        blocks, pages it never saw     .889          .963          .943       .935
        blocks, as it is               .919          .975                     .943
        trafilatura 2.3.1              .832          .960          .932       .937
        trafilatura, favor_precision   .764          .964          .930       .931
        resiliparse 2.0.1              .785          .928                     .867

    The model of `blocks` was trained on these pages; the first line is from two models, each
    trained on one half and measured on the other. So on news `trafilatura` is still a little
    better, on all other kinds far worse. `blocks` asks trafilatura about pages that say that they
    are articles (46 of 100 in WCXB, 93 of 100 in scrapinghub), and its choice is evidence. A page
    of WCXB takes 23 ms of CPU with `blocks` (28 on a busy machine; 18 without trafilatura), 27 with
    trafilatura (favor_precision, with its slow parts replaced), and 3 with resiliparse.

    For `blocks`, favor_precision takes only blocks with a probability above one half, and
    favor_recall doubles the probability of each block.
    """

    engine: str = "blocks"  # "trafilatura", or "resiliparse": fast and coarse, no favor_..., tables

    favor_precision: bool = False  # prefer missing text to boilerplate
    favor_recall: bool = False  # prefer boilerplate to missing text
    include_tables: bool = True  # keep tables, one row per line
    include_comments: bool = False  # readers' comments under an article
    include_quotes: bool = True  # of posts in a thread, each line after "> "; `blocks` only
    fast: bool = False  # trafilatura without the second opinion of readability and justext
    metadata: bool = True  # title, author, date and site name; a tenth of the time
    min_chars: int = 1  # shorter text counts as no text


class Page(NamedTuple):
    """A page to be read, with its metadata."""

    body: bytes
    content_type: str | None
    url: str | None


class Article(NamedTuple):
    """The text and metadata of a page."""

    text: str
    title: str | None = None
    author: str | None = None
    date: str | None = None  # ISO 8601
    sitename: str | None = None


class Unread(NamedTuple):
    """Why a page has no article, and the measure that shows it."""

    reason: str
    value: float | None = None


def read(reading: Reading, page: Page) -> Article | Unread:
    """Return the article of a page, or why there is none."""
    html = decode(page.body, page.content_type).text
    try:
        tree = None
        if reading.engine != "resiliparse" or reading.metadata:
            tree = parse(html)
            if tree is None:
                return Unread("no_text", 0)
        said = byline(tree, page.url, html) if reading.metadata else Byline()
        if reading.engine == "blocks":
            found = of_blocks(reading, tree)
        else:
            found = (
                coarse(reading, html) if reading.engine == "resiliparse" else fine(reading, tree)
            )
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- whatever a page makes a library raise is the page's fate
        return Unread("error")
    text = printable(unicodedata.normalize("NFC", found)).strip()
    if len(text) < reading.min_chars:
        return Unread("no_text", len(text))
    return Article(text, *map(line, said))


def of_blocks(reading: Reading, tree: Any) -> str:
    """Return the main text, chosen among the page's blocks."""
    wishes = Wishes(
        precise=reading.favor_precision,
        generous=reading.favor_recall,
        tables=reading.include_tables,
        comments=reading.include_comments,
        quotes=reading.include_quotes,
    )
    return reader.main_text(tree, wishes)


def fine(reading: Reading, tree: Any) -> str:
    """Return the main text as trafilatura finds it, "" if it finds none; this changes the tree.

    Comments follow the text, if they are wanted.
    """
    found = trafilatura.bare_extraction(tree, options=options(reading))
    texts = (found.text, found.comments) if isinstance(found, Document) else ()
    return "\n".join(filter(None, texts))


@cache
def options(reading: Reading) -> Extractor:
    """Return trafilatura's form of the settings, which takes a while to make."""
    return Extractor(
        output_format="python",
        fast=reading.fast,
        precision=reading.favor_precision,
        recall=reading.favor_recall,
        comments=reading.include_comments,
        tables=reading.include_tables,
        dedup=False,  # its cache would make the result depend on the order of pages
    )


def coarse(reading: Reading, html: str) -> str:
    """Return the main text as resiliparse finds it."""
    text: str = extract_plain_text(
        html,
        main_content=True,
        list_bullets=False,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        comments=reading.include_comments,
    )
    return text


def line(value: str | None) -> str | None:
    """Return a metadata value as one clean line, or None if nothing is left."""
    return " ".join(printable(value[:LONGEST_LINE]).split()) or None if value else None
