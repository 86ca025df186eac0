"""A data directory in a store: what several machines see of it, and when."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.other_stores import KINDS
from webtext.pipeline.build import run_all
from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.directories.data_directory import locked, newest
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage
from webtext.pipeline.core.step import Outside, Planned, Step
from webtext.pipeline.core.stores import store_bound, store_lock, working_copy
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.store_records import STORED, in_words
from webtext.pipeline.insight.verification import verify

ROOT = Path(__file__).resolve().parents[4]
SIZE = 40_000  # bytes of a shard


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture
def address(cloud) -> str:
    return f"{cloud.place()}/data"


@pytest.fixture
def machine(tmp_path, monkeypatch, address):
    """Give the working copy of a machine of this name."""

    def become(name: str, bound: int | None = None) -> Path:
        monkeypatch.setenv("WEBTEXT_STORES", str(tmp_path / name))
        monkeypatch.setenv("WEBTEXT_STORES_GB", str((bound or 10**9) / 1e9))
        monkeypatch.setattr(store_bound, "_since", [1 << 62])
        return working_copy.working_copy(address)

    return become


def work(planned, _workers, _progress) -> list[Passage]:
    """Write three shards, and read all of the inputs."""
    read = [path for given in planned.inputs for path in sorted(given.path.glob("*.parquet"))]
    assert len(read) == 3 * len(planned.inputs)
    assert all(path.stat().st_size == SIZE for path in read)
    planned.home.path.mkdir(exist_ok=True)
    for number in range(3):
        planned.home.shard(number).write_bytes(bytes([number]) * SIZE)
    if planned.step.shards_alone:
        (planned.home.about / "stats.json").write_text("{}")
    return [Passage(planned.name, 1, 1, {})]


def steps(data: Path, how=work) -> list[Planned]:
    """Return three steps, each of which reads the one before."""
    found: list[Planned] = []
    for name in ("links", "pages", "corpus"):
        read = {found[-1].name: found[-1].home} if found else {}
        home = Directory(data / f"{name}-00000000")
        step = Step(name, {}, how, shards_alone=name == "corpus")
        found.append(Planned(step, data, (), read, None, Outside(), home, {"stages": {}}, ()))
    return found


def nothing(*_):
    raise AssertionError("it is made already")


def files(data: Path) -> list[str]:
    return sorted(path.name for path in data.glob("*/*.parquet"))


def test_what_one_machine_made_another_need_not_and_fetches_only_what_it_reads(machine, cloud):
    run_all(steps(machine("a")), machine("a"), 1)
    data = machine("b")
    cloud.faults.puts.clear()
    assert [step.finished for step in steps(data)] == [True] * 3
    run_all(steps(data, nothing), data, 1)
    assert files(data) == []
    assert {path.rpartition("/")[2] for path in cloud.faults.puts} == {".lock.json"}
    assert newest(data)["corpus"].name == "corpus-00000000"
    path = data / "pages-00000000" / "00001.parquet"
    checked.confirm(path)
    assert path.read_bytes() == b"\1" * SIZE
    assert files(data) == ["00001.parquet"]
    assert checked.check(data / "corpus-00000000") == 3 * SIZE + 2
    assert len(files(data)) == 4
    assert (data / "about" / "corpus-00000000" / "stats.json").read_text() == "{}"


def test_a_manifest_is_written_after_all_files_and_latest_after_the_manifest(machine, cloud):
    data = machine("a")
    run_all(steps(data)[:1], data, 1)
    names = [name.partition("/data/")[2] for name in cloud.faults.puts]
    names = [name for name in names if not name.startswith(".")]
    assert sorted(names[:3]) == [f"links-00000000/0000{n}.parquet" for n in range(3)]
    assert names[3:] == ["links-00000000/manifest.json", "latest.json"]


def test_a_tenth_of_all_requests_failing_changes_nothing(machine, cloud, address):
    cloud.faults.share, cloud.faults.cut_answers = 0.1, 4
    run_all(steps(machine("a")), machine("a"), 1)
    data = machine("b")
    run_all(steps(data, nothing), data, 1)
    for step in steps(data):
        assert checked.check(step.home.path) >= 3 * SIZE
    assert cloud.faults.count["failed"] > 5
    assert ObjectStore(parse(address)).get(store_lock.LOCK) is None


def test_an_upload_that_is_cut_short_is_noticed_and_never_whole(machine, cloud):
    """A store that takes half of a body for all of it."""
    data = machine("a")
    run_all(steps(data)[:1], data, 1)
    cloud.faults.cut_uploads = 50
    with pytest.raises(StoreError, match="does not have the bytes that were sent"):
        run_all(steps(data), data, 1)
    assert [step.finished for step in steps(machine("b"))] == [True, False, False]
    cloud.faults.cut_uploads = 0
    run_all(steps(machine("a")), machine("a"), 1)
    assert all(checked.check(step.home.path) >= 3 * SIZE for step in steps(machine("c")))


BUILD = """
import sys, pathlib
from tests.pipeline.core.stores.test_working_copy import steps
from webtext.pipeline.build import run_all
data = pathlib.Path(sys.argv[1])
run_all(steps(data), data, 1)
"""


def test_a_kill_between_two_uploads_leaves_nothing_whole_and_only_the_rest_is_sent(machine, cloud):
    data = machine("a")
    cloud.faults.hold_puts_after = 3 + 1 + 2  # of the second step, two of three
    with subprocess.Popen([sys.executable, "-c", BUILD, data], cwd=ROOT) as process:
        assert cloud.faults.held.wait(100)
        journal, deadline = data / STORED / "pages-00000000.uploading", time.monotonic() + 100
        while len(journal.read_text().splitlines()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert [step.finished for step in steps(machine("b"))] == [True, False, False]
    cloud.faults.reset()
    again = steps(machine("a"))
    run_all(again, machine("a"), 1)
    sent = [key for key in cloud.faults.puts if "pages" in key and key.endswith(".parquet")]
    assert len(sent) == 1
    assert all(checked.check(step.home.path) >= 3 * SIZE for step in steps(machine("c")))


def test_the_least_recently_used_files_go_when_the_bound_is_reached(machine):
    run_all(steps(machine("a")), machine("a"), 1)
    data = machine("b", bound=4 * SIZE + 20_000)
    for number in (0, 1, 2):
        checked.confirm(data / "links-00000000" / f"0000{number}.parquet")
    checked.confirm(data / "links-00000000" / "00000.parquet")  # used again
    assert len(files(data)) == 3
    for number in (0, 1):
        checked.confirm(data / "pages-00000000" / f"0000{number}.parquet")
    there = {str(path.relative_to(data)) for path in data.glob("*/*.parquet")}
    assert "links-00000000/00001.parquet" not in there
    assert {"links-00000000/00000.parquet", "pages-00000000/00001.parquet"} <= there
    assert sum(path.stat().st_size for path in data.rglob("*.*")) <= 4 * SIZE + 20_000


def test_a_build_keeps_within_the_bound_and_says_so_if_one_step_cannot(machine):
    data = machine("a", bound=7 * SIZE)
    run_all(steps(data), data, 1)
    assert len(files(data)) <= 6
    data = machine("b", bound=2 * SIZE)
    with pytest.raises(UserError, match=r"take 0\.000 GB, .*set WEBTEXT_STORES_GB higher"):
        working_copy.of(data).needing([data / "links-00000000"]).__enter__()


def test_what_a_step_reads_stays_as_long_as_it_works(machine):
    run_all(steps(machine("a")), machine("a"), 1)
    data = machine("b", bound=5 * SIZE + 20_000)
    home = data / "links-00000000"
    with working_copy.of(data).needing([home]):
        for name in ("pages", "corpus"):
            for number in range(3):
                checked.confirm(data / f"{name}-00000000" / f"0000{number}.parquet")
        assert len(list(home.glob("*.parquet"))) == 3
        assert len(files(data)) == 5
    checked.confirm(data / "pages-00000000" / "00000.parquet")
    assert len(files(data)) <= 5


def test_latest_names_nothing_that_is_not_in_the_store(machine, monkeypatch, address):
    data = machine("a")
    monkeypatch.setattr(working_copy.WorkingCopy, "upload", lambda *_: None)
    run_all(steps(data)[:1], data, 1)
    assert (data / "latest.json").exists()
    assert ObjectStore(parse(address)).get("latest.json") is None


def test_a_step_that_was_removed_from_the_store_is_not_finished_here(machine, address):
    run_all(steps(machine("a")), machine("a"), 1)
    ObjectStore(parse(address)).delete("pages-00000000/manifest.json")
    assert [step.finished for step in steps(machine("a"))] == [True, False, False]


def test_what_is_not_uploaded_yet_never_goes(machine, cloud, monkeypatch):
    data = machine("a", bound=SIZE)
    monkeypatch.setattr(working_copy.WorkingCopy, "upload", lambda *_: None)
    run_all(steps(data)[:1], data, 1)
    store_bound.make_room(SIZE)
    assert len(files(data)) == 3


def test_a_file_that_is_another_in_the_store_is_refused_and_named(machine, address):
    run_all(steps(machine("a")), machine("a"), 1)
    store = ObjectStore(parse(address))
    store.put("links-00000000/00001.parquet", b"\2" * SIZE)
    store.delete("links-00000000/00002.parquet")
    data = machine("b")
    path = data / "links-00000000" / "00001.parquet"
    with pytest.raises(StoreError, match=r"links-00000000/00001\.parquet: has sha256 .*, wanted"):
        checked.confirm(path)
    assert list(path.parent.iterdir()) == [path.parent / "manifest.json"]
    found = {
        one.path.name: one.said for one in verify(machine("a")) if one.path.suffix == ".parquet"
    }
    assert found["00001.parquet"].startswith("has sha256")
    assert found["00002.parquet"].startswith("is gone from the store")
    assert len(found) == 2


def test_a_file_that_changed_in_the_copy_is_fetched_again(machine):
    data = machine("a")
    run_all(steps(data), data, 1)
    for number, look in enumerate((checked.confirm, lambda path: checked.check(path.parent))):
        path = data / "links-00000000" / f"0000{number}.parquet"
        path.write_bytes(b"\7" * SIZE)
        look(path)
        assert path.read_bytes() == bytes([number]) * SIZE


def test_what_another_machine_finished_first_counts_and_ones_own_is_kept_aside(machine):
    slow = machine("slow")
    begun = slow / "links-00000000"
    begun.mkdir()
    (begun / "fetched.warc.gz").write_bytes(b"from the network")
    run_all(steps(machine("quick")), machine("quick"), 1)
    data = machine("slow")
    assert steps(data)[0].finished
    assert (data / "links-00000000.beside-1" / "fetched.warc.gz").read_bytes()
    run_all(steps(data, nothing), data, 1)


def test_a_manifest_that_names_files_elsewhere_writes_none(machine, address, tmp_path):
    run_all(steps(machine("a")), machine("a"), 1)
    store = ObjectStore(parse(address))
    bad = {"files": {"../../../evil": {"sha256": checked.sha256(Path(__file__)), "bytes": 1}}}
    store.put("bad-00000000/manifest.json", json.dumps(bad).encode())
    store.put("evil", Path(__file__).read_bytes())
    data = machine("b")
    working_copy.of(data).fetch(data / "bad-00000000")
    assert not list(tmp_path.rglob("evil"))


# --- the lock -------------------------------------------------------------------------------------


def test_the_holder_is_named_and_a_silent_one_loses_the_lock(machine, monkeypatch):
    a, b = machine("a"), machine("b")
    lost = []
    with store_lock.leased(working_copy.of(a), "the first", lambda: lost.append(1)):
        said = r"at work there: the first, last seen \d+ s ago"
        with pytest.raises(UserError, match=said), locked(b):
            pass
        monkeypatch.setattr(store_lock, "DEAD_SECONDS", 0.0)
        time.sleep(1.1)  # the store's clock counts whole seconds
        with locked(b):
            monkeypatch.setattr(store_lock, "DEAD_SECONDS", 1e9)
            with pytest.raises(UserError, match="another build is at work"), locked(a):
                pass
    with locked(a):
        pass


def test_a_living_holder_stays_and_one_who_lost_it_is_told_to_stop(machine, monkeypatch, address):
    monkeypatch.setattr(store_lock, "BEAT_SECONDS", 0.05)
    copy, lost = working_copy.of(machine("a")), []
    store = ObjectStore(parse(address))
    with store_lock.leased(copy, "me", lambda: lost.append(1)):
        before = store.get(store_lock.LOCK)
        deadline = time.monotonic() + 30
        while store.get(store_lock.LOCK).version == before.version and time.monotonic() < deadline:
            time.sleep(0.05)
        assert store.get(store_lock.LOCK).version != before.version
        assert not lost
        store.put(store_lock.LOCK, b'{"holder": "another", "nonce": "1"}')
        while not lost and time.monotonic() < deadline:
            time.sleep(0.05)
    assert lost == [1]
    assert b"another" in store.get(store_lock.LOCK).content  # and it is left alone


def test_a_process_that_was_killed_loses_the_lock_to_the_next_of_its_machine(machine, cloud):
    """The lock of the working copy shows that it is dead, so nobody waits for the lease."""
    data = machine("a")
    hold = (
        "import os, sys, pathlib\n"
        "from webtext.pipeline.core.directories.data_directory import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", hold, data], check=False, env=os.environ)
    assert working_copy.of(data).store.get(store_lock.LOCK) is not None
    with locked(data):
        pass


def test_a_wrong_bound_and_an_unwritable_folder_are_said_in_a_line(machine, monkeypatch, tmp_path):
    machine("a")
    monkeypatch.setenv("WEBTEXT_STORES_GB", "many")
    with pytest.raises(UserError, match="WEBTEXT_STORES_GB: found 'many', wanted a number"):
        working_copy.working_copy("s3://bucket/data")


def test_people_see_addresses_and_not_folders(machine, address):
    data = machine("a")
    assert in_words(f"{data}/links-1: gone") == f"{address}/links-1: gone"
    assert in_words("no/place/here") == "no/place/here"
