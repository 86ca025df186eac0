import csv
import gzip
import io
import json
from datetime import UTC, datetime

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from webtext.flows.building.settings import load
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.filters.own import filtering
from webtext.pipeline.filters.own.filtering import filter_files
from webtext.pipeline.filters.step import chain_of
from webtext.pipeline.sources.source_rows import PLAIN, Fields

PROSE = (
    "The way to the lake led through a small wood, and that was the way that the children liked to "
    "take. They would have to be home before dark, but the days were long in June and nobody had a "
    "watch. On the bank of the lake there was an old boat, and in the boat there was a box. "
)
ROWS = [
    {"id": "a", "text": PROSE + "One.", "n": 1},
    {"id": "b", "text": "The end of it.", "n": 2},
    {"id": "c", "text": "Der Weg zum See führte durch einen kleinen Wald. " * 9, "n": 3},
    {"id": "d", "text": PROSE + "\r\n\r\n\r\nFour:\u200b", "n": 4},
]
PAGE = f"<html><head><title>A lake</title></head><body><p>{PROSE * 2}</p></body></html>"
CHAIN = chain_of(load("webtext"))


def lines(rows) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def table(rows) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def arrow(rows) -> bytes:
    found = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, found.schema) as stream:
        stream.write_table(found)
    return sink.getvalue()


