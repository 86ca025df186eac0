import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webtext.model.batches.data import (
    Batches,
    Range,
    Stream,
    read_shard,
    short_val,
    shuffled,
    unshuffled,
)
from webtext.model.batches.token_shards import fingerprint
from webtext.model.errors import UserError


@pytest.fixture
def stream(tokens):
    return Stream(tokens, "train")


@pytest.fixture
def batches(stream):
    return Batches(stream, context=64, size=8, seed=3, vocab=500)  # 4,999 // 64 = 78 windows


def test_shards_end_to_end_are_one_stream(stream, tokens):
    parts = [np.fromfile(tokens / f"train-0000{n}.bin", "<u2")[512:] for n in (0, 1)]
    assert len(stream) == 5000
    assert (stream.read(2990, 3010) == np.concatenate(parts)[2990:3010]).all()
    assert stream.ranges(2990, 3010) == [
        Range("train-00000.bin", 2990, 3000),
        Range("train-00001.bin", 0, 10),
    ]
    assert stream.position("train-00001.bin") == 3000


def test_an_empty_shard_is_stepped_over(tmp_path, write_shard):
    for number, length in enumerate([3, 0, 4]):
        write_shard(tmp_path / f"train-0000{number}.bin", np.full(length, number))
    stream = Stream(tmp_path, "train")
    assert stream.read(0, 7).tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert stream.ranges(2, 4) == [Range("train-00000.bin", 2, 3), Range("train-00002.bin", 0, 1)]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000.bin", "train"),
        ("val-00017.bin", "val"),
        ("train.bin", "train"),
        ("fineweb_train_000001.bin", "train"),
        ("tiny_shakespeare_val.bin", "val"),
        ("val_corpus_train_000001.bin", "train"),
        ("retrieval_train_000001.bin", "train"),
        ("retrieval.bin", None),
        ("constraints.bin", None),
        ("interval-00000.bin", None),
        ("train-00000.bin.partial", None),
        ("train-00000.old.bin", None),
    ],
)
def test_a_name_is_of_one_split_at_most(tmp_path, write_shard, name, split):
    write_shard(tmp_path / name, np.arange(5))
    found = {split for split in ("train", "val") if Stream(tmp_path, split).files}
    assert found == ({split} if split else set())


def test_a_manifest_says_which_files_are_shards(tokens, write_shard):
    listed = {path.name: {} for path in tokens.glob("*.bin")}
    (tokens / "manifest.json").write_text(json.dumps({"files": {**listed, "stats.json": {}}}))
    write_shard(tokens / "train-00009.bin", np.arange(100))
    assert [path.name for path in Stream(tokens, "train").files] == [
        "train-00000.bin",
        "train-00001.bin",
    ]
    (tokens / "train-00001.bin").unlink()
    with pytest.raises(UserError, match=r"train-00001.bin: no such file, though manifest.json"):
        Stream(tokens, "train")
    (tokens / "manifest.json").write_text('{"files": {"tra')
    with pytest.raises(UserError, match=r"manifest.json: no manifest \(.*; make the tokens again"):
        Stream(tokens, "train")


def test_a_split_without_a_shard_is_said_to_have_none(tokens):
    for path in tokens.glob("train*"):
        path.rename(tokens / path.name.replace("train", "retrain"))
    with pytest.raises(UserError, match=r"no shard of the train split; wanted train-00000.bin"):
        Batches(Stream(tokens, "train"), 64, 8, 0, 500)


def test_a_val_split_shorter_than_a_window_is_told(tokens, write_shard):
    assert short_val(tokens, 64) is None
    write_shard(tokens / "val-00000.bin", np.arange(64))
    assert "val split has 64 tokens, and a window takes 65; no loss" in short_val(tokens, 64)
    (tokens / "val-00000.bin").unlink()
    assert "val split has 0 tokens" in short_val(tokens, 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes, wanted a header of 1024"),
        (np.arange(1000, dtype="<u2").tobytes(), "begins with 65536, 196610; wanted llm.c's 20240"),
        (np.array([20240801, 6, 0] + [0] * 253, "<i4").tobytes(), "begins with 20240801, 6"),
        (np.array([20240801, 7, 9] + [0] * 253, "<i4").tobytes(), "wanted 1060 for the 9 tokens"),
        (np.array([20240520, 1, 9] + [0] * 253, "<i4").tobytes(), "wanted 1042 for the 9 tokens"),
        (np.array([20240520, 1, -1] + [0] * 253, "<i4").tobytes(), "1024 bytes, wanted"),
    ],
    ids=[
        "empty",
        "of nanoGPT",
        "of another version",
        "cut off, 32 bits",
        "cut off",
        "of negative length",
    ],
)
def test_a_file_that_is_no_whole_shard_is_named(tmp_path, content, message):
    path = tmp_path / "train-00000.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"train-00000.bin: .*{message}"):
        read_shard(path)


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such directory"):
        Stream(tmp_path / "nowhere", "train")


