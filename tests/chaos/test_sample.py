"""A sample of `make chaos`, and what the commands do about what they find."""

import json
import shutil
from pathlib import Path

import pytest

from tests.chaos.mutations import files, kind_of, of_each_kind
from tests.chaos.trial import all_of, missed_by_reader, missed_by_verify
from tests.chaos.whole import answer, build
from tests.pipeline.crawl.fakes import FakeWeb
from webtext.pipeline.core.directories import checked
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import read_shard
from webtext.pipeline.insight.verification import verify


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chaos")
    made = build(folder)
    made.run(workers=0)
    return folder


@pytest.fixture
def data(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy" / "data"


def test_a_whole_directory_has_no_differences(whole):
    assert [str(found) for found in verify(whole / "data")] == []
    assert len({kind_of(path) for path in files(whole / "data")}) >= 24


def test_whatever_changes_is_named_before_it_is_read(data):
    found = [missed_by_reader(each) for each in all_of(of_each_kind(files(data)), 3, 1)]
    assert [said for said in found if said] == []
    assert len(found) > 150


def test_whatever_changes_is_named_by_verify(data):
    some = [path for path in of_each_kind(files(data)) if path.suffix in (".gz", ".bin", ".json")]
    every = list(all_of(some, 1, 2))
    assert [said for each in every[::5] if (said := missed_by_verify(data, each))] == []


def test_a_second_look_reads_nothing(data):
    home = next(data.glob("documents-*"))
    assert checked.check(home) > 0  # it was copied, so its inodes are others
    assert checked.check(home) == 0


def test_a_shard_is_held_to_its_manifest_when_a_command_reads_it(data):
    path = next(data.glob("corpus-*")) / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match=r"not the file that manifest\.json lists"):
        read_shard(path)


def test_rows_that_a_step_lost_are_found_though_every_sum_is_right(data):
    home = next(data.glob("signatures-*"))
    manifest = json.loads((home / "manifest.json").read_text())
    for name in ("00000.parquet", "00001.parquet"):
        manifest["files"][name] = manifest["files"]["00000.parquet"]
    shutil.copy(home / "00000.parquet", home / "00001.parquet")
    (home / "manifest.json").write_text(json.dumps(checked.sealed(manifest)))
    said = "\n".join(map(str, verify(data)))
    assert "its ids are not those of documents-" in said


def test_a_damaged_record_costs_its_page_and_the_build_goes_on(data):
    home = next(data.glob("pages-*"))
    rows = read_shard(home / "outcomes" / "00000.parquet").to_pylist()
    lost = next(row for row in rows if row["dropped_by"] is None)
    path = home / lost["warc_file"]
    spoilt = bytearray(path.read_bytes())
    spoilt[lost["warc_offset"] + 80] ^= 1
    path.write_bytes(spoilt)
    for made in data.glob("documents-*"):
        shutil.rmtree(made)
    web = FakeWeb(answer)
    build(data.parent, web).run(workers=0)
    assert web.asked == []
    dropped = [
        row
        for path in data.glob("documents-*/dropped/*.parquet")
        for row in read_shard(path).to_pylist()
    ]
    assert {row["url"] for row in dropped if row["dropped_by"] == "extract.damaged"} == {
        lost["url"]
    }
    assert path.read_bytes() == bytes(spoilt)
