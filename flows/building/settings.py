"""A recipe: one tree of settings, read from TOML, in which each step finds its own tables.

A recipe says what to make. The command line says where and how fast (`--data`, `--workers`,
`--device`). The defaults are in the settings' own classes and nowhere else.
"""

import difflib
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from importlib.resources import files
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from webtext.model.settings import GPT2, Train
from webtext.pipeline.core.directories.months import Retention
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.own.own_edits import TABLES as OWN
from webtext.pipeline.filters.own.own_edits import extended, without_own
from webtext.pipeline.filters.own.own_rules import group_of, with_own
from webtext.pipeline.steps import STEPS

SHIPPED = Path(str(files("webtext.flows"))) / "recipes"
PRESETS = SHIPPED / "rules"  # published sets of rules that a recipe may include by name

LONGEST = 1 << 16  # characters of a recipe; the longest shipped one has 1,500
DEEPEST = 32  # levels of nested tables and lists; recipes have four
LONG_LINE = 200  # characters of an override that a message repeats
LONG_TEXT = 1024  # characters of a setting. File names have 255 at most, paths of this length do
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SHOWN = 20  # most mistakes shown for one recipe
YEAR = 366 * 86_400  # s

MOST = {  # larger values have no meaning, and overflow or exhaust something
    **dict.fromkeys(
        (
            *("crawl.delay", "crawl.delay_per_ip", "crawl.max_delay"),
            *("crawl.backoff", "crawl.max_backoff", "crawl.connect_timeout"),
            *("crawl.first_byte_timeout", "crawl.timeout", "extract.deadline"),
        ),
        YEAR,
    ),
    "crawl.refresh_after": 36_525,  # days: a century
    "crawl.latency_factor": 1_000_000,
    "crawl.hosts_in_flight": 100_000,  # sockets
    "commoncrawl.connections": 1000,
    "commoncrawl.attempts": 32,  # the back-off doubles at each
    "links.shards": 99_999,  # file names have five digits
    "links.min_score": 2**31 - 1,  # scores are stored as int32
    **dict.fromkeys(
        ("crawl.max_body", "pages.max_body", "extract.max_bytes", "corpus.shard_bytes"), 1 << 40
    ),
    "extract.memory_mb": 1 << 24,
    **dict.fromkeys(
        (
            *("crawl.attempts", "crawl.host_errors", "crawl.max_redirects", "corpus.row_group"),
            *("links.max_url_length", "extract.recycle", "extract.min_chars"),
            *("duplicates.max_cluster", "decontaminate.words", "decontaminate.shortest"),
            *("paragraphs.min_words", "paragraphs.keep_words"),
        ),
        2**31 - 1,
    ),
}


