import logging
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import CORPUS, TOKENS
from webtext.pipeline.core.shards import Directory, sha256
from webtext.pipeline.tokens import bpe
from webtext.pipeline.tokens import tokens as module
from webtext.pipeline.tokens.shard_files import read_bin, write_bin
from webtext.pipeline.tokens.tokens import (
    Tokens,
    counts,
    document_tokens,
    documents_at,
    tokens,
)

SMALL = Tokens(shard_tokens=1000, val_fraction=0.3)

AWKWARD = ["", "<|endoftext|>", "a<|endoftext|>b", "\n\n  \n", "Ελληνικά 日本語 עברית", "😀" * 50]


pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


@pytest.fixture
def corpus(tmp_path):
    """Documents of seven domains in three shards, some of them awkward."""
    rows = [fake_data.document(number) for number in range(40)]
    for number, text in enumerate(AWKWARD):
        rows[number] |= {"text": text}
    rows = sorted(rows, key=lambda row: row["id"])
    directory = Directory(tmp_path / "corpus-1")
    for number, part in enumerate((rows[:13], rows[13:14], rows[14:])):
        fake_data.write(directory.shard(number), part, CORPUS)
    return directory


def rows_of(corpus):
    return [row for path in corpus.shards() for row in pq.read_table(path).to_pylist()]


def make(corpus, path, settings=SMALL, workers=0):
    path.mkdir(parents=True, exist_ok=True)
    out = Directory(path)
    return out, tokens(settings, corpus, out, workers)


def contents(directory):
    return {path.name: sha256(path) for path in directory.path.iterdir()}


def read_as_llm_c_documents_it(path):
    """256 little-endian int32 (magic, version, count, zeros), then count uint16; by hand."""
    data = path.read_bytes()
    magic, version, count, *rest = struct.unpack("<256i", data[:1024])
    assert (magic, version) == (20240520, 1)
    assert not any(rest)
    assert len(data) == 1024 + 2 * count
    return list(struct.unpack(f"<{count}H", data[1024:]))


def stream(directory, split):
    paths = sorted(directory.path.glob(f"{split}-*.bin"))
    return [token for path in paths for token in read_as_llm_c_documents_it(path)]


