"""Dumps, lists and WARC files that are read in place from a store, as they are from a disk."""

import gzip
import pickle
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.other_stores import KINDS
from tests.pipeline.crawl.commoncrawl.common_crawl import HTML, text_of, written
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.step import files
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.core.stores import seen_objects, stored_files
from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.seen_objects import look_again
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.store_errors import StoreError
from webtext.pipeline.core.stores.stored_files import StoredFile, known_by, matching
from webtext.pipeline.links.links import harvest, resolve
from webtext.pipeline.links.settings import Harvest

CRAWL = "CC-MAIN-2016-07"


@pytest.fixture(params=KINDS)
def kind_of_store(request) -> str:
    return request.param


@pytest.fixture
def store(cloud) -> ObjectStore:
    return ObjectStore(parse(f"{cloud.place()}/in"))


def put(store: ObjectStore, key: str, content: bytes) -> StoredFile:
    store.put(key, content)
    return StoredFile(f"{store.address}/{key}")


def test_ranges_are_those_of_the_file_and_reading_on_takes_few_requests(store, cloud, monkeypatch):
    monkeypatch.setattr(stored_files, "AHEAD", 4096)
    monkeypatch.setattr(stored_files, "SMALL", 100)
    monkeypatch.setattr(stored_files, "NEAR", 50)
    content = random.Random(1).randbytes(50_000)
    path = put(store, "a.bin", content)
    assert path.stat().st_size == 50_000
    with path.open("rb") as file:
        places = random.Random(2)
        for _ in range(60):
            at, length = places.randrange(51_000), places.randrange(3_000)
            assert file.pread(length, at) == content[at : at + length]
    cloud.faults.share, cloud.faults.cut_answers = 0.1, 2
    with path.open("rb") as file:
        assert b"".join(iter(lambda: file.read(700), b"")) == content
        assert file.requests <= 50_000 // 4096 + 2


def test_an_object_that_changes_while_it_is_read_is_not_read_on(store, monkeypatch):
    monkeypatch.setattr(stored_files, "AHEAD", 1000)
    path = put(store, "a.bin", bytes(200_000))
    with path.open("rb") as file:
        file.read(10)
        store.put("a.bin", b"\1" * 200_000)
        with pytest.raises(StoreError, match=r"a\.bin: has changed or is gone since it was looked"):
            file.pread(10, 150_000)


def test_names_are_kept_and_a_star_stands_for_a_part_of_a_name(store):
    for key in ("RS_1.zst", "RS_2.zst", "deep/RS_3.zst", "other.txt"):
        store.put(key, b"x")
    at = str(store.address)
    assert [one.name for one in matching(f"{at}/RS_*.zst")] == ["RS_1.zst", "RS_2.zst"]
    assert [one.name for one in matching(f"{at}/**/RS_*.zst")][-1] == "RS_3.zst"
    assert resolve([f"{at}/other.txt"], None) == [StoredFile(f"{at}/other.txt")]
    store.put("other.txt", b"more")  # while this process goes on
    (other,) = resolve([f"{at}/other.txt"], None)
    assert other.stat().st_size == 1, "one build sees one version"
    look_again()
    assert other.stat().st_size == 4
    again = pickle.loads(pickle.dumps(StoredFile(f"{at}/RS_1.zst")))
    assert str(again) == f"{at}/RS_1.zst"
    with pytest.raises(UserError, match=rf"links.sources: no file matches '{at}/none.zst'"):
        resolve([f"{at}/none.zst"], None)


def test_a_file_is_the_same_whether_a_star_or_its_name_found_it(store):
    """As what is remembered of it goes by this."""
    path = put(store, "RS_1.zst", b"x")
    named = known_by(path)
    look_again()
    (found,) = matching(f"{store.address}/RS_*.zst")
    assert known_by(found) == named


def test_a_size_that_a_listing_or_an_answer_told_is_not_asked_for(store, cloud):
    other = ObjectStore(parse(f"{store.address}/deep"))
    for number in range(4):
        put(store, f"RS_{number}.zst", bytes(9 + number))
        put(other, f"RS_{number}.zst", bytes(20 + number))
    look_again()
    cloud.faults.count.clear()
    found = list(matching(f"{store.address}/**/RS_*.zst"))
    assert sorted(path.stat().st_size for path in found) == [*range(9, 13), *range(20, 24)]
    with found[0].open("rb") as file:
        assert len(file.read()) == found[0].stat().st_size
    assert cloud.faults.count == {"GET": 2}  # the listing, and the bytes
    look_again()
    address = parse(f"{store.address}/RS_3.zst")
    assert seen_objects.read(address, 2, 5) == bytes(5)
    assert seen_objects.size(address).bytes == 12
    assert cloud.faults.count == {"GET": 3}
    assert seen_objects.read(address, 10, 50) == bytes(2)
    assert seen_objects.read(address, 12, 1) == seen_objects.read(address, 99, 9) == b""
    assert seen_objects.read(address.parent / "none", 0, 9) is None
    assert seen_objects.size(address.parent / "none") is None
    put(store, "RS_3.zst", bytes(12))
    put(store, "RS_3.zst", b"1" * 12)
    with pytest.raises(StoreError, match=r"RS_3\.zst: has changed or is gone"):
        seen_objects.read(address, 0, 5)


