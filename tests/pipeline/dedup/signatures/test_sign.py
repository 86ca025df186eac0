"""Signatures: datasketch's, bit for bit, however the documents are cut and spelt."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pipeline.dedup.material import documents, json_lines, prose, rows, signed
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.dedup.signatures.folded_text import shingles
from webtext.pipeline.dedup.signatures.sign import (
    Sign,
    sign,
    sign_batches,
    signatures,
)
from webtext.pipeline.dedup.signatures.signature_files import EXACT_BYTES, Signatures, column

KINDS = [Sign(), Sign(ngram=1, permutations=16, seed=7), Sign(3, 200, 2**32 - 1), Sign(13, 1, 0)]
KIND_NAMES = ["default", "words", "triples", "one permutation"]


# What texts are made of elsewhere: nothing, a word, every plane, marks to put in order, scripts
# from right to left, digits of others, characters that mean something to machines only.
ODD = [
    "",
    " ",
    "word",
    "...",
    "\0",
    "a\0b \0 c\u2028d\u0085e",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001d4d0\U0001d4d1 \U00010400\U00020000 end",
    "e\u0301\u0323 e\u0323\u0301 \u1ec7 \u0344 n\u0303o\u0308",
    "\u05e9\u05dc\u05d5\u05dd \u202e\u05e2\u05d5\u05dc\u05dd\u202c",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643 \u0640",
    "\u0661\u0662\u0663 \u0967\u0968\u0969 \uff11\uff12 \u2163 \u00bd \U0001d7d8 12 days",
    "\ufeffone\u00ad two\ufe0f three\ufffd four\uffff five \U000e0041 six \U0010fffd",
    "\u0130stanbul \u1e9e \ufb03 \u01c5 \ua64a \u03a3\u03c2 \u212a",
]


def reference(kind: Sign, text: str) -> np.ndarray:
    """Return datasketch's own signature."""
    sketch = MinHash(num_perm=kind.permutations, seed=kind.seed)
    for shingle in shingles(text, kind.ngram):
        sketch.update(shingle.encode())
    return sketch.hashvalues


def agrees(kind: Sign, texts: list[str]) -> None:
    minima, counts, exact = signatures(kind, pa.array(texts, pa.string()))
    for number, text in enumerate(texts):
        np.testing.assert_array_equal(minima[:, number], reference(kind, text))
        assert counts[number] == len(shingles(text, kind.ngram))
        assert exact[number].is_valid == (counts[number] > 0)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_signatures_of_real_documents_are_datasketchs(texts, kind):
    agrees(kind, texts[:: max(1, len(texts) // 130)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_signatures_of_ten_thousand_real_documents_are_datasketchs(shared, kind):
    texts = [row["text"] for row in json_lines(shared / "dedup" / "miniweb_texts.jsonl.zst")]
    texts += [row["text"] for row in json_lines(shared / "dedup" / "mccormick_1000.jsonl.zst")]
    texts += [row["text"] for row in json_lines(shared / "langid" / "udhr.jsonl.zst")]
    texts += [row["title"] for row in json_lines(shared / "links" / "RS_top2013_sample.jsonl.zst")]
    texts = [*ODD, *texts[: 10_000 - len(ODD)]]
    assert len(texts) == 10_000
    agrees(kind, texts)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_signatures_of_every_language_are_datasketchs(real, kind):
    found = json_lines(real / "langid" / "udhr.jsonl.zst")
    agrees(kind, [row["text"][:600] for row in found])


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_signatures_of_odd_texts_are_datasketchs(kind):
    agrees(kind, ODD)
    agrees(kind, [" ".join(ODD), "", *ODD])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(), max_size=5), st.sampled_from(KINDS))
@example([], Sign())
@example([""], Sign())
@example(["word"], Sign())
@example(["", "a", "", "...", "a b c d e f"], Sign())
@example(["x" * 63 + " y", "x" * 54, "x" * 55, "x" * 56, "x" * 64, "x" * 119, "x" * 120], Sign(1))
@example(["\U000e0041a\U0010fffd", "\U0002f800\U00020000"], Sign())
def test_signatures_of_any_text_are_datasketchs(texts, kind):
    agrees(kind, texts)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30))
@settings(deadline=None, max_examples=30)
def test_words_of_any_length_are_hashed_right(lengths):
    agrees(Sign(ngram=2, permutations=8), [" ".join("w" * length for length in lengths)])


def test_the_space_that_growing_text_needs_is_found():
    agrees(Sign(permutations=4), ["\ufdfa" * 3000, "ﷺ" + "가" * 500])


def test_bytes_that_are_not_utf_8_do_no_harm():
    broken = [
        b"\xff\xfe ok",
        b"cut \xe2\x82",
        b"\xf8\x88\x80\x80\x80",
        b"\xed\xa0\x80 half",
        b"\x80",
    ]
    lengths = np.cumsum([0, *map(len, broken)]).astype(np.int32)
    buffers = [None, pa.py_buffer(lengths), pa.py_buffer(b"".join(broken))]
    counts = signatures(Sign(), pa.StringArray.from_buffers(len(broken), *buffers[1:]))[1]
    assert counts.tolist()[:2] == [1, 1]


def test_a_slice_of_a_column_is_signed_as_itself():
    texts = pa.array(["one two", "three four five", "six"])
    whole = signatures(Sign(), texts)[0]
    np.testing.assert_array_equal(signatures(Sign(), texts[1:])[0], whole[:, 1:])


