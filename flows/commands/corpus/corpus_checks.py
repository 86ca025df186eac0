"""Check a corpus: its overlap with evaluation sets, and the effect of each rule."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options


@click.command()
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.data
@click.option("--corpus", type=click.Path(path_type=Path), help="Instead of the newest of --data.")
@options.as_json
def overlap(sets: tuple[Path, ...], data: Path, corpus: Path | None, as_json: bool) -> None:
    """Print how much of each evaluation set the corpus holds, as in GPT-2's table 6.

    SETS are files: .jsonl, or any text; compressed (.zst, .gz, .xz, .bz2) or not.
    """
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.shards import Directory
    from webtext.pipeline.insight.overlap import overlaps, read_sets

    home = Directory(corpus) if corpus else Build(None, data).path("corpus")
    asked = read_sets(sets)
    with meters() as meter:
        found = overlaps(home, asked, meter("overlap"))
    if as_json:
        rows = [{**asdict(row), "percent": row.percent} for row in found]
        # The comparison is exact; earlier versions used a filter, and this field for its errors.
        echo(json.dumps({"corpus": str(home), "false_positives": 0, "sets": rows}))
        return
    echo(f"{'set':<32} {'8-grams':>11} {'found':>9} {'%':>7}   WebText's %")
    for row in found:
        paper = "" if row.paper is None else f"{row.paper:.2f}"
        echo(f"{row.name:<32} {row.ngrams:>11,} {row.found:>9,} {row.percent:>7.2f}   {paper:>11}")


@click.command()
@click.argument("recipe")
@options.data
@click.option(
    "--sample",
    type=click.IntRange(1),
    help="Read the texts of so many documents and measure all rules, also dear ones that are off.",
)
@options.overrides
@options.as_json
def audit(
    recipe: str, data: Path, sample: int | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Apply every rule of RECIPE to the newest documents.

    Shows what each drops alone and together with the others, ten URLs per reason, and the effect of
    other bounds. All documents are asked by the build's table of measures; where RECIPE measures
    something else, the texts of 5,000.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.audit import audit as ask
    from webtext.pipeline.insight.audit import describe

    rules = load(recipe, overrides).rules
    with meters() as meter:
        found = ask(rules, Build(None, data).path("documents"), sample, meter("audit"))
    echo(json.dumps(asdict(found)) if as_json else describe(found))


@click.group()
def quality() -> None:
    """Train a model of good documents, to use as a rule."""


@quality.command()
@click.option("--positive", multiple=True, type=click.Path(path_type=Path), help="Good ones.")
@click.option("--negative", multiple=True, type=click.Path(path_type=Path), help="Bad ones.")
@click.option(
    "--by",
    type=click.Choice(["rules", "karma"]),
    help="Instead of files: what the rules kept and dropped, or high and low karma, of --data.",
)
@options.data
@click.option("--karma", type=int, default=10, show_default=True, help="What is high, with --by.")
@click.option("--most", type=click.IntRange(1), default=100_000, show_default=True, help="A side.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def train(
    positive: tuple[Path, ...],
    negative: tuple[Path, ...],
    by: str | None,
    data: Path,
    karma: int,
    most: int,
    seed: int,
    output: Path,
) -> None:
    """Learn to tell good documents from bad ones: files of {id, text}, or a build's own.

    Use the model with --set 'rules.quality.score.model = "OUTPUT"' and a threshold, at_least.
    """
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.checked import sha256
    from webtext.pipeline.filters import classifier
    from webtext.pipeline.insight import examples

    if bool(by) == bool(positive and negative):
        raise click.UsageError("wanted --positive and --negative files, or --by rules or karma")
    sources: dict[str, object]
    if by == "rules":
        home = Build(None, data).path("documents")
        good, bad = (examples.by_rules(home, kept, most) for kept in (True, False))
        sources = {"by": "rules", home.name: home.fingerprint(), "most": most}
    elif by == "karma":
        home = Build(None, data).path("corpus")
        good, bad = (examples.by_score(home, karma, high, most) for high in (True, False))
        sources = {"by": "karma", "karma": karma, home.name: home.fingerprint(), "most": most}
    else:
        good, bad = examples.of_files(positive), examples.of_files(negative)
        named = {"positive": positive, "negative": negative}
        sources = {
            side: {path.name: sha256(path) for path in paths if path.is_file()}
            for side, paths in named.items()
        }
    model = classifier.train(good, bad, classifier.Learn(seed=seed), sources)
    classifier.save(model, output)
    echo(describe_model(model.provenance), err=True)
    echo(output)


@quality.command()
@click.argument("model", type=click.Path(path_type=Path))
def show(model: Path) -> None:
    """Print a model's training data and settings, and its quality on held-out documents."""
    from webtext.pipeline.filters.classifier import load

    found = load(str(model))
    echo(json.dumps({"learn": asdict(found.learn), **found.provenance}, indent=1))


def describe_model(provenance: dict[str, Any]) -> str:
    """Return the quality of a model, in lines for people."""
    documents, judged = provenance["documents"], provenance["held_out"]
    sides = ", ".join(f"{count:,} {side}" for side, count in documents["held_out"].items())
    lines = [f"area under the ROC curve {judged['auc']:.3f}, on {sides} held-out documents"]
    lines += [
        f"  at_least {at}: keeps {kept['positive']:.1%} of the good ones, "
        f"{kept['negative']:.1%} of the bad"
        for at, kept in judged["kept_at"].items()
    ]
    return "\n".join(lines)
