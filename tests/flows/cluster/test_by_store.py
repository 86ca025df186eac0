"""A build by workers that share nothing with it but an object store: the same bytes as local."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.flows.conftest import environment, webtext
from tests.flows.test_store_whole_way import Machine, content, local
from tests.other_stores import KINDS
from tests.pipeline.core.test_pool import wait_until
from webtext.flows.cluster.by_store import Exchange
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.store_parts import PARTS, Done, Written
from webtext.pipeline.core.stores.working_copy import WorkingCopy

CLI = [sys.executable, "-m", "distributed.cli"]
STEPS = ("links", "documents", "paragraphs", "signatures", "duplicates", "corpus", "tokens")


def hides() -> bool:
    """Whether a process of ours may see another file system than the rest of this machine."""
    if not shutil.which("unshare"):
        return False
    return (
        subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0
    )


def address_in(told: Path) -> str:
    """Wait for a scheduler's file, which is there before all of it is written."""

    def written() -> bool:
        with suppress(FileNotFoundError, ValueError):
            return "address" in json.loads(told.read_text())
        return False

    wait_until(written)
    return json.loads(told.read_text())["address"]


class Cluster:
    """A scheduler, and machines with one worker each that cannot see the client's folder."""

    def __init__(self, cloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self.client = folder / "client"
        self.client.mkdir()
        self.told = folder / "scheduler.json"
        self.machines: list[subprocess.Popen] = []

    def start(self, name: str, command: list[str], hidden: bool = False) -> subprocess.Popen:
        home = self.folder / name
        home.mkdir()
        if hidden and hides():
            inside = f'mount -t tmpfs none "{self.client}" && exec "$@"'
            command = ["unshare", "-rm", "sh", "-c", inside, "sh", *command]
        process = subprocess.Popen(
            command,
            env={**environment(), **self.cloud.environment, "WEBTEXT_STORES": str(home / "stores")},
            cwd=home,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.machines.append(process)
        return process

    def worker(self, name: str) -> subprocess.Popen:
        address_in(self.told)
        command = [*CLI[:2], f"{CLI[2]}.dask_worker", "--scheduler-file", str(self.told)]
        more = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        return self.start(name, [*command, *more], hidden=True)

    @property
    def address(self) -> str:
        return address_in(self.told)

    def left(self, name: str) -> list[str]:
        """Return the files that a machine still has of a build."""
        return [str(path) for path in (self.folder / name / "stores").rglob("*") if path.is_file()]


@contextmanager
def cluster(cloud, folder: Path):
    folder.mkdir()
    made = Cluster(cloud, folder)
    base = [*CLI[:2], f"{CLI[2]}.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    try:
        made.start("scheduler", [*base, "--scheduler-file", str(made.told), "--no-dashboard"])
        yield made
    finally:
        for process in made.machines:
            end(process)


def end(process: subprocess.Popen) -> None:
    """End a machine as a power failure does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


WORDS = ["--set", "paragraphs.enabled = true", "--set", "links.remember = false"]


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def made_locally(small_web, tmp_path_factory) -> dict[str, bytes]:
    data = tmp_path_factory.mktemp("local") / "data"
    words = ["build", "demo", "--data", data, "--no-prefect", *small_web.options, *WORDS]
    done = webtext(*words)
    assert done.returncode == 0, done.stderr
    return local(data)


def build(made: Cluster, cloud, address: str, web, *words: str) -> list[str | Path]:
    return [
        "build", "demo", "--data", address, "--no-prefect", "--runner", "dask",
        "--address", made.address, *web.options, *WORDS, *words,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_machines_that_share_only_a_store_give_the_same_bytes(
    made_locally, small_web, cloud, tmp_path
):
    address = f"{cloud.place()}/data"
    with cluster(cloud, tmp_path / "cluster") as made:
        for name in ("first", "second"):
            made.worker(name)
        client = Machine(cloud, made.client)
        begun = time.monotonic()
        done = client.run(*build(made, cloud, address, small_web))
        assert done.returncode == 0, done.stderr
        print(f"by two machines: {time.monotonic() - begun:.1f} s\n{done.stderr}")
        assert "lies on this machine alone" in done.stderr  # the dump
        assert made.left("first") == made.left("second") == []
    assert content(address) == made_locally
    assert ObjectStore(parse(address)).keys(PARTS) == {}
    assert client.run("verify", address).returncode == 0


def test_a_file_that_the_build_alone_reads_goes_from_the_store_once_it_is_here(cloud, tmp_path):
    store = ObjectStore(parse(f"{cloud.place()}/data"))
    exchange = Exchange(WorkingCopy(tmp_path, store))
    names = ["pages-0/parts/1of2/00000.warc.gz@0@1a", "pages-0/parts/1of2/1a.sqlite"]
    for name in names:
        store.put(f"{PARTS}/{exchange.run}/{name}", b"x")
    sent = [Written(name, hashlib.sha256(b"x").hexdigest(), 1) for name in names]
    assert exchange.take(Done("said", sent)) == (True, "said")
    assert [(tmp_path / name).read_bytes() for name in names] == [b"x", b"x"]
    assert [*store.keys(PARTS)] == [f"{PARTS}/{exchange.run}/{names[1]}"]


def begun(cloud, step: str) -> bool:
    """Whether a worker has sent a file of a step, so that it has not told of that item yet."""
    return any(PARTS in key and step in key for key in list(cloud.faults.puts))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lost_machine_and_a_failing_store_change_no_byte(
    made_locally, small_web, cloud, tmp_path
):
    address = f"{cloud.place()}/data"
    cloud.faults.share, cloud.faults.cut_share, cloud.faults.cut_answers = 0.05, 0.05, 3
    with cluster(cloud, tmp_path / "cluster") as made:
        machines = {name: made.worker(name) for name in ("first", "second")}
        client = Machine(cloud, made.client)
        with client.start(*build(made, cloud, address, small_web)) as process:
            wait_until(lambda: process.poll() is not None or begun(cloud, "documents-"), 300)
            end(machines["first"])
            err = process.communicate(timeout=900)[1]
        assert process.returncode == 0, err
        assert "was lost; what it did is done again" in err
    assert content(address) == made_locally
    assert cloud.faults.count["failed"] > 20
    assert cloud.faults.count["cut uploads"] > 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_machine_that_is_lost_while_it_crawls_costs_its_slice(
    made_locally, small_web, cloud, tmp_path
):
    address = f"{cloud.place()}/data"
    with cluster(cloud, tmp_path / "cluster") as made:
        machines = {name: made.worker(name) for name in ("first", "second")}
        client = Machine(cloud, made.client)
        slow = ["--set", "crawl.delay = 0.3", "--set", "crawl.max_delay = 0.5"]
        with client.start(*build(made, cloud, address, small_web, *slow)) as process:
            wait_until(lambda: process.poll() is not None or crawling(tmp_path / "cluster"), 300)
            end(machines["first"])
            err = process.communicate(timeout=900)[1]
        assert process.returncode == 0, err
        assert "was lost; what it did is done again: part " in err
        assert made.left("second") == []
    assert content(address) == made_locally
    assert client.run("verify", address).returncode == 0


BRIEFLY = """
import sys
from webtext.flows.commands.command_line import main
from webtext.pipeline.crawl.division import slices
slices.SECONDS = 6.0  # of a web whose slowest page ends after 3 s
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crawl_of_many_slices_by_machines_that_share_a_store_has_the_same_bytes(
    made_locally, small_web, cloud, tmp_path
):
    address = f"{cloud.place()}/data"
    with cluster(cloud, tmp_path / "cluster") as made:
        for name in ("first", "second"):
            made.worker(name)
        slow = ["crawl.delay = 0.3", "crawl.max_delay = 0.3", "crawl.delay_per_ip = 0"]
        words = build(made, cloud, address, small_web, *(w for one in slow for w in ("--set", one)))
        done = subprocess.run(
            [sys.executable, "-c", BRIEFLY, *map(str, words)],
            env=Machine(cloud, made.client).environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
    assert done.returncode == 0, done.stderr
    handed_in = [key for key in cloud.faults.puts if PARTS in key and key.endswith(".sqlite")]
    print(f"{len(handed_in)} slices")
    assert len(handed_in) > 4
    assert content(address) == made_locally


def crawling(folder: Path) -> bool:
    """Whether both machines have written pages."""
    return all(
        any(path.stat().st_size > 5_000 for path in (folder / name).rglob("*-p*of2.warc.gz"))
        for name in ("first", "second")
    )


@pytest.mark.parametrize("kind_of_store", ["s3"])  # the others had the small web
@pytest.mark.slow  # 6,394 pages, read twice
@pytest.mark.timeout(1800)
def test_the_mini_web_in_a_store_gives_the_same_bytes_by_two_machines(cloud, tmp_path, shared):
    place = cloud.place()
    for path in sorted((shared / "miniweb").glob("*.warc.zst")):
        ObjectStore(parse(place)).put_whole(path.name, path)
    sources = f"pages.warc = ['{place}/*.warc.zst']"
    words = ["build", "webtext", "--no-prefect", "--set", sources]
    begun = time.monotonic()
    done = Machine(cloud, tmp_path / "alone").run(*words, "--data", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    print(f"on one machine: {time.monotonic() - begun:.1f} s\n{done.stderr}")
    address = f"{place}/data"
    with cluster(cloud, tmp_path / "cluster") as made:
        for name in ("first", "second"):
            made.worker(name)
        more = ["--data", address, "--runner", "dask", "--address", made.address]
        begun = time.monotonic()
        done = Machine(cloud, made.client).run(*words, *more)
        assert done.returncode == 0, done.stderr
        print(f"by two machines: {time.monotonic() - begun:.1f} s\n{done.stderr}")
    found = content(address)
    assert found == local(tmp_path / "data")
    assert sum(map(len, found.values())) > 20_000_000
