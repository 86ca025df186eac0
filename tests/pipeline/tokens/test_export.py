import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline import fake_data
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.tokens import bpe
from webtext.pipeline.tokens.export import export
from webtext.pipeline.tokens.shard_files import read_bin
from webtext.pipeline.tokens.tokens import INDEX, Tokens, counts

SMALL = Tokens(shard_tokens=1000, val_fraction=0.3)


@pytest.fixture
def corpus(tmp_path):
    """Documents of seven domains in two shards."""
    rows = [fake_data.document(number) for number in range(30)]
    directory = Directory(tmp_path / "corpus-1")
    for number, part in enumerate((rows[:13], rows[13:])):
        fake_data.write(directory.shard(number), part, CORPUS)
    return directory


def stream(path, split):
    return [token for file in sorted(path.glob(f"{split}-*")) for token in read_bin(file).tolist()]


def test_nanogpt_gets_the_end_after_each_document(corpus, tmp_path):
    export(SMALL, corpus.path, tmp_path / "shards", "llmc", 0)
    export(SMALL, corpus.path, tmp_path / "at once", "nanogpt", 0)
    export(SMALL, tmp_path / "shards", tmp_path / "converted", "nanogpt", 0)
    for split in ("train", "val"):
        wanted = [*stream(tmp_path / "shards", split)[1:], bpe.END_OF_TEXT]
        for made in ("at once", "converted"):
            path = tmp_path / made / f"{split}.bin"
            found = np.memmap(path, dtype=np.uint16, mode="r").tolist()  # as its train.py does
            assert found == wanted
            assert sorted(file.name for file in path.parent.iterdir()) == ["train.bin", "val.bin"]


def test_what_is_made_of_a_corpus_is_whole_and_indexed(corpus, tmp_path):
    export(SMALL, corpus.path, tmp_path / "out", "llmc", 0)
    made = Directory(tmp_path / "out")
    assert made.whole
    assert made.manifest()["stages"]["tokens"]["settings"]["val_fraction"] == 0.3
    assert pq.read_table(made.path / INDEX).num_rows == 30


def test_what_fails_leaves_nothing(corpus, tmp_path):
    with pytest.raises(UserError, match="every domain fell into val"):
        export(Tokens(val_fraction=0.9999999), corpus.path, tmp_path / "out", "llmc", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus-1"]


def test_what_is_no_corpus_is_said(corpus, tmp_path):
    with pytest.raises(UserError, match=r"no 00000.parquet and no documents.parquet; wanted"):
        export(SMALL, tmp_path / "nowhere", tmp_path / "out", "llmc", 0)
    other = Directory(tmp_path / "other")
    other.path.mkdir()
    pq.write_table(pa.table({"id": ["a"], "words": ["b"]}), other.shard(0))
    with pytest.raises(
        UserError, match=r"no column url, domain, text; wanted id, .*, found id, wo"
    ):
        export(SMALL, other.path, tmp_path / "out", "llmc", 0)
    other.shard(0).write_bytes(b"no Parquet")
    with pytest.raises(UserError, match=r"00000\.parquet"):
        export(SMALL, other.path, tmp_path / "out", "llmc", 0)
    export(SMALL, corpus.path, tmp_path / "out", "llmc", 0)
    with pytest.raises(UserError, match="is there already; name another"):
        export(SMALL, corpus.path, tmp_path / "out", "nanogpt", 0)
    with pytest.raises(UserError, match=r"holds llm\.c's token shards already; --format nanogpt"):
        export(SMALL, tmp_path / "out", tmp_path / "again", "llmc", 0)


def test_a_column_that_only_a_later_shard_lacks_is_said(corpus, tmp_path):
    rows = pq.read_table(corpus.shard(1))
    pq.write_table(rows.drop_columns(["domain"]), corpus.shard(1))
    with pytest.raises(UserError, match=r"00001\.parquet: no column domain; wanted id"):
        export(SMALL, corpus.path, tmp_path / "out", "llmc", 0)


@pytest.mark.parametrize("ids", [[None] * 40, list(range(40))])
def test_texts_without_a_domain_and_any_or_no_id_are_each_on_a_side_of_their_own(tmp_path, ids):
    corpus = Directory(tmp_path / "own")
    corpus.path.mkdir()
    texts = [f"text {number}" for number in range(40)]
    none = pa.nulls(40, pa.string())
    table = pa.table({"id": ids, "url": none, "domain": none, "text": texts})
    pq.write_table(table, corpus.shard(0))
    export(SMALL, corpus.path, tmp_path / "out", "llmc", 0)
    rows = pq.read_table(tmp_path / "out" / INDEX).to_pylist()
    assert [row["id"] for row in rows] == [one if one is None else str(one) for one in ids]
    held_out = sum(row["split"] == "val" for row in rows)
    assert 5 <= held_out <= 20
    told = counts(Directory(tmp_path / "out"))
    assert {split: each["domains"] for split, each in told["splits"].items()} == {
        "train": 40 - held_out, "val": held_out}  # fmt: skip


def test_what_has_the_name_of_its_work_folder_stays(corpus, tmp_path):
    mine = tmp_path / "out.partial"
    mine.mkdir()
    (mine / "mine").write_text("mine")
    with pytest.raises(UserError, match=r"out\.partial: is there already"):
        export(SMALL, corpus.path, tmp_path / "out", "llmc", 0)
    assert (mine / "mine").read_text() == "mine"
