"""From a page's bytes to its main text."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import pyarrow as pa

from webtext.pipeline.archive.sniff import fits
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.stage import judged
from webtext.pipeline.text.extraction.firstlook import first_look, other_language
from webtext.pipeline.text.extraction.maintext import (
    ENGINES,
    SAMPLE,
    Article,
    Page,
    Reading,
    Unread,
    read,
)
from webtext.pipeline.text.extraction.sandbox import Death, Limits, shared
from webtext.pipeline.text.langid import languages

REASONS = {
    "extract.not_html": "the header or the first bytes say that it is something else",
    "extract.too_large": "more than max_bytes; the value is its bytes",
    "extract.no_text": "fewer than min_chars characters were found; the value is how many",
    "extract.bot_wall": "the page asks for proof of a human; the value is its visible bytes",
    "extract.consent": "the page asks to accept cookies first; the value is its visible bytes",
    "extract.other_language": "all visible text is in none of `languages`; the value: the highest "
    "probability of these in any of its parts",
    "extract.timeout": "not read within `deadline` seconds of CPU time",
    "extract.memory": "not read within `memory_mb`",
    "extract.error": "the extractor raised an exception",
    "extract.crashed": "the process that read it died",
    "extract.damaged": "its WARC record cannot be read any more",
}

HTML_TYPES = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Extract(Reading):
    """Extract the main text of a page, in a process that a bad page may kill.

    `first_look` drops pages by their bytes: known bot walls and consent pages, and those with fewer
    than 150 visible bytes. Of the mini-web's 6,394 pages it drops 77, all for too little text, none
    that the default rules keep, and none of scrapinghub's 181. It takes 73 us a page, 0.46 s for
    all, and pages without text are read fast, so it is off. Use it for crawls with many walls.

    `languages` drops a page before extraction if langdetect is certain about each of three parts of
    its visible text. With "en", 1,263 of the mini-web's 6,394 pages are dropped, of 1,492 whose
    main text is in another language: at a millisecond a page, a fifth of all pages need no
    extraction. None of the 2,216 pages that the default rules keep is lost; five pages are dropped
    whose main text is English, all of which the rules would drop.

    Raises:
        UserError: two settings contradict each other, or a limit is too low.
    """

    deadline: float = 30.0  # seconds of CPU time per page; ordinary pages take 0.01
    memory_mb: int = 1024  # resident memory per page, in addition to the extractor's own
    max_bytes: int = 10_000_000  # of a fetched page, decompressed
    languages: tuple[str, ...] = ()  # pages clearly in none of them are not read; empty: all are
    first_look: bool = False  # drop walls and pages without text by a check of their bytes
    recycle: int = field(default=500, metadata={"machine": True})  # pages per process

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 9
    reads: ClassVar[pa.Schema] = PAGE
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __post_init__(self) -> None:
        if self.favor_precision and self.favor_recall:
            raise UserError("extract: favor_precision and favor_recall are both true; choose one")
        if self.engine not in ENGINES:
            raise UserError(f"extract.engine = {self.engine!r}: use one of {', '.join(ENGINES)}")
        if unknown := sorted(set(self.languages) - set(languages())):
            known = ", ".join(languages())
            raise UserError(f"extract.languages: no language {unknown[0]!r}; known: {known}")
        for setting, least in (("deadline", 0.05), ("memory_mb", 64), ("max_bytes", 1),
                               ("recycle", 1), ("min_chars", 1)):  # fmt: skip
            if getattr(self, setting) < least:
                found = getattr(self, setting)
                raise UserError(f"extract.{setting} = {found}: too small; use {least} or more")

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        outcomes = [self.article(page) for page in pages(batch)]
        articles = [found if isinstance(found, Article) else None for found in outcomes]
        unread = [found if isinstance(found, Unread) else None for found in outcomes]
        columns = {name: batch[name] for name in batch.schema.names}
        for name in Article._fields:
            columns[name] = pa.array([getattr(a, name, None) for a in articles], pa.string())
        documents = pa.RecordBatch.from_arrays(
            [
                columns.get(wanted.name, pa.nulls(batch.num_rows, wanted.type))
                for wanted in DOCUMENT
            ],
            schema=DOCUMENT,
        )
        return judged(
            documents,
            [f"extract.{why.reason}" if why else None for why in unread],
            [why.value if why else None for why in unread],
        )

    def article(self, page: Page | None) -> Article | Unread:
        """Return the article of a page, or why there is none; None stands for a damaged page."""
        if page is None:
            return Unread("damaged")
        if before := self.before_reading(page):
            return before
        found = self._sandbox()(page)
        if found is Death.TIMEOUT:
            return Unread("timeout", self.deadline)
        if found is Death.MEMORY:
            return Unread("memory", self.memory_mb)
        if found is Death.CRASH:
            return Unread("crashed")
        assert isinstance(found, (Article, Unread))
        return found

    def before_reading(self, page: Page) -> Unread | None:
        """Return why a page need not be read, if its bytes show that."""
        if len(page.body) > self.max_bytes:
            return Unread("too_large", len(page.body))
        if not fits(page.content_type, page.body, HTML_TYPES):
            return Unread("not_html")
        if self.first_look and (seen := first_look(page.body)):
            return Unread(*seen)
        if self.languages:
            most = other_language(page.body, page.content_type, self.languages)
            return None if most is None else Unread("other_language", most)
        return None

    def _sandbox(self) -> Any:
        reading = Reading(**{f.name: getattr(self, f.name) for f in fields(Reading)})
        limits = Limits(self.deadline, self.memory_mb, self.recycle)
        return shared(Reader(reading), limits, Page(SAMPLE, None, None))


@dataclass(frozen=True)
class Reader:
    """`read` bound to its settings: hashable, and picklable by name."""

    reading: Reading

    def __call__(self, page: Page) -> Article | Unread:
        return read(self.reading, page)


def pages(batch: pa.RecordBatch) -> list[Page | None]:
    """Return the rows of a batch as pages, None for rows with a null body."""
    columns = (batch[name].to_pylist() for name in ("body", "content_type", "url"))
    return [
        None if body is None else Page(body, kind, url)
        for body, kind, url in zip(*columns, strict=True)
    ]
