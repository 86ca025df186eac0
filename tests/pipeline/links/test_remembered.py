"""A harvest reads a source once, whatever it is called and whoever stands beside it."""

from dataclasses import replace

import pytest

from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.links import spill
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.remembered import FOLDER
from webtext.pipeline.links.settings import Harvest

PLAIN = Harvest(shards=3, shard_records=1, min_score=2)


def dump(path, numbers, score=3):
    lines = [
        f'{{"id": "{n:x}", "url": "http://{n % 7}.com/{n}", "score": {score}, "subreddit": "s"}}'
        for n in numbers
    ]
    lines[5:5] = ['{"id": "x"}', "no JSON", '{"id": "y", "url": "mailto:someone"}']
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def read(monkeypatch):
    """Return the names of the sources that are read, as they are."""
    names, whole = [], spill.batches
    monkeypatch.setattr(
        spill, "batches", lambda path, *more: names.append(path.name) or whole(path, *more)
    )
    return names


def harvested(data, name, sources, settings=PLAIN):
    out = Directory(data / name)
    out.path.mkdir(parents=True)
    harvest(settings, sources, out, 0)
    return {str(p.relative_to(out.path)): p.read_bytes() for p in out.path.rglob("*.parquet")}


def test_only_new_dumps_are_read_and_the_links_are_the_same(tmp_path, read):
    one = dump(tmp_path / "RS_1.jsonl", range(40))
    two = dump(tmp_path / "RS_2.jsonl", range(30, 70))
    harvested(tmp_path / "data", "links-1", [one])
    grown = harvested(tmp_path / "data", "links-2", [one, two])
    assert read == ["RS_1.jsonl", "RS_2.jsonl"]
    assert grown == harvested(
        tmp_path / "new", "links-2", [one, two], replace(PLAIN, remember=False)
    )
    assert len(read) == 4
    assert not (tmp_path / "new" / FOLDER).exists()
    assert len(grown) == 6


def test_a_dump_that_is_renamed_or_comes_after_another_is_not_read_again(tmp_path, read):
    one = dump(tmp_path / "RS_5.jsonl", range(40))
    harvested(tmp_path / "data", "links-1", [one])
    (tmp_path / "moved").mkdir()
    one = one.rename(tmp_path / "moved" / "RS_6.jsonl")
    new = dump(tmp_path / "RS_2.jsonl", range(30, 70))  # before it, so it has another number
    grown = harvested(tmp_path / "data", "links-2", [new, one])
    assert read == ["RS_5.jsonl", "RS_2.jsonl"]
    assert grown == harvested(tmp_path / "new", "links-2", [new, one])


def test_other_scores_read_nothing_and_other_rules_read_all(tmp_path, read):
    one = dump(tmp_path / "RS_1.jsonl", range(40))
    harvested(tmp_path / "data", "links-1", [one])
    strict = replace(PLAIN, min_score=9, merge="sum")
    harvested(tmp_path / "data", "links-2", [one], strict)
    assert len(read) == 1
    harvested(tmp_path / "data", "links-3", [one], replace(PLAIN, exclude_domains=("3.com",)))
    harvested(tmp_path / "data", "links-4", [one], replace(PLAIN, shards=4))
    assert len(read) == 3


def test_an_edited_dump_is_read_again(tmp_path, read):
    one = dump(tmp_path / "RS_1.jsonl", range(40))
    harvested(tmp_path / "data", "links-1", [one])
    dump(one, range(40), score=1)
    assert harvested(tmp_path / "data", "links-2", [one])
    assert len(read) == 2
    assert not read_shard(tmp_path / "data" / "links-2" / "00000.parquet").num_rows


def test_what_is_remembered_and_damaged_is_read_again(tmp_path, read, caplog):
    one = dump(tmp_path / "RS_1.jsonl", range(40))
    before = harvested(tmp_path / "data", "links-1", [one])
    (rows,) = (tmp_path / "data" / FOLDER).glob("*/rows.arrow")
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)
    assert harvested(tmp_path / "data", "links-2", [one]) == before
    assert len(read) == 2
    assert "damaged" in caplog.text


def test_copies_of_one_dump_are_read_once(tmp_path, read):
    one = dump(tmp_path / "a.jsonl", range(40))
    other = dump(tmp_path / "b.jsonl", range(40))
    found = harvested(tmp_path / "data", "links-1", [one, other])
    assert len(read) == 1
    assert found == harvested(
        tmp_path / "new", "links-1", [one, other], replace(PLAIN, remember=False)
    )
