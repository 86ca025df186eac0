"""The main text of one page, as a plain function of its bytes, for a sandbox to run.

This module imports no Arrow and no NumPy, so that the sandbox's supervisor has one thread and can
fork. Measured settings stand with `Reading`; `tests/floors.toml` holds their floors.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import justext
import trafilatura
from resiliparse.extract.html2text import extract_plain_text
from trafilatura.settings import Document, Extractor

from webtext.pipeline.text.extraction.byline import Byline, byline
from webtext.pipeline.text.extraction.charset import decode, printable
from webtext.pipeline.text.extraction.parse import parse

ENGINES = ("trafilatura", "resiliparse")
CHECKED = ("2.3.1", "3.0.2")  # trafilatura and justext that `cascade.py` is equal to
LONGEST_LINE = 1000  # characters of a title or another line of metadata

# Something for the supervisor to read before it forks, so that children share filled caches.
SAMPLE = (
    b"<html><body><article><h1>A page</h1><p>"
    + b"A sentence of some words. " * 40
    + (b"</p></article></body></html>")
)


@dataclass(frozen=True)
class Reading:
    """How pages are read.

    Measured with trafilatura 2.3.1 over scrapinghub's 181 pages (F1 of 4-grams), the 460 pages of
    trafilatura's segments (F1) and readability's 130 pages (F1 of 4-grams):

        setting            scrapinghub   segments   readability
        as it comes               .960       .937          .933
        favor_precision           .964       .931          .930
        favor_recall              .959       .931          .935
        fast                      .962       .930          .930
        no tables                 .957

        precision, fast      .946       .921
        resiliparse          .928       .867

    Precision (.958, .941, .960) is up where recall is down. On pages that are no articles the
    default finds far more: word F1 over WCXB's 1,476 pages of seven kinds is .832, with
    favor_precision .764 (threads .691 against .486, services .773 against .675).

    resiliparse 2.0.1 finds as much (recall .981, .944) and takes more boilerplate with it
    (precision .879, .800), in 2.6 ms of CPU a page where trafilatura takes 10 to 12, metadata left
    out: 380 pages a second and core, not 85 to 98. Left alone (`cascade.py`), trafilatura takes
    19 to 22.
    """

    engine: str = "trafilatura"  # or "resiliparse"; fast and coarse: no favor_..., tables, fast

    favor_precision: bool = False  # rather miss text than take boilerplate
    favor_recall: bool = False  # rather take boilerplate than miss text
    include_tables: bool = True  # keep tables, a row a line
    include_comments: bool = False  # readers' comments under an article
    fast: bool = False  # without the second opinion of readability and justext
    metadata: bool = True  # title, author, date and site name; a tenth of the time
    min_chars: int = 1  # shorter text counts as none


class Page(NamedTuple):
    """What is known of a page before it is read."""

    body: bytes
    content_type: str | None
    url: str | None


class Article(NamedTuple):
    """What a page says."""

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
        if reading.engine == "trafilatura" or reading.metadata:
            tree = parse(html)
            if tree is None:
                return Unread("no_text", 0)
        said = byline(tree, page.url, html) if reading.metadata else Byline()
        found = coarse(reading, html) if reading.engine == "resiliparse" else fine(reading, tree)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- whatever a page makes a library raise is the page's fate
        return Unread("error")
    text = printable(unicodedata.normalize("NFC", found)).strip()
    if len(text) < reading.min_chars:
        return Unread("no_text", len(text))
    return Article(text, *map(line, said))


def fine(reading: Reading, tree: Any) -> str:
    """Return the main text as trafilatura finds it, "" where it finds none; uses the tree up."""
    return main_text(tree, options(reading))


def left_alone(tree: Any, options: Extractor) -> str:
    """Return the main text, and comments where the options ask for them, by trafilatura alone."""
    found = trafilatura.bare_extraction(tree, options=options)
    texts = (found.text, found.comments) if isinstance(found, Document) else ()
    return "\n".join(filter(None, texts))


main_text: Callable[[Any, Extractor], str] = left_alone
if (trafilatura.__version__, justext.__version__) == CHECKED:
    from webtext.pipeline.text.extraction.trafilatura import cascade

    main_text = cascade.main_text


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
        dedup=False,  # its memory of earlier pages would make the order of pages matter
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
    """Return a metadata value as one clean line, or None where nothing is left of it."""
    return " ".join(printable(value[:LONGEST_LINE]).split()) or None if value else None
