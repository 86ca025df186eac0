"""A `webtext` command one of whose workers dies while it holds the lock of the progress.

It dies at its next report of progress after the file that `WEBTEXT_CHAOS_DIE` names was made; the
file is then gone, so that it happens once.
"""

import os
import signal
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from webtext.pipeline.core import pool

DIE = "WEBTEXT_CHAOS_DIE"
COMMAND = "from tests.chaos.holding import main; main()"
start_worker = pool._start_worker


def arm(counter: "Synchronized[int]", parent: int) -> None:
    """Start a worker whose reports of progress may be its last; it imports its work later."""
    start_worker(counter, parent)
    mark = Path(os.environ[DIE])

    def tick(units: int) -> None:
        with counter.get_lock():
            try:
                mark.unlink()
            except FileNotFoundError:
                counter.value += units
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    pool.tick = tick


def main() -> None:
    """Run the command of the arguments."""
    from webtext.flows.commands.command_line import main as command

    pool._start_worker = arm
    command()
