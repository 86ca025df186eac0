"""The table `measures` of the documents step: what was measured on every document, and no text.

A row for each document that is kept or dropped, sorted by id in each shard, which has the number of
its shard of pages. Whoever moves a bound, counts or draws asks this table and reads no text again.

It has a column for each rule that is measured on every document (`Rules.measured`), named as in
a reason, with the exact number that is compared with the bounds; null where there is no text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.shards import Directory, read_shard, write_parquet
from webtext.pipeline.core.stage import Stage
from webtext.pipeline.filters.measuring.reused import FATE_KEPT, FOLDER, Reused
from webtext.pipeline.filters.rules import Rules
from webtext.pipeline.words.scripts import SCRIPTS, look

UNDER = FOLDER  # in a directory of documents
KEPT = FATE_KEPT  # the fate of a document that no stage dropped
ROWS = 1 << 13  # of a row group: what is read to find one row

FACTS = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("final_url", pa.string()),  # after redirects
        ("domain", pa.string()),
        ("score", pa.int32()),  # with the next two, of its link; null where that has none
        ("subreddit", pa.string()),
        ("linked", pa.timestamp("ms", tz="UTC")),
        ("fate", pa.string()),  # KEPT, or the reason for which a stage of this step dropped it
        ("value", pa.float64()),  # the measure that decided, if there is one
        ("language", pa.string()),
        ("language_probability", pa.float32()),
        # Of the text as it is stored: after the edits of the rules and without personal data where
        # it is kept, as the stage that dropped it saw it where not. Null where there is no text.
        ("bytes", pa.int64()),  # in UTF-8
        ("characters", pa.int64()),
        ("words", pa.int64()),  # between white space
        ("lines", pa.int64()),  # between newlines
        ("text_digest", pa.string()),  # BLAKE2b of it, 16 hexadecimal digits: is it the same text?
        # The share of its letters in each script; null where it has no letter.
        *((f"script_{name}", pa.float32()) for name in SCRIPTS),
        ("source_file", pa.string()),  # the WARC file with the page's body, relative to the pages
        ("source_offset", pa.int64()),  # of its record, in bytes; null: read from the file's start
        ("source_length", pa.int64()),  # of the record, in bytes of the file
        ("digest", pa.string()),  # "sha1:..." of the decoded body
        ("shard", pa.int32()),  # with `row`, where it is: in the file of this number,
        ("row", pa.int64()),  # from 0, of kept documents if it is kept, else of dropped ones
    ]
)
REPEATED = ["domain", "subreddit", "fate", "language", "source_file", "shard"]  # few values each
SOURCE = ("source_file", "source_offset", "source_length", "digest")


def schema(rules: Rules | None) -> pa.Schema:
    """Return the columns of the table; without rules, those of all documents."""
    names = rules.measured if rules else []
    return pa.schema([*FACTS, *((name, pa.float64()) for name in names)])


@dataclass(frozen=True)
class Noting:
    """The stage of the rules, which also notes what it measures, by the document's id."""

    rules: Rules
    noted: dict[str, list[float]] = field(default_factory=dict)

    name: ClassVar[str] = Rules.name
    version: ClassVar[int] = Rules.version
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        out, found = self.rules.weighed(batch)
        self.noted.update(zip(batch["id"].to_pylist(), found, strict=True))
        return out


class Measuring:
    """Makes the rows of the table for documents that pass a chain."""

    def __init__(self, chain: Sequence[Stage]) -> None:
        self.rules = next((stage for stage in chain if isinstance(stage, Rules)), None)
        self._noting = Noting(self.rules) if self.rules else None
        self.chain: list[Stage] = [
            self._noting if self._noting and stage is self.rules else stage for stage in chain
        ]
        self.schema = schema(self.rules)

    def clear(self) -> None:
        """Forget what was noted of the documents so far."""
        if self._noting:
            self._noting.noted.clear()

    def of(self, part: pa.RecordBatch, rows: npt.NDArray[np.int64], number: int) -> pa.RecordBatch:
        """Return the rows of the table for documents that are at these rows of file `number`.

        Of where the bodies of their pages are nothing is known.
        """
        kept = "dropped_by" not in part.schema.names
        text, count = part["text"], part.num_rows
        texts: list[str | None] = text.to_pylist()
        lacking = text.is_null().to_numpy(zero_copy_only=False)
        looked = [look(each or "") for each in texts]
        scripts = np.array([each.shares for each in looked], np.float32)
        numbers: dict[str, pa.Array] = {
            "fate": pa.array([KEPT] * count) if kept else part["dropped_by"],
            "value": pa.nulls(count, pa.float64()) if kept else part["dropped_value"],
            "bytes": pc.binary_length(text).cast(pa.int64()),
            "characters": pc.utf8_length(text).cast(pa.int64()),
            "words": pa.array([each.words for each in looked], mask=lacking),
            "lines": pc.add(pc.count_substring(text, "\n"), 1).cast(pa.int64()),
            "text_digest": pa.array([None if each is None else digest_of(each) for each in texts]),
            "shard": pa.array(np.full(count, number, np.int32)),
            "row": pa.array(rows),
        }
        for place, name in enumerate(SCRIPTS):
            numbers[f"script_{name}"] = pa.array(scripts[:, place], from_pandas=True)
        if self.rules:
            found = np.array(self._measures(part, texts), np.float64).reshape(count, -1)
            for place, name in enumerate(self.rules.measured):
                numbers[name] = pa.array(found[:, place], mask=lacking)
        return pa.RecordBatch.from_arrays(
            [
                (numbers[item.name] if item.name in numbers else part[item.name]).cast(item.type)
                if item.name not in SOURCE
                else pa.nulls(count, item.type)
                for item in self.schema
            ],
            schema=self.schema,
        )

    def _measures(self, part: pa.RecordBatch, texts: list[str | None]) -> list[list[float]]:
        """Return what the rules noted; a document that was dropped before is measured now."""
        assert self.rules, "who asks knows that there are rules"
        noted = self._noting.noted if self._noting else {}
        urls = pc.coalesce(part["final_url"], part["url"], "").to_pylist()
        blank = [0.0] * len(self.rules.measured)
        found = []
        columns = (part["id"].to_pylist(), texts, urls, part["language"].to_pylist())
        for identity, text, url, language in zip(*columns, strict=True):
            if text is None:
                found.append(blank)
            elif identity in noted:
                found.append(noted[identity])
            else:
                found.append(self.rules.weigh(text, url, language=language)[2])
        return found


