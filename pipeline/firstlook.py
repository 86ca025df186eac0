"""A look at a page's bytes, before its main text is searched for, that tells what has none.

Text is counted only until there is enough, and a page that has enough is looked at no further: tens
of microseconds. Not for UTF-16, whose markup it does not see and so takes for text.
"""

from functools import cache
from typing import Any

import numba
import numpy as np

from pipeline.lists import DATA

ENOUGH = 1000  # visible bytes without white space; a wall has fewer, small print and all
LEAST = 150  # the letters of 50 words of 3. Source: Gopher A.1.1, the least of both that is kept


def first_look(body: bytes) -> tuple[str, int] | None:
    """Return why there can be no main text, a fate of `extract`, and how much text; else None."""
    found = visible(body)
    if found >= ENOUGH:
        return None
    lower = body.lower()
    for kind, words in walls():
        if words in lower:
            return kind, found
    return ("no_text", found) if found < LEAST and b"articlebody" not in lower else None


def visible(body: bytes, enough: int = ENOUGH) -> int:
    """Return how many bytes of text there are, without markup and white space, up to `enough`.

    >>> visible(b"<title>A b</title><script>var x = 1 < 2</script><p>c")
    3
    """
    return int(count_visible(np.frombuffer(body, np.uint8), enough))


@numba.njit(cache=True)
def begins(body: Any, at: int, word: Any) -> Any:
    """Whether lower-case `word` stands at `at`, in any case."""
    if at + len(word) > len(body):
        return False
    for n in range(len(word)):
        char = body[at + n]
        if char != word[n] and not (65 <= char <= 90 and char + 32 == word[n]):
            return False
    return True


@numba.njit(cache=True)
def count_visible(body: Any, enough: int) -> Any:
    """Count the bytes beyond markup, comments, scripts, styles and white space, up to `enough`."""
    count = at = 0
    size = len(body)
    while at < size and count < enough:
        if body[at] != 60:  # "<"
            count += body[at] > 32
            at += 1
            continue
        until = b">"
        if begins(body, at, b"<!--"):
            until = b"-->"
        elif begins(body, at, b"<script"):
            until = b"</script"
        elif begins(body, at, b"<style"):
            until = b"</style"
        at += 1
        while at < size and not begins(body, at, until):
            at += 1
        if len(until) > 3:  # its own end, like any tag's
            while at < size and body[at] != 62:  # ">"
                at += 1
        at += 1 if len(until) != 3 else 3
    return count


@cache
def walls() -> tuple[tuple[str, bytes], ...]:
    """Return the kinds of walls, each with words that only such pages have."""
    lines = (DATA / "walls.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t", 1) for line in lines if line and not line.startswith("#"))
    return tuple((kind, words.encode()) for kind, words in rows)
