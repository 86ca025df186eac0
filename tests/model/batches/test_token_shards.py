"""A run notices when a shard is not what it was, and reads no more than it must for that."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from webtext.model.batches import token_shards
from webtext.model.errors import UserError
from webtext.model.training.train import train


@pytest.fixture
def begun(tokens, tiny, settings, tmp_path):
    """Begin a run of one step; return what starts it again, with tokens from here or elsewhere."""
    one = replace(settings, steps=1, eval_every=0)

    def start(folder=tokens):
        return train(tmp_path / "run", folder, tiny, one, "cpu")

    start()
    return start


def change(path, keep_time=True):
    """Change a token, and nothing that a listing shows."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def listed(tokens):
    """Write a manifest as a build does."""
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in tokens.glob("*.bin")
    }
    (tokens / "manifest.json").write_text(json.dumps({"files": files}))


def test_a_shard_that_was_changed_is_named(begun, tokens):
    change(tokens / "train-00001.bin", keep_time=False)
    with pytest.raises(UserError, match=r"begun otherwise.*train-00001\.bin is another \(its sha"):
        begun()


def test_a_shard_that_was_swapped_for_one_of_the_same_size_and_time_is_named(begun, tokens):
    path = tokens / "train-00000.bin"
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    change(other)
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    with pytest.raises(UserError, match=r"train-00000\.bin is another"):
        begun()


def test_shards_under_a_manifest_that_they_are_not_of_are_named_at_the_first_start(
    tokens, tiny, settings, tmp_path
):
    listed(tokens)
    change(tokens / "val-00000.bin")
    with pytest.raises(UserError, match=r"val-00000\.bin: not the shard that manifest\.json lists"):
        train(tmp_path / "run", tokens, tiny, settings, "cpu")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_shard_that_changed_under_its_manifest_is_named_at_the_next_start(
    tokens, tiny, settings, tmp_path
):
    listed(tokens)
    one = replace(settings, steps=1, eval_every=0)
    train(tmp_path / "run", tokens, tiny, one, "cpu")
    change(tokens / "train-00000.bin", keep_time=False)
    with pytest.raises(UserError, match=r"train-00000\.bin: not the shard that manifest\.json"):
        train(tmp_path / "run", tokens, tiny, one, "cpu")


def test_what_is_new_and_what_is_gone_is_named(begun, tokens, write_shard):
    write_shard(tokens / "train-00002.bin", np.arange(99))
    (tokens / "val-00000.bin").unlink()
    with pytest.raises(UserError, match=r"val-00000\.bin is gone; train-00002\.bin is new"):
        begun()


def test_shards_that_are_as_they_were_are_not_read_again(begun, tokens, monkeypatch):
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        token_shards.hashlib,
        "file_digest",
        lambda file, how: read.append(file.name) or digest(file, how),
    )
    begun()
    assert not [name for name in read if name.endswith(".bin")]
    os.utime(tokens / "train-00001.bin")
    begun()
    assert [name for name in read if name.endswith(".bin")] == [str(tokens / "train-00001.bin")]


def test_shards_may_be_moved(begun, tokens, tmp_path):
    begun(tokens.rename(tmp_path / "moved"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"train-00000.bin": {"sha256": 3}}'])
def test_a_memory_that_is_torn_is_made_again(begun, tmp_path, content):
    memory = tmp_path / "run" / "tokens.json"
    whole = memory.read_text()
    memory.write_text(content)
    begun()
    assert memory.read_text() == whole
