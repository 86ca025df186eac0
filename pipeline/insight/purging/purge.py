"""Remove what is forgotten from a data directory: plan it, do it, prove it.

Archives are rewritten; what was made of them is removed, for a build makes it again, and what an
earlier build holds of other pages is taken from there as ever. A folder `.purging` holds the plan
from before the first change until the proof: a purge that was killed goes on from it, and no build
begins meanwhile. Each file is replaced or removed as a whole.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from webtext.pipeline.core.directories.checked import ABOUT, MEMORY, about
from webtext.pipeline.core.directories.data_directory import LATEST, step_of
from webtext.pipeline.core.directories.keeping import STARTED, json_or_none
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, replacing, write_json, write_parquet
from webtext.pipeline.corpus import labels
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.commoncrawl import asking
from webtext.pipeline.crawl.commoncrawl import step as commoncrawl
from webtext.pipeline.crawl.commoncrawl.captures import WITHHELD, leads_to
from webtext.pipeline.crawl.frontier import outcomes, recovery, schema
from webtext.pipeline.insight.purging.needles import URL, Needles
from webtext.pipeline.insight.purging.searching import Hit, batches, search
from webtext.pipeline.insight.purging.tombstones import bury, visits
from webtext.pipeline.insight.unreached import REPLACED
from webtext.pipeline.insight.verification import directories
from webtext.pipeline.links import remembered, spill
from webtext.pipeline.tokens import tokens
from webtext.pipeline.urls.forgotten import PURGING, Forgotten, recorded

PLAN: Final = "plan.json"
ROWS: Final = 4096  # at a time
ADDRESSES: Final = (
    "url",
    "final_url",
    "redirects",
    "redirect",
)  # columns that say which pages a row is of
INSPECTOR: Final = "inspector"  # the folder of its tables and index, which it makes anew
OF_LINK: Final = ("id", "url", "domain", "score", "subreddit", "linked")  # columns of the link


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
    fallen: set[str] = set()
    for number, home in enumerate(homes):
        progress(number, len(homes), home.name)
        folders = dict.fromkeys((home.path, about(home.path)))
        rows = [row for folder in folders for row in _rows(folder, forgotten)]
        for row in rows:
            _look_for(row, forgotten, needles)
        if step_of(home) == "tokens":
            _look_for_tokens(home, rows, found, needles)
        if _crawled(home):
            ranges = {
                str(path.relative_to(data)): there
                for path in sorted(home.path.glob("*.warc.gz"))
                if (there := list(visits(path, forgotten)))
            }
            if rows or ranges or _unfinished(home) or fallen & _made_of(home):
                found.warc |= ranges
                found.pages[home.name] = home.manifest() if home.whole else None
                fallen.add(home.name)
        elif rows or fallen & _made_of(home) or (home.path / "spill").is_dir():
            found.removed[home.name] = len(rows)
            fallen.add(home.name)
    found.removed |= {path.name: 0 for path in data.iterdir() if REPLACED.fullmatch(path.name)}
    for path in sorted((data / remembered.FOLDER).glob(f"*/{remembered.ROWS}")):
        if count := sum(int(which.sum()) for _, which in _spilled(path, forgotten)):
            found.harvested[path.parent.name] = count
    found.labels = len(_labelled(data, forgotten))
    found.needles = needles.plain()
    return found


def _crawled(home: Directory) -> bool:
    """Whether it has files that were fetched from the network."""
    return step_of(home) == "pages" and any(home.path.glob("*.warc.gz"))


def _unfinished(home: Directory) -> bool:
    """Whether a crawl there has a table of links, from which it would ask for them."""
    return any((home.path / name).exists() for name in schema.FILES)


def _made_of(home: Directory) -> set[str]:
    """Return the directories that it was, or would be, made of."""
    told = json_or_none(home.manifest_path) or json_or_none(home.path / STARTED)
    inputs = told.get("inputs", told) if isinstance(told, dict) else {}
    return set(inputs) if isinstance(inputs, dict) else set()


def _rows(folder: Path, forgotten: Forgotten) -> Iterator[dict[str, Any]]:
    """Yield the rows of what is forgotten in the tables below a folder."""
    for path in sorted(folder.rglob("*.parquet")):
        try:
            schema_of = pq.read_schema(path)
        except (pa.ArrowException, OSError):
            continue  # torn: the search at the end reads its bytes
        columns = [name for name in ADDRESSES if name in schema_of.names]
        ids = ["id"] * ("id" in schema_of.names)
        if not columns:
            continue
        wanted = [name for name in (*ids, *columns, "text") if name in schema_of.names]
        wanted += [name for name in _places(schema_of) if name not in wanted]
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns)
                which = chosen(table, forgotten)
                if which.any():
                    rows = file.read_row_group(group, wanted).filter(pa.array(which))
                    yield from rows.to_pylist()


def _places(found: pa.Schema) -> tuple[str, ...]:
    """Return the columns that say where a document's tokens are, if there are any."""
    names = ("split", "shard", "start", "length")
    return names if set(names) <= set(found.names) else ()


