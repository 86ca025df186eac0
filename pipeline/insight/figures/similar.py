"""Which documents of a build are near-duplicates of a text that it is given.

By datasketch's `MinHashLSH` over the build's own signatures: the given texts are in the index, and
every stored signature asks it. Its bands are datasketch's best ones for the least similarity that
is asked for, and not those of the deduplication. One pass, a row group of signatures in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from webtext.pipeline.core.directories.lookup import first_row
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import Made
from webtext.pipeline.dedup.signatures.sign import SCHEME, Sign, signatures
from webtext.pipeline.dedup.signatures.signature_files import Signatures, column
from webtext.pipeline.filters.measuring.measures import KEPT
from webtext.pipeline.text.clean import Clean

if TYPE_CHECKING:
    from datasketch import LeanMinHash

# Of false positives and false negatives, for datasketch's choice of bands: a pair that is missed is
# what matters, one that is looked at in vain costs a comparison.
WEIGHTS = (0.1, 0.9)

Minima = npt.NDArray[np.uint32]  # [document, permutation]


@dataclass(frozen=True)
class Similar:
    """A document that is near to a given text."""

    given: str  # the name of the text
    id: str
    similarity: float  # Jaccard, as the two signatures estimate it
    url: str | None
    title: str | None
    fate: str  # "kept", or why the document is not in the corpus


def similar(
    made: Sequence[Made],
    texts: Sequence[tuple[str, str]],
    least: float,
    most: int | None = None,
    progress: Progress = silent,
) -> list[Similar]:
    """Return for each text, named and in order, the documents that are near to it, nearest first.

    `least` is the lowest similarity that is looked for, above 0 and below 1, `most` how many
    documents are returned for a text. Signatures estimate: with 112 permutations, a similarity of
    0.7 within 0.09 nineteen times of twenty.

    Raises:
        UserError: nothing is signed yet, or a text has no words.
    """
    directories = {step.called: directory for step, directory in made}
    if "signatures" not in directories or not directories["signatures"].shards():
        raise UserError("no signatures have been made yet; run `webtext build` first")
    stored = Signatures(tuple(directories["signatures"].shards()))
    index = Index(stored, texts, least)
    found = sorted(
        index.found(progress), key=lambda each: (each[0], -each[1], each[2])
    )  # by text, then similarity
    chosen: list[Similar] = []
    for number, (name, _) in enumerate(texts):
        mine = [each for each in found if each[0] == number][:most]
        chosen += [about(directories, name, identity, value) for _, value, identity in mine]
    return chosen


class Index:
    """The given texts in datasketch's index."""

    def __init__(self, stored: Signatures, texts: Sequence[tuple[str, str]], least: float) -> None:
        from datasketch import MinHashLSH  # a third of a second

        self.stored = stored
        self.least = least
        made = stored.made
        self.seed = int(made["seed"])
        settings = Sign(int(made["ngram"]), stored.permutations, self.seed)
        cleaned = [Clean().text(text) for _, text in texts]
        minima, shingles, _ = signatures(settings, pa.array(cleaned, pa.string()))
        if wordless := [texts[at][0] for at in np.flatnonzero(shingles == 0).tolist()]:
            raise UserError(f"{wordless[0]}: has no words, so nothing is similar to it")
        self.minima: Minima = np.ascontiguousarray(minima.T)
        self.sketches = [self.sketch(row) for row in self.minima]
        self.lsh = MinHashLSH(least, stored.permutations, weights=WEIGHTS)
        for number, sketch in enumerate(self.sketches):
            self.lsh.insert(number, sketch)

    def sketch(self, values: Minima) -> "LeanMinHash":
        """Return a signature as datasketch's object."""
        from datasketch import LeanMinHash

        return LeanMinHash(seed=self.seed, hashvalues=values.copy(), scheme=SCHEME)

    def found(self, progress: Progress) -> Iterator[tuple[int, float, str]]:
        """Yield pairs: the number of a text, the similarity, and a document's id."""
        names = [column(number) for number in range(self.stored.permutations)]
        total = self.stored.rows
        for start, table in self.stored.tables(["id", "shingles", *names]):
            values = np.stack([table[name].to_numpy() for name in names], axis=1)
            rows = self.candidates(values) & (table["shingles"].to_numpy() > 0)
            for row in np.flatnonzero(rows).tolist():
                sketch = self.sketch(values[row])
                for number in self.lsh.query(sketch):
                    value = float(self.sketches[number].jaccard(sketch))
                    if value >= self.least:
                        yield number, value, table["id"][row].as_py()
            progress(start + table.num_rows, total)

    def candidates(self, values: Minima) -> npt.NDArray[np.bool_]:
        """Return which signatures share a band with a text: those for which the index has answers.

        Asking it for each of millions would take minutes.
        """
        chosen = np.zeros(len(values), np.bool_)
        bands, rows = self.lsh.b, self.lsh.r
        for first in range(0, bands * rows, rows):
            for mine in np.unique(self.minima[:, first : first + rows], axis=0):
                alike = values[:, first] == mine[0]
                if alike.any():
                    chosen[alike] |= (values[alike, first : first + rows] == mine).all(axis=1)
        return chosen


def about(directories: dict[str, Directory], name: str, identity: str, value: float) -> Similar:
    """Return what is known of a document that was found."""
    document: dict[str, Any] = {}
    if found := first_row(directories["documents"], identity):
        document = found[2]
    fate = KEPT
    if "duplicates" in directories and (copy := first_row(directories["duplicates"], identity)):
        fate = copy[2]["reason"] or KEPT
    return Similar(name, identity, value, document.get("url"), document.get("title"), fate)


def describe(found: Sequence[Similar], least: float) -> Iterator[str]:
    """Yield lines for people."""
    if not found:
        yield f"no document is similar at {least:g} or more"
    several = len({one.given for one in found}) > 1
    for one in found:
        name = f"{one.given}: " if several else ""
        fate = "" if one.fate == KEPT else f" (not in the corpus: {one.fate})"
        yield f"{name}{one.similarity:.2f} {one.url or one.id}{fate}"
        if one.title:
            yield f"     {one.title}"
