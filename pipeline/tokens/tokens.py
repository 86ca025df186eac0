"""From corpus shards to token shards in llm.c's format, with an index of documents.

The tokens of a split are one stream: `<|endoftext|>`, a document, `<|endoftext|>`, the next, in the
corpus' order. The stream is cut into files of exactly `shard_tokens` tokens, as llm.c cuts it, so a
document may begin in one file and end in the next; only the last file of a split is shorter.
`documents.parquet` says where each document begins and how long it is.

Two passes. *Encode*, in parallel over corpus shards: the tokens of each, by split, into a work
folder. *Pack*, in parallel over token shards: copy the ranges that make up each file. Where a range
comes from depends on the tokens alone, so the bytes don't depend on the number of workers.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from webtext.pipeline.core.directories.checked import at_hand
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, each, tick
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.records import TOKENS
from webtext.pipeline.core.shards import (
    Directory,
    read_batches,
    read_json,
    replacing,
    row_count,
    write_json,
    write_parquet,
    write_text,
)
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.tokens import bpe, encoders
from webtext.pipeline.tokens.held_out import small_val
from webtext.pipeline.tokens.shard_files import read_bin, write_bin

log = logging.getLogger(__name__)

SPLITS = ("train", "val")
WORK = "parts"  # gone when the directory is whole
INDEX = "documents.parquet"
STATS = "stats.json"  # written last, so a directory that has it lacks nothing but its manifest
INDEX_ROWS = 1 << 14  # in a row group of the index, so that one document is found without the rest

PART = pa.schema([TOKENS.field(name) for name in ("id", "url", "split", "length")]).append(
    pa.field("domain", pa.string())
)

Counts = dict[str, int]  # by split


@dataclass(frozen=True)
class Tokens:
    """Encode the corpus with GPT-2's byte-pair encoding, or with another tokenizer.

    All documents of a registrable domain are in the same split, chosen by a hash of its name, so
    no site and no near-duplicates within a site are on both sides. A text without a domain is on
    a side of its own.
    """

    shard_tokens: int = 100_000_000  # a file of 200 MB. Source: llm.c, dev/data/fineweb.py
    val_fraction: float = 0.005  # of the domains. Source: nanoGPT's 0.0005 of documents, times ten
    # "gpt2", another encoding of tiktoken whose file is at hand, or the path of a tokenizer.json
    tokenizer: str = field(default=encoders.GPT2, metadata={"machine": True})
    # the token before each document; if empty, the tokenizer's own, such as <|endoftext|>
    end_of_text: str = field(default="", metadata={"machine": True})

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: one is out of its range.
        """
        if not 0 < self.shard_tokens < 2**31:
            raise UserError(
                f"tokens.shard_tokens = {self.shard_tokens}: use 1 to 2147483647, which is what "
                "the header of a .bin file can hold"
            )
        if not 0 <= self.val_fraction < 1:
            raise UserError(f"tokens.val_fraction = {self.val_fraction}: use 0 to less than 1")

    @property
    def encoder(self) -> encoders.Encoder:
        """The tokenizer.

        Raises:
            UserError: it is not at hand.
        """
        return self.encoder_if(None)

    def encoder_if(self, known_by: Mapping[str, Any] | None) -> encoders.Encoder:
        """Return the tokenizer if it is the one that `known_by` identifies; None: any.

        Raises:
            UserError: it is not at hand, or another one by now.
        """
        return encoders.encoder(self.tokenizer, self.end_of_text, known_by)

    @property
    def known_by(self) -> dict[str, Any] | None:
        """What identifies the tokenizer in a digest; None for GPT-2's."""
        return None if self.tokenizer == encoders.GPT2 else self.encoder.known_by

    def split(self, domain: str) -> str:
        """Return the split that all documents of a domain are in.

        >>> Tokens(val_fraction=0.0).split("example.com")
        'train'
        """
        hashed = hashlib.sha256(b"split " + domain.encode()).digest()
        share = int.from_bytes(hashed[:8], "big") / 2**64
        return "val" if share < self.val_fraction else "train"


def tokens(
    settings: Tokens,
    corpus: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress = silent,
    known_by: Mapping[str, Any] | None = None,
) -> list[Passage]:
    """Write the token shards of a corpus, their index and their counts.

    `known_by` is what identified the tokenizer when `out` got its name; None: as it is now.

    Raises:
        UserError: the corpus, or its train split, is empty; the tokenizer is another one by now.
    """
    if not (out.path / STATS).exists():
        known_by = settings.known_by if known_by is None else known_by
        encoder = settings.encoder_if(known_by)  # reports missing files, once
        kind = encoders.width(encoder)
        encode_all(settings, known_by, corpus, out, workers, progress)
        totals = count(out, kind)
        check(settings, corpus, totals)
        pack_all(settings, kind, out, totals, workers, progress)
        write_index(settings, out)
        if isinstance(encoder, encoders.OfFile):  # the copy is of what encoded, not of a later file
            write_text(out.path / encoders.FILE, encoder.content)
        write_json(out.path / STATS, stats(settings, encoder, out))
    shutil.rmtree(out.path / WORK, ignore_errors=True)
    documents = sum(split["documents"] for split in counts(out)["splits"].values())
    return [Passage("tokens", documents, documents, {})]


