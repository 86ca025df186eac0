"""Signatures of documents: MinHash over word n-grams of the folded text.

`datasketch.MinHash` is the definition: for the shingles of `text.shingles` in UTF-8, with the same
number of permutations and the same seed, the values here are equal, bit for bit.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.former import Former, only_batch
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, each, tick
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, read_batches, row_count
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.dedup.clusters.same_page import page_keys
from webtext.pipeline.dedup.signatures.folded_text import LETTERS, NUMERIC
from webtext.pipeline.dedup.signatures.signature_files import (
    ABOUT,
    EXACT_BYTES,
    signature_schema,
    write_signatures,
)
from webtext.pipeline.dedup.signatures.signed_before import Signed, signed_before

log = logging.getLogger(__name__)

FoldedTexts = tuple[
    npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]
]
SCHEME = "affine32"  # of datasketch's permutations, its default since 2.0
# Digits stay, all other bytes become spaces.
NUMBERS = bytes(code if 48 <= code < 58 else 32 for code in range(256))
READ_ROWS = 256  # documents read at once
READ_BYTES = 2 << 20  # bytes of text folded at once; ten times as much memory is used


@dataclass(frozen=True)
class Sign:
    """How documents are signed.

    Raises:
        UserError: a number is out of its range.
    """

    ngram: int = 5  # words per shingle. Source: FineWeb (Penedo et al., 2024), section 3.4
    permutations: int = 112  # 14 bands of 8 rows. Source: as above
    seed: int = 1  # datasketch's own default

    name: ClassVar[str] = "signatures"
    version: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not 1 <= self.ngram <= 100:
            raise UserError(f"signatures.ngram is {self.ngram}; wanted 1 to 100 words")
        if not 1 <= self.permutations <= 9999:
            raise UserError(f"signatures.permutations is {self.permutations}; wanted 1 to 9999")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"signatures.seed is {self.seed}; wanted 0 to 4294967295")

    @property
    def schema(self) -> pa.Schema:
        return signature_schema(self.ngram, self.permutations, self.seed)


def sign(
    settings: Sign,
    documents: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress = silent,
    found: Former | None = None,
) -> list[Passage]:
    """Sign every shard of `documents` that is not signed yet; not again what `found` has signed.

    Raises:
        UserError: a shard is damaged; names it.
    """
    rows = {number: row_count(documents.shard(number)) for number in documents.numbers()}
    todo = [number for number in rows if not out.shard(number).exists()]
    if todo:
        if workers:  # compile once here, not in every worker at the same time
            signatures(settings, pa.array(["warm"], pa.string()))
        work = partial(_sign_shard, settings, documents, out, found)
        total = sum(rows[number] for number in todo)
        known = sum(each(work, todo, workers, progress, total))
        if found and known:
            said = "%s: %d of %d documents are not signed again: %s has their signatures"
            log.warning(said, out, known, total, found.home)
    signed = sum(row_count(path) for path in out.shards())
    return [Passage(settings.name, sum(rows.values()), signed, {})]


def _sign_shard(
    settings: Sign, documents: Directory, out: Directory, found: Former | None, number: int
) -> int:
    """Sign one shard; return how many signatures were known from before."""
    wanted = ["id", "url", "final_url", "score", "linked", "text"]
    batches = read_batches(documents.shard(number), wanted, rows=READ_ROWS)
    before = signed_before(found, number)
    if before is None:
        sign_batches(settings, batches, out.shard(number))
        return 0
    with before:
        signed = (_sign_new(settings, before, batch) for batch in batches)
        write_signatures(out.shard(number), signed, settings.schema)
        return before.taken


def _sign_new(settings: Sign, before: Signed, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of the signature file for some documents, of which some were signed."""
    schema, rows = settings.schema, before.rows(batch)
    known = pa.array(rows >= 0)
    parts = [before.signatures(rows[rows >= 0], batch.filter(known), schema)]
    tick(parts[0].num_rows)
    new = batch.filter(pc.invert(known))
    parts += [_sign_batch(settings, schema, piece) for piece in _pieces([new]) if piece.num_rows]
    order = np.argsort(np.concatenate([np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)]))
    return only_batch(pa.Table.from_batches(parts, schema).take(pa.array(order)))


def sign_batches(
    settings: Sign, batches: Iterable[pa.RecordBatch], path: Path, threads: int = 1
) -> int:
    """Sign batches with id and text, and score and linked if they have them, into one file.

    The kernels release the GIL, so threads help if one process reads all batches.
    """
    work = partial(_sign_batch, settings, settings.schema)
    return write_signatures(path, _ahead(work, _pieces(batches), threads), settings.schema)


