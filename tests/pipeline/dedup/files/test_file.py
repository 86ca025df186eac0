"""`webtext dedup`: any file with an id and a text, and clear words where it has not."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.pipeline.dedup.material import edited, jaccard, prose
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.dedup.clusters.cluster import Cluster
from webtext.pipeline.dedup.files.file import dedup_files
from webtext.pipeline.dedup.signatures.sign import Sign

TEXT = prose(1)
ROWS = [
    {"id": "c", "text": prose(9)},
    {"id": "b", "text": TEXT},
    {"id": "a", "text": edited(TEXT, 2, 1)},
    {"id": "d", "text": TEXT + "!"},
    {"id": "e", "text": ""},
]
WANTED = [("c", "c", "c"), ("b", "a", "a"), ("a", "a", "a"), ("d", "a", "a"), ("e", "e", "e")]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def dedup(path, **more):
    out = path.parent / "out" / "clusters.parquet"
    passage, _ = dedup_files([path], out, Sign(), more.pop("cluster", Cluster()), **more)
    return pq.read_table(out), passage


def triples(table):
    return [(row["id"], row["cluster"], row["keeper"]) for row in table.to_pylist()]


def written(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines(ROWS)))
    elif name.endswith(".zst"):
        path.write_bytes(zstandard.compress(lines(ROWS[:2])) + zstandard.compress(lines(ROWS[2:])))
    else:
        path.write_bytes(lines(ROWS))
    return path


KINDS = ["in.jsonl", "in.ndjson", "in.jsonl.gz", "in.jsonl.zst", "in.2024.parquet"]


@pytest.mark.parametrize("name", KINDS)
def test_every_row_comes_out_in_its_place(tmp_path, name):
    table, passage = dedup(written(tmp_path, name))
    assert triples(table) == WANTED
    assert table.schema.names == ["id", "cluster", "keeper", "jaccard"]
    similar = table["jaccard"].to_pylist()
    assert similar[0] == similar[2] == similar[4] == 1
    assert 0.8 < similar[1] == similar[3] < 1
    assert (passage.read, passage.kept, passage.dropped) == (5, 3, {"dedup.near": 2})


@pytest.mark.parametrize("name", KINDS)
def test_pairs_can_be_verified_by_the_texts_themselves(tmp_path, name):
    table, _ = dedup(written(tmp_path, name), cluster=Cluster(verify="jaccard"))
    assert triples(table) == WANTED
    true = jaccard(ROWS[1]["text"], ROWS[2]["text"])
    assert table["jaccard"].to_pylist() == pytest.approx([1, true, 1, true, 1])


def test_nothing_else_is_left_beside_the_output(tmp_path):
    dedup(written(tmp_path, "in.jsonl"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clusters.parquet"]


def test_columns_can_be_named_and_numbers_stay_numbers(tmp_path):
    rows = [{"key": 2**40 + n, "body": TEXT, "score": n} for n in range(3)]
    (tmp_path / "in.jsonl").write_bytes(b"\n" + lines(rows) + b"\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    for name in ("in.jsonl", "in.parquet"):
        table, passage = dedup(
            tmp_path / name, names={"key": "id", "body": "text", "score": "score"}
        )
        assert triples(table) == [(2**40 + n, 2**40, 2**40 + 2) for n in range(3)]
        assert passage.dropped == {"dedup.exact": 2}


def test_the_longest_can_be_kept(tmp_path):
    table, _ = dedup(written(tmp_path, "in.jsonl"), cluster=Cluster(keeper="longest"))
    assert {keeper for name, _, keeper in triples(table) if name in "abd"} == {"a"}


def test_an_empty_file_gives_an_empty_file(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"")
    table, passage = dedup(tmp_path / "in.jsonl")
    assert table.num_rows == passage.read == 0


def test_a_null_text_is_an_empty_one(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(lines([{"id": 1, "text": None}, {"id": 2, "text": None}]))
    table, _ = dedup(tmp_path / "in.jsonl")
    assert triples(table) == [(1, 1, 1), (2, 2, 2)]


BROKEN = [
    (b"plain text\n", "in.txt", "line 1: not JSON"),
    (b"\nnot json\nnor this\n", "in.jsonl", "line 2: not JSON"),
    (b"[1, 2]\n", "in.jsonl", "line 1: found list, wanted an object with id and text"),
    (b'{"text": "a"}\n', "in.jsonl", "line 1: no 'id'; it has text: name .* --id-field"),
    (b'{"id": true, "text": "a"}\n', "in.jsonl", "line 1: 'id' is True; wanted a string or"),
    (b'{"id": 1, "body": "a"}\n', "in.jsonl", "line 1: no 'text'; it has id, body"),
    (b'{"id": 1, "text": 5}\n', "in.jsonl", "line 1: 'text' is not text but int"),
    (b'{"id": 1, "text": "a"}\n' * 2, "in.jsonl", "1 ids occur more than once, such as '1'; an"),
    (b"\x1f\x8b no gzip", "in.jsonl.gz", "line 1: the file is damaged or ends too early"),
    (gzip.compress(lines(ROWS))[:-20], "in.jsonl.gz", "the file is damaged or ends too early"),
    (zstandard.compress(lines(ROWS))[:-20], "in.jsonl.zst", "the file is damaged or ends too"),
    (b"PAR1 no parquet", "in.parquet", "cannot be read"),
    (b'{"id": 1, "text": "\xff}\n', "in.jsonl", "line 1: not JSON"),
]


@pytest.mark.parametrize(("data", "name", "message"), BROKEN)
def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path, data, name, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        dedup(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").glob("*"))


def test_a_parquet_file_without_the_columns_says_what_it_has(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": ["a"], "body": ["b"]}), path)
    with pytest.raises(UserError, match=r"no column 'text'; it has id, body: name .* --text-field"):
        dedup(path)
    pq.write_table(pa.table({"id": ["a", None], "text": ["b", "c"]}), path)
    with pytest.raises(UserError, match="row 1 has no id; give every row one"):
        dedup(path)


def test_a_missing_file_and_a_keeper_that_files_cannot_have_are_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        dedup(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="no link times; set keeper to score or longest"):
        dedup(written(tmp_path, "in.jsonl"), cluster=Cluster(keeper="earliest"))


@pytest.mark.parametrize("output", ["out", "keep"])
def test_what_is_read_is_not_written_over(tmp_path, output):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"id": 1, "text": "one and no more"}\n')
    outputs = {"out": tmp_path / "out.jsonl", "keep": tmp_path / "kept.jsonl"}
    outputs[output] = tmp_path / "." / "texts.jsonl"
    with pytest.raises(UserError, match="is read, so it cannot be written"):
        dedup_files([path], outputs["out"], Sign(), Cluster(), keep=outputs["keep"], workers=1)
    assert path.read_text() == '{"id": 1, "text": "one and no more"}\n'


def test_progress_is_told_from_signing_to_the_last_pair(tmp_path):
    notes: list[str] = []
    path = written(tmp_path, "in.2024.parquet")
    dedup(path, progress=lambda done, total, note="": notes.append(note))
    assert notes[0] == "signing"
    assert notes[-1] == "3 documents in clusters"


def test_parquet_rows_that_are_kept_are_written_with_all_their_columns(tmp_path):
    path, keep = tmp_path / "in.parquet", tmp_path / "kept.parquet"
    given = pa.Table.from_pylist([{**row, "more": n} for n, row in enumerate(ROWS)])
    pq.write_table(given, path)
    dedup_files([path], tmp_path / "out.parquet", Sign(), Cluster(), keep=keep)
    assert pq.read_table(keep).equals(given.take([0, 2, 4]))


def test_kept_rows_stay_what_they_were(tmp_path):
    paths = [written(tmp_path, name) for name in ("in.jsonl", "in.2024.parquet")]
    out = tmp_path / "out.parquet"
    for given, name, said in (
        (paths[:1], "kept.parquet", "the rows come from JSON Lines, so wanted a name in .jsonl"),
        (paths[1:], "kept.jsonl", "the rows come from Parquet, so wanted a name in .parquet"),
        (paths, "kept.jsonl", "cannot hold both JSON Lines and Parquet"),
    ):
        with pytest.raises(UserError, match=said):
            dedup_files(given, out, Sign(), Cluster(), keep=tmp_path / name)


def test_an_id_that_two_files_have_is_told(tmp_path):
    path = written(tmp_path, "in.jsonl")
    with pytest.raises(UserError, match=r"in\.jsonl, .*in\.jsonl: 5 ids occur more than once"):
        dedup_files([path, path], tmp_path / "out.parquet", Sign(), Cluster())


def test_a_bad_line_far_into_a_file_is_named_by_its_number(tmp_path, caplog):
    rows = [{"id": n, "text": f"row {n}", "more": {"n": [n]}} for n in range(2000)]
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n" + lines(rows) + b'{"id": 2000, "text": "a"} {"id": 2001, "text": "b"}\n')
    table, _ = dedup(path)
    assert table.num_rows == 2000
    assert "in.jsonl: left out 1 lines; line 2002: not JSON" in caplog.text


def test_lines_that_are_no_rows_cost_themselves_and_are_counted(tmp_path, caplog):
    bad = [b"{broken", b"null", b'{"text": "no id"}', b'{"id": "n"}', b'{"id": 1.5, "text": "x"}']
    good = lines(ROWS).splitlines()
    mixed = [line for pair in zip(bad, good, strict=True) for line in pair]
    odd = [b'\x1e{"id": "s", "text": "more", "n": NaN},', b""]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([*mixed, *odd]))
    keep = tmp_path / "kept.jsonl"
    dedup_files([tmp_path / "in.jsonl"], tmp_path / "out.parquet", Sign(), Cluster(), keep=keep)
    assert keep.read_bytes().splitlines() == [good[0], good[2], good[4], odd[0]]
    assert "in.jsonl: left out 5 lines; line 1: not JSON" in caplog.text
    assert len(caplog.records) == 1


def test_odd_lines_are_read_as_usual_ones_are(tmp_path):
    odd = [
        b'  {"text": "one", "id": "1"}  \r\n\r\n',
        b'{"id": "1", "id": 2, "text": null, "score": 1.5}\n',
        b'{"id": -3, "text": "\\ud83d\\ude00", "score": true}\n',
        b'{"id": 18446744073709551615, "text": "big", "score": 99999999999}\n',
        b'{"id": "last", "text": "no end of line", "score": {"a": []}}',
    ]
    (tmp_path / "odd.jsonl").write_bytes(b"".join(odd))
    (tmp_path / "usual.jsonl").write_bytes(b"\n".join(line.strip() for line in odd))
    for name in ("odd.jsonl", "usual.jsonl"):
        table, _ = dedup(tmp_path / name)
        assert table["id"].to_pylist() == ["1", "2", "-3", "18446744073709551615", "last"]


def test_code_ledgers_and_coordinates_that_differ_in_digits_alone_are_no_copies(tmp_path):
    kinds = [
        "    table[{0}] = 0x{1:x}, {2}  # the row of the table",
        "2019-0{3}-1{3} invoice {1} paid {2}.50 EUR",
        "v {2}.{0} {1}.5 {3}.25",
    ]
    texts = [
        "\n".join(kind.format(n, n * k * 7919 % 65521, n * k % 97, n * k % 9) for n in range(60))
        for kind in kinds
        for k in (3, 5, 11)
    ]
    path = tmp_path / "rows.jsonl"
    rows = enumerate([*texts, texts[0]])
    path.write_bytes(lines({"id": str(n), "text": text} for n, text in rows))
    table, passage = dedup(path)
    assert passage.dropped == {"dedup.exact": 1}
    assert [name for name, _, keeper in triples(table) if name != keeper] in (["0"], ["9"])
