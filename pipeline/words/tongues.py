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
from webtext.pipeline.words.words import Counts, read

ENGLISH = "en"
OTHER = 1 << 31  # the bit of letters that are of no script in the data
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
def scripts() -> tuple[dict[str, int], npt.NDArray[np.uint32]]:
    """Return a bit for each script of the data, and the bits of every code point that is a letter.

    Letters of other scripts have the bit `OTHER`; those that all scripts share have none.
    """
    names = sorted({script for one in tongues().values() for script in one.scripts})
    bits = {name: 1 << place for place, name in enumerate(names)}
    found = np.zeros(0x110000, np.uint32)
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, LETTERS))))
    places = np.array([ord(char) for char in every], np.uint32)
    for match in regex.finditer(r"[\p{L}--[\p{Script=Zyyy}\p{Script=Zinh}]]+", every, regex.V1):
        found[places[match.start() : match.end()]] = OTHER
    for name, bit in bits.items():
        for match in regex.finditer(rf"[\p{{L}}&&\p{{Script={name}}}]+", every, regex.V1):
            found[places[match.start() : match.end()]] = bit
    return bits, found


@cache
def own(name: str) -> int:
    """Return the bits of a language's scripts, and of those in which all write code and maths."""
    bits, _ = scripts()
    return sum(bits[script] for script in tongue(name).scripts | {"Latn", "Grek"})


def foreign(text: str, name: str) -> float:
    """Return which share of a text's letters is of no script of a language, Latin or Greek.

    >>> foreign("Москва is Moscow", "en"), foreign("Москва is Moscow", "ru")
    (0.42857142857142855, 0.0)
    """
    if text.isascii() or not tongue(name).scripts:
        return 0.0
    _, table = scripts()
    bits = table[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)]
    letters = np.count_nonzero(bits)
    others = np.count_nonzero(bits & ~np.uint32(own(name)))
    return float(others / letters) if letters else 0.0


def spaceless(text: str, tongue: Tongue) -> Counts:
    """Return a text's counts in a language without spaces, where so many letters stand for a word.

    What stands between its own letters is counted as in other languages.

    >>> spaceless("東京は日本の首都であり、webtextも動く。", tongue("ja")).words
    7
    """
    assert tongue.letters_a_word is not None
    bits, table = scripts()
    mine = np.uint32(sum(bits[script] for script in tongue.scripts))
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    own_letters = (table[codes] & mine) != 0
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
