"""How much of an evaluation set a corpus holds: GPT-2's table 6, by the paper's protocol.

A Bloom filter of the corpus' word 8-grams, whose rate of false positives is at most 1 in 10^8, is
asked for every 8-gram of a set. "We further verified the low false positive rate by generating 1M
strings, of which zero were found by the filter": so do we, each time. Source: Radford et al.
(2019), section 4 and table 6.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.insight.bloom import Bloom
from webtext.pipeline.words.evalsets import examples
from webtext.pipeline.words.ngrams import Hashes, ngrams, numbered, of_words

WORDS = 8  # of an n-gram
RATE = 1e-8
STRINGS = 1_000_000  # made up, to verify the rate

# Per cent of a set's 8-grams found in WebText, and in the set's own training split.
PAPER = {
    "ptb": (0.88, 2.67),
    "wikitext2": (1.63, 0.66),
    "enwik8": (6.31, 7.50),
    "text8": (3.94, 2.34),
    "wikitext103": (2.42, 9.09),
    "1bw": (3.75, 13.19),
    "lambada": (1.2, None),
}


@dataclass(frozen=True)
class Overlap:
    """How many of a set's n-grams are in the corpus, and what the paper says of WebText."""

    name: str
    ngrams: int
    found: int
    paper: float | None  # per cent; None where the paper has no figure

    @property
    def percent(self) -> float:
        """The share found, in per cent."""
        return 100 * self.found / self.ngrams if self.ngrams else 0.0


def corpus_filter(corpus: Directory, progress: Progress = silent) -> Bloom:
    """Return a filter of all 8-grams of a corpus, for as many as its texts could have at most.

    Raises:
        UserError: the corpus has no shard, or takes more memory than there is.
    """
    paths = corpus.shards()
    if not paths:
        raise UserError(f"{corpus}: no corpus shards; build one, or name another directory")
    room, rows = 0, 0
    for path in paths:
        for batch in read_batches(path, ["text"], rows=1 << 12):
            blanks = pc.sum(pc.count_substring_regex(batch["text"], r"[^\p{L}\p{N}]+")).as_py()
            room += (blanks or 0) + batch.num_rows
            rows += batch.num_rows
    bloom = Bloom(room, RATE)
    done = 0
    for path in paths:
        for batch in read_batches(path, ["text"], rows=256):
            for text in batch["text"].to_pylist():
                bloom.add(ngrams(text or "", WORDS))
            done += batch.num_rows
            progress(done, rows)
    return bloom


def verify(bloom: Bloom, seed: int = 0) -> int:
    """Return how many of a million made-up strings of eight words the filter takes for its own."""
    rng = np.random.default_rng(seed)
    known = numbered(f"{number:x}" for number in rng.integers(1 << 40, size=1 << 14).tolist())
    drawn = rng.choice(known, STRINGS + WORDS - 1)
    return int(bloom.holds(of_words(drawn, WORDS)).sum())


def read_sets(paths: Sequence[Path]) -> list[tuple[str, Hashes]]:
    """Return the name of each set and its 8-grams, as often as they occur.

    To be done first: a filter of a large corpus takes hours, and a misspelt name no time.

    Raises:
        UserError: a set is missing, not readable or empty.
    """
    found = []
    for path in paths:
        parts = [ngrams(text, WORDS) for text in examples(path)]
        asked = np.concatenate([np.empty(0, np.uint64), *parts])
        if not len(asked):
            raise UserError(f"{path}: no text of {WORDS} words or more in it")
        found.append((path.name, asked))
    return found


def overlaps(bloom: Bloom, sets: Iterable[tuple[str, Hashes]]) -> Iterator[Overlap]:
    """Yield each set's overlap; a name that the paper knows stands beside its figure."""
    for name, asked in sets:
        plain = name.partition(".")[0].lower().replace("-", "").replace("_", "")
        paper = next((PAPER[known][0] for known in sorted(PAPER) if plain.startswith(known)), None)
        yield Overlap(name, len(asked), int(bloom.holds(asked).sum()), paper)
