"""Make the pages of the documentation that say what the code says: `conf.py` calls this.

They are settings, commands, fates and the public names of the package.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import webtext
from webtext.flows.building import reference
from webtext.flows.commands.command_line import cli
from webtext.pipeline.steps import STEPS


def write(folder: Path) -> None:
    """Write all pages to a folder, which is made if it is missing."""
    folder.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        page = "\n".join(make()) + "\n"
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != page:  # or all is built anew
            path.write_text(page, encoding="utf-8")


def settings() -> Iterator[str]:
    """Yield the page of all settings of a recipe, in the order in which a build uses them."""
    yield "# Settings"
    yield ""
    yield "Every setting of a recipe, with its default. `webtext settings KEY` prints the same."
    table = ""
    for one in reference.settings():
        home, _, name = one.path.rpartition(".")
        if home != table:
            table = home
            first = one.about.strip().partition("\n\n")[0].replace("\n", " ")
            yield from ("", f"## [{home}]", "", text(first), "")
            yield from ("| setting | default | type | meaning |", "|---|---|---|---|")
        default = cell(f"`{reference.toml(one.default)}`")
        yield f"| `{name}` | {default} | {cell(one.kind)} | {cell(one.meaning)} |"


def commands() -> Iterator[str]:
    """Yield the page of all commands."""
    yield "# Commands"
    yield ""
    yield "Data goes to the standard output, words for people to the standard error. A mistake of"
    yield "the user's is one line and exit code 2; 1: something differs or failed; 130: a stop."
    for name, command in sorted(cli.commands.items()):
        yield from described(command, f"webtext {name}", 2)


def described(command: click.Command, name: str, level: int) -> Iterator[str]:
    """Yield the help of a command, and of those below it."""
    yield from ("", f"{'#' * level} {name}", "", "```text")
    with click.Context(command, info_name=name, terminal_width=92) as context:
        yield command.get_help(context)
    yield "```"
    for below, one in getattr(command, "commands", {}).items():
        yield from described(one, f"{name} {below}", level + 1)


def fates() -> Iterator[str]:
    """Yield the page of all ways in which a row can end."""
    yield "# Fates"
    yield ""
    yield "Every row that a step drops has one of these in `dropped_by`. A rule's fate is its place"
    yield "in the recipe and the bound that decided: `rules.gopher_quality.word_count.low`."
    for step in STEPS:
        if step.fates:
            where = f" ({step.work.__module__.removeprefix('webtext.')})"
            yield from ("", f"## {step.name}{where}", "", "| fate | meaning |", "|---|---|")
            yield from (f"| `{fate}` | {cell(said)} |" for fate, said in step.fates.items())


def python() -> Iterator[str]:
    """Yield the page of the public names of the package."""
    yield "# In Python"
    yield ""
    yield "What `import webtext` promises. Each name is fetched when it is first asked for."
    for name in webtext.__all__:
        found = getattr(webtext, name)
        yield from ("", f"## webtext.{name}", "")
        yield from said(found, name)
        if inspect.isclass(found):
            for below, one in vars(found).items():
                target = one.fget if isinstance(one, property) else getattr(found, below)
                if below.startswith("_") or not inspect.isfunction(target) or not target.__doc__:
                    continue
                yield from ("", f"### {name}.{below}", "")
                yield from said(target, below, shown=not isinstance(one, property))


def said(found: Any, name: str, shown: bool = True) -> Iterator[str]:
    """Yield the signature and the docstring of a class or function."""
    if shown and not (inspect.isclass(found) and issubclass(found, Exception)):
        signature = str(inspect.signature(found)).replace("webtext.pipeline.", "")
        yield from ("```text", f"{name}{signature}", "```", "")
    yield from ("```text", inspect.cleandoc(found.__doc__ or ""), "```")


def cell(said: str) -> str:
    """Return a text as it can stand in a table."""
    return text(said).replace("|", "\\|").replace("\n", " ")


def text(said: str) -> str:
    """Return a text in which nothing is taken for a tag."""
    return "`".join(
        part if number % 2 else part.replace("<", "&lt;")
        for number, part in enumerate(said.split("`"))
    )


PAGES = {"settings.md": settings, "commands.md": commands, "fates.md": fates, "python.md": python}
