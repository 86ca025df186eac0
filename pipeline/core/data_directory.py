"""The data directory: who holds it, and which of its directories are the newest whole ones."""

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, write_json

LATEST = "latest.json"  # the directory of each step that the newest build made or used


def step_of(directory: Directory) -> str:
    """Return the name of the step whose directory this is.

    >>> step_of(Directory(Path("data/links-1c0de5aa")))
    'links'
    """
    return directory.name.rpartition("-")[0]


def newest(data: Path) -> dict[str, Directory]:
    """Return the whole directories of the newest build, by the names of their steps.

    Raises:
        UserError: nothing has been built there.
    """
    try:
        names = json.loads((data / LATEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{data}: no {LATEST}, so nothing has been built there; run `webtext build`, or "
            "name another directory with --data"
        ) from None
    except ValueError as error:
        raise UserError(f"{data / LATEST}: not JSON ({error}); build again") from None
    found = {step: Directory(data / name) for step, name in names.items()}
    return {step: directory for step, directory in found.items() if directory.whole}


def newest_of(data: Path, step: str) -> Directory:
    """Return the newest whole directory of a step.

    Raises:
        UserError: there is none yet.
    """
    found = newest(data) if (data / LATEST).exists() else {}
    if step not in found:
        raise UserError(
            f"{data}: no whole {step} directory yet; make one with: webtext build RECIPE "
            f"--data {data} --until {step}"
        )
    return found[step]


def note_newest(data: Path, directories: Iterable[Directory]) -> None:
    """Let `latest.json` name those of these directories that are whole and lie in `data`."""
    path = data / LATEST
    here = [each for each in directories if each.whole and each.path.parent.samefile(data)]
    found = {step_of(each): each.name for each in here}
    if found and (not path.exists() or json.loads(path.read_text(encoding="utf-8")) != found):
        write_json(path, found)


@contextmanager
def locked(data: Path, wait: bool = False) -> Iterator[None]:
    """Hold the data directory, so that two builds never write the same files.

    `wait` is for what others hold for a short while only.

    Raises:
        UserError: another build holds it, or it cannot be written to.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        with (data / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise UserError(
                    f"{data}: another build is at work there; wait, or stop it"
                ) from None
            yield
    except PermissionError as error:
        raise UserError(f"{data}: cannot be written to ({error.strerror})") from error
