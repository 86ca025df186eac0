"""The running text of a document: its lines that read as sentences do.

Manuals and posts have it between code, tables and lists of links; a page that only leads to others
has none. What a line must have was chosen on the mini-web (LOG.md).
"""

import re
from typing import NamedTuple

import regex

from webtext.pipeline.words.characters import TERMINAL
from webtext.pipeline.words.tongues import Tongue

LEAST = 5  # words of a line; fewer make a heading or an item
LONG = 20  # words; so long a line needs no mark at its end, as where a page's sentence is cut
PLAIN = 0.6  # share of the words that are letters alone, but for the marks around them
ENDS = TERMINAL | set(":;,：；，、،")  # also of a sentence that leads to code, and of verse
CLOSING = " \"'”’»)]*_"  # may follow the mark
AROUND_LINES = " \t-•*–·"
NUMBERED = re.compile(r"[A-Z\d]{1,3}(?:\.\d+)+\.?\s")  # a heading, as "12.1.2. What Is a Document?"
SPELT = regex.compile(r"[\p{L}\p{M}\u200c\u200d]+")  # and joiners, as in Persian
AROUND = ".,;:!?¿¡()[]\"'’‘“”„«»…*_"


class Running(NamedTuple):
    """The running text of a document."""

    lines: list[str]
    words: int


def running(text: str, tongue: Tongue) -> Running:
    r"""Return the lines that read as sentences, without bullets, and how many words they have.

    >>> from webtext.pipeline.words.tongues import tongue
    >>> running("Home | News | About\n- This is the first part of it.", tongue("en"))
    Running(lines=['This is the first part of it.'], words=7)
    """
    lines, count = [], 0
    for line in text.split("\n"):
        bare = line.strip(AROUND_LINES)
        if words := sentence_words(bare, tongue):
            lines.append(bare)
            count += words
    return Running(lines, count)


def sentence_words(line: str, tongue: Tongue) -> int:
    """Return how many words a line has that reads as a sentence, 0 for one that does not."""
    if NUMBERED.match(line):
        return 0
    end = line.rstrip(CLOSING)
    ended = end[-1:] in ENDS and not end.endswith("...")
    if tongue.letters_a_word:
        letters = sum(map(str.isalpha, line))
        words = int(letters / tongue.letters_a_word)
        known = any(word in line for word in tongue.stop_words)
        enough = words >= LEAST and letters >= PLAIN * len(line.replace(" ", ""))
        return words if enough and known and (ended or words >= LONG) else 0
    if len(line) < 2 * LEAST:
        return 0
    chunks = line.split()
    if len(chunks) < LEAST or not (ended or len(chunks) >= LONG):
        return 0
    bare = [chunk.strip(AROUND) for chunk in chunks]
    least = PLAIN * len(bare)
    if sum(map(str.isalpha, bare)) < least and (line.isascii() or sum(map(spelt, bare)) < least):
        return 0
    if tongue.stop_words and not tongue.knows(map(str.lower, bare)):
        return 0
    return len(chunks)


def spelt(word: str) -> bool:
    """Whether a word is letters alone, with the signs that stand at letters in many scripts.

    >>> spelt("हैं"), "हैं".isalpha(), spelt("x86")
    (True, False, False)
    """
    return word.isalpha() or (not word.isascii() and bool(SPELT.fullmatch(word)))
