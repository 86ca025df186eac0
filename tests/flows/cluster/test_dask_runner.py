"""The items of a build by a real Dask cluster of this machine: the same bytes, whatever happens."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from tests.flows.building.test_growing import link, one
from tests.flows.conftest import command, environment, webtext
from tests.pipeline.core.test_pool import alive, die_always, die_once, fail, square, wait_until
from webtext.flows.building.settings import load
from webtext.flows.cluster import on_worker
from webtext.flows.cluster.connecting import opened
from webtext.flows.cluster.crew import differs
from webtext.pipeline.build import Build
from webtext.pipeline.core import shards
from webtext.pipeline.core.errors import PipelineError, UserError
from webtext.pipeline.core.pool import each, in_order
from webtext.pipeline.core.shards import replacing

FILES, PAGES = 3, 8  # WARC files, and pages of each
PARAGRAPHS = "paragraphs.enabled = true"


@pytest.fixture(scope="module")
def two(tmp_path_factory, heard):
    """Two of them, for slow tests: each takes 2 s of CPU to start."""
    with opened(None, 2, tmp_path_factory.mktemp("cluster") / "data", heard.append) as found:
        yield found


def sources(folder: Path) -> list[str]:
    """Write links and WARC files; return the overrides that name them, by relative paths."""
    numbers = range(FILES * PAGES)
    (folder / "links.json").write_text("".join(link(n, "a") for n in numbers))
    for number in range(FILES):
        mine = [one(n) for n in numbers if n % FILES == number]
        (folder / f"{number}.warc").write_bytes(b"".join(mine))
    return [
        f"pages.warc = {[f'{n}.warc' for n in range(FILES)]}",
        "links.sources = ['links.json']",
        "links.shards = 2",
        "links.shard_records = 1",
        "tokens.shard_tokens = 500",
        PARAGRAPHS,
    ]


def content(data: Path) -> dict[str, bytes]:
    """Return all files of all steps, manifests too."""
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and ".checked" not in path.parts and path.parent != data
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A folder with sources, and in it what this process makes of them by itself."""
    folder = tmp_path_factory.mktemp("plain")
    before = Path.cwd()
    os.chdir(folder)
    try:
        overrides = sources(folder)
        Build(load("webtext", overrides), Path("local")).run(workers=0)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(plain, two, monkeypatch) -> Path:
    """That folder as the current directory, also of the two workers."""
    monkeypatch.chdir(plain)
    monkeypatch.setattr(two, "place", plain)
    return plain


def build(folder: Path) -> Build:
    return Build(load("webtext", sources(folder)), Path("dask"))


