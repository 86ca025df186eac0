"""A stored signature as datasketch's object is the one that datasketch makes of the same text."""

from itertools import combinations

import numpy as np
import pytest
from datasketch import LeanMinHash, MinHash, MinHashLSH

from tests.pipeline.dedup.material import documents, edited, prose, rows, signed
from webtext.pipeline.dedup.clusters.verify import similarity
from webtext.pipeline.dedup.signatures.folded_text import shingles
from webtext.pipeline.dedup.signatures.sign import Sign
from webtext.pipeline.dedup.signatures.signature_files import Signatures
from webtext.pipeline.dedup.signatures.sketches import sketches

TEXTS = [prose(1), edited(prose(1), 3, 1), edited(prose(1), 20, 2), prose(2), "one word", ""]
KINDS = [Sign(), Sign(ngram=2, permutations=16, seed=7)]


def stored(folder, kind):
    """Return signature files of the texts, in two shards."""
    return signed(folder / "s", documents(folder / "d", rows(TEXTS), 2), kind).shards()


def own(kind, text):
    """Return what datasketch makes of a text's shingles."""
    sketch = MinHash(num_perm=kind.permutations, seed=kind.seed)
    sketch.update_batch([shingle.encode() for shingle in shingles(text, kind.ngram)])
    return sketch


@pytest.mark.parametrize("kind", KINDS, ids=["default", "pairs of words"])
def test_stored_signatures_are_datasketchs_own_objects(kind, tmp_path):
    paths = stored(tmp_path, kind)
    found, lean = dict(sketches(paths)), dict(sketches(paths, lean=True))
    for row in rows(TEXTS):
        wanted = own(kind, row["text"])
        assert type(found[row["id"]]) is MinHash
        assert found[row["id"]] == wanted
        assert type(lean[row["id"]]) is LeanMinHash
        assert lean[row["id"]] == LeanMinHash(wanted)
        for sketch in (found[row["id"]], wanted):
            sketch.update(b"one more shingle")
        assert found[row["id"]] == wanted  # by the same permutations


def test_their_similarity_is_what_clustering_measures(tmp_path):
    paths = stored(tmp_path, Sign())
    names = [name for name, _ in sketches(paths)]
    places = list(combinations(range(len(names)), 2))
    pairs = np.array([left << 32 | right for left, right in places], np.uint64)
    measured = similarity(Signatures(tuple(paths)), pairs, 1)
    for lean in (False, True):
        found = [sketch for _, sketch in sketches(paths, lean=lean)]
        theirs = [found[left].jaccard(found[right]) for left, right in places]
        np.testing.assert_allclose(measured, theirs, rtol=1e-6)
    assert any(0.5 < value < 1 for value in theirs)


def test_datasketchs_index_takes_them(tmp_path):
    index = MinHashLSH(threshold=0.8, num_perm=112)
    found = dict(sketches(stored(tmp_path, Sign()), lean=True))
    for name, sketch in found.items():
        index.insert(name, sketch)
    first, copy, *_ = (row["id"] for row in rows(TEXTS))
    assert set(index.query(found[first])) == {first, copy}


def test_no_files_give_no_sketches():
    assert list(sketches([])) == []
