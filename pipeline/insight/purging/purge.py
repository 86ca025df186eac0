"""Remove what is forgotten from a data directory: plan it, do it, prove it.

Archives are rewritten; what was made of them is removed, for a build makes it again, and what an
earlier build holds of other pages is taken from there as ever. A folder `.purging` holds the plan
from before the first change until the proof: a purge that was killed goes on from it, and no build
begins meanwhile. Each file is replaced or removed as a whole.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from webtext.pipeline.core.directories.checked import ABOUT, MEMORY, about, listed
from webtext.pipeline.core.directories.data_directory import LATEST, step_of
from webtext.pipeline.core.directories.keeping import json_or_none
from webtext.pipeline.core.directories.places import PLAN, REPORT
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, replacing, write_json
from webtext.pipeline.core.stores import shared_notes, working_copy
from webtext.pipeline.core.stores.store_records import BESIDE, stored
from webtext.pipeline.corpus import labels
from webtext.pipeline.crawl.division import slices
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.insight.purging import archives, in_store
from webtext.pipeline.insight.purging.needles import URL, Needles
from webtext.pipeline.insight.purging.searching import Hit, batches, search
from webtext.pipeline.insight.purging.tombstones import bury, visits
from webtext.pipeline.insight.unreached import REPLACED, inputs_of
from webtext.pipeline.insight.verification import directories
from webtext.pipeline.links import remembered, spill
from webtext.pipeline.tokens import tokens
from webtext.pipeline.urls.forgotten import PURGING, Forgotten, recorded

INSPECTOR: Final = "inspector"  # the folder of its tables and index, which it makes anew


@dataclass
class Plan:
    """What a purge changes and removes, and what it looks for at its end."""

    warc: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # byte ranges, by file
    pages: dict[str, dict[str, Any] | None] = field(default_factory=dict)  # with their manifests
    removed: dict[str, int] = field(default_factory=dict)  # rows in them, by directory
    harvested: dict[str, int] = field(default_factory=dict)  # rows, by folder
    labels: int = 0
    documents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by tokens' sha256
    needles: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.warc or self.pages or self.removed or self.harvested or self.labels)

    def and_(self, other: "Plan") -> "Plan":
        """Return this plan, which also looks for what another one looks for."""
        return replace(
            self, needles=sorted({(kind, one) for kind, one in (*self.needles, *other.needles)})
        )


def unfinished(data: Path) -> Plan | None:
    """Return the plan of a purge that was interrupted, None if there is none: begin anew."""
    found = json_or_none(data / PURGING / PLAN)
    return msgspec.convert(found, Plan) if isinstance(found, dict) else None


# --- planning -------------------------------------------------------------------------------------


def plan(data: Path, names: Sequence[str], progress: Progress = silent) -> Plan:
    """Find all that holds something of what is forgotten; nothing is changed.

    `names` are those of the steps, in their order.
    """
    forgotten = recorded(data)
    found, needles = Plan(), Needles()
    homes = directories(data, names)
    homes += [Directory(path) for path in sorted(data.iterdir()) if BESIDE.fullmatch(path.name)]
    fallen: set[str] = set()
    for number, home in enumerate(homes):
        progress(number, len(homes), home.name)
        with in_store.at_hand(home):
            rows = _all_rows(home, forgotten)
            if _step(home) == "tokens":
                _look_for_tokens(home, rows, found, needles)
            crawled = _crawled(home)
            ranges = _ranges(home, forgotten) if crawled else {}
        for row in rows:
            _look_for(row, forgotten, needles)
        if crawled:
            if rows or ranges or _unfinished(home) or fallen & {*inputs_of(home)}:
                found.warc |= ranges
                found.pages[home.name] = home.manifest() if home.whole else None
                fallen.add(home.name)
        elif rows or fallen & {*inputs_of(home)} or (home.path / "spill").is_dir():
            # The table of measures has a row of each document too.
            found.removed[home.name] = len({row.get("id", at) for at, row in enumerate(rows)})
            fallen.add(home.name)
    found.removed |= {path.name: 0 for path in data.iterdir() if REPLACED.fullmatch(path.name)}
    for path in sorted((data / remembered.FOLDER).glob(f"*/{remembered.ROWS}")):
        if count := sum(int(which.sum()) for _, which in _spilled(path, forgotten)):
            found.harvested[path.parent.name] = count
    found.labels = len(_labelled(data, forgotten))
    found.needles = needles.plain()
    return found


def _step(home: Directory) -> str:
    """Return whose directory it is, also of one that another machine was quicker to finish."""
    return step_of(home).partition("-")[0]


def _all_rows(home: Directory, forgotten: Forgotten) -> list[dict[str, Any]]:
    folders = dict.fromkeys((home.path, about(home.path)))
    return [row for folder in folders for row in _rows(folder, forgotten)]


def _ranges(home: Directory, forgotten: Forgotten) -> dict[str, list[tuple[int, int]]]:
    """Return where the visits to what is forgotten are, by the names of files below the data."""
    found = {path: list(visits(path, forgotten)) for path in sorted(home.path.glob("*.warc.gz"))}
    return {f"{home.name}/{path.name}": there for path, there in found.items() if there}


def _crawled(home: Directory) -> bool:
    """Whether it has files that were fetched from the network."""
    fetched = any(home.path.glob("*.warc.gz")) or bool(slices.waiting(home.path))
    return _step(home) == "pages" and fetched


def _unfinished(home: Directory) -> bool:
    """Whether a crawl there has a table of links, from which it would ask for them."""
    return any((home.path / name).exists() for name in schema.FILES)


def _rows(folder: Path, forgotten: Forgotten) -> Iterator[dict[str, Any]]:
    """Yield the rows of what is forgotten in the tables below a folder."""
    for path in sorted(folder.rglob("*.parquet")):
        try:
            schema_of = pq.read_schema(path)
        except (pa.ArrowException, OSError):
            continue  # torn: the search at the end reads its bytes
        columns = [name for name in archives.ADDRESSES if name in schema_of.names]
        ids = ["id"] * ("id" in schema_of.names)
        if not columns:
            continue
        wanted = [name for name in (*ids, *columns, "text") if name in schema_of.names]
        wanted += [name for name in _places(schema_of) if name not in wanted]
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns)
                which = archives.chosen(table, forgotten)
                if which.any():
                    rows = file.read_row_group(group, wanted).filter(pa.array(which))
                    yield from rows.to_pylist()


def _places(found: pa.Schema) -> tuple[str, ...]:
    """Return the columns that say where a document's tokens are, if there are any."""
    names = ("split", "shard", "start", "length")
    return names if set(names) <= set(found.names) else ()


