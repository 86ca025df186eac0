"""The whole way with a data directory in an object store: the same bytes, whatever happens."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.flows.conftest import SmallWeb, command, environment, webtext
from tests.other_stores import KINDS
from tests.store_server import SECRET
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse

BYTES = ("about", "corpus-", "tokens-", "documents-", "duplicates-", "signatures-", "links-")


class Machine:
    """A machine that shares nothing with others but the store."""

    def __init__(self, cloud, folder: Path, bound: float = 1.0) -> None:
        self.environment = {
            **environment(),
            **cloud.environment,
            "WEBTEXT_STORES": str(folder),
            "WEBTEXT_STORES_GB": str(bound),
        }
        self.folder = folder

    def start(self, *words: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )

    def run(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        with self.start(*words) as process:
            out, err = process.communicate(timeout=900)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def build(self, web: SmallWeb, address: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.run(
            "build", "demo", "--data", address, "--no-prefect", "--workers", "2", *web.options,
            *words,
        )  # fmt: skip

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def content(address: str) -> dict[str, bytes]:
    """Return every object whose bytes must not depend on how it came about."""
    store = ObjectStore(parse(address))
    names = [name for name in store.folders() if name.startswith(BYTES)]
    return {
        key: store.get(key).content
        for name in names
        for key in store.keys(name)
        if not key.endswith("manifest.json") and "/measures/" not in key
    }


def local(data: Path) -> dict[str, bytes]:
    homes = [path for path in data.iterdir() if path.name.startswith(BYTES)]
    return {
        str(path.relative_to(data)): path.read_bytes()
        for home in homes
        for path in home.rglob("*")
        if path.is_file() and path.name != "manifest.json" and path.parent.name != "measures"
    }


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def made_locally(small_web, tmp_path_factory) -> dict[str, bytes]:
    data = tmp_path_factory.mktemp("local") / "data"
    done = webtext("build", "demo", "--data", data, "--no-prefect", *small_web.options)
    assert done.returncode == 0, done.stderr
    return local(data)


@pytest.mark.slow  # three builds of the small web
@pytest.mark.timeout(1800)
def test_a_build_into_a_failing_store_that_is_killed_gives_the_same_bytes(
    made_locally, small_web, cloud, tmp_path
):
    address = f"{cloud.place()}/some/data"
    first = Machine(cloud, tmp_path / "first")
    cloud.faults.share = 0.05
    cloud.faults.hold_of, cloud.faults.hold_puts_after = "documents-", 2
    words = ["build", "demo", "--data", address, "--no-prefect", *small_web.options]
    with first.start(*words) as process:
        held = cloud.faults.held.wait(600)
        os.killpg(process.pid, signal.SIGKILL)
    assert held
    cloud.faults.hold_puts_after = None
    store = ObjectStore(parse(address))
    begun = [name for name in store.folders() if store.get(f"{name}/manifest.json") is None]
    assert len(begun) == 1  # whose upload the kill cut off
    done = first.build(small_web, address)
    assert done.returncode == 0, done.stderr
    assert content(address) == made_locally
    assert cloud.faults.count["failed"] > 1

    second = Machine(cloud, tmp_path / "second")
    cloud.faults.puts.clear()
    done = second.build(small_web, address)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert cloud.faults.puts == []
    assert not list(second.folder.rglob("*.parquet"))

    for words, said in (
        (["report", "--data", address], "corpus: "),
        (["trace", "http://troubles.demo.test/de.html", "--data", address], "language.other"),
        (["path", "tokens", "--data", address], f"{address}/tokens-"),
    ):
        done = second.run(*words)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert str(second.folder) not in done.stdout + done.stderr
    assert not list(second.folder.rglob("*.warc.gz"))
    done = second.run("verify", address)
    assert done.returncode == 0, done.stdout
    done = second.run("gc", "--data", address)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "works on a local data directory only" in done.stderr
    tokens = second.run("path", "tokens", "--data", address).stdout.strip()
    lines = ["train.steps = 2", "train.batch_tokens = 512", "model.context = 64"]
    words = [part for line in lines for part in ("--set", line)]
    third = Machine(cloud, tmp_path / "third")
    run = tmp_path / "run"
    done = third.run("train", "tiny", "--tokens", tokens, "--run", run, "--device", "cpu", *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["report", "build"])
def test_wrong_credentials_end_a_command_in_one_line(cloud, tmp_path, verb):
    cloud.faults.denied = True
    words = ["demo"] if verb == "build" else []
    done = Machine(cloud, tmp_path).run(verb, *words, "--data", f"{cloud.place()}/data")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "refuses these credentials" in done.stderr
    assert SECRET not in done.stderr
