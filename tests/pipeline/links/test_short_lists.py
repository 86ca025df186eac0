"""A short list makes few files, and the links of a long one."""

import json

import pytest

from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.links import links, spill
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.urls.urls import bucket, shard_of


def made(path, sources, shards, few=500):
    out = Directory(path / "links-0")
    out.path.mkdir(parents=True, exist_ok=True)
    return out, harvest(Harvest(shards=shards, shard_records=few, remember=False), sources, out, 0)


@pytest.fixture
def sources(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("".join(f"http://{n % 40}.example{n % 7}.com/{n % 300}\n" for n in range(400)))
    second.write_text("no link\n" + "".join(f"http://{n}.org/\n" for n in range(90)))
    return [first, second]


@pytest.mark.parametrize(
    ("records", "shards", "found"),
    [(1, 256, 1), (500, 256, 1), (501, 256, 2), (3_635, 8, 8), (10**6, 256, 256), (900, 7, 7)],
)
def test_a_harvest_has_as_many_shards_as_its_records_are_worth(records, shards, found):
    assert links.enough([{"records": records}], Harvest(shards=shards)) == found


def test_a_short_list_in_one_shard_has_the_rows_of_many(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(spill, "CHUNK", 64)  # several chunks of a source
    monkeypatch.setattr(spill, "CHUNK_PER_SHARD", 1)
    one, told = made(tmp_path / "one", sources, 12)
    four, also = made(tmp_path / "four", sources, 12, few=130)
    twelve, whole = made(tmp_path / "twelve", sources, 12, few=1)
    alone, _ = made(tmp_path / "alone", sources, 1)
    assert [len(made.numbers()) for made in (one, four, twelve)] == [1, 4, 12]
    assert told == also == whole
    assert one.shard(0).read_bytes() == alone.shard(0).read_bytes()
    assert (
        one.shard(0, under="dropped").read_bytes() == alone.shard(0, under="dropped").read_bytes()
    )
    rows = {
        out: sorted(json.dumps(row, default=str) for path in out.shards() for row in
                    read_shard(path).to_pylist())
        for out in (one, four, twelve)
    }  # fmt: skip
    assert rows[one] == rows[four] == rows[twelve]
    for number in four.numbers():
        for domain in read_shard(four.shard(number))["domain"].to_pylist():
            assert bucket(domain, 4) == shard_of(four, domain) == number


def test_a_harvest_under_way_keeps_its_number_of_shards(tmp_path, sources):
    """Also one that was begun by a version that had as many as the setting says."""
    whole, told = made(tmp_path, sources, 4, few=1)
    assert all("shards" not in row for row in json.loads((whole.path / "sources.json").read_text()))
    kept = whole.shard(3).read_bytes()
    whole.shard(3).unlink()
    again, also = made(tmp_path, sources, 4)
    assert (again.numbers(), also, again.shard(3).read_bytes()) == ([0, 1, 2, 3], told, kept)
