"""How much of an evaluation set is in a corpus: GPT-2's table 6, by the paper's protocol, exactly.

The paper put the corpus' word 8-grams into a Bloom filter and looked up those of a set. Here the
sets' 8-grams, which are few, are in memory, and those of the corpus are looked up in them: the same
figures without false positives. Source: Radford et al. (2019), section 4 and table 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, read_batches, row_count
from webtext.pipeline.words.evalsets import examples
from webtext.pipeline.words.ngrams import Hashes, ngrams

WORDS = 8  # words of an n-gram

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
    """How many of a set's n-grams are in the corpus, and the paper's figure for WebText."""

    name: str
    ngrams: int
    found: int
    paper: float | None  # per cent; None if the paper has no figure

    @property
    def percent(self) -> float:
        """The share found, in per cent."""
        return 100 * self.found / self.ngrams if self.ngrams else 0.0


def read_sets(paths: Sequence[Path]) -> list[tuple[str, Hashes]]:
    """Return the name of each set and its 8-grams, with repetitions.

    Call this first: reading a large corpus takes hours, and a misspelt name is found at once.

    Raises:
        UserError: a set is missing, not readable or empty.
    """
    found = []
    for path in paths:
        parts = [ngrams(text, WORDS) for text in examples(path)]
        asked = np.concatenate([np.empty(0, np.uint64), *parts])
        if not len(asked):
            raise UserError(f"{path}: no text of {WORDS} words or more in it; leave it out")
        found.append((path.name, asked))
    return found


def overlaps(
    corpus: Directory, sets: Sequence[tuple[str, Hashes]], progress: Progress = silent
) -> list[Overlap]:
    """Return each set's overlap, with the paper's figure if the paper has a set of this name.

    Raises:
        UserError: the corpus has no shard, or one that is damaged.
    """
    paths = corpus.shards()
    if not paths:
        raise UserError(f"{corpus}: no corpus shards; build one, or name another directory")
    wanted = np.unique(np.concatenate([asked for _, asked in sets]))
    met = np.zeros(len(wanted), bool)
    done, rows = 0, sum(map(row_count, paths))
    for path in paths:
        for batch in read_batches(path, ["text"], rows=256):
            for text in batch["text"].to_pylist():
                grams = ngrams(text or "", WORDS)
                places = np.searchsorted(wanted, grams) % len(wanted)
                met[places[wanted[places] == grams]] = True
            done += batch.num_rows
            progress(done, rows)
    found = wanted[met]
    return [
        Overlap(name, len(asked), int(np.isin(asked, found).sum()), _paper(name))
        for name, asked in sets
    ]


def _paper(name: str) -> float | None:
    """Return the paper's figure for a set of this name."""
    plain = name.partition(".")[0].lower().replace("-", "").replace("_", "")
    return next((PAPER[known][0] for known in sorted(PAPER) if plain.startswith(known)), None)
