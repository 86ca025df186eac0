"""The definition of a step: everything that other modules need of it, in one place.

A step makes one directory of a build. Its definition is one `Step` in one file of its room;
`pipeline/steps.py` lists the steps in their order, and `pipeline/build.py` runs that list. The
command line, Prefect, plan, report, trace and card read the step and declare nothing themselves.
"""

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from webtext.pipeline.core.directories.distribution import installed
from webtext.pipeline.core.directories.keeping import made_of
from webtext.pipeline.core.directories.source_code import digest_of
from webtext.pipeline.core.pool import Workers
from webtext.pipeline.core.progress import Progress
from webtext.pipeline.core.shards import Directory, digest
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.stage import settings as plain
from webtext.pipeline.core.stores import working_copy
from webtext.pipeline.core.stores.store_records import stored

Recipe = Any  # has an attribute for every table of every step; its class is created in flows


class Outside(NamedTuple):
    """An input of a step that no step of this build makes."""

    known_by: Any = None  # plain values that identify it in the digest; None: nothing
    directories: tuple[Directory, ...] = ()  # directories of other builds
    forgotten: str | None = None  # a digest of what is left out on request; None: nothing is

    @property
    def identity(self) -> Any:
        """What a directory's name has of it: as ever, while nothing is left out on request."""
        if self.forgotten is None:
            return self.known_by
        return [self.known_by, {"forgotten": self.forgotten}]

    @property
    def recorded(self) -> dict[str, Any]:
        """What a manifest has of it."""
        found = {"sources": self.known_by, "forgotten": self.forgotten}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Fact:
    """What a step, or one stage of it, recorded about one row."""

    stage: str  # its name in a trace
    told: dict[str, Any]  # for JSON
    lines: tuple[str, ...] = ()  # for people
    fate: str | None = None  # why the row was dropped here, one of the step's fates; None: kept
    value: float | None = None  # the measure that decided it, if there is one


@dataclass(frozen=True)
class Sought:
    """One row that a trace follows through the steps."""

    url: str
    id: str | None  # None if it is not a URL, so that only the exact text is found
    domain: str
    made: Mapping[str, Directory]  # the build's complete directories, by their steps' names
    seen: bool = False  # whether an earlier step had this row


@dataclass(frozen=True)
class Step:
    """One step of a build.

    `fates` are all reasons for which it may drop a row, each with its meaning: reports and traces
    have no others. `follow` gives the history of one row here, in the order in which the row
    passed the stages; it reads files, so the answer is the same however long ago the step ran.
    """

    name: str  # prefix of its directories; the same word in commands, reports and documentation
    tables: Mapping[str, type]  # of the recipe, each with the frozen dataclass of its settings
    work: "Callable[[Planned, Workers, Progress], list[Passage]]"
    inputs: tuple[str, ...] = ()  # its inputs in this build, by the names of the steps' products
    optional: tuple[str, ...] = ()  # likewise, where a step of the recipe makes it
    makes: str = ""  # the name of its product in later steps, if not its own name
    bytes_depend_on: tuple[str, ...] = ()  # libraries whose versions affect its output
    fates: Mapping[str, str] = field(default_factory=dict)
    in_funnel: bool = True  # whether it decides which rows are kept
    # Its output was fetched from the network: no build removes it, and a new run may differ.
    archive: bool = False
    shards_alone: bool = False  # whether its directory holds nothing but shards (`checked.about`)
    bookkeeping: tuple[str, ...] = ()  # an archive's files that hold only for the inputs of one run

    # Of a recipe: is the step part of it; which settings are in force, in order (by default those
    # of all tables); how many directories it makes, each one also from the one before.
    wanted: Callable[[Recipe], bool] = lambda _recipe: True
    stages: Callable[[Recipe], Sequence[Any]] | None = None
    rounds: Callable[[Recipe], int] = lambda _recipe: 1
    outside: Callable[[Recipe, Path], Outside] = lambda _recipe, _data: Outside()
    check: Callable[[Recipe], None] = lambda _recipe: None  # raise UserError: tables contradict
    # Lines that name its settings that have no effect in this recipe, for whoever set them.
    idle: Callable[[Recipe], Iterable[str]] = lambda _recipe: ()

    # Of a planned step: the message before it starts, and its text in a plan.
    foretell: "Callable[[Planned], str]" = lambda _planned: ""
    remarks: "Callable[[Planned], Iterable[str]]" = lambda _planned: ()

    # Of its output: the history of one row, and figures by name (a name that no other step has).
    follow: Callable[[Sought], Iterable[Fact]] = lambda _sought: ()
    facts: Callable[[Directory], Mapping[str, Any]] = lambda _directory: {}

    @property
    def called(self) -> str:
        """The name of its product in later steps."""
        return self.makes or self.name

    def in_force(self, recipe: Recipe) -> tuple[Any, ...]:
        """Return the settings of a recipe that this step uses, in order."""
        if self.stages is not None:
            return tuple(self.stages(recipe))
        return tuple(getattr(recipe, table) for table in self.tables)


