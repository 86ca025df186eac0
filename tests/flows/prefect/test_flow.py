"""The same build as a Prefect flow, on a server that comes and goes with it."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.flows.conftest import command, environment, webtext
from webtext.flows.prefect.recorder import key_of


@pytest.fixture(scope="module")
def links(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prefect")
    (folder / "links.txt").write_text("http://example.com/a\nhttp://example.com/b\n")
    return folder


def build(*options: str) -> list[str]:
    sources = "links.sources = ['links.txt']"
    return ["build", "webtext", "--set", sources, "--until", "links", *options]


def home_of(folder: Path) -> dict[str, str]:
    """Return an environment in which Prefect's state lies where the build puts it."""
    left_out = {"PREFECT_HOME", "PREFECT_API_URL"}
    kept = {key: value for key, value in environment().items() if key not in left_out}
    return kept | {"WEBTEXT_PREFECT_WAIT": "120"}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=home_of(folder),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_build_needs_no_server_and_leaves_none(links, small_web):
    nowhere = f"crawl.connect_to = ['*:80:127.0.0.1:{small_web.port}']"
    quick = ("crawl.delay = 0.01", "crawl.delay_per_ip = 0", "crawl.latency_factor = 0")
    lines = [part for line in (nowhere, *quick) for part in ("--set", line)]
    me = ("--set", "crawl.contact = 'me@example.org'")
    done = run(links, *build(*lines, *me), "--until", "pages")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(links.glob("data/pages-*/manifest.json"))) == 1
    told = artifacts(links / "data" / ".prefect" / "prefect.db")
    key = key_of(links / "data")
    assert set(told) >= {f"{key}-links", f"{key}-pages", f"{key}-funnel"}
    assert "pages: 2 of 2 (100 %)" in told[f"{key}-pages"]
    assert "http_4xx 2" in told[f"{key}-pages"]
    assert "pages/s" in told[f"{key}-pages"]
    assert "GB of disk left" in told[f"{key}-pages"]
    assert "2 http_4xx" in told[f"{key}-funnel"]
    names = rows(links, "SELECT name, state_type FROM flow_run")
    assert [(name.split()[0], state) for name, state in names] == [("webtext", "COMPLETED")]
    steps = rows(links, "SELECT name, state_type FROM task_run ORDER BY created")
    assert steps == [("links", "COMPLETED"), ("pages", "COMPLETED")]
    assert not servers(links)


def rows(folder: Path, query: str) -> list[tuple[str, ...]]:
    """Return what Prefect's server has written down."""
    with closing(sqlite3.connect(folder / "data" / ".prefect" / "prefect.db")) as db:
        return db.execute(query).fetchall()


def artifacts(database: Path) -> dict[str, str]:
    """Return what Prefect's server keeps for its pages: the last of each key."""
    with closing(sqlite3.connect(database)) as db:
        return dict(db.execute("SELECT key, data FROM artifact ORDER BY created").fetchall())


@pytest.mark.slow
def test_a_mistake_inside_the_flow_is_one_line_and_exit_code_2(links):
    (links / "full").mkdir()
    done = run(links, *build("--data", "full", "--set", "links.min_score = 4"), "--workers", "1")
    assert done.returncode == 0, done.stderr
    page = next((links / "full").glob("links-*")) / "00000.parquet"
    page.write_bytes(b"not a shard")
    wrong = [*build("--data", "full", "--set", "links.min_score = 4"), "--until", "pages"]
    done = run(links, *wrong, "--set", "crawl.contact = 'me@example.org'")
    assert done.returncode == 2, done.stderr
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_build_takes_its_server_with_it(links):
    with subprocess.Popen(
        command(*build("--data", "killed")), cwd=links, env=home_of(links), stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: servers(links))
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not servers(links))


def test_ctrl_c_in_the_middle_ends_the_build_and_all_that_it_started(small_web, tmp_path):
    """A terminal sends Ctrl-C to every process in its foreground, Prefect's server among them."""
    data = tmp_path / "data"
    with subprocess.Popen(
        command("build", "demo", "--data", data, *small_web.options),
        env=home_of(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until(lambda: list(data.glob("documents-*")), 200)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=240)
    assert process.returncode == 130, said
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    wait_until(lambda: not servers(tmp_path))


def servers(folder: Path) -> list[str]:
    """Return the process ids of Prefect servers that keep their state below `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            kept = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"webtext.flows.prefect.server" in words and str(folder).encode() in kept:
            found.append(entry.name)
    return found


def wait_until(holds, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_flow_is_the_one_that_a_schedule_starts():
    done = webtext("serve", "demo", "--cron", "0 3 1 * *", "--data", "/dev/null/nowhere")
    assert done.returncode == 2
    assert "names no links.sources, no pages.warc and no documents.sources" in done.stderr
