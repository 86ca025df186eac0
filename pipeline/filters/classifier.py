"""A linear model over hashed word n-grams that tells good documents from bad ones.

A document is the set of its words and pairs of words, each hashed to one of 2^20 weights, scaled to
length 1; its score is the logistic function of their sum. This is equivalent to fastText's
classifier with word pairs, in one file that names its training data. scikit-learn fits the weights.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from webtext.pipeline.core.directories.checked import while_unchanged
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import replacing
from webtext.pipeline.words.ngrams import mixed, numbered, of_words, words

FORMAT = "webtext_quality_1"
Floats = NDArray[np.float32]


class Example(NamedTuple):
    """A document to learn from; all of one `group` are in training, or all held out."""

    group: str
    text: str


@dataclass(frozen=True)
class Learn:
    """How a model is trained."""

    bits: int = 20  # of a bucket's number; 2^20 weights are 4 MB
    words: int = 2  # of the longest n-gram
    alpha: float = 1e-5  # of the L2 penalty; of 1e-6 to 1e-3 the best on held-out sites (LOG.md)
    epochs: int = 20
    held_out: float = 0.1  # of the groups
    seed: int = 0


@dataclass(frozen=True)
class Quality:
    """A trained model, and what is known of it."""

    weights: Floats  # 2^bits
    bias: float
    learn: Learn
    provenance: dict[str, Any]

    def score(self, text: str) -> float:
        """Return how good a text is, from 0 to 1."""
        buckets = features(text, self.learn)
        if not len(buckets):
            return float(1 / (1 + np.exp(-self.bias)))
        total = float(self.weights[buckets].sum()) / np.sqrt(len(buckets)) + self.bias
        return float(1 / (1 + np.exp(-total)))


def features(text: str, learn: Learn) -> NDArray[np.int64]:
    """Return the buckets of a text's n-grams, each once, in order."""
    numbers = numbered(words(text))
    grams = [mixed(numbers), *(of_words(numbers, n) for n in range(2, learn.words + 1))]
    buckets = np.unique(np.concatenate(grams) >> np.uint64(64 - learn.bits))
    return buckets.astype(np.int64)


def held_out(group: str, learn: Learn) -> bool:
    """Whether a group is held out from training, for measuring."""
    digest = hashlib.blake2b(f"{learn.seed} {group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 < learn.held_out


def train(
    positive: Iterable[Example], negative: Iterable[Example], learn: Learn, sources: dict[str, Any]
) -> Quality:
    """Train a model; its results on held-out documents are part of its provenance.

    Raises:
        UserError: one side has too few documents, or none is held out.
    """
    from sklearn.linear_model import SGDClassifier

    (train_x, train_y), (test_x, test_y) = gathered(positive, negative, learn)
    for name, labels in (("training", train_y), ("held-out", test_y)):
        good, bad = int(labels.sum()), int((~labels).sum())
        if min(good, bad) < 2:
            raise UserError(
                f"{good} positive and {bad} negative {name} documents; wanted 2 of each at least, "
                "of several sites"
            )
    model = SGDClassifier(
        loss="log_loss",
        alpha=learn.alpha,
        max_iter=learn.epochs,
        tol=None,
        average=True,
        class_weight="balanced",
        random_state=learn.seed,
    )
    model.fit(train_x, train_y)
    weights = model.coef_[0].astype(np.float32)
    found = Quality(weights, float(model.intercept_[0]), learn, {})
    scores = model.predict_proba(test_x)[:, 1]
    provenance = {
        "sources": sources,
        "documents": {"training": sides(train_y), "held_out": sides(test_y)},
        "held_out": judged(scores, test_y),
    }
    return Quality(found.weights, found.bias, learn, provenance)


def sides(labels: NDArray[np.bool_]) -> dict[str, int]:
    """Return how many are positive and negative."""
    return {"positive": int(labels.sum()), "negative": int((~labels).sum())}


def gathered(
    positive: Iterable[Example], negative: Iterable[Example], learn: Learn
) -> tuple[tuple[Any, NDArray[np.bool_]], tuple[Any, NDArray[np.bool_]]]:
    """Return sparse rows and labels of the training and of the held-out documents."""
    from scipy.sparse import csr_matrix

    rows: dict[bool, list[NDArray[np.int64]]] = {False: [], True: []}
    labels: dict[bool, list[bool]] = {False: [], True: []}
    for label, side in ((True, positive), (False, negative)):
        for example in side:
            out = held_out(example.group, learn)
            rows[out].append(features(example.text, learn))
            labels[out].append(label)
    found = []
    for out in (False, True):
        sizes = np.array([len(row) for row in rows[out]], np.int64)
        values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
        places = np.concatenate([np.empty(0, np.int64), *rows[out]])
        starts = np.concatenate([[0], np.cumsum(sizes)])
        shape = (len(sizes), 1 << learn.bits)
        found.append((csr_matrix((values, places, starts), shape), np.array(labels[out], bool)))
    return found[0], found[1]


def judged(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the area under the ROC curve, and the share of each side that thresholds keep."""
    order = np.argsort(scores, kind="stable")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = ((last - counts + 1 + last) / 2)[inverse]  # equal scores share their mean rank
    good, bad = int(labels.sum()), int((~labels).sum())
    area = (ranks[labels].sum() - good * (good + 1) / 2) / (good * bad)
    thresholds = {}
    for tenth in range(1, 10):
        at = float(scores[order[len(scores) * tenth // 10]])
        keeps = scores >= at
        thresholds[f"{at:.4f}"] = {
            "positive": round(float(keeps[labels].mean()), 4),
            "negative": round(float(keeps[~labels].mean()), 4),
        }
    return {"auc": round(float(area), 4), "kept_at": thresholds}


def save(model: Quality, path: Path) -> None:
    """Write a model as one safetensors file, its provenance in the header."""
    about = {"learn": asdict(model.learn), "provenance": model.provenance, "bias": model.bias}
    with replacing(path) as partial:
        # One key, as safetensors writes several in an order that changes from run to run.
        text = {FORMAT: json.dumps(about, sort_keys=True)}
        save_file({"weights": model.weights}, str(partial), metadata=text)


@while_unchanged(4)
def load(path: str) -> Quality:
    """Read a model.

    Raises:
        UserError: it is missing, or no such model.
    """
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            weights = file.get_tensor("weights") if FORMAT in metadata else None
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: no quality model to be read ({error})") from None
    if weights is None:
        raise UserError(f"{path}: not a quality model; `webtext quality train` writes one")
    about = json.loads(metadata[FORMAT])
    return Quality(weights, about["bias"], Learn(**about["learn"]), about["provenance"])
