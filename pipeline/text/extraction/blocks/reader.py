"""The main text of a page: its blocks, what is known of each, the best choice, and its writing."""

from dataclasses import dataclass
from typing import Any

from webtext.pipeline.text.extraction.blocks.blocks import Block, Place, blocks
from webtext.pipeline.text.extraction.blocks.embedded import SHOWN, embedded
from webtext.pipeline.text.extraction.blocks.evidence import TOKEN, evidence
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.opinion import opinion
from webtext.pipeline.text.extraction.blocks.scoring import best_choice, probabilities
from webtext.pipeline.text.extraction.blocks.writing import data_cell, written

LIKELY = 0.5  # probability below which nothing is taken where precision is favoured
GENEROUS = 2.0  # times the probability that blocks count with where recall is favoured
COMMENTS = BIT["comment"]
LEAST_COMMENT = 5  # words of a comment that is taken where comments are wanted
MOST_LINKED = 0.3  # share of linked characters of it
LEAST_MENU = 3  # lines of a block that is a menu
MENU_LINKED = 0.8  # share of linked characters of it; spaces are not linked
LONGEST_ENTRY = 40  # characters of its lines


@dataclass(frozen=True)
class Wishes:
    """What is wanted of a page beside its main text, and how sure it must be."""

    precise: bool = False
    generous: bool = False
    tables: bool = True
    comments: bool = False


def main_text(tree: Any, wishes: Wishes = Wishes()) -> str:
    """Return the main text of a page, "" where it shows nothing; the tree stays as it is."""
    found, rows = seen(tree)
    return written(chosen(found, probabilities(rows), wishes))


def seen(tree: Any) -> tuple[list[Block], list[list[float]]]:
    """Return the blocks of a page, or of what it holds as data, and the evidence of each."""
    found, places = blocks(tree)
    page = tree
    if shown(found) < SHOWN and (data := embedded(tree)) is not None:
        more, its_places = blocks(data)
        if shown(more) > shown(found):
            found, places, page = more, its_places, data
    title = tree.find(".//title")
    named = (title.text or "") if title is not None else ""
    return found, evidence(found, places, named, opinion(page, len(found)))


def shown(found: list[Block]) -> int:
    """Return the characters of some blocks."""
    return sum(len(block.text) for block in found)


def chosen(found: list[Block], chances: list[float], wishes: Wishes) -> list[Block]:
    """Return the blocks of the main text, by how probable it is that each is part of it."""
    words = [len(TOKEN.findall(block.text)) for block in found]
    if wishes.generous:
        chances = [min(1.0, GENEROUS * chance) for chance in chances]
    takes = best_choice(chances, words)
    if wishes.precise:
        takes = [take and chance >= LIKELY for take, chance in zip(takes, chances, strict=True)]
    return [
        block
        for block, take, size in zip(found, takes, words, strict=True)
        if ((take and not is_menu(block)) or (wishes.comments and is_comment(block, size)))
        and (wishes.tables or data_cell(block.place) is None)
    ]


def is_menu(block: Block) -> bool:
    """Say whether a block is a menu by itself: short lines, each no more than a link.

    The model sees too few pages on which nothing else tells that a menu is none of the text.
    """
    lines = block.text.split("\n")
    return (
        len(lines) >= LEAST_MENU
        and block.linked >= MENU_LINKED * len(block.text)
        and max(map(len, lines)) <= LONGEST_ENTRY
    )


def is_comment(block: Block, words: int) -> bool:
    """Say whether a block is what a reader wrote under an article."""
    place: Place = block.place
    linked = block.linked > MOST_LINKED * len(block.text)
    return bool(place.bits & COMMENTS) and words >= LEAST_COMMENT and not linked
