"""Take what is forgotten out of a crawl's own tables; its WARC files have lost it before."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from webtext.pipeline.core.shards import Directory, replacing, write_parquet
from webtext.pipeline.crawl import fates
from webtext.pipeline.crawl.commoncrawl import captures
from webtext.pipeline.crawl.commoncrawl import step as commoncrawl
from webtext.pipeline.crawl.commoncrawl.captures import WITHHELD, leads_to
from webtext.pipeline.crawl.frontier import outcomes, recovery, schema
from webtext.pipeline.insight.purging import tombstones
from webtext.pipeline.urls.forgotten import Forgotten

ROWS: Final = 4096  # at a time
ADDRESSES: Final = ("url", "final_url", "redirects", "redirect")  # say which pages a row is of
OF_LINK: Final = ("id", "url", "domain", "score", "subreddit", "linked")  # columns of the link


def without(home: Directory, manifest: dict[str, Any] | None, forgotten: Forgotten) -> None:
    """Take what is forgotten out of a crawl's own tables; its WARC files have lost it already."""
    home.sweep()
    home.manifest_path.unlink(missing_ok=True)
    indexed = (home.path / captures.UNDER).is_dir()
    fate = commoncrawl.FORGOTTEN if indexed else fates.FORGOTTEN
    for path in sorted(home.path.rglob("*.parquet")):
        if path.parent.name == captures.UNDER:
            _without_captures(path, forgotten)
        else:
            _without_rows(path, forgotten, fate)
    for path in sorted(home.path.rglob(outcomes.INDEX)):
        _without_lines(path, forgotten)
    for path in [path for name in schema.FILES for path in home.path.rglob(name)]:
        path.unlink()  # what it holds is in the WARC files as well
    shutil.rmtree(home.path / schema.PARTS, ignore_errors=True)  # their slices are appended
    for path in sorted((home.path / recovery.TORN).glob("*")):
        _without_visits(path, forgotten)
    if manifest is not None:
        told = {key: value for key, value in manifest.items() if key != "files"}
        if "crawl" in told.get("stages", {}):
            counted = commoncrawl.passage(home) if indexed else outcomes.passage(home)
            told["passages"] = [asdict(counted)]
        given = {name: Directory(home.path.parent / name) for name in told["inputs"]}
        told["inputs"] |= {name: one.fingerprint() for name, one in given.items() if one.whole}
        home.finish(told)


def _without_visits(path: Path, forgotten: Forgotten) -> None:
    """Keep of bytes that fit into no file of a crawl the whole visits to what is not forgotten.

    Nobody can say of the others, such as the end of a file that a kill cut off, whose they are.
    """
    kept = list(tombstones.visits(path, forgotten, others=True))
    if sum(end - first for first, end in kept) == path.stat().st_size:
        return
    if not kept:
        path.unlink()
        return
    with path.open("rb") as source, replacing(path) as partial, partial.open("wb") as copy:
        for first, end in kept:
            source.seek(first)
            tombstones.copied(source, copy, end - first)


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


def chosen(table: pa.Table, forgotten: Forgotten) -> np.ndarray[Any, Any]:
    """Return which rows have an address that is forgotten."""
    which = np.zeros(table.num_rows, np.bool_)
    for name in table.column_names:
        for at, value in enumerate(table[name].to_pylist()):
            which[at] |= forgotten(*(value if isinstance(value, list) else (value,)))
    return which
