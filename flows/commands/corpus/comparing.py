"""Compare two builds, and a text with a build."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options

TABLES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")  # of {id, text}; else it is one text


@click.command()
@click.argument("a", type=click.Path(path_type=Path, file_okay=False))
@click.argument("b", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--samples",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Changed texts that are shown, with what changed.",
)
@options.as_json
def compare(a: Path, b: Path, samples: int, as_json: bool) -> None:
    """Print what came, went and changed from the build in A to that in B, and why.

    A and B are data directories. By the tables of measures; texts are read for the samples only.
    """
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.figures.compared import compared, describe

    found = compared(Build(None, a).made(), Build(None, b).made(), samples)
    if as_json:
        echo(json.dumps(found, default=str, ensure_ascii=False))
        return
    for line in describe(found):
        echo(line)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False))
@options.data
@click.option(
    "--at",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Least similarity.",
)
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="For a text.")
@options.as_json
def similar(file: Path, data: Path, at: float, most: int, as_json: bool) -> None:
    """Print the documents of the newest build that are near-duplicates of a text.

    FILE is a text in UTF-8, - the standard input, or a JSONL or Parquet file of {id, text}.
    Similarities are those of the signatures: Jaccard of word n-grams.
    """
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.figures.similar import describe
    from webtext.pipeline.insight.figures.similar import similar as ask

    texts = _texts(file)
    with meters() as meter:
        found = ask(Build(None, data).made(), texts, at, most, meter("similar"))
    if as_json:
        for one in found:
            echo(json.dumps(asdict(one), ensure_ascii=False))
        return
    for line in describe(found, at):
        echo(line)


def _texts(file: Path) -> list[tuple[str, str]]:
    """Return the texts in a file, each with its name.

    Raises:
        UserError: it is missing, or no text.
    """
    from webtext.pipeline.core.errors import UserError
    from webtext.pipeline.insight.judge import texts

    if file.name.lower().endswith(TABLES):
        return list(texts(file))
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return [(str(file), content.decode("utf-8"))]
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give a text, or - for the standard input") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file}: not UTF-8 (byte {error.start:,}); save the text as UTF-8, or give JSONL or "
            "Parquet of id and text"
        ) from None