def test_too_short_a_text_is_said_to_be(tmp_path, write_shard):
    write_shard(tmp_path / "train-00000.bin", np.arange(64))
    with pytest.raises(UserError, match="64 tokens of the train split, wanted 65 or more"):
        Batches(Stream(tmp_path, "train"), 64, 8, 0, 500)


def test_tokens_of_another_vocabulary_are_refused(stream):
    with pytest.raises(UserError, match=r"train-0000\d.bin: holds token 4\d\d, wanted less than"):
        Batches(stream, 64, 8, 0, vocab=400).tokens(np.arange(78))


def test_each_window_is_read_once_an_epoch_in_another_order_each(batches):
    read = np.concatenate([batches.windows(step) for step in range(39)])  # 4 epochs of 78
    epochs = read.reshape(4, 78)
    assert (np.sort(epochs) == np.arange(78)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert not (epochs == np.arange(78)).all(axis=1).any()


def test_what_a_step_reads_follows_from_seed_and_step_alone(batches, stream):
    again = Batches(stream, 64, 8, 3, 500)
    assert (again.windows(7) == batches.windows(7)).all()
    assert (Batches(stream, 64, 8, 4, 500).windows(7) != batches.windows(7)).any()


def test_the_order_stays_what_it_was_when_runs_were_started():
    assert shuffled(np.arange(10), 10, "0 0").tolist() == [4, 2, 0, 9, 7, 5, 8, 6, 3, 1]


def test_a_window_overlaps_the_next_by_the_token_that_it_foretells(batches, stream):
    rows = batches.tokens(np.array([4, 5, 46]))
    assert rows.shape == (3, 65)
    assert rows.dtype == np.int64
    assert rows[0, -1] == rows[1, 0] == stream.read(320, 321)[0]
    assert [len(batches.ranges(w)) for w in (4, 5, 46)] == [1, 1, 2]  # 46 * 64 = 2,944


def test_the_steps_that_read_a_document_are_those_whose_windows_hold_it(batches):
    document = Range("train-00001.bin", 100, 300)  # tokens 3,100 to 3,299: windows 48 to 51
    wanted = [step for step in range(30) if np.isin(batches.windows(step), range(48, 52)).any()]
    assert batches.steps(document, until=30) == wanted
    with pytest.raises(UserError, match=r"train-00009\.bin: no such shard of the train split"):
        batches.steps(Range("train-00009.bin", 0, 1), 30)


@given(st.integers(1, 3000), st.text())
def test_shuffling_loses_nothing_and_can_be_undone(count, key):
    numbers = np.arange(count)
    mixed = shuffled(numbers, count, key)
    assert (np.sort(mixed) == numbers).all()
    assert (unshuffled(mixed, count, key) == numbers).all()


def test_the_shuffle_of_nine_million_windows_is_had_a_step_at_a_time():
    places = np.arange(512) + 8_000_000
    mixed = shuffled(places, 9_000_000, "0 0")
    assert len(set(mixed.tolist())) == 512
    assert mixed.min() < 500_000
    assert mixed.max() > 8_500_000


def test_the_fingerprint_changes_with_the_tokens(tokens, write_shard):
    before = fingerprint(tokens)
    assert before == fingerprint(tokens)
    write_shard(tokens / "val-00000.bin", np.arange(10))
    assert fingerprint(tokens) != before
    (tokens / "manifest.json").write_text("{}")
    assert fingerprint(tokens).startswith("44136fa3")  # sha256 of "{}"
