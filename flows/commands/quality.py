"""What is in a corpus and why: measured against evaluation sets, and rule by rule."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from flows.commands import options


@click.command()
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.data
@click.option("--corpus", type=click.Path(path_type=Path), help="Instead of the newest of --data.")
@options.as_json
def overlap(sets: tuple[Path, ...], data: Path, corpus: Path | None, as_json: bool) -> None:
    """Say how much of each evaluation set the corpus holds, as GPT-2's table 6 does.

    SETS are files: .jsonl, or any text; packed (.zst, .gz, .xz, .bz2) or not.
    """
    from flows.steps import latest
    from flows.terminal import meters
    from pipeline.overlap import STRINGS, corpus_filter, overlaps, verify
    from pipeline.shards import Directory

    home = Directory(corpus) if corpus else latest(data, "corpus")
    with meters() as meter:
        bloom = corpus_filter(home, meter("overlap"))
    wrong = verify(bloom)
    found = list(overlaps(bloom, sets))
    if as_json:
        rows = [{**asdict(row), "percent": row.percent} for row in found]
        click.echo(json.dumps({"corpus": str(home), "false_positives": wrong, "sets": rows}))
        return
    click.echo(f"{'set':<32} {'8-grams':>11} {'found':>9} {'%':>7}   WebText's %")
    for row in found:
        paper = "" if row.paper is None else f"{row.paper:.2f}"
        click.echo(
            f"{row.name:<32} {row.ngrams:>11,} {row.found:>9,} {row.percent:>7.2f}   {paper:>11}"
        )
    click.echo(
        f"of {STRINGS:,} made-up strings the filter took {wrong} for the corpus' (paper: 0)",
        err=True,
    )


@click.command()
@click.argument("recipe")
@options.data
@click.option("--sample", type=click.IntRange(1), default=5000, show_default=True)
@options.overrides
@options.as_json
def audit(recipe: str, data: Path, sample: int, overrides: tuple[str, ...], as_json: bool) -> None:
    """Ask every rule of RECIPE about a sample of the newest documents.

    What each drops alone and together with the others, ten URLs a reason, and what another bound
    would do. Those that are off are asked too.
    """
    from flows.settings import load
    from flows.steps import latest
    from flows.terminal import meters
    from pipeline.audit import audit as ask
    from pipeline.audit import describe

    rules = load(recipe, overrides).rules
    with meters() as meter:
        found = ask(rules, latest(data, "documents"), sample, meter("audit"))
    click.echo(json.dumps(asdict(found)) if as_json else describe(found))
