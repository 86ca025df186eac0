"""Fixtures that all tests may ask for."""

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

# Before Prefect is imported anywhere: never the developer's own server, database or analytics.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="webtext-prefect-")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
os.environ.pop("PREFECT_API_URL", None)
# And never a server that `webtext serve` keeps for the developer.
os.environ["XDG_STATE_HOME"] = os.environ["PREFECT_HOME"]
# The tests take a process a core: torch's own threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import orjson
import pytest
import zstandard

from tests.samples.where import AT_HAND, WHOLE

atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)

# A loaded machine is slow, not wrong; the same examples every time, so that a failure is a change.
hypothesis.settings.register_profile("webtext", deadline=None, derandomize=True)
hypothesis.settings.load_profile("webtext")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name binary parameters by their place: gzip writes the time of day into its bytes.

    The processes that share a run must find the same names.
    """
    return argname if isinstance(val, bytes) and not val.isascii() else None


OWN_DISK = ["unshare", "--user", "--map-root-user", "--mount"]  # no right of root is needed


@pytest.fixture
def own_disk(tmp_path):
    """The command before one that mounts a disk for itself; skips where that is not allowed."""
    (tmp_path / "try").mkdir()
    mount = ["mount", "-t", "tmpfs", "none", str(tmp_path / "try")]
    if (
        not shutil.which("unshare")
        or subprocess.run([*OWN_DISK, *mount], check=False, capture_output=True).returncode
    ):
        pytest.skip("this system lets nobody mount a disk of their own")
    return OWN_DISK


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch):
    """Write files as ever, without waiting until the disk has them."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside a developer's checkout, for what needs all of it."""
    if not WHOLE.is_dir():
        pytest.skip(f"needs all of the real data in {WHOLE}, most of which may not be handed on")
    return WHOLE


@pytest.fixture(scope="session")
def real() -> Path:
    """That folder, or else the samples of it that are part of the project."""
    return AT_HAND


@pytest.fixture(scope="session")
def real_pages(real) -> Path:
    """A WARC file of real pages in several languages: 460 of the news, or else 121 of manuals."""
    whole = real / "miniweb" / "news.warc.zst"
    return whole if whole.is_file() else real / "miniweb" / "sites.warc.zst"


@pytest.fixture(scope="session")
def texts(real) -> list[str]:
    """Documents that people wrote for the web: 1,385, or else 327."""
    with zstandard.open(real / "dedup" / "miniweb_texts.jsonl.zst", "rb") as file:
        return [orjson.loads(line)["text"] for line in file.read().splitlines()]


@pytest.fixture(scope="session")
def store_servers():
    """What gives the store of a kind on loopback, the same one for the whole session."""
    from tests.other_stores import of_kind

    with contextlib.ExitStack() as running:
        yield cache(lambda kind: running.enter_context(of_kind(kind)))


@pytest.fixture
def kind_of_store() -> str:
    """The kind that `cloud` is; modules that are tried against several set it anew."""
    return "s3"


@pytest.fixture
def cloud(store_servers, kind_of_store, monkeypatch, tmp_path):
    """A store with no fault yet, and this process set to use it and a cache of its own."""
    server = store_servers(kind_of_store)
    server.faults.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBTEXT_STORES", str(tmp_path / "stores"))
    from webtext.pipeline.core.stores import object_store, seen_objects

    seen_objects.client.cache_clear()  # each store begins to count its buckets at 1
    seen_objects.look_again()
    monkeypatch.setattr(object_store, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(object_store, "LONGEST_WAIT", 0.1)
    yield server
    server.faults.reset()


@pytest.fixture
def s3(cloud):
    """The same, of the kind that nothing else is said of."""
    return cloud
