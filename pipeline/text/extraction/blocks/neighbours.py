"""The features of a block that need a first guess: how probable the blocks around it are.

A post is main text where the other posts of the thread are, and a lone line between two paragraphs
of the text is part of it. So the model looks twice: first at each block by itself, then, where it
is not sure, at the block among the probabilities that the first look gave to the others. Every sum
is made once a page, so the time is linear in the number of blocks.
"""

from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate

from webtext.pipeline.text.extraction.blocks.evidence import group_of
from webtext.pipeline.text.extraction.blocks.page_blocks import Block

STEPS = (-3, -2, -1, 1, 2, 3)
WINDOWS = (4, 12)  # blocks to each side
MISSING = -1.0  # the guess of a block before the first or after the last
ALIKE: tuple[tuple[str, Callable[[Block], Hashable]], ...] = (
    ("its group", lambda block: group_of(block.place)),
    ("its parent", lambda block: block.place.up),
    ("its grandparent", lambda block: block.place.up and block.place.up.up),
)
AGAIN = (
    "guess",
    *(f"guess at {step:+d}" for step in STEPS),
    *(f"guess within {width}" for width in WINDOWS),
    *(f"guess of {name}" for name, _ in ALIKE),
    "best guess of the page",
    "guess of the page",
    "text before",  # the share of the page's probable words that stand before it
    "words likelier",  # the share of the page's words in it and in blocks that are more probable
)


class Neighbours:
    """The first guesses of a page's blocks, ready to be asked what lies around each.

    `guesses` are probabilities, `words` the numbers of words. All means are weighted by words, of
    which each block has one more than it shows, so that a block without words counts too.
    """

    def __init__(self, blocks: Sequence[Block], words: Sequence[int], guesses: list[float]) -> None:
        self.guesses = guesses
        weights = [size + 1.0 for size in words]
        expected = [guess * weight for guess, weight in zip(guesses, weights, strict=True)]
        self.weights = list(accumulate(weights, initial=0.0))
        self.expected = list(accumulate(expected, initial=0.0))
        self.alike = []
        for _, key in ALIKE:
            keys = list(map(key, blocks))
            sums: dict[Hashable, list[float]] = {}
            for name, hit, weight in zip(keys, expected, weights, strict=True):
                told = sums.setdefault(name, [0.0, 0.0])
                told[0] += hit
                told[1] += weight
            self.alike.append([sums[name][0] / sums[name][1] for name in keys])
        order = sorted(range(len(guesses)), key=lambda number: -guesses[number])
        self.likelier = [0.0] * len(guesses)
        for number, sum_so_far in zip(order, accumulate(weights[at] for at in order), strict=True):
            self.likelier[number] = sum_so_far
        self.best = max(guesses, default=0.0)

    def row(self, number: int) -> list[float]:
        """Return the features of a block, in the order of `AGAIN`."""
        guesses, size = self.guesses, len(self.guesses)
        all_weight, all_expected = self.weights[-1], self.expected[-1]
        return [
            guesses[number],
            *(guesses[number + step] if 0 <= number + step < size else MISSING for step in STEPS),
            *(self.within(number, width) for width in WINDOWS),
            *(means[number] for means in self.alike),
            self.best,
            all_expected / all_weight,
            self.expected[number] / all_expected if all_expected else 0.0,
            self.likelier[number] / all_weight,
        ]

    def within(self, number: int, width: int) -> float:
        """Return the mean guess of the blocks at most `width` before and after one."""
        begin, end = max(0, number - width), min(len(self.guesses), number + width + 1)
        weight = self.weights[end] - self.weights[begin]
        return (self.expected[end] - self.expected[begin]) / weight
