"""The probability that a block belongs to a page's main text, by boosted decision trees.

The trees are data (`pipeline/data/blocks.json`, made by `tests/bench/blocks_model.py`): some
hundred small ones whose values add up to a logit, and more for a second look. They are compiled to
Python expressions at their first use, which is several times as fast as walking them, and needs no
NumPy in the sandbox.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from math import exp
from typing import Any

from webtext.pipeline.text.extraction.blocks.evidence import NAMES
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.neighbours import AGAIN, Neighbours
from webtext.pipeline.text.extraction.blocks.page_blocks import Block

FILE = "blocks.json"
ALONE, AMONG = "alone", "among"  # the two looks, as the file names them
TREES_AT_ONCE = 25  # trees between two checks of the sum
HOPELESS = 0.2  # probability below which no block is taken, not even the best of a page
NO_TEXT = 0.3  # a page whose best block is less probable has menus and notices alone
UNLIKELY = 0.3  # probability below which words are not expected in the text at all
DECIDED = 5.0  # logit at which the remaining trees are skipped; each of them adds < 1
SURE = 0.08  # probability at which, and at 1 less it, a second look changes no text (LOG.md)

Tree = float | list[Any]  # a value, or a test, the tree if it is true and the tree if not
Row = list[float]


def judged(blocks: Sequence[Block], words: Sequence[int], rows: list[Row]) -> list[float]:
    """Return the probability of each block, after a second look at those that are in doubt.

    `words` are the blocks' numbers of words, `rows` their features.
    """
    guesses = probabilities(rows, ALONE)
    around = Neighbours(blocks, words, guesses)
    doubtful = [at for at, guess in enumerate(guesses) if SURE < guess < 1 - SURE]
    again = probabilities([rows[at] + around.row(at) for at in doubtful], AMONG)
    found = guesses.copy()
    for at, probability in zip(doubtful, again, strict=True):
        found[at] = probability
    return found


def probabilities(rows: list[Row], look: str) -> list[float]:
    """Return for each row of features the probability that its block is main text."""
    first, parts = model(look)
    found = []
    for row in rows:
        logit = first
        for part in parts:
            logit += part(row)
            if not -DECIDED < logit < DECIDED:
                break
        found.append(1 / (1 + exp(-logit)))
    return found


@cache
def model(look: str) -> tuple[float, tuple[Callable[[Row], float], ...]]:
    """Return a look's initial logit, and functions that return values to add to it."""
    told = json.loads((files("webtext.pipeline.data") / FILE).read_text(encoding="utf-8"))[look]
    trees: list[Tree] = told["trees"]
    parts = [
        " + ".join(map(expression, trees[at : at + TREES_AT_ONCE]))
        for at in range(0, len(trees), TREES_AT_ONCE)
    ]
    # `expression` writes only numbers and comparisons
    return float(told["first"]), tuple(eval(f"lambda row: {part}") for part in parts)  # noqa: S307


def expression(tree: Tree) -> str:
    """Return a tree as a Python expression of a row.

    >>> expression([["own words", 4.5], 0.25, [["near", "nav"], -1.0, 0.5]])
    '(0.25 if row[32] <= 4.5 else (-1.0 if row[62] & 1 else 0.5))'

    Raises:
        KeyError: the tree uses a feature that no block has.
    """
    if not isinstance(tree, list):
        return repr(float(tree))
    (name, bound), then, other = tree
    index = positions()[name]
    test = (
        f"row[{index}] & {BIT[bound]}"
        if isinstance(bound, str)
        else (f"row[{index}] <= {float(bound)!r}")
    )
    return f"({expression(then)} if {test} else {expression(other)})"


@cache
def positions() -> dict[str, int]:
    """Return the index of each feature in a row."""
    return {name: number for number, name in enumerate((*NAMES, *AGAIN))}


def best_choice(chances: list[float], words: list[int]) -> list[bool]:
    """Return which blocks to take for the highest expected F1 of the words.

    Blocks are taken in order of probability, as long as that raises the F1 of the expected words:
    twice the correct words, over the taken plus the wanted words. So the bound is half the F1 that
    the page allows: high on a clear page, low on an unclear one.

    >>> best_choice([0.9, 0.4, 0.1], [50, 10, 50])
    [True, False, False]
    """
    if max(chances, default=0.0) < NO_TEXT:
        return [False] * len(chances)
    order = sorted(range(len(chances)), key=lambda n: -chances[n])
    least = min(UNLIKELY, max(chances, default=0.0))
    wanted = sum(
        chance * size for chance, size in zip(chances, words, strict=True) if chance >= least
    )
    hit = taken = 0.0
    best, bound = 0.0, 2.0
    for number in order:
        hit += chances[number] * words[number]
        taken += words[number]
        if taken and (f1 := 2 * hit / (taken + wanted)) > best:
            best, bound = f1, chances[number]
    return [chance >= max(bound, HOPELESS) for chance in chances]


def asked(tree: Tree) -> Iterator[str]:
    """Yield the features that a tree uses."""
    if isinstance(tree, list):
        yield tree[0][0]
        yield from asked(tree[1])
        yield from asked(tree[2])
