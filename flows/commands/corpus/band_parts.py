"""Deduplication over several machines that see the same files."""

from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options


@click.command()
@click.argument("recipe")
@options.data
@click.option("--part", default="1/1", help="Which of the bands; 2/3 is the second of three parts.")
@options.workers
@options.overrides
def bands(recipe: str, data: Path, part: str, workers: int, overrides: tuple[str, ...]) -> None:
    """Do a part of the bands of a build's deduplication; several machines can each do one.

    They share nothing but DATA. When all are done, `webtext build` merges what they found.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build, join
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.core.errors import UserError
    from webtext.pipeline.core.stores.working_copy import refuse
    from webtext.pipeline.dedup.clusters import bands as work
    from webtext.pipeline.dedup.clusters import step as duplicates
    from webtext.pipeline.dedup.clusters.cluster import PAIRS, prepare_bands
    from webtext.pipeline.urls.parts import Part

    refuse(data, "bands")
    number, of = Part.parsed(part, "--part ")
    step = Build(load(recipe, overrides), data).plan(duplicates.NAME)[-1]
    if step.done:
        echo(f"nothing to do: {step.home} is whole", err=True)
        return
    if missing := [given for given in step.inputs if not given.whole]:
        raise UserError(
            f"{missing[0]}: not whole; build it first: webtext build ... --until signatures"
        )
    (settings,) = step.settings
    signed, documents = step.read["signatures"], step.read["documents"]
    earlier = duplicates.earlier(settings, data)
    with locked(data, wait=True):
        join(step)
        signatures = prepare_bands(settings, signed, documents, step.home, earlier)
    with meters() as meter:
        work.find(
            settings.bands,
            settings.rows,
            signatures,
            step.home.path / PAIRS,
            workers,
            meter("bands"),
            part=(number - 1, of),
        )
    echo(f"part {part} of the bands is in {step.home.path / PAIRS}", err=True)
