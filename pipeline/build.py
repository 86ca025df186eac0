"""A build: plan, run and inspect the steps of a recipe in a data directory.

A step is done when its manifest exists and names the inputs as they are now; there is no other
record. `Build` is the interface to query a build or to continue it.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from webtext.pipeline.core.directories import months
from webtext.pipeline.core.directories.checked import ABOUT, check
from webtext.pipeline.core.directories.data_directory import locked, newest, not_made, note_newest
from webtext.pipeline.core.directories.keeping import STARTED, json_or_none, keep
from webtext.pipeline.core.directories.source_code import forget
from webtext.pipeline.core.errors import PipelineError, UserError, out_of_room
from webtext.pipeline.core.pool import Workers, kept_processes
from webtext.pipeline.core.progress import Progress, silent
from webtext.pipeline.core.shards import Directory, write_json
from webtext.pipeline.core.stage import Passage, machine_facts, settings
from webtext.pipeline.core.step import (
    Made,
    Planned,
    Recipe,
    Step,
    directory_name,
    made_by,
    maker,
)
from webtext.pipeline.core.stores import working_copy
from webtext.pipeline.core.stores.seen_objects import look_again
from webtext.pipeline.insight import report, trace, verification
from webtext.pipeline.insight.unreached import Unreached, unreached
from webtext.pipeline.steps import STEPS

Execute = Callable[[Planned, Workers, Progress], list[Passage]]
Show = Callable[[Planned], AbstractContextManager[Progress]]


def quietly(_planned: Planned) -> AbstractContextManager[Progress]:
    """Give a progress function that shows nothing."""
    return nullcontext(silent)


@dataclass(frozen=True)
class Build:
    """The build of a recipe in a data directory.

    Without a recipe it is the newest build there, which can be queried but not run.
    """

    recipe: Recipe | None
    data: Path
    steps: tuple[Step, ...] = STEPS
    snapshot: str | None = None  # the name of one, which is asked instead of the newest build

    def __post_init__(self) -> None:
        """Take a name of the data directory as well as a path."""
        object.__setattr__(self, "data", Path(self.data))

    # --- planning --------------------------------------------------------------------------------

    def plan(self, until: str | None = None) -> list[Planned]:
        """Return the steps of the recipe, up to the one called `until`, in order.

        Raises:
            UserError: no recipe; a source that does not exist; an unknown step; nothing to read.
        """
        if self.recipe is None:
            raise UserError(f"{self.data}: nothing can be planned without a recipe; name one")
        if until is not None:
            self.check_name(until, "--until ")
        look_again()  # at sources in stores, as at local ones
        last = max(n for n, step in enumerate(self.steps) if until in {None, step.name})
        made: dict[str, Directory] = {}
        planned: list[Planned] = []
        for step in self.steps[: last + 1]:  # what later steps read may not be there yet
            if not step.wanted(self.recipe):
                continue
            if lacking := [name for name in step.inputs if name not in made]:
                raise PipelineError(
                    f"{step.name} reads {lacking[0]}, which no step before it makes"
                )
            read = {name: made[name] for name in (*step.inputs, *step.optional) if name in made}
            before = None
            for _ in range(step.rounds(self.recipe)):
                one = self.planned(step, read, before)
                before = one.home
                planned.append(one)
            assert before is not None, "a step is made once at the least"
            made[step.called] = before
        return planned

    def planned(
        self, step: Step, read: Mapping[str, Directory], before: Directory | None = None
    ) -> Planned:
        """Return the plan of a step that reads these directories.

        Its own directory is named after its settings, versions and inputs. The libraries and the
        source code that made it are recorded in its manifest, and are not part of the name.

        Raises:
            UserError: a source does not exist.
        """
        stages = step.in_force(self.recipe)
        outside = step.outside(self.recipe, self.data)
        recorded: dict[str, Any] = {
            "stages": {
                stage.name: {
                    "version": stage.version,
                    "settings": settings(stage),
                    "machine": machine_facts(stage),
                }
                for stage in stages
            }
        }
        recorded |= outside.recorded
        blank = Planned(
            step, self.data, stages, read, before, outside, Directory(self.data), {}, self.steps
        )
        names = [given.name for given in blank.inputs]
        name = directory_name(step.name, stages, names, outside.identity)
        idle = tuple(step.idle(self.recipe))
        return replace(blank, home=Directory(self.data / name), recorded=recorded, idle=idle)

    def run(
        self,
        until: str | None = None,
        workers: Workers = 1,
        show: Show = quietly,
        execute: Execute | None = None,
    ) -> None:
        """Run the steps that are not done, with the data directory locked.

        `show` gives the progress of each; `execute` runs one, `make` by default.

        Raises:
            UserError: bad input, another build running here, or no space on the disk.
            PipelineError: rows were lost, or a shard killed its worker twice.
        """
        run_all(self.plan(until), self.data, workers, show, execute)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps, in their order; two steps that make one thing have one name."""
        return tuple(dict.fromkeys(step.name for step in self.steps))

    # --- queries ---------------------------------------------------------------------------------

    def made(self) -> list[Made]:
        """Return the complete directories, one for each step, in the order of the steps.

        Raises:
            UserError: nothing has been built there, or no snapshot has this name.
        """
        if self.snapshot is not None:
            found = months.directories_of(self.data, self.snapshot)
        elif self.recipe is None:
            found = newest(self.data)
        else:
            found = {one.name: one.home for one in self.plan() if one.done}
        whole = [found[name] for name in self.names if name in found]
        made = [(maker(directory.manifest(), self.steps), directory) for directory in whole]
        return [Made(step, directory) for step, directory in made if step is not None]

    def newest(self) -> "Build":
        """Return the newest build in the same data directory."""
        return replace(self, recipe=None)

    def path(self, name: str) -> Directory:
        """Return the complete directory of a step.

        Raises:
            UserError: there is none yet, or no such step.
        """
        self.check_name(name)
        there = self.made() if self.recipe or (self.data / "latest.json").exists() else []
        for step, directory in there:
            if step.name == name:
                return directory
        raise not_made(self.data, name)

    def funnel(self) -> dict[str, Any]:
        """Return each stage's line of the funnel, and how large the corpus is.

        Raises:
            UserError: nothing has been built there.
        """
        return report.funnel(self.made())

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each complete step, by its name.

        Raises:
            UserError: nothing has been built there.
        """
        return report.facts(self.made())

    def follow(self, url: str) -> trace.Story:
        """Return the result for a URL at each step, and what decided it.

        Raises:
            UserError: nothing has been built there, or no step has read the URL.
        """
        return trace.follow(self.made(), url)

    def measures(self) -> Any:
        """Return a DuckDB relation with a row for each document, kept or dropped, and no text.

        Its columns are listed in `insight.figures.joined`.

        Raises:
            UserError: there are no documents, or none with measures.
        """
        from webtext.pipeline.insight.figures.joined import joined

        return joined(self.made())

    def verify(self, progress: Progress = silent) -> Iterator[verification.Difference]:
        """Yield what differs from the manifests in the data directory.

        Raises:
            UserError: no step has a directory there.
        """
        return verification.verify(self.data, progress, self.names)

    def unreached(self, wanted: Iterable[str], trained: Iterable[str]) -> list[Unreached]:
        """Return the directories that neither these, the newest build nor a run needs.

        `wanted` are names of directories, `trained` the sha256 of manifests that runs were
        trained on.
        """
        return unreached(self.data, wanted, trained, self.names)

    def figures(self) -> dict[str, Any]:
        """Return what is counted of all documents, and the likeness to WebText, for JSON.

        Raises:
            UserError: nothing has been built there.
        """
        return report.figures(self.made())

    def report(self, path: Path, run: Path | None = None) -> None:
        """Write the funnel, the statistics and (given a run) the loss curve as one HTML page.

        Raises:
            UserError: nothing has been built there, or the run has no log.
        """
        report.write_report(self.made(), path, run)

    def check_name(self, name: str, said: str = "") -> None:
        """Refuse the name of a step that does not exist.

        Raises:
            UserError: there is no such step; lists those that exist.
        """
        if name not in self.names:
            raise UserError(f"{said}{name}: no such step; there are {', '.join(self.names)}")


# --- running ------------------------------------------------------------------------------------


def run_all(
    steps: Sequence[Planned],
    data: Path,
    workers: Workers,
    show: Show = quietly,
    execute: Execute | None = None,
) -> months.Snapshot | None:
    """Run those of these steps that are not done, as `Build.run` does.

    Returns the snapshot that this made, if its month has a new one.
    """
    with locked(data), kept_processes():
        months.snapshots(data)  # if their file is damaged, we say so now
        copy = working_copy.of(data)
        for step in steps:
            if not step.done:
                given = [one.path for one in step.inputs]
                with copy.needing(given) if copy else nullcontext(), show(step) as progress:
                    (execute or make)(step, workers, progress)
            if copy and step.done:
                copy.upload(step.home.path)
            note(data, steps)
        return months.note_snapshot(data, [step.home for step in steps])


def note(data: Path, steps: Sequence[Planned]) -> None:
    """Record the complete directories of these steps, and their inputs, for later commands."""
    note_newest(data, [path for step in steps for path in (*step.inputs, step.home)])


def make(step: Planned, workers: Workers, progress: Progress) -> list[Passage]:
    """Complete a step's directory; continue where a killed run stopped.

    Raises:
        UserError: bad input, an input that differs from its manifest, or no space on the disk.
        PipelineError: rows were lost between the steps.
    """
    for given in step.inputs:
        check(given.path)
    begin(step)
    try:
        passages = step.step.work(step, workers, progress)
    except OSError as error:
        raise out_of_room(error, step.home.path) from error
    check_seam(step, passages)
    end(step, passages)
    return passages


def begin(step: Planned) -> None:
    """Prepare the directory.

    A partial directory from other inputs, libraries or source code is begun again, so that no
    directory is made by two versions of them; if it is an archive, its files are kept.
    """
    join(step)
    step.home.sweep()


def join(step: Planned) -> None:
    """Prepare the directory, but do not touch files that others may be writing there now."""
    mark = step.home.about / STARTED
    fingerprints = step.fingerprints()
    if step.step.archive:
        keep(step.home, fingerprints, step.step.bookkeeping)
        return
    begun = {"inputs": fingerprints, **made_by(step.step)}
    fresh = step.home.path.is_dir() and not step.home.whole and mark.exists()
    if not (fresh and json_or_none(mark) == begun):
        for home in {step.home.path, step.home.about}:
            shutil.rmtree(home, ignore_errors=True)
        if step.step.shards_alone:
            for home in (step.home.path, step.data / ABOUT / step.home.name):
                home.mkdir(parents=True)
        write_json(step.home.about / STARTED, begun)


def end(step: Planned, passages: Sequence[Passage]) -> None:
    """Write the manifest, and record the directory's name for later commands.

    Raises:
        UserError: a library or the source code has changed since the step began.
    """
    mark = step.home.about / STARTED
    changed = began_otherwise(step, json_or_none(mark))
    if changed and not step.step.archive:
        raise UserError(
            f"{step.home.path}: {changed} has changed while it was made, so a part of it may have "
            "been made by each; run the same command again: the step begins anew"
        )
    step.home.finish(
        {
            "stage": step.name,
            **step.recorded,
            "inputs": step.fingerprints(),
            **made_by(step.step),
            "passages": [asdict(passage) for passage in passages],
        },
        mark,
    )


def began_otherwise(step: Planned, begun: object) -> str:
    """Return what has changed on disk since a step began, "" if nothing has."""
    if not isinstance(begun, dict) or "code" not in begun:
        return ""  # an archive: only its inputs are recorded
    forget()
    now = made_by(step.step)
    if now["code"] != begun["code"]:
        return "the source code"
    others = {**now["libraries"], **begun["libraries"]}
    names = [name for name in others if now["libraries"].get(name) != begun["libraries"].get(name)]
    return ", ".join(names)


def check_seam(step: Planned, passages: Sequence[Passage]) -> None:
    """Check that each step reads the rows that the one before kept, from the first to this one.

    Raises:
        PipelineError: the numbers differ; names both steps.
    """
    if not passages or not step.inputs:
        return
    before = step.inputs[0].manifest()["passages"]
    if before and before[-1]["kept"] != passages[0].read:
        raise PipelineError(
            f"{step.inputs[0].name} kept {before[-1]['kept']} rows, but {step.name} read "
            f"{passages[0].read}; the difference was lost between them: `webtext verify "
            f"{step.data}` says whether a file is damaged, else it is a mistake of webtext"
        )
