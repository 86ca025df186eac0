"""Full-text search over titles and texts, of kept and dropped documents alike, by tantivy.

The index is made by a process of its own, while the pages are already shown, and lies in the cache
beside the data. It is named after the manifest of the documents, and holds no text itself.
"""

import multiprocessing
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import tantivy

from webtext.pipeline.core.shards import Directory, digest, read_batches, row_count

FORMAT = 1  # of the index; another number makes it anew
HEAP = 256 << 20  # bytes that tantivy collects before it writes a segment
MOST = 100_000  # matches, the best ones, that are filtered and ordered; the page says if more match
ASIDE = 10  # nice value of the process that makes the index, so that pages come first
UNDER = {"": 0, "dropped": 1}

# Source: tantivy's "default" analyser, SimpleTokenizer: runs of alphanumeric characters, in lower
# case, those of 40 bytes and more left out.
WORD = re.compile(r"[^\W_]+")
QUERY = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


class Asked(NamedTuple):
    """One part of a search: words that must follow each other, wanted or unwanted."""

    words: tuple[str, ...]
    wanted: bool

    @property
    def pattern(self) -> re.Pattern[str]:
        """What matches it in a text."""
        between = r"[\W_]+".join(map(re.escape, self.words))
        return re.compile(rf"(?<![^\W_]){between}(?![^\W_])", re.IGNORECASE)


def parse(query: str) -> list[Asked]:
    """Return the parts of a search: words and "phrases", each with - before it if unwanted.

    A word with a hyphen or the like is a phrase of its parts.

    >>> [(part.words, part.wanted) for part in parse('cookie -"no thanks" e-mail')]
    [(('cookie',), True), (('no', 'thanks'), False), (('e', 'mail'), True)]
    """
    found = []
    for minus, phrase, word in QUERY.findall(query):
        if words := tuple(WORD.findall((phrase or word).lower())):
            found.append(Asked(words, not minus))
    return found


def schema() -> tantivy.Schema:
    """Return the fields of the index."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="default", index_option="position")
    builder.add_unsigned_field("key", stored=False, indexed=False, fast=True)
    return builder.build()


def key(passed: bool, shard: int, place: int) -> int:
    """Return the number that stands for the place of a document, as the table computes it too."""
    return (0 if passed else 1 << 62) + (shard << 32) + place


KEY = "CASE WHEN passed THEN 0 ELSE 1::UBIGINT << 62 END + (shard::UBIGINT << 32) + place"


# --- making ---------------------------------------------------------------------------------------


def make(documents: Directory, path: Path, done: Any = None) -> None:
    """Write the index of all documents, completely or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fields = schema()
    writer = tantivy.Index(fields, path=str(partial)).writer(HEAP, 1)
    for under, side in UNDER.items():
        for number in documents.numbers(under):
            place = 0
            for batch in read_batches(documents.shard(number, under=under), ["title", "text"]):
                titles, texts = (batch[name].to_pylist() for name in ("title", "text"))
                for title, text in zip(titles, texts, strict=True):
                    document = tantivy.Document()
                    document.add_text("text", f"{title or ''}\n{text or ''}")
                    document.add_unsigned("key", key(not side, number, place))
                    writer.add_document(document)
                    place += 1
                if done is not None:
                    done.value += batch.num_rows
    writer.commit()
    writer.wait_merging_threads()
    partial.rename(path)


def _in_the_background(documents: Directory, path: Path, done: Any) -> None:
    """Make the index in a process of its own."""
    os.nice(ASIDE)
    make(documents, path, done)


# --- asking ---------------------------------------------------------------------------------------


@dataclass
class Search:
    """The index of one build's documents, there or being made."""

    documents: Directory
    folder: Path
    _index: tantivy.Index | None = None
    _process: Any = None
    _done: Any = field(default_factory=lambda: multiprocessing.get_context("spawn").Value("Q", 0))

    @property
    def path(self) -> Path:
        return self.folder / f"text-{digest(FORMAT, self.documents.fingerprint())}"

    @property
    def ready(self) -> bool:
        """Whether the index is there."""
        return self.path.is_dir()

    @property
    def failed(self) -> bool:
        """Whether the process that made it has ended without it."""
        return (
            self._process is not None and self._process.exitcode not in (None, 0) and not self.ready
        )

    def start(self) -> None:
        """Make the index in the background, if it is not there."""
        if self.ready or self._process is not None:
            return
        for old in self.folder.glob("text-*"):
            if old != self.path:
                shutil.rmtree(old, ignore_errors=True)
        context = multiprocessing.get_context("spawn")
        arguments = (self.documents, self.path, self._done)
        self._process = context.Process(target=_in_the_background, args=arguments, daemon=True)
        self._process.start()

    def stop(self) -> None:
        """End the process that makes the index; the next start makes it anew."""
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            for partial in self.folder.glob(f"{self.path.name}.{self._process.pid}.partial"):
                shutil.rmtree(partial, ignore_errors=True)

    def share_done(self) -> float:
        """Return the share of the documents that are in the index already."""
        unders = [path for under in UNDER for path in self.documents.shards(under)]
        total = sum(map(row_count, unders))
        return min(1.0, self._done.value / total) if total else 1.0

    def hits(self, query: str) -> tuple[pa.Table, int]:
        """Return the best matches by their keys, the best first, and how many there are in all."""
        if self._index is None:
            self._index = tantivy.Index.open(str(self.path))
        found = self._index.searcher().search(asked(parse(query)), MOST)
        addresses = [address for _, address in found.hits]
        keys = self._index.searcher().fast_field_values("key", addresses) if addresses else []
        table = pa.table(
            {
                "key": pa.array(np.array(keys, np.uint64)),
                "rank": pa.array(np.arange(len(keys), dtype=np.int32)),
            }
        )
        return table, int(getattr(found, "count"))  # noqa: B009 -- not in its stubs


def asked(parts: Sequence[Asked]) -> tantivy.Query:
    """Return a search for tantivy: all wanted parts, and none of the unwanted."""
    fields = schema()
    clauses = []
    for part in parts:
        if len(part.words) == 1:
            query = tantivy.Query.term_query(fields, "text", part.words[0], "freq")
        else:
            query = tantivy.Query.phrase_query(fields, "text", list(part.words))
        clauses.append((tantivy.Occur.Must if part.wanted else tantivy.Occur.MustNot, query))
    if not any(part.wanted for part in parts):
        clauses.append((tantivy.Occur.Must, tantivy.Query.all_query()))
    return tantivy.Query.boolean_query(clauses)


def patterns(query: str) -> list[re.Pattern[str]]:
    """Return what is marked in the texts that a search finds."""
    return [part.pattern for part in parse(query) if part.wanted]
