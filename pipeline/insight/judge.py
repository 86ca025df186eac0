"""Apply the stages to a user's own texts and pages."""

import re
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.archive import packing
from webtext.pipeline.archive.warc import responses
from webtext.pipeline.archive.warc_import import ImportWarc
from webtext.pipeline.core.compressed import ArchiveError, blocks, container, lines, utf8
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.own.own_documents import read_files, url_of
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.sources import source_files
from webtext.pipeline.sources.source_chunks import pieces
from webtext.pipeline.sources.source_rows import Fields, check, rows_of, value_of
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.extraction.maintext import Article, Page, Unread
from webtext.pipeline.text.language import Language

HTML_NAMES = (".html", ".htm", ".xhtml")
WARC_NAMES = (".warc", ".warc.gz", ".warc.zst", ".arc", ".arc.gz")
LONGEST_LINE = 1 << 30  # bytes
# The head of a message: fields, among them that of MIME. Source: RFC 2557
MAIL = re.compile(
    rb"(?:[!-9;-~]{1,99}:[^\n]*\n(?:[ \t][^\n]*\n)*){0,20}?MIME-Version:", re.IGNORECASE
)


class Dropped(NamedTuple):
    """Why a page was not kept."""

    reason: str
    value: float | None


class OwnText(NamedTuple):
    """A text of a user's own."""

    id: str
    url: str
    text: str


class Unjudged(NamedTuple):
    """A row without a text, and why."""

    place: str
    why: str


def own_texts(
    paths: Sequence[Path], fields: Fields, extract: Extract, setting: str = "--text-field"
) -> Iterator[OwnText | Unjudged]:
    """Yield the texts of files of any form, and the rows that have none; of pages the main text.

    A row is called by its id, or by its place.

    Raises:
        UserError: a file cannot be read, or its first rows have no field of that name.
    """
    sources = source_files.found(paths)
    check(sources, fields, setting)
    for chunk in pieces(sources):
        rows = rows_of(chunk, fields)
        form = chunk.source.form
        read_files(rows, form)
        for at, record in enumerate(rows.records):
            name = record.get(fields.id)
            name = rows.places[at] if name is None else str(name)
            if form != "html":
                yield OwnText(name, url_of(record, fields) or "", rows.texts[at])
                continue
            article = extract.article(Page(rows.bodies[at], "text/html", None))
            if isinstance(article, Unread):
                yield Unjudged(name, f"extract.{article.reason}")
            else:
                yield OwnText(name, "", article.text)
        yield from (Unjudged(bad.place, bad.why) for bad in rows.bad)


def judge(
    rules: Rules, language: Language, doc_id: str, text: str, url: str = ""
) -> dict[str, Any]:
    """Return a text's language, its first objection, and every rule's measure and threshold.

    The text is a cleaned one, as a build gives it to the rules: `recipe.clean.text(text)`.

    `threshold` is the bound that decided or is nearest; `enabled` says whether the rule is on.
    """
    guess, text, dropped_by, _ = language.read(text)
    if dropped_by is None:
        objection, _ = rules.judge(text, url, guess.language)
        if objection is not None:
            dropped_by = f"rules.{objection.rule}.{objection.objection}"
    measured = rules.measures(text, url, guess.language)
    return {
        "id": doc_id,
        "language": guess.language,
        "confidence": guess.probability,
        "dropped_by": dropped_by,
        "measures": {asked.rule: asked.told for asked in measured},
    }


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and text of each row of a JSONL (also .gz or .zst) or Parquet file.

    Raises:
        UserError: the file is missing or of another kind, or a row lacks an id or a text.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a JSONL or Parquet file with id and text")
    parquet = path.suffix == ".parquet" or container(path) == "parquet"
    yield from parquet_texts(path) if parquet else json_texts(path)


def parquet_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and text of each row of a Parquet file.

    Raises:
        UserError: it is damaged, or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [name for name in ("id", "text") if name not in names]:
                raise UserError(
                    f"{path}: no column {' and no column '.join(missing)} among {', '.join(names)}"
                )
            row = 0
            for batch in file.iter_batches(1024, columns=["id", "text"]):
                for record in batch.to_pylist():
                    row += 1
                    yield checked(record, f"{path}: row {row}")
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}); get it anew"
        ) from None


