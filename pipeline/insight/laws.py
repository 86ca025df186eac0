"""The invariant of each step: the rows that it must have for its inputs, recounted from files.

No row is lost or added: the rows that a step kept and dropped are those that it read.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.archive.warc import MAX_BODY, read_response
from webtext.pipeline.archive.warc_records import sha1
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import (
    Directory,
    read_batches,
    read_json,
    read_shard,
    row_count,
)
from webtext.pipeline.core.stage import fates
from webtext.pipeline.core.stores.stored_files import located
from webtext.pipeline.corpus.card import STATS
from webtext.pipeline.corpus.verdicts import numbers_of
from webtext.pipeline.filters.measuring.measures import KEPT
from webtext.pipeline.filters.measuring.measures import UNDER as MEASURES
from webtext.pipeline.tokens import encoders, shard_files, tokens
from webtext.pipeline.urls import urls
from webtext.pipeline.urls.parts import NAME as PART
from webtext.pipeline.urls.parts import Part

ROWS = 1 << 14  # read at a time
SAID = 5  # rows of each kind that are named

Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Case:
    """A complete directory, its manifest, and those of its inputs that are beside it, by step."""

    home: Directory
    manifest: Mapping[str, Any]
    given: Mapping[str, Directory]

    @property
    def texts(self) -> Directory | None:
        """The documents that were its input, without repeated paragraphs if those were removed."""
        return self.given.get("paragraphs") or self.given.get("documents")


def ids(directory: Directory, under: str = "", kept: bool = False) -> Ids:
    """Return the ids of all rows, in order; `kept` leaves out those with a reason."""
    parts = [np.empty(0, np.uint64)]
    columns = ["id", "dropped_by"] if kept else ["id"]
    for path in directory.shards(under):
        for batch in read_batches(path, columns, rows=ROWS):
            stays = batch.filter(pc.is_null(batch["dropped_by"])) if kept else batch
            parts.append(numbers_of(stays["id"].drop_null()))
    return np.concatenate(parts)


def counted(case: Case, dropped: Mapping[str, int], kept: int) -> Iterator[str]:
    """Compare the counts with the passages of the manifest, and these with each other."""
    passages = case.manifest["passages"]
    told: dict[str, int] = {}
    left = passages[0]["read"]
    for passage in passages:
        if passage["read"] != left:
            yield f"{passage['stage']} read {passage['read']} rows, but {left} were left"
        left = passage["read"] - sum(passage["dropped"].values())
        if passage["kept"] != left:
            yield f"{passage['stage']} kept {passage['kept']} rows, but {left} should be left"
        told |= passage["dropped"]
    if told != dict(dropped):
        other = sorted(key for key in {*told, *dropped} if told.get(key) != dropped.get(key))
        sides = (told.get(other[0], 0), dropped.get(other[0], 0))
        yield f"the manifest counts {sides[0]} rows of {other[0]}, its files {sides[1]}"
    if passages[-1]["kept"] != kept:
        yield f"the manifest counts {passages[-1]['kept']} rows, its files {kept}"


def same(found: Ids, wanted: Ids, what: str, of: str) -> Iterator[str]:
    """Compare some rows with others, as sets in which each occurs once."""
    if len(twice := found[1:][np.diff(np.sort(found)) == 0]):
        yield f"{len(twice)} {what} are there twice"
    for extra, said in (
        (np.setdiff1d(found, wanted), f"not in {of}"),
        (np.setdiff1d(wanted, found), f"missing, though in {of}"),
    ):
        if len(extra):
            shown = ", ".join(f"{number:016x}" for number in extra[:SAID])
            yield f"{len(extra)} {what} are {said}: {shown}"


def named(directory: Directory, under: str = "") -> Iterator[str]:
    """Check the id of each row against its URL."""
    wrong = 0
    for path in directory.shards(under):
        for batch in read_batches(path, ["id", "url"], rows=ROWS):
            for row in batch.to_pylist():
                if row["id"] and row["url"] and urls.text_id(row["url"]) != row["id"]:
                    wrong += 1
                    if wrong <= SAID:
                        yield f"{path.name}: {row['url']} has the id {row['id']}"


# --- the steps -----------------------------------------------------------------------------------


def links(case: Case) -> Iterator[str]:
    """Records are links, further submissions of one, or dropped."""
    home = case.home
    submissions = 0
    for path in home.shards():
        for batch in read_batches(path, ["submissions"], rows=ROWS):
            lengths = pc.list_value_length(batch["submissions"])
            submissions += pc.sum(pc.max_element_wise(pc.fill_null(lengths, 0), 1)).as_py() or 0
    kept = sum(map(row_count, home.shards()))
    dropped = fates(home.shards("dropped"))
    if submissions > kept:
        dropped["links.duplicate"] = submissions - kept
    ledger = (home.path / "sources.json").read_text(encoding="utf-8")  # its sha256 is right
    read = sum(row["records"] for row in json.loads(ledger))
    if read != case.manifest["passages"][0]["read"]:
        yield f"sources.json has {read} records, the manifest another number"
    yield from counted(case, dropped, kept)
    found = ids(home)
    yield from same(found, found, "links", "links")
    yield from named(home)


def pages(case: Case) -> Iterator[str]:
    """Each link has one outcome, and each kept page has its record, complete and unchanged."""
    home = case.home
    crawled = "crawl" in case.manifest["stages"]
    if crawled:
        counts = fates(home.shards("outcomes"))
        kept = counts.pop("kept", 0)
        yield from counted(case, counts, kept)
        yield from named(home, "outcomes")
    links = case.given.get(PART) or case.given.get("links")
    if links is not None and crawled:
        yield from same(ids(home, "outcomes"), ids(links), "outcomes", links.name)
    yield from _records(home)


def part(case: Case) -> Iterator[str]:
    """A part of the links: in each shard the links of its sites, in their order, and no others."""
    links = case.given.get("links")
    if links is None or not links.whole:
        return  # copied to this machine without them
    wanted = Part.parsed(case.manifest["part"])
    for number in links.numbers():
        found, table = read_shard(case.home.shard(number)), read_shard(links.shard(number))
        domains = table["domain"].to_pylist()
        mine = pa.array([wanted.has(domain or "") for domain in domains], pa.bool_())
        if not found.equals(table.filter(mine)):
            yield f"shard {number} does not have the links of part {case.manifest['part']}"


def _records(home: Directory) -> Iterator[str]:
    places = [
        f"{where}_{part}" for where in ("warc", "payload") for part in ("file", "offset", "length")
    ]
    columns = ["url", "final_url", "digest", "body_bytes", "dropped_by", *places]
    for path in home.shards("outcomes"):
        for batch in read_batches(path, columns, rows=ROWS):
            for row in batch.filter(pc.is_null(batch["dropped_by"])).to_pylist():
                if row["warc_offset"] is not None and (said := _record(home.path, row)):
                    yield said


def _record(home: Path, row: Mapping[str, Any]) -> str | None:
    where = "payload" if row["payload_file"] else "warc"
    name, offset, length = (row[f"{where}_{part}"] for part in ("file", "offset", "length"))
    most = max(row["body_bytes"] or 0, MAX_BODY)
    try:
        found = read_response(located(home, name), offset, length, most)
    except UserError as error:
        return str(error)
    if found.url not in {row["url"], row["final_url"]}:
        return f"{name}: the record at byte {offset} is of {found.url}, wanted {row['final_url']}"
    if row["digest"] and sha1(found.body) != row["digest"]:
        return f"{name}: the page at byte {offset} is not what its digest says"
    return None


def documents(case: Case) -> Iterator[str]:
    """Every kept page became a document or was dropped."""
    home = case.home
    yield from counted(case, fates(home.shards("dropped")), sum(map(row_count, home.shards())))
    if source := case.given.get("documents") or case.given.get("pages"):
        under = "outcomes" if "pages" in case.given else ""
        wanted = ids(source, under, kept=bool(under))
        found = np.concatenate([ids(home), ids(home, "dropped")])
        yield from same(found, wanted, "documents", source.name)
    yield from named(home)
    yield from measured(home)


def measured(home: Directory) -> Iterator[str]:
    """Each document has one row of measures, with its fate, and the rows are in order."""
    if not home.numbers(MEASURES):
        return  # it is of paragraphs, or was made before there were measures
    wanted = np.concatenate([ids(home), ids(home, "dropped")])
    yield from same(ids(home, MEASURES), wanted, "rows of measures", "the documents")
    counts: Counter[str] = Counter()
    for path in home.shards(MEASURES):
        table = read_shard(path, ["id", "fate"])
        numbers = numbers_of(table["id"])
        if np.any(numbers[1:] < numbers[:-1]):
            yield f"{path.name}: the rows of measures are not sorted by id"
        counts.update(table["fate"].to_pylist())
    told = {**fates(home.shards("dropped")), KEPT: sum(map(row_count, home.shards()))}
    for name in sorted({*told, *counts}):
        if counts[name] != told.get(name, 0):
            sides = counts[name], told.get(name, 0)
            yield f"the measures count {sides[0]} rows of {name}, its other files {sides[1]}"


def signatures(case: Case) -> Iterator[str]:
    """Every document has its signature, in its place."""
    found = ids(case.home)
    yield from counted(case, {}, len(found))
    if case.texts is not None and not np.array_equal(found, ids(case.texts)):
        yield f"its ids are not those of {case.texts.name}, in their order"


def duplicates(case: Case) -> Iterator[str]:
    """Every dropped row is a document, and so is the one that is kept instead."""
    dropped: dict[str, int] = {}
    members, keepers = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for path in case.home.shards():
        for batch in read_batches(path, ["id", "keeper", "snapshot", "reason"], rows=ROWS):
            for entry in pc.value_counts(batch["reason"].drop_null()).to_pylist():
                dropped[entry["values"]] = dropped.get(entry["values"], 0) + entry["counts"]
            members.append(numbers_of(batch["id"]))
            here = batch.filter(pc.is_null(batch["snapshot"]))
            keepers.append(numbers_of(here["keeper"]))
    read = case.manifest["passages"][0]["read"]
    yield from counted(case, dropped, read - sum(dropped.values()))
    if case.texts is None:
        return
    known = ids(case.texts)
    for found, what in ((members, "documents of clusters"), (keepers, "keepers")):
        if len(lost := np.setdiff1d(np.concatenate(found), known)):
            yield f"{len(lost)} {what} are not in {case.texts.name}: {lost[0]:016x}"


def corpus(case: Case) -> Iterator[str]:
    """Every document is in the corpus or was dropped as a copy; the corpus is in its order."""
    home = case.home
    found = ids(home)
    yield from counted(case, fates(home.shards("dropped")), len(found))
    if np.any(found[1:] <= found[:-1]):
        yield "its documents are not in the order of their ids"
    if case.texts is not None:
        every = np.concatenate([found, ids(home, "dropped")])
        yield from same(every, ids(case.texts), "documents", case.texts.name)
    size = 0
    for path in home.shards():
        for batch in read_batches(path, ["text", "bytes"], rows=ROWS):
            lengths = pc.fill_null(pc.binary_length(batch["text"]), 0)
            size += pc.sum(lengths).as_py() or 0
            if not pc.all(pc.equal(lengths.cast(pa.int64()), batch["bytes"])).as_py():
                yield f"{path.name}: the bytes of a text are not as many as its row says"
    told = read_json(home.about / STATS)
    if (told["documents"], told["bytes"]) != (len(found), size):
        yield f"{STATS} tells of {told['documents']} documents in {told['bytes']} bytes, its files"
        yield f"of {len(found)} in {size}"
    yield from named(home)


class Split:
    """One split's shards, and the position that its documents have reached."""

    def __init__(self, home: Directory, split: str, told: Mapping[str, int]) -> None:
        self.name, self.told = split, told
        paths = [tokens.shard(home, split, number) for number in range(told["shards"])]
        self.sizes = [len(shard_files.read_bin(path)) for path in paths]
        self.documents = self.at = 0

    def take(self, row: Mapping[str, Any]) -> Iterator[str]:
        """Check that the next document begins where the one before it ends."""
        size = self.sizes[0] if self.sizes else 0
        if row["shard"] * size + row["start"] != self.at:
            yield f"{row['id']} does not begin where the document before it ends"
        self.documents += 1
        self.at += row["length"]

    def end(self) -> Iterator[str]:
        """Compare the size of the documents with the shards and with stats.json."""
        if (self.told["documents"], self.told["tokens"]) != (self.documents, self.at):
            yield f"{self.name}: stats.json and documents.parquet count differently"
        if sum(self.sizes) != self.at:
            yield f"{self.name}: its shards hold {sum(self.sizes)} tokens, its documents {self.at}"


