"""Files that are no dumps, or only nearly: each is told, and costs nothing else."""

import bz2
import gzip
import json
import lzma
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.links.columns import batches
from webtext.pipeline.links.dumps import Flaw, records
from webtext.pipeline.links.submissions import Submission

POST = {"id": "1", "subreddit": "a", "score": 5, "created_utc": 1119552233, "is_self": False}
PACKERS = {
    "zst": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "gz": gzip.compress,
}
packed = pytest.mark.parametrize("ending", PACKERS)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zst", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no text; wanted a dump or a list"),
        ("a.zst", b"<!DOCTYPE html>\n<title>404</title>", "is a page of HTML"),
        ("a.jsonl", b"\n<html><body>", "is a page of HTML"),
        ("a.zst", b"", "is empty; download it again"),
        ("a.json", b'[{"url": "http://a.com"}]', "is one array of JSON; wanted an object a line"),
        ("a.json", b'\xef\xbb\xbf[\n  {"url": "http://a.com"}\n]', "is one array of JSON"),
        ("a.json.zst", PACKERS["zst"](b'["http://a.com"]'), "is one array of JSON"),
    ],
)
def test_what_is_no_dump_is_the_users_mistake(name, data, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        list(batches(path, 10))


def test_an_empty_list_is_a_list(tmp_path):
    (tmp_path / "a.txt").touch()
    assert list(records(tmp_path / "a.txt")) == []


def test_a_string_of_parquet_that_is_no_utf_8_costs_its_row(tmp_path):
    texts = [b"http://a.com", b"http://b.com/\xff", b"http://c.com", b"http://d.com"]
    url = pa.array(texts, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"url": url}), tmp_path / "a.parquet")
    found = list(records(tmp_path / "a.parquet"))
    assert found == [
        (1, Submission("http://a.com", listed=True)),
        (2, Flaw("broken_line")),
        (3, Submission("http://c.com", listed=True)),
        (4, Submission("http://d.com", listed=True)),
    ]


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("us", "UTC")])
def test_a_time_of_parquet_that_is_far_out_of_range_is_none(kind, tmp_path):
    day = 86_400
    many = 1 if kind.unit == "s" else 10**6
    seconds = [5 * day, 1 << 43, 6 * day, 1 << 42]
    times = pa.array([second * many for second in seconds], pa.int64()).cast(kind)
    letters = [b"http://a.com", b"http://b.com", b"http://c.com", b"http://d.com/\xff"]
    url = pa.array(letters, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"url": url, "created": times}), tmp_path / "a.parquet")
    assert [found for _, found in records(tmp_path / "a.parquet")] == [
        Submission("http://a.com", created=5 * day, listed=True),
        Submission("http://b.com", listed=True),
        Submission("http://c.com", created=6 * day, listed=True),
        Flaw("broken_line"),
    ]


@packed
def test_a_dump_cut_short_in_any_format_gives_its_whole_lines(ending, tmp_path):
    posts = [POST | {"url": f"http://a.com/{n**5}", "title": f"é{n**7}"} for n in range(9000)]
    lines = [json.dumps(post, ensure_ascii=False) for post in posts]
    data = PACKERS[ending]("\n".join(lines).encode())
    path = tmp_path / f"RS.{ending}"
    path.write_bytes(data[: len(data) * 9 // 10])
    *found, (_, last) = records(path)
    assert last == Flaw("truncated_archive")
    assert [row.url for _, row in found] == [post["url"] for post in posts[: len(found)]]
    assert [line for line, _ in found] == list(range(1, len(found) + 1))


def test_a_line_of_300_mb_is_one_flaw_and_its_neighbours_are_read_in_little_memory(tmp_path):
    path, size = tmp_path / "RS.zst", 300_000_000
    good = json.dumps(POST | {"url": "http://a.com"}).encode()
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as writer:
        writer.write(good + b"\n")
        for _ in range(300):
            writer.write(b" " * (size // 300))
        writer.write(b"\n" + good)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        found = list(records(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [line for line, _ in found] == [1, 2, 3]
    assert found[1][1] == Flaw("line_too_long", size)
    assert found[0][1].url == found[2][1].url == "http://a.com"
    assert peak < size * 0.9, peak