def json_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and text of each line of a JSONL file.

    Raises:
        UserError: a line is not a JSON object with both; names the line.
    """
    number = 0
    for number, line in enumerate(lines(utf8(blocks(path)), LONGEST_LINE), 1):
        where = f"{path}:{number}"
        if isinstance(line, int):
            raise UserError(f"{path}: cannot be read after line {number - 1}; fetch it again")
        if not line.strip():
            continue
        try:
            record = value_of(line)
        except ValueError as error:
            raise UserError(f"{where}: not JSON ({error}); give an object a line") from None
        if not isinstance(record, dict):
            raise UserError(f"{where}: found {type(record).__name__}, wanted an object")
        yield checked(record, where)
    if not number:
        raise UserError(f"{path}: holds no line; wanted an object with a text a line")


def checked(record: dict[str, Any], where: str) -> tuple[str, str]:
    """Return what a record is called (its id, else its URL, else its place) and its text.

    Raises:
        UserError: the text is missing, or one of them is of another type.
    """
    text = record.get("text")
    doc_id = next((record[key] for key in ("id", "url") if record.get(key) is not None), where)
    if not isinstance(doc_id, (str, int)) or isinstance(doc_id, bool):
        raise UserError(f"{where}: id is {doc_id!r}, wanted a string or a whole number")
    if not isinstance(text, str):
        raise UserError(f"{where}: text is {type(text).__name__}, wanted a string")
    return str(doc_id), text


def extract_file(path: Path, extract: Extract | None = None) -> Iterator[dict[str, Any]]:
    """Yield the pages of an HTML file, a directory of them, or a WARC file, a dict for each.

    Its keys are source, url, text, title, author, date, sitename, dropped_by and dropped_value;
    the text is null if the page was dropped.

    Raises:
        UserError: nothing there can be read.
    """
    stage = extract or Extract()
    if path.is_dir():
        entries = sorted(entry for entry in path.rglob("*") if readable(entry))
        if not entries:
            raise UserError(f"{path}: no {', '.join(HTML_NAMES + WARC_NAMES)} file under it")
        yield from chain.from_iterable(extract_file(entry, stage) for entry in entries)
    elif not path.is_file():
        raise UserError(f"{path}: no such file or directory; give HTML or WARC files")
    elif packing.recognised(path):
        pages = ImportWarc()
        for response in responses(path):
            page = Page(response.body, response.content_type, response.url)
            reason, value = pages.fate(response)
            found = Dropped(reason, value) if reason else stage.article(page)
            yield told(str(path), response.url, found)
    else:
        try:
            page = saved(b"".join(blocks(path)))
        except ArchiveError as error:
            raise UserError(f"{path}: {error}; get the file anew, or leave it out") from None
        yield told(str(path), page.url, stage.article(page))


def saved(body: bytes) -> Page:
    """Return the page in a file: its bytes, or the first page of MHTML, as browsers save pages."""
    if MAIL.match(body):
        message = message_from_bytes(body)
        for part in message.walk():
            if part.get_content_type() in ("text/html", "application/xhtml+xml"):
                url = part["Content-Location"] or message["Snapshot-Content-Location"]
                found = part.get_payload(decode=True)
                return Page(bytes(found or b""), str(part["Content-Type"]), url and str(url))
    return Page(body, "text/html", None)


def readable(path: Path) -> bool:
    """Whether a file's name says that it holds pages."""
    return path.is_file() and path.name.lower().endswith(HTML_NAMES + WARC_NAMES)


def told(source: str, url: str | None, found: Article | Unread | Dropped) -> dict[str, Any]:
    """Return a page's result as a dict for JSON."""
    if isinstance(found, Unread):
        found = Dropped(f"extract.{found.reason}", found.value)
    return {
        "source": source,
        "url": url,
        **{name: getattr(found, name, None) for name in Article._fields},
        "dropped_by": getattr(found, "reason", None),
        "dropped_value": getattr(found, "value", None),
    }
