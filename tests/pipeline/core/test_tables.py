import pyarrow as pa
import pytest

from webtext.pipeline.core.tables import scores, texts, without_views

WORDS = ["a", None, "é"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(WORDS),
        pa.array(WORDS, pa.large_string()),
        pa.array(WORDS, pa.string_view()),
        pa.array(WORDS).dictionary_encode(),
        pa.array(WORDS, pa.large_string()).dictionary_encode(),
        pa.array([b"a", None, "é".encode()]),
        pa.array([b"a", None, "é".encode()], pa.large_binary()),
        pa.array([b"a", None, "é".encode()], pa.binary_view()),
        pa.chunked_array([["a", None], ["é"]]),
    ],
    ids=lambda column: str(column.type),
)
def test_any_column_of_text_is_strings(column):
    assert texts(column).to_pylist() == WORDS


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_any_column_of_whole_numbers_is_strings(kind):
    column = pa.array([1, None, 100], getattr(pa, kind)())
    assert texts(column).to_pylist() == ["1", None, "100"]
    assert scores(column).to_pylist() == [1, None, 100]


def test_the_largest_number_keeps_its_digits():
    column = pa.array([2**64 - 1], pa.uint64())
    assert texts(column).to_pylist() == [str(2**64 - 1)]
    assert scores(column).to_pylist() == [2**31 - 1]


@pytest.mark.parametrize("column", [pa.array([1.5]), pa.array([True]), pa.array([[1]])])
def test_what_is_neither_is_an_error(column):
    with pytest.raises(pa.ArrowInvalid, match="wanted text or whole numbers"):
        texts(column)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_a_fraction_is_no_score(kind):
    column = pa.array([1.0, 2.5, None, float("nan"), float("inf")], pa.float64()).cast(kind)
    assert scores(column).to_pylist() == [1, None, None, None, None]


def test_a_score_beyond_32_bits_is_the_last_within():
    assert scores(pa.array([3 * 10**9, -(3 * 10**9)])).to_pylist() == [2**31 - 1, -(2**31) + 1]
    assert scores(pa.array(["1"])).to_pylist() == [None]


def test_rows_have_no_views():
    rows = pa.record_batch({"a": pa.array(WORDS, pa.string_view()), "b": pa.array([1, 2, 3])})
    plain = without_views(rows)
    assert plain.schema.field("a").type == pa.string()
    assert plain.filter(pa.array([True, False, True])).num_rows == 2


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string_view()),
        pa.large_list(pa.binary_view()),
        pa.list_(pa.string_view(), 1),
        pa.struct([("b", pa.string_view()), ("c", pa.list_(pa.string_view()))]),
        pa.map_(pa.string(), pa.string_view()),
    ],
    ids=str,
)
def test_rows_have_no_views_within_lists_structures_and_maps(kind):
    value = {"b": "x", "c": ["y"]} if pa.types.is_struct(kind) else ["x"]
    value = [("k", "x")] if pa.types.is_map(kind) else value
    column = pa.array([value, value, None], kind)
    plain = without_views(pa.table({"a": column, "n": [1, 2, 3]}))
    assert "view" not in str(plain.schema)
    assert plain.filter(pa.array([True, False, True]))["n"].to_pylist() == [1, 3]
    assert plain["a"].to_pylist() == column.to_pylist()
