"""Measure what a model has learnt, and what a filter is worth."""

from pathlib import Path

import click

from flows.commands.models import run_directory

local = click.option(
    "--data",
    "sets",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("eval"),
    show_default=True,
    help="Directory of the sets' files, under their usual names; see model/eval/sets.py.",
)
tasks = click.option(
    "--tasks",
    default="",
    metavar="A,B",
    help="Tasks, such as lambada,wikitext2; all that are there.",
)


@click.command("eval")
@click.argument("run")
@tasks
@local
@click.option("--limit", type=click.IntRange(1), help="Items at most, of each set (text: lines).")
@click.option(
    "--stride", type=click.IntRange(1), help="Tokens of text scored at once; context / 2."
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write all to this file.")
@click.option("--device", help="As for train.")
def evaluate(
    run: str,
    tasks: str,
    sets: Path,
    limit: int | None,
    stride: int | None,
    path: Path | None,
    device: str | None,
) -> None:
    """Score RUN, or a model in transformers' layout, on GPT-2's Table 3 and choices, zero-shot."""
    from flows.evaluation import Gpt2, load, row_json, table
    from flows.terminal import passes
    from model.checkpoint import write_json
    from model.eval.evaluate import evaluate as evaluate_model

    model, source = load(run_directory(run), device)
    with passes() as watch:
        rows = evaluate_model(
            model,
            Gpt2(),
            sets,
            names(tasks),
            limit=limit,
            stride=stride,
            watch=watch,
        )
    click.echo(table(rows))
    if path is not None:
        found = {"model": source, "limit": limit, "rows": [row_json(row) for row in rows]}
        write_json(path, found)


def names(tasks: str) -> list[str]:
    """Return the names in a list with commas.

    >>> names("lambada, copa,")
    ['lambada', 'copa']
    """
    return [name.strip() for name in tasks.split(",") if name.strip()]