def token_shards(case: Case) -> Iterator[str]:
    """The tokens of each document decode to its text, and they fill the shards without a gap."""
    home = case.home
    told = tokens.counts(home)["splits"]
    splits = {split: Split(home, split, counts) for split, counts in told.items()}
    source = case.given.get("corpus")
    texts = _texts(source) if source else None
    for batch in read_batches(home.path / tokens.INDEX, rows=ROWS):
        for row in batch.to_pylist():
            yield from splits[row["split"]].take(row)
            if texts is not None and (said := _decoded(home, row, next(texts, None))):
                yield said
    if texts is not None and source and next(texts, None) is not None:
        yield f"documents.parquet has fewer documents than {source.name}"
    for split in splits.values():
        yield from split.end()
    documents = sum(split.documents for split in splits.values())
    yield from counted(case, {}, documents)


def _texts(corpus: Directory) -> Iterator[dict[str, Any]]:
    for path in corpus.shards():
        for batch in read_batches(path, ["id", "text"], rows=256):
            yield from batch.to_pylist()


def _decoded(home: Directory, row: dict[str, Any], document: dict[str, Any] | None) -> str | None:
    """Return what is wrong with a document's tokens, compared with the text in the corpus."""
    if document is None or row["id"] != document["id"]:
        return f"documents.parquet has {row['id']} where the corpus has another document"
    found = tokens.document_tokens(home, row)
    encoder = encoders.beside(home.path)
    text = encoder.decode(found[1:].tolist())
    if found[0] != encoder.end or text != (document["text"] or ""):
        return f"the tokens of {row['id']} ({row['url']}) are not its text"
    return None


def counts(case: Case) -> Iterator[str]:
    """Yield the stages that lost or added rows: all that is known of a step without a law here."""
    for passage in case.manifest["passages"]:
        kept, dropped = passage["kept"], sum(passage["dropped"].values())
        if passage["read"] != kept + dropped:
            yield f"{passage['stage']} read {passage['read']} rows, kept {kept}, dropped {dropped}"


LAWS: dict[str, Callable[[Case], Iterator[str]]] = {
    "links": links,
    "pages": pages,
    "documents": documents,
    "paragraphs": documents,
    "signatures": signatures,
    "duplicates": duplicates,
    "corpus": corpus,
    "tokens": token_shards,
}
