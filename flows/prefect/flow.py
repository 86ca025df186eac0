"""Build the corpus as a Prefect flow.

One task a step, in the order of the build's steps. Parameters are plain text and numbers, so that a
schedule, Prefect's pages and the command line start the same flow. The manifests on disk decide
what is done: a run that Prefect has forgotten goes on all the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from webtext.flows.building.run_build import run_steps
from webtext.flows.building.settings import load
from webtext.flows.prefect.live import live
from webtext.pipeline.build import Build
from webtext.pipeline.build import make as make_directory
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Planned


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Retry what another try may mend: not a user's mistake, not a broken law of our own."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, (UserError, PipelineError))


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[5, 60],
    retry_condition_fn=worth_retrying,
)
def make(name: str, step: Planned, workers: int, progress: Progress) -> list[Passage]:
    """Make one step's directory whole; `name` is for Prefect's pages."""
    with live(name, progress) as told:
        passages = make_directory(step, workers, told)
        told.conclude(step.step.facts(step.home))
        return passages


@flow(name="webtext-build", persist_result=False)
def build(
    recipe: str,
    data: str,
    workers: int,
    until: str | None = None,
    overrides: list[str] | None = None,
) -> None:
    """Make every directory from the links to the tokens that is not whole yet."""
    asked = Build(load(recipe, overrides or []), Path(data))
    run_steps(asked.plan(until), asked.data, workers, in_a_task)
    create_table_artifact(
        [
            {**stage, "dropped": sum(stage["dropped"].values())}
            for stage in asked.funnel()["stages"]
        ],
        key="webtext-funnel",
        description="What became of every row",
    )


def in_a_task(step: Planned, workers: int, progress: Progress) -> list[Passage]:
    """Run a step as a Prefect task, which need not look into what it is given."""
    run: Callable[..., list[Passage]] = make
    return run(step.name, quote(step), workers, quote(progress))
