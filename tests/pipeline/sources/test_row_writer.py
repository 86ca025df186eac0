"""Files that are written are whole and readable, whatever the rows hold."""

import os
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from webtext.flows.building.settings import overridden
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.own.filtering import filter_files
from webtext.pipeline.links.links import fingerprint
from webtext.pipeline.sources.row_writer import as_lines, beside, check_outputs, writer
from webtext.pipeline.sources.source_chunks import once
from webtext.pipeline.sources.source_files import Source, found, matched
from webtext.pipeline.sources.source_rows import PLAIN, check
from webtext.pipeline.text.clean import Clean


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


def test_whole_numbers_that_no_fraction_holds_end_no_file(tmp_path):
    """The whole numbers and the fractions come at different times, as from two chunks."""
    path = tmp_path / "a.parquet"
    large = 2**60 + 1  # as ids are
    with writer(path) as out:
        out.lines(as_lines([{"n": large, "m": 1, "in": {"n": large}}] * 1100))
        out.lines(as_lines([{"n": 0.5, "m": 0.5, "in": {"n": 0.5}}]))
    found = pq.read_table(path)
    assert found["n"].to_pylist() == [str(large)] * 1100 + ["0.5"]
    assert found["m"].to_pylist() == [1.0] * 1100 + [0.5]
    assert found["in"].to_pylist() == [f'{{"n":{large}}}'] * 1100 + ['{"n":0.5}']


def test_patterns_that_name_the_same_files_are_no_mistake(tmp_path):
    (tmp_path / "a.jsonl").touch()
    sources = matched(["a.jsonl", "*.jsonl"], tmp_path, "documents.sources")
    assert [source.name for source in sources] == ["a.jsonl"]
    with pytest.raises(UserError, match=r"documents.sources: no file matches '\*.csv'"):
        matched(["a.jsonl", "*.csv"], tmp_path, "documents.sources")


TEXTS = pa.array(["x"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([("text", TEXTS), ("text", TEXTS)], "several columns 'text'"),
        ([("text", TEXTS), ("a", TEXTS), ("a", TEXTS)], "several columns 'a'"),
        ([("text", TEXTS), ("at", pa.array([2**62], pa.timestamp("us")))], "date value out of"),
        ([("text", TEXTS), ("at", pa.array([0], pa.timestamp("us", "No/Zone")))], "No/Zone"),
    ],
)
def test_a_table_that_cannot_be_read_as_rows_is_named(tmp_path, columns, said):
    names, arrays = zip(*columns, strict=True)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, names=names), path)
    with pytest.raises(UserError, match=rf"a\.parquet: .*{said}"):
        check([Source(path, path.name, "parquet")], PLAIN, "--text-field")


def test_two_outputs_of_one_name_destroy_nothing(tmp_path):
    given, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    check_outputs([out, None], [given])
    with pytest.raises(UserError, match=r"out\.jsonl: is named for two outputs"):
        check_outputs([out, tmp_path / "." / "out.jsonl"], [given])
    with pytest.raises(UserError, match=r"out\.jsonl: is named for two outputs"):
        filter_files([given], out, [], dropped=out)
    with pytest.raises(UserError, match=r"a\.jsonl: is read, so it cannot be written"):
        filter_files([given], given, [])


def test_an_output_without_a_name_is_refused():
    with pytest.raises(UserError, match="cannot tell in which form to write"):
        beside(Path(), "dropped")  # as `-o "$OUT"` gives where OUT is not set


def test_a_file_whose_name_is_no_utf_8_costs_no_others(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("one")
    (folder / "tea.txt").write_text("two")
    filter_files([folder], tmp_path / "out.jsonl", [Clean()])
    rows = map(orjson.loads, (tmp_path / "out.jsonl").read_bytes().splitlines())
    assert {row["id"]: row["text"] for row in rows} == {"caf\\xe9.txt": "one", "tea.txt": "two"}
    with pytest.raises(UserError, match=r"caf\\xe9\.txt: this name is no UTF-8"):
        fingerprint([source.path for source in found([folder])])  # which a build writes down
    with pytest.raises(UserError, match="not valid UTF-8"):
        overridden({"links": {"sources": [os.fsdecode(b"caf\xe9.txt")]}}, (), "--set")
