"""justext's verdict on paragraphs, without counting the same words ten times.

trafilatura hands justext the common words of a hundred languages as a tuple, which justext hashes
anew for each page, and justext builds a paragraph's text anew each time that it looks at it.
"""

from functools import cache
from importlib.resources import files
from typing import Any

COPYRIGHT = ("\xa9", "&copy")


@cache
def stop_words() -> frozenset[str]:
    """Return the common words of all the languages that justext knows."""
    lists = [
        path for path in (files("justext") / "stoplists").iterdir() if path.name[-4:] == ".txt"
    ]
    text = "\n".join(path.read_bytes().decode() for path in lists)
    return frozenset(text.lower().splitlines()) - {""}


def classify(
    paragraphs: list[Any],
    stop_words: frozenset[str],
    short: int,
    long: int,
    few: float,
    many: float,
    most_linked: float,
    no_headings: bool,
) -> None:
    """Give each paragraph its first class, "short", "neargood", "good" or "bad".

    The arguments are those of justext's `classify_paragraphs`, in whose place it stands: lengths in
    characters, shares of stop words among words and of linked characters.

    Raises:
        ValueError: headings shall count, which trafilatura never asks for.
    """
    if not no_headings:
        raise ValueError("headings count only where justext decides itself")
    for paragraph in paragraphs:
        text = paragraph.text
        paragraph.heading = False
        paragraph.cf_class = "bad"
        linked = paragraph.chars_count_in_links
        if text and linked / len(text) > most_linked:
            continue
        if any(mark in text for mark in COPYRIGHT) or "select" in paragraph.dom_path:
            continue
        if len(text) < short:
            paragraph.cf_class = "bad" if linked else "short"
            continue
        words = text.lower().split()
        common = sum(map(stop_words.__contains__, words)) / len(words) if words else 0
        if common >= many:
            paragraph.cf_class = "good" if len(text) > long else "neargood"
        elif common >= few:
            paragraph.cf_class = "neargood"
