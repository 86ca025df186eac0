"""A recipe: one tree of settings, read from TOML, in which each step finds its own tables.

A recipe says what to make. Where it is made and how fast (`--data`, `--workers`, `--device`) is the
command line's affair. The defaults live in the settings' own classes and nowhere else.
"""

import difflib
import math
import tomllib
import types
import typing
from collections.abc import Iterable
from dataclasses import field, fields, is_dataclass, make_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from webtext.model.settings import GPT2, Train
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.steps import STEPS

SHIPPED = Path(str(files("webtext.flows"))) / "recipes"
PRESETS = SHIPPED / "rules"  # published sets of rules, that a recipe may include by name


TABLES = {table: kind for step in STEPS for table, kind in step.tables.items()} | {
    "model": GPT2,
    "train": Train,
}

if typing.TYPE_CHECKING:
    Recipe: typing.TypeAlias = Any  # a step's own class of settings says what its table has
else:
    Recipe = make_dataclass(
        "Recipe",
        [(table, kind, field(default_factory=kind)) for table, kind in TABLES.items()],
        namespace={
            "__doc__": "Everything that decides what comes out, from the links to the model.",
            "__module__": __name__,
        },
        frozen=True,
    )


def shipped() -> list[str]:
    """Return the names of the recipes that come with webtext."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe: a shipped one's name, or a path; each override is a line of TOML.

    Raises:
        UserError: no such recipe; not TOML; a key that no table has, or a value it cannot take.
    """
    return build(said(name, overrides), str(find(name)))


def said(name: str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return what a recipe says itself, as plain values without the defaults, not yet checked.

    Raises:
        UserError: no such recipe; not TOML.
    """
    path = find(name)
    return laid(included(read(path), str(path)), overrides)


def read(path: Path) -> dict[str, Any]:
    """Read a file of TOML.

    Raises:
        UserError: it is none.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML: {error}") from None


def presets() -> list[str]:
    """Return the names that `include` knows."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def included(tree: dict[str, Any], source: str) -> dict[str, Any]:
    """Return plain values laid over the presets that `include` names, one after the other.

    Raises:
        UserError: no such preset; says the nearest one.
    """
    names = tree.pop("include", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source}: include = {names!r}: wanted a list of {', '.join(presets())}")
    below: dict[str, Any] = {}
    for name in names:
        if name not in presets():
            near = difflib.get_close_matches(name, presets(), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            known = ", ".join(presets())
            raise UserError(f"{source}: include {name}: no such preset; {hint}shipped: {known}")
        merge(below, read(PRESETS / f"{name}.toml"))
    merge(below, tree)
    return below


def overridden(tree: dict[str, Any], overrides: Iterable[str], source: str) -> Recipe:
    """Make a recipe of plain values with overrides laid over them, each a line of TOML.

    Raises:
        UserError: as `load`; `source` is where the values come from.
    """
    return build(laid(tree, overrides), source)


def laid(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return plain values with overrides laid over them.

    Raises:
        UserError: one is not a line of TOML.
    """
    for line in overrides:
        try:
            merge(tree, included(tomllib.loads(line), f"--set {line!r}"))
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"--set {line!r}: not a line of TOML: {error}") from None
    return tree


def find(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        UserError: neither a file nor a shipped name; says the nearest ones.
    """
    path = Path(name)
    if path.is_file():
        return path
    named = SHIPPED / f"{path.stem}.toml"
    if len(path.parts) == 1 and path.suffix in {"", ".toml"} and named.is_file():
        return named
    near = difflib.get_close_matches(path.stem, shipped(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(f"recipe {name}: no such file; {hint}shipped: {', '.join(shipped())}")


def build(tree: dict[str, Any], source: str) -> Recipe:
    """Make a recipe of plain values, as TOML gives them.

    Raises:
        UserError: names the source, the key's path and what was wanted, a line an error.
    """
    errors = [*unknown_keys(Recipe, tree, ""), *not_finite(tree, "")]
    if not errors:
        try:
            found = TypeAdapter(Recipe).validate_json(orjson.dumps(tree), strict=True)
            for step in STEPS:
                step.check(found)
        except ValidationError as error:
            errors = [_said(item) for item in error.errors()]
        except UserError as error:
            errors = [str(error)]
        else:
            return found
    raise UserError(f"{source}:\n" + "\n".join(f"  {line}" for line in errors))


def _said(error: Any) -> str:
    """Put one of pydantic's errors the way our own are put."""
    path = ".".join(str(part) for part in error["loc"] if not str(part).startswith("dataclass"))
    message = error["msg"].removeprefix("Value error, ")
    found = error["input"]
    shown = "" if isinstance(found, dict) else f" = {found!r}"
    return f"{path}{shown}: {message[:1].lower()}{message[1:]}"


def unknown_keys(kind: type, tree: dict[str, Any], path: str) -> Iterable[str]:
    """Yield a line for each key, at any depth, that no field answers to."""
    known = {item.name: item.type for item in fields(kind)}
    hints = typing.get_type_hints(kind)
    for key, value in tree.items():
        where = f"{path}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or _elsewhere(key)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
            shown = "" if isinstance(value, dict) else f" = {value!r}"
            yield f"{where}{shown}: unknown key; {hint}"
        elif (branch := _dataclass_in(hints[key])) is not None:
            if isinstance(value, dict):
                yield from unknown_keys(branch, value, f"{where}.")
            else:
                yield f"{where} = {value!r}: wanted a table [{where}], found a single value"


def not_finite(value: Any, path: str) -> Iterable[str]:
    """Yield a line for each nan or inf, which TOML has and no setting means.

    But the bounds of rules: there inf is no bound.

    >>> list(not_finite({"train": {"lr": float("nan")}}, ""))
    ['train.lr = nan: wanted a finite number']
    """
    if isinstance(value, dict):
        for key, part in value.items():
            yield from not_finite(part, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from not_finite(part, f"{path}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        if not math.isnan(value) and path.startswith("rules."):
            return
        yield f"{path} = {value}: wanted a finite number"


def _elsewhere(key: str) -> list[str]:
    """Return where in the whole tree a key of this name lives, if anywhere."""
    return [path for path in paths(Recipe) if path.rsplit(".", 1)[-1] == key][:1]


def paths(kind: type, prefix: str = "") -> Iterable[str]:
    """Yield the dotted path of every setting below a dataclass."""
    hints = typing.get_type_hints(kind)
    for item in fields(kind):
        branch = _dataclass_in(hints[item.name])
        if branch is None:
            yield prefix + item.name
        else:
            yield from paths(branch, f"{prefix}{item.name}.")


def _dataclass_in(hint: Any) -> type | None:
    """Return the dataclass that a field's type is, or is optionally."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((o for o in options if is_dataclass(o) and isinstance(o, type)), None)


def merge(tree: dict[str, Any], other: dict[str, Any]) -> None:
    """Lay `other` over `tree`, table by table, in place."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            merge(tree[key], value)
        else:
            tree[key] = value