def parquet(rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def dropped(passages):
    return {why: n for passage in passages for why, n in passage.dropped.items()}


def run(tmp_path, *paths, fields=PLAIN, **more):
    out, other = tmp_path / "out.jsonl", tmp_path / "out.dropped.jsonl"
    passages = filter_files(list(paths), out, CHAIN, fields, dropped=other, **more)
    return read(out), read(other), passages


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.jsonl", lines(ROWS)),
        ("own.json", b"\xef\xbb\xbf" + lines(ROWS)),
        ("own.jsonl.gz", gzip.compress(lines(ROWS))),
        ("own.jsonl.zst", zstandard.compress(lines(ROWS))),
        ("own", lines(ROWS)),
        ("own.csv", table(ROWS).encode()),
        ("own.csv", table(ROWS).encode("utf-16")),
        ("own.tsv.gz", gzip.compress(table(ROWS).replace(",", "\t").encode())),
        ("own.parquet", parquet(ROWS)),
        ("own.arrow", arrow(ROWS)),
    ],
)
def test_rows_of_each_form_are_divided_alike(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    kept, gone, passages = run(tmp_path, tmp_path / name)
    assert [row["id"] for row in kept] == ["a", "d"]
    assert kept[1]["text"].endswith("a box.\n\nFour:")
    if ".tsv" not in name:
        assert str(kept[1]["n"]) == "4"
        assert [row["text"] for row in gone] == [ROWS[1]["text"], ROWS[2]["text"]], "as they came"
    assert [row["dropped_by"] for row in gone] == [
        "rules.gopher_quality.word_count.low", "language.other",
    ]  # fmt: skip
    assert gone[0]["dropped_value"] == 4
    assert [(p.stage, p.read, p.kept) for p in passages] == [
        ("read", 4, 4), ("clean", 4, 4), ("language", 4, 3), ("rules", 3, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.jsonl.zst", "o.parquet", "o.csv"])
@pytest.mark.parametrize("given", ["own.jsonl", "own.parquet"])
def test_the_output_is_what_its_name_says(tmp_path, given, name):
    (tmp_path / given).write_bytes(lines(ROWS) if given == "own.jsonl" else parquet(ROWS))
    out = tmp_path / name
    filter_files([tmp_path / given], out, CHAIN)
    content = out.read_bytes()
    if name == "o.parquet":
        rows = pq.read_table(out).to_pylist()
    elif name == "o.csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
    else:
        unpack = {".gz": gzip.decompress, ".zst": lambda z: zstandard.decompress(z, 1 << 20)}
        rows = list(map(json.loads, unpack.get(out.suffix, bytes)(content).splitlines()))
    assert [(row["id"], str(row["n"])) for row in rows] == [("a", "1"), ("d", "4")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([given, name])


def test_a_folder_of_files_is_a_text_a_file(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.html").write_text(PAGE)
    (folder / "b.md").write_text(f"---\ntitle: A *lake*\ndraft: no\n---\n# The lake\n\n{PROSE}")
    (folder / "c.txt").write_bytes(PROSE.replace("lake", "café").encode("latin-1"))
    (folder / "d.txt.gz").write_bytes(gzip.compress(b"Too short."))
    (folder / "e.pdf").write_bytes(b"%PDF")
    (folder / ".hidden.txt").write_text(PROSE)
    kept, gone, passages = run(tmp_path, folder)
    rows = {row["id"]: row for row in kept}
    assert set(rows) == {"sub/a.html", "b.md", "c.txt"}
    assert rows["sub/a.html"]["title"] == "A lake"
    assert rows["sub/a.html"]["text"].startswith("The way to the lake")
    assert rows["b.md"]["text"].startswith("# The lake\n\nThe way")
    assert rows["b.md"]["title"] == "A *lake*"
    assert "the café" in rows["c.txt"]["text"]
    assert [row["id"] for row in gone] == ["d.txt.gz"]
    assert passages[0].read == 4
    assert [passage.stage for passage in passages][1] == "extract"


def test_a_dataset_is_read_without_its_readme_and_a_build_without_what_it_dropped(tmp_path):
    data = tmp_path / "dataset"
    (data / "data").mkdir(parents=True)
    for name, rows in (("train-00000-of-00002", ROWS[:2]), ("train-00001-of-00002", ROWS[2:])):
        (data / "data" / f"{name}.parquet").write_bytes(parquet(rows))
    (data / "README.md").write_text(PROSE)
    (data / "dataset_infos.json").write_text("{}")
    kept, gone, _ = run(tmp_path, data)
    assert [row["id"] for row in kept] == ["a", "d"]
    assert len(gone) == 2


def test_a_wet_file_is_read(tmp_path):
    def record(kind, url, body):
        return (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\n"
            f"Content-Length: {len(body.encode())}\r\n\r\n{body}\r\n\r\n"
        ).encode()

    path = tmp_path / "CC.warc.wet.gz"
    records = [
        record("warcinfo", "", "software: x"),
        record("conversion", "http://a.test/", PROSE),
        record("conversion", "http://a.test/b", "Short."),
    ]
    path.write_bytes(b"".join(map(gzip.compress, records)))
    kept, gone, passages = run(tmp_path, path)
    assert [row["url"] for row in kept] == ["http://a.test/"]
    assert [row["url"] for row in gone] == ["http://a.test/b"]
    assert passages[0].read == 2


def test_a_bad_row_costs_itself(tmp_path):
    path = tmp_path / "own.jsonl"
    bad = [b"{broken", b"[1]", b'{"id": 1}', b'{"text": 3}', b'"text"', b"\xff\xfe{", b""]
    path.write_bytes(lines(ROWS) + b"\n".join(bad) + b"\n" + lines([{"text": None}, ROWS[0]]))
    kept, gone, passages = run(tmp_path, path)
    assert [row["id"] for row in kept] == ["a", "d", "a"]
    assert dropped(passages)["read.broken"] == 4
    assert dropped(passages)["read.no_text"] == 2
    assert dropped(passages)["clean.no_text"] == 1
    assert passages[0].read == 12
    assert len(kept) + len(gone) == 12
    by_place = {row["place"]: row for row in gone if "place" in row}
    assert by_place["own.jsonl:5"]["raw"] == "{broken"
    assert "it has 'id'" in by_place["own.jsonl:7"]["why"]


def test_a_bad_row_of_csv_costs_itself(tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(table(ROWS).encode() + b"x,y\nq,caf\xe9,5\n" + f'e,"{PROSE}",6\n'.encode())
    kept, gone, passages = run(tmp_path, path)
    assert [row["id"] for row in kept] == ["a", "d", "e"]
    assert dropped(passages)["read.broken"] == 2
    assert len(gone) == 4


@pytest.mark.parametrize("name", ["own.jsonl.gz", "own.csv.gz"])
def test_what_can_be_read_of_a_torn_file_is_kept_and_the_tear_is_told(tmp_path, name):
    rows = [{"id": str(n), "text": f"{PROSE}{n} {n * 7919}", "n": n} for n in range(300)]
    content = lines(rows) if "json" in name else table(rows).encode()
    packed = gzip.compress(content, 1)
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    kept, gone, passages = run(tmp_path, tmp_path / name)
    assert 20 < len(kept) < 300
    assert dropped(passages)["read.cut_short"] == 1
    assert passages[0].read == len(kept) + len(gone)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", lines([{"id": 1, "body": PROSE}]), "'body', 'id'.*--text-field"),
        ("a.csv", b"id,body\n1,xx\n", "'body', 'id'.*--text-field"),
        ("a.parquet", parquet([{"id": 1, "body": "x"}]), "'id', 'body'.*--text-field"),
        ("a.parquet", parquet([{"id": 1, "text": 1.5}]), "wanted text"),
        ("a.parquet", b"PAR1 and nothing else", "not a whole Parquet file"),
        ("a.jsonl", b"no json\n", "a.jsonl:1: not JSON"),
        ("a.bin", b"\0\1", "cannot tell what it holds"),
        ("a.warc", b"WARC/1.0\r\n", "webtext extract"),
    ],
)
def test_files_that_cannot_be_read_are_refused_before_the_work(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        run(tmp_path, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_names_of_fields_are_taken(tmp_path):
    (tmp_path / "own.jsonl").write_bytes(lines([{"body": PROSE, "text": 5}]))
    kept, _, _ = run(tmp_path, tmp_path / "own.jsonl", fields=Fields(text="body"))
    assert kept == [{"body": PROSE.strip(), "text": 5}]


@pytest.mark.parametrize(
    ("out", "said"),
    [("own.jsonl", "is read"), ("out.txt", "wanted a name in"), ("out.parquet.gz", "wanted a")],
)
def test_outputs_that_cannot_be_written_are_refused(tmp_path, out, said):
    (tmp_path / "own.jsonl").write_bytes(lines(ROWS))
    with pytest.raises(UserError, match=said):
        filter_files([tmp_path / "own.jsonl"], tmp_path / out, CHAIN)
    assert (tmp_path / "own.jsonl").read_bytes() == lines(ROWS)


def test_an_output_in_a_folder_that_is_read_is_not_read_the_next_time(tmp_path):
    (tmp_path / "own.jsonl").write_bytes(lines(ROWS))
    for _ in range(2):
        kept, gone, _ = run(tmp_path, tmp_path)
        assert (len(kept), len(gone)) == (2, 2)


def test_parquet_keeps_its_types(tmp_path):
    kinds = {
        "id": pa.int32(),
        "when": pa.timestamp("us", tz="UTC"),
        "tags": pa.list_(pa.string()),
        "kind": pa.dictionary(pa.int8(), pa.string()),
        "body": pa.large_string(),
        "vector": pa.list_(pa.float32(), 2),
    }
    rows = [
        [7, datetime(2017, 1, 2, tzinfo=UTC), ["x"], "k", PROSE, [1.0, 0.5]],
        [8, None, None, None, "Short.", None],
    ]
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows), kinds.values())]  # noqa: B905
    path, out = tmp_path / "own.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table(dict(zip(kinds, columns, strict=True))), path)
    filter_files([path], out, CHAIN, Fields(text="body"), dropped=tmp_path / "d.parquet")
    found = pq.read_table(out)
    assert found.schema.equals(pa.schema(list(kinds.items())))
    assert found.to_pylist() == [dict(zip(kinds, rows[0], strict=True)) | {"body": PROSE.strip()}]
    (lost,) = pq.read_table(tmp_path / "d.parquet").to_pylist()
    assert (lost["id"], lost["dropped_by"]) == (8, "rules.gopher_quality.word_count.low")


def test_values_of_many_types_survive_in_parquet(tmp_path):
    values = [1, "two", None, [3], {"four": 4}, 2**70, 0.5]
    rows = [{"text": PROSE, "mixed": value} for value in values] + [{"text": PROSE, "late": True}]
    (tmp_path / "own.jsonl").write_bytes(b"".join(json.dumps(r).encode() + b"\n" for r in rows))
    filter_files([tmp_path / "own.jsonl"], tmp_path / "out.parquet", CHAIN)
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    mixed = [row["mixed"] for row in found]
    assert mixed[:2] == ["1", "two"]
    assert mixed[2] is None
    assert mixed[3:5] == ["[3]", '{"four":4}']
    assert [row["late"] for row in found] == [None] * 7 + [True]


def test_workers_change_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(filtering, "SMALL", 0)
    rows = [{"id": n, "text": PROSE * (n % 3) + str(n)} for n in range(900)]
    (tmp_path / "own.jsonl").write_bytes(lines(rows))
    outs = []
    for workers in (1, 2):
        shown: list = []

        def progress(*told, shown=shown):
            shown.append(told)

        run(tmp_path, tmp_path / "own.jsonl", workers=workers, progress=progress)
        outs.append([(tmp_path / n).read_bytes() for n in ("out.jsonl", "out.dropped.jsonl")])
        assert shown[-1][:2] == ((tmp_path / "own.jsonl").stat().st_size,) * 2
        assert [done for done, *_ in shown] == sorted(done for done, *_ in shown)
    assert outs[0] == outs[1]
    assert len(outs[0][0].splitlines()) + len(outs[0][1].splitlines()) == 900
