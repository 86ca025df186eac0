"""A crawl in parts by Dask's workers: as polite as one crawl, the same pages, whoever is lost."""

import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.flows.cluster.test_dask_runner import children
from tests.flows.conftest import command, environment, webtext
from tests.flows.test_store_whole_way import local
from tests.pipeline.core.test_pool import alive, wait_until
from tests.pipeline.crawl.fakes import links
from tests.pipeline.crawl.survival import Server, conserved
from tests.pipeline.crawl.test_divided import fates, without_attempts
from webtext.flows.building.settings import load
from webtext.flows.cluster.connecting import opened
from webtext.flows.cluster.dask_runner import Told
from webtext.pipeline.build import Build
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.crawl.engine import crawl
from webtext.pipeline.crawl.frontier import schema
from webtext.pipeline.crawl.frontier.frontier import Frontier, LockedError
from webtext.pipeline.crawl.settings import Crawl

DELAY = 0.3  # s between requests to a host
PAUSE = 1.6  # s between requests to an address, by all parts together
PARTS = 2


def urls(port: int) -> list[list[str]]:
    """Return links to hosts that have one address, which each part asks."""
    return [
        [f"http://h{i}.localhost:{port}/{j}" for i in range(s, 36, 3) for j in range(2 + i % 5)]
        for s in range(3)
    ]


def settings(port: int, pause: float = PAUSE) -> Crawl:
    return Crawl(
        contact="test",
        delay=DELAY,
        max_delay=DELAY,
        delay_per_ip=pause,
        latency_factor=0,
        backoff=DELAY,
        ports=(port,),
        allow_private=True,
    )


@contextmanager
def killing(runner, due):
    """Kill one of two workers once it is `due`; give the pids of those that were killed."""
    killed, stop = [], threading.Event()

    def kill() -> None:
        while not stop.is_set() and not killed:
            if due():
                (pid,) = runner.client.run(os.getpid, workers=sorted(runner.alive)[:1]).values()
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as beside:
        watch = beside.submit(kill)
        try:
            yield killed
        finally:
            stop.set()
            watch.result()


def polite(server: Server) -> None:
    for times in server.log.values():
        assert min((b - a for a, b in pairwise(times)), default=1) >= DELAY
    every = sorted(time for times in server.log.values() for time in times)
    assert min(b - a for a, b in pairwise(every)) >= PAUSE


def test_two_parts_of_one_worker_fetch_what_one_crawl_fetches(runner, tmp_path):
    shown = []
    with Server() as server:
        every = [shard[:9] for shard in urls(server.port)]
        quick = replace(settings(server.port), delay=0.02, delay_per_ip=0, backoff=0.02)
        alone = crawled(tmp_path / "alone", every, quick, server)
        divided = replace(quick, parts=PARTS)
        found = crawled(tmp_path / "parts", every, divided, server, runner, shown)
    assert found == alone
    assert shown[-1][:2] == (27, 27)
    assert any(re.match(r"2 parts: (.*, )?\d+ kept", note) for *_, note in shown)


def crawled(folder, every, settings, server, workers=1, shown=None):
    """Crawl, and return what became of each link."""
    server.log.clear()
    server.times.clear()
    made, out = links(folder / "links", *every), Directory(folder / "pages")
    out.path.mkdir()
    told = [] if shown is None else shown
    crawl(settings, made, out, workers, lambda *args: told.append(args))
    assert not (out.path / schema.PARTS).exists()
    return fates(conserved(folder, every))


