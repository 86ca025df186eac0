import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.records import CORPUS, CORPUS_DROPPED
from webtext.pipeline.core.shards import Directory, sha256
from webtext.pipeline.corpus import corpus as module
from webtext.pipeline.corpus.corpus import REASONS, Corpus, corpus

SMALL = Corpus(shard_bytes=20_000, row_group=16)


pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")


@pytest.fixture
def world(tmp_path):
    """120 documents in three shards; 0 is kept for 1 (exact) and 2 (near), 60 for 100."""
    rows = [fake_data.document(number) for number in range(120)]
    documents = fake_data.documents(tmp_path / "documents-1", [rows[:50], rows[50:51], rows[51:]])
    verdicts = [
        fake_data.duplicate(rows[0], rows[0]),
        fake_data.duplicate(rows[1], rows[0], reason="dedup.exact", jaccard=1.0),
        fake_data.duplicate(rows[2], rows[0], jaccard=0.8125),
        fake_data.duplicate(rows[60], rows[60]),
        fake_data.duplicate(rows[100], rows[60]),
    ]
    return rows, documents, fake_data.duplicates(tmp_path / "duplicates-1", verdicts)


def make(world, path, settings=SMALL, workers=0):
    path.mkdir(parents=True, exist_ok=True)
    out = Directory(path)
    return out, corpus(settings, world[1], world[2], out, workers)


def contents(directory):
    return {
        str(path.relative_to(directory.path)): sha256(path)
        for path in directory.path.rglob("*")
        if path.is_file()
    }


def test_kept_and_dropped_rows_add_up(world, tmp_path):
    _, passages = make(world, tmp_path / "corpus-1")
    (passage,) = passages
    assert (passage.stage, passage.read, passage.kept) == ("dedup", 120, 117)
    assert passage.dropped == {"dedup.near": 2, "dedup.exact": 1}
    assert set(passage.dropped) <= set(REASONS)


def test_a_dropped_row_names_its_keeper_and_its_similarity(world, tmp_path):
    out, _ = make(world, tmp_path / "corpus-1")
    rows = world[0]
    tables = [pq.read_table(path) for path in out.shards("dropped")]
    assert [table.num_rows for table in tables] == [2, 0, 1]  # of the document shard they came from
    assert all(table.schema.equals(CORPUS_DROPPED) for table in tables)
    dropped = {row["id"]: row for row in pa.concat_tables(tables).to_pylist()}
    assert dropped[rows[1]["id"]]["dropped_by"] == "dedup.exact"
    assert dropped[rows[1]["id"]]["text"] == rows[1]["text"]
    near = dropped[rows[2]["id"]]
    assert (near["keeper"], near["dropped_value"]) == (rows[0]["id"], 0.8125)


def test_rows_are_sorted_by_id_over_all_shards(world, tmp_path):
    out, _ = make(world, tmp_path / "corpus-1")
    tables = [pq.read_table(path) for path in out.shards()]
    whole = pa.concat_tables(tables)
    ids = whole["id"].to_pylist()
    dropped = {world[0][number]["id"] for number in (1, 2, 100)}
    assert ids == sorted({row["id"] for row in world[0]} - dropped)
    assert whole.schema.equals(CORPUS)
    by_id = {row["id"]: row for row in world[0]}
    for row in whole.to_pylist():
        given = by_id[row["id"]]
        assert {name: row[name] for name in ("url", "text", "score", "linked")} == {
            name: given[name] for name in ("url", "text", "score", "linked")
        }
        assert row["bytes"] == len(given["text"].encode())


def test_a_keeper_counts_the_documents_it_stands_for(world, tmp_path):
    out, _ = make(world, tmp_path / "corpus-1")
    whole = pa.concat_tables([pq.read_table(path) for path in out.shards()]).to_pylist()
    stands = {row["id"]: row["duplicates"] for row in whole if row["duplicates"]}
    assert stands == {world[0][0]["id"]: 2, world[0][60]["id"]: 1}