def test_a_reader_written_from_llm_cs_header_finds_every_document(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1")
    gpt2 = bpe.encoding()
    for split in ("train", "val"):
        expected = []
        for row in rows_of(corpus):
            if SMALL.split(row["domain"]) == split:
                expected += [50256, *gpt2.encode_ordinary(row["text"])]
        assert stream(out, split) == expected
        assert len(expected) > 1000


def test_shards_are_filled_exactly_but_for_the_last(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1")
    for split in ("train", "val"):
        paths = sorted(out.path.glob(f"{split}-*.bin"))
        lengths = [len(read_bin(path)) for path in paths]
        assert set(lengths[:-1]) == {1000}
        assert 0 < lengths[-1] <= 1000
        assert [path.name for path in paths] == [
            f"{split}-{number:05d}.bin" for number in range(len(paths))
        ]


def test_the_tokens_of_a_document_decode_to_its_text(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1")
    index = pq.read_table(out.path / "documents.parquet")
    assert index.schema.equals(TOKENS)
    rows = index.to_pylist()
    texts = rows_of(corpus)
    assert [row["id"] for row in rows] == [row["id"] for row in texts]
    straddling = 0
    for row, given in zip(rows, texts, strict=True):
        found = document_tokens(out, row)
        assert found[0] == bpe.END_OF_TEXT
        assert len(found) == row["length"]
        assert bpe.encoding().decode(found[1:].tolist()) == given["text"]
        straddling += row["start"] + row["length"] > 1000
    assert straddling > 3


def test_end_of_text_is_only_ever_a_boundary(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1")
    boundaries = sum((np.array(stream(out, s)) == bpe.END_OF_TEXT).sum() for s in ("train", "val"))
    assert boundaries == 40  # though two pages spell it


def test_a_document_longer_than_two_shards_is_whole(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1", Tokens(shard_tokens=50, val_fraction=0.3))
    rows = pq.read_table(out.path / "documents.parquet").to_pylist()
    row = max(rows, key=lambda row: row["length"])
    text = next(given["text"] for given in rows_of(corpus) if given["id"] == row["id"])
    assert row["length"] > 150
    assert bpe.encoding().decode(document_tokens(out, row)[1:].tolist()) == text


def test_no_domain_is_in_both_splits(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1")
    splits = {row["id"]: row["split"] for row in pq.read_table(out.path / module.INDEX).to_pylist()}
    seen = {}
    for row in rows_of(corpus):
        seen.setdefault(row["domain"], set()).add(splits[row["id"]])
    assert all(len(found) == 1 for found in seen.values())
    assert {"train", "val"} == set.union(*seen.values())


def test_the_share_of_domains_in_val_is_the_one_asked_for():
    settings = Tokens(val_fraction=0.01)
    found = sum(settings.split(f"host{number}.org") == "val" for number in range(20_000))
    assert 150 < found < 250


def test_counts_say_what_was_written_and_with_what(corpus, tmp_path):
    out, passages = make(corpus, tmp_path / "tokens-1")
    found = counts(out)
    for split in ("train", "val"):
        assert found["splits"][split]["tokens"] == len(stream(out, split))
    assert sum(split["documents"] for split in found["splits"].values()) == 40
    assert sum(split["domains"] for split in found["splits"].values()) == 7
    assert found["tokenizer"]["sha256"] == bpe.SHA256
    (note,) = found["notes"]
    val = found["splits"]["val"]
    said = f"val is only {val['documents']} documents of {val['domains']} domain"
    assert note.startswith(said)
    assert [(p.stage, p.read, p.kept, p.dropped) for p in passages] == [("tokens", 40, 40, {})]


def test_bytes_do_not_depend_on_workers_or_corpus_shards(corpus, tmp_path):
    one, _ = make(corpus, tmp_path / "a" / "tokens-1")
    two, _ = make(corpus, tmp_path / "b" / "tokens-1", workers=2)
    assert contents(one) == contents(two)
    other = Directory(tmp_path / "corpus-2")
    fake_data.write(other.shard(0), rows_of(corpus), CORPUS)
    three, _ = make(other, tmp_path / "c" / "tokens-1")
    assert {name: contents(three)[name] for name in contents(one) if name.endswith(".bin")} == {
        name: found for name, found in contents(one).items() if name.endswith(".bin")
    }


class Killed(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


def test_a_run_that_dies_at_any_file_goes_on_to_the_same_bytes(corpus, tmp_path, monkeypatch):
    whole, _ = make(corpus, tmp_path / "whole" / "tokens-1")
    rename = Path.replace
    for renames in range(100):
        left = renames

        def replace(self, target):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return rename(self, target)

        path = tmp_path / str(renames) / "tokens-1"
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            try:
                make(corpus, path)
                break
            except Killed:
                pass
        again, _ = make(corpus, path)
        assert contents(again) == contents(whole)
    assert renames > 12


def test_a_finished_directory_is_not_made_again(corpus, tmp_path, monkeypatch):
    out, passages = make(corpus, tmp_path / "tokens-1")
    monkeypatch.setattr(module, "encode_all", None)
    assert tokens(SMALL, corpus, out, 0) == passages


def test_an_empty_val_is_warned_of_and_noted(corpus, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        out, _ = make(corpus, tmp_path / "tokens-1", Tokens(val_fraction=0.0))
    assert "val is empty: no domain fell into it at tokens.val_fraction = 0.0" in caplog.text
    assert counts(out)["notes"][0].startswith("val is empty")
    assert not list(out.path.glob("val-*.bin"))


def test_an_empty_train_is_refused(corpus, tmp_path):
    with pytest.raises(
        UserError, match=r"none into train; lower tokens.val_fraction, which is 0.99"
    ):
        make(corpus, tmp_path / "tokens-1", Tokens(val_fraction=0.999999))


def test_an_empty_corpus_is_refused(tmp_path):
    corpus = Directory(tmp_path / "corpus-1")
    fake_data.write(corpus.shard(0), [], CORPUS)
    with pytest.raises(UserError, match=r"no documents, so there is nothing to tokenise"):
        make(corpus, tmp_path / "tokens-1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shard_tokens": 0}, r"tokens.shard_tokens = 0: use 1 to 2147483647"),
        ({"shard_tokens": 2**31}, r"tokens.shard_tokens = 2147483648: use 1 to 2147483647"),
        ({"val_fraction": 1.0}, r"tokens.val_fraction = 1.0: use 0 to less than 1"),
        ({"val_fraction": -0.1}, r"tokens.val_fraction = -0.1: use 0 to less than 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Tokens(**settings)


def test_tokens_are_traced_back_to_their_documents(corpus, tmp_path):
    out, _ = make(corpus, tmp_path / "tokens-1")
    rows = pq.read_table(out.path / module.INDEX).to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    begins = [row["shard"] * 1000 + row["start"] for row in train]
    last = begins[-1] + train[-1]["length"]
    spans = [(0, 1), (begins[5], begins[8]), (begins[5] - 1, begins[8] + 1), (0, last)]
    wanted = [train[:1], train[5:8], train[4:9], train]
    assert documents_at(out, "train", spans) == wanted
    assert documents_at(out, "val", [(0, 1)])[0][0]["split"] == "val"


def test_a_file_that_is_no_token_shard_is_named(tmp_path):
    path = tmp_path / "train-00000.bin"
    with pytest.raises(UserError, match=r"train-00000.bin: no such token shard"):
        read_bin(path)
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(
        UserError, match=r"expected llm.c's header \(20240520, 1, count\), found \[0"
    ):
        read_bin(path)
    path.write_bytes(b"short")
    with pytest.raises(UserError, match=r"found \[\d+\]; it is not a token shard"):
        read_bin(path)


def test_a_shard_that_is_cut_short_is_named(tmp_path):
    path = tmp_path / "train-00000.bin"
    write_bin(path, [np.arange(100, dtype=np.uint16)])
    assert read_bin(path).tolist() == list(range(100))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"header says 100 tokens, found 99; put back"):
        read_bin(path)