def test_how_batches_are_cut_does_not_reach_the_file(tmp_path):
    table = pa.Table.from_pylist(rows(prose(seed) for seed in range(40)))
    for name, size in (("a", 1), ("b", 7), ("c", 40)):
        sign_batches(Sign(permutations=8), table.to_batches(size), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


def test_every_document_has_a_row_and_texts_without_words_are_marked(tmp_path):
    found = documents(tmp_path / "d", rows(["", "one", "!!!", prose(1)]), shards=2)
    (passage,) = sign(Sign(), found, Directory(tmp_path / "s"), 0)
    assert (passage.read, passage.kept, passage.dropped) == (4, 4, {})
    table = pq.read_table(tmp_path / "s" / "00000.parquet")
    assert table["shingles"].to_pylist() == [0, 0]
    assert table["exact"].to_pylist() == [None, None]
    other = pq.read_table(tmp_path / "s" / "00001.parquet")
    assert other["shingles"].to_pylist() == [1, 196]
    assert other["bytes"].to_pylist() == [3, len(prose(1))]


def test_workers_write_the_same_bytes_as_none(tmp_path):
    found = documents(tmp_path / "d", rows(prose(seed) for seed in range(9)), shards=3)
    alone = signed(tmp_path / "alone", found)
    seen: list[int] = []
    pooled = Directory(tmp_path / "pooled")
    sign(Sign(), found, pooled, 2, lambda done, total, note="": seen.append(done))
    assert seen[-1] == 9
    for number in range(3):
        assert alone.shard(number).read_bytes() == pooled.shard(number).read_bytes()


def test_shards_that_are_there_are_not_signed_again(tmp_path):
    found = documents(tmp_path / "d", rows(prose(seed) for seed in range(4)), shards=2)
    out = signed(tmp_path / "s", found)
    before = out.shard(0).stat().st_mtime_ns
    whole = out.shard(1).read_bytes()
    out.shard(1).unlink()
    signed(tmp_path / "s", found)
    assert out.shard(0).stat().st_mtime_ns == before
    assert out.shard(1).read_bytes() == whole


def test_texts_that_fold_alike_have_one_hash(tmp_path):
    _, _, exact = signatures(Sign(), pa.array(["Hello, World", "hello world!", "hello worlds"]))
    assert exact[0] == exact[1] != exact[2]
    assert len(exact[0].as_py()) == EXACT_BYTES


def test_a_damaged_documents_shard_is_named(tmp_path):
    found = documents(tmp_path / "d", rows(["a", "b"]))
    found.shard(0).write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"00000\.parquet: damaged"):
        sign(Sign(), found, Directory(tmp_path / "s"), 0)


def test_a_flipped_bit_in_a_signature_file_is_named(tmp_path):
    out = signed(tmp_path / "s", documents(tmp_path / "d", rows(prose(n) for n in range(50))))
    data = bytearray(out.shard(0).read_bytes())
    footer = pq.read_metadata(out.shard(0)).row_group(0)
    place = next(
        footer.column(n) for n in range(footer.num_columns)
        if footer.column(n).path_in_schema == column(3)
    )  # fmt: skip
    data[place.data_page_offset + 60] ^= 1
    out.shard(0).write_bytes(data)
    with pytest.raises(UserError, match=r"00000\.parquet: damaged"):
        Signatures((out.shard(0),)).minima(0, 8)


def test_signatures_of_two_kinds_do_not_mix(tmp_path):
    found = documents(tmp_path / "d", rows(["one", "two"]))
    paths = tuple(signed(tmp_path / f"s{seed}", found, Sign(seed=seed)).shard(0) for seed in (1, 2))
    with pytest.raises(
        UserError, match=r"s2/00000\.parquet: signatures of another kind: seed is 2 "
    ):
        Signatures(paths)


def test_a_file_that_holds_no_signatures_is_named(tmp_path):
    found = documents(tmp_path / "d", rows(["one"]))
    with pytest.raises(UserError, match=r"00000\.parquet: not a signature file"):
        Signatures((found.shard(0),))
    with pytest.raises(UserError, match="no such shard"):
        Signatures((tmp_path / "none.parquet",))


def test_signatures_by_a_later_version_are_refused(tmp_path):
    table = pa.table({"id": ["a"]}).replace_schema_metadata(
        {"webtext.signatures": '{"algorithm": "simhash", "version": 9}'}
    )
    pq.write_table(table, tmp_path / "later.parquet")
    with pytest.raises(UserError, match="signatures by 'simhash' version 9; wanted"):
        Signatures((tmp_path / "later.parquet",))


@pytest.mark.parametrize("wrong", [{"ngram": 0}, {"permutations": 10000}, {"seed": -1}])
def test_a_setting_out_of_range_says_what_is_wanted(wrong):
    with pytest.raises(UserError, match=r"signatures\.\w+ is -?\d+; wanted \d"):
        Sign(**wrong)


def exact(*texts):
    return signatures(Sign(), pa.array(texts, pa.string()))[2].to_pylist()


def test_texts_that_differ_in_numbers_alone_are_no_exact_copies():
    one, other, same = exact(
        "On day 3 of 7, 41 boats.", "On day 5 of 7, 41 boats.", "on day 3 of 7 41 boats"
    )
    assert one != other
    assert one == same


def test_in_a_table_of_figures_the_figures_are_the_words():
    table = "\n".join(f"{hour}:00 | {hour * 37 % 91} | {hour * 53 % 89}" for hour in range(24))
    other = "\n".join(f"{hour}:00 | {hour * 41 % 97} | {hour * 59 % 83}" for hour in range(24))
    minima, counts, _ = signatures(Sign(), pa.array([table, other, "in the year 12 of it"]))
    assert counts.tolist() == [24 * 4 - 4, 24 * 4 - 4, 2]
    assert (minima[:, 0] == minima[:, 1]).mean() < 0.1
    agrees(Sign(), [table, other])
