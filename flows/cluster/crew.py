"""Who does items: the workers of a Dask cluster that are alive, and fit for this build.

A new worker is looked at before its first item: whether its versions are the client's, whether it
sees the same directories, or reaches the store where they are, and whether it has one thread.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from webtext.flows.cluster import on_worker
from webtext.flows.cluster.by_store import Exchange
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import POLL_SECONDS

CONNECT_SECONDS = 5.0  # for a scheduler to answer
LOOK_SECONDS = 1.0  # between two looks at who is there

Say = Callable[[str], None]
RUN, LOOK, STOP, SWEEP = on_worker.by_value()


class Crew:
    """The workers of a Dask cluster."""

    def __init__(
        self,
        client: Any,
        threads: int,
        mark: Path,
        ours: bool,
        exchange: Exchange | None = None,
    ) -> None:
        self.client = client
        self.threads = threads  # of this machine, for what the steps do in this process
        self.mark = mark
        self.ours = ours  # the cluster was started here, and ends here
        self.exchange = exchange  # with workers that share nothing but a store
        self.place = Path.cwd()
        self.identity = on_worker.identity()
        self.alive: dict[str, Any] = {}  # by address, what the scheduler tells of each worker
        self.fit: dict[str, str] = {}  # those that were looked at, and their processes' names
        self.looked = 0.0
        self.say: Say = lambda _words: None

    def show(self, say: Say) -> None:
        """Say who is there, with how much memory; refuse those who differ.

        Raises:
            UserError: as `check`; or there is no worker.
        """
        self.say = say
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.ready() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        address = self.client.scheduler.address
        if not self.fit:
            raise UserError(f"{address}: has no worker; start some by: dask worker {address}")
        limits = Counter(self.alive[one]["memory_limit"] for one in self.fit if one in self.alive)
        memory = ", ".join(
            f"{n} of {limit / 1e9:,.1f} GB" if limit else f"{n} without a limit of memory"
            for limit, n in sorted(limits.items(), key=lambda item: item[0] or 0)
        )
        say(f"Dask at {address}: workers: {memory}; dashboard: {self.client.dashboard_link}")

    def ready(self) -> list[str]:
        """Return the addresses of the workers that take items, of those alive now.

        Raises:
            UserError: as `check`.
            PipelineError: the scheduler is gone.
        """
        if time.monotonic() - self.looked > LOOK_SECONDS:
            try:
                self.alive = self.client.scheduler_info(n_workers=-1)["workers"]
            except Exception as error:  # noqa: BLE001 -- whatever it is, nobody is told of workers
                raise gone(error) from None
            self.looked = time.monotonic()
            self.fit = {one: self.fit[one] for one in self.fit if one in self.alive}
            if new := [one for one in self.alive if self.running(one) and one not in self.fit]:
                self.check(new)
        return [one for one in self.alive if one in self.fit and self.running(one)]

    def running(self, address: str) -> bool:
        """Whether a worker begins what it is given: one that lacks memory is paused."""
        return bool(self.alive[address]["status"] == "running")

    def check(self, addresses: list[str]) -> None:
        """Look at workers before their first item.

        Raises:
            UserError: one has other versions or several threads, or does not see the directories.
        """
        found = self.client.run(
            LOOK,
            str(self.mark),
            str(self.place),
            self.ours,
            str(self.exchange.copy.store.address) if self.exchange else "",
            workers=addresses,
            on_error="return",
        )
        for address in addresses:
            seen = found.get(address)
            if seen is None or isinstance(seen, Exception):
                continue  # it has died, or is only coming; it is looked at again
            identity, process = (seen, "") if isinstance(seen, str) else seen
            if wrong := differs(f"worker {address}", identity, self.identity):
                raise UserError(wrong)
            if (threads := self.alive[address]["nthreads"]) != 1:
                raise UserError(
                    f"worker {address}: has {threads} threads, wanted 1, as items share a process; "
                    f"start it by: dask worker --nworkers {threads} --nthreads 1 ..."
                )
            self.fit[address] = process


def gone(error: BaseException) -> PipelineError:
    """Return the error that the scheduler does not answer any more."""
    said = " ".join(str(error).split()) or type(error).__name__
    return PipelineError(
        f"the Dask scheduler does not answer any more ({said}); what is finished is kept: run the "
        "same command again"
    )


def differs(worker: str, found: Any, wanted: dict[str, str]) -> str:
    """Return in what a worker differs from this process, "" if in nothing.

    >>> differs("worker tcp://a:1", {"numpy": "2.0"}, {"numpy": "2.1"})
    'worker tcp://a:1: has numpy 2.0, and this process 2.1; install the same on both'
    """
    if isinstance(found, str):
        return (
            f"{worker}: {found}; it must have the same webtext, and see the data directory or "
            "reach its store"
        )
    wrong = [
        f"{name} {found.get(name)}, and this process {wanted[name]}"
        for name in wanted
        if found.get(name) != wanted[name]
    ]
    return f"{worker}: has {'; '.join(wrong)}; install the same on both" if wrong else ""
