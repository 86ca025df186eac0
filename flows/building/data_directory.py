"""The data directory: who holds it, and which of its directories are the newest whole ones."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.json_files import names_in
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.insight.report import AGAIN, STAGES


def latest(data: Path, name: str) -> Directory:
    """Return the newest whole directory of a step.

    Raises:
        UserError: there is none yet.
    """
    if name not in STAGES:
        raise UserError(f"{name}: no such stage; there are {', '.join(STAGES)}")
    try:
        names = names_in(data / "latest.json", AGAIN)
        return Directory(data / names[name])
    except (FileNotFoundError, KeyError):
        raise UserError(
            f"{data}: no whole {name} directory yet; make one with: webtext build RECIPE "
            f"--data {data} --until {name}"
        ) from None


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
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{data}: cannot be written to ({error.strerror})") from error