def counts(directory: Directory) -> dict[str, Any]:
    """Return the stats of a token directory: tokenizer, and documents and tokens by split."""
    found: dict[str, Any] = read_json(directory.path / STATS)
    return found


def encode_all(
    settings: Tokens,
    known_by: Mapping[str, Any] | None,
    corpus: Directory,
    out: Directory,
    workers: Workers,
    progress: Progress,
) -> None:
    """Encode the corpus shards that are not encoded yet."""
    (out.path / WORK).mkdir(exist_ok=True)
    todo = [number for number in corpus.numbers() if not part(out, number).exists()]
    rows = sum(row_count(corpus.shard(number)) for number in todo)
    work = partial(encode_shard, settings, known_by, corpus, out)
    each(work, todo, workers, progress, total=rows)


def part(out: Directory, number: int, split: str = "") -> Path:
    """Return the temporary file of a corpus shard's tokens, or (without a split) of their index."""
    return out.path / WORK / f"{number:05d}.{split or 'parquet'}"


def encode_shard(
    settings: Tokens,
    known_by: Mapping[str, Any] | None,
    corpus: Directory,
    out: Directory,
    number: int,
) -> None:
    """Encode one corpus shard; the index, which makes it count as done, appears last.

    Raises:
        UserError: the tokenizer is not the one of `known_by` any more.
    """
    index = []
    encoder = settings.encoder_if(known_by)
    kind = encoders.width(encoder)
    end = np.array([encoder.end], kind)
    with (
        replacing(part(out, number, "train")) as train_path,
        replacing(part(out, number, "val")) as val_path,
        train_path.open("wb") as train,
        val_path.open("wb") as val,
    ):
        files = {"train": train, "val": val}
        for batch in read_batches(corpus.shard(number), ["id", "url", "domain", "text"], rows=256):
            texts = [text or "" for text in batch["text"].to_pylist()]
            named = zip(batch["domain"].to_pylist(), batch["id"].to_pylist(), texts, strict=True)
            splits = [settings.split(str(site or own or text)) for site, own, text in named]
            lengths = []
            for split, document in zip(splits, encoder.encode(texts), strict=True):
                files[split].write(end.tobytes() + document.astype(kind).tobytes())
                lengths.append(1 + len(document))
            columns = [batch["id"], batch["url"], pa.array(splits), pa.array(lengths, pa.int64())]
            index.append(pa.RecordBatch.from_arrays([*columns, batch["domain"]], schema=PART))
            tick(batch.num_rows)
    write_parquet(part(out, number), [pa.Table.from_batches(index, PART)], PART)


