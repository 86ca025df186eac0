"""A Dask cluster of one worker, which the tests of this folder share: it takes 2 s of CPU."""

import subprocess
import sys

import pytest

from tests.flows.conftest import environment
from webtext.flows.cluster.connecting import opened


@pytest.fixture(scope="package")
def heard():
    return []


@pytest.fixture(scope="package")
def runner(tmp_path_factory, heard):
    """A worker on loopback, which many tests share."""
    with opened(None, 1, tmp_path_factory.mktemp("cluster") / "data", heard.append) as found:
        yield found


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, as users start them; gives its address."""
    from tests.flows.cluster.test_by_store import address_in

    told = tmp_path / "scheduler.json"
    base = [sys.executable, "-m", "distributed.cli"]
    options = {"env": environment(), "cwd": tmp_path, "stderr": subprocess.DEVNULL}
    start = [f"{base[2]}.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = [*base[:2], *start, "--scheduler-file", str(told), "--no-dashboard"]
    with subprocess.Popen(scheduler, **options) as first:
        address = address_in(told)
        worker = [*base[:2], f"{base[2]}.dask_worker", "--scheduler-file", str(told)]
        more = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        with subprocess.Popen([*worker, *more], **options) as second:
            yield address
            second.terminate()
        first.terminate()