def test_losses_do_not_count_against_an_item_that_gets_further():
    told = Told(lasting=str)
    blamed = []
    for done in (5, 9, 9, 4, 10):
        told.hear((0.0, {"about": 1, "done": done, "figures": {"kept": done}}))
        blamed.append(told.lost(1))
    assert blamed == [False, False, True, True, False]
    assert (told.units(), told.note()) == (0, "{}")
    short = Told()
    short.hear((0.0, {"about": 1, "done": 5, "figures": {}}))
    assert short.lost(1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_ask_as_politely_as_one_and_a_killed_one_is_taken_up(tmp_path):
    said = []
    with Server() as server, opened(None, PARTS, tmp_path / "data", said.append) as runner:
        every = [shard[:12] for shard in urls(server.port)]
        total = sum(map(len, every))
        quick = replace(settings(server.port), delay=0.01, delay_per_ip=0, backoff=0.01)
        alone = crawled(tmp_path / "alone", every, quick, server)
        usual = Counter(server.times)
        server.asked = 0
        with killing(runner, lambda: server.asked > total // 3) as killed:
            found = crawled(tmp_path / "parts", every, settings(server.port), server, runner)
        again = Counter(server.times) - usual
    assert killed
    assert any("was lost; what it did is done again: part " in line for line in said), said
    assert without_attempts(found) == without_attempts(alone)
    polite(server)
    pages = {url: times for url, times in again.items() if not url.endswith("/robots.txt")}
    print(f"{sum(usual.values())} requests by one crawl; more after a kill: {pages}")
    assert sum(pages.values()) <= 12  # what was in flight, or not written for 0.2 s


RECIPE = [
    "--set",
    "crawl.delay = 0.2",
    "--set",
    "crawl.max_delay = 0.5",
    "--set",
    "crawl.latency_factor = 0",
]


@pytest.fixture(scope="module")
def by_one(small_web, tmp_path_factory):
    """What one machine makes of the web of this machine."""
    data = tmp_path_factory.mktemp("one") / "data"
    done = webtext("build", "demo", "--data", data, "--no-prefect", *small_web.options)
    assert done.returncode == 0, done.stderr
    return data


def same(one, other) -> None:
    """Check that two builds have the same bytes, and the same funnel."""
    wanted = local(one)
    assert local(other) == wanted
    assert sum(map(len, wanted.values())) > 100_000
    assert Build(None, other).funnel() == Build(None, one).funnel()
    done = webtext("verify", other)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_build_whose_crawl_loses_a_worker_has_the_bytes_of_one_machine(
    small_web, by_one, tmp_path
):
    data, said = tmp_path / "data", []
    lines = [*small_web.options[1::2], *RECIPE[1::2], "crawl.parts = 3"]
    with (
        opened(None, 2, data, said.append) as runner,
        killing(runner, lambda: written(data) > 20_000) as killed,
    ):
        Build(load("demo", lines), data).run(workers=runner)
    assert killed
    assert any("was lost; what it did is done again: part " in line for line in said)
    same(by_one, data)


def written(data) -> int:
    """Return how many bytes the parts of a crawl have written."""
    return sum(path.stat().st_size for path in data.glob("pages-*/*-p*of*.warc.gz"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_ends_all_parts_in_seconds_and_any_number_of_parts_goes_on(
    small_web, by_one, tmp_path
):
    data = tmp_path / "data"
    asked = ["build", "demo", "--data", data, "--no-prefect", "--runner", "dask"]
    asked += [*small_web.options, *RECIPE]
    with subprocess.Popen(
        command(*asked, "--workers", "2"), env=environment(), stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        wait_until(lambda: written(data) > 20_000)
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        begun = time.monotonic()
        said = process.communicate(timeout=200)[1]
        print(f"ended after {time.monotonic() - begun:.1f} s")
    assert process.returncode == 130, said
    assert "Traceback" not in said
    wait_until(lambda: not any(alive(worker) for worker in workers))
    before = {path: path.read_bytes() for path in data.glob("pages-*/*.warc.gz")}
    done = webtext(*asked, "--workers", "1", "--set", "crawl.parts = 5")
    assert done.returncode == 0, done.stderr
    assert all(path.read_bytes().startswith(content) for path, content in before.items())
    assert "5 parts: " in done.stderr
    same(by_one, data)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_parts_of_a_command_that_is_killed_end_and_are_taken_up(
    cluster, small_web, by_one, tmp_path
):
    data = tmp_path / "data"
    asked = ["build", "demo", "--data", data, "--no-prefect", "--runner", "dask"]
    asked += ["--address", cluster, *small_web.options, *RECIPE]
    with subprocess.Popen(
        command(*asked), env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_until(lambda: written(data) > 20_000)
        os.killpg(process.pid, signal.SIGKILL)
    begun = time.monotonic()
    wait_until(lambda: free(data), 60)
    print(f"the parts had ended after {time.monotonic() - begun:.1f} s")
    size = written(data)
    time.sleep(2)
    assert written(data) == size
    done = webtext(*asked)
    assert done.returncode == 0, done.stderr
    same(by_one, data)


def free(data) -> bool:
    """Whether no worker has the frontier of a part open."""
    paths = list(data.glob(f"pages-*/{schema.PARTS}/*/{schema.NAME}"))
    assert paths
    for path in paths:
        try:
            Frontier(path).close()
        except LockedError:
            return False
    return True
