"""Fold texts so that near copies become equal, by a table that a kernel can use.

Two texts that differ in case, accents, punctuation, numbers, spacing or in how Unicode spells the
same characters fold to the same words; but where most of the words are numbers, as in a table of
figures, they are the content, and become words made from their digits. Folding is one lookup per
code point, without context; for this reason marks that Unicode may reorder are dropped and not
sorted.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

TABLE_SIZE = 0x30000  # code points in the table; the planes above hold only tags and private use
HAN_PLANE = 0x20000  # ideographs from here on
HAN_FORMS = range(0x2F800, 0x2FA20)  # compatibility ideographs, which have simpler equivalents
NUMERIC = 0.4  # share of numbers among the words of a text; with more, they are its content
LETTERS = str.maketrans("0123456789", "abcdefghij")  # the letters that replace digits then
SPACE = b" "
DIGIT = b"0"

# Scripts written without spaces: each letter is a word of its own, or a whole clause would be one.
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "YI SYLLABLE")

# Marks and letters that are never seen (Default_Ignorable_Code_Point beyond category Cf).
# Source: Unicode Character Database, DerivedCoreProperties.txt
IGNORABLE = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0}
) | frozenset(range(0xFE00, 0xFE10))


@dataclass(frozen=True)
class Folding:
    """Each code point's folded bytes: `data[start[c] : start[c + 1]]`.

    A space separates words and a "0" stands for a digit; users of the table write a run of either
    only once. Letters of scripts without spaces have a space on both sides.
    """

    start: npt.NDArray[np.int32]  # TABLE_SIZE + 1 of them
    data: npt.NDArray[np.uint8]  # UTF-8
    longest: int  # most bytes for one code point


@lru_cache(maxsize=1)
def folding() -> Folding:
    """Return the table (made in a fifth of a second, once per process)."""
    parts = [fold_character(chr(code)) for code in range(HAN_PLANE)]
    for code in range(HAN_PLANE, TABLE_SIZE):
        character = chr(code)
        if code in HAN_FORMS:
            character = unicodedata.normalize("NFKD", character)
        parts.append(SPACE + character.encode() + SPACE)
    start = np.zeros(TABLE_SIZE + 1, np.int32)
    np.cumsum([len(part) for part in parts], out=start[1:])
    data = np.frombuffer(b"".join(parts), np.uint8)
    return Folding(start, data, max(len(part) for part in parts))


def fold_character(character: str) -> bytes:
    r"""Return the folded bytes of one code point.

    >>> [fold_character(c) for c in "Éß7½,語"]
    [b'e', b'ss', b'0', b'0 0', b' ', b' \xe8\xaa\x9e ']
    """
    folded, before = character, ""
    while folded != before:  # twice is enough for all except a few
        before = folded
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", folded).casefold())
    return b"".join(map(_fold_simple, folded))


def _fold_simple(character: str) -> bytes:
    """Return the bytes of a code point that is its own decomposition and its own lower case."""
    category = unicodedata.category(character)
    if category == "Cf" or unicodedata.combining(character) or ord(character) in IGNORABLE:
        return b""
    if category[0] == "N":
        return DIGIT
    if category[0] not in "LM":
        return SPACE
    if category[0] == "L" and unicodedata.name(character, "").startswith(UNSPACED):
        return SPACE + character.encode() + SPACE
    return character.encode()


def fold(text: str) -> str:
    r"""Return the folded text, words with one space between them: the slow reference definition.

    >>> fold("Don’t  PANIC: 1,234 cafe\u0301s")
    'don t panic 0 0 cafes'
    """
    table = folding()
    out = bytearray()
    for character in text:
        code = ord(character)
        if code < TABLE_SIZE:
            part = table.data[table.start[code] : table.start[code + 1]].tobytes()
        else:
            part = b"" if code >> 12 == 0xE0 else SPACE  # tags and variation selectors
        for byte in part:
            if byte in b" 0" and out[-1:] == bytes([byte]):
                continue
            out.append(byte)
    return out.decode().strip(" ")


def shingles(text: str, ngram: int) -> list[str]:
    """Return the word n-grams of a text, in order; all words as one if there are fewer.

    >>> shingles("One, two; three.", 2), shingles("one", 2), shingles("...", 2)
    (['one two', 'two three'], ['one'], [])
    >>> shingles("Jan 12 40", 2), shingles("the 12 months of the year", 2)[:2]
    (['jan bc', 'bc ea'], ['the 0', '0 months'])
    """
    words = fold(text).split(" ")
    if words == [""]:
        return []
    if words.count("0") >= NUMERIC * len(words):
        words = fold(text.translate(LETTERS)).split(" ")
    count = max(1, len(words) - ngram + 1)
    return [" ".join(words[at : at + ngram]) for at in range(count)]
