"""Train the model that tells main text from the rest: `pipeline/data/blocks.json`.

    python -m tests.bench.blocks_model [--halves]

Boosted trees (scikit-learn's) over the evidence of each block of the pages in four sets: WCXB's
development set, scrapinghub's and readability's pages, and those of trafilatura's segments, where
trafilatura is the teacher of what no segment tells. A block weighs as its words in its page's
text, so that pages weigh alike. What trafilatura takes is evidence too, but not of blocks that
it is itself the teacher of. The trees of the second look learn from guesses about pages that
their guesser has not seen. `--halves` tells first how well each half of each set is read by a
model of the other halves: that is what to expect of a page that no one has seen. It takes some
minutes and 4 GB.
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from tests.bench.blocks_truth import Told, pages, right, taught
from tests.bench.wcxb import KINDS, word_f1
from tests.floors import grams, share
from webtext.pipeline.text.decoding.charset import decode
from webtext.pipeline.text.extraction.blocks import scoring
from webtext.pipeline.text.extraction.blocks.evidence import BITS, NAMES, TOKEN
from webtext.pipeline.text.extraction.blocks.hints import HINTS
from webtext.pipeline.text.extraction.blocks.neighbours import AGAIN, Neighbours
from webtext.pipeline.text.extraction.blocks.opinion import NOT_ASKED, OPINION
from webtext.pipeline.text.extraction.blocks.page_blocks import Block
from webtext.pipeline.text.extraction.blocks.reader import Wishes, chosen, seen
from webtext.pipeline.text.extraction.blocks.writing import written
from webtext.pipeline.text.extraction.parse import parse

FILE = Path(__file__).parents[2] / "pipeline" / "data" / scoring.FILE
WEIGHTS = {"wcxb": 1.0, "scrapinghub": 1.5, "readability": 1.0, "segments": 0.6}
LEAST_WORDS = 30  # of a text that blocks weigh by
OTHERS = 0.3  # what the words of the whole page count beside those of its text
SETTINGS = {
    "max_iter": 150,
    "max_leaf_nodes": 8,
    "learning_rate": 0.2,
    "l2_regularization": 5.0,
    "min_samples_leaf": 60,
    "max_features": 0.4,
    "max_bins": 64,
    "random_state": 0,
}
SECOND = {"max_iter": 250, "learning_rate": 0.1}  # of the second look, where they differ
COLUMNS: list[tuple[int, int | None]] = [  # of the first look; the second has AGAIN after them
    (number, bit)
    for number in range(len(NAMES))
    for bit in (range(len(HINTS)) if number in BITS else [None])
]
FEATURES = (*NAMES, *AGAIN)
OPINIONS = [at for at, (number, _) in enumerate(COLUMNS) if NAMES[number] in OPINION]


class Known(NamedTuple):
    """A page as the model sees it."""

    page: Told
    blocks: list[Block]
    rows: Any  # (blocks, columns) float32
    right: Any  # (blocks,) float, NaN where nothing is known
    words: Any  # (blocks,) int
    taught: Any  # (blocks,) bool, where nothing but trafilatura tells what is right


def known(page: Told) -> Known | None:
    """Return a page with its evidence and its truth, None where it has no blocks."""
    tree = parse(decode(page.html, "text/html").text)
    if tree is None:
        return None
    blocks, rows = seen(tree)
    if not blocks:
        return None
    texts = [block.text for block in blocks]
    truth = right(texts, page)
    return Known(
        page,
        blocks,
        spread(rows),
        np.array([np.nan if value is None else value for value in truth]),
        np.array([len(TOKEN.findall(block.text)) for block in blocks]),
        np.array(taught(texts, page)),
    )


def spread(rows: list[list[float]]) -> Any:
    """Return rows with a column for each bit of hints."""
    found = np.empty((len(rows), len(COLUMNS)), np.float32)
    for at, (number, bit) in enumerate(COLUMNS):
        values = [row[number] for row in rows]
        found[:, at] = values if bit is None else [int(value) >> bit & 1 for value in values]
    return found


def train(several: list[Known], settings: dict[str, Any]) -> Any:
    """Return boosted trees that tell the right blocks of some pages."""
    rows, truths, weights = [], [], []
    for one in several:
        told = ~np.isnan(one.right)
        size = one.words[one.right >= 0.5].sum()
        weight = WEIGHTS[one.page.name]
        whole = max(LEAST_WORDS, size) + OTHERS * one.words.sum()
        weighed = weight * (one.words[told] + 1.0) / whole
        seen_rows = one.rows.copy()
        seen_rows[np.ix_(one.taught, OPINIONS)] = NOT_ASKED
        rows.append(seen_rows[told])
        truths.append(one.right[told] >= 0.5)
        weights.append(weighed)
    weight = np.concatenate(weights)
    trees = HistGradientBoostingClassifier(**settings)
    return trees.fit(np.concatenate(rows), np.concatenate(truths), weight / weight.mean())


def looks(several: list[Known]) -> dict[str, Any]:
    """Return the trees of both looks at a page."""
    folds = several[0::2], several[1::2]
    seconds = []
    for fold, other in (folds, folds[::-1]):
        guesser = train(other, SETTINGS)
        seconds += [with_guesses(one, guessed(guesser, one)) for one in fold]
    return {
        scoring.ALONE: train(several, SETTINGS),
        scoring.AMONG: train(seconds, SETTINGS | SECOND),
    }


def guessed(trees: Any, one: Known) -> list[float]:
    """Return the probability of each block of a page."""
    found: list[float] = trees.predict_proba(one.rows)[:, 1].tolist()
    return found


def with_guesses(one: Known, guesses: list[float]) -> Known:
    """Return a page with the features of a second look."""
    around = Neighbours(one.blocks, one.words.tolist(), guesses)
    more = np.array([around.row(at) for at in range(len(guesses))], np.float32)
    return one._replace(rows=np.concatenate([one.rows, more], 1))


def exported(trees: Any) -> dict[str, Any]:
    """Return trees as data: `[[evidence, bound], where it holds, where not]`, or a value."""
    columns = [*COLUMNS, *((len(NAMES) + number, None) for number in range(len(AGAIN)))]

    def tree(nodes: Any, at: int) -> Any:
        node = nodes[at]
        if node["is_leaf"]:
            return round(float(node["value"]), 4)
        number, bit = columns[node["feature_idx"]]
        less, more = tree(nodes, int(node["left"])), tree(nodes, int(node["right"]))
        if bit is None:
            return [[FEATURES[number], float(f"{node['num_threshold']:.6g}")], less, more]
        return [[FEATURES[number], HINTS[bit]], more, less]

    found = [tree(predictor.nodes, 0) for (predictor,) in trees._predictors]
    return {"first": round(float(trees._baseline_prediction.item()), 4), "trees": found}


def halves(several: list[Known]) -> None:
    """Print how each half of each set is read by a model of the other halves."""
    sets = [[one for one in several if one.page.name == name] for name in WEIGHTS]
    parts = [[one for pages in sets for one in pages[half::2]] for half in (0, 1)]
    found: list[tuple[str, Told]] = []
    for half in (0, 1):
        model = looks(parts[1 - half])
        its = [(read(model, one), one.page) for one in parts[half]]
        tell(f"half {half}", its)
        found += its
    tell("both", found)


def tell(name: str, found: list[tuple[str, Told]]) -> None:
    """Print the F1 of each set, and of each kind of WCXB's pages."""
    for one in WEIGHTS:
        its = [(text, page) for text, page in found if page.name == one]
        kinds = [[pair for pair in its if pair[1].kind == kind] for kind in KINDS]
        said = "".join(
            f" {kind} {score(pairs):.3f}" for kind, pairs in zip(KINDS, kinds, strict=True) if pairs
        )
        print(f"{name}: {one} {score(its):.4f}{said}", flush=True)


