"""Look at a corpus: its documents, kept and dropped, in a browser."""

from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options


@click.command("inspect")
@options.data
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free one",
    help="Of this machine's loopback interface; no other machine can reach it.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the inspector's tables and text index; by default inspector/ in --data.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of training runs, beside runs/ in --data; those of this corpus are shown.",
)
@click.option(
    "--with",
    "other",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another data directory: what came, went and changed from --data to it, and why.",
)
def inspect_data(data: Path, port: int, cache: Path | None, runs: Path, other: Path | None) -> None:
    """Show a build's documents in the browser: what was kept, what was dropped, and why.

    Prints an address with a secret; open it in a browser on this machine. Nothing in DATA is
    changed but inspector/, which can be removed at any time.
    """
    from webtext.flows.inspector.showing import show

    show(data, port, cache, lambda said: echo(said, err=True), [runs], other)
