"""Run the steps of a build in order, with or without Prefect."""

from collections.abc import Callable, Sequence
from pathlib import Path

from webtext.flows.building.data_directory import locked
from webtext.flows.building.steps import Step, note_latest, run_step
from webtext.flows.building.terminal import meters, say
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.stage import Passage

Run = Callable[[Step, int, Progress], list[Passage]]


def build_steps(steps: Sequence[Step], data: Path, workers: int, run: Run = run_step) -> None:
    """Run the steps that are not done, holding the data directory.

    Raises:
        UserError: bad input, another build at work here, or no room on the disk.
        PipelineError: rows were lost, or a shard killed its worker twice.
    """
    with locked(data), meters() as meter:
        for step in steps:
            if not step.done:
                if said := step.foretell():
                    say(said)
                shown = meter(step.name)
                run(step, workers, shown)
                shown.finish()
            note_latest(data, steps)
