"""langdetect's algorithm and profiles, compiled: the same answers, forty times faster.

langdetect draws n-grams of a text at random and multiplies their probabilities in each language,
in seven trials. Here the profiles are one table, the n-grams are numbers, and the random numbers
are those of Python's generator for the seed, so that the draws, and so the answers, are the same as
langdetect's. A test compares the two.

Source: langdetect 1.0.9 (after Nakatani Shuyo's language-detection), seed 0 as C4 sets it.
"""

import json
import math
import random
import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from langdetect.detector import Detector
from langdetect.utils.ngram import NGram

from webtext.pipeline.core.compiled import njit

SEED = 0  # Source: C4's reference code, tensorflow_datasets text/c4_utils.py
TRIALS = 7
ROUNDS = 1000  # most draws in one trial
CONVERGED = 0.99999  # probability at which a trial ends
FLOOR = 0.1  # a language less probable than this is not named
LONGEST = 10_000  # characters that are read
LONGEST_ADDRESS = 2084  # characters that langdetect treats as one URL
DRAWS = 1 << 17  # random numbers: about eight times what a text can need; a power of two
COMBINING = re.compile("[\u0300-\u036f]")
SPACES = re.compile(" {2,}")
SHOUTED = 4  # capitals of A to Z per small letter; with more, a text is read in lower case


class Profiles(NamedTuple):
    """The profiles of langdetect as arrays."""

    languages: list[str]
    keys: npt.NDArray[np.uint64]  # of n-grams, in an open-addressed table; 0 for an empty slot
    rows: npt.NDArray[np.int32]  # of `chances`, beside the keys
    chances: npt.NDArray[np.float64]  # of an n-gram in each language
    normal: npt.NDArray[np.uint32]  # the normalised form of each code point
    upper: npt.NDArray[np.bool_]  # whether that is upper case
    draws: npt.NDArray[np.uint32]  # the generator's output for the seed


class Guess(NamedTuple):
    """A language and its probability; None if a text has no features."""

    language: str | None
    probability: float


def detect(text: str, longest: int = LONGEST) -> Guess:
    """Return the most probable language of the first `longest` characters of a text."""
    known = profiles()
    codes = np.frombuffer(readable(text, longest).encode("utf-32-le", "replace"), np.uint32)
    found = probabilities(spoken(codes), *known[1:])
    best = int(found.argmax())
    if not found[best] > FLOOR:
        return Guess(None, 0.0)
    return Guess(known.languages[best], float(found[best]))


def chances(codes: npt.NDArray[np.uint32]) -> dict[str, float]:
    """Return the probability of each language of a text, as code points; empty if none is found."""
    known = profiles()
    found = probabilities(spoken(codes), *known[1:])
    return dict(zip(known.languages, found.tolist(), strict=True)) if found.any() else {}


def languages() -> list[str]:
    """Return the names of the languages that can be detected, sorted."""
    return sorted(file.name for file in folder().iterdir() if not file.name.startswith("."))


def folder() -> Traversable:
    """Return the folder of langdetect's profiles, which has one file per language."""
    return files("langdetect") / "profiles"


def readable(text: str, longest: int) -> str:
    """Return the start of a text without addresses and repeated spaces, as langdetect reads it."""
    size = longest + 2 * LONGEST_ADDRESS
    while True:
        start = text[:size]
        if "http" in start:
            start = Detector.URL_RE.sub(" ", start)
        if "@" in start:
            start = Detector.MAIL_RE.sub(" ", start)
        if len(start) >= longest + LONGEST_ADDRESS or size >= len(text):
            break
        size *= 2  # so much was removed that the end of the cut may matter
    if not start.isascii() and COMBINING.search(start):
        start = NGram.normalize_vi(start)
    start = start[:longest]
    return SPACES.sub(" ", start) if "  " in start else start


