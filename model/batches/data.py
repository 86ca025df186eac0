"""Token shards, and the windows that each training step reads from them.

A shard is llm.c's `.bin`: 256 little-endian int32 (20240520, 1, the number of tokens, zeros), then
that many uint16; or (20240801, 7, ...) and uint32, for vocabularies that need them. The shards of a
split, end to end, are one stream of tokens; window `k` of it is the `context + 1` tokens from
`k * context` on, so that each token is predicted once. The windows of step `n` depend only on the
seed and `n`: so there is no state to save, and one can also compute at which steps a document was
read.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webtext.model.batches.token_shards import names
from webtext.model.errors import UserError

# Source: llm.c, dev/data/data_common.py
MAGIC, VERSION = 20_240_520, 1
KINDS = {(MAGIC, VERSION): "<u2", (20_240_801, 7): "<u4"}  # the tokens' type, by the header
HEADER_BYTES = 256 * 4

Ints = NDArray[np.int64]
Tokens = NDArray[Any]  # uint16 or uint32


@dataclass(frozen=True)
class Range:
    """Tokens of one shard, from `start` to before `end`."""

    file: str  # its name in the tokens directory: "train-00003.bin"
    start: int
    end: int


class Stream:
    """The tokens of one split's shards, end to end; read from the page cache, never all at once."""

    def __init__(self, folder: Path, split: str) -> None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such directory; wanted one with train-00000.bin in it")
        self.folder, self.split = folder, split
        self.files = [folder / name for name in names(folder, split)]
        self.shards = [read_shard(path) for path in self.files]
        self.starts = [0, *accumulate(len(shard) for shard in self.shards)]

    def __len__(self) -> int:
        return self.starts[-1]

    def read(self, start: int, end: int) -> Tokens:
        """Return the tokens from `start` to before `end`, from one shard or several."""
        parts = [self.shards[n][a:b] for n, a, b in self._pieces(start, end)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def ranges(self, start: int, end: int) -> list[Range]:
        """Return the ranges of shards that hold these tokens."""
        return [Range(self.files[n].name, a, b) for n, a, b in self._pieces(start, end)]

    def position(self, file: str) -> int:
        """Return the position in the stream at which a shard begins.

        Raises:
            UserError: there is no such shard.
        """
        names = [path.name for path in self.files]
        if file not in names:
            raise UserError(
                f"{self.folder / file}: no such shard of the {self.split} split; put it back, or "
                "make the tokens again"
            )
        return self.starts[names.index(file)]

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        number = bisect_right(self.starts, start) - 1
        while start < end:
            stop = min(end, self.starts[number + 1])
            if stop > start:
                yield number, start - self.starts[number], stop - self.starts[number]
            start, number = stop, number + 1


def short_val(folder: Path, context: int) -> str | None:
    """Return a warning if the val split is shorter than one window, else None."""
    found = len(Stream(folder, "val"))
    if found > context:
        return None
    return (
        f"{folder}: the val split has {found:,} tokens, and a window takes {context + 1:,}; "
        "no loss on val will be measured"
    )


def read_shard(path: Path) -> Tokens:
    """Open a shard.

    Raises:
        UserError: it is not a complete llm.c shard; says what was found and wanted.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = np.frombuffer(file.read(HEADER_BYTES), "<i4", count=min(size, HEADER_BYTES) // 4)
    if len(header) < HEADER_BYTES // 4:
        raise UserError(f"{path}: {size} bytes, wanted a header of {HEADER_BYTES}; make it again")
    magic, version, count = (int(number) for number in header[:3])
    if (kind := KINDS.get((magic, version))) is None:
        raise UserError(
            f"{path}: begins with {magic}, {version}; wanted llm.c's {MAGIC}, {VERSION}: "
            "uint16 GPT-2 tokens under a header of 256 int32"
        )
    wanted = HEADER_BYTES + np.dtype(kind).itemsize * count
    if count < 0 or size != wanted:
        raise UserError(
            f"{path}: {size} bytes, wanted {wanted} for the {count} tokens in its header; "
            "it was cut off or added to, make it again"
        )
    if count == 0:
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r", offset=HEADER_BYTES, shape=(count,))


class Batches:
    """The windows that each step reads: each window once an epoch, in an order set by the seed."""

    def __init__(self, stream: Stream, context: int, size: int, seed: int, vocab: int) -> None:
        self.stream, self.context, self.size, self.seed = stream, context, size, seed
        self.vocab = vocab
        self.count = max(0, len(stream) - 1) // context  # windows in an epoch
        if not stream.files:
            raise UserError(
                f"{stream.folder}: no shard of the {stream.split} split; wanted "
                f"{stream.split}-00000.bin, or llm.c's *_{stream.split}_000001.bin"
            )
        if not self.count:
            raise UserError(
                f"{stream.folder}: {len(stream)} tokens of the {stream.split} split, wanted "
                f"{context + 1} or more, for one window; use more text or a shorter context"
            )

    def windows(self, step: int) -> Ints:
        """Return the numbers of the windows that a step reads, in reading order."""
        positions = np.arange(step * self.size, (step + 1) * self.size, dtype=np.int64)
        epochs, places = np.divmod(positions, self.count)
        numbers = np.empty_like(positions)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            numbers[here] = shuffled(places[here], self.count, f"{self.seed} {epoch}")
        return numbers

    def tokens(self, windows: Ints) -> Ints:
        """Return the tokens of windows, one row of `context + 1` for each window.

        Raises:
            UserError: a token is not in the model's vocabulary; names the shard.
        """
        rows = np.stack([self.stream.read(*self.span(int(window))) for window in windows])
        if rows.max() >= self.vocab:
            window = int(windows[rows.max(axis=1).argmax()])
            raise UserError(
                f"{self.stream.folder / self.ranges(window)[0].file}: holds token {rows.max()}, "
                f"wanted less than {self.vocab}; these are tokens of another vocabulary"
            )
        return rows.astype(np.int64)

    def span(self, window: int) -> tuple[int, int]:
        """Return the start of a window in the stream, and its end (exclusive)."""
        return window * self.context, (window + 1) * self.context + 1

    def ranges(self, window: int) -> list[Range]:
        """Return the ranges of shards that hold a window: several if it crosses their borders."""
        return self.stream.ranges(*self.span(window))

    def steps(self, tokens: Range, until: int) -> list[int]:
        """Return the steps before `until` that read any of these tokens as input."""
        start = self.stream.position(tokens.file) + tokens.start
        end = self.stream.position(tokens.file) + tokens.end
        first, last = start // self.context, min((end - 1) // self.context, self.count - 1)
        windows = np.arange(first, last + 1, dtype=np.int64)
        epochs = -(-until * self.size // self.count)
        found = {
            int(epoch * self.count + place) // self.size
            for epoch in range(epochs)
            for place in unshuffled(windows, self.count, f"{self.seed} {epoch}")
        }
        return sorted(step for step in found if step < until)


def shuffled(places: Ints, count: int, key: str) -> Ints:
    """Return the numbers at these places of 0 to `count - 1`, shuffled by `key`.

    A Feistel network over the next power of four, applied again until the number is in range, is a
    permutation that needs no memory, can be evaluated at any place, and can be inverted. (A
    permutation in memory would also do for nine million windows, but cannot be inverted as easily,
    and numpy does not promise that its own stays the same.) Source: Black and Rogaway (2002),
    Ciphers with Arbitrary Finite Domains; four rounds, Luby and Rackoff (1988).

    >>> sorted(shuffled(np.arange(5), 5, "a seed").tolist())
    [0, 1, 2, 3, 4]
    """
    return _walk(places, count, _keys(key))


def unshuffled(numbers: Ints, count: int, key: str) -> Ints:
    """Return the places at which `shuffled` puts these numbers.

    >>> unshuffled(shuffled(np.arange(5), 5, "a seed"), 5, "a seed").tolist()
    [0, 1, 2, 3, 4]
    """
    return _walk(numbers, count, _keys(key)[::-1], back=True)


def _keys(key: str) -> NDArray[np.uint64]:
    return np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u8")


def _walk(numbers: Ints, count: int, keys: NDArray[np.uint64], back: bool = False) -> Ints:
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    walked = _feistel(numbers.astype(np.uint64), half, keys, back)
    while (outside := walked >= count).any():
        walked[outside] = _feistel(walked[outside], half, keys, back)
    return walked.astype(np.int64)


def _feistel(
    numbers: NDArray[np.uint64], half: int, keys: NDArray[np.uint64], back: bool
) -> NDArray[np.uint64]:
    """Exchange and mix the halves of numbers of 2 * `half` bits, one round for each key."""
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = numbers >> bits, numbers & mask
    for key in keys:
        if back:
            left, right = right ^ (_mix(left ^ key) & mask), left
        else:
            left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << bits) | right


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all bits. Source: Steele et al. (2014), SplitMix64's last step."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
