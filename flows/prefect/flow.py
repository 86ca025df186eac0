"""The flows that a schedule or Prefect's pages start: a build, a refresh, a training.

Parameters are plain text and numbers; Prefect's form shows their docstrings. The manifests on disk
decide which work is done: a run that Prefect has no record of is continued all the same.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import Flow, flow
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from webtext.flows.building.hooks import Hooks
from webtext.flows.building.run_build import run_steps
from webtext.flows.building.samples import report_of
from webtext.flows.building.settings import load
from webtext.flows.building.terminal import say
from webtext.flows.building.watched import EventLog, Watched
from webtext.flows.prefect import trust
from webtext.flows.prefect.api import AUTH, Api
from webtext.flows.prefect.home import URL
from webtext.flows.prefect.recorder import FLOW, name_of, recorded
from webtext.flows.prefect.tidy import kept_short
from webtext.pipeline.build import Build
from webtext.pipeline.core.directories.data_directory import holder_of, newest_of
from webtext.pipeline.core.directories.months import directories_of, snapshots
from webtext.pipeline.core.directories.places import REPORT
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import PARENT, die_with
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stores import working_copy

CORES = os.cpu_count() or 1
PATIENCE = 30.0  # s to send the last events of a run; nobody waits for a scheduled run
END_SECONDS = 3.0  # s for a command to end after SIGTERM, before it is killed
QUEUE_SECONDS = 2.0  # s between two checks whether the data directory is free
SAYING = ("prefect.flow_runs", "prefect.engine")  # Prefect's loggers of a run's errors
LOG = 20  # last lines of a command's output, which say why it failed

Workers = Annotated[int, Field(ge=1, le=1024)]
Timeout = Annotated[float | None, Field(gt=0, le=5200 * 604_800.0)]
Overlap = Literal["skip", "queue"]


def named() -> str:
    """Name a run after its recipe and month."""
    return name_of(str(flow_run.parameters.get("recipe", "")))


@flow(name=FLOW, flow_run_name=named, persist_result=False)
def build(
    recipe: str,
    data: str,
    workers: Workers = CORES,
    until: str | None = None,
    overrides: list[str] | None = None,
    directory: str | None = None,
    timeout: Timeout = None,
    overlap: Overlap = "skip",
) -> State[Any] | None:
    """Make every directory, from the links to the tokens, that is not complete yet.

    Args:
        recipe: A recipe's file, as an absolute path, or the name of one that comes with webtext.
        data: The data directory, as an absolute path.
        workers: Worker processes; they change no byte of the output.
        until: Stop after this step; empty: go the whole way.
        overrides: Lines of TOML laid over the recipe, such as rules.words.enabled = false.
        directory: Where the recipe's relative paths begin, as an absolute path.
        timeout: Seconds after which a run is stopped; the next one goes on from there.
        overlap: What falls due while a run is at work: skipped, or one of it waits (queue).
    """
    trust.check(recipe, data, overrides or [], directory)
    with begun(data, overlap) as free:
        if not free:
            return skipped(data)
        api, run = server(), str(flow_run.id)
        asked = Build(load(recipe, overrides or []), Path(data))
        with recorded(asked, lambda: api, PATIENCE, run) as watched:
            facts = {"recipe": recipe, "data": data, "until": until}
            with watched.whole(timeout, **facts, workers=workers, overrides=overrides):
                planned = asked.plan(until)
                whole = all(step.finished for step in planned)
                run_steps(planned, asked.data, workers, watched.step, watched.tell)
                if not whole and report_of(asked.made(), asked.data / REPORT):
                    if copy := working_copy.of(asked.data):
                        copy.publish(asked.data / REPORT)
                    watched.tell("report_written", path=str(asked.data / REPORT))
    return None


@flow(name="webtext-refresh", flow_run_name=named, persist_result=False)
def refresh(
    recipe: str,
    data: str,
    workers: Workers = CORES,
    overrides: list[str] | None = None,
    directory: str | None = None,
    timeout: Timeout = None,
    overlap: Overlap = "skip",
) -> State[Any] | None:
    """Ask the hosts whether their pages have changed since, and archive those that have.

    Args:
        recipe: A recipe's file, as an absolute path, or the name of one that comes with webtext.
        data: The data directory, as an absolute path.
        workers: Worker processes; they change no byte of the output.
        overrides: Lines of TOML laid over the recipe, such as rules.words.enabled = false.
        directory: Where the recipe's relative paths begin, as an absolute path.
        timeout: Seconds after which a run is stopped; the next one goes on from there.
        overlap: What falls due while a run is at work: skipped, or one of it waits (queue).
    """
    trust.check(recipe, data, overrides or [], directory)
    with begun(data, overlap) as free:
        if not free:
            return skipped(data)
        lines = [part for line in overrides or [] for part in ("--set", line)]
        words = ["refresh", recipe, "--data", data, "--workers", str(workers), *lines]
        run_command(words, Path(data), timeout, recipe)
    return None


@flow(name="webtext-train", flow_run_name=named, persist_result=False)
def train(
    recipe: str,
    data: str,
    overrides: list[str] | None = None,
    directory: str | None = None,
    timeout: Timeout = None,
    overlap: Overlap = "skip",
) -> State[Any] | None:
    """Train on the newest tokens of a data directory; tokens that were trained on are left alone.

    The run's directory is DATA/runs/RECIPE-TOKENS.

    Args:
        recipe: A recipe's file, as an absolute path, or the name of one that comes with webtext.
        data: The data directory, as an absolute path.
        overrides: Lines of TOML laid over the recipe, such as rules.words.enabled = false.
        directory: Where the recipe's relative paths begin, as an absolute path.
        timeout: Seconds after which a run is stopped; the next one goes on from there.
        overlap: What falls due while a run is at work: skipped, or one of it waits (queue).
    """
    trust.check(recipe, data, overrides or [], directory)
    with begun(None, overlap):
        tokens = newest_tokens(Path(data))
        place = Path(data) / "runs" / f"{Path(recipe).stem}-{tokens.name}"
        lines = [part for line in overrides or [] for part in ("--set", line)]
        words = ["train", recipe, "--tokens", str(tokens.path), "--run", str(place), *lines]
        run_command(words, Path(data), timeout, recipe)
    return None


FLOWS: dict[str, Flow[..., Any]] = {"build": build, "refresh": refresh, "train": train}


def newest_tokens(data: Path) -> Directory:
    """Return the newest complete tokens of a data directory.

    After a refresh or during a build, the newest command has made none; then it is those of the
    newest snapshot that has some.

    Raises:
        UserError: there are none yet.
    """
    try:
        return newest_of(data, "tokens")
    except UserError:
        for snapshot in reversed(snapshots(data)):
            if tokens := directories_of(data, snapshot.name).get("tokens"):
                return tokens
        raise


class OneLine(logging.Filter):
    """Takes the traceback from errors that say in one line what to do: they are no bugs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (UserError, PipelineError)):
            record.exc_info = record.exc_text = None
        return True


