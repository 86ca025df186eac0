"""What rules must know of a language: its scripts, its frequent words, and how its words are told.

The data are in `data/languages.tsv`, with their sources; a language that is not there is read as
one without data.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import regex

from webtext.pipeline.urls.named_lists import DATA
from webtext.pipeline.words.words import Counts, code_points, read

ENGLISH = "en"
OTHER, NO_LETTER, SPACE = range(253, 256)  # numbers of `scripts` beside those of the data's own
LETTERS = 0x32400  # no letter that Unicode knows has a higher code point


class Tongue(NamedTuple):
    """One language, named as langdetect names it."""

    name: str
    scripts: frozenset[str]  # ISO 15924; empty if nothing is known of the language
    shortest: float | None  # mean length of the words of a text, in characters; None: not known
    longest: float | None
    letters_a_word: float | None  # where words are not set apart by spaces
    stop_words: frozenset[str]

    def frequent(self, words: Iterable[str]) -> int:
        """Return how many of these words, in lower case, are frequent ones; Korean ones end so.

        >>> tongue("de").frequent(["der", "hund", "und"]), tongue("ko").frequent(["항구에", "배"])
        (2, 1)
        """
        if "Hang" in self.scripts:
            endings = tuple(self.stop_words)
            return sum(word.endswith(endings) for word in words)
        return sum(word in self.stop_words for word in words)

    def knows(self, words: Iterable[str]) -> bool:
        """Whether any of these words, in lower case, is a frequent one."""
        if "Hang" in self.scripts:
            return self.frequent(words) > 0
        return not self.stop_words.isdisjoint(words)


UNKNOWN = Tongue("", frozenset(), None, None, None, frozenset())


@cache
def tongues() -> dict[str, Tongue]:
    """Return the languages of the data file, by name."""
    found = {}
    for line in (DATA / "languages.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, scripts, shortest, longest, letters, stops = line.split("\t")
        low, high, each = (
            None if text == "-" else float(text) for text in (shortest, longest, letters)
        )
        found[name] = Tongue(
            name, frozenset(scripts.split()), low, high, each, frozenset(stops.split())
        )
    return found


def tongue(name: str | None) -> Tongue:
    """Return what is known of a language, `UNKNOWN` if nothing is.

    >>> sorted(tongue("ja").scripts), tongue("tlh").scripts
    (['Hani', 'Hira', 'Kana'], frozenset())
    """
    return tongues().get(name or "", UNKNOWN)


@cache
def scripts() -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
    """Return the scripts of the data, and a number for every code point.

    It is the place of a letter's script among them, OTHER for a letter of another script, else
    NO_LETTER or SPACE. Letters that all scripts share are no letters here.
    """
    names = tuple(sorted({script for one in tongues().values() for script in one.scripts}))
    found = np.full(0x110000, NO_LETTER, np.uint8)
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, LETTERS))))
    places = np.array([ord(char) for char in every], np.uint32)

    def mark(pattern: str, number: int) -> None:
        for match in regex.finditer(pattern, every, regex.V1):
            found[places[match.start() : match.end()]] = number

    mark(r"[\p{L}--[\p{Script=Zyyy}\p{Script=Zinh}]]+", OTHER)
    for place, name in enumerate(names):
        mark(rf"[\p{{L}}&&\p{{Script={name}}}]+", place)
    found[[code for code in range(LETTERS) if chr(code).isspace()]] = SPACE
    return names, found


@cache
def numbers(wanted: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Return for each number of `scripts` whether it is of one of these scripts."""
    names, _ = scripts()
    found = np.zeros(SPACE + 1, np.bool_)
    found[[names.index(name) for name in wanted]] = True
    return found


def foreign(text: str, name: str) -> float:
    """Return which share of a text's letters is of no script of a language, Latin or Greek.

    All languages write names and code in Latin, and formulas in Greek.

    >>> foreign("Москва is Moscow", "en"), foreign("Москва is Moscow", "ru")
    (0.42857142857142855, 0.0)
    """
    if text.isascii() or not (written := tongue(name).scripts):
        return 0.0
    _, table = scripts()
    counts = np.bincount(table[code_points(text)], minlength=SPACE + 1)
    letters = int(counts[:NO_LETTER].sum())
    own = int(counts[numbers(written | {"Latn", "Grek"})].sum())
    return (letters - own) / letters if letters else 0.0


def spaceless(text: str, tongue: Tongue) -> Counts:
    """Return a text's counts in a language without spaces, where so many letters stand for a word.

    What stands between its own letters is counted as in other languages.

    >>> spaceless("東京は日本の首都であり、webtextも動く。", tongue("ja")).words
    7
    """
    assert tongue.letters_a_word is not None
    _, table = scripts()
    codes = code_points(text)
    own_letters = numbers(tongue.scripts)[table[codes]]
    rest = np.where(own_letters, np.uint32(ord(" ")), codes)
    counts = read(rest.tobytes().decode("utf-32-le", "surrogatepass")).counts
    letters = int(np.count_nonzero(own_letters))
    words = int(letters / tongue.letters_a_word)
    return Counts(
        counts.tokens + words,
        counts.words + words,
        counts.characters + letters,
        counts.letter_tokens + words,
        counts.letter_words + words,
    )


def words_of(line: str, tongue: Tongue) -> int:
    """Return how many words a line has, counted between spaces or else by its letters."""
    if tongue.letters_a_word is None:
        return len(line.split())
    return int(sum(map(str.isalnum, line)) / tongue.letters_a_word)
