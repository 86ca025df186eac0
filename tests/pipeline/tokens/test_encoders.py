import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tests.pipeline import fake_data
from webtext.flows.building.settings import load
from webtext.flows.models.origin import load_for
from webtext.model.batches.data import Stream
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.progress import silent
from webtext.pipeline.core.records import CORPUS
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.step import Outside
from webtext.pipeline.tokens import bpe, encoders
from webtext.pipeline.tokens import tokens as module
from webtext.pipeline.tokens.export import export
from webtext.pipeline.tokens.shard_files import read_bin, write_bin
from webtext.pipeline.tokens.step import STEP
from webtext.pipeline.tokens.tokens import Tokens, counts, document_tokens, tokens, write_index

TEXTS = [
    "Der Weg zum See führte durch einen kleinen Wald, und die Kinder gingen ihn gern.",
    "Am Ufer lag ein altes Boot. In dem Boot stand eine Kiste, die niemand öffnete.",
    "a<|endoftext|>b", "", "\n\n  \n", "日本語 😀 \x00", "  eingerückt\n\tund mehr  ",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(encoders.train(iter(TEXTS[:2] * 20), 400), "utf-8")
    return path


def test_a_trained_tokenizer_gives_every_text_back(trained):
    own = encoders.encoder(str(trained))
    assert own.vocabulary <= 400
    assert own.end == own.vocabulary - 1
    for text, found in zip(TEXTS, own.encode(TEXTS), strict=True):
        assert own.decode(found.tolist()) == text
        assert own.end not in found, "what looks like the end in a text is text"
        assert b"".join(map(own.piece, found.tolist())).decode() == text
    assert len(own.encode(TEXTS)[0]) < len(bpe.encode(TEXTS[0]))


def test_a_tokenizer_that_is_replaced_while_a_process_lives_is_read_anew(trained, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(trained.read_bytes())
    before = Tokens(tokenizer=str(path)).known_by
    assert encoders.encoder(str(path)) is encoders.encoder(str(path)), "it is read once"
    path.write_text(encoders.train(iter(TEXTS[:2] * 20), 300), "utf-8")
    assert Tokens(tokenizer=str(path)).known_by != before
    assert encoders.encoder(str(path)).vocabulary <= 300


def test_it_is_what_the_library_and_transformers_read(trained):
    plain, own = Tokenizer.from_file(str(trained)), encoders.encoder(str(trained))
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(trained))
    for text in (*TEXTS[:2], TEXTS[5]):
        found = own.encode([text])[0].tolist()
        assert found == plain.encode(text, add_special_tokens=False).ids
        assert theirs.decode(found) == text


def test_training_twice_gives_the_same_bytes(trained):
    assert encoders.train(iter(TEXTS[:2] * 20), 400) == trained.read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "end", "said"),
    [
        ("{}", "", "not a tokenizer.json"),
        (None, "", "no such file; wanted gpt2, r50k_base"),
        ("trained", "<eos>", "has none of the tokens <eos>"),
    ],
)
def test_what_is_no_tokenizer_is_refused(trained, tmp_path, content, end, said):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(trained.read_text("utf-8") if content == "trained" else content, "utf-8")
    with pytest.raises(UserError, match=said):
        encoders.of_file(path, end)


def test_only_another_tokenizer_changes_the_name_of_the_tokens(trained, tmp_path):
    plain = load("webtext")
    own = load("webtext", [f"tokens.tokenizer = '{trained}'"])
    assert STEP.outside(plain, tmp_path).known_by is None
    assert STEP.outside(own, tmp_path).known_by["sha256"]
    copied = tmp_path / "again.json"
    copied.write_bytes(trained.read_bytes())
    moved = load("webtext", [f"tokens.tokenizer = '{copied}'"])
    assert STEP.outside(moved, tmp_path) == STEP.outside(own, tmp_path)