def server() -> Api | None:
    """Return the server that started this run."""
    return Api(os.environ[URL], os.environ.get(AUTH)) if URL in os.environ else None


@contextmanager
def begun(data: str | None, overlap: str) -> Iterator[bool]:
    """Prepare the process of a run; tell whether the data directory is free, and wait if asked to.

    The parent of this process is watched, because without it nobody would end this process. Our
    runner says which one it is: it may have ended while this process imported Prefect.
    """
    parent = int(os.environ.pop(PARENT, os.getppid()))
    threading.Thread(target=die_with, args=(parent,), daemon=True).start()
    for name in SAYING:
        logging.getLogger(name).addFilter(OneLine())
    with kept_short(server(), str(flow_run.id), 1 if overlap == "queue" else 0):
        while overlap == "queue" and data and holder_of(Path(data)):
            time.sleep(QUEUE_SECONDS)
        yield not (data and holder_of(Path(data)))


def skipped(data: str) -> State[Any]:
    """Return the state of a run that did nothing because another one was working."""
    return Completed(name="Skipped", message=f"{data} is held by {holder_of(Path(data))}")


def run_command(words: Sequence[str], data: Path, timeout: float | None, recipe: str) -> None:
    """Run a webtext command in a process of its own, and log its output.

    Raises:
        UserError: the command reports an error that the user can correct; its last line says which.
        PipelineError: it failed otherwise, or its time was over.
    """
    logger = get_run_logger()
    watched = Watched([EventLog(data, str(flow_run.id)), Hooks(say)], say)
    with watched.whole(timeout, recipe=recipe, data=str(data), command=words[0]):
        command = [sys.executable, "-P", "-m", "webtext", *words]
        environment = {**os.environ, PARENT: str(os.getpid())}
        last: list[str] = []
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    logger.info(line.rstrip())
                    last = [*last, line.strip()][-LOG:]
            except BaseException:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
                process.kill()
                raise
        if process.returncode:
            why = next((line for line in reversed(last) if line), "no reason given")
            kind = UserError if process.returncode == 2 else PipelineError
            raise kind(f"webtext {words[0]} ended with exit code {process.returncode}: {why}")
