"""The step `documents` from files of a user's own, in the place of pages: a recipe without a web.

Each row of the files is in exactly one place: kept, or dropped by the reading, by the language, by
a rule. What follows (deduplication, corpus, tokens) is as for documents of the web.

A row is called by its URL, else by its own id, else by its place in a file; its id is made of that.
If an earlier row is called alike, it is called by its place, so no row is lost.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain as joined
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import Workers, in_order
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.records import DOCUMENT, with_reasons
from webtext.pipeline.core.shards import (
    Directory,
    parquet_writer,
    read_batches,
    read_json,
    replacing,
    row_count,
    write_json,
)
from webtext.pipeline.core.stage import Passage, Stage, fates
from webtext.pipeline.core.step import Fact, Outside, Planned, Sought, Step
from webtext.pipeline.filters import step as of_pages
from webtext.pipeline.filters.measuring.measures import UNDER, Measuring
from webtext.pipeline.filters.own.own_documents import (
    batch_of,
    domain_of,
    judged,
    read_files,
    url_of,
)
from webtext.pipeline.filters.own.own_rows import OwnTable, Seen, measured, named, plain
from webtext.pipeline.links.links import fingerprint
from webtext.pipeline.sources import source_files
from webtext.pipeline.sources.source_chunks import Chunk, pieces
from webtext.pipeline.sources.source_files import Source
from webtext.pipeline.sources.source_rows import FORGOTTEN, REASONS, Fields, check, rows_of
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.urls.forgotten import NOTHING, Forgotten
from webtext.pipeline.urls.forgotten import read as read_forgotten
from webtext.pipeline.urls.urls import text_id

NAME = of_pages.NAME
READ = "read"  # the stage that makes rows of the files
PROGRESS = "read"  # the folder with a note for each shard: at which chunk it ends


@dataclass(frozen=True)
class OwnTexts:
    """Build from texts of one's own instead of links: the files, and the names of their fields.

    JSON Lines, CSV, Parquet and Arrow have a text a row; of plain text, Markdown and HTML each file
    is a text; WET has a text a record. All may be compressed. Of a folder all such files are read,
    but where it holds tables, as a dataset from the Hugging Face hub does, only these.

    Raises:
        UserError: a setting is out of its range.
    """

    sources: tuple[str, ...] = field(default=(), metadata={"machine": True})  # paths or globs
    text_field: str = "text"  # of tables, as all the following
    id_field: str = "id"  # the row is called by it where there is no URL
    url_field: str = "url"  # the row is called by it, and its site follows from it
    title_field: str = "title"  # as the next two, where a row has it
    author_field: str = "author"  # of the text
    date_field: str = "date"  # of publication, ISO 8601
    shard_rows: int = 20_000  # rows read for a shard of documents, or a few hundred more

    name: ClassVar[str] = "documents"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.shard_rows < 1:
            raise UserError(f"documents.shard_rows = {self.shard_rows}: use 1 or more")

    @property
    def fields(self) -> Fields:
        """The names that the reader needs."""
        return Fields(self.text_field, self.id_field, self.url_field)

    @property
    def about(self) -> dict[str, str]:
        """The columns of a document that a row may have, and the names of its fields."""
        return {"title": self.title_field, "author": self.author_field, "date": self.date_field}


class Judged(NamedTuple):
    """The rows of one chunk, called by their numbers; and what each is called for good."""

    kept: pa.RecordBatch
    dropped: list[pa.RecordBatch]
    measures: pa.RecordBatch
    names: list[str]
    places: list[str]


def files(settings: OwnTexts) -> list[Source]:
    """Return the files that a recipe names.

    Raises:
        UserError: one does not exist, or cannot be read.
    """
    return source_files.matched(settings.sources, Path.cwd(), "documents.sources")


def wanted(recipe: Any) -> bool:
    """Whether a recipe builds from files of the user's own."""
    return bool(recipe.documents.sources)