def _ahead(
    work: Callable[[pa.RecordBatch], pa.RecordBatch],
    batches: Iterable[pa.RecordBatch],
    threads: int,
) -> Iterator[pa.RecordBatch]:
    """Yield the results in order, never more than a few batches ahead."""
    if threads < 2:
        yield from map(work, batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        for batch in batches:
            waiting.append(pool.submit(work, batch))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _sign_batch(settings: Sign, schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of the signature file for some documents."""
    text = batch["text"].fill_null("")
    minima, shingles, exact = signatures(settings, text)
    about = {
        "id": batch["id"],
        "exact": exact,
        "shingles": pa.array(shingles),
        "bytes": pc.binary_length(text).cast(pa.int64()),
    }
    given = {name: batch[name] for name in ("score", "linked") if name in batch.schema.names}
    given |= about
    if "final_url" in batch.schema.names:
        given["page"] = page_keys(batch["id"], batch["url"], batch["final_url"])
    columns = [
        given[field.name].cast(field.type)
        if field.name in given
        else pa.nulls(batch.num_rows, field.type)
        for field in ABOUT
    ]
    tick(batch.num_rows)
    return pa.RecordBatch.from_arrays([*columns, *map(pa.array, minima)], schema=schema)


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Split batches to READ_BYTES of text each, or to one document if that is longer."""
    for batch in batches:
        lengths = pc.binary_length(batch["text"]).fill_null(0).to_numpy(zero_copy_only=False)
        start = size = 0
        for row, length in enumerate(lengths.tolist()):
            if size and size + length > READ_BYTES:
                yield batch.slice(start, row - start)
                start, size = row, 0
            size += length
        yield batch.slice(start)


def signatures(
    settings: Sign, texts: pa.StringArray
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], pa.Array]:
    """Return the signatures as [permutation, document], the shingles of each, and exact hashes.

    A text without words has datasketch's initial values, no shingles and no hash.
    """
    from webtext.pipeline.dedup.signatures import (  # numba takes half a second to import
        sha1,
        signing_kernels,
    )

    folded, words, doc_end, doc_words = fold_documents(texts)
    counts = np.diff(doc_words)
    shingles = np.maximum(counts - settings.ngram + 1, np.minimum(counts, 1))
    hashes = np.empty(int(shingles.sum()), np.uint32)
    doc_shingles = np.empty(len(texts) + 1, np.int64)
    sha1.hash_batch(folded, words, doc_end, doc_words, settings.ngram, doc_shingles, hashes)
    minima = np.empty((settings.permutations, len(texts)), np.uint32)
    multipliers, addends = permutations(settings.permutations, settings.seed)
    signing_kernels.minima(hashes, doc_shingles, multipliers, addends, minima)
    return minima, shingles, _exact(folded, doc_end, texts)


def fold_documents(texts: pa.StringArray) -> FoldedTexts:
    """Fold as `fold_texts`, but keep the digits of texts that consist mostly of numbers."""
    folded, words, doc_end, doc_words = fold_texts(texts)
    heavy = of_numbers(folded, words, doc_end, doc_words)
    if not heavy.any():
        return folded, words, doc_end, doc_words
    read = [
        text.translate(LETTERS) if numeric else text
        for text, numeric in zip(texts.to_pylist(), heavy.tolist(), strict=True)
    ]
    return fold_texts(pa.array(read, pa.string()))


def fold_texts(texts: pa.StringArray) -> FoldedTexts:
    """Fold texts; return the bytes, where words start, and each document's end in both."""
    from webtext.pipeline.dedup.signatures import sha1, signing_kernels
    from webtext.pipeline.dedup.signatures.folded_text import folding

    table = folding()
    large = texts.cast(pa.large_string())
    _, offsets_buffer, data_buffer = large.buffers()
    everything = np.frombuffer(offsets_buffer, np.int64)
    offsets = everything[large.offset : large.offset + len(large) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)
    doc_end = np.empty(len(large), np.int64)
    doc_words = np.empty(len(large) + 1, np.int64)
    length = int(offsets[-1] - offsets[0])
    room = length + length // 4 + 4 * table.longest
    while True:
        folded = np.empty(room + sha1.READ_AHEAD, np.uint8)
        words = np.empty(room // 2 + table.longest, np.int64)
        end = signing_kernels.fold_batch(
            offsets, data, table.start, table.data, table.longest, folded[:room], words,
            doc_end, doc_words,
        )  # fmt: skip
        if end != signing_kernels.NO_ROOM:
            return folded, words, doc_end, doc_words
        room *= 2


def of_numbers(
    folded: npt.NDArray[np.uint8],
    words: npt.NDArray[np.int64],
    doc_end: npt.NDArray[np.int64],
    doc_words: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Return which of some folded texts consist mostly of numbers, which then are their content."""
    starts = words[: int(doc_words[-1])]
    sizes = np.diff(doc_words)
    ends = np.repeat(doc_end, sizes)  # the number of the text that a word is in
    short = (folded[starts + 1] == ord(" ")) | (ends - starts == 1)
    numbers = (folded[starts] == ord("0")) & short
    told = np.concatenate(([0], np.cumsum(numbers)))
    several = told[doc_words[1:]] - told[doc_words[:-1]]
    return (sizes > 0) & (several >= NUMERIC * sizes)


def _exact(
    folded: npt.NDArray[np.uint8], doc_end: npt.NDArray[np.int64], texts: pa.StringArray
) -> pa.Array:
    """Return the hash of each folded text and of its numbers, null if it is empty."""
    view = folded.data
    start = 0
    hashes: list[bytes | None] = []
    for end, text in zip(doc_end.tolist(), texts, strict=True):
        whole = hashlib.blake2b(view[start:end], digest_size=EXACT_BYTES)
        numbers = text.as_buffer().to_pybytes().translate(NUMBERS).split() if end > start else ()
        whole.update(b" ".join((b"", *numbers)))
        hashes.append(whole.digest() if end > start else None)
        start = end
    return pa.array(hashes, pa.binary(EXACT_BYTES))


@lru_cache(maxsize=4)
def permutations(count: int, seed: int) -> npt.NDArray[np.uint32]:
    """Return datasketch's own permutations: a row of multipliers, which are odd, one of addends."""
    from datasketch import MinHash  # a third of a second

    return np.asarray(MinHash(count, seed, scheme=SCHEME).permutations)