def _look_for(row: dict[str, Any], forgotten: Forgotten, needles: Needles) -> None:
    addresses = [row.get(name) for name in ("url", "final_url", "redirect")]
    addresses += row.get("redirects") or ()
    for url in filter(forgotten, addresses):
        needles.add(str(url).encode(), URL)
    if row.get("text"):
        needles.add_text(row["text"])


def _look_for_tokens(
    home: Directory, rows: list[dict[str, Any]], found: Plan, needles: Needles
) -> None:
    """Look for the tokens of documents, and note whose they are, for the runs that read them."""
    for row in rows:
        needles.add_tokens(tokens.document_tokens(home, row))
    if rows and home.whole:
        kept = [{name: row[name] for name in ("id", "url")} for row in rows]
        found.documents[home.fingerprint()] = kept


def _spilled(
    path: Path, forgotten: Forgotten
) -> Iterator[tuple[pa.RecordBatch, np.ndarray[Any, Any]]]:
    """Yield what a harvest remembers, and which rows tell of what is forgotten."""
    for batch in batches(path):
        ids = pc.fill_null(batch["id"], 0).to_numpy()
        which = forgotten.chosen(ids, batch["url"], batch["domain"])
        yield batch, which & (batch["url"].is_valid().to_numpy(zero_copy_only=False))


