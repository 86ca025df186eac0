"""Good and bad training documents, from files or from a build's kept and dropped documents."""

from collections.abc import Iterator, Sequence
from heapq import nsmallest
from pathlib import Path
from shlex import quote

import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.corpus import labels
from webtext.pipeline.filters.classifier import Example
from webtext.pipeline.insight.judge import texts


def of_files(paths: Sequence[Path]) -> Iterator[Example]:
    """Yield the documents of JSONL or Parquet files with id and text, each a group of its own.

    Raises:
        UserError: a file is missing, or a row lacks an id or a text.
    """
    for path in paths:
        for identity, text in texts(path):
            yield Example(identity, text)


def by_rules(documents: Directory, kept: bool, most: int) -> Iterator[Example]:
    """Yield documents that the rules kept, or dropped; each site is a group."""
    names = ["id", "domain", "text", *([] if kept else ["dropped_by"])]

    def rows() -> Iterator[tuple[str, str, str]]:
        for path in documents.shards("" if kept else "dropped"):
            for batch in read_batches(path, names, rows=1 << 12):
                chosen = batch
                if not kept:
                    chosen = batch.filter(pc.starts_with(batch["dropped_by"], "rules."))
                for row in chosen.to_pylist():
                    yield row["id"], row["domain"], row["text"] or ""

    yield from smallest(rows(), most)


def by_labels(documents: Directory, data: Path, label: str, most: int) -> Iterator[Example]:
    """Yield documents that people gave this label, kept or dropped; each site is a group.

    Raises:
        UserError: none of these documents has it.
    """
    wanted = pa.array([one.id for one in labels.read(data).values() if one.label == label])

    def rows() -> Iterator[tuple[str, str, str]]:
        for under in ("", "dropped"):
            for path in documents.shards(under):
                for batch in read_batches(path, ["id", "domain", "text"], rows=1 << 12):
                    chosen = batch.filter(pc.is_in(batch["id"], wanted.cast(pa.string())))
                    for row in chosen.to_pylist():
                        yield row["id"], row["domain"], row["text"] or ""

    found = list(smallest(rows(), most))
    if not found:
        raise UserError(
            f"{data / labels.FILE}: no document of {documents.name} is labelled {label}; label "
            f"some with: webtext inspect --data {quote(str(data))}"
        )
    yield from found


def by_score(corpus: Directory, karma: int, high: bool, most: int) -> Iterator[Example]:
    """Yield documents whose links had `karma` or more, or had less; each site is a group."""

    def rows() -> Iterator[tuple[str, str, str]]:
        for path in corpus.shards():
            for batch in read_batches(path, ["id", "domain", "score", "text"], rows=1 << 12):
                test = pc.greater_equal if high else pc.less
                for row in batch.filter(test(batch["score"], karma)).to_pylist():
                    yield row["id"], row["domain"], row["text"] or ""

    yield from smallest(rows(), most)


def smallest(rows: Iterator[tuple[str, str, str]], most: int) -> Iterator[Example]:
    """Yield those with the smallest ids; ids are hashes, so this is a random sample."""
    for _, domain, text in nsmallest(most, rows):
        yield Example(domain, text)
