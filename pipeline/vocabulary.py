"""Texts as arrays: every distinct chunk between spaces is split and looked at once.

What rules count of words (how many, how long, with letters, ...) is a row a chunk, so a document's
counts are a sum over its chunks' rows, and its n-grams are hashes over its tokens' rows. That is
where the time of the published filters goes: they split and look at each word anew, rule by rule.
"""

import unicodedata
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline import kernels
from pipeline.words import LONGEST, split_chunk

CHUNKS_KEPT = 1 << 18  # distinct chunks remembered; some 100 MB

# What makes a token no word: it has nothing but these. The set is FineWeb's.
# Source: datatrove 0.10 utils/text.py, PUNCTUATION_SET; the control characters are among them.
PUNCTUATION = frozenset(
    "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
) | frozenset(chr(code) for code in (*range(9), 11, 12, *range(13, 32), *range(127, 160)))

SENTENCE_TERMINAL = (  # code points, hexadecimal. Source: Unicode 15, property Sentence_Terminal
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e "
    "1735-1736 17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e "
    "1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 "
    "a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f "
    "ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 "
    "111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 "
    "11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 "
    "11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88"
)
TERMINAL = frozenset(
    chr(code)
    for low, _, high in (codes.partition("-") for codes in SENTENCE_TERMINAL.split())
    for code in range(int(low, 16), int(high or low, 16) + 1)
)

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Source: Gopher A.1.1


class Counts(NamedTuple):
    """What there is of words in a text."""

    tokens: int = 0  # words and punctuation marks
    words: int = 0  # tokens that are more than punctuation
    characters: int = 0  # in words
    letter_tokens: int = 0  # tokens with a letter
    letter_words: int = 0  # words with a letter


class Rows(NamedTuple):
    """A document's tokens, one after the other: what n-grams are made of."""

    hashes: npt.NDArray[np.uint64]  # of a token's characters
    powers: npt.NDArray[np.uint64]  # the hash's base to the number of its characters
    lengths: npt.NDArray[np.int64]  # its characters


class Vocabulary(dict[str, int]):
    """Numbers of chunks; a chunk that is new gets the next one, and is looked at with others."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.clear()
        self.size = 0  # chunks that have a number
        self.waiting: list[tuple[str, ...]] = []  # tokens of the newest, which have no row yet
        self.rows = self.tokens = 0  # of the arrays below, which have room for more
        self.counts = np.zeros((1024, len(Counts._fields)), np.int64)  # a row a chunk
        self.stops = np.zeros(1024, np.uint8)  # a bit for each stop word in the chunk
        self.starts = np.zeros(1025, np.int64)  # where a chunk's tokens begin in the arrays below
        self.hashes = np.zeros(1024, np.uint64)
        self.powers = np.zeros(1024, np.uint64)
        self.lengths = np.zeros(1024, np.int64)
        self.kinds = np.zeros(1024, np.uint8)  # kernels.WORD, MARK or TERMINAL

    def __missing__(self, chunk: str) -> int:
        number = self.size
        self.waiting.append(split_chunk(chunk))
        self.size += 1
        if len(chunk) <= LONGEST:
            self[chunk] = number
        return number

    def numbers(self, text: str) -> npt.NDArray[np.int64]:
        """Return the numbers of a text's chunks; the arrays then have their rows."""
        if self.size > CHUNKS_KEPT:
            self.forget()
        chunks = text.split()
        found = np.fromiter(map(self.__getitem__, chunks), np.int64, len(chunks))
        if self.waiting:
            self.look()
        return found

    def look(self) -> None:
        """Give the chunks that wait their rows."""
        sizes = np.array([len(tokens) for tokens in self.waiting], np.int64)
        tokens = list(chain.from_iterable(self.waiting))
        lengths = np.array([len(token) for token in tokens], np.int64)
        codes = np.frombuffer("".join(tokens).encode("utf-32-le", "replace"), np.uint32)
        self.waiting = []
        counts, stops, hashes, powers, kinds = kernels.look(codes, lengths, sizes, *traits())
        self.counts = put(self.counts, self.rows, counts)
        self.stops = put(self.stops, self.rows, stops)
        self.starts = put(self.starts, self.rows + 1, self.tokens + np.cumsum(sizes))
        self.hashes = put(self.hashes, self.tokens, hashes)
        self.powers = put(self.powers, self.tokens, powers)
        self.lengths = put(self.lengths, self.tokens, lengths)
        self.kinds = put(self.kinds, self.tokens, kinds)
        self.rows += len(sizes)
        self.tokens += len(tokens)


def put(array: npt.NDArray[Any], at: int, more: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Write `more` into an array at a place, and return it, or a larger one if it has no room."""
    if at + len(more) > len(array):
        larger = np.zeros((2 * (at + len(more)), *array.shape[1:]), array.dtype)
        larger[:at] = array[:at]
        array = larger
    array[at : at + len(more)] = more
    return array


@cache
def traits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
    """Return what each code point is, as bits, and the hashes of the stop words."""
    found = np.zeros(0x110000, np.uint8)
    for code in range(0x110000):
        char = chr(code)
        if char.isalpha():
            found[code] = kernels.LETTER
        elif unicodedata.category(char)[0] == "P":
            found[code] = kernels.PUNCTUATION
    found[[ord(char) for char in PUNCTUATION]] |= kernels.NO_WORD
    found[[ord(char) for char in TERMINAL]] |= kernels.ENDS
    return found, np.array([kernels.hashed(word) for word in STOP_WORDS], np.uint64)


vocabulary = Vocabulary()  # this process's own
