"""Paragraphs that another document has too, removed from all documents but one, as CCNet does.

Menus, notices and quotations repeat where whole documents do not. Paragraphs are equal if the
first eight bytes of the sha1 of their folded text are. The paragraph stays in the document of the
smallest id, and there at its first place: ids are hashes of URLs, so neither the order of the
shards nor the number of workers decides anything.

There are three passes; each holds only a few runs in memory. *Collect*, by shard: hash and
document of every paragraph, in sorted runs on disk. *Compare*, by range of hashes: which hashes
several documents have, and which document is the first. *Remove*, by shard.

Source: Wenzek et al., 2020 (CCNet), section 3.1: first 64 bits of the SHA-1 of the paragraph in
lower case, numbers replaced by a placeholder, without punctuation and accents.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, each, tick
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.shards import Directory, read_batches, row_count, write_json
from webtext.pipeline.core.stage import Passage, fates, judged, run_chain
from webtext.pipeline.corpus.verdicts import load, numbers_of, save
from webtext.pipeline.dedup.signatures.sign import fold_texts

UNITS = {"line": "\n", "paragraph": "\n\n"}
TOO_SHORT = "paragraphs.too_short"
WORK = "parts"  # gone when the directory is whole
REMOVED = "removed.json"  # how much was removed, over all shards
RUN = 4_000_000  # paragraphs sorted in memory at a time: 64 MB, and as much again for sorting
READ_ROWS = 256  # documents

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Paragraphs:
    """Remove the paragraphs that another document has too.

    Raises:
        UserError: a setting is out of its range.
    """

    enabled: bool = False
    unit: str = "line"  # which is a paragraph in extracted text; "paragraph": between blank lines
    min_words: int = 1  # shorter ones are not touched: list marks, single braces
    # A document that lost some is dropped below it. Source: Gopher (Rae et al., 2021), A.1.1
    keep_words: int = 50

    name: ClassVar[str] = "paragraphs"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UserError(f"paragraphs.unit is {self.unit!r}; wanted one of {', '.join(UNITS)}")
        if self.min_words < 1 or self.keep_words < 0:
            raise UserError(
                f"paragraphs.min_words is {self.min_words} and keep_words {self.keep_words}; "
                "wanted 1 or more, and 0 or more"
            )


def paragraphs(
    settings: Paragraphs,
    documents: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress = silent,
) -> list[Passage]:
    """Write the documents without the paragraphs that others have too, shard by shard.

    Raises:
        UserError: a shard is damaged; names it.
        PipelineError: rows were lost.
    """
    numbers = documents.numbers()
    work = out.path / WORK
    if not all(out.shard(number).exists() for number in numbers):
        if not (work / "owners.npy").exists():
            todo = [number for number in numbers if not _counted(work, number).exists()]
            _each_shard(
                partial(collect, settings, documents, work), documents, todo, workers, progress
            )
            compare(work, workers, progress)
        todo = [number for number in numbers if not out.shard(number).exists()]
        _each_shard(partial(remove, settings, documents, out), documents, todo, workers, progress)
    if work.exists():
        if not (out.path / REMOVED).exists():  # else we were killed while the folder was removed
            write_json(out.path / REMOVED, _total(work, numbers))
        shutil.rmtree(work)
    return [passage(documents, out)]


def passage(documents: Directory, out: Directory) -> Passage:
    """Count what went in and what became of it, from the files."""
    read, kept = (sum(map(row_count, found.shards())) for found in (documents, out))
    return Passage(Paragraphs.name, read, kept, fates(out.shards("dropped")))


def _each_shard(
    work: Any, documents: Directory, todo: list[int], workers: Workers, progress: Progress
) -> None:
    total = sum(row_count(documents.shard(number)) for number in todo)
    each(work, todo, workers, progress, total=total)


def _total(work: Path, numbers: list[int]) -> dict[str, int]:
    """Return what was removed, over all shards."""
    counts: Counter[str] = Counter()
    for number in numbers:
        counts.update(json.loads((work / f"{number:05d}.json").read_text(encoding="utf-8")))
    return {name: counts[name] for name in COUNTED}


# --- paragraphs of texts -------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """The paragraphs of some documents, one after the other."""

    texts: list[str]
    document: npt.NDArray[np.int64]  # number in the batch
    hashes: Hashes
    compared: npt.NDArray[np.bool_]  # has words enough to be


def parts_of(settings: Paragraphs, texts: Iterable[str | None]) -> Parts:
    """Split texts into paragraphs and hash their folded text."""
    cut = [(text or "").split(UNITS[settings.unit]) for text in texts]
    flat = [part for parts in cut for part in parts]
    document = np.repeat(np.arange(len(cut)), [len(parts) for parts in cut])
    if not flat:
        return Parts(flat, document, np.empty(0, np.uint64), np.empty(0, np.bool_))
    folded, _, end, words = fold_texts(pa.array(flat, pa.string()))
    view, start, digests = folded.data, 0, []
    for stop in end.tolist():
        digests.append(hashlib.sha1(view[start:stop], usedforsecurity=False).digest()[:8])
        start = stop
    hashes = np.frombuffer(b"".join(digests), "<u8")
    return Parts(flat, document, hashes, np.diff(words) >= settings.min_words)


# --- collect -------------------------------------------------------------------------------------


def collect(settings: Paragraphs, documents: Directory, work: Path, number: int) -> None:
    """Write the hash and the document of each paragraph of a shard, as sorted runs."""
    work.mkdir(parents=True, exist_ok=True)
    runs = 0
    waiting: list[Hashes] = []  # of [hash, id] by paragraph
    for batch in read_batches(documents.shard(number), ["id", "text"], rows=READ_ROWS):
        parts = parts_of(settings, batch["text"].to_pylist())
        ids = numbers_of(batch["id"])[parts.document]
        waiting.append(np.stack((parts.hashes[parts.compared], ids[parts.compared])))
        if sum(part.shape[1] for part in waiting) >= RUN:
            save(_run(work, number, runs), _sorted(waiting))
            runs, waiting = runs + 1, []
        tick(batch.num_rows)
    save(_run(work, number, runs), _sorted(waiting))
    write_json(_counted(work, number), runs + 1)  # last: the shard is done


def _sorted(waiting: list[Hashes]) -> Hashes:
    """Return [hash, id] of all paragraphs by hash and id; a document counts once for each hash."""
    both = np.concatenate([np.empty((2, 0), np.uint64), *waiting], axis=1)
    both = both[:, np.lexsort((both[1], both[0]))]
    fresh = np.ones(both.shape[1], np.bool_)
    fresh[1:] = (both[:, 1:] != both[:, :-1]).any(axis=0)
    return np.ascontiguousarray(both[:, fresh])


def _run(work: Path, number: int, run: int) -> Path:
    return work / f"{number:05d}-{run:05d}.npy"


def _counted(work: Path, number: int) -> Path:
    return work / f"{number:05d}.runs"


# --- compare -------------------------------------------------------------------------------------


def compare(work: Path, workers: Workers, progress: Progress) -> None:
    """Write the hashes that several documents have, sorted, and the first document of each."""
    runs = sorted(work.glob("?????-?????.npy"))
    total = sum(load(path).shape[1] for path in runs)
    ranges = max(1, -(-total // RUN))
    todo = [n for n in range(ranges) if not _shared(work, n).exists()]
    each(partial(_compare_range, work, runs, ranges), todo, workers, progress)
    found = [load(_shared(work, n)) for n in range(ranges)]
    for row, name in enumerate(("hashes", "owners")):  # the last one counts
        save(work / f"{name}.npy", np.concatenate([part[row] for part in found]))


def _compare_range(work: Path, runs: list[Path], ranges: int, number: int) -> None:
    """Compare the paragraphs of one range of hashes."""
    low, high = (number * 2**64 // ranges, (number + 1) * 2**64 // ranges)
    parts = [np.empty((2, 0), np.uint64)]
    for path in runs:
        run = load(path)
        first = int(np.searchsorted(run[0], np.uint64(low)))
        last = run.shape[1] if high == 2**64 else int(np.searchsorted(run[0], np.uint64(high)))
        parts.append(np.asarray(run[:, first:last]))
    both = _sorted(parts)
    same = both[0, 1:] == both[0, :-1]
    again = np.concatenate((same, [False]))[: both.shape[1]]  # the next has this hash too
    first_of = again & ~np.concatenate(([False], same))[: both.shape[1]]
    save(_shared(work, number), np.ascontiguousarray(both[:, first_of]))


def _shared(work: Path, number: int) -> Path:
    return work / f"shared-{number:05d}.npy"


# --- remove --------------------------------------------------------------------------------------

COUNTED = ("paragraphs", "removed", "bytes", "removed_bytes", "shortened")


@dataclass(frozen=True)
class Remove:
    """The stage that removes from texts what another document has too."""

    settings: Paragraphs
    work: Path
    counts: Counter[str] = field(default_factory=Counter)

    name: ClassVar[str] = Paragraphs.name
    version: ClassVar[int] = Paragraphs.version
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    @cached_property
    def _known(self) -> tuple[Hashes, Hashes]:
        return load(self.work / "hashes.npy"), load(self.work / "owners.npy")

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        given = batch["text"].to_pylist()
        parts = parts_of(self.settings, given)
        gone = parts.compared & self._elsewhere(parts, numbers_of(batch["id"]))
        lost = np.zeros(len(given), np.bool_)
        lost[parts.document[gone]] = True
        texts = list(self._texts(given, parts, gone, lost))
        self.counts["paragraphs"] += int(parts.compared.sum())
        self.counts["removed"] += int(gone.sum())
        self.counts["shortened"] += int(lost.sum())
        edited = pa.array(texts, pa.string())
        size, left = (pc.sum(pc.binary_length(t)).as_py() or 0 for t in (batch["text"], edited))
        self.counts["bytes"] += size
        self.counts["removed_bytes"] += size - left
        words = [len((text or "").split()) for text in texts]
        short = [bool(m) and n < self.settings.keep_words for m, n in zip(lost, words, strict=True)]
        at = batch.schema.get_field_index("text")
        return judged(
            batch.set_column(at, DOCUMENT.field("text"), edited),
            [TOO_SHORT if bad else None for bad in short],
            [float(n) if bad else None for bad, n in zip(short, words, strict=True)],
        )

    def _elsewhere(self, parts: Parts, ids: Hashes) -> npt.NDArray[np.bool_]:
        """Mark paragraphs that an earlier document has, or this one has further up."""
        hashes, owners = self._known
        order = np.lexsort((parts.hashes, parts.document))  # stable: by place where equal
        again = np.zeros(len(order), np.bool_)
        sorted_hashes, sorted_document = parts.hashes[order], parts.document[order]
        again[order[1:]] = (sorted_hashes[1:] == sorted_hashes[:-1]) & (
            sorted_document[1:] == sorted_document[:-1]
        )
        if not len(hashes):
            return again
        at = np.minimum(np.searchsorted(hashes, parts.hashes), len(hashes) - 1)
        others = (hashes[at] == parts.hashes) & (owners[at] != ids[parts.document])
        return np.asarray(again | others)

    def _texts(
        self,
        given: list[str | None],
        parts: Parts,
        gone: npt.NDArray[np.bool_],
        lost: npt.NDArray[np.bool_],
    ) -> Iterator[str | None]:
        """Yield each text, joined again where it lost a paragraph."""
        ends = np.searchsorted(parts.document, np.arange(len(given) + 1))
        for number, text in enumerate(given):
            if not lost[number]:
                yield text
                continue
            mine = range(ends[number], ends[number + 1])
            left = UNITS[self.settings.unit].join(parts.texts[n] for n in mine if not gone[n])
            while "\n\n\n" in left:  # the blank lines around what was removed
                left = left.replace("\n\n\n", "\n\n")
            yield left.strip("\n")


def remove(settings: Paragraphs, documents: Directory, out: Directory, number: int) -> None:
    """Write one shard without what other documents have too."""
    stage = Remove(settings, out.path / WORK)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in read_batches(documents.shard(number), rows=READ_ROWS):
            yield batch
            tick(batch.num_rows)
        counted = {name: stage.counts[name] for name in COUNTED}
        write_json(out.path / WORK / f"{number:05d}.json", counted)  # before the shard appears

    run_chain([stage], batches(), out.shard(number), out.shard(number, under="dropped"))
