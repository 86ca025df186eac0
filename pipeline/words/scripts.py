"""Which scripts the letters of a text belong to, and how many words it has."""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from webtext.pipeline.words.words import code_points

# By the first words of a letter's name in the Unicode Character Database. What has another name,
# such as Armenian, is "other". Source: UnicodeData.txt, field 1, as in Python's `unicodedata`.
NAMES = {
    "LATIN": "latin",
    "FULLWIDTH LATIN": "latin",
    "FEMININE ORDINAL": "latin",
    "MASCULINE ORDINAL": "latin",
    "GREEK": "greek",
    "CYRILLIC": "cyrillic",
    "HEBREW": "hebrew",
    "ARABIC": "arabic",
    "DEVANAGARI": "devanagari",
    "THAI": "thai",
    "HANGUL": "hangul",
    "HALFWIDTH HANGUL": "hangul",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "HALFWIDTH KATAKANA": "kana",
    "CJK": "han",
}
SCRIPTS = (*dict.fromkeys(NAMES.values()), "other")
PLANES = 0x40000  # code points in the table; there is no letter above


NO_LETTER, SPACE = len(SCRIPTS), len(SCRIPTS) + 1


class Looked(NamedTuple):
    """What one look at the characters of a text tells."""

    words: int  # between white space, as `str.split` has them
    shares: npt.NDArray[np.float32]  # of its letters in each of SCRIPTS; NaN where it has none


def look(text: str) -> Looked:
    """Return how many words a text has, and the share of its letters in each script.

    >>> found = look("Да, yes")
    >>> found.words, dict(zip(SCRIPTS, found.shares.tolist()))["cyrillic"]
    (2, 0.4000000059604645)
    """
    places = table()[np.minimum(code_points(text), PLANES - 1)]
    blank = places == SPACE
    words = np.count_nonzero(blank[:-1] & ~blank[1:]) + int(len(blank) and not blank[0])
    found = np.bincount(places, minlength=SPACE + 1)[:NO_LETTER]
    with np.errstate(invalid="ignore"):
        return Looked(int(words), (found / found.sum()).astype(np.float32))


@cache
def table() -> npt.NDArray[np.uint8]:
    """Return the place in SCRIPTS of each code point, NO_LETTER or SPACE where it is no letter."""
    found = np.full(PLANES, NO_LETTER, np.uint8)
    for code in range(PLANES):
        character = chr(code)
        if unicodedata.category(character).startswith("L"):
            name = unicodedata.name(character, "")
            script = next((NAMES[start] for start in NAMES if name.startswith(start)), "other")
            found[code] = SCRIPTS.index(script)
        elif character.isspace():
            found[code] = SPACE
    return found