@pytest.fixture
def corpus(tmp_path):
    rows = [fake_data.document(number) for number in range(30)]
    rows.sort(key=lambda row: row["id"])
    directory = Directory(tmp_path / "corpus-1")
    fake_data.write(directory.shard(0), rows, CORPUS)
    return directory


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@pytest.mark.parametrize("wide", [False, True])
def test_shards_of_any_vocabulary_decode_to_the_corpus(trained, corpus, tmp_path, wide):
    path = trained
    if wide:  # a token beyond 16 bits, which nearly every text has
        told = json.loads(trained.read_text("utf-8"))
        told["model"]["vocab"]["e"] = 70_000
        path = tmp_path / "wide.json"
        path.write_text(json.dumps(told), "utf-8")
    settings = Tokens(shard_tokens=3000, val_fraction=0.3, tokenizer=str(path))
    out = Directory(tmp_path / "tokens")
    out.path.mkdir()
    tokens(settings, corpus, out, 0)
    encoder = encoders.beside(out.path)
    assert counts(out)["tokenizer"]["vocabulary"] == encoder.vocabulary
    assert (encoder.vocabulary == 70_001) == wide
    texts = {row["id"]: row["text"] for row in pq.read_table(corpus.shard(0)).to_pylist()}
    for row in pq.read_table(out.path / "documents.parquet").to_pylist():
        found = document_tokens(out, row)
        assert found[0] == encoder.end
        assert encoder.decode(found[1:].tolist()) == texts.pop(row["id"])
    assert not texts
    first = out.path / "train-00000.bin"
    assert np.fromfile(first, "<i4", 2).tolist() == ([20240801, 7] if wide else [20240520, 1])
    assert read_bin(first).dtype == ("<u4" if wide else "<u2")
    assert (Stream(out.path, "train").read(0, 3000) == read_bin(first)[:3000]).all(), "as train"
    model = load_for("tiny", [], None, tokens=out.path).model
    assert (model.vocab, model.end) == (encoder.vocabulary, encoder.end), "as a run takes them"
    nano = tmp_path / "nano"
    if wide:
        with pytest.raises(UserError, match="nanoGPT reads 65,536 at most"):
            export(settings, out.path, nano, "nanogpt", 0)
    else:
        export(settings, out.path, nano, "nanogpt", 0)
        assert np.fromfile(nano / "train.bin", "<u2")[-1] == encoder.end


@pytest.mark.usefixtures("no_waiting_for_the_disk")
def test_a_tokenizer_that_is_replaced_meanwhile_never_gives_mixed_tokens(
    trained, tmp_path, monkeypatch
):
    rows = sorted((fake_data.document(number) for number in range(30)), key=lambda row: row["id"])
    corpus = Directory(tmp_path / "corpus-1")
    for number in range(3):
        fake_data.write(corpus.shard(number), rows[number::3], CORPUS)
    path = tmp_path / "own.json"
    path.write_bytes(trained.read_bytes())
    other = encoders.train(iter(TEXTS[:2] * 20), 300)
    settings = Tokens(shard_tokens=3000, val_fraction=0.3, tokenizer=str(path))
    planned = settings.known_by
    whole, cut = Directory(tmp_path / "whole"), Directory(tmp_path / "cut")
    whole.path.mkdir()
    cut.path.mkdir()
    tokens(settings, corpus, whole, 0, known_by=planned)

    def replaced(*_):
        path.write_text(other, "utf-8")

    with monkeypatch.context() as patch:  # after the first shard
        patch.setattr(module, "tick", replaced)
        with pytest.raises(UserError, match="not what it was when this began; put the former"):
            tokens(settings, corpus, cut, 0, known_by=planned)
    step = SimpleNamespace(
        settings=(settings,), read={"corpus": corpus}, outside=Outside(planned), home=cut
    )
    with pytest.raises(UserError, match="not what it was"):  # what is encoded stays the first's
        STEP.work(step, 0, silent)
    assert len(list(cut.path.glob("parts/*.parquet"))) == 1
    path.write_bytes(trained.read_bytes())
    with monkeypatch.context() as patch:  # after the last shard
        patch.setattr(module, "write_index", lambda *_: replaced() or write_index(*_))
        tokens(settings, corpus, cut, 0, known_by=planned)
    for file in whole.path.iterdir():
        assert (cut.path / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_shard_of_32_bits_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "train-00000.bin"
    write_bin(path, [np.array([70_000, 1], np.uint32)], "<u4")
    assert read_bin(path).tolist() == [70_000, 1]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="its header says 2 tokens, found 1"):
        read_bin(path)
