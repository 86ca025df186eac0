"""The main text of a page: its blocks, their features, the best choice, and the output."""

import re
from dataclasses import dataclass
from typing import Any

from webtext.pipeline.text.extraction.blocks.blocks import blocks
from webtext.pipeline.text.extraction.blocks.completing import completed, may_belong
from webtext.pipeline.text.extraction.blocks.evidence import LONG, TOKEN, evidence
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.opinion import opinion
from webtext.pipeline.text.extraction.blocks.page_blocks import Block, Place
from webtext.pipeline.text.extraction.blocks.scoring import best_choice, judged
from webtext.pipeline.text.extraction.blocks.writing import data_cell, is_thread, written
from webtext.pipeline.text.extraction.embedded import SHOWN, embedded
from webtext.pipeline.text.extraction.notices import without_notices, without_popups

# Letters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
LIKELY = 0.5  # probability below which nothing is taken if precision is favoured
GENEROUS = 2.0  # factor of the blocks' probability if recall is favoured
COMMENTS = BIT["comment"]
LEAST_COMMENT = 5  # words of a comment that is taken if comments are wanted
MOST_LINKED = 0.3  # share of linked characters of it
LEAST_SHOWN = 40  # words of running text that a page shows, which data in it must contain
LEAST_TOLD = 0.5  # share of their runs of four words that it contains


@dataclass(frozen=True)
class Wishes:
    """What to return of a page besides its main text, and how certain it must be."""

    precise: bool = False
    generous: bool = False
    tables: bool = True
    quotes: bool = True
    comments: bool = False


def main_text(tree: Any, wishes: Wishes = Wishes()) -> str:
    """Return the main text of a page, "" if it shows nothing; the tree is not changed."""
    found, rows = seen(tree)
    words = lengths(found)
    return written(chosen(found, judged(found, words, rows), wishes, words))


def seen(tree: Any) -> tuple[list[Block], list[list[float]]]:
    """Return the blocks of a page, or of the data in it, and the features of each."""
    found, places = blocks(tree)
    page = tree
    if shown(found) < SHOWN and (data := embedded(tree)) is not None:
        more, its_places = blocks(data)
        if shown(more) > shown(found) and tells(more, found):
            found, places, page = more, its_places, data
    title = tree.find(".//title")
    named = (title.text or "") if title is not None else ""
    return found, evidence(found, places, named, opinion(page, len(found)))


def tells(data: list[Block], found: list[Block]) -> bool:
    """Whether data in a page contain its running text, or the page shows next to none.

    Else they are something else than the page's text: comments, or answers to common questions.
    """
    told = set().union(*(fours(block.text) for block in data))
    texts = [
        block.text for block in found
        if may_belong(block) and len(TOKEN.findall(block.text)) >= LONG
    ]  # fmt: skip
    if sum(len(TOKEN.findall(text)) for text in texts) < LEAST_SHOWN:
        return True
    runs = [run for text in texts for run in fours(text)]
    return sum(map(told.__contains__, runs)) >= LEAST_TOLD * len(runs)


def fours(text: str) -> set[tuple[str, ...]]:
    """Return a text's runs of four words."""
    words = TOKEN.findall(text.lower())
    return set(zip(words, words[1:], words[2:], words[3:], strict=False))


def lengths(found: list[Block]) -> list[int]:
    """Return the number of words of each of some blocks."""
    return [len(TOKEN.findall(block.text)) for block in found]


def shown(found: list[Block]) -> int:
    """Return the number of characters of some blocks."""
    return sum(len(block.text) for block in found)


def weights(found: list[Block], words: list[int]) -> list[int]:
    """Return the number of words of each of some blocks in any script, given those with spaces.

    Where no spaces stand between words, two letters count as one.
    """
    return [
        size if block.text.isascii() else size + len(UNSPACED.findall(block.text)) // 2
        for block, size in zip(found, words, strict=True)
    ]


def chosen(
    found: list[Block], chances: list[float], wishes: Wishes, words: list[int] | None = None
) -> list[Block]:
    """Return the blocks of the main text, given each block's probability of being part of it.

    `words` are the blocks' numbers of words, where they are known.
    """
    words = weights(found, lengths(found) if words is None else words)
    if wishes.generous:
        chances = [min(1.0, GENEROUS * chance) for chance in chances]
    chances = without_popups(found, chances, words)
    takes = completed(found, best_choice(chances, words), chances)
    if wishes.precise:
        takes = [take and chance >= LIKELY for take, chance in zip(takes, chances, strict=True)]
    takes = without_notices(found, takes, words)
    quotes = wishes.quotes or not is_thread([block for block, take in zip(found, takes, strict=True)
                                             if take])  # fmt: skip
    return [
        block
        for block, take, size in zip(found, takes, words, strict=True)
        if not block.place.signed
        and (take or (wishes.comments and is_comment(block, size)))
        and (quotes or not block.place.quoted)
        and (wishes.tables or data_cell(block.place) is None)
    ]


def is_comment(block: Block, words: int) -> bool:
    """Whether a block is a reader's comment under an article."""
    place: Place = block.place
    linked = block.linked > MOST_LINKED * len(block.text)
    return bool(place.bits & COMMENTS) and words >= LEAST_COMMENT and not linked
