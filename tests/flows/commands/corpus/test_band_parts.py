"""Bands on two workers that share nothing but the files: the same bytes as on one."""

import shutil
import subprocess

import pytest

from tests.flows.building.test_earlier_snapshots import story, warc
from tests.flows.conftest import command, environment, webtext
from webtext.flows.building.settings import load
from webtext.pipeline.build import Build


def overrides(tmp_path):
    return [f"pages.warc = ['{tmp_path}/pages.warc']"]


def build(tmp_path, data):
    return Build(load("webtext", overrides(tmp_path)), data)


def bands(tmp_path, data, part):
    (line,) = overrides(tmp_path)
    return ("bands", "webtext", "--data", data, "--part", part, "--workers", "1", "--set", line)


@pytest.fixture
def signed(tmp_path):
    """A build up to the signatures, of stories of which every third is a copy of another."""
    texts = {f"{n}": story(n) for n in range(24)}
    texts |= {f"{n}copy": f"{story(n)} And that was number {n}." for n in range(0, 24, 3)}
    warc(tmp_path / "pages.warc", texts)
    build(tmp_path, tmp_path / "data").run("signatures", workers=0)
    return tmp_path


def test_two_processes_do_the_bands_and_a_third_merges_them(signed, monkeypatch):
    data, alone = signed / "data", signed / "alone"
    shutil.copytree(data, alone)
    build(signed, alone).run("duplicates", workers=0)

    (signed / "here").mkdir()
    (signed / "there").mkdir()
    (signed / "mounted").symlink_to(data)  # the same files, under another name
    places = {"1/2": (signed / "here", "../data"), "2/2": (signed / "there", signed / "mounted")}
    running = [
        subprocess.Popen(
            command(*bands(signed, path, part)), cwd=cwd, env=environment(), stderr=subprocess.PIPE
        )
        for part, (cwd, path) in places.items()
    ]
    for process in running:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    step = build(signed, data).plan("duplicates")[-1]
    found = sorted(path.name for path in (step.home.path / "pairs").iterdir())
    assert found == [*(f"{band:05d}.npy" for band in range(14)), "alive.npy", "tie.npy"]

    monkeypatch.setattr(
        "webtext.pipeline.dedup.clusters.bands.one_band", int
    )  # there is none left to do
    build(signed, data).run("duplicates", workers=0)
    other = build(signed, alone).plan("duplicates")[-1]
    for name in ("00000.parquet", "histogram.json", "manifest.json"):
        assert (step.home.path / name).read_bytes() == (other.home.path / name).read_bytes()
    assert step.home.manifest()["passages"][0]["dropped"] == {"dedup.near": 8}


def test_bands_say_what_must_be_there_first_and_what_a_part_is(tmp_path):
    warc(tmp_path / "pages.warc", {"a": story(1)})
    done = webtext(*bands(tmp_path, tmp_path / "data", "1/2"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "not whole; build it first: webtext build ... --until signatures" in done.stderr
    done = webtext(*bands(tmp_path, tmp_path / "data", "3/2"))
    assert done.returncode == 2
    assert "--part 3/2: wanted a part such as 2/3, the second of three" in done.stderr
