"""A corpus in a store, read where it lies by the tools that people have: the same rows as local."""

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import _registry
from obstore.fsspec import FsspecStore, register

from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import write_parquet
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse

ROWS = 90


@pytest.fixture
def corpus(s3, tmp_path) -> str:
    """The address of a corpus' directory, with shards and nothing else, as a build leaves it."""
    address = f"s3://{s3.bucket()}/data/corpus-0123abcd"
    store = ObjectStore(parse(address))
    for number in range(3):
        rows = [
            {"id": f"{n:016x}", "url": f"http://a.test/{n}", "text": f"text {n}", "score": n}
            for n in range(number, ROWS, 3)
        ]
        table = pa.Table.from_pylist(rows, CORPUS)
        write_parquet(tmp_path / "one.parquet", [table], CORPUS)
        store.put(f"{number:05d}.parquet", (tmp_path / "one.parquet").read_bytes())
    return address


@pytest.fixture
def registered():
    """Let fsspec read s3:// by obstore, in this test alone."""
    register("s3")
    yield
    _registry.pop("s3", None)


def total(scores) -> int:
    return sum(int(score) for score in scores)


WANTED = sum(range(ROWS))


def test_duckdb_reads_it(corpus):
    with duckdb.connect() as db:
        files = FsspecStore("s3")
        db.register_filesystem(files)
        names = [f"s3://{name}" for name in files.glob(f"{corpus.removeprefix('s3://')}/*.parquet")]
        found = db.sql("SELECT count(*), sum(score) FROM read_parquet(?)", params=[names])
        assert found.fetchall() == [(ROWS, WANTED)]


def options(s3) -> dict[str, str]:
    """Return what the environment says to obstore; Polars has names of its own for it."""
    return {name.lower(): value for name, value in s3.environment.items()}


def test_polars_reads_it(corpus, s3):
    found = pl.scan_parquet(f"{corpus}/", storage_options=options(s3))
    assert found.select(pl.len(), pl.sum("score")).collect().row(0) == (ROWS, WANTED)


def test_pandas_reads_it(corpus, registered):
    frame = pd.read_parquet(f"{corpus}/00000.parquet")
    assert total(frame["score"]) == sum(range(0, ROWS, 3))


def test_datasets_reads_it(corpus, registered, tmp_path, monkeypatch):
    from datasets import config, load_dataset

    monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)  # which other tests ask for
    found = load_dataset(
        "parquet",
        data_files=f"{corpus}/0*.parquet",
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert (len(found), total(found["score"])) == (ROWS, WANTED)


def test_the_library_of_arrow_reads_it_by_ranges(corpus, s3):
    from webtext.pipeline.core.stores.stored_files import StoredFile

    with StoredFile(f"{corpus}/00001.parquet").open("rb") as file:
        assert total(pq.read_table(file, columns=["score"])["score"].to_pylist()) == sum(
            range(1, ROWS, 3)
        )