TABLES = {table: kind for step in STEPS for table, kind in step.tables.items()} | {
    "model": GPT2,
    "train": Train,
    Retention.name: Retention,
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
    """Read a recipe, given by a shipped name or a path; each override is a line of TOML.

    Raises:
        UserError: no such recipe; not TOML; a key that no table has, or a value it cannot take.
    """
    return build(said(name, overrides), str(find(name)))


def said(name: str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return the values that a recipe itself sets, without the defaults, not yet checked.

    Raises:
        UserError: no such recipe; not TOML.
    """
    path = find(name)
    return laid(included(read(path), str(path)), overrides)


def read(path: Path) -> dict[str, Any]:
    """Read a file of TOML.

    Raises:
        UserError: it cannot be read, or is not TOML.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return parsed(text, str(path), "TOML")


def parsed(text: str, source: str, wanted: str) -> dict[str, Any]:
    """Return the values of a TOML text.

    Raises:
        UserError: it is not TOML, or it is longer or nested deeper than any recipe.
    """
    try:
        found = tomllib.loads(text) if len(text) <= LONGEST else None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise UserError(f"{source}: not {wanted}: {error}") from None
    except RecursionError:
        raise UserError(f"{source}: nested too deep for a recipe") from None
    if found is None:
        raise UserError(f"{source}: more than {LONGEST:,} characters; wanted a recipe")
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        inside = [part.values() if isinstance(part, dict) else part for part in level]
        level = [part for parts in inside for part in parts if isinstance(part, (dict, list))]
    if level:
        raise UserError(f"{source}: nested too deep for a recipe")
    return found


def presets() -> list[str]:
    """Return the names of the presets that `include` accepts."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def included(tree: dict[str, Any], source: str) -> dict[str, Any]:
    """Return plain values merged over the presets that `include` names, one after the other.

    Raises:
        UserError: no such preset; names the nearest one.
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
    """Make a recipe from plain values and overrides of them, each a line of TOML.

    Raises:
        UserError: as `load`; `source` says where the values come from.
    """
    return build(laid(tree, overrides), source)


def laid(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return plain values with the overrides applied.

    Raises:
        UserError: one is not a line of TOML.
    """
    for line in overrides:
        source = f"--set {line!r}" if len(line) < LONG_LINE else f"--set {line[:LONG_LINE]!r}..."
        merge(tree, included(parsed(line, source, "a line of TOML"), source))
    return tree


def find(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        UserError: neither a file nor a shipped name; names the nearest ones.
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
    """Make a recipe from plain values, as TOML gives them.

    Raises:
        UserError: one line for each error: the source, the key's path and what was wanted.
    """
    ours, own = without_own(tree)
    mistakes = chain(unknown_keys(Recipe, ours, ""), not_finite(tree, ""), out_of_bounds(tree))
    errors = list(islice(mistakes, SHOWN))
    if not errors:
        try:
            plain = orjson.dumps(ours)
        except TypeError as error:  # a name of a file that is no UTF-8
            raise UserError(f"{source}: {error}; give such a file another name") from None
        try:
            found = TypeAdapter(Recipe).validate_json(plain, strict=True)
            found = with_users_own(found, own)
            for step in STEPS:
                step.check(found)
        except ValidationError as error:
            errors = [_said(item) for item in error.errors()]
        except UserError as error:
            errors = [str(error)]
        else:
            return found
    raise UserError(f"{source}:\n" + "\n".join(f"  {line}" for line in errors))


def with_users_own(recipe: Recipe, own: dict[str, dict[str, Any]]) -> Recipe:
    """Return a recipe with the user's own rules, edits and readers, from their tables."""
    for table, tables in own.items():
        stage, groups = getattr(recipe, table), own_groups(table, tables)
        made = with_own(stage, groups) if table == "rules" else extended(stage, groups)
        recipe = replace(recipe, **{table: made})
    return recipe


def own_groups(above: str, tables: dict[str, Any]) -> dict[str, Any]:
    """Return the groups of the user's own in a table, with the settings that they give.

    Raises:
        UserError: a file that cannot be used; a key or value that its rules do not have.
    """
    groups: dict[str, Any] = {}
    for name, table in tables.items():
        kind = group_of(name, table, above, hasattr(OWN[above](), name))
        where = f"{above}.{name}."
        errors = list(unknown_keys(kind, table, where))
        errors += [f"{where}source: is found by webtext"] * ("source" in table)
        if not errors:
            try:
                groups[name] = TypeAdapter(kind).validate_json(orjson.dumps(table), strict=True)
            except ValidationError as error:
                errors = [_said(item, where) for item in error.errors()]
            except PydanticUserError as error:
                errors = [f"{where[:-1]}: a field whose type is not understood: {error.message}"]
        if errors:
            raise UserError("\n  ".join(errors))
    return groups


def _said(error: Any, where: str = "") -> str:
    """Write one of pydantic's errors in the form of our own."""
    parts = [str(part) for part in error["loc"] if not str(part).startswith("dataclass")]
    path = where + ".".join(parts)
    message = error["msg"].removeprefix("Value error, ")
    found = error["input"]
    shown = "" if isinstance(found, dict) else f" = {found!r}"
    return f"{path}{shown}: {message[:1].lower()}{message[1:]}"


def unknown_keys(kind: type, tree: dict[str, Any], path: str) -> Iterable[str]:
    """Yield a line for each key, at any depth, that has no field."""
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


LARGEST = 10**15  # in bytes a petabyte, in seconds thirty million years


def not_finite(value: Any, path: str) -> Iterable[str]:
    """Yield a line for each nan, inf (TOML has both, no setting takes them) or too large number.

    Exception: in the bounds of rules, inf means no bound. No whole number may exceed 64 bits.

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
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        yield f"{path}: wanted a whole number of 64 bits, found one of {value.bit_length()}"
    elif isinstance(value, (int, float)) and abs(value) > LARGEST:
        yield f"{path} = {value:g}: wanted a number that means something, {LARGEST:g} at the most"


def out_of_bounds(tree: dict[str, Any]) -> Iterable[str]:
    """Yield a line for each value that is larger than any machine or page could use.

    >>> list(out_of_bounds({"links": {"shards": 100_000}}))
    ['links.shards = 100000: wanted 99999 at most']
    """
    for path, most in MOST.items():
        table, _, key = path.partition(".")
        inside = tree.get(table)
        found = inside.get(key) if isinstance(inside, dict) else None
        if isinstance(found, (int, float)) and found > most:
            yield f"{path} = {found}: wanted {most:g} at most".replace("e+", "e")
    yield from unprintable(tree, "")


def unprintable(value: Any, path: str) -> Iterable[str]:
    r"""Yield a line for each text that is too long or unprintable for a name, path or header.

    >>> list(unprintable({"crawl": {"contact": "a@b.test" + chr(13)}}, ""))
    ["crawl.contact: a control character in 'a@b.test\\r'"]
    """
    if isinstance(value, dict):
        for key, part in value.items():
            yield from unprintable(part, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from unprintable(part, f"{path}[{number}]")
    elif isinstance(value, str):
        if len(value) > LONG_TEXT:
            yield f"{path}: a text of {len(value):,} characters; wanted {LONG_TEXT:,} at most"
        elif CONTROL.search(value):
            yield f"{path}: a control character in {value!r}"


def _elsewhere(key: str) -> list[str]:
    """Return where in the whole tree a key of this name is, if anywhere."""
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
    """Return the dataclass that is a field's type, also where the field is optional."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((o for o in options if is_dataclass(o) and isinstance(o, type)), None)


def merge(tree: dict[str, Any], other: dict[str, Any]) -> None:
    """Merge `other` into `tree`, table by table, in place."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            merge(tree[key], value)
        else:
            tree[key] = value
