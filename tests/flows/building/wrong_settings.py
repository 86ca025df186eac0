"""Settings as people get them wrong: each of a recipe's, with each kind of value it can't mean.

`cases()` yields lines of TOML, the same ones in the same order at each call.
"""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from webtext.flows.building.settings import Recipe

VALUES = {
    "negative": "-1",
    "zero": "0",
    "huge": "9223372036854775807",
    "beyond 64 bits": "92233720368547758080",
    "a fraction": "0.5",
    "tiny": "5e-324",
    "huge fraction": "1.7e308",
    "nan": "nan",
    "inf": "inf",
    "-inf": "-inf",
    "true": "true",
    "no text": "''",
    "text": "'text'",
    "a NUL": '"a\\u0000b"',
    "control characters": '"a\\u001b[31m\\u202eb"',
    "a long text": "'" + "x" * 5000 + "'",
    "a date": "2026-11-27",
    "a time": "12:00:00",
    "an empty list": "[]",
    "a list of numbers": "[-1, 0, 9223372036854775807]",
    "a list of texts": "['', 'text', 'text']",
    "a list of lists": "[[]]",
    "a list of tables": "[{}]",
    "an empty table": "{}",
    "a table": "{low = 'x', at_least = []}",
    "a nested table": "{a = {b = {c = {d = 1}}}}",
}


def cases() -> Iterator[tuple[str, str]]:
    """Yield what is wrong, and the line that says it."""
    for path in everything(Recipe, ""):
        for kind, value in VALUES.items():
            yield f"{path}: {kind}", f"{path} = {value}"
        yield f"{path}: wrong key", f"{path}x = 1"
        yield f"{path}: wrong key below", f"{path}.text = 1"


def everything(kind: type, prefix: str) -> Iterator[str]:
    """Yield the dotted path of each table and each setting below a dataclass."""
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        path = f"{prefix}{item.name}"
        yield path
        for branch in branches(hints[item.name]):
            yield from everything(branch, f"{path}.")


def branches(hint: Any) -> list[type]:
    """Return the dataclasses that a field's type names."""
    options = typing.get_args(hint) or (hint,)
    return [found for found in options if dataclasses.is_dataclass(found)]
