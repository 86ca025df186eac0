"""Bytes by address for compiled code, one, eight or sixty-four at a time.

A loop over bytes that ends at the first of several is none that a compiler can make fast; these
compare a block of bytes in one step, with what the processor has for it, and give a bit for each
byte, the lowest for the first. An address is a number: it costs nothing to pass on, where an array
is nine numbers and a count of its users, which would be half of the work.

So nothing here knows of bounds. Who calls keeps the memory alive, and a block of it behind.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types

from webtext.pipeline.core.compiled import njit

BLOCK = 64  # bytes
FOUR, FIVE = 2**32 - 1, 2**40 - 1  # so many bytes of a word that was loaded

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_LANES = ir.VectorType(_BYTE, BLOCK)


def word_of(text: bytes) -> int:
    """Return up to eight bytes as the word that is loaded where they stand."""
    return int.from_bytes(text, "little")


def intrinsic(build: Callable[..., Any]) -> Any:
    """Make a function of what builds its code; numba's own type for it is that of the builder."""
    return extending.intrinsic(build)


def _load(builder: Any, at: Any, kind: Any) -> Any:
    """Load a value from an address, aligned or not."""
    return builder.load(builder.inttoptr(at, kind.as_pointer()), align=1)


def _store(builder: Any, at: Any, value: Any) -> None:
    builder.store(value, builder.inttoptr(at, value.type.as_pointer()), align=1)


def _every(byte: int) -> Any:
    return ir.Constant(_LANES, [byte] * BLOCK)


@intrinsic
def byte_at(_: Any, _at: Any) -> Any:
    """Return a byte, as a number of 64 bits."""

    def build(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.zext(_load(builder, args[0], _BYTE), _WORD)

    return types.int64(types.int64), build


@intrinsic
def word_at(_: Any, _at: Any) -> Any:
    """Return eight bytes as a number; the first is the lowest on all machines that wheels are for.

    Source: of the platforms of the manylinux standard only s390x has it otherwise
    """

    def build(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return _load(builder, args[0], _WORD)

    return types.int64(types.int64), build


@intrinsic
def put_byte(_: Any, _at: Any, _value: Any) -> Any:
    """Store the lowest byte of a number."""

    def build(context: Any, builder: Any, _: Any, args: Any) -> Any:
        _store(builder, args[0], builder.trunc(args[1], _BYTE))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@intrinsic
def put_word(_: Any, _at: Any, _value: Any) -> Any:
    """Store a number in eight bytes."""

    def build(context: Any, builder: Any, _: Any, args: Any) -> Any:
        _store(builder, *args)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@intrinsic
def string_stops(_: Any, _at: Any) -> Any:
    """Return which bytes of a block end a run of a JSON string: a quote, a backslash, a control."""

    def build(_: Any, builder: Any, __: Any, args: Any) -> Any:
        block = _load(builder, args[0], _LANES)
        quotes = builder.icmp_unsigned("==", block, _every(0x22))
        slashes = builder.icmp_unsigned("==", block, _every(0x5C))
        controls = builder.icmp_unsigned("<", block, _every(0x20))
        return builder.bitcast(builder.or_(builder.or_(quotes, slashes), controls), _WORD)

    return types.uint64(types.int64), build


@intrinsic
def beyond_ascii(_: Any, _at: Any) -> Any:
    """Return which bytes of a block are no ASCII."""

    def build(_: Any, builder: Any, __: Any, args: Any) -> Any:
        block = _load(builder, args[0], _LANES)
        return builder.bitcast(builder.icmp_signed("<", block, _every(0)), _WORD)

    return types.uint64(types.int64), build


@intrinsic
def equal_bytes(_: Any, _at: Any, _byte: Any) -> Any:
    """Return which bytes of a block are this one."""

    def build(_: Any, builder: Any, __: Any, args: Any) -> Any:
        block = _load(builder, args[0], _LANES)
        one = builder.insert_element(
            ir.Constant(_LANES, ir.Undefined),
            builder.trunc(args[1], _BYTE),
            ir.Constant(ir.IntType(32), 0),
        )
        nowhere = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
        every = builder.shuffle_vector(one, ir.Constant(_LANES, ir.Undefined), nowhere)
        return builder.bitcast(builder.icmp_unsigned("==", block, every), _WORD)

    return types.uint64(types.int64, types.int64), build


@intrinsic
def first_bit(_: Any, _bits: Any) -> Any:
    """Return the place of the lowest bit that is set; one of them must be."""

    def build(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), build


@intrinsic
def copy_block(_: Any, _to: Any, _at: Any) -> Any:
    """Copy a block."""

    def build(context: Any, builder: Any, _: Any, args: Any) -> Any:
        _store(builder, args[0], _load(builder, args[1], _LANES))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@njit
def copy(to: Any, at: Any, size: Any) -> None:
    """Copy bytes; what lay in the block behind the copy is lost."""
    for step in range(0, size, BLOCK):
        copy_block(to + step, at + step)
