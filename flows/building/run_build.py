"""Run the steps of a build in order and show their progress, with or without Prefect."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from webtext.flows.building.hooks import Hooks
from webtext.flows.building.terminal import meters, say
from webtext.flows.building.watched import EventLog, Watched
from webtext.pipeline.build import Build, Execute, make, run_all
from webtext.pipeline.core.pool import Workers, threads
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.step import Planned


def run_steps(
    planned: Sequence[Planned], data: Path, workers: Workers, execute: Execute = make
) -> None:
    """Run the steps that are not done, and show the progress of each.

    Raises:
        UserError: bad input, another build running here, or no space on the disk.
        PipelineError: rows were lost, or a shard killed its worker twice.
    """
    with meters() as meter:

        @contextmanager
        def show(step: Planned) -> Iterator[Progress]:
            if said := step.step.foretell(step):
                say(said)
            shown = meter(step.name)
            yield shown
            shown.finish()

        run_all(planned, data, workers, show, execute)


def build_plainly(
    asked: Build,
    recipe: str,
    until: str | None,
    workers: Workers,
    overrides: list[str],
    timeout: float | None = None,
) -> None:
    """Run a build without Prefect: the same steps, log and hooks.

    Raises:
        UserError: as `run_steps`.
        PipelineError: as `run_steps`.
    """
    watched = Watched([EventLog(asked.data, "by hand"), Hooks(say)], say)
    facts = {"recipe": recipe, "data": str(asked.data.resolve()), "until": until}
    with watched.whole(timeout, **facts, workers=threads(workers), overrides=overrides):
        run_steps(asked.plan(until), asked.data, workers, watched.step)
