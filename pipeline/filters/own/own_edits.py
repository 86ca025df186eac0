"""Edits and readers of a user's own, from a file of theirs, as their rules are.

An edit is a frozen dataclass that is called on a text and returns a text; those of `[clean.NAME]`
follow the edits of `clean`. A reader is one that is called on a page's HTML and its URL and returns
the main text, or None; those of `[extract.NAME]` are asked instead of `extract.engine`, in their
order, until one has a text. They run where ours runs: in a process that a page may kill.
"""

import inspect
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, make_dataclass
from functools import lru_cache
from typing import Any, Final

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stage import settings
from webtext.pipeline.filters.own.own_rules import KEYS, group_of, rebuilt
from webtext.pipeline.filters.rules import Rules, fault, rules_of
from webtext.pipeline.text.clean import Clean
from webtext.pipeline.text.decoding.charset import decode, printable
from webtext.pipeline.text.extraction.extract import Extract
from webtext.pipeline.text.extraction.maintext import Article, Page, Unread
from webtext.pipeline.text.extraction.sandbox import Limits, shared

TABLES: Final[Mapping[str, type]] = {"rules": Rules, "clean": Clean, "extract": Extract}
"""The tables of a recipe in which a table with a file or module is the user's own."""


def without_own(tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return a recipe's values without the tables of the user's own, and those by their table."""
    ours, own = dict(tree), {}
    for table, kind in TABLES.items():
        known = {item.name for item in fields(kind)}
        given: Any = tree.get(table)
        found = {
            name: inner
            for name, inner in (given.items() if isinstance(given, dict) else ())
            if name not in known and isinstance(inner, dict) and not inner.keys().isdisjoint(KEYS)
        }
        if found:
            own[table] = found
            ours[table] = {name: given[name] for name in given if name not in found}
    return ours, own


def extended(stage: Any, groups: Mapping[str, Any]) -> Any:
    """Return `clean` or `extract` with groups of the user's own edits or readers."""
    base = TABLES[stage.name]
    members: dict[str, Any] = {"text": edited} if base is Clean else {"_sandbox": sandboxed}
    kind = make_dataclass(
        base.__name__,
        [(name, type(group), group) for name, group in groups.items()],
        bases=(base,),
        frozen=True,
        namespace={
            "__doc__": base.__doc__,
            "__module__": __name__,
            "__reduce__": reduced,
            **members,
        },
    )
    return kind(**values_of(stage, base))


def values_of(stage: Any, base: type) -> dict[str, Any]:
    """Return the values of a stage's own fields, without the user's groups."""
    return {item.name: getattr(stage, item.name) for item in fields(base)}


def groups_of(stage: Any) -> dict[str, Any]:
    """Return the groups of the user's own in a stage, by their names."""
    ours = {item.name for item in fields(TABLES[stage.name])}
    return {item.name: getattr(stage, item.name) for item in fields(stage) if item.name not in ours}


def reduced(stage: Any) -> tuple[Any, ...]:
    """Say how another process makes the same stage, from the same files."""
    base = TABLES[stage.name]
    return revived, (base(**values_of(stage, base)), settings(groups_of(stage)))


def revived(stage: Any, recorded: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return a stage with the user's groups, from the groups' settings.

    Raises:
        UserError: a file is not there any more, or is another one than then.
    """
    groups = {name: revived_group(stage.name, name, told) for name, told in recorded.items()}
    return extended(stage, groups)


def revived_group(table: str, name: str, told: Mapping[str, Any]) -> Any:
    """Return one group of the user's own, from its settings.

    Raises:
        UserError: its file is not there any more, or is another one than then.
    """
    kind = group_of(name, told, table, hasattr(TABLES[table](), name))
    group = rebuilt(kind, {key: value for key, value in told.items() if key != "source"})
    if group.source != told["source"]:
        raise UserError(
            f"{table}.{name}: {told['file'] or told['module']} has changed since; run the command "
            "again"
        )
    return group


def asked(groups: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the edits or readers of groups that are on, in their order."""
    for group in groups.values():
        if group.enabled:
            yield from (one for _, one in rules_of(group))


def called(one: Callable[..., Any], *arguments: Any, wanted: Any = str) -> Any:
    """Call an edit or a reader; `wanted` is the type that it returns.

    Raises:
        UserError: it raised an error, or returned something else; names file and line.
    """
    kind = type(one)
    path = inspect.getfile(kind)
    try:
        found = one(*arguments)
    except MemoryError:  # of a page that is too large for its process
        raise
    except Exception as error:
        raise UserError(f"{fault(error, path)} (on {str(arguments[0])[:60]!r})") from error
    if not isinstance(found, wanted):
        line = inspect.getsourcelines(kind)[1]
        raise UserError(f"{path}:{line}: {kind.__name__} returned {found!r}, wanted a text")
    return found


def edited(clean: Clean, text: str) -> str:
    """Return the text after the edits of `clean` and the user's own."""
    text = Clean.text(clean, text)
    for edit in asked(groups_of(clean)):
        text = called(edit, text)
    return text.strip()


def sandboxed(extract: Extract) -> Any:
    """Return what reads pages by the user's own readers, in a process that a page may kill."""
    told = {name: settings(group) for name, group in groups_of(extract).items() if group.enabled}
    reader = OwnReader(json.dumps(told, sort_keys=False), extract.min_chars)
    return shared(reader, Limits(extract.deadline, extract.memory_mb, extract.recycle))


@dataclass(frozen=True)
class OwnReader:
    """Reads a page by the user's own readers: hashable, and picklable by name."""

    groups: str  # their settings as JSON
    min_chars: int

    def __call__(self, page: Page) -> Article | Unread:
        html = decode(page.body, page.content_type).text
        text = ""
        for one in readers(self.groups):
            text = called(one, html, page.url, wanted=str | None) or ""
            text = printable(unicodedata.normalize("NFC", text))
            if len(text := text.strip()) >= self.min_chars:
                return Article(text)
        return Unread("no_text", len(text))


@lru_cache(8)
def readers(told: str) -> list[Any]:
    """Return the readers of groups, from the groups' settings as JSON.

    Raises:
        UserError: a file is not there any more, or is another one than then.
    """
    groups = {name: revived_group("extract", name, one) for name, one in json.loads(told).items()}
    return [*asked(groups)]
