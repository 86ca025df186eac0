"""Files that are whole or not there."""

import errno
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import (
    Directory,
    digest,
    read_batches,
    read_shard,
    replacing,
    write_json,
    write_parquet,
)

SCHEMA = pa.schema([("id", pa.string())])


def rows(*ids: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": value} for value in ids], SCHEMA)


def write_half(path) -> None:
    with replacing(path) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    with pytest.raises(OSError, match="No space left"):
        write_half(path)
    assert json.loads(path.read_text()) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_the_same_batches_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        assert write_parquet(tmp_path / name, [rows("1", "2"), rows("3")], SCHEMA) == 3
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_directory_is_whole_once_its_manifest_is_written(tmp_path):
    home = Directory(tmp_path / "links-1c0de5aa")
    write_parquet(home.shard(3), [rows("1")], SCHEMA)
    write_parquet(home.shard(12, under="dropped"), [rows("2")], SCHEMA)
    (home.path / "00004.parquet.partial").write_bytes(b"half")
    assert not home.whole
    home.finish({"stage": "links"})
    assert home.whole
    assert home.numbers() == [3]
    assert home.numbers("dropped") == [12]
    assert list(home.manifest()["files"]) == ["00003.parquet", "dropped/00012.parquet"]


def test_a_damaged_shard_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "documents-0a" / "00000.parquet"
    write_parquet(path, [rows("1")], SCHEMA)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"00000\.parquet: damaged .* move it elsewhere"):
        read_shard(path)
    with pytest.raises(UserError, match="damaged"):
        list(read_batches(path))


def test_a_missing_shard_and_a_missing_manifest_are_said_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r"00000\.parquet: no such shard"):
        read_shard(tmp_path / "00000.parquet")
    with pytest.raises(UserError, match=r"no manifest\.json, so it is not whole; run the same"):
        Directory(tmp_path).manifest()


def test_a_digest_sees_a_changed_setting_but_not_the_order_of_keys():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_batches_are_read_in_order_and_bounded(tmp_path):
    path = tmp_path / "00000.parquet"
    write_parquet(path, [rows(*map(str, range(10)))], SCHEMA)
    batches = list(read_batches(path, rows=4))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert pa.Table.from_batches(batches).equals(pq.read_table(path))


@pytest.mark.parametrize("note", [5, [], ["0" * 64], "wrong sum", None])
def test_a_damaged_note_of_what_was_hashed_costs_a_second_look_and_no_more(tmp_path, note):
    home = Directory(tmp_path / "links-00000000")
    home.path.mkdir()
    path = home.path / "sources.json"
    path.write_text("{}")
    home.finish({"stage": "links"})
    memory = tmp_path / checked.MEMORY / f"{home.name}.json"
    (seen,) = json.loads(memory.read_text()).values()
    assert checked.check(home.path) == 0
    memory.write_text(
        json.dumps({path.name: ["0" * 64, *seen[1:]] if note == "wrong sum" else note})
    )
    checked.confirm(path)
    assert checked.check(home.path) == 2, "its bytes were read again"
    assert checked.check(home.path) == 0
    path.write_text("[]\n")
    with pytest.raises(UserError, match=r"not the file that manifest\.json lists"):
        checked.check(home.path)
