"""What a flipped bit or a wrong length costs: one record, and never the next good one."""

import pyarrow as pa
import pytest

from tests.pipeline.warcfile import PAGE, http, members, record, site, write
from webtext.pipeline.archive import warc
from webtext.pipeline.archive.replaying.page_bodies import page_batches
from webtext.pipeline.archive.warc_import import ImportWarc, import_warc
from webtext.pipeline.archive.warc_records import sha1
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.records import OUTCOME
from webtext.pipeline.core.shards import Directory, read_shard, write_parquet

PACKINGS = {"gzip": lambda records: b"".join(members(records)), "plain": b"".join}


def imported(tmp_path, path):
    out = Directory(tmp_path / "pages")
    out.path.mkdir()
    import_warc(ImportWarc(), [path], None, out, 0, silent)
    return out


def bodies(out):
    return [body for batch in page_batches(out, 0) for body in batch["body"].to_pylist()]


def pages(count):
    texts = [PAGE + b"<p>%d</p>" % n for n in range(count)]
    blocks = [http(text) for text in texts]
    return [
        record(f"http://h.test/{n}", block, number=n, WARC_Block_Digest=sha1(block))
        for n, block in enumerate(blocks)
    ]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_flipped_bit_costs_its_record_and_no_other(tmp_path, packing, caplog):
    path = write(tmp_path / "a.warc", pages(4), PACKINGS[packing])
    out = imported(tmp_path, path)
    rows = read_shard(out.shard(0, under="outcomes")).to_pylist()
    before = bodies(out)
    whole = path.read_bytes()
    start, length = rows[1]["warc_offset"], rows[1]["warc_length"]
    costs = 0
    for place in range(start, start + length, length // 24):
        data = bytearray(whole)
        data[place] ^= 0x10
        path.write_bytes(data)
        caplog.clear()
        first, second, *others = bodies(out)
        assert [first, *others] == [before[0], *before[2:]]
        assert second in (before[1], None)
        assert (f"{path}: wanted" in caplog.text) is (second is None)
        costs += second is None
    # Of a record that is not packed, nothing has a digest of the header's own lines.
    assert costs >= (24 if packing == "gzip" else 12)


@pytest.mark.parametrize("length", [-3, 5])
def test_a_false_length_costs_its_record_and_no_other(tmp_path, length):
    out = imported(tmp_path, write(tmp_path / "a.warc", site(3), PACKINGS["gzip"]))
    shard = out.shard(0, under="outcomes")
    rows = read_shard(shard).to_pylist()
    rows[1]["warc_length"] += length
    write_parquet(shard, [pa.RecordBatch.from_pylist(rows, OUTCOME)], OUTCOME)
    first, second, third = bodies(out)
    assert first
    assert third
    assert (second is None) is (length < 0)


def test_a_flipped_bit_is_found_when_a_plain_file_is_imported(tmp_path):
    data = bytearray(b"".join(pages(3)))
    data[data.index(b"<p>1</p>") + 3] ^= 1
    (tmp_path / "a.warc").write_bytes(data)
    out = imported(tmp_path, tmp_path / "a.warc")
    rows = read_shard(out.shard(0, under="outcomes")).to_pylist()
    assert [row["dropped_by"] for row in rows] == [None, "pages.damaged", None]


@pytest.mark.parametrize(("filling", "damaged"), [(b"\0", 0), (b"\0\0x", 1)])
def test_what_lies_between_members_is_looked_at_piece_by_piece(
    tmp_path, monkeypatch, filling, damaged
):
    """Such as a gigabyte of zeros behind a file, which preallocated downloads leave."""
    read = []
    whole = warc.pread

    def noted(raw, length, at):
        read.append(length)
        return whole(raw, length, at)

    monkeypatch.setattr(warc, "pread", noted)
    path = write(tmp_path / "a.warc.gz", [*members(site(2)), filling * (4 << 20)])
    found = list(warc.responses(path))
    assert len(found) == 2 + damaged
    assert max(read) < 2 * warc.SCAN