class Table:
    """The table of one shard, collected while its pages pass the chain.

    It is held in memory until the shard is done: some 700 bytes a document.
    """

    def __init__(
        self,
        chain: Sequence[Stage],
        pages: Directory,
        out: Directory,
        number: int,
        reused: Reused | None = None,
    ) -> None:
        self._reused = reused
        self._measuring = Measuring(chain)
        self.chain = self._measuring.chain
        self._pages = pages
        self._number = number
        self._path = out.shard(number, under=UNDER)
        self._schema = self._measuring.schema
        self._parts: list[pa.RecordBatch] = []
        self._rows = {True: 0, False: 0}  # written so far, kept and dropped

    def add(self, left: pa.RecordBatch, gone: Sequence[pa.RecordBatch]) -> None:
        """Measure what is left of a batch of pages, and what was dropped of it."""
        for part in (left, *gone):
            if part.num_rows:
                self._parts += self._counted(part)
        self._measuring.clear()

    def finish(self) -> None:
        """Write the table."""
        table = pa.Table.from_batches(self._parts, self._schema).sort_by("id")
        table = with_sources(table, self._pages, self._number)
        write_parquet(self._path, table.to_batches(ROWS), self._schema, REPEATED)

    def _counted(self, part: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the table for some documents, without their sources."""
        kept = "dropped_by" not in part.schema.names
        rows = np.arange(self._rows[kept], self._rows[kept] + part.num_rows)
        self._rows[kept] += part.num_rows
        if self._reused is None:
            yield self._measuring.of(part, rows, self._number)
            return
        known = pc.is_valid(self._reused.places(part["id"]))
        among = known.to_numpy(zero_copy_only=False)
        if among.any():
            yield self._reused.measured(part.filter(known), rows[among], self._schema)
        if not among.all():
            rest = part.filter(pc.invert(known))
            yield self._measuring.of(rest, rows[~among], self._number)


def digest_of(text: str) -> str:
    """Return 64 bits of BLAKE2b of a text in UTF-8, in hexadecimal digits.

    >>> digest_of("")
    'e4a6a0577479b2b4'
    """
    return blake2b(text.encode(), digest_size=8).hexdigest()


def with_sources(table: pa.Table, pages: Directory, number: int) -> pa.Table:
    """Fill in where the body of each page is: its own record, or that of an earlier crawl."""
    path = pages.shard(number, under="outcomes")
    places = [f"{where}_{part}" for part in ("file", "offset", "length")
              for where in ("payload", "warc")]  # fmt: skip
    outcomes = read_shard(path, ["id", "dropped_by", "digest", *places])
    outcomes = outcomes.filter(pc.is_null(outcomes["dropped_by"])).combine_chunks()
    earlier = outcomes["payload_file"].is_valid()
    at = pc.index_in(table["id"], outcomes["id"])
    for name in SOURCE:
        column = outcomes["digest"]
        if name != "digest":
            part = name.removeprefix("source_")
            own, other = outcomes[f"warc_{part}"], outcomes[f"payload_{part}"]
            column = pc.if_else(earlier, other, own)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), column.take(at))
    return table


def tables(documents: Directory) -> list[Path]:
    """Return the files of the table, as the manifest lists them; none if it was made without.

    Raises:
        UserError: the manifest is missing or damaged.
    """
    return documents.shards(UNDER)
