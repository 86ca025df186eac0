"""Items of a build done by a machine that shares only the store with it."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.other_stores import KINDS
from webtext.flows.cluster.by_store import Exchange, Lacking
from webtext.pipeline.core.directories.checked import at_hand, confirm
from webtext.pipeline.core.directories.places import MANIFEST, PURGING
from webtext.pipeline.core.shards import Directory, replacing
from webtext.pipeline.core.stores import store_parts, working_copy
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.store_parts import PARTS, LackingError, OnlyHereError
from webtext.pipeline.core.stores.store_records import stored


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture
def address(cloud) -> str:
    return f"{cloud.place()}/data"


class Machines:
    """The folders of the machine of a build and of its worker, in one process."""

    def __init__(self, address: str, folder: Path, monkeypatch) -> None:
        self.folder, self.monkeypatch, self.store = folder, monkeypatch, ObjectStore(parse(address))
        self.become("client")
        self.data = working_copy.working_copy(address)
        self.exchange = Exchange(working_copy.of(self.data))

    def become(self, name: str) -> None:
        self.monkeypatch.setenv("WEBTEXT_STORES", str(self.folder / name))

    def done(self, work, item):
        """Do an item as the worker; return what it says."""
        away, packed = self.exchange.away(), self.exchange.packed(work, item)
        self.become("worker")
        try:
            return away.do(packed)
        except LackingError as error:
            return Lacking(error.args[0])
        finally:
            self.become("client")

    def through(self, work, item):
        """Do an item until it is done; return what it returns, and how often it was tried."""
        for tries in range(1, 9):
            whole, result = self.exchange.take(self.done(work, item))
            if whole:
                return result, tries
        raise AssertionError("it always lacks something")


@pytest.fixture
def machines(address, tmp_path, monkeypatch):
    return Machines(address, tmp_path, monkeypatch)


def finished(home: Path, store_of: Machines) -> Directory:
    """Make a step of two shards, and send it to the store."""
    made = Directory(home)
    home.mkdir()
    for number in range(2):
        made.shard(number).write_bytes(b"%d" % number * 500)
    made.finish({"stage": "links", "stages": {}, "inputs": {}, "passages": []})
    working_copy.of(store_of.data).upload(home)
    return made


def copied(given: Directory, out: Directory, number: int) -> str:
    """Read a shard of a finished step, and write two files, the one that counts last."""
    assert "worker" in str(given.path)
    confirm(given.shard(number))
    data = given.shard(number).read_bytes()
    for path in (out.shard(number, under="dropped"), out.shard(number)):
        with replacing(path) as partial_path:
            partial_path.write_bytes(data)
    return str(given.path.name)


def joined(out: Directory, _item: int) -> bytes:
    """Read what other items of this step wrote."""
    paths = [out.shard(number) for number in range(2)]
    assert all(map(at_hand, paths))
    return b"".join(path.read_bytes() for path in paths)


def test_an_item_reads_the_store_and_its_files_come_back_before_it_counts(machines):
    given = finished(machines.data / "links-00000000", machines)
    out = Directory(machines.data / "pages-00000000")
    work = partial(copied, given, out)
    said = machines.done(work, 1)
    assert [one.name for one in said.files] == [
        "pages-00000000/dropped/00001.parquet", "pages-00000000/00001.parquet",
    ]  # fmt: skip
    assert not out.shard(1).exists()
    assert machines.exchange.take(said) == (True, given.name)
    assert out.shard(1).read_bytes() == b"1" * 500
    worker = list((machines.folder / "worker").rglob("*.parquet"))
    assert [path.parent.name for path in worker] == [given.name]  # what it wrote is not kept there
    assert machines.store.keys("pages-00000000") == {}  # nothing has its final name


def test_a_shard_that_came_is_on_the_disk_before_it_has_its_name(machines, monkeypatch):
    given = finished(machines.data / "links-00000000", machines)
    said = machines.done(partial(copied, given, Directory(machines.data / "pages-00000000")), 1)
    done = []
    replace, fsync = Path.replace, os.fsync

    def synced(descriptor):
        done.append(f"synced {Path(f'/proc/self/fd/{descriptor}').readlink()}")
        fsync(descriptor)

    def named(path, target):
        done.append(f"named {path}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    machines.exchange.take(said)
    names = [one.partition(" ")[2] for one in done if one.startswith("named")]
    assert len(names) == 2
    for name in names:
        assert done.index(f"synced {name}") < done.index(f"named {name}")


def test_two_workers_of_one_machine_fetch_a_file_at_the_same_time(machines, monkeypatch):
    """They share a folder, and the first must not lose its half to the second."""
    away, name = machines.exchange.away(), "pages-00000000/00000.parquet"
    machines.store.put(away.key(name), b"of another item")
    machines.become("worker")
    copy = away.prepared()
    download, others = ObjectStore.download, [None]

    def slow(store, key, path):
        found = download(store, key, path)
        while others:
            others.pop()
            away.bring(copy, copy.root / name)
        return found

    monkeypatch.setattr(ObjectStore, "download", slow)
    away.bring(copy, copy.root / name)
    assert (copy.root / name).read_bytes() == b"of another item"
    assert [path.name for path in (copy.root / name).parent.iterdir()] == ["00000.parquet"]


def test_files_of_a_step_under_way_are_asked_for_and_sent_once(machines):
    given = finished(machines.data / "links-00000000", machines)
    out = Directory(machines.data / "pages-00000000")
    machines.through(partial(copied, given, out), 0)
    out.shard(1).write_bytes(b"of the client")
    assert machines.through(partial(joined, out), 0) == (b"0" * 500 + b"of the client", 2)
    sent = machines.store.keys(PARTS)
    assert machines.through(partial(joined, out), 1)[1] == 1
    assert machines.store.keys(PARTS) == sent


def test_a_file_that_is_gone_from_the_store_is_sent_again(machines):
    out = Directory(machines.data / "pages-00000000")
    given = finished(machines.data / "links-00000000", machines)
    machines.through(partial(copied, given, out), 0)
    out.shard(1).write_bytes(b"of the client")
    machines.through(partial(joined, out), 0)
    for key in machines.store.keys(PARTS):
        machines.store.delete(key)
    shutil.rmtree(machines.folder / "worker")
    working_copy.of.cache_clear()
    assert machines.through(partial(joined, out), 0)[0] == b"0" * 500 + b"of the client"


def test_an_unfinished_copy_gives_way_also_while_a_purge_is_at_work(machines, address):
    machines.become("other")
    other = working_copy.working_copy(address)
    begun = Directory(other / "links-00000000")
    begun.path.mkdir()
    begun.shard(0).write_bytes(b"begun here")
    machines.become("client")
    finished(machines.data / "links-00000000", machines)
    machines.become("other")
    (other / PURGING).mkdir()
    copy = working_copy.of(other)
    copy.settle(begun.path / MANIFEST, machines.store.get("links-00000000/manifest.json").content)
    assert stored(begun.path)
    assert at_hand(begun.shard(0))
    assert begun.shard(0).read_bytes() != b"begun here"


def here(out: Directory, _item: int) -> bool:
    return at_hand(out.shard(7))


def test_a_file_that_is_nowhere_is_said_to_be_absent(machines):
    out = Directory(machines.data / "pages-00000000")
    assert machines.through(partial(here, out), 0) == (False, 2)


def test_other_bytes_than_a_worker_sent_are_refused(machines):
    given = finished(machines.data / "links-00000000", machines)
    out = Directory(machines.data / "pages-00000000")
    said = machines.done(partial(copied, given, out), 0)
    (key,) = [key for key in machines.store.keys(PARTS) if key.endswith("00/00000.parquet")]
    machines.store.put(key, b"2" * 500)
    with pytest.raises(StoreError, match="is not what a worker has sent"):
        machines.exchange.take(said)
    assert not out.shard(0).exists()


def test_a_worker_writes_into_the_data_directory_alone(machines, tmp_path):
    written = store_parts.Written("../evil", "0" * 64, 1)
    with pytest.raises(Exception, match="wrote outside of the data directory"):
        machines.exchange.take(store_parts.Done(None, [written]))
    assert not list(tmp_path.rglob("evil"))


def test_a_step_that_was_made_again_is_not_the_one_that_was_seen(machines):
    given = finished(machines.data / "links-00000000", machines)
    out = Directory(machines.data / "pages-00000000")
    away = machines.exchange.away()
    packed = machines.exchange.packed(partial(copied, given, out), 0)
    machines.store.put("links-00000000/manifest.json", b"{}")
    machines.become("worker")
    with pytest.raises(StoreError, match=r"manifest\.json: is not the one that the build has seen"):
        away.do(packed)


def test_what_only_this_machine_has_goes_to_no_other(machines, tmp_path):
    (tmp_path / "dump.zst").touch()
    with pytest.raises(OnlyHereError):
        machines.exchange.packed(print, tmp_path / "dump.zst")
    assert machines.exchange.only_here(print, [1, tmp_path / "dump.zst"]) == tmp_path / "dump.zst"
    assert machines.exchange.only_here(print, [machines.data / "any", tmp_path / "none"]) is None


def test_what_runs_leave_behind_is_removed(machines):
    given = finished(machines.data / "links-00000000", machines)
    out = Directory(machines.data / "pages-00000000")
    machines.through(partial(copied, given, out), 0)
    assert machines.store.keys(PARTS)
    Exchange(machines.exchange.copy).close()  # of a build that was refused the lock
    assert machines.store.keys(PARTS)
    Exchange(machines.exchange.copy).away()  # the next run begins
    assert machines.store.keys(PARTS) == {}
    machines.become("worker")
    assert list((machines.folder / "worker").iterdir())
    store_parts.sweep("another run")
    assert list((machines.folder / "worker").iterdir())  # its process lives
    store_parts.sweep(machines.exchange.run)
    assert not list((machines.folder / "worker").iterdir())
