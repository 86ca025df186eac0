"""Which scripts the letters of a text belong to, and how many words it has."""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from webtext.pipeline.words.tongues import NO_LETTER, OTHER, SPACE, scripts
from webtext.pipeline.words.words import code_points

NAMES = {  # of the scripts that are told apart, by ISO 15924
    "Latn": "latin",
    "Grek": "greek",
    "Cyrl": "cyrillic",
    "Hebr": "hebrew",
    "Arab": "arabic",
    "Deva": "devanagari",
    "Thai": "thai",
    "Hang": "hangul",
    "Hira": "kana",
    "Kana": "kana",
    "Hani": "han",
}
SCRIPTS = (*dict.fromkeys(NAMES.values()), "other")


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
    places = scripts()[1][code_points(text)]
    blank = places == SPACE
    words = np.count_nonzero(blank[:-1] & ~blank[1:]) + int(len(blank) and not blank[0])
    counts = np.bincount(places, minlength=NO_LETTER)[:NO_LETTER]
    found = np.bincount(columns(), counts, minlength=len(SCRIPTS))
    with np.errstate(invalid="ignore"):
        return Looked(int(words), (found / found.sum()).astype(np.float32))


@cache
def columns() -> npt.NDArray[np.intp]:
    """Return the place in SCRIPTS of each number of a letter."""
    found = np.full(OTHER + 1, len(SCRIPTS) - 1)
    for place, name in enumerate(scripts()[0]):
        found[place] = SCRIPTS.index(NAMES.get(name, "other"))
    return found
