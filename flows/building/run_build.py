"""Run the steps of a build in order, with people looking on, with or without Prefect."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from webtext.flows.building.terminal import meters, say
from webtext.pipeline.build import Execute, make, run_all
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.step import Planned


def run_steps(
    planned: Sequence[Planned], data: Path, workers: int, execute: Execute = make
) -> None:
    """Run the steps that are not done, and show how far each is.

    Raises:
        UserError: bad input, another build at work here, or no room on the disk.
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
