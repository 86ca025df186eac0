"""At scale: what shares boilerplate stays apart, chains are cut, and the S-curve is kept to."""

import numpy as np
import pyarrow as pa
import pytest

from tests.bench import dedup_recall
from tests.pipeline.dedup.material import WORDS
from webtext.pipeline.dedup.clusters.banding import pack
from webtext.pipeline.dedup.clusters.cluster import Cluster, clusters
from webtext.pipeline.dedup.clusters.verify import jaccard
from webtext.pipeline.dedup.signatures.sign import Sign, sign_batches
from webtext.pipeline.dedup.signatures.signature_files import Signatures


def clustered(path, texts, settings):
    ids = pa.array([f"{n:016x}" for n in range(len(texts))])
    batches = pa.table({"id": ids, "text": texts}).to_batches(5_000)
    sign_batches(Sign(), batches, path / "signatures")
    return clusters(settings, Signatures((path / "signatures",)), path / "pairs", 0)


def words(rng, shape):
    """Return as many random words, of a hundred thousand."""
    syllables = np.array(WORDS, object)
    return (
        syllables[rng.integers(0, len(WORDS), shape)]
        + syllables[rng.integers(0, len(WORDS), shape)]
    )


def pages(count):
    """Return pages of one template: 48 words in every one of them, and 32 of its own."""
    rng = np.random.default_rng(1)
    template = words(rng, 48).tolist()
    own = words(rng, (count, 32)).tolist()
    return [" ".join([*template[:24], *mine, *template[24:]]) for mine in own]


def chains(count, length):
    """Return chains of pages: each its predecessor with the next 7 of its 100 words replaced."""
    rng = np.random.default_rng(2)
    out = []
    for _ in range(count):
        page = words(rng, 100).tolist()
        for link in range(length):
            out.append(" ".join(page))
            at = 7 * (link % 14)
            page[at : at + 7] = words(rng, 7).tolist()
    return out


@pytest.mark.parametrize("count", [5_000, 100_000])
def test_pages_that_share_boilerplate_do_not_melt_into_one_cluster(tmp_path, count):
    texts = pages(count)
    copies = [f"{text} {text.split()[0]}" for text in texts[:200]]
    true = jaccard(pa.array(texts[:2] + copies[:1]), pack(np.array([0, 0]), np.array([1, 2])))
    assert 0.35 < true[0] < 0.5  # melting needs no more than that: 1 pair in 60 meets in a band
    assert true[1] > 0.98
    given = pa.array(texts + copies)
    table, sizes = clustered(tmp_path / "a", given, Cluster())
    found = dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True))
    for n in range(200):
        assert found[f"{count + n:016x}"] == found[f"{n:016x}"] == f"{n:016x}"
    assert max(map(int, sizes["sizes"])) < 10
    by_chance = sizes["documents"] - 2 * 200  # whose signatures are more alike than they are
    assert by_chance < count / 1000
    if count < 10_000:  # that it is a trap
        _, melted = clustered(tmp_path / "b", given, Cluster(verify_at=0, max_cluster=10**9))
        assert max(map(int, melted["sizes"])) > count / 10


@pytest.mark.parametrize("count", [5_000, 20_000])
def test_chains_of_near_copies_are_cut_where_they_leave_their_keeper(tmp_path, count):
    length = 50
    texts = pa.array(chains(count // length, length))
    links = np.arange(length - 1)
    assert 0.75 < jaccard(texts, pack(links, links + 1)).mean() < 0.85
    assert jaccard(texts, pack(np.array([0]), np.array([20])))[0] == 0
    table, sizes = clustered(tmp_path, texts, Cluster())
    assert max(map(int, sizes["sizes"])) <= Cluster().max_cluster
    rows = [
        np.array([int(name, 16) for name in table[column].to_pylist()])
        for column in ("id", "keeper")
    ]
    assert (rows[0] // length == rows[1] // length).all()  # never two chains in one
    assert table["large"].to_numpy().mean() > 0.2  # members of what was connected for long
    assert abs(rows[0] - rows[1]).max() < 2 * Cluster().max_cluster  # links to the keeper
    alone = len(texts) - len(table)
    assert alone + table["reason"].null_count > count / 10  # kept


@pytest.mark.parametrize("kind", dedup_recall.KINDS)
def test_edited_copies_of_real_documents_are_found_as_often_as_the_curve_says(texts, kind):
    long = [text for text in texts if len(text) > 400]
    chosen = long[:: 1 + len(long) // 700]
    found = dedup_recall.pairs(chosen, kind, 2)
    counts = []
    for low, count, rows in dedup_recall.bins(found):
        counts.append(count)
        for hits, expected, error in rows:
            allowed = dedup_recall.STANDARD_ERRORS * error + 2
            assert abs(hits - expected) <= allowed, (low, count, hits, expected)
    assert sum(count >= 20 for count in counts) >= 4  # in so many bins there is something to see
