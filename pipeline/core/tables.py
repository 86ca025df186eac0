"""Convert columns of Parquet files that others wrote to the types that we use.

Text comes as string, large_string, string_view, binary or dictionaries of any of them; whole
numbers in eight types; scores as fractions or as numbers beyond 32 bits.
"""

from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

INT32 = 2**31 - 1


def texts(column: pa.Array) -> pa.Array:
    """Return a column of texts or whole numbers as strings.

    Raises:
        pa.ArrowInvalid: bytes that are not UTF-8, or a type that is neither.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts(column.dictionary_decode())
    if pa.types.is_string(kind):
        return column
    views = (pa.types.is_string_view, pa.types.is_binary_view)
    if any(is_view(kind) for is_view in views):  # which pyarrow cannot cast yet
        return pa.array(_decoded(column.to_pylist()), pa.string())
    plain = (pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if pa.types.is_integer(kind) or any(is_text(kind) for is_text in plain):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    raise pa.ArrowInvalid(f"a column of {kind}; wanted text or whole numbers")


def _decoded(values: list[str | bytes | None]) -> list[str | None]:
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        raise pa.ArrowInvalid(f"bytes that are no UTF-8 ({error})") from None


T = TypeVar("T", pa.RecordBatch, pa.Table)


def without_views(rows: T) -> T:
    """Return rows with views as plain columns, nested ones too: pyarrow cannot filter views."""
    for at, field in enumerate(rows.schema):
        kind = _plain(field.type)
        if kind != field.type:
            column = pa.array(rows.column(at).to_pylist(), kind)
            rows = rows.set_column(at, field.with_type(kind), column)
    return rows


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return a type with plain ones in the place of views of text and bytes within it."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    inner = [field.with_type(_plain(field.type)) for field in _fields(kind)]
    if inner == _fields(kind):
        return kind
    if pa.types.is_struct(kind):
        return pa.struct(inner)
    if pa.types.is_map(kind):
        return pa.map_(*inner, keys_sorted=kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner[0], kind.list_size)
    return pa.large_list(inner[0]) if pa.types.is_large_list(kind) else pa.list_(inner[0])


def _fields(kind: pa.DataType) -> list[pa.Field]:
    """Return the fields within a nested type."""
    if pa.types.is_map(kind):
        return [kind.key_field, kind.item_field]
    return [kind.field(at) for at in range(kind.num_fields)] if pa.types.is_nested(kind) else []


def scores(column: pa.Array) -> pa.Array:
    """Return a column of scores as int32; null for a fraction, infinity or non-number.

    Numbers beyond 32 bits become the nearest one in range.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        return scores(column.dictionary_decode())
    if pa.types.is_floating(kind):
        column = column.cast(pa.float64())
        whole = pc.and_(pc.is_finite(column), pc.equal(column, pc.floor(column)))
        column = pc.if_else(whole, column, pa.scalar(None, pa.float64()))
    elif pa.types.is_decimal(kind):
        return scores(column.cast(pa.float64()))
    elif not pa.types.is_integer(kind):
        return pa.nulls(len(column), pa.int32())
    low, high = (pa.scalar(bound, column.type) if _fits(bound, column.type) else None
                 for bound in (-INT32, INT32))  # fmt: skip
    if low is not None:
        column = pc.max_element_wise(column, low, skip_nulls=False)
    if high is not None:
        column = pc.min_element_wise(column, high, skip_nulls=False)
    return column.cast(pa.int32())


def _fits(number: int, kind: pa.DataType) -> bool:
    try:
        pa.scalar(number, kind)
    except (pa.ArrowInvalid, OverflowError):
        return False
    return True