def count(out: Directory, kind: str = "<u2") -> Counts:
    """Return the number of tokens of each split, from the sizes of the encoded parts."""
    size = np.dtype(kind).itemsize
    return {
        split: sum(path.stat().st_size // size for path in (out.path / WORK).glob(f"*.{split}"))
        for split in SPLITS
    }


def check(settings: Tokens, corpus: Directory, totals: Counts) -> None:
    """Refuse an empty train split; warn of an empty val split."""
    if not any(totals.values()):
        raise UserError(
            f"{corpus}: no documents, so there is nothing to tokenise; "
            "`webtext report` says where they went"
        )
    if not totals["train"]:
        raise UserError(
            f"{corpus}: every domain fell into val and none into train; lower "
            f"tokens.val_fraction, which is {settings.val_fraction}"
        )
    if note := empty_val(settings, totals):
        log.warning("%s: %s", corpus, note)


def empty_val(settings: Tokens, totals: Counts) -> str:
    """Say why `val` is empty, or return ""."""
    if totals["val"]:
        return ""
    return (
        f"val is empty: no domain fell into it at tokens.val_fraction = {settings.val_fraction}; "
        "raise it if there should be a validation loss"
    )


def pack_all(
    settings: Tokens,
    kind: str,
    out: Directory,
    totals: Counts,
    workers: Workers,
    progress: Progress,
) -> None:
    """Write the token shards that are not there yet."""
    work = out.path / WORK
    todo = [
        (split, number)
        for split, total in totals.items()
        for number in range(-(-total // settings.shard_tokens))
        if not shard(out, split, number).exists()
    ]
    size = np.dtype(kind).itemsize
    parts = {
        split: [(path, path.stat().st_size // size) for path in sorted(work.glob(f"*.{split}"))]
        for split in totals
    }
    each(partial(pack, settings, kind, parts, out), todo, workers, progress)


def shard(directory: Directory, split: str, number: int) -> Path:
    """Return where a token shard lies.

    >>> shard(Directory(Path("tokens-5d0c")), "val", 3).name
    'val-00003.bin'
    """
    return directory.path / f"{split}-{number:05d}.bin"


Parts = Sequence[tuple[Path, int]]  # the files of a split's tokens, and how many each has


def pack(
    settings: Tokens, kind: str, parts: Mapping[str, Parts], out: Directory, item: tuple[str, int]
) -> None:
    """Write token shard `number` of a split: its range of the split's stream of tokens."""
    split, number = item
    start = number * settings.shard_tokens
    pieces = list(stretch(parts[split], start, start + settings.shard_tokens, kind))
    write_bin(shard(out, split, number), pieces, kind)


def stretch(parts: Parts, start: int, stop: int, kind: str = "<u2") -> Iterator[npt.NDArray[Any]]:
    """Yield tokens `start` to `stop` of the stream that the parts form, as views of the files."""
    begins = 0
    for path, length in parts:
        low, high = max(start - begins, 0), min(stop - begins, length)
        if low < high:
            at_hand(path)
            yield np.memmap(path, kind, "r")[low:high]
        begins += length


def write_index(settings: Tokens, out: Directory) -> None:
    """Write documents.parquet: every document's place, in the corpus' order."""
    write_parquet(out.path / INDEX, places(settings, out), TOKENS)


def places(settings: Tokens, out: Directory) -> Iterator[pa.RecordBatch]:
    """Yield the index; its places continue over the parts."""
    ends = dict.fromkeys(SPLITS, 0)
    for path in Directory(out.path / WORK).shards():
        for batch in read_batches(path, rows=INDEX_ROWS):
            lengths = batch["length"].to_numpy()
            splits = np.array(batch["split"].to_pylist())
            starts = np.zeros(batch.num_rows, np.int64)
            for split in SPLITS:
                chosen = splits == split
                after = ends[split] + np.cumsum(lengths[chosen])
                starts[chosen] = after - lengths[chosen]
                ends[split] = int(after[-1]) if len(after) else ends[split]
            shards, within = np.divmod(starts, settings.shard_tokens)
            columns = [batch["id"], batch["url"], batch["split"], pa.array(shards, pa.int32())]
            columns += [pa.array(within, pa.int64()), batch["length"]]
            yield pa.RecordBatch.from_arrays(columns, schema=TOKENS)


def stats(settings: Tokens, encoder: encoders.Encoder, out: Directory) -> dict[str, Any]:
    """Return what was written, by split, and with which vocabulary."""
    found = {split: {"documents": 0, "tokens": 0, "domains": 0, "shards": 0} for split in SPLITS}
    domains: dict[str, set[str]] = {split: set() for split in SPLITS}
    for path in Directory(out.path / WORK).shards():
        for batch in read_batches(path, ["split", "length", "domain"], rows=INDEX_ROWS):
            for row in batch.to_pylist():
                found[row["split"]]["documents"] += 1
                found[row["split"]]["tokens"] += row["length"]
                found[row["split"]]["domains"] += not row["domain"]  # a text without: its own
                domains[row["split"]].add(row["domain"])
    for split in SPLITS:
        found[split]["domains"] += len(domains[split] - {None, ""})
        found[split]["shards"] = -(-found[split]["tokens"] // settings.shard_tokens)
    note = empty_val(settings, {split: found[split]["tokens"] for split in SPLITS})
    note = note or small_val(found["val"])
    tokenizer: dict[str, Any] = {"name": bpe.NAME, "vocabulary": bpe.VOCABULARY}
    if settings.tokenizer == encoders.GPT2:
        tokenizer |= {"sha256": bpe.SHA256}
    else:
        tokenizer = {"name": encoder.name, "vocabulary": encoder.vocabulary, "end": encoder.end}
        tokenizer |= {"end_of_text": settings.end_of_text, **encoder.known_by}
    return {"tokenizer": tokenizer, "splits": found, "notes": [note] if note else []}


def document_tokens(directory: Directory, row: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the tokens of one document, given its row of the index: `<|endoftext|>` first.

    Raises:
        UserError: the shards end before the document does.
    """
    number, start, left = row["shard"], row["start"], row["length"]
    pieces = []
    while left:
        piece = read_bin(shard(directory, row["split"], number))[start : start + left]
        pieces.append(piece)
        number, start, left = number + 1, 0, left - len(piece)
    return np.concatenate(pieces)


def documents_at(
    directory: Directory, split: str, spans: Sequence[tuple[int, int]]
) -> list[list[dict[str, Any]]]:
    """Return, for each span of a split's tokens, the rows of the documents that it touches.

    A span is a first token and the token after the last, counted from the beginning of the split
    over all of its shards. The index is read once, however many spans there are.
    """
    size = len(read_bin(shard(directory, split, 0)))  # of every shard but the last
    found: list[list[dict[str, Any]]] = [[] for _ in spans]
    for batch in read_batches(directory.path / INDEX, rows=INDEX_ROWS):
        rows = np.flatnonzero(np.array(batch["split"].to_pylist()) == split)
        begins = batch["shard"].to_numpy().astype(np.int64) * size + batch["start"].to_numpy()
        ends = (begins + batch["length"].to_numpy())[rows]
        begins = begins[rows]
        for number, (start, stop) in enumerate(spans):
            low, high = np.searchsorted(ends, start, "right"), np.searchsorted(begins, stop)
            if low < high:
                found[number] += batch.take(pa.array(rows[low:high])).to_pylist()
    return found