def check_recipe(recipe: Any) -> None:
    """Refuse a recipe that names two beginnings.

    Raises:
        UserError: it names links or WARC files too.
    """
    others = {"links.sources": recipe.links.sources, "pages.warc": recipe.pages.warc}
    if wanted(recipe) and (both := [name for name, value in others.items() if value]):
        raise UserError(
            f"documents.sources and {both[0]} are both named; a build begins with one of them: "
            "make two builds, and the second with duplicates.against the first"
        )


def outside(recipe: Any, data: Path) -> Outside:
    """Return a fingerprint of the files, and of what rules and sets read."""
    of_files = fingerprint([source.path for source in files(recipe.documents)])
    inner = of_pages.outside(recipe, data)
    others = [] if inner.known_by is None else [inner.known_by]
    known_by = read_forgotten(data).known_by
    return Outside([*of_files, *others], inner.directories, known_by)


def stages(recipe: Any) -> tuple[Any, ...]:
    """Return the settings in force: of the reading, and of the stages after it."""
    return (recipe.documents, *of_pages.chain_of(recipe))


# --- making documents ----------------------------------------------------------------------------


def work(planned: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Read the files, and run their rows through the chain."""
    settings, *chain = planned.settings
    sources = files(settings)
    check(sources, settings.fields, "documents.text_field")
    return documents(settings, chain, sources, planned.home, workers, progress)


def documents(
    settings: OwnTexts,
    chain: Sequence[Stage],
    sources: Sequence[Source],
    out: Directory,
    workers: Workers,
    progress: Progress,
) -> list[Passage]:
    """Make shards of documents of the sources' rows; return each stage's line of the funnel.

    The bytes do not depend on the number of workers. Called again after a kill, it continues after
    the last whole shard.

    Raises:
        UserError: a file cannot be read, or holds no row at all.
        PipelineError: rows were lost, or a worker was killed.
    """
    seen, first, skip = Seen(), 0, 0
    for first in count():
        if not out.shard(first).exists():
            break
        skip = read_json(note_of(out, first))["chunks"]
        for under in ("", "dropped"):
            for batch in read_batches(out.shard(first, under=under), ["id"], rows=1 << 16):
                seen.new(batch["id"].to_pylist())
    total = sum(source.path.stat().st_size for source in sources)
    taken_up = 0

    def tick(size: int) -> None:
        nonlocal taken_up
        taken_up += size

    chunks = islice(pieces(sources, tick), skip, None)
    judge = partial(judge_chunk, settings, tuple(chain), forgotten=read_forgotten(out.path.parent))
    found = in_order(judge, chunks, workers)
    rows = sum(row_count(path) for path in (*out.shards(), *out.shards("dropped")))
    for number in count(first):
        begun = next(found, None)
        if begun is None:
            break
        read = 0
        with shard(out, number) as (kept_file, dropped_file):
            table = OwnTable(number, out.shard(number, under=UNDER))
            for one in joined([begun], found):
                read += write(one, seen, kept_file, dropped_file, table)
                skip += 1
                progress(min(taken_up, total), total, f"{rows + read:,} rows")
                if read >= settings.shard_rows:
                    break
            table.finish()
            write_json(note_of(out, number), {"chunks": skip})
        rows += read
    if not rows:
        raise UserError(f"{settings.sources[0]}: no row in it; name files that hold texts")
    return passages(chain, any(source.form == "html" for source in sources), out)


def note_of(out: Directory, number: int) -> Path:
    """Return the file that says at which chunk a shard ends."""
    return out.shard(number, "json", under=PROGRESS)


@contextmanager
def shard(out: Directory, number: int) -> Iterator[tuple[Any, Any]]:
    """Give the two files of a shard of rows: whole or absent, and the kept rows come last."""
    with (
        replacing(out.shard(number)) as kept,
        replacing(out.shard(number, under="dropped")) as dropped,
        parquet_writer(kept, DOCUMENT) as kept_file,
        parquet_writer(dropped, with_reasons(DOCUMENT)) as dropped_file,
    ):
        yield kept_file, dropped_file


def judge_chunk(
    settings: OwnTexts, chain: tuple[Stage, ...], chunk: Chunk, forgotten: Forgotten = NOTHING
) -> Judged:
    """Judge the rows of one chunk.

    Raises:
        UserError: it has no field of texts.
    """
    form = chunk.source.form
    rows = rows_of(chunk, settings.fields)
    read_files(rows, form)
    if forgotten:
        rows.leave_out(lambda record: forgotten(url_of(record, settings.fields)), FORGOTTEN)
    urls = [url_of(record, settings.fields) for record in rows.records]
    names = [
        url or plain(record.get(settings.id_field)) or place
        for url, record, place in zip(urls, rows.records, rows.places, strict=True)
    ]
    columns: dict[str, list[Any]] = {
        "id": [str(at) for at in range(len(rows))],
        "url": names,
        "final_url": urls,
        "domain": [domain_of(url) for url in urls],
    }
    about = {
        column: [plain(record.get(name)) for record in rows.records]
        for column, name in settings.about.items()
    }
    measuring = Measuring(chain)
    given = columns if form == "html" else columns | about
    kept, dropped = judged(measuring.chain, rows, form, given)
    bad = batch_of(
        {
            "id": [str(len(rows) + at) for at in range(len(rows.bad))],
            "url": [one.place for one in rows.bad],
            "text": [one.raw for one in rows.bad],
            "dropped_by": [one.reason for one in rows.bad],
        },
        with_reasons(DOCUMENT),
    )
    places = [*rows.places, *(one.place for one in rows.bad)]
    gone = [bad, *dropped]
    return Judged(kept, gone, measured(measuring, kept, gone), names + places[len(rows) :], places)


def write(found: Judged, seen: Seen, kept_file: Any, dropped_file: Any, table: OwnTable) -> int:
    """Write the rows of one chunk under the ids that they have for good; return how many.

    Raises:
        PipelineError: rows were lost or added.
    """
    ids = [text_id(name) for name in found.names]
    new = seen.new(ids)
    again = {
        at: (text_id(place), place)
        for at, (place, first) in enumerate(zip(found.places, new, strict=True))
        if not first
    }
    seen.new([identity for identity, _ in again.values()])
    written = 0
    for file, batches in ((kept_file, [found.kept]), (dropped_file, found.dropped)):
        for batch in batches:
            if batch.num_rows:
                file.write(named(batch, ids, again))
                written += batch.num_rows
    table.add(named(found.measures, ids, again))
    if written != len(ids):
        raise PipelineError(f"{READ}: {len(ids)} rows were read and {written} judged")
    return written


def passages(chain: Sequence[Stage], html: bool, out: Directory) -> list[Passage]:
    """Return each stage's line of the funnel, counted from the files."""
    counted = fates(out.shards("dropped"))
    left = sum(map(row_count, out.shards())) + sum(counted.values())
    found = []
    for name in [READ, *(stage.name for stage in chain if html or stage.name != Extract.name)]:
        dropped = {why: n for why, n in counted.items() if why.startswith(f"{name}.")}
        found.append(Passage(name, left, left - sum(dropped.values()), dropped))
        left = found[-1].kept
    return found


# --- following a document ------------------------------------------------------------------------


def follow(sought: Sought) -> Iterator[Fact]:
    """Return where a row came from, what became of it, and the rules' measures."""
    if sought.id is None:
        return
    for under in ("", "dropped"):
        if found := first_row(sought.made[NAME], sought.id, under):
            shard_number, _, row = found
            told = {"name": row["url"], "shard": shard_number}
            if (fate := row.get("dropped_by")) and fate.startswith(f"{READ}."):
                yield Fact(READ, told, (row["url"],), fate, None)
                return
            yield Fact(READ, told, (row["url"],))
            yield from of_pages.follow(sought)
            return


STEP = Step(
    name=NAME,
    tables={"documents": OwnTexts},  # and those of the other step `documents`
    work=work,
    bytes_depend_on=tuple(sorted((*of_pages.STEP.bytes_depend_on, "orjson"), key=str.lower)),
    fates={**REASONS, **of_pages.FATES},
    wanted=wanted,
    stages=stages,
    outside=outside,
    check=check_recipe,
    foretell=of_pages.STEP.foretell,
    follow=follow,
)
