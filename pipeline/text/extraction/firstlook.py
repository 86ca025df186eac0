"""Check a page's bytes before extraction, to drop pages without a main text.

Text is counted only until there is enough; then the check of a page ends: tens of microseconds. Not
for UTF-16, whose markup it does not recognise and counts as text.

The language of a page is checked in three windows of its visible text, a millisecond in all: menus
and footers may be in one language and the article in another, so all must agree.
"""

from functools import cache
from typing import Any

import numpy as np

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.langid import chances
from webtext.pipeline.urls.named_lists import DATA

ENOUGH = 1000  # visible bytes without white space; a wall has fewer, its small print included
LEAST = 150  # letters of 50 words of 3. Source: Gopher A.1.1, the lower bounds of both

WINDOWS = 3  # from the start, the middle and the end of the visible text
WINDOW = 2000  # characters: of 600, 1000 and 2000 the value that found most pages and lost none
LONGEST_ENTITY = 10  # characters, such as "&thetasym;"; only rare ones are longer
SURE = 0.001  # probability of a language below which it counts as absent


def first_look(body: bytes) -> tuple[str, int] | None:
    """Return why there can be no main text (a fate of `extract`) and the text's size, or None."""
    found = visible(body)
    if found >= ENOUGH:
        return None
    lower = body.lower()
    if b"articlebody" in lower:  # its text is in linked data
        return None
    for kind, words in walls():
        if words in lower:
            return kind, found
    return ("no_text", found) if found < LEAST else None


def visible(body: bytes, enough: int = ENOUGH) -> int:
    """Return the number of bytes of text, without markup and white space, up to `enough`.

    >>> visible(b"<title>A b</title><script>var x = 1 < 2</script><p>c")
    3
    """
    return int(count_visible(np.frombuffer(body, np.uint8), enough))


def other_language(body: bytes, content_type: str | None, wanted: tuple[str, ...]) -> float | None:
    """Return the highest probability of `wanted` languages, if a page is clearly in none of them.

    Languages are named as langdetect names them. A page with fewer than 1,000 visible characters
    is decided by its main text later.
    """
    text = decode(body, content_type).text.encode("utf-32-le", "replace")
    codes = visible_text(np.frombuffer(text, np.uint32))
    if len(codes) < ENOUGH:
        return None
    starts = np.linspace(0, max(0, len(codes) - WINDOW), WINDOWS).astype(int)
    most = 0.0
    for start in dict.fromkeys(starts.tolist()):
        found = chances(codes[start : start + WINDOW])
        most = max(most, sum(found.get(name, 0.0) for name in wanted))
        if not found or most >= SURE:
            return None
    return most


@njit
def begins(body: Any, at: int, word: Any) -> Any:
    """Whether lower-case `word` is at `at`, in upper or lower case."""
    if at + len(word) > len(body):
        return False
    for n in range(len(word)):
        char = body[at + n]
        if char != word[n] and not (65 <= char <= 90 and char + 32 == word[n]):
            return False
    return True


@njit
def count_visible(body: Any, enough: int) -> Any:
    """Count the bytes outside markup, comments, scripts, styles and white space, up to `enough`."""
    count = at = 0
    while at < len(body) and count < enough:
        if opens(body, at):
            at = after_tag(body, at)
        else:
            count += body[at] > 32
            at += 1
    return count


@njit
def visible_text(page: Any) -> Any:
    """Return the code points outside entities and the parts that `count_visible` excludes.

    Runs of white space and markup are one space each.
    """
    found = np.empty(len(page), np.uint32)
    count = at = 0
    while at < len(page):
        char = page[at]
        end = after_entity(page, at) if char == 38 else at  # "&"
        if end > at:
            at = end
            continue
        tag = opens(page, at)
        if char > 32 and not tag:
            found[count] = char
            count += 1
        elif count and found[count - 1] != 32:
            found[count] = 32
            count += 1
        at = after_tag(page, at) if tag else at + 1
    return found[:count]


@njit
def opens(page: Any, at: int) -> Any:
    """Whether a tag or comment begins at `at`. Source: HTML standard 13.2.5.6, tag open state."""
    if page[at] != 60 or at + 1 >= len(page):  # "<"
        return False
    char = page[at + 1]
    return char == 33 or char == 47 or char == 63 or 65 <= char <= 90 or 97 <= char <= 122


@njit
def after_tag(page: Any, at: int) -> Any:
    """Return where a tag, comment, script or style that begins at `at` ends."""
    until = b">"
    if begins(page, at, b"<!--"):
        until = b"-->"
    elif begins(page, at, b"<script"):
        until = b"</script"
    elif begins(page, at, b"<style"):
        until = b"</style"
    at += 1
    while at < len(page) and not begins(page, at, until):
        at += 1
    if len(until) > 3:  # its own end, like any tag's
        while at < len(page) and page[at] != 62:  # ">"
            at += 1
    return at + (1 if len(until) != 3 else 3)


@njit
def after_entity(page: Any, at: int) -> Any:
    """Return where an entity that begins at `at` ends, `at` if there is none."""
    end = at + 1
    while end < len(page) and end < at + LONGEST_ENTITY:
        char = page[end]
        if char == 59:  # ";"
            return end + 1
        if not (char == 35 or 48 <= char <= 57 or 65 <= char <= 90 or 97 <= char <= 122):
            return at
        end += 1
    return at


@cache
def walls() -> tuple[tuple[str, bytes], ...]:
    """Return the kinds of walls, each with words that only such pages have."""
    lines = (DATA / "walls.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t", 1) for line in lines if line and not line.startswith("#"))
    return tuple((kind, words.encode()) for kind, words in rows)
