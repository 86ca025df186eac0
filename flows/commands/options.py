"""Options that several commands share, so that name and meaning are the same everywhere."""

import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


class Number(click.FloatRange):
    """A finite number in a range; click's own type accepts "nan" in every range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the parsed number."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no finite number.", param, ctx)
        return found


class DataDirectory(click.Path):
    """A data directory: a path, or an address in an object store, which gives its working copy."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        from webtext.pipeline.core.stores.store_addresses import is_address

        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        from webtext.pipeline.core.stores.working_copy import working_copy

        return working_copy(str(value))


class StepDirectory(click.Path):
    """The directory of a step, or an address of one in a store, all of which is then fetched."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        from webtext.pipeline.core.stores.store_addresses import is_address

        if not is_address(str(value)):
            return super().convert(value, param, ctx)
        from webtext.pipeline.core.stores.working_copy import step_copy

        found, keeping = step_copy(str(value))
        assert ctx is not None, "the files stay here as long as the command runs"
        ctx.with_resource(keeping)
        return found


data = click.option(
    "--data",
    type=DataDirectory(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="Directory that the steps' directories lie in; or s3://bucket/prefix, gs:// or az://.",
)
workers = click.option(
    "--workers",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Worker processes; they change no byte of the output.",
)
contact = click.option(
    "--contact", help="Where the sites' owners can complain: a URL or a mail address."
)
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="'KEY = VALUE'",
    help="A line of TOML laid over the recipe, such as 'rules.gopher_quality.enabled = false'.",
)
text_field = click.option(
    "--text-field", default="text", show_default=True, help="Field that holds the text."
)
own_rules = click.option(
    "--rule",
    "own_rules",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    help="Ask the rules in a file of your own too; docs/own-rule.md has one.",
)
output = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File, in the form of its name: .jsonl, .jsonl.gz, .jsonl.zst, .parquet, .csv; or -.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


LONGEST = 5200 * 604_800.0  # s; a timer of Python takes some 300 years


class Duration(click.ParamType[float]):
    """A span of time, such as 90s, 5m, 12h, 20d or 4w; a number alone is seconds."""

    name = "time"
    UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}  # noqa: RUF012

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the parsed seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", str(value).strip())
        if not found or not 0 < (seconds := float(found[1]) * self.UNITS[found[2]]) <= LONGEST:
            self.fail(
                f"{value!r} is no time; wanted e.g. 90s, 5m, 12h, 20d or 4w, 5200w at most",
                param,
                ctx,
            )
        return seconds


def toml_text(text: str) -> str:
    r"""Return a text as TOML writes it: as JSON does, but without its halves of characters.

    >>> print(toml_text('\u263a "a"\n'), toml_text("\U0001f600"))
    "☺ \"a\"\n" "😀"
    """
    return json.dumps(text, ensure_ascii=False)


def with_rules(overrides: tuple[str, ...], files: Sequence[Path]) -> list[str]:
    """Return overrides that also name files of rules, each under the name of its file."""
    lines = []
    for path in files:
        name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
        name = name if name[:1].isalpha() else f"own_{name}"
        lines.append(f"rules.{name}.file = {toml_text(str(path))}")
    return [*overrides, *lines]


@contextmanager
def given(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Give files that can be read more than once: the standard input, -, is copied to one."""
    with tempfile.TemporaryDirectory(prefix="webtext-") as folder:
        spooled = Path(folder) / "stdin"
        if any(str(path) == "-" for path in files):
            with spooled.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        yield [spooled if str(path) == "-" else path for path in files]


def ending(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say when a run must end, and which hooks are called at its end."""
    for option in (
        click.option(
            "--on-finish",
            metavar="URL|COMMAND",
            help="Given JSON when a run ends, however it does: posted, or on standard input.",
        ),
        click.option(
            "--on-failure", metavar="URL|COMMAND", help="The same, only when a run has failed."
        ),
        click.option(
            "--timeout", type=Duration(), help="Stop a run after this time, e.g. 20d; it can go on."
        ),
    ):
        command = option(command)
    return command


def publish(path: Path) -> None:
    """Write a file of a data directory to its store too, if it is in one."""
    from webtext.pipeline.core.stores.working_copy import of

    if copy := of(path.parent):
        copy.publish(path)


def name_hooks(on_failure: str | None, on_finish: str | None) -> None:
    """Set the hooks for this process and its child processes."""
    for name, hook in (("WEBTEXT_ON_FAILURE", on_failure), ("WEBTEXT_ON_FINISH", on_finish)):
        if hook:
            os.environ[name] = hook
