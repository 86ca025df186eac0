"""Files that are written are whole and readable, whatever the rows hold."""

import duckdb
import pyarrow.parquet as pq
import pytest

from webtext.pipeline.sources.row_writer import as_lines, writer
from webtext.pipeline.sources.source_chunks import once


@pytest.mark.parametrize(
    "values",
    [[{}, {}], [{"a": {}}, {"a": {}}], [[{}], []], [[], []], [None, None], [{}, {"a": 1}]],
    ids=str,
)
def test_objects_that_are_empty_end_no_file(tmp_path, values):
    path = tmp_path / "a.parquet"
    with writer(path) as out:
        out.lines(as_lines([{"text": "x", "more": value} for value in values]))
    assert pq.read_table(path)["text"].to_pylist() == ["x", "x"]
    assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(2,)]


def test_a_file_without_rows_is_read_by_others(tmp_path):
    for name in ("a.parquet", "a.csv"):
        with writer(tmp_path / name):
            pass
        assert duckdb.sql(f"select count(*) from '{tmp_path / name}'").fetchall() == [(0,)]
    assert (tmp_path / "a.csv").read_text() == "text\n"


def test_columns_of_one_name_are_told_apart_in_linear_time():
    assert once(["a", "a", "a.1", "b", "a"]) == ("a", "a.1", "a.1.1", "b", "a.2")
    assert len(set(once(["a"] * 300_000))) == 300_000
