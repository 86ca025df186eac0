"""Rules of a user's own, from a file of theirs: the rules of a build have a group more.

A file holds rules as ours are: frozen dataclasses that are called on a document and return a
measure, their bounds among their fields. The group's settings are in the recipe, under its name,
and the sha256 of the file is one of them: a step that was made by another version of the file has
another name.
"""

import hashlib
import importlib.util
import inspect
import math
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stage import settings
from webtext.pipeline.filters.rules import Rules, fault
from webtext.pipeline.words.document import Document

KEYS = ("file", "module")  # a table of `rules` that has one of them is a group of the user's own
NAME = re.compile(r"[a-z][a-z0-9_]*")
EXAMPLE = (
    "wanted a class such as\n"
    "  @dataclass(frozen=True)\n"
    "  class Exclamations:\n"
    '      """Exclamation marks a character."""\n'
    "      at_most: float | None = 0.01\n"
    "      def __call__(self, doc):\n"
    '          return doc.text.count("!") / len(doc.text)'
)


def group_of(
    name: str, table: Mapping[str, Any], above: str = "rules", taken: bool | None = None
) -> type:
    """Return the class of a group: a field for each rule of the file or module that it names.

    `above` is the table of the recipe that it is in, `taken` whether we have that name there.

    Raises:
        UserError: the file cannot be read or run, or holds no rule; says where and why.
    """
    where = f"{above}.{name}"
    given = [key for key in KEYS if table.get(key)]
    if len(given) != 1 or not isinstance(table[given[0]], str):
        raise UserError(f"{where}: name a file or a module, as text, and not both")
    if not NAME.fullmatch(name) or (hasattr(Rules(), name) if taken is None else taken):
        raise UserError(f"{where}: use another name: small letters, digits and _, none of ours")
    path = file_of(where, given[0], table[given[0]])
    return made(name, str(path), digest_of(where, path))


@cache
def made(name: str, path: str, source: str) -> type:
    """Return the class of a group of the rules in a file whose sha256 is `source`."""
    module = loaded(path, source)
    kinds = dict(rules_in(module))
    if not kinds:
        raise UserError(f"{path}: no rule in it; {EXAMPLE}")
    columns: list[Any] = [
        ("enabled", bool, True),
        ("file", str, field(default="", metadata={"machine": True})),
        ("module", str, field(default="", metadata={"machine": True})),
        ("source", str, source),
    ]
    for rule, kind in kinds.items():
        if rule in {column[0] for column in columns}:
            raise UserError(f"{path}: a rule cannot be called {rule!r}; rename its class")
        try:
            columns.append((rule, kind, kind()))
        except TypeError as error:
            raise UserError(
                f"{path}: {kind.__name__}: {error}; give every field a default"
            ) from None
    about = {"__doc__": (module.__doc__ or "Rules of one's own.").strip(), "__module__": __name__}
    return make_dataclass(name, columns, frozen=True, namespace=about)


def rules_in(module: ModuleType) -> Iterator[tuple[str, type]]:
    """Yield the rules of a module with their names, in the order in which they are written.

    Raises:
        UserError: a class that is called as a rule, but is no frozen dataclass.
    """
    for kind in vars(module).values():
        if not inspect.isclass(kind) or kind.__module__ != module.__name__:
            continue
        if "__call__" not in vars(kind) or kind.__name__.startswith("_"):
            continue
        if not is_dataclass(kind) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            line = inspect.getsourcelines(kind)[1]
            raise UserError(
                f"{module.__file__}:{line}: {kind.__name__} is no frozen dataclass; write "
                "@dataclass(frozen=True) above it"
            )
        yield snake(kind.__name__), kind


def snake(name: str) -> str:
    """Return the name of a class as a recipe writes it.

    >>> snake("LongLines"), snake("URLs")
    ('long_lines', 'urls')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def loaded(path: str, source: str) -> ModuleType:
    """Run a file of rules, once a process.

    Raises:
        UserError: it raises an error; names the line.
    """
    name = f"webtext_own_{source[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their annotations up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        raise UserError(fault(error, path)) from error
    return module


def file_of(where: str, key: str, value: str) -> Path:
    """Return the file that a group's rules are in.

    Raises:
        UserError: there is none.
    """
    if key == "file":
        path = Path(value).expanduser()
        if path.suffix != ".py" or not path.is_file():
            raise UserError(
                f"{where}.file: {value}: no such file of Python (looked in {Path.cwd()})"
            )
        return path.resolve()
    try:
        spec = importlib.util.find_spec(value)
    except (ImportError, ValueError) as error:
        raise UserError(f"{where}.module: {value}: {error}") from None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise UserError(f"{where}.module: {value}: no such module of Python that is installed")
    return Path(spec.origin)


def digest_of(where: str, path: Path) -> str:
    """Return the sha256 of a file of rules.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{where}: {path}: {error.strerror}") from None