@dataclass(frozen=True)
class Planned:
    """A step in one build: which directory it makes, and from which inputs."""

    step: Step
    data: Path  # the data directory
    settings: tuple[Any, ...]  # those in force, in order
    read: Mapping[str, Directory]  # the inputs, by their names in the steps that made them
    before: Directory | None  # of the round before, if the step is made several times
    outside: Outside
    home: Directory
    recorded: Mapping[str, Any]  # versions and settings in full, for the manifest
    steps: tuple[Step, ...]  # all of the build, in order
    idle: tuple[str, ...] = ()  # what its step says of settings without effect

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def inputs(self) -> tuple[Directory, ...]:
        """All inputs; those that decide its rows come first."""
        before = () if self.before is None else (self.before,)
        return (*self.read.values(), *before, *self.outside.directories)

    @property
    def done(self) -> bool:
        """Whether the directory is complete, and was made from the inputs as they are now."""
        if not self.home.whole or not all(given.whole for given in self.inputs):
            return False
        return bool(made_of(self.home) == self.fingerprints())

    @property
    def finished(self) -> bool:
        """Whether it is done, and all of it is in the store, if the data directory is in one."""
        return self.done and (working_copy.of(self.data) is None or stored(self.home.path))

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each input's manifest, by directory name."""
        return {given.name: given.fingerprint() for given in self.inputs}


def directory_name(
    step: str, stages: Iterable[Any], inputs: Sequence[str], known_by: Any = None
) -> str:
    """Return the name of the directory that a step makes with these settings, of these inputs."""
    identity = [[stage.name, stage.version, plain(stage, identity=True)] for stage in stages]
    return f"{step}-{digest(step, identity, list(inputs), known_by)}"


def made_by(step: Step) -> dict[str, Any]:
    """Return what decides a step's bytes besides its inputs: its libraries and its source."""
    return {"libraries": versions(step), "code": digest_of(step.work.__module__)}


def versions(step: Step) -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect a step's output."""
    found = {name: importlib.metadata.version(name) for name in step.bytes_depend_on}
    return {"python": platform.python_version(), "webtext": installed().version, **found}


class Made(NamedTuple):
    """A complete directory, and the step that made it."""

    step: Step
    directory: Directory


def changed(table: str, settings: Any, names: Iterable[str] = ()) -> list[str]:
    """Return the settings of a recipe's table that are not the defaults, as the recipe spells them.

    `names` are the settings that are looked at, by default all.
    """
    usual = type(settings)()
    return [
        f"{table}.{name}"
        for name in names or [item.name for item in fields(settings)]
        if getattr(settings, name) != getattr(usual, name)
    ]


def maker(manifest: Mapping[str, Any], steps: Iterable[Step]) -> Step | None:
    """Return the step that made the directory with this manifest, None if none of these did.

    If two steps have the same name, the settings in the manifest decide.
    """
    alike = [step for step in steps if step.name == manifest.get("stage")]
    recorded = manifest.get("stages", {})
    exact = [step for step in alike if not recorded.keys().isdisjoint(step.tables)]
    return next(iter([*exact, *alike]), None)
