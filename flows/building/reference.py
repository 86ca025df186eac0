"""Every setting of a recipe: its path, type, default and meaning, read from the settings' classes.

A setting is explained where it is defined: by the comment on its line or on the lines above it, or,
where the settings of a class only bound its measure, by the docstring of the class. So there is
one place to write it, and this module only collects these texts.
"""

import ast
import inspect
import io
import json
import textwrap
import tokenize
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from webtext.flows.building.settings import TABLES

SAME_EVERYWHERE = {  # the meaning of a name in every rule and stage that has it
    "at_least": "documents that measure less are dropped",
    "at_most": "documents that measure more are dropped",
    "enabled": "whether this is done at all",
    "file": "a path; relative ones are relative to the working directory",
    "n": "words of an n-gram",
}


@dataclass(frozen=True)
class Setting:
    """One setting of a recipe."""

    path: str  # such as "rules.gopher_quality.word_count.at_least"
    kind: str  # its type, as Python writes it
    default: Any
    meaning: str  # one or more sentences; with unit and source, if it has them
    about: str  # the docstring of the class that it belongs to

    @property
    def line(self) -> str:
        """Return the setting as a recipe would set it.

        >>> Setting("links.min_score", "int", 3, "", "").line
        'links.min_score = 3'
        """
        return f"{self.path} = {toml(self.default)}"


def toml(value: Any) -> str:
    """Return a default as TOML writes it; None, which TOML does not have, is `(none)`.

    >>> toml(None), toml(True), toml(("a", "b")), toml(1_000_000)
    ('(none)', 'true', '["a", "b"]', '1_000_000')
    """
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:_}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml(part) for part in value)}]"
    return str(value)


def settings() -> Iterator[Setting]:
    """Yield every setting, in the order in which a build uses them."""
    for table, kind in TABLES.items():
        yield from below(kind, kind(), table)


def below(kind: type, values: Any, path: str) -> Iterator[Setting]:
    """Yield the settings of a dataclass and of those in it; `values` has the defaults or is None.

    A rule that needs a file of the user's is None by default, and its settings are shown as if
    it were there.
    """
    hints = typing.get_type_hints(kind)
    said: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        said |= comments(one) if is_dataclass(one) else {}
    about = inspect.cleandoc(kind.__doc__ or "")
    for item in fields(kind):
        value = getattr(values, item.name, None if item.default is MISSING else item.default)
        where = f"{path}.{item.name}"
        inner = next((one for one in options(hints[item.name]) if is_dataclass(one)), None)
        if isinstance(inner, type):
            yield from below(inner, value, where)
            continue
        meaning = said.get(item.name) or SAME_EVERYWHERE.get(item.name, "")
        yield Setting(where, written(hints[item.name]), value, meaning, about)


def options(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the type alone."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def written(hint: Any) -> str:
    """Return a type as people write it.

    >>> written(int | None), written(tuple[str, ...])
    ('int or none', 'list of str')
    """
    if typing.get_origin(hint) is tuple:
        return f"list of {written(typing.get_args(hint)[0])}"
    names = ["none" if one is types.NoneType else getattr(one, "__name__", str(one))
             for one in options(hint)]  # fmt: skip
    return " or ".join(names)


@cache
def comments(kind: type) -> dict[str, str]:
    """Return the comment of each field of a class: on its line, else on the lines above it."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.split("\n")
    found = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    said: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above: list[str] = []
        number = node.lineno - 1
        while number in found and lines[number - 1].lstrip().startswith("#"):
            above.insert(0, found[number])
            number -= 1
        beside = [found[n] for n in range(node.lineno, (node.end_lineno or 0) + 1) if n in found]
        said[node.target.id] = " ".join([*above, *beside])
    return said
