"""Clean, judge and divide the rows of a user's own files (`webtext filter`), without a build.

Rows keep all their fields and their order; of a kept row only the text is changed, which is the
cleaned one. A dropped row is written as it came, with the reason and the measure that decided.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from webtext.pipeline.core.pool import in_order
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import WHY
from webtext.pipeline.core.stage import Passage, Stage
from webtext.pipeline.filters.own.own_documents import FOUND, judged, read_files, url_of
from webtext.pipeline.sources import row_writer, source_files
from webtext.pipeline.sources.row_writer import as_lines
from webtext.pipeline.sources.source_chunks import Chunk, pieces
from webtext.pipeline.sources.source_files import TABLES, Source
from webtext.pipeline.sources.source_rows import PLAIN, Fields, Rows, check, rows_of
from webtext.pipeline.text.extraction.extract import Extract

REASONS = tuple(field.name for field in WHY)
SMALL = 1_000_000  # bytes of files that are read sooner than a second process has started


@dataclass(frozen=True)
class Sieve:
    """All that a worker needs to judge a chunk."""

    chain: tuple[Stage, ...]
    fields: Fields
    schema: pa.Schema | None = None  # of the rows written as batches; None: as lines of JSON


class Judged(NamedTuple):
    """What became of the rows of a chunk."""

    read: int
    kept: int
    fates: Counter[str]
    kept_rows: bytes | pa.RecordBatch
    dropped_rows: bytes | pa.RecordBatch


def filter_files(
    paths: Sequence[Path],
    out: Path,
    chain: Sequence[Stage],
    fields: Fields = PLAIN,
    *,
    dropped: Path | None = None,
    workers: int = 1,
    progress: Progress = silent,
    setting: str = "--text-field",
) -> list[Passage]:
    """Write the rows that the stages keep to `out`, the others to `dropped`; return the funnel.

    The forms of both follow from their names. Without `dropped` the others are only counted.

    Raises:
        UserError: a file cannot be read, or has no field of that name; an output that is an input
        or the other output, or whose name asks for no form.
        PipelineError: a worker was killed.
    """
    outputs = [path for path in (out, dropped) if path is not None]
    for path in outputs:
        row_writer.form_of(path)
    row_writer.check_outputs(outputs, paths)
    sources = source_files.found(paths, without=outputs)
    check(sources, fields, setting)
    schema = common_schema(sources, fields, outputs)
    sieve = Sieve(tuple(chain), fields, schema)
    total = sum(source.path.stat().st_size for source in sources)
    read, counted, kept = 0, Counter[str](), 0
    done = taken_up = 0  # bytes
    ends: deque[int] = deque()  # bytes taken up to the end of each chunk that is being judged

    def tick(count: int) -> None:
        nonlocal taken_up
        taken_up += count

    def chunks() -> Iterator[Chunk]:
        for chunk in pieces(sources, tick):
            ends.append(taken_up)
            yield chunk

    def show() -> None:
        note = f"{read:,} rows, {kept:,} kept" if read else "starting"
        progress(min(done, total), total, note)

    with ExitStack() as stack:
        kept_file = stack.enter_context(row_writer.writer(out, schema))
        with_why = None if schema is None else with_reasons(schema)
        other = stack.enter_context(row_writer.writer(dropped, with_why)) if dropped else None
        judge = partial(judge_chunk, sieve)
        for found in in_order(judge, chunks(), workers if total > SMALL else 1, show):
            write(kept_file, found.kept_rows)
            if other is not None:
                write(other, found.dropped_rows)
            read += found.read
            kept += found.kept
            counted += found.fates
            done = ends.popleft()
            show()
        done = total
        show()
    html = any(source.form == "html" for source in sources)
    names = [stage.name for stage in chain if html or stage.name != Extract.name]
    return passages(["read", *names], read, counted, kept)


def write(file: row_writer.Writer, rows: bytes | pa.RecordBatch) -> None:
    """Write rows in the form that they have."""
    if isinstance(rows, bytes):
        file.lines(rows)
    else:
        file.batch(rows)


def passages(names: Sequence[str], read: int, counted: Counter[str], kept: int) -> list[Passage]:
    """Return each stage's line of the funnel.

    Raises:
        PipelineError: the numbers do not add up to the rows that were written.
    """
    found, left = [], read
    for name in names:
        dropped = {why: n for why, n in counted.most_common() if why.startswith(f"{name}.")}
        stays = kept if name == names[-1] else left - sum(dropped.values())
        found.append(Passage(name, left, stays, dropped))
        left = stays
    return found


def common_schema(
    sources: Sequence[Source], fields: Fields, outputs: Sequence[Path]
) -> pa.Schema | None:
    """Return the schema of tables with types that are written to such tables; None for others."""
    if any(row_writer.form_of(path) != "parquet" for path in outputs):
        return None
    schemas = []
    for source in sources:
        if source.form not in {"parquet", "arrow"}:
            return None
        first = next(pieces([source]), None)
        if first is not None:
            schemas.append(plain(first.rows.schema, fields))
    try:
        return pa.unify_schemas(schemas, promote_options="permissive") if schemas else None
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def plain(schema: pa.Schema, fields: Fields) -> pa.Schema:
    """Return a schema whose text can be replaced, without views and without others' metadata."""
    kinds = []
    for field in schema:
        kind = field.type
        if pa.types.is_string_view(kind) or (
            field.name == fields.text and not pa.types.is_large_string(kind)
        ):
            kind = pa.string()
        elif pa.types.is_binary_view(kind):
            kind = pa.binary()
        kinds.append(pa.field(field.name, kind))
    return pa.schema(kinds)


