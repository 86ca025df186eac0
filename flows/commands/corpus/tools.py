"""Parts of the pipeline on files of your own, without the rest."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options

T = TypeVar("T")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File for a row a page, in the form of its name: .jsonl, .jsonl.zst, .parquet or .csv.",
)
@options.as_json
def extract(paths: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Print the main text of HTML or WARC files, or write it to a file."""
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.insight.judge import extract_file
    from webtext.pipeline.sources.row_writer import as_lines, writer

    pages = (page for path in paths for page in _told(path, extract_file(path), "page"))
    if output is not None:
        with writer(output) as file, meters() as meter:
            show = meter("extract")
            for number, page in enumerate(pages, 1):
                file.lines(as_lines([page]))
                show(number, None)
        return
    for page in pages:
        if as_json:
            echo(json.dumps(page, ensure_ascii=False))
            continue
        name = page["url"] or page["source"]
        echo(f"== {name}\n{page['text'] or ''}\n")
        if page["dropped_by"]:
            echo(f"{name}: {page['dropped_by']}", err=True)


def _told(where: object, found: Iterable[T], what: str) -> Iterator[T]:
    """Pass on what is found, and say so where that is nothing."""
    nothing = True
    for one in found:
        nothing = False
        yield one
    if nothing:
        echo(f"{where}: holds no {what}", err=True)


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.text_field
@click.option("--recipe", default="webtext", show_default=True, help="Whose rules to ask.")
@options.own_rules
@options.overrides
@options.as_json
def judge(
    files: tuple[Path, ...],
    text_field: str,
    recipe: str,
    own_rules: tuple[Path, ...],
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the language and every rule's measure of each text of some files.

    FILEs are of any form that `webtext filter` reads. A text is cleaned first, as in a build. Of a
    rule that objects the line begins with x, or with - where the rule is off.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import judgement
    from webtext.pipeline.insight.judge import Unjudged, own_texts
    from webtext.pipeline.insight.judge import judge as judge_text
    from webtext.pipeline.sources.source_rows import Fields

    loaded = load(recipe, options.with_rules(overrides, own_rules))
    with options.given(files) as paths:
        rows = own_texts(paths, Fields(text=text_field), loaded.extract)
        for row in _told(", ".join(map(str, paths)), rows, "text"):
            if isinstance(row, Unjudged):
                echo(f"{row.place}: {row.why}", err=True)
                continue
            text = loaded.clean.text(row.text)
            found = judge_text(loaded.rules, loaded.language, row.id, text, row.url)
            echo(json.dumps(found, ensure_ascii=False) if as_json else judgement(found))


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.output
@click.option("--keep", type=click.Path(path_type=Path), help="Write the rows kept here, whole.")
@click.option(
    "--id", "--id-field", "identity", default="id", show_default=True, help="Column of the id."
)
@click.option(
    "--text", "--text-field", "text", default="text", show_default=True, help="Column of the text."
)
@click.option(
    "--threshold",
    type=options.Number(0, 1),
    help="Least similarity of a pair; bands and rows, which find the pairs, stay as they are.",
)
@click.option("--recipe", default="webtext", show_default=True, help="Whose bands and rows.")
@options.workers
@options.overrides
def dedup(
    files: tuple[Path, ...],
    output: Path,
    keep: Path | None,
    identity: str,
    text: str,
    threshold: float | None,
    recipe: str,
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Cluster the rows of any JSONL or Parquet files: id, cluster, keeper, jaccard.

    JSON Lines may be compressed (gz, zst, xz, bz2); - is the standard input.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import cluster_lines, meters
    from webtext.pipeline.dedup.clusters.curve import verified_line
    from webtext.pipeline.dedup.files.file import dedup_files

    given = [] if threshold is None else [f"duplicates.verify_at = {threshold:f}"]
    loaded = load(recipe, [*overrides, *given])
    settings = loaded.duplicates
    echo(verified_line(settings.bands, settings.rows, settings.verify_at), err=True)
    names = {identity: "id", text: "text", "score": "score"}
    with options.given(files) as paths, meters() as meter:
        passage, sizes = dedup_files(
            paths,
            output,
            loaded.signatures,
            settings,
            meter("dedup"),
            keep=keep,
            workers=workers,
            names=names,
        )
    for line in cluster_lines(passage, sizes):
        echo(line, err=True)
    if str(output) != "-":
        echo(output, err=True)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["llmc", "nanogpt"]),
    default="llmc",
    show_default=True,
    help="llm.c's shards with an index, or nanoGPT's train.bin and val.bin.",
)
@click.option("--recipe", default="webtext", show_default=True, help="Whose split and shard size.")
@options.workers
@options.overrides
def tokens(
    directory: Path,
    output: Path,
    form: str,
    recipe: str,
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Encode a corpus DIRECTORY with GPT-2's BPE, or write its tokens in another format.

    DIRECTORY is one of a build's, corpus-* or tokens-*; a build makes llm.c's shards by itself.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.tokens.export import export

    settings = load(recipe, overrides).tokens
    with meters() as meter:
        export(settings, directory, output, form, workers, meter("tokens"))
    echo(output)


@click.command()
@click.argument("warc", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    required=True,
    help="For HTTP; HTTPS is on the next one.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    default=Path("replay-ca.pem"),
    show_default=True,
    help="Where to write the test authority's certificate.",
)
@click.option("--log", type=click.Path(path_type=Path), help="A JSON line a request.")
def replay(warc: tuple[Path, ...], port: int, ca: Path, log: Path | None) -> None:
    """Serve WARC files by Host header on loopback, as the web that they recorded."""
    from webtext.pipeline.archive.replaying.replay import serve_forever

    announce = partial(echo, err=True)
    asyncio.run(serve_forever(list(warc), port, port + 1, ca, log, announce=announce))
