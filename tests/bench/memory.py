"""Peak memory of a process and all that it starts. Linux only."""

import os
import threading
from pathlib import Path
from typing import Self


class Memory(threading.Thread):
    """Watches resident memory ten times a second until it is left."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.peak = 0
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def run(self) -> None:
        while not self.over.wait(0.1):
            self.peak = max(self.peak, resident(self.process))


def resident(process: int) -> int:
    """Return the resident bytes; pages that processes share count once each."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = {int(pid) for task in tasks for pid in (task / "children").read_text().split()}
    except OSError:  # it ended meanwhile
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident, children))