def read(model: dict[str, Any], one: Known) -> str:
    """Return the main text of a page."""
    first = guessed(model[scoring.ALONE], one)
    second = guessed(model[scoring.AMONG], with_guesses(one, first))
    sure = [not scoring.SURE < guess < 1 - scoring.SURE for guess in first]
    chances = [
        guess if known else again for guess, again, known in zip(first, second, sure, strict=True)
    ]
    return written(chosen(one.blocks, chances, Wishes()))


def score(found: list[tuple[str, Told]]) -> float:
    """Return the F1 of a set, as that set's own makers count it."""
    if found[0][1].name == "wcxb":
        return mean(word_f1(text, page.text or "") for text, page in found)
    if found[0][1].text is None:
        hit = sum(string in text for text, page in found for string in page.wanted)
        wanted = sum(len(page.wanted) for _, page in found)
        wrong = sum(string in text for text, page in found for string in page.unwanted)
        return 2 * hit / (hit + wanted + wrong)
    bags = [(grams(text), grams(page.text or "")) for text, page in found]
    precision = mean(share(ours & theirs, ours) for ours, theirs in bags)
    recall = mean(share(ours & theirs, theirs) for ours, theirs in bags)
    return 2 * precision * recall / (precision + recall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--halves", action="store_true")
    asked = parser.parse_args()
    several = [one for page in pages() if (one := known(page))]
    if asked.halves:
        halves(several)
    parts = []
    for look, trees in looks(several).items():
        told = exported(trees)
        lines = ",\n".join(json.dumps(tree, separators=(",", ":")) for tree in told["trees"])
        parts.append(f'"{look}":{{"first":{told["first"]},"trees":[\n{lines}\n]}}')
    FILE.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