def links_of(out: Directory) -> list[bytes]:
    return [path.read_bytes() for under in ("", "dropped") for path in out.shards(under)]


@pytest.mark.parametrize("remember", [True, False])
def test_a_harvest_of_dumps_in_a_store_is_that_of_local_ones(store, tmp_path, remember):
    lines = [b'{"url": "http://a%d.test/%d", "score": 5}' % (n % 9, n) for n in range(3000)]
    dump = zstandard.compress(b"\n".join(lines))
    local = tmp_path / "RS_1.zst"
    local.write_bytes(dump)
    (tmp_path / "more.txt.gz").write_bytes(gzip.compress(b"http://b.test/\n"))
    table = pa.table({"url": [f"http://c.test/{n}" for n in range(200)]})
    pq.write_table(table, tmp_path / "urls.parquet")
    store.put("urls.parquet", (tmp_path / "urls.parquet").read_bytes())
    store.put("RS_1.zst", dump)
    store.put("more.txt.gz", (tmp_path / "more.txt.gz").read_bytes())
    found = {}
    for name, base in (("here", str(tmp_path)), ("there", str(store.address))):
        home = tmp_path / name
        home.mkdir()
        sources = resolve([f"{base}/RS_*.zst", f"{base}/more.txt.gz", f"{base}/u*t"], tmp_path)
        out = Directory(home / "links-0")
        out.path.mkdir()
        harvest(Harvest(shards=2, remember=remember), sources, out, 0)
        found[name] = links_of(out)
    assert found["here"] == found["there"]
    assert sum(map(len, found["there"])) > 10_000


def test_warc_files_in_a_store_give_the_pages_of_local_ones(store, tmp_path):
    """Of a list as Common Crawl publishes it, local and in the store."""
    folder = f"crawl-data/{CRAWL}/segments/1/warc"
    names = [f"{folder}/{n}.warc.gz" for n in range(2)]
    for number, name in enumerate(names):
        pages = [
            (f"http://a.test/{number}/{n}", "20160220", 200, HTML, text_of(f"page {n}"), ())
            for n in range(40)
        ]
        store.put(name, written(tmp_path / name, pages).read_bytes())
    listing = gzip.compress("".join(f"{name}\n" for name in names).encode())
    (tmp_path / f"crawl-data/{CRAWL}/warc.paths.gz").write_bytes(listing)
    store.put(f"crawl-data/{CRAWL}/warc.paths.gz", listing)
    read = {}
    for name, base in (("here", str(tmp_path)), ("there", str(store.address))):
        settings = ImportWarc(warc=(f"{base}/crawl-data/{CRAWL}/warc.paths.gz",))
        out = Directory(tmp_path / f"pages-{name}")
        (passage,) = import_warc(settings, files(settings), None, out, 0, silent)
        rows = [row for path in out.shards("outcomes") for row in read_shard(path).to_pylist()]
        read[name] = (
            passage,
            [{**row, "warc_file": row["warc_file"].removeprefix(base)} for row in rows],
            [batch for number in out.numbers("outcomes") for batch in page_batches(out, number)],
        )
    assert read["here"] == read["there"]
    assert read["there"][0].kept == 80


def test_a_list_may_name_files_with_blanks(tmp_path):
    names = ["my crawl/a 1.warc.gz", "b.warc.gz"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "warc.paths").write_bytes(f"{names[0]}\r\n\n  {names[1]} \n".encode())
    found = files(ImportWarc(warc=(str(tmp_path / "warc.paths"),)))
    assert sorted(found) == sorted(tmp_path / name for name in names)


def test_a_list_that_names_missing_files_is_refused(tmp_path):
    path = tmp_path / "warc.paths"
    path.write_text("crawl-data/a.warc.gz\n")
    with pytest.raises(UserError, match=r"warc\.paths: 1 of the 1 files .* shorten the list"):
        files(ImportWarc(warc=(str(path),)))
    path.write_text("")
    with pytest.raises(UserError, match="names no file"):
        files(ImportWarc(warc=(str(path),)))
    (tmp_path / "warc.paths.gz").write_bytes(gzip.compress(b"a")[:-4])
    with pytest.raises(UserError, match="damaged list of WARC files"):
        files(ImportWarc(warc=(str(tmp_path / "warc.paths.gz"),)))