# --- the rules of a build with groups of the user's own ------------------------------------------


def with_own(rules: Rules, groups: Mapping[str, Any]) -> Rules:
    """Return rules that ask the given groups too, after all others."""
    if not groups:
        return rules
    kind = make_dataclass(
        "Rules",
        [(name, type(group), group) for name, group in groups.items()],
        bases=(Rules,),
        frozen=True,
        namespace={"__doc__": Rules.__doc__, "__module__": __name__, "__reduce__": reduced},
    )
    found: Rules = kind(**{item.name: getattr(rules, item.name) for item in fields(Rules)})
    return found


def own_groups(rules: Rules) -> dict[str, Any]:
    """Return the groups of the user's own, by their names."""
    ours = {item.name for item in fields(Rules)}
    return {name: group for name, group in rules.groups() if name not in ours}


def reduced(rules: Rules) -> tuple[Any, ...]:
    """Say how another process makes the same rules, from the same files."""
    plain = Rules(**{item.name: getattr(rules, item.name) for item in fields(Rules)})
    return revived, (plain, {name: settings(group) for name, group in own_groups(rules).items()})


def revived(rules: Rules, recorded: Mapping[str, Mapping[str, Any]]) -> Rules:
    """Return rules with groups of the user's own, from the groups' settings.

    Raises:
        UserError: a file is not there any more, or is another one than then.
    """
    groups = {}
    for name, values in recorded.items():
        kind = group_of(name, values)
        group = rebuilt(kind, {key: value for key, value in values.items() if key != "source"})
        if group.source != values["source"]:
            raise UserError(
                f"rules.{name}: {values['file'] or values['module']} has changed since; run the "
                "command again"
            )
        groups[name] = group
    return with_own(rules, groups)


def rebuilt(kind: type, values: Mapping[str, Any]) -> Any:
    """Return a frozen dataclass from the plain values in a manifest.

    Raises:
        TypeError: a value that it has no field for.
        ValueError: a value that it does not accept.
    """
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    arguments = {}
    for name, value in values.items():
        if name in known and is_dataclass(hints[name]) and isinstance(value, dict):
            arguments[name] = rebuilt(typing.cast("type", hints[name]), value)
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return kind(**arguments)


@dataclass(frozen=True)
class Recorded:
    """A rule of a user's own as a manifest tells of it: its bounds, and nothing that could run.

    Its measure is NaN: what it measured stands in the table of measures.
    """

    at_least: float | None = None
    at_most: float | None = None

    def __call__(self, _doc: Document) -> float:
        return math.nan


def recorded_rules(values: Mapping[str, Any]) -> Rules:
    """Return rules from their settings in a manifest, those of a user's own as `Recorded`.

    Their files are not run: whoever looks at a build need not trust its maker.

    Raises:
        TypeError, ValueError: they fit no rules of this version.
    """
    ours = {item.name for item in fields(Rules)}
    own = {
        name: group
        for name, group in values.items()
        if name not in ours and isinstance(group, dict) and "source" in group
    }
    rules: Rules = rebuilt(Rules, {k: v for k, v in values.items() if k not in own})
    return with_own(rules, {name: recorded_group(name, group) for name, group in own.items()})


def recorded_group(name: str, values: Mapping[str, Any]) -> Any:
    """Return a group of a user's own rules from its settings in a manifest."""
    rules = {
        key: Recorded(value.get("at_least"), value.get("at_most"))
        for key, value in values.items()
        if isinstance(value, dict)
    }
    facts = {"enabled": bool(values.get("enabled")), "source": str(values["source"])}
    found = facts | rules
    kind = make_dataclass(name, [(key, type(value)) for key, value in found.items()], frozen=True)
    return kind(**found)