def test_links_and_pages_have_the_same_bytes(tmp_path, runner, monkeypatch):
    """Of the whole build a slow test asks the same; its libraries take long to load."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "place", tmp_path)
    recipe = load("webtext", sources(tmp_path))
    for data, workers in (("local", 0), ("dask", runner)):
        Build(recipe, Path(data)).run("pages", workers)
    assert len(content(tmp_path / "dask")) > FILES
    assert content(tmp_path / "dask") == content(tmp_path / "local")


def test_results_are_in_order_and_progress_is_told(runner):
    seen = []
    assert each(square, range(6), runner, lambda *args: seen.append(args), 6) == [
        *(0, 1, 4, 9, 16, 25)
    ]
    wait_until(lambda: seen[-1][1:] == (6, "6/6 shards"), 20)
    assert list(in_order(square, iter(range(40)), runner)) == [n * n for n in range(40)]


def test_a_killed_worker_costs_its_item_a_second_try_and_no_more(runner, tmp_path):
    assert each(partial(die_once, tmp_path), range(6), runner) == [0, 1, 2, 3, 4, 5]


def test_an_error_of_the_work_reaches_the_caller(runner):
    with pytest.raises(ValueError, match="shard 0 is odd"):
        each(fail, [0], runner)


def noted(folder: Path, number: int) -> None:
    """Write a file that is not finished for a minute, and say so."""
    with replacing(folder / f"{number}.whole"):
        (folder / f"{number}.begun").touch()
        for _ in range(600):
            time.sleep(0.1)
        (folder / f"{number}.over").touch()


def test_items_end_when_the_call_does(runner, tmp_path):
    items = in_order(partial(noted, tmp_path), iter(range(9)), runner, stop_when_begun(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        list(items)
    assert {path.suffix for path in tmp_path.iterdir()} == {".begun"}
    assert each(square, [3], runner) == [9]  # and the workers are free


def stop_when_begun(folder: Path):
    def waiting() -> None:
        if list(folder.glob("*.begun")):
            raise KeyboardInterrupt

    return waiting


def test_a_worker_with_another_version_gets_no_work(runner, monkeypatch):
    monkeypatch.setattr(runner, "fit", {})
    monkeypatch.setattr(runner, "looked", 0.0)
    monkeypatch.setitem(runner.identity, "pyarrow", "1.2.3")
    with pytest.raises(
        UserError, match=r"^worker tls://127.0.0.1:\d+: has pyarrow \d+\..* 1\.2\.3"
    ):
        each(square, [1], runner)


def test_a_worker_that_does_not_see_the_data_gets_no_work(runner, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "fit", {})
    monkeypatch.setattr(runner, "looked", 0.0)
    monkeypatch.setattr(runner, "mark", tmp_path / "elsewhere" / "mark")
    with pytest.raises(UserError, match=f"does not see {tmp_path}/elsewhere; it must"):
        each(square, [1], runner)


def test_what_a_worker_lacks_is_told():
    assert "has numpy not installed, and" in differs(
        "worker a", {"numpy": on_worker.MISSING}, {"numpy": "2.1"}
    )
    assert "cannot import webtext (no" in differs("worker a", "cannot import webtext (no)", {})


def test_a_cluster_of_ones_own_is_on_loopback_and_locked(runner, heard):
    (line,) = [one for one in heard if "workers: 1 of " in one]
    assert line.startswith("Dask at tls://127.0.0.1:")
    assert " GB; dashboard: http://127.0.0.1:" in line
    assert all(address.startswith("tls://127.0.0.1:") for address in runner.alive)


def refused(*arguments: str) -> str:
    """Return the one line of a build that is refused."""
    done = webtext("build", "demo", "--no-prefect", *arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return lines[-1]


def test_an_address_where_nobody_answers_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--address tcp://127.0.0.1:9: no Dask scheduler"):
        opened("tcp://127.0.0.1:9", 1, tmp_path, print).__enter__()
    with pytest.raises(UserError, match="--address nonsense"):
        opened("nonsense://", 1, tmp_path, print).__enter__()


def partial_name(path):
    with replacing(path) as found:
        found.touch()
        return found.name


def test_no_two_errands_write_under_one_name_until_a_file_is_whole(tmp_path, monkeypatch):
    """A worker that was taken for lost may still write while its item is done again."""
    monkeypatch.setattr(shards, "_writer", "")  # as it is again after this test
    monkeypatch.setattr(on_worker, "_counting", lambda *_about: nullcontext())
    packed = pickle.dumps((partial_name, tmp_path / "00000.parquet"))
    names = {
        on_worker.Errand(packed, f"try {n}", "", 0, on_worker.PROCESS, tmp_path).run()
        for n in range(3)
    }
    assert len(names) == 3


def test_a_missing_extra_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"pip install 'webtext\[dask\]'$"):
        opened(None, 1, tmp_path, print).__enter__()
    assert not list(tmp_path.iterdir())


# --- processes of their own -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_build_has_the_same_bytes_and_funnel_with_a_relative_data_directory(here, two):
    shutil.rmtree(here / "dask", ignore_errors=True)
    asked = build(here)
    asked.run(workers=two)
    assert content(here / "dask") == content(here / "local")
    assert asked.funnel() == Build(None, Path("local")).funnel()


@pytest.mark.slow
def test_a_killed_worker_changes_no_byte(here, two):
    killed = []

    def kill_one(stop: threading.Event) -> None:
        while not stop.is_set() and not killed:
            homes = list((here / "dask").glob("documents-*"))
            if homes and not (homes[0] / "manifest.json").exists():
                (pid,) = two.client.run(os.getpid, workers=sorted(two.alive)[:1]).values()
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    subprocess.run(["rm", "-rf", str(here / "dask")], check=True)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as beside:
        watch = beside.submit(kill_one, stop)
        build(here).run(workers=two)
        stop.set()
        watch.result()
    assert killed
    assert content(here / "dask") == content(here / "local")


@pytest.mark.slow
def test_ctrl_c_ends_everything_and_the_build_goes_on(plain, tmp_path):
    asked = ["build", "webtext", "--data", "cut", "--no-prefect", "--runner", "dask"]
    asked += ["--workers", "2", *(part for line in sources(plain) for part in ("--set", line))]
    with subprocess.Popen(
        command(*asked), env=environment(), cwd=plain, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        wait_until(lambda: list((plain / "cut").glob("documents-*")))
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of them get it
        said = process.communicate(timeout=200)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    wait_until(lambda: not any(alive(worker) for worker in workers))
    assert not list((plain / "cut").glob(".cluster-*"))
    done = webtext(*asked, cwd=plain)
    assert done.returncode == 0, done.stderr
    assert content(plain / "cut") == content(plain / "local")


def children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children")
    found = [
        int(one) for path in told.parents[1].glob("*/children") for one in path.read_text().split()
    ]
    return found + [one for child in found for one in children(child)]


@pytest.mark.slow
def test_a_cluster_that_others_started_does_the_same_beside_prefect(cluster, plain):
    asked = ["build", "webtext", "--data", "theirs", "--runner", "dask", "--address", cluster]
    asked += [part for line in sources(plain) for part in ("--set", line)]
    done = webtext(*asked, cwd=plain)
    assert done.returncode == 0, done.stderr
    assert f"Dask at {cluster}: workers: 2 of" in done.stderr
    assert content(plain / "theirs") == content(plain / "local")
    from distributed import Client

    with Client(cluster) as client:
        assert not client.run_on_scheduler(lambda: "webtext" in sys.modules)


@pytest.mark.slow
def test_an_address_without_the_runner_and_a_dead_one_end_with_code_2():
    assert "give --runner dask too" in refused("--address", "tcp://127.0.0.1:9")
    said = refused("--runner", "dask", "--address", "tcp://127.0.0.1:9", "--set", SOME)
    assert said.startswith("webtext: --address tcp://127.0.0.1:9: no Dask scheduler answers")


SOME = f"links.sources = [{str(Path(__file__))!r}]"


@pytest.mark.slow
def test_an_item_that_kills_its_worker_twice_is_named_and_the_others_are_done(two, heard):
    done = []
    with pytest.raises(PipelineError, match="killed its worker twice and was set aside: 3;"):
        each(die_always, range(6), two, lambda n, *_: done.append(n))
    assert done[-1] == 5
    assert "was lost; what it did is done again: 3" in heard[-1]


@pytest.mark.slow
def test_results_of_two_workers_are_in_order_too(two):
    assert list(in_order(slower_first, iter(range(40)), two)) == [*range(40)]


def slower_first(number: int) -> int:
    """Take longer for every fourth, so that later ones are done before."""
    time.sleep(0.0 if number % 4 else 0.1)
    return number
