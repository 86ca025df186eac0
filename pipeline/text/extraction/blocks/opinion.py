"""What trafilatura takes of a page, as evidence for each of its blocks.

On articles trafilatura knows what the numbers of a block don't tell, as which part of a page under
the text belongs to it. It takes as long as most else that is done to a page, and longer the larger
a page is, so it is asked only where a page says that it is an article, and only of pages of
ordinary size.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import trafilatura
from trafilatura.settings import Document, Extractor

MOST_BLOCKS = 300  # of a page that it is asked of
NEAR = 4  # blocks to each side
RUN = 3  # words by which texts are compared
WORD = re.compile(r"\w+")
NAMED = ("property", "name")  # attributes that say what a <meta> tells
PUBLISHED = "article:published_time"
# Source: schema.org, Article and its kinds
ARTICLE = re.compile(r'"@type"\s*:\s*(?:\[\s*)?"(?:\w*Article|\w*BlogPosting|Report)"')

OPINION = ("taken by trafilatura", "taken near", "taken of the page")
NOT_ASKED = (-1.0,) * len(OPINION)


def opinion(tree: Any, blocks: int) -> str | None:
    """Return the text that trafilatura takes of a page of so many blocks, None if not asked.

    The tree stays as it is.
    """
    return taken(tree) if blocks <= MOST_BLOCKS and looks_like_article(tree) else None


def looks_like_article(tree: Any) -> bool:
    """Say whether a page tells machines that it is an article: by Open Graph or linked data."""
    for meta in tree.iter("meta"):
        for name in NAMED:
            said = meta.get(name)
            if said == PUBLISHED or (
                said == "og:type" and "article" in meta.get("content", "").lower()
            ):
                return True
    return any(
        "ld+json" in script.get("type", "") and ARTICLE.search(script.text or "")
        for script in tree.iter("script")
    )


def taken(tree: Any) -> str | None:
    """Return the text that trafilatura finds, "" where it finds none, None where it fails."""
    try:
        found = trafilatura.bare_extraction(tree, options=options())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- a page that it can't read is read without it
        return None
    return (found.text or "") if isinstance(found, Document) else ""


@cache
def options() -> Extractor:
    """Return trafilatura's settings: the same whatever is wished, as the model knows no other."""
    return Extractor(output_format="python", fast=True, comments=False, tables=True, dedup=False)


def told_of(blocks: Sequence[list[str]], text: str | None) -> list[tuple[float, ...]]:
    """Return what trafilatura's text tells of each block of a page, by their words.

    How much of it is taken, how much of those near, how much of all words: shares from 0 to 1,
    or `NOT_ASKED`.
    """
    if text is None:
        return [NOT_ASKED] * len(blocks)
    shares = compared(blocks, text)
    sums = list(accumulate(shares, initial=0.0))
    hits = sum(share * len(words) for share, words in zip(shares, blocks, strict=True))
    of_page = hits / (sum(map(len, blocks)) or 1)
    told = []
    for number, share in enumerate(shares):
        begin, end = max(0, number - NEAR), min(len(shares), number + NEAR + 1)
        told.append((share, (sums[end] - sums[begin]) / (end - begin), of_page))
    return told


def compared(blocks: Sequence[list[str]], text: str) -> list[float]:
    """Return how much of each block is in a text, by runs of three words.

    A block of fewer words is in it where it is one of its lines.
    """
    text = text.lower()
    whole = WORD.findall(text)
    runs = set(zip(whole, whole[1:], whole[2:], strict=False))
    lines = {" ".join(WORD.findall(line)) for line in text.split("\n")} - {""}
    return [
        sum(map(runs.__contains__, zip(its, its[1:], its[2:], strict=False))) / (len(its) - RUN + 1)
        if len(its) >= RUN
        else float(" ".join(its) in lines)
        for its in blocks
    ]
