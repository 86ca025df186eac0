"""Rows of a user's own as documents, and what the stages of a build make of them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from webtext.pipeline.core.records import DOCUMENT, PAGE
from webtext.pipeline.core.stage import Stage, conform, pass_batch
from webtext.pipeline.sources.source_rows import Fields, Rows, without_front_matter
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.urls import urls

FOUND = ("title", "author", "date", "sitename")  # in a page, beside its text


def judged(
    chain: Sequence[Stage], rows: Rows, form: str, columns: dict[str, list[Any]]
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """Run rows of one chunk through the stages; return the kept ones, and those that each dropped.

    `chain` begins with the extraction of pages, which texts of other forms do not need. `columns`
    has what is known of each row, the ids among it.

    Raises:
        PipelineError: a stage lost, added or reordered rows.
    """
    schema = chain[-1].writes
    if form == "html":
        given = columns | {"body": rows.bodies, "content_type": ["text/html"] * len(rows)}
        return pass_batch(chain, batch_of(given, PAGE), schema)
    stages = [stage for stage in chain if stage.name != Extract.name]
    return pass_batch(stages, batch_of(columns | {"text": rows.texts}, DOCUMENT), schema)


def read_files(rows: Rows, form: str) -> None:
    """Decode the bytes of files that are one text each, but not of pages, in place."""
    if form == "html":
        return
    for at, body in enumerate(rows.bodies):
        text = decode(body).text
        said: dict[str, str] = {}
        if form == "markdown":
            text, said = without_front_matter(text)
        rows.texts[at] = rows.records[at]["text"] = text
        rows.records[at] |= {name: said[name] for name in ("title", "url", "date") if name in said}


def batch_of(columns: dict[str, list[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Return columns as a batch of a schema, in which those that are not given are null."""
    arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    return conform(pa.RecordBatch.from_pydict(arrays), schema)


def url_of(record: dict[str, Any], fields: Fields) -> str | None:
    """Return the URL of a row, None if it has none."""
    found = record.get(fields.url)
    return found if isinstance(found, str) and found else None


def domain_of(url: str | None) -> str | None:
    """Return the registrable domain of a URL, None if it is no URL."""
    try:
        return urls.domain(url) if url else None
    except ValueError:
        return None
