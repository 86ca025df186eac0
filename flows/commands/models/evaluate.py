"""Evaluate a model, and compare two recipes by training on each."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.flows.commands.models.training_runs import find_run

if TYPE_CHECKING:
    from webtext.model.settings import Train

DIRECTORY = click.Path(path_type=Path, file_okay=False)

local = click.option(
    "--data",
    "--sets",
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
@click.option("--step", type=click.IntRange(1), help="Whose checkpoint; the best by default.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write all to this file.")
@click.option("--device", help="As for train.")
def evaluate(
    run: str,
    tasks: str,
    sets: Path,
    limit: int | None,
    stride: int | None,
    step: int | None,
    path: Path | None,
    device: str | None,
) -> None:
    """Score RUN, or a model in transformers' layout, on GPT-2's Table 3 and choices, zero-shot."""
    give_way()
    from webtext.flows.building.terminal import passes
    from webtext.flows.models import run_tokenizer
    from webtext.flows.models.evaluation import Spelling, row_json, table
    from webtext.model.eval.zero_shot import evaluate as evaluate_model
    from webtext.model.files import write_json
    from webtext.model.training.trained import load

    source = find_run(run)
    model = load(source, device, step)
    with passes() as watch:
        rows = evaluate_model(
            model,
            Spelling(run_tokenizer.of(source)),
            sets,
            names(tasks),
            limit=limit,
            stride=stride,
            watch=watch,
        )
    echo(table(rows))
    if path is not None:
        asked = {"model": str(source), "step": step, "limit": limit}
        write_json(path, {**asked, "rows": [row_json(row) for row in rows]})


def give_way() -> None:
    """Make waiting threads yield the CPU; torch reads this when it is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def names(tasks: str) -> list[str]:
    """Return the names in a comma-separated list.

    >>> names("lambada, copa,")
    ['lambada', 'copa']
    """
    return [name.strip() for name in tasks.split(",") if name.strip()]


@click.command()
@click.argument("recipe_a")
@click.argument("recipe_b")
@options.data
@click.option("--tokens-a", type=DIRECTORY, help="Tokens of A, which RECIPE_A then only names.")
@click.option("--tokens-b", type=DIRECTORY, help="Tokens of B.")
@click.option("--model", default="tiny", show_default=True, help="Recipe of the model.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--steps", type=click.IntRange(1), help="As the model's recipe says, by default.")
@click.option("--sets", type=DIRECTORY, help="Directory of evaluation sets, as for eval.")
@tasks
@click.option("--limit", type=click.IntRange(1), help="Items at most, of each set.")
@click.option("--out", type=DIRECTORY, default=Path("runs/ablation"), show_default=True)
@click.option("--device", help="As for train.")
@options.workers
@options.overrides
def ablate(
    recipe_a: str,
    recipe_b: str,
    data: Path,
    tokens_a: Path | None,
    tokens_b: Path | None,
    model: str,
    seeds: int,
    steps: int | None,
    sets: Path | None,
    tasks: str,
    limit: int | None,
    out: Path,
    device: str | None,
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Train the same small model on the corpora of two recipes, and say which is better.

    Missing tokens are built in --data. After a stop, the same command goes on. --set is for the
    model and its training. Prints a table; OUT has it as JSON and as a page with plots.
    """
    if tasks and sets is None:
        raise click.UsageError("--tasks are of sets: say with --sets in which directory they are")
    give_way()
    from dataclasses import replace

    from webtext.flows.building.terminal import meters
    from webtext.flows.models.ablation import Corpus, Plan, StoppedError, compare, table
    from webtext.flows.models.ablation_page import write_page
    from webtext.flows.models.origin import load_for
    from webtext.model.eval.sets import present

    load_for(model, overrides, None)  # a mistake in it is told before a corpus is built
    a = Corpus(called(recipe_a), tokens_a or built(recipe_a, data, workers))
    b = Corpus(called(recipe_b), tokens_b or built(recipe_b, data, workers))
    loaded = load_for(model, overrides, None, tokens=a.tokens)
    train = loaded.train if steps is None else shortened(loaded.train, steps)
    if a.name == b.name:
        a, b = replace(a, name=f"{a.name}-a"), replace(b, name=f"{b.name}-b")
    wanted = tuple(names(tasks) or (present(sets) if sets else ()))
    plan = Plan((a, b), loaded.model, train, seeds, sets, wanted, limit)
    with meters() as meter:
        try:
            found = compare(plan, out, device, meter)
        except StoppedError:
            raise KeyboardInterrupt from None
    echo(table(found))
    echo(f"{out / 'ablation.json'}\nwith plots: {write_page(plan, found, out)}", err=True)


def called(recipe: str) -> str:
    """Return the name of a recipe without its folder and suffix.

    >>> called("recipes/no_rules.toml")
    'no_rules'
    """
    return Path(recipe).name.removesuffix(".toml")


def built(recipe: str, data: Path, workers: int) -> Path:
    """Return the tokens of a recipe; build them if they are missing."""
    from webtext.flows.building.settings import load
    from webtext.flows.commands.corpus.builds import run_build
    from webtext.pipeline.build import Build

    last = Build(load(recipe), data).plan()[-1]
    if not last.done:
        run_build(recipe, data, None, workers, (), no_prefect=True)
    return last.home.path


def shortened(train: "Train", steps: int) -> "Train":
    """Return training settings with other steps; the warm-up's share of them does not grow."""
    from dataclasses import replace

    warmup = min(train.warmup, round(train.warmup * steps / train.steps) or 1)
    return replace(train, steps=steps, warmup=warmup)
