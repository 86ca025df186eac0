"""Train a tokenizer on texts."""

from collections.abc import Iterator
from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options


@click.group()
def tokenizer() -> None:
    """Train a tokenizer of one's own."""


@tokenizer.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The tokenizer.json to write.",
)
@click.option(
    "--vocabulary", type=click.IntRange(257), default=32_768, show_default=True, help="Tokens."
)
@options.text_field
def train(files: tuple[Path, ...], output: Path, vocabulary: int, text_field: str) -> None:
    """Train a byte-level BPE on texts, split as GPT-2 splits them.

    FILEs are of any form that `webtext filter` reads, such as a build's corpus-* directory. A
    recipe takes the result as tokens.tokenizer. Memory grows with the number of different words.
    """
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.core.errors import UserError
    from webtext.pipeline.core.shards import write_text
    from webtext.pipeline.insight.judge import OwnText, own_texts
    from webtext.pipeline.sources.source_rows import Fields
    from webtext.pipeline.text.extraction.extract import Extract
    from webtext.pipeline.tokens.encoders import of_file
    from webtext.pipeline.tokens.encoders import train as train_on

    if output.suffix != ".json":
        raise UserError(f"{output}: wanted a name in .json, such as tokenizer.json")
    with options.given(files) as paths, meters() as meter:
        show, count = meter("tokenizer"), 0

        def texts() -> Iterator[str]:
            nonlocal count
            for row in own_texts(paths, Fields(text=text_field), Extract()):
                if isinstance(row, OwnText):
                    count += 1
                    show(count, None)
                    yield row.text

        content = train_on(texts(), vocabulary)
    if not count:
        raise UserError(f"{files[0]}: no text to train on")
    write_text(output, content)
    made = of_file(output)
    echo(f"{made.vocabulary:,} tokens, of {count:,} texts", err=True)
    echo(output)
