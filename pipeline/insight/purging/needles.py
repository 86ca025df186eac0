"""What a purge looks for: the URLs, the texts and the tokens of what is forgotten, as bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

URL, TEXT, TOKENS = "url", "text", "tokens"
PIECE: Final = 48  # bytes of a text that are looked for at once; a shorter line is no evidence
RUN: Final = 16  # tokens that are looked for at once
KEY: Final = 8  # bytes by which places are chosen
BITS: Final = 24  # of the table of keys: 16 MB, and one wrong place in thousands of bytes
SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hashing, 2^64 / golden ratio
IN_URLS: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/%?&=+$!*,;:@"
)

Array = np.ndarray[Any, Any]


@dataclass
class Needles:
    """Bytes to look for, and where in each its key is."""

    kinds: dict[bytes, str] = field(default_factory=dict)
    _keys: dict[int, list[tuple[bytes, int]]] = field(default_factory=dict)
    _table: Array | None = None

    def add(self, needle: bytes, kind: str) -> None:
        """Look for these bytes too, if they are enough to tell them from others by chance."""
        if len(needle) >= KEY and needle not in self.kinds:
            self.kinds[needle] = kind
            self._table = None

    def add_text(self, text: str) -> None:
        """Look for a text: every line of it, in pieces."""
        for line in text.splitlines():
            data = line.strip().encode()
            for at in range(0, len(data) - PIECE + 1, PIECE):
                self.add(data[at : at + PIECE], TEXT)

    def add_tokens(self, tokens: Array) -> None:
        """Look for tokens as their shards hold them, in runs; the first one is the end of text."""
        for at in range(1, len(tokens) - RUN + 1, RUN):
            self.add(tokens[at : at + RUN].tobytes(), TOKENS)

    @property
    def longest(self) -> int:
        return max(map(len, self.kinds), default=0)

    def _prepared(self) -> Array:
        if self._table is None:
            self._keys, self._table = {}, np.zeros(1 << BITS, np.bool_)
            for needle, kind in self.kinds.items():
                at = len(needle) - KEY if kind == URL else 0  # most URLs begin alike
                key = int.from_bytes(needle[at : at + KEY], "little")
                self._keys.setdefault(key, []).append((needle, at))
                self._table[_hash(np.array([key], np.uint64))[0]] = True
        return self._table

    def within(self, data: bytes) -> Iterator[tuple[str, int]]:
        """Yield the kind and the place of all that is found in some bytes."""
        if not self.kinds:
            return
        table = self._prepared()
        for shift in range(KEY):
            count = (len(data) - shift) // KEY
            if count <= 0:
                break
            keys = np.frombuffer(data, "<u8", count, shift)
            for place in np.flatnonzero(table[_hash(keys)]).tolist():
                for needle, at in self._keys.get(int(keys[place]), ()):
                    begin = shift + place * KEY - at
                    if begin >= 0 and data.startswith(needle, begin):
                        kind = self.kinds[needle]
                        after = data[begin + len(needle) : begin + len(needle) + 1]
                        if kind != URL or not (after and after[0] in IN_URLS):
                            yield kind, begin

    def plain(self) -> list[tuple[str, str]]:
        """Return all as plain values, for JSON."""
        return [(kind, needle.hex()) for needle, kind in self.kinds.items()]

    @classmethod
    def of(cls, plain: Iterable[tuple[str, str]]) -> "Needles":
        """Return needles from plain values."""
        return cls({bytes.fromhex(needle): kind for kind, needle in plain})


def _hash(keys: Array) -> Array:
    with np.errstate(over="ignore"):
        found: Array = (keys * SPREAD) >> np.uint64(64 - BITS)
    return found
