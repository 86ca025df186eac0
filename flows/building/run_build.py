"""Run the steps of a build in order and show their progress, with or without Prefect."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any

from webtext.flows.building.hooks import Hooks
from webtext.flows.building.terminal import meters, say
from webtext.flows.building.watched import EventLog, Watched
from webtext.pipeline.build import Build, Execute, make, run_all
from webtext.pipeline.core.directories.months import Snapshot, snapshots
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import Workers, threads
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.step import Planned, versions


def run_steps(
    planned: Sequence[Planned],
    data: Path,
    workers: Workers,
    execute: Execute = make,
    tell: Callable[..., None] = lambda _event, **_facts: None,
) -> None:
    """Run the steps that are not done, and show the progress of each.

    If this makes a new snapshot, `tell` is given the event, and how it differs from the last one.

    Raises:
        UserError: bad input, another build running here, or no space on the disk.
        PipelineError: rows were lost, or a shard killed its worker twice.
        PackageNotFoundError: a library that a step needs is not installed.
    """
    for step in planned:
        if not step.done:
            versions(step.step)  # what the last step lacks is told before the first begins
    with meters() as meter:

        @contextmanager
        def show(step: Planned) -> Iterator[Progress]:
            if said := step.step.foretell(step):
                say(said)
            shown = meter(step.name)
            yield shown
            shown.finish()

        made = run_all(planned, data, workers, show, execute)
    if made is not None:
        facts = growth(data, made)
        tell("snapshot_made", **facts)
        if before := facts.get("since"):
            say(
                f"snapshot {made.name}: {facts['came']:,} documents came, {facts['went']:,} went, "
                f"{facts['changed']:,} changed since {before}; why is said by: "
                f"webtext compare {quote(f'{data}@{before}')} {quote(str(data))}"
            )


def growth(data: Path, made: Snapshot) -> dict[str, Any]:
    """Return the name of a new snapshot, and how many documents came and went since the last one.

    Without an earlier one, without DuckDB (webtext-light), or where the two cannot be compared, it
    is the name alone.
    """
    facts: dict[str, Any] = {"snapshot": made.name}
    before = [one for one in snapshots(data) if one.made < made.made and one.name != made.name]
    if not before or find_spec("duckdb") is None:
        return facts
    from webtext.pipeline.insight.figures.compared import compared  # with DuckDB

    try:
        last, now = (Build(None, data, snapshot=one.name).made() for one in (before[-1], made))
        found = compared(last, now, samples=0)["documents"]
        facts |= {"since": before[-1].name}
        facts |= {name: found[name] for name in ("came", "went", "changed")}
    except UserError:
        pass
    except Exception as error:  # noqa: BLE001 -- what only tells of a corpus fails no build
        say(f"snapshot {made.name}: could not be compared with {before[-1].name}: {error}")
    return facts


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
        run_steps(asked.plan(until), asked.data, workers, watched.step, watched.tell)