def _labelled(data: Path, forgotten: Forgotten) -> list[str]:
    return [one.id for one in labels.read(data).values() if forgotten(one.url)]


def size_of(data: Path, name: str) -> int:
    """Return the bytes of a directory and of what is about it, wherever it lies."""
    if stored(data / name):
        return sum(int(one["bytes"]) for one in listed(data / name).values())
    folders = (data / name, data / ABOUT / name)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


# --- doing ----------------------------------------------------------------------------------------


def begin(data: Path, found: Plan) -> None:
    """Write the plan down; from now on the purge is to be finished."""
    if copy := working_copy.of(data):
        shared_notes.share_plan(data, copy.store, asdict(found))
    else:
        write_json(data / PURGING / PLAN, asdict(found))


def purge(data: Path, found: Plan, progress: Progress = silent) -> list[Hit]:
    """Do what was planned, then look for what is left; return what the search finds.

    May be called again after a kill.
    """
    forgotten = recorded(data)
    for name, manifest in found.pages.items():
        archive = Directory(data / name)
        with in_store.at_hand(archive):
            slices.left(archive.path)  # of a crawl that was killed; its pages are cut as others
            more = _ranges(archive, forgotten) if manifest is None else {}
            for path in sorted(archive.path.glob("*.warc.gz")):
                file = f"{name}/{path.name}"
                if ranges := {*found.warc.get(file, ()), *more.get(file, ())}:
                    bury(path, ranges)
            archives.without(archive, manifest, forgotten)
            in_store.sent(archive)
    in_store.removed(data, found.removed)
    for number, name in enumerate(found.removed):
        progress(number, len(found.removed), name)
        for home in (data / name, data / ABOUT / name):
            shutil.rmtree(home, ignore_errors=True)
        (data / MEMORY / f"{name}.json").unlink(missing_ok=True)
    for name in found.harvested:
        if (folder := data / remembered.FOLDER / name).is_dir():  # else it is another machine's
            _unremember(folder, forgotten)
    shutil.rmtree(data / INSPECTOR, ignore_errors=True)
    (data / REPORT).unlink(missing_ok=True)  # of documents that may be gone by now
    if copy := working_copy.of(data):
        copy.store.delete(REPORT)
    _unlabel(data, forgotten)
    named = json_or_none(data / LATEST)
    if isinstance(named, dict):
        write_json(data / LATEST, {k: v for k, v in named.items() if v not in found.removed})
    needles = Needles.of(found.needles)
    hits = list(search(data, needles, forgotten, data / PURGING))
    return [*hits, *in_store.search(data, needles, forgotten, progress)]


def end(data: Path) -> None:
    """Forget what was looked for."""
    in_store.ended(data)
    shutil.rmtree(data / PURGING)


def _unremember(folder: Path, forgotten: Forgotten) -> None:
    """Rewrite what a harvest remembers of a source, without what says whose the rows are."""
    rows, note = folder / remembered.ROWS, folder / remembered.NOTE
    said = json_or_none(note)
    note.unlink(missing_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=spill.CODEC)
    with (
        replacing(rows) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, spill.SPILL, options=options) as writer,
    ):
        for batch, which in _spilled(rows, forgotten):
            writer.write_batch(spill.nameless(batch, which))
    if isinstance(said, dict) and "records" in said:  # else the source is read again
        remembered.Place(rows, note).finish(int(said["records"]))


def _unlabel(data: Path, forgotten: Forgotten) -> None:
    path = data / labels.FILE
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)

    def stays(line: bytes) -> bool:
        try:
            return not forgotten(str(json.loads(line).get("url", "")))
        except (ValueError, AttributeError):
            return True

    kept = [line for line in lines if stays(line)]
    if kept != lines:
        with replacing(path) as partial:
            partial.write_bytes(b"".join(kept))


def check(data: Path) -> None:
    """Refuse to purge where nothing was ever to be forgotten.

    Raises:
        UserError: nothing is recorded there.
    """
    if not recorded(data):
        raise UserError(
            f"{data}: nothing is to be forgotten there; name a domain, a URL or a file, with "
            "--reason"
        )
