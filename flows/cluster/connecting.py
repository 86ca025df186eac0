"""Connect to a Dask scheduler, or start one with workers on this machine.

Functions are sent to the scheduler that the user named, or to one of this process's own: on
loopback, and locked, so that no other user of this machine can send it any.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from webtext.flows.cluster.by_store import Exchange
from webtext.flows.cluster.crew import CONNECT_SECONDS, SWEEP, Say
from webtext.flows.cluster.dask_runner import END_SECONDS, NOBODY_SECONDS, DaskRunner
from webtext.pipeline.core.directories.distribution import lacking
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.pool import deaf_children
from webtext.pipeline.core.stores import working_copy


@contextmanager
def opened(address: str | None, workers: int, data: Path, say: Say) -> Iterator["DaskRunner"]:
    """Give a runner: of the cluster at `address`, or of one that is started here and ends here.

    Raises:
        UserError: Dask is not installed; nobody answers at the address; a worker differs.
    """
    try:
        import distributed
    except ModuleNotFoundError:
        raise UserError(f"--runner dask {lacking('distributed')}") from None
    data.mkdir(parents=True, exist_ok=True)
    mark = data.absolute() / f".cluster-{uuid4().hex[:8]}"  # who shares the directory sees it
    with warnings.catch_warnings(), _clients(distributed, address, workers) as client:
        mark.touch()
        # Workers of this machine see its working copy; others have the store alone.
        copy = working_copy.of(data) if address else None
        exchange = Exchange(copy) if copy else None
        try:
            runner = DaskRunner(client, workers, mark, address is None, exchange)
            runner.show(say)
            yield runner
        finally:
            mark.unlink(missing_ok=True)
            if exchange:
                exchange.close()
                with suppress(Exception):
                    client.run(SWEEP, exchange.run, on_error="ignore")


@contextmanager
def _clients(distributed: Any, address: str | None, workers: int) -> Iterator[Any]:
    """Give a client, and at the end close it and what was started for it."""
    warnings.simplefilter("ignore")  # of other versions of others' libraries, and of shutdown
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told by the runner
    cluster = None
    try:
        if address is None:
            with deaf_children():  # Ctrl-C is the client's; its workers end with it
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    # Keys of this process alone: no other user of this machine can send functions.
                    security=distributed.Security.temporary(),
                    silence_logs=logging.CRITICAL,
                )
        try:
            seconds = CONNECT_SECONDS if cluster is None else NOBODY_SECONDS  # a busy machine's
            client = distributed.Client(cluster or address, timeout=seconds)
        except (OSError, ValueError, TypeError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"--address {address}: no Dask scheduler answers there ({said}); wanted such as "
                "tcp://host:8786, where `dask scheduler` runs"
            ) from None
        try:
            yield client
        finally:
            with suppress(Exception):
                client.close(timeout=END_SECONDS)
    finally:
        if cluster is not None:
            with suppress(Exception):
                cluster.close(timeout=END_SECONDS)