def spoken(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the part of a text that shows its language, as code points.

    langdetect skips words of capitals, and so finds nothing in a text that has no others; such a
    text is read in lower case.
    """
    if shouted(codes):
        lower = codes.tobytes().decode("utf-32-le", "replace").lower()
        codes = np.frombuffer(lower.encode("utf-32-le", "replace"), np.uint32)
    return without_latin(codes)


def shouted(codes: npt.NDArray[np.uint32]) -> bool:
    """Whether a text is in capitals, by its letters from A to Z."""
    capitals = np.count_nonzero((codes >= ord("A")) & (codes <= ord("Z")))
    small = np.count_nonzero((codes >= ord("a")) & (codes <= ord("z")))
    return bool(capitals > SHOUTED * small)


def without_latin(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Remove the Latin letters of a text that is mostly in another script."""
    latin = (codes >= ord("A")) & (codes <= ord("z"))
    other = (codes >= 0x300) & ~((codes >= 0x1E00) & (codes <= 0x1EFF))
    return codes[~latin] if 2 * np.count_nonzero(latin) < np.count_nonzero(other) else codes


@cache
def profiles() -> Profiles:
    """Read langdetect's profiles, in the order of their names."""
    read = [json.loads((folder() / name).read_text(encoding="utf-8")) for name in languages()]
    grams = sorted({gram for profile in read for gram in profile["freq"] if 1 <= len(gram) <= 3})
    row = {gram: number for number, gram in enumerate(grams)}
    chances = np.zeros((len(grams), len(read)))
    for column, profile in enumerate(read):
        for gram, count in profile["freq"].items():
            if gram in row:
                chances[row[gram], column] = count / profile["n_words"][len(gram) - 1]
    packed = np.array([pack(gram) for gram in grams], np.uint64)
    keys, rows = table(packed)
    normal = np.arange(0x110000, dtype=np.uint32)
    normal[:0x10000] = [ord(NGram.normalize(chr(code))) for code in range(0x10000)]
    upper = np.zeros(0x110000, np.bool_)
    upper[[code for code in range(0x110000) if chr(code).isupper()]] = True
    generator = random.Random(SEED)  # noqa: S311 -- the draws that langdetect makes
    draws = np.array([generator.getrandbits(32) for _ in range(DRAWS)], np.uint32)
    names = [profile["name"] for profile in read]
    return Profiles(names, keys, rows, chances, normal, upper, draws)


def pack(gram: str) -> int:
    """Return an n-gram of up to three characters as one number."""
    number = 0
    for char in gram:
        number = number << 21 | ord(char)
    return number


def table(packed: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Return an open-addressed hash table from packed n-grams to their positions."""
    size = 1 << (4 * len(packed)).bit_length()
    keys = np.zeros(size, np.uint64)
    rows = np.zeros(size, np.int32)
    fill(packed, keys, rows)
    return keys, rows


@njit
def slot(key: Any, size: int) -> Any:
    """Return the slot where the search for a key begins."""
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(32)) & np.uint64(size - 1)


@njit
def fill(packed: Any, keys: Any, rows: Any) -> None:
    """Put packed n-grams into an empty table."""
    last = np.uint64(len(keys) - 1)
    for number in range(len(packed)):
        at = slot(packed[number], len(keys))
        while keys[at]:
            at = (at + np.uint64(1)) & last
        keys[at] = packed[number]
        rows[at] = number


@njit
def look_up(key: Any, keys: Any, rows: Any) -> Any:
    """Return the row of a packed n-gram, -1 if no language has it."""
    last = np.uint64(len(keys) - 1)
    at = slot(key, len(keys))
    while keys[at]:
        if keys[at] == key:
            return rows[at]
        at = (at + np.uint64(1)) & last
    return np.int32(-1)


@njit
def extract(codes: Any, keys: Any, rows: Any, normal: Any, upper: Any) -> Any:
    """Return the rows of a text's known n-grams, in langdetect's order.

    N-grams do not reach across white space, nor into words of capitals.
    """
    space = np.uint64(32)
    found = np.empty(3 * len(codes), np.int32)
    count = 0
    first = second = np.uint64(0)  # the two characters before this one, as many as `held` says
    last = space
    held = 1
    capitals = False
    for code in codes:
        char = np.uint64(normal[code])
        if last == space:
            capitals = False
            held = 1
            if char == space:
                continue
        held = min(held + 1, 3)
        capitals = upper[char] and (capitals or upper[last])
        first, second, last = second, last, char
        if capitals:
            continue
        gram = char
        for size in range(1, held + 1):
            if size == 2:
                gram = second << np.uint64(21) | char
            elif size == 3:
                gram = first << np.uint64(42) | second << np.uint64(21) | char
            row = look_up(gram, keys, rows) if gram != space else np.int32(-1)
            if row >= 0:
                found[count] = row
                count += 1
    return found[:count]


@njit
def probabilities(
    codes: Any, keys: Any, rows: Any, chances: Any, normal: Any, upper: Any, draws: Any
) -> Any:
    """Return the probability of each language, all 0 for a text without features."""
    languages = chances.shape[1]
    total = np.zeros(languages)
    grams = extract(codes, keys, rows, normal, upper)
    if len(grams) == 0:
        return total
    bits = 0
    while len(grams) >> bits:
        bits += 1
    shift = np.uint32(32 - bits)
    drawn = 0
    spare = 0.0
    for trial in range(TRIALS):
        if trial % 2 == 0:  # Python's `gauss` makes two at a time
            angle = uniform(draws, drawn) * 2.0 * math.pi
            radius = math.sqrt(-2.0 * math.log(1.0 - uniform(draws, drawn + 2)))
            drawn += 4
            normally, spare = math.cos(angle) * radius, math.sin(angle) * radius
        else:
            normally = spare
        weight = (0.5 + normally * 0.05) / 10_000
        chance = np.full(languages, 1.0 / languages)
        for turn in range(ROUNDS + 1):
            pick = draws[drawn & (DRAWS - 1)] >> shift
            drawn += 1
            while pick >= len(grams):
                pick = draws[drawn & (DRAWS - 1)] >> shift
                drawn += 1
            chance *= weight + chances[grams[pick]]
            if turn % 5 == 0:
                chance /= chance.sum()
                if chance.max() > CONVERGED:
                    break
        total += chance / TRIALS
    return total


@njit
def uniform(draws: Any, at: Any) -> Any:
    """Return the float that Python's generator makes from two draws."""
    return ((draws[at] >> 5) * 67108864.0 + (draws[at + 1] >> 6)) / 9007199254740992.0