def chosen(table: pa.Table, forgotten: Forgotten) -> np.ndarray[Any, Any]:
    """Return which rows have an address that is forgotten."""
    which = np.zeros(table.num_rows, np.bool_)
    for name in table.column_names:
        for at, value in enumerate(table[name].to_pylist()):
            which[at] |= forgotten(*(value if isinstance(value, list) else (value,)))
    return which


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
    """Return the bytes of a directory and of what is about it."""
    folders = (data / name, data / ABOUT / name)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


# --- doing ----------------------------------------------------------------------------------------


def begin(data: Path, found: Plan) -> None:
    """Write the plan down; from now on the purge is to be finished."""
    write_json(data / PURGING / PLAN, asdict(found))


def purge(data: Path, found: Plan, progress: Progress = silent) -> list[Hit]:
    """Do what was planned, then look for what is left; return what the search finds.

    May be called again after a kill.
    """
    forgotten = recorded(data)
    for name, ranges in found.warc.items():
        if (data / name).exists():
            bury(data / name, ranges)
    for name, manifest in found.pages.items():
        _archive(Directory(data / name), manifest, forgotten)
    for number, name in enumerate(found.removed):
        progress(number, len(found.removed), name)
        for folder in (data / name, data / ABOUT / name):
            shutil.rmtree(folder, ignore_errors=True)
        (data / MEMORY / f"{name}.json").unlink(missing_ok=True)
    for name in found.harvested:
        _unremember(data / remembered.FOLDER / name, forgotten)
    shutil.rmtree(data / INSPECTOR, ignore_errors=True)
    _unlabel(data, forgotten)
    named = json_or_none(data / LATEST)
    if isinstance(named, dict):
        write_json(data / LATEST, {k: v for k, v in named.items() if v not in found.removed})
    return list(search(data, Needles.of(found.needles), forgotten, data / PURGING))


def end(data: Path) -> None:
    """Forget what was looked for."""
    shutil.rmtree(data / PURGING)


def _archive(home: Directory, manifest: dict[str, Any] | None, forgotten: Forgotten) -> None:
    """Take what is forgotten out of a crawl's own tables; its WARC files have lost it already."""
    home.sweep()
    home.manifest_path.unlink(missing_ok=True)
    indexed = (home.path / asking.UNDER).is_dir()
    fate = commoncrawl.FORGOTTEN if indexed else fates.FORGOTTEN
    for path in sorted(home.path.rglob("*.parquet")):
        if path.parent.name == asking.UNDER:
            _without_captures(path, forgotten)
        else:
            _without_rows(path, forgotten, fate)
    for path in sorted(home.path.rglob(outcomes.INDEX)):
        _without_lines(path, forgotten)
    for path in [path for name in schema.FILES for path in home.path.rglob(name)]:
        path.unlink()  # what it holds is in the WARC files as well
    shutil.rmtree(home.path / recovery.TORN, ignore_errors=True)  # ends of records of killed crawls
    if manifest is not None:
        told = {key: value for key, value in manifest.items() if key != "files"}
        if "crawl" in told.get("stages", {}):
            counted = commoncrawl.passage(home) if indexed else outcomes.passage(home)
            told["passages"] = [asdict(counted)]
        given = {name: Directory(home.path.parent / name) for name in told["inputs"]}
        told["inputs"] |= {name: one.fingerprint() for name, one in given.items() if one.whole}
        home.finish(told)


def _without_rows(path: Path, forgotten: Forgotten, fate: str) -> None:
    """Leave of an outcome of what is forgotten its id and its fate, and of others' their link."""
    table = pq.read_table(path)
    columns = [name for name in ADDRESSES if name in table.column_names]
    which = chosen(table.select(columns), forgotten)
    if not which.any():
        return
    own = chosen(table.select([name for name in ("url",) if name in columns]), forgotten)
    made = {}
    for schema_field in table.schema:
        name = schema_field.name
        mask = own & (name != "id") if name in OF_LINK else which
        new = pa.scalar(fate if name == "dropped_by" else None, schema_field.type)
        values = table[name].combine_chunks()
        rows = values.to_pylist()
        made[name] = pa.array(
            [new.as_py() if gone else row for gone, row in zip(mask, rows, strict=True)],
            schema_field.type,
        )
    whole = pa.table(made, schema=table.schema)
    write_parquet(path, whole.to_batches(ROWS), table.schema)


def _without_captures(path: Path, forgotten: Forgotten) -> None:
    """Take what is forgotten out of the answers of Common Crawl's index."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    kept = [
        {**row, "redirect": WITHHELD} if leads_to(row["url"], row["redirect"], forgotten) else row
        for row in rows
        if not forgotten(row["url"])
    ]
    if kept != rows:
        whole = pa.Table.from_pylist(kept, table.schema)
        write_parquet(path, whole.to_batches(ROWS), table.schema)


def _without_lines(path: Path, forgotten: Forgotten) -> None:
    """Take the lines of what is forgotten out of a CDXJ index."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    urls = [json.loads("{" + line.partition("{")[2])["url"] for line in lines]
    kept = [line for line, url in zip(lines, urls, strict=True) if not forgotten(url)]
    if kept != lines:
        with replacing(path) as partial:
            partial.write_text("".join(kept), encoding="utf-8")


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
