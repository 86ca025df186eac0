"""From links to tokens on a small web: every row accounted for, whatever happens on the way."""

import itertools
import json
import random
import resource
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.flows.conftest import SmallWeb, command, environment, webtext
from webtext.pipeline.build import Build
from webtext.pipeline.steps import STEPS

BYTES = (
    "corpus-*/*.parquet",
    "about/corpus-*/**/*.parquet",
    "about/corpus-*/README.md",
    "tokens-*/*.bin",
    "tokens-*/*.parquet",
)


def built(web: SmallWeb, data: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return webtext("build", "demo", "--data", data, "--no-prefect", *web.options, *options)


def content(data: Path) -> dict[str, bytes]:
    """Return every file whose bytes must not depend on how it came about."""
    paths = sorted(path for pattern in BYTES for path in data.glob(pattern))
    return {str(path.relative_to(data)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(small_web, tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("undisturbed") / "data"
    done = built(small_web, data, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return data


def ids(data: Path, pattern: str) -> list[str]:
    return [
        row for path in sorted(data.glob(pattern)) for row in pq.read_table(path)["id"].to_pylist()
    ]


def report(data: Path) -> dict:
    done = webtext("report", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_a_stage_keeps_is_what_the_next_one_reads(undisturbed):
    stages = report(undisturbed)["stages"]
    names = [stage["stage"] for stage in stages]
    assert names == ["links", "crawl", "extract", "clean", "language", "rules", "dedup", "tokens"]
    fates = {fate for step in STEPS for fate in step.fates}
    for stage in stages:
        assert set(stage["dropped"]) <= fates
        assert stage["read"] == stage["kept"] + sum(stage["dropped"].values())
    for before, after in itertools.pairwise(stages):
        assert before["kept"] == after["read"]


def test_the_funnel_says_what_the_files_hold(undisturbed, small_web):
    found = report(undisturbed)
    stages = {stage["stage"]: stage for stage in found["stages"]}
    links = ids(undisturbed, "links-*/0*.parquet")
    assert len(links) == stages["links"]["kept"] == stages["crawl"]["read"]
    assert ids(undisturbed, "pages-*/outcomes/0*.parquet") == links
    corpus = [pq.read_table(path) for path in undisturbed.glob("corpus-*/0*.parquet")]
    assert sum(table.num_rows for table in corpus) == found["corpus"]["documents"]
    assert found["corpus"]["documents"] > 10
    texts = [text for table in corpus for text in table["text"].to_pylist()]
    assert sum(len(text.encode()) for text in texts) == found["corpus"]["bytes"]


@pytest.mark.parametrize(
    ("path", "fate"),
    [
        ("loop.html", "crawl.redirect_limit"),
        ("gone.html", "crawl.http_4xx"),
        ("broken.html", "crawl.http_5xx"),
        ("slow.html", "crawl.timeout"),
        ("huge.html", "crawl.too_large"),
        ("private/account.html", "crawl.robots_denied"),
        ("empty.html", "extract.no_text"),
        ("de.html", "language.other"),
    ],
)
def test_a_troubled_page_ends_in_the_fate_that_it_deserves(undisturbed, path, fate):
    assert Build(None, undisturbed).follow(f"http://troubles.demo.test/{path}").fate == fate


def test_a_second_build_does_nothing_and_says_so_at_once(undisturbed, small_web):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.parquet")}
    before_it = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = built(small_web, undisturbed)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_it
    assert took < 10.0  # s of CPU; in truth about two
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.parquet")}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_build_killed_once_in_every_stage_ends_in_the_same_bytes(
    undisturbed, small_web, tmp_path, seed
):
    """It has two workers and the undisturbed one has one, so neither changes a byte."""
    data = tmp_path / "data"
    arguments = command(
        "build", "demo", "--data", data, "--no-prefect", "--workers", "2", *small_web.options
    )
    drawn = random.Random(seed)
    killed = []
    names = dict.fromkeys(step.name for step in STEPS)
    for stage in [name for name in names if list(undisturbed.glob(f"{name}-*"))]:
        with subprocess.Popen(
            arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as build:
            while build.poll() is None and not list(data.glob(f"{stage}-*")):
                time.sleep(0.01)
            time.sleep(drawn.uniform(0.0, 0.25))
            if not list(data.glob(f"{stage}-*/manifest.json")):
                killed.append(stage)
            build.kill()
    assert len(killed) >= 3, f"only {killed} were killed half-way; draw shorter waits"
    done = built(small_web, data, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert content(data) == content(undisturbed)
    assert report(data)["stages"] == report(undisturbed)["stages"]
