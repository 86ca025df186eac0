"""Commands on texts of a user's own."""

from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options


@click.command(name="filter")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.output
@click.option(
    "--dropped",
    type=click.Path(path_type=Path),
    help="Where the dropped rows go, with reasons.  [default: beside OUTPUT, as NAME.dropped.EXT]",
)
@options.text_field
@click.option("--url-field", default="url", show_default=True, help="Field of the URL, if any.")
@click.option("--recipe", default="webtext", show_default=True, help="Whose settings to use.")
@options.own_rules
@options.workers
@options.overrides
def filter_texts(
    files: tuple[Path, ...],
    output: Path,
    dropped: Path | None,
    text_field: str,
    url_field: str,
    recipe: str,
    own_rules: tuple[Path, ...],
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Clean texts, and keep those in the wanted language that pass the rules.

    FILEs are JSON Lines, CSV, Parquet or Arrow (a text in the field `text`), plain text, Markdown
    or HTML (each file is a text), WET, or folders of them; compressed or not; - is the standard
    input. The output is written as its name says: .jsonl, .jsonl.gz, .jsonl.zst, .parquet or
    .csv; - is JSON Lines on the standard output. Rows keep their other fields and their order.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import meters, passages_table
    from webtext.pipeline.filters.own.filtering import filter_files
    from webtext.pipeline.filters.step import chain_of
    from webtext.pipeline.sources.row_writer import STDOUT, beside
    from webtext.pipeline.sources.source_rows import Fields

    loaded = load(recipe, options.with_rules(overrides, own_rules))
    loaded.rules.fingerprints()  # says what file of a rule is missing
    if dropped is None and output != STDOUT:
        dropped = beside(output, "dropped")
    with options.given(files) as paths, meters() as meter:
        found = filter_files(
            paths,
            output,
            chain_of(loaded),
            Fields(text=text_field, url=url_field),
            dropped=dropped,
            workers=workers,
            progress=meter("filter", "B"),
        )
    echo(passages_table(found), err=True, nl=False)
    if dropped is not None:
        echo(f"dropped rows: {dropped}", err=True)
    if output != STDOUT:
        echo(output)
