"""A corpus in a store, read where it lies by the tools that people have: the same rows as local."""

import os
import re
import subprocess
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.fsspec import FsspecStore
from obstore.fsspec import register as obstore_register

from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import write_parquet
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse

DOCS = Path(__file__).resolve().parents[2] / "docs" / "stores.md"
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
    import fsspec

    before = dict(fsspec.registry.registry), dict(fsspec.registry._registry)
    obstore_register("s3")
    yield
    fsspec.registry._registry.clear()
    fsspec.registry._registry.update(before[1])


def total(scores) -> int:
    return sum(int(score) for score in scores)


WANTED = sum(range(ROWS))


def test_duckdb_reads_it(corpus):
    with duckdb.connect() as db:
        db.register_filesystem(FsspecStore("s3"))
        found = db.sql(f"SELECT count(*), sum(score) FROM read_parquet('{corpus}/*.parquet')")
        assert found.fetchone() == (ROWS, WANTED)


def test_polars_reads_it(corpus, s3):
    found = polars.scan_parquet(f"{corpus}/", storage_options=s3.polars)
    assert found.select(polars.len(), polars.sum("score")).collect().row(0) == (ROWS, WANTED)


def test_pandas_reads_it(corpus, registered):
    frame = pandas.read_parquet(f"{corpus}/00000.parquet")
    assert total(frame["score"]) == sum(range(0, ROWS, 3))


def test_datasets_reads_it(corpus, registered, tmp_path):
    from datasets import load_dataset

    found = load_dataset(
        "parquet", data_files=f"{corpus}/0*.parquet", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert (len(found), total(found["score"])) == (ROWS, WANTED)


def test_the_library_of_arrow_reads_it_by_ranges(corpus, s3):
    from webtext.pipeline.core.stores.stored_files import StoredFile

    with StoredFile(f"{corpus}/00001.parquet").open("rb") as file:
        assert total(pq.read_table(file, columns=["score"])["score"].to_pylist()) == sum(
            range(1, ROWS, 3)
        )
