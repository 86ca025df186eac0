"""Requests to a store that fails at random, cuts short, refuses or is not there."""

import hashlib
import random
import subprocess
import sys
import threading

import pytest

from tests.other_stores import AZURE, EACH
from tests.store_server import SECRET
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores import object_store
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import is_address, parse
from webtext.pipeline.core.stores.store_errors import StoreError


@pytest.fixture(params=EACH)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture
def store(cloud) -> ObjectStore:
    return ObjectStore(parse(f"{cloud.place()}/some/prefix"))


def test_what_is_written_is_read_and_what_is_not_there_is_none(store, tmp_path):
    assert store.get("a") is None
    assert store.size("a") is None
    assert store.download("a", tmp_path / "a") is None
    written = store.put("b/a", b"content")
    found = store.get("b/a")
    assert (found.content, found.version) == (b"content", written)
    assert store.size("b/a")[:2] == (7, written)
    assert store.download("b/a", tmp_path / "a") == hashlib.sha256(b"content").hexdigest()
    assert (tmp_path / "a").read_bytes() == b"content"
    assert store.folders() == ["b"]
    assert store.keys("b") == {"b/a": 7}
    store.delete("b/a")
    store.delete("b/a")
    assert store.get("b/a") is None


def test_of_several_that_write_at_once_one_succeeds(store):
    """Of each round, whoever read the same version before."""
    won = []

    def write(number: int, turn: int) -> None:
        if version := store.swap("lock", b"%d %d" % (turn, number), before):
            won.append((number, version))

    before = None
    for turn in range(3):
        won.clear()
        threads = [threading.Thread(target=write, args=(n, turn)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.get("lock").content == b"%d %d" % (turn, won[0][0])
        before = won[0][1]


def test_failures_at_random_and_bodies_that_break_off_change_nothing(store, cloud, tmp_path):
    cloud.faults.share, cloud.faults.cut_answers = 0.2, 5
    contents = {f"k{n}": random.Random(n).randbytes(n * 997) for n in range(30)}
    for key, content in contents.items():
        store.put(key, content)
    for key, content in contents.items():
        assert store.get(key).content == content
        assert store.download(key, tmp_path / key) == hashlib.sha256(content).hexdigest()
    version = None
    for number in range(20):  # an answer that was lost does not look like another's success
        version = store.swap("lock", b"%d" % number, version)
        assert version is not None
    assert cloud.faults.count["failed"] > 10
    assert cloud.faults.cut_answers == 0


def test_what_is_written_under_a_condition_is_whole_too_or_an_error(store, cloud):
    content = b"a manifest, of which a half is none"
    cloud.faults.cut_uploads = 2
    version = store.swap("made/manifest.json", content, None)
    found = store.get("made/manifest.json")
    assert (found.content, found.version) == (content, version)
    cloud.faults.cut_uploads = 99
    with pytest.raises(StoreError, match="does not have the bytes that were sent"):
        store.swap("made/manifest.json", content + b" either", version)


def test_a_large_object_goes_in_parts_and_comes_back_whole(store, cloud, tmp_path, monkeypatch):
    monkeypatch.setattr(object_store, "CHUNK", 5 << 20)
    content = random.Random(0).randbytes(11 << 20)
    (tmp_path / "large").write_bytes(content)
    written = store.put_whole("large", tmp_path / "large")
    assert store.size("large")[:2] == (len(content), written)
    if cloud.scheme == "az":
        assert len(cloud.faults.puts) == 3 + 1  # the parts, and their list
    else:
        assert cloud.faults.count["POST"] == 2  # the parts are begun and joined
    assert store.download("large", tmp_path / "back") == hashlib.sha256(content).hexdigest()


def test_who_is_refused_learns_it_in_one_line_and_no_secret_is_shown(store, cloud):
    cloud.faults.denied = True
    for ask in (lambda: store.get("a"), lambda: store.put("a", b""), store.folders):
        with pytest.raises(StoreError, match="refuses these credentials") as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert SECRET not in "".join(map(str, (caught.value, caught.value.__context__)))
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind_of_store", [AZURE])
def test_a_wrong_key_is_refused_by_the_server_itself(store, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==")
    with pytest.raises(StoreError, match=r"refuses these credentials \(403 Auth\w+\)") as caught:
        store.folders()
    assert "aHVudGVyMg" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(cloud):
    place = f"{cloud.scheme}://no-such-bucket"
    store = ObjectStore(parse(f"{place}/data"))
    for ask in (lambda: store.get("a"), lambda: store.put("a", b""), store.folders):
        with pytest.raises(StoreError, match=rf"there is no \w+ {place} \(404"):
            ask()


def test_a_store_that_always_fails_is_given_up(store, cloud, monkeypatch):
    monkeypatch.setattr(object_store, "REPEATS", 1)
    monkeypatch.setattr(object_store, "TRIES", 2)
    cloud.faults.share = 1.0
    with pytest.raises(
        StoreError, match=r"fails or cannot be reached .*run the same command again"
    ):
        store.get("a")


def test_without_the_extra_one_line_says_how_to_install_it(cloud, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UserError, match=r"pip install 'webtext\[s3\]'"):
        ObjectStore(parse("s3://bucket/data")).get("a")


def test_obstore_is_imported_only_for_a_store():
    code = "import sys, webtext.pipeline.core.shards; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://", "names no bucket"),
        ("https://a.test/x", "wanted s3://, gs://, az://"),
        ("s3://b/../c", "no part of a prefix"),
        ("s3://b/c\nd", "control"),
        ("data", "no address"),
    ],
)
def test_what_is_no_address_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        parse(text)


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(UserError) as caught:
        parse("s3://KEY:hunter2@bucket/data")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["s3://b", "gs://b/c", "az://b/c/d"])
def test_an_address_is_shown_as_it_is_written(text):
    assert str(parse(text + "/")) == text
    assert is_address(text)
    assert str(parse(text) / "x") == text + "/x"
    assert (parse(text) / "x").parent == parse(text)
