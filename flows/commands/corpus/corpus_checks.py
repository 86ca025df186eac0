"""Check a corpus: its overlap with sets, texts and other builds, and the effect of each rule."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options

if TYPE_CHECKING:
    from webtext.pipeline.build import Build

TABLES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")  # of {id, text}; else it is one text


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


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--samples",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Changed texts that are shown, with what changed.",
)
@options.as_json
def compare(a: str, b: str, samples: int, as_json: bool) -> None:
    """Print what came, went and changed from the build in A to that in B, and why.

    A and B are data directories, or a snapshot of one, as data@2026-10. By the
    tables of measures; texts are read for the samples only.
    """
    from webtext.pipeline.insight.figures.compared import compared, describe

    found = compared(build_of(a).made(), build_of(b).made(), samples)
    if as_json:
        echo(json.dumps(found, default=str, ensure_ascii=False))
        return
    for line in describe(found):
        echo(line)


def build_of(given: str) -> "Build":
    """Return the newest build of a data directory, or a snapshot of it (data@2026-10)."""
    from webtext.pipeline.build import Build

    folder, at, name = given.rpartition("@")
    if at and not Path(given).is_dir():
        return Build(None, Path(folder), snapshot=name)
    return Build(None, Path(given))


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


@click.group()
def quality() -> None:
    """Train a model of good documents, to use as a rule."""


@quality.command()
@click.option("--positive", multiple=True, type=click.Path(path_type=Path), help="Good ones.")
@click.option("--negative", multiple=True, type=click.Path(path_type=Path), help="Bad ones.")
@click.option(
    "--by",
    type=click.Choice(["rules", "karma", "labels"]),
    help="Instead of files, of --data: what the rules kept and dropped, high and low karma, or "
    "what people labelled keep and drop in `webtext inspect`.",
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
    from webtext.pipeline.corpus.labels import DROP, FILE, KEEP
    from webtext.pipeline.filters import classifier
    from webtext.pipeline.insight import examples

    if bool(by) == bool(positive or negative) or bool(positive) != bool(negative):
        raise click.UsageError(
            "wanted --positive and --negative files, or --by rules, karma or labels"
        )
    sources: dict[str, object]
    if by == "rules":
        home = Build(None, data).path("documents")
        good, bad = (examples.by_rules(home, kept, most) for kept in (True, False))
        sources = {"by": "rules", home.name: home.fingerprint(), "most": most}
    elif by == "labels":
        home = Build(None, data).path("documents")
        good, bad = (examples.by_labels(home, data, label, most) for label in (KEEP, DROP))
        good = iter(list(good))  # so that a lack is told before anything is trained on
        said = sha256(data / FILE)
        sources = {"by": "labels", home.name: home.fingerprint(), FILE: said, "most": most}
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