def test_shards_hold_about_as_many_bytes_as_asked_for(world, tmp_path):
    out, _ = make(world, tmp_path / "corpus-1")
    sizes = [sum(pq.read_table(path)["bytes"].to_pylist()) for path in out.shards()]
    assert len(sizes) == -(-sum(sizes) // SMALL.shard_bytes)
    assert all(abs(size - sum(sizes) / len(sizes)) < 2500 for size in sizes)  # a document's size
    groups = [pq.read_metadata(path).row_group(0).num_rows for path in out.shards()]
    assert max(groups) == SMALL.row_group


def test_bytes_do_not_depend_on_workers_shards_or_run_sizes(world, tmp_path, monkeypatch):
    one, _ = make(world, tmp_path / "a" / "corpus-1")
    two, _ = make(world, tmp_path / "b" / "corpus-1", workers=2)
    assert contents(one) == contents(two)
    monkeypatch.setattr(module, "RUN_BYTES", 10_000)
    monkeypatch.setattr(module, "PAGE_BYTES", 3_000)
    three, _ = make(world, tmp_path / "c" / "corpus-1")
    assert contents(one) == contents(three)
    rows = world[0]
    other = fake_data.documents(tmp_path / "documents-2", [rows[::-1]])
    four, _ = make((rows, other, world[2]), tmp_path / "d" / "corpus-1")
    shards = {name for name in contents(one) if not name.startswith("dropped")}
    assert {name: contents(four)[name] for name in shards} == {
        name: contents(one)[name] for name in shards
    }


class Killed(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


def dies_at(monkeypatch, renames):
    """Let this process "die" when it would give its file number `renames` its final name."""
    left = renames
    rename = Path.replace

    def replace(self, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)


def test_a_run_that_dies_at_any_file_goes_on_to_the_same_bytes(world, tmp_path, monkeypatch):
    settings = Corpus(shard_bytes=60_000)
    whole, _ = make(world, tmp_path / "whole" / "corpus-1", settings)
    for renames in range(100):
        path = tmp_path / str(renames) / "corpus-1"
        with monkeypatch.context() as patch:
            dies_at(patch, renames)
            try:
                make(world, path, settings)
                break  # there were no more files than that
            except Killed:
                pass
        again, passages = make(world, path, settings)
        assert contents(again) == contents(whole)
        assert passages[0].read == 120
    assert renames > 14


def test_a_finished_corpus_is_not_made_again(world, tmp_path, monkeypatch):
    out, passages = make(world, tmp_path / "corpus-1")
    monkeypatch.setattr(module, "divide_all", None)
    assert corpus(SMALL, world[1], world[2], out, 0) == passages


def test_work_files_are_gone_at_the_end(world, tmp_path):
    out, _ = make(world, tmp_path / "corpus-1")
    folders = Counter(path.parent.name for path in out.path.rglob("*") if path.is_file())
    assert set(folders) == {"corpus-1", "dropped"}


def test_an_id_that_comes_twice_is_named(world, tmp_path):
    rows = world[0]
    documents = fake_data.documents(tmp_path / "documents-2", [rows[3:9], rows[8:12]])
    with pytest.raises(PipelineError, match=rf"id {rows[8]['id']} belongs to two documents"):
        make((rows, documents, world[2]), tmp_path / "corpus-2")


def test_a_damaged_shard_is_named(world, tmp_path):
    world[1].shard(1).write_bytes(b"PAR1 not any more")
    with pytest.raises(UserError, match=r"documents-1/00001.parquet: damaged"):
        make(world, tmp_path / "corpus-1")


def test_a_corpus_of_nothing_is_an_empty_shard(tmp_path):
    documents = fake_data.documents(tmp_path / "documents-1", [[]])
    duplicates = fake_data.duplicates(tmp_path / "duplicates-1", [])
    out, passages = make(([], documents, duplicates), tmp_path / "corpus-1")
    assert passages[0].read == 0
    assert pq.read_table(out.shard(0)).num_rows == 0


@pytest.mark.parametrize("name", ["shard_bytes", "row_group"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(UserError, match=rf"corpus.{name} = 0: use 1 or more"):
        Corpus(**{name: 0})


# --- other people's readers ---------------------------------------------------------------------


@pytest.fixture
def made(world, tmp_path):
    (tmp_path / "about" / "corpus-1").mkdir(parents=True)  # as a build makes it
    return make(world, tmp_path / "corpus-1")[0]


def test_a_corpus_of_a_build_is_shards_alone(made):
    assert {path.name for path in made.path.iterdir()} == {path.name for path in made.shards()}
    beside = {path.name for path in made.about.iterdir()}
    assert beside == {"README.md", "croissant.json", "dropped", "stats.json"}
    made.finish({"stage": "corpus"})
    checked.check(made.path)
    (made.about / "dropped" / "00001.parquet").rename(made.path / "00901.parquet")
    with pytest.raises(UserError, match=r"about/corpus-1/dropped/00001\.parquet: is gone"):
        checked.check(made.path)
    (made.path / "00901.parquet").rename(made.about / "00001.parquet")
    with pytest.raises(UserError, match="is gone"):
        checked.check(made.path)


@pytest.mark.parametrize(
    "place", ["corpus-1/00900.parquet", "corpus-1/README.md", "about/corpus-1/00000.parquet"]
)
def test_a_file_that_belongs_to_neither_folder_is_named(made, tmp_path, place):
    made.finish({"stage": "corpus"})
    shutil.copy(made.shard(0), tmp_path / place)
    with pytest.raises(UserError, match=rf"{place}: not listed"):
        checked.check(made.path)
    with pytest.raises(UserError, match=rf"{place}: not listed"):
        checked.confirm(tmp_path / place)


def test_pandas_reads_it(made):
    import pandas as pd

    frame = pd.read_parquet(made.path)
    assert len(frame) == 117
    assert str(frame["linked"].dtype).endswith("UTC]")


def test_polars_reads_it(made):
    import polars as pl

    found = pl.scan_parquet(made.path).select("text", "bytes").collect()
    assert found.height == 117
    assert (found["text"].str.len_bytes() == found["bytes"]).all()


def test_duckdb_reads_it(made):
    import duckdb

    with duckdb.connect() as connection:
        query = f"SELECT count(*), sum(bytes) - sum(strlen(text)) FROM '{made.path}/*.parquet'"
        assert connection.execute(query).fetchall() == [(117, 0)]


def test_datasets_reads_it_by_files_and_by_its_card(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    cache = str(tmp_path / "cache")
    files = str(made.path / "*.parquet")
    found = datasets.load_dataset(str(made.path), split="train", cache_dir=cache)
    assert found.num_rows == 117
    assert found.column_names == CORPUS.names
    flow = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    assert sum(1 for _ in flow) == 117
    # both folders as one, as on the hub: the card's head says which files are the data
    folder = shutil.copytree(made.path, tmp_path / "folder")
    shutil.copytree(made.about, folder, dirs_exist_ok=True)
    assert set(datasets.load_dataset(str(folder), cache_dir=cache)) == {"train"}
    assert datasets.load_dataset(str(folder), split="train", cache_dir=cache).num_rows == 117