def with_reasons(schema: pa.Schema) -> pa.Schema:
    """Return a schema with the columns of reasons, in the place of earlier ones."""
    return pa.schema([*(field for field in schema if field.name not in REASONS), *WHY])


# --- in a worker ---------------------------------------------------------------------------------


def judge_chunk(sieve: Sieve, chunk: Chunk) -> Judged:
    """Judge the rows of one chunk.

    Raises:
        UserError: it has no field of texts.
    """
    form = (chunk.files[0] if chunk.files else chunk.source).form
    field = sieve.fields.text if form in TABLES else "text"
    rows = rows_of(chunk, sieve.fields)
    read_files(rows, form)
    columns: dict[str, list[Any]] = {
        "id": [str(at) for at in range(len(rows))],
        "url": [url_of(record, sieve.fields) for record in rows.records],
    }
    stays, lost = judged(sieve.chain, rows, form, columns)
    kept = {
        int(row["id"]): told(row, form) | {field: row["text"]}
        for row in stays.select(["id", "text", *FOUND]).to_pylist()
    }
    gone = {
        int(row["id"]): told(row, form) | {name: row[name] for name in REASONS}
        for batch in lost
        for row in batch.to_pylist()
    }
    fates = Counter(row["dropped_by"] for row in gone.values())
    fates.update(bad.reason for bad in rows.bad)
    if sieve.schema is not None:
        return Judged(len(rows), len(kept), fates, *divided(sieve, rows, kept, gone))
    bad = [
        {"place": one.place, "why": one.why, "raw": one.raw, "dropped_by": one.reason}
        for one in rows.bad
    ]
    return Judged(
        len(rows) + len(bad),
        len(kept),
        fates,
        as_lines([rows.records[at] | kept[at] for at in sorted(kept)]),
        as_lines([rows.records[at] | gone[at] for at in sorted(gone)] + bad),
    )


def told(row: dict[str, Any], form: str) -> dict[str, Any]:
    """Return what the extraction of a page found beside its text, and the text."""
    return {name: row[name] for name in ("text", *FOUND)} if form == "html" else {}


def divided(
    sieve: Sieve, rows: Rows, kept: dict[int, dict[str, Any]], gone: dict[int, dict[str, Any]]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return the kept and the dropped rows of a batch, with the types that they came with."""
    assert rows.batch is not None
    assert sieve.schema is not None
    return (
        taken(rows.batch, kept, sieve.schema, [sieve.fields.text]),
        taken(rows.batch, gone, with_reasons(sieve.schema), REASONS),
    )


def taken(
    batch: pa.RecordBatch, found: dict[int, dict[str, Any]], schema: pa.Schema, new: Sequence[str]
) -> pa.RecordBatch:
    """Return some rows of a batch in a schema; the columns in `new` have other values now."""
    places = sorted(found)
    rows = batch.take(pa.array(places, pa.int64()))
    columns = []
    for field in schema:
        if field.name in new:
            columns.append(pa.array([found[at][field.name] for at in places], field.type))
        elif field.name in rows.schema.names:
            columns.append(rows[field.name].cast(field.type))
        else:
            columns.append(pa.nulls(len(places), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
