"""Links that are one page, and pairs that are verified by their texts."""

import pytest

from tests.pipeline.dedup.material import (
    clustered,
    documents,
    edited,
    found_in,
    jaccard,
    planted,
    prose,
    rows,
)
from webtext.pipeline.dedup.clusters.cluster import Cluster


def pages(*rows):
    """Return documents by (id, final URL, text, score)."""
    names = ("id", "final_url", "text", "score")
    return [dict(zip(names, row, strict=True), url=f"http://{row[0]}.example/") for row in rows]


def test_links_that_lead_to_one_page_are_one_document(tmp_path):
    given = pages(
        ("1" * 16, "https://www.site.example/story/", prose(1), 3),
        ("2" * 16, "http://site.example/story?utm_source=x", edited(prose(1), 60, 1), 9),
        ("3" * 16, "http://site.example/other", prose(1), 1),  # a copy, on another page
        ("4" * 16, "http://site.example/third", prose(4), 1),
        ("5" * 16, None, prose(5), 1),
        ("6" * 16, None, prose(6), 1),
    )
    out, passage = clustered(tmp_path, documents(tmp_path / "d", given, shards=3))
    rows = {row["id"][0]: row for row in found_in(out)}
    assert {name: (row["keeper"][0], row["reason"]) for name, row in rows.items()} == {
        "1": ("2", "dedup.url"),
        "2": ("2", None),
    }
    truth = jaccard(given[0]["text"], given[1]["text"])
    assert rows["1"]["jaccard"] == pytest.approx(truth, abs=0.15)
    assert passage.dropped == {"dedup.url": 1}


def test_a_page_that_redirects_to_another_link_is_that_link(tmp_path):
    from webtext.pipeline.urls.urls import url_id

    target = "http://target.example/page"
    given = [
        {"id": "f" * 16, "url": "http://short.example/x", "final_url": target, "text": prose(2)},
        {"id": url_id(target), "url": target, "final_url": target, "text": prose(1), "score": 4},
    ]
    out, _ = clustered(tmp_path, documents(tmp_path / "d", given))
    dropped = [row for row in found_in(out) if row["reason"]]
    assert [(row["id"], row["keeper"]) for row in dropped] == [("f" * 16, url_id(target))]


def test_the_keeper_of_a_page_is_a_document_that_is_kept(tmp_path):
    given = pages(
        ("1" * 16, "http://site.example/a", prose(8), 3),  # dropped for its page, for 2
        ("2" * 16, "http://site.example/a", prose(1), 5),  # which is dropped as a copy of 3
        ("3" * 16, "http://site.example/b", edited(prose(1), 2, 1), 9),
    )
    out, passage = clustered(tmp_path, documents(tmp_path / "d", given))
    told = {row["id"][0]: (row["keeper"][0], row["reason"]) for row in found_in(out)}
    assert told == {"1": ("3", "dedup.url"), "2": ("3", "dedup.near"), "3": ("3", None)}
    assert (passage.read, passage.kept) == (3, 1)


def test_pairs_can_be_verified_by_their_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "webtext.pipeline.dedup.clusters.pair_texts.BLOCK_BYTES", 10_000
    )  # many blocks
    given, *_ = planted(20, 10)
    given += [{"id": f"{900 + n:016x}", "text": edited(prose(900, 150), 2, n)} for n in range(30)]
    found = documents(tmp_path / "d", given, shards=3)
    out, _ = clustered(tmp_path / "a", found, Cluster(verify="jaccard"))
    text = {row["id"]: row["text"] for row in given}
    rows = found_in(out)
    assert len(rows) > 40
    for row in rows:
        true = jaccard(text[row["id"]], text[row["keeper"]])
        assert row["jaccard"] == pytest.approx(true, abs=1e-6)
    turned = documents(tmp_path / "turned", given[::-1], shards=2)
    other, _ = clustered(tmp_path / "b", turned, Cluster(verify="jaccard"), workers=2)
    assert other.shard(0).read_bytes() == out.shard(0).read_bytes()


def test_true_similarity_keeps_what_an_estimate_would_have_dropped(tmp_path):
    base = prose(1, 400)
    given = rows([base, *(edited(base, n, n) for n in range(8, 40))])
    text = {row["id"]: row["text"] for row in given}
    settings = Cluster(bands=112, rows=1, max_cluster=1)
    estimated, _ = clustered(tmp_path / "a", documents(tmp_path / "a" / "d", given), settings)
    measured, _ = clustered(
        tmp_path / "b",
        documents(tmp_path / "b" / "d", given),
        Cluster(bands=112, rows=1, max_cluster=1, verify="jaccard"),
    )

    def wrong(out):
        """Count the dropped documents that are not as near their keeper as was asked for."""
        dropped = [row for row in found_in(out) if row["reason"]]
        return sum(jaccard(text[row["id"]], text[row["keeper"]]) < 0.7 for row in dropped)

    assert wrong(estimated) > 0
    assert wrong(measured) == 0
